// Runs every check of this folder against one site: `node speak.mjs SITE`, SITE as JSON. A line of JSON for each check:
// its name, and what was wrong, empty where nothing was. The first line is the SDK's version.
import { VERSION } from 'openai/version';
import * as chat from './chat.mjs';
import * as faults from './faults.mjs';
import * as others from './others.mjs';
import * as responses from './responses.mjs';
import * as tools from './tools.mjs';
import { Site } from './site.mjs';

const AT_ONCE = 4;
const site = new Site(JSON.parse(process.argv[2]));
console.log(JSON.stringify({ version: VERSION }));

async function wrong(check) {
  try {
    await check(site);
  } catch (error) {
    return error.stack || String(error);
  }
  return '';
}

const checks = Object.entries({ chat, faults, others, responses, tools }).flatMap(([part, exported]) =>
  Object.entries(exported)
    .filter(([name]) => name.startsWith('check'))
    .map(([name, check]) => [`${part}.${name}`, check]),
);
// A few at once: as many as a program's own.
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let next = checks.shift(); next; next = checks.shift()) {
      const [name, check] = next;
      console.log(JSON.stringify({ check: name, wrong: await wrong(check) }));
    }
  }),
);
