// The Responses API: items, streams, tools over several turns, thinking, forms, what is kept, the background, faults.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { makeParseableTextFormat } from 'openai/lib/parser';
import { all, raised, simulate, waitUntil } from './site.mjs';

const ASK = 'Where do rivers end?';
const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const BOTH = 'What is the weather in Paris and Tokyo?';
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const WEATHER = { type: 'function', name: 'get_weather', strict: true, parameters };
const schema = {
  type: 'object',
  properties: { title: { type: 'string' }, guests: { type: 'integer' } },
  required: ['title', 'guests'],
  additionalProperties: false,
};

const made = (site, options = {}, request = {}) =>
  site.client.responses.create({ model: site.model, input: ASK, ...options }, request);
const calls = (response) => response.output.filter((item) => item.type === 'function_call');

async function over(site, id) {
  await waitUntil(
    async () => !['queued', 'in_progress'].includes((await site.client.responses.retrieve(id)).status),
    'the end of the response',
  );
  return site.client.responses.retrieve(id);
}

// A response has its text, status and counts; its stream's pieces are the same text, with numbers that rise by one.
export async function checkText(site) {
  const whole = await made(site, { instructions: 'Be brief.' });
  const events = await all(await made(site, { instructions: 'Be brief.', stream: true }));
  const deltas = events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta);

  assert.deepEqual([whole.status, whole.instructions, whole.model], ['completed', 'Be brief.', site.model]);
  assert.match(whole.output_text, /Where do rivers end\?/);
  assert.equal(deltas.join(''), whole.output_text);
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.deepEqual([events[0].type, events.at(-1).type], ['response.created', 'response.completed']);
  assert.equal(events.at(-1).response.usage.output_tokens, whole.usage.output_tokens);
}

// The streaming helper gives the final response.
export async function checkStreamHelper(site) {
  const stream = site.client.responses.stream({ model: site.model, input: ASK });
  const snapshots = [];
  stream.on('response.output_text.delta', (event) => snapshots.push(event.snapshot));
  const final = await stream.finalResponse();
  assert.equal(snapshots.at(-1), final.output_text);
  assert.match(final.output_text, /Where do rivers end\?/);
}

// Items of every role, pictures and files reach the model.
export async function checkItems(site) {
  const got = await made(site, {
    input: [
      { role: 'developer', content: 'Be brief.' },
      { role: 'assistant', content: [{ type: 'output_text', text: 'In the hills.' }] },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'And these?' },
          { type: 'input_image', image_url: PIXEL, detail: 'low' },
          { type: 'input_file', filename: 'a.txt', file_data: 'data:text/plain;base64,QUJD' },
        ],
      },
    ],
  });
  assert.match(got.output_text, /You sent 1 image and 1 file\./);
}

// Two cities are two calls, whole and streamed; their results are told in the turn that goes on from them.
export async function checkTools(site) {
  const first = await made(site, { input: BOTH, tools: [WEATHER] });
  const events = await all(await made(site, { input: BOTH, tools: [WEATHER], stream: true }));
  const whole = calls(first).map((call) => call.arguments);
  const grown = {};
  for (const event of events.filter((one) => one.type === 'response.function_call_arguments.delta'))
    grown[event.output_index] = (grown[event.output_index] ?? '') + event.delta;
  const results = calls(first).map((call, place) => ({
    type: 'function_call_output',
    call_id: call.call_id,
    output: `${place + 18} degrees`,
  }));
  const then = await made(site, { input: results, tools: [WEATHER], previous_response_id: first.id });

  assert.deepEqual(whole.map((one) => JSON.parse(one).city), ['Paris', 'Tokyo']);
  assert.deepEqual(Object.values(grown), whole);
  assert.match(then.output_text, /18 degrees.*19 degrees/s);
}

// Thoughts are an item before the answer, and are the summary where one is asked for.
export async function checkThinking(site) {
  const whole = await made(site, { reasoning: { effort: 'high' } });
  const summed = await made(site, { reasoning: { effort: 'high', summary: 'auto' } });
  assert.deepEqual(whole.output.map((item) => item.type), ['reasoning', 'message']);
  assert.match(whole.output[0].content[0].text, /I am simulated/);
  assert.equal(summed.output[0].summary[0].text, whole.output[0].content[0].text);
}

// .parse() gives the parsed form; a limit makes the response incomplete.
export async function checkForms(site) {
  const form = { type: 'json_schema', name: 'meeting', strict: true, schema };
  const text = { format: makeParseableTextFormat(form, JSON.parse) };
  const asked = { model: site.model, input: 'The meeting "Deltas" has 12 guests.', text };
  const got = await site.client.responses.parse(asked);
  const streamed = await site.client.responses.stream(asked).finalResponse();
  const cut = await made(site, { max_output_tokens: 3 });

  assert.deepEqual(got.output_parsed, { title: 'Deltas', guests: 12 });
  assert.deepEqual(streamed.output_parsed, got.output_parsed);
  assert.deepEqual([cut.status, cut.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
}

// A kept response is retrieved as it was, lists what was asked, is gone on from, and is unknown once deleted.
export async function checkKept(site) {
  const { responses } = site.client;
  const first = await made(site);
  const then = await made(site, { input: 'And lakes?', previous_response_id: first.id });
  const asked = await all(responses.inputItems.list(then.id));

  assert.deepEqual((await responses.retrieve(then.id)).output, then.output);
  assert.deepEqual(asked.map((item) => item.content[0].text), ['And lakes?']);
  assert(then.usage.input_tokens > first.usage.input_tokens);
  await responses.delete(first.id);
  await raised(OpenAI.NotFoundError, () => responses.retrieve(first.id));
  const other = site.client.withOptions({ apiKey: site.fenced_key });
  await raised(OpenAI.NotFoundError, () => other.responses.retrieve(then.id));
}

// One in the background is queued, made, streamed from any event on; an endless one is cancelled, a refused one fails.
export async function checkBackground(site) {
  const { responses } = site.client;
  const queued = await made(site, { background: true });
  const got = await over(site, queued.id);
  const events = await all(await responses.retrieve(queued.id, { stream: true }));
  const later = await all(await responses.retrieve(queued.id, { stream: true, starting_after: 4 }));
  const endless = await made(site, { background: true }, simulate({ endless: 1, pace: 0.01 }));
  const refused = await made(site, { background: true }, simulate({ status: 400 }));

  assert.deepEqual([queued.status, got.status], ['queued', 'completed']);
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.deepEqual(events.at(-1).response.output, got.output);
  assert.deepEqual(later, events.slice(5));
  assert.equal((await responses.cancel(endless.id)).status, 'cancelled');
  assert.equal((await over(site, refused.id)).status, 'failed');
}

// What is wrong is BadRequest and names the field; a stream that breaks ends with response.failed.
export async function checkFaults(site) {
  for (const [param, options] of [
    ['tools[0].type', { tools: [{ type: 'web_search' }] }],
    ['temperature', { temperature: 9 }],
    ['conversation', { conversation: 'conv_1' }],
  ]) {
    assert.equal((await raised(OpenAI.BadRequestError, () => made(site, options))).param, param);
  }
  const lost = await raised(OpenAI.NotFoundError, () => made(site, { previous_response_id: 'resp_nobodys' }));
  assert.equal(lost.code, 'previous_response_not_found');
  const broken = await all(await made(site, { input: ASK.repeat(5), stream: true }, simulate({ cut: 8 })));
  assert.deepEqual([broken.at(-1).type, broken.at(-1).response.status], ['response.failed', 'failed']);
}
