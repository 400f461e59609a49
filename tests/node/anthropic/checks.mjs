// The Node SDK's surface. Each check is told of one set-up of the gateway; its comment says its fact.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';

const HELLO = [{ role: 'user', content: 'Where do rivers end?' }];
const WEATHER = {
  name: 'weather',
  description: 'The weather of a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

const asked = (site, more = {}) => ({ model: site.model, max_tokens: 300, messages: HELLO, ...more });
const ask = (site, more, options) => site.client.messages.create(asked(site, more), options);
const simulate = (name, value) => ({ headers: { [`x-simulate-${name}`]: String(value) } });

async function raised(act) {
  try {
    await act();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was raised');
}

// A whole message has its words, its reason, its tokens, the public name and the request id of the header.
export async function checkMessage(site) {
  const { data, response, request_id } = await site.client.messages.create(asked(site)).withResponse();

  assert.match(data.content[0].text, /Where do rivers end\?/);
  assert.deepEqual([data.type, data.role, data.model, data.stop_reason], ['message', 'assistant', site.model, 'end_turn']);
  assert.equal(data.usage.input_tokens, 4);
  assert(data.usage.output_tokens > 5);
  assert.equal(request_id, response.headers.get('request-id'));
  assert.equal(data._request_id, request_id);
}

// The streaming helper tells the same text in several pieces, and ends with the same message.
export async function checkStream(site) {
  const whole = await ask(site);
  const pieces = [];
  const stream = site.client.messages.stream(asked(site)).on('text', (piece) => pieces.push(piece));
  const final = await stream.finalMessage();

  assert(pieces.length > 5);
  assert.equal(pieces.join(''), whole.content[0].text);
  assert.deepEqual(final.content[0].text, whole.content[0].text);
  assert.deepEqual([final.stop_reason, final.usage.output_tokens], ['end_turn', whole.usage.output_tokens]);
}

// Raw events come in the order of Anthropic's own: a block opens, grows and closes within its message.
export async function checkEvents(site) {
  const kinds = [];
  for await (const event of await ask(site, { stream: true })) {
    if (event.type !== 'ping' && event.type !== kinds.at(-1)) kinds.push(event.type);
  }

  assert.deepEqual(kinds, [
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ]);
}

// Tools are called with input that grows piece by piece, and their results are answered.
export async function checkTools(site) {
  const messages = [{ role: 'user', content: 'Weather in Paris and Tokyo?' }];
  let grew = 0;
  const stream = site.client.messages.stream(asked(site, { messages, tools: [WEATHER] })).on('inputJson', () => (grew += 1));
  const called = await stream.finalMessage();
  const calls = called.content.filter((block) => block.type === 'tool_use');
  const results = calls.map((call) => ({ type: 'tool_result', tool_use_id: call.id, content: '22 degrees' }));
  const told = await ask(site, {
    messages: [...messages, { role: 'assistant', content: called.content }, { role: 'user', content: results }],
    tools: [WEATHER],
  });

  assert.equal(called.stop_reason, 'tool_use');
  assert(calls.length >= 1);
  assert(grew > calls.length);
  assert(calls.every((call) => call.name === 'weather' && typeof call.input.city === 'string'));
  assert.equal(new Set(calls.map((call) => call.id)).size, calls.length);
  assert.match(told.content[0].text, /22 degrees/);
}

// Thoughts come before the words, streamed and whole alike.
export async function checkThinking(site) {
  const thinking = { type: 'enabled', budget_tokens: 1024 };
  const said = await site.client.messages.stream(asked(site, { max_tokens: 2000, thinking })).finalMessage();

  assert.deepEqual(said.content.map((block) => block.type), ['thinking', 'text']);
  assert(said.content[0].thinking.length > 0);
}

// An estimate of a request's tokens, and the models that the key may call.
export async function checkOthers(site) {
  const counted = await site.client.messages.countTokens({ model: site.model, messages: HELLO });
  const listed = [];
  for await (const model of site.client.models.list()) listed.push(model.id);

  assert(counted.input_tokens >= 4);
  assert(listed.includes(site.model));
}

// A wrong key, a model that a key may not call, a wrong field and a status of the upstream's are the SDK's own exceptions.
export async function checkErrors(site) {
  const by = (apiKey) => new Anthropic({ baseURL: site.url, apiKey, maxRetries: 0 });
  const fenced = await raised(() => by(site.fenced_key).messages.create(asked(site)));

  assert((await raised(() => by('sk-nobody').messages.create(asked(site)))) instanceof Anthropic.AuthenticationError);
  assert(fenced instanceof Anthropic.PermissionDeniedError);
  assert.equal(fenced.error.error.type, 'permission_error');
  assert((await raised(() => ask(site, { max_tokens: 0 }))) instanceof Anthropic.BadRequestError);
  assert((await raised(() => ask(site, {}, simulate('status', 429)))) instanceof Anthropic.RateLimitError);
}

// A fault in the middle of a stream is raised, behind the words that came.
export async function checkBrokenStream(site) {
  let pieces = 0;
  const stream = site.client.messages.stream(asked(site), simulate('error', 6)).on('text', () => (pieces += 1));

  assert((await raised(() => stream.finalMessage())) instanceof Anthropic.APIError);
  assert(pieces > 0);
}
