// Chat: text, streams, and everything that changes what is said.
import assert from 'node:assert/strict';
import { HELLO, all, simulate, waitUntil } from './site.mjs';

const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';

export function text(chunks, index = 0) {
  const pieces = chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index));
  return pieces.map((choice) => choice.delta.content ?? '').join('');
}

// A question is answered under the public name, with usage that adds up and the request id of the header.
export async function checkText(site) {
  const { data, response, request_id } = await site.chat().withResponse();

  assert.equal(data.model, site.model);
  assert.equal(data.object, 'chat.completion');
  assert.match(data.id, /^chatcmpl-/);
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.match(data.choices[0].message.content, /Where do rivers end\?/);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.equal(data._request_id, response.headers.get('x-request-id'));
  assert.equal(request_id, data._request_id);
  assert.match(response.headers.get('content-type'), /^application\/json/);
}

// Streamed and whole answers are the same text, in chunks of one id and the public name.
export async function checkStream(site) {
  const whole = await site.chat();
  const chunks = await all(await site.chat({ stream: true }));

  assert(chunks.length > 5);
  assert.equal(text(chunks), whole.choices[0].message.content);
  assert.deepEqual([...new Set(chunks.map((chunk) => chunk.model))], [site.model]);
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  assert.deepEqual(
    chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.finish_reason).filter(Boolean),
    ['stop'],
  );
  assert(chunks.every((chunk) => !chunk.usage && chunk.choices.length));
}

// With include_usage the last chunk has no choices and the usage of the whole answer.
export async function checkStreamUsage(site) {
  const whole = await site.chat();
  const chunks = await all(await site.chat({ stream: true, stream_options: { include_usage: true } }));

  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.total_tokens, whole.usage.total_tokens);
  assert(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
}

// The streaming helper tells the content as it grows and ends with the whole completion and its usage.
export async function checkStreamHelper(site) {
  let grown = '';
  const stream = site.client.chat.completions
    .stream({ model: site.model, messages: HELLO, stream_options: { include_usage: true } })
    .on('content', (delta) => (grown += delta));
  const final = await stream.finalChatCompletion();

  assert.equal(final.choices[0].message.content, grown);
  assert.equal(await stream.finalContent(), grown);
  assert((await stream.totalUsage()).total_tokens > 0);
}

// `n`, `stop`, `seed` and the limits shape the answer.
export async function checkShape(site) {
  const three = await site.chat({ n: 3 });
  const streamed = await all(await site.chat({ n: 3, stream: true }));
  assert.deepEqual(three.choices.map((choice) => choice.index), [0, 1, 2]);
  assert.equal(new Set(three.choices.map((choice) => choice.message.content)).size, 3);
  for (const choice of three.choices) assert.equal(text(streamed, choice.index), choice.message.content);

  assert.equal((await site.chat({ stop: ['simulated'] })).choices[0].message.content, "This is Foz's ");
  const seeded = { seed: 7, temperature: 0.3 };
  assert.equal((await site.chat(seeded)).choices[0].message.content, (await site.chat(seeded)).choices[0].message.content);
  assert.equal((await site.chat({ max_tokens: 3 })).choices[0].finish_reason, 'length');
  assert.equal((await site.chat({ max_completion_tokens: 3 })).usage.completion_tokens, 3);
}

// Each token has its logprob and so many alternatives as asked.
export async function checkLogprobs(site) {
  const [choice] = (await site.chat({ logprobs: true, top_logprobs: 2 })).choices;
  const chunks = await all(await site.chat({ logprobs: true, top_logprobs: 2, stream: true }));

  assert.equal(choice.logprobs.content.map((token) => token.token).join(''), choice.message.content);
  assert(choice.logprobs.content.every((token) => token.logprob <= 0 && token.top_logprobs.length === 2));
  const streamed = chunks.flatMap((chunk) => chunk.choices).flatMap((each) => each.logprobs?.content ?? []);
  assert.deepEqual(streamed, choice.logprobs.content);
}

// Reasoning comes back beside the text and is counted, whole and streamed.
export async function checkReasoning(site) {
  const whole = await site.chat({ reasoning_effort: 'high' });
  const chunks = await all(await site.chat({ reasoning_effort: 'high', stream: true }));

  const { reasoning_content: thoughts, content } = whole.choices[0].message;
  assert.match(thoughts, /I am simulated/);
  assert.doesNotMatch(content, /I am simulated/);
  assert(whole.usage.completion_tokens_details.reasoning_tokens > 0);
  const streamed = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.reasoning_content ?? '');
  assert.equal(streamed.join(''), thoughts);
}

// Roles, names, images, sounds, files and text beyond the basic plane reach the model.
export async function checkParts(site) {
  const content = [
    { type: 'text', text: 'águas 模型 🏞️' },
    { type: 'image_url', image_url: { url: PIXEL } },
    { type: 'input_audio', input_audio: { data: 'UklGRiQAAAA=', format: 'wav' } },
    { type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0xLjQK', filename: 'a.pdf' } },
  ];
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'developer', content: 'In English.' },
    { role: 'user', name: 'ana', content },
  ];
  const said = (await site.chat({ messages })).choices[0].message.content;

  assert.match(said, /águas 模型 🏞️/);
  assert.match(said, /You sent 1 image, 1 sound and 1 file\./);
}

// A stream that is aborted is cancelled at the upstream, and the next call is answered.
export async function checkAborting(site) {
  const { data: stream, response } = await site
    .chat({ stream: true }, simulate({ endless: 1, pace: 0.01 }))
    .withResponse();
  for await (const chunk of stream) {
    assert(chunk.id);
    break;
  }
  const id = response.headers.get('x-request-id');
  if (site.upstream_url) {
    await waitUntil(async () => (await site.seen()).cut.some((cut) => cut.request_id === id), 'the upstream to see it');
  }
  assert((await site.chat()).choices.length);
}

// The raw response has the bytes as they are: event frames that end with [DONE].
export async function checkRawResponse(site) {
  const response = await site.chat({ stream: true }).asResponse();
  const body = await response.text();

  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  assert(body.endsWith('data: [DONE]\n\n'));
}
