// The Node SDK's surface. Each check is told of one set-up of the gateway; its comment says its fact.
import assert from 'node:assert/strict';

const HELLO = [{ role: 'user', content: 'Where do rivers end?' }];
const PIXEL = Buffer.from('89504e470d0a1a0a0000000d', 'hex');
const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

const text = (parts) => parts.map((part) => part.message.content).join('');

async function refused(asked) {
  try {
    const answer = await asked();
    if (answer?.[Symbol.asyncIterator]) await all(answer);
  } catch (error) {
    return [error.status_code, error.message];
  }
  return [200, ''];
}

// A whole answer has its words, its reason, its tokens and nanoseconds.
export async function checkText(site) {
  const got = await site.client().chat({ model: site.model, messages: HELLO });
  assert.match(got.message.content, /Where do rivers end\?/);
  assert.deepEqual([got.model, got.done, got.done_reason], [site.model, true, 'stop']);
  assert.equal(got.prompt_eval_count, 4);
  assert.ok(got.eval_count > 5);
  assert.ok(Number.isInteger(got.eval_duration) && got.eval_duration > 0);
  assert.ok(!Number.isNaN(new Date(got.created_at).getTime()));
}

// A stream comes in pieces that make the whole answer; only its last one is done.
export async function checkStream(site) {
  const client = site.client();
  const whole = await client.chat({ model: site.model, messages: HELLO });
  const parts = await all(await client.chat({ model: site.model, messages: HELLO, stream: true }));
  assert.ok(parts.length > 5);
  assert.equal(text(parts), whole.message.content);
  assert.deepEqual([parts.at(-1).done, parts.filter((part) => part.done).length], [true, 1]);
  assert.equal(parts.at(-1).eval_count, whole.eval_count);
}

// Text beyond the basic plane comes back as it went, also a byte at a time.
export async function checkOtherScripts(site) {
  const said = 'água 🌊 👩\u200d👧 海';
  const asked = { model: site.model, messages: [{ role: 'user', content: said }], stream: true };
  const mischief = site.setup === 'simulated' ? {} : { fragment: 1 }; // within the gateway there are no bytes to cut
  assert.ok(text(await all(await site.client(mischief).chat(asked))).includes(said));
}

// Calls come whole and apart, streamed and not; their results, which name their tool, are heard and answered.
export async function checkTools(site) {
  const client = site.client();
  const messages = [{ role: 'user', content: 'How is the weather in Lisbon and Porto?' }];
  const first = await client.chat({ model: site.model, messages, tools: [WEATHER] });
  const parts = await all(await client.chat({ model: site.model, messages, tools: [WEATHER], stream: true }));
  const streamed = parts.flatMap((part) => part.message.tool_calls ?? []);
  const cities = [{ city: 'Lisbon' }, { city: 'Porto' }];
  assert.deepEqual(first.message.tool_calls.map((call) => call.function.arguments), cities);
  assert.deepEqual(streamed.map((call) => call.function.arguments), cities);
  messages.push(first.message);
  for (const call of first.message.tool_calls)
    messages.push({ role: 'tool', tool_name: call.function.name, content: `18 in ${call.function.arguments.city}` });
  const last = await client.chat({ model: site.model, messages, tools: [WEATHER] });
  assert.match(last.message.content, /18 in Lisbon/);
  assert.match(last.message.content, /18 in Porto/);
}

// It thinks when asked to, apart from its words, and not when asked not to.
export async function checkThinking(site) {
  const client = site.client();
  const on = await client.chat({ model: site.model, messages: HELLO, think: true });
  const off = await client.chat({ model: site.model, messages: HELLO, think: false });
  const parts = await all(await client.chat({ model: site.model, messages: HELLO, think: 'high', stream: true }));
  assert.ok(on.message.thinking);
  assert.ok(!off.message.thinking);
  assert.ok(parts.some((part) => part.message.thinking));
  assert.equal(text(parts), on.message.content);
}

// Pictures, JSON of a schema, options and `keep_alive` are understood.
export async function checkForms(site) {
  const client = site.client();
  const shown = { role: 'user', content: 'What is this?', images: [PIXEL] };
  const format = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] };
  const asked = { model: site.model, messages: [{ role: 'user', content: 'Ada is 36' }], format, keep_alive: '5m' };
  assert.match((await client.chat({ model: site.model, messages: [shown] })).message.content, /1 image/);
  assert.equal(JSON.parse((await client.chat(asked)).message.content).age, 36);
  const short = await client.chat({ model: site.model, messages: HELLO, options: { num_predict: 3, seed: 1 } });
  assert.deepEqual([short.done_reason, short.eval_count], ['length', 3]);
}

// A prompt is answered alike whole and in pieces; one without words only loads the model.
export async function checkGenerate(site) {
  const client = site.client();
  const asked = { model: site.model, prompt: 'Where do rivers end?' };
  const whole = await client.generate(asked);
  const parts = await all(await client.generate({ ...asked, stream: true }));
  assert.equal(parts.map((part) => part.response).join(''), whole.response);
  assert.equal((await client.generate({ model: site.model, prompt: '' })).done_reason, 'load');
}

// Vectors come in either form, in the dimensions that were asked for.
export async function checkEmbed(site) {
  const client = site.client();
  const got = await client.embed({ model: site.model, input: ['a river', 'a tax'], dimensions: 8 });
  assert.deepEqual(got.embeddings.map((vector) => vector.length), [8, 8]);
  assert.equal(got.prompt_eval_count, 4);
  if (site.setup === 'simulated' || site.setup === 'openai')
    assert.ok((await client.embeddings({ model: site.model, prompt: 'a river' })).embedding.length > 8);
}

// Models are listed, shown, and the version is told.
export async function checkModels(site) {
  const client = site.client();
  const names = (await client.list()).models.map((model) => model.name);
  assert.ok(names.includes(`${site.model}:latest`) && names.includes(site.odd_model));
  assert.ok((await client.show({ model: site.model })).capabilities.includes('completion'));
  assert.deepEqual((await client.ps()).models, []);
  assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
}

// What is refused is an error with its status, whole and streamed; what breaks off raises in its middle.
export async function checkFaults(site) {
  const client = site.client();
  const asked = { model: site.model, messages: HELLO };
  assert.equal((await refused(() => site.client({}, 'sk-nobodys').list()))[0], 401);
  assert.equal((await refused(() => client.chat({ ...asked, think: 'much' })))[0], 400);
  assert.match((await refused(() => client.push({ model: site.model })))[1], /Foz pushes no models/);
  assert.equal((await client.pull({ model: site.model })).status, 'success');
  for (const [status, told] of [[400, 400], [401, 502], [404, 404], [429, 429], [500, 502]]) {
    assert.equal((await refused(() => site.client({ status }).chat(asked)))[0], told);
    assert.equal((await refused(() => site.client({ status }).chat({ ...asked, stream: true })))[0], told);
  }
  for (const mischief of [{ error: 3 }, { cut: 3 }]) {
    const parts = [];
    await assert.rejects(async () => {
      for await (const part of await site.client(mischief).chat({ ...asked, stream: true })) parts.push(part);
    });
    assert.ok(parts.length && !parts.some((part) => part.done));
  }
}

// A stream that is aborted ends at once, with the SDK's own error.
export async function checkAbort(site) {
  const client = site.client({ endless: 1, pace: 0.01 });
  const stream = await client.chat({ model: site.model, messages: HELLO, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream) client.abort();
  }, { name: 'AbortError' });
}
