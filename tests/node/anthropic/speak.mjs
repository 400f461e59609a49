// Runs every check of this folder against one site: `node speak.mjs SITE`, SITE as JSON. A line of JSON for each check:
// its name, and what was wrong, empty where nothing was. The first line is the SDK's version.
import Anthropic from '@anthropic-ai/sdk';
import { VERSION } from '@anthropic-ai/sdk/version';
import * as checks from './checks.mjs';

const site = JSON.parse(process.argv[2]);
site.client = new Anthropic({ baseURL: site.url, apiKey: site.key, maxRetries: 0, timeout: 20_000 });
console.log(JSON.stringify({ version: VERSION }));

for (const [name, check] of Object.entries(checks)) {
  let wrong = '';
  try {
    await check(site);
  } catch (error) {
    wrong = error.stack || String(error);
  }
  console.log(JSON.stringify({ check: `node.${name}`, wrong }));
}
