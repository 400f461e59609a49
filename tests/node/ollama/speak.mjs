// Runs every check of this folder against one site: `node speak.mjs SITE`, SITE as JSON. A line of JSON for each check:
// its name, and what was wrong, empty where nothing was. The first line is the SDK's version.
import { createRequire } from 'node:module';
import { Ollama } from 'ollama';
import * as checks from './checks.mjs';

const site = JSON.parse(process.argv[2]);
const key = process.env.OLLAMA_API_KEY;
site.client = (mischief = {}, bearer = key) =>
  new Ollama({
    host: site.url,
    headers: {
      Authorization: `Bearer ${bearer}`,
      ...Object.fromEntries(Object.entries(mischief).map(([name, value]) => [`x-simulate-${name}`, String(value)])),
    },
  });
const path = createRequire(import.meta.url).resolve('ollama').replace(/dist.*/, 'package.json');
console.log(JSON.stringify({ version: createRequire(import.meta.url)(path).version }));

for (const [name, check] of Object.entries(checks)) {
  let wrong = '';
  try {
    await check(site);
  } catch (error) {
    wrong = error.stack || String(error);
  }
  console.log(JSON.stringify({ check: `checks.${name}`, wrong }));
}
