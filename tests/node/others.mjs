// Embeddings, legacy completions, and the list of models.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { all, raised } from './site.mjs';

// The default (base64 on the wire) and float give the same numbers; lists, tokens and dimensions are obeyed.
export async function checkEmbeddings(site) {
  const embed = async (input, options = {}) => {
    const got = await site.client.embeddings.create({ model: site.model, input, ...options });
    assert.equal(got.model, site.model);
    return got.data.map((row) => row.embedding);
  };
  const [river] = await embed('river');
  const [floats] = await embed('river', { encoding_format: 'float' });

  assert.equal(river.length, 384);
  assert(river.every((value, place) => Math.abs(value - floats[place]) < 1e-6));
  assert.deepEqual((await embed(['mouth', 'river']))[1], river);
  assert.equal((await embed([1, 2, 3])).length, 1);
  assert.equal((await embed([[1, 2], [3]])).length, 2);
  assert.equal((await embed('river', { dimensions: 64 }))[0].length, 64);
  assert.equal(typeof (await embed('river', { encoding_format: 'base64' }))[0], 'string');
}

// Prompts as text, list and tokens; echo, logprobs, n, suffix and stop.
export async function checkCompletions(site) {
  const complete = async (prompt, options = {}) => {
    const got = await site.client.completions.create({ model: site.model, prompt, max_tokens: 40, ...options });
    assert.equal(got.model, site.model);
    assert.equal(got.object, 'text_completion');
    return got.choices;
  };
  assert.match((await complete('The river'))[0].text, /after "The river"/);
  const four = await complete(['one', 'two'], { n: 2 });
  assert.deepEqual(four.map((choice) => choice.index).sort(), [0, 1, 2, 3]);
  assert.match((await complete([1, 2, 3]))[0].text, /1 2 3/);
  assert.match((await complete('The river', { suffix: ' the sea' }))[0].text, /leads to "the sea"/);
  assert.equal((await complete('x', { stop: 'simulated' }))[0].text, " This is Foz's ");
  const [echoed] = await complete('The river', { echo: true, logprobs: 2 });
  assert(echoed.text.startsWith('The river This is'));
  assert.equal(echoed.logprobs.tokens.join(''), echoed.text);
  assert.equal(echoed.logprobs.token_logprobs[0], null);
}

// Streamed completions join to the whole ones, usage comes last.
export async function checkCompletionStream(site) {
  const asked = { model: site.model, prompt: ['one', 'two'], max_tokens: 30 };
  const whole = await site.client.completions.create(asked);
  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = await all(await site.client.completions.create({ ...asked, ...options }));

  for (const { index, text } of whole.choices) {
    const pieces = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
    assert.equal(pieces.map((piece) => piece.text).join(''), text);
  }
  assert.equal(chunks.at(-1).usage.total_tokens, whole.usage.total_tokens);
}

// The list has the public names, and each can be retrieved, slashes and colons and all.
export async function checkModels(site) {
  const names = (await all(site.client.models.list())).map((model) => model.id);
  for (const name of [site.model, site.odd_model]) {
    assert(names.includes(name));
    assert.equal((await site.client.models.retrieve(name)).id, name);
  }
}

// A name that nobody has is NotFound and tells the closest; in test mode every name is answered.
export async function checkUnknownModel(site) {
  const act = () => site.chat({ model: `${site.model}s` });
  if (site.setup === 'simulated') {
    assert.equal((await act()).model, `${site.model}s`);
    return;
  }
  const error = await raised(OpenAI.NotFoundError, act);
  assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
  assert(error.message.includes(`Did you mean ${site.model}`));
  await raised(OpenAI.NotFoundError, () => site.client.models.retrieve(`${site.model}s`));
}
