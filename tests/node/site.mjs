// What a check of the Node SDK gets: clients, and how to make the simulated model misbehave.
// A check is an exported function `check...` of one site, under a line that says its fact.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

export const HELLO = [{ role: 'user', content: 'Where do rivers end?' }];

export class Site {
  constructor(told) {
    Object.assign(this, told);
    this.client = new OpenAI({ baseURL: `${this.url}/v1`, apiKey: this.key, maxRetries: 0, timeout: 20_000 });
  }

  // The SDK's own two retries, and the URLs that it has asked so far; `then` is called at each response.
  counting(options = {}, then = () => {}) {
    const asked = [];
    const counted = async (url, init) => {
      asked.push(String(url));
      const response = await fetch(url, init);
      then(response);
      return response;
    };
    return [this.client.withOptions({ fetch: counted, maxRetries: 2, ...options }), asked];
  }

  chat(options = {}, request = {}, client = this.client) {
    return client.chat.completions.create({ model: this.model, messages: HELLO, ...options }, request);
  }

  async seen() {
    return (await fetch(`${this.upstream_url}/_seen`)).json();
  }
}

export function simulate(mischief) {
  const headers = {};
  for (const [name, value] of Object.entries(mischief)) headers[`x-simulate-${name}`] = String(value);
  return { headers };
}

// The error of exactly this class that acting rejects with.
export async function raised(kind, act) {
  let given;
  try {
    given = await act();
  } catch (error) {
    assert.equal(error.constructor, kind, `expected ${kind.name}, got ${error.stack}`);
    return error;
  }
  throw new Error(`expected ${kind.name}, got ${JSON.stringify(given)}`);
}

export async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export async function waitUntil(isSo, what, within = 10_000) {
  const end = Date.now() + within;
  while (!(await isSo())) {
    assert(Date.now() < end, `waited ${within} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
