// What goes wrong: the SDK's class for each fault, its retries, broken streams, time.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import OpenAI from 'openai';
import { all, raised, simulate, waitUntil } from './site.mjs';

// A value out of range or of a wrong type is BadRequest and names the field, with the id of the request.
export async function checkBadRequest(site) {
  const error = await raised(OpenAI.BadRequestError, () => site.chat({ temperature: 9 }));
  assert.deepEqual([error.status, error.param, error.type], [400, 'temperature', 'invalid_request_error']);
  assert.match(error.requestID, /^[\w-]+$/);
  for (const [param, options] of [
    ['messages', { messages: [] }],
    ['n', { n: 0 }],
    ['max_tokens', { max_tokens: 'many' }],
  ]) {
    assert.equal((await raised(OpenAI.BadRequestError, () => site.chat(options))).param, param);
  }
  const embed = () => site.client.embeddings.create({ model: site.model, input: [] });
  assert.equal((await raised(OpenAI.BadRequestError, embed)).param, 'input');
}

// A wrong key is Authentication, and the SDK does not try again.
export async function checkAuthentication(site) {
  const [client, asked] = site.counting({ apiKey: 'wrong' });
  for (const act of [() => site.chat({}, {}, client), () => site.chat({ stream: true }, {}, client), () => client.models.list()]) {
    const error = await raised(OpenAI.AuthenticationError, act);
    assert.deepEqual([error.status, error.code], [401, 'invalid_api_key']);
  }
  assert.equal(asked.length, 3);
}

// A page of another site may not use a gateway without keys: PermissionDenied.
export async function checkPermissionDenied(site) {
  const client = site.client.withOptions({ baseURL: `${site.open_url}/v1` });
  const headers = { Origin: 'https://elsewhere.example' };
  const error = await raised(OpenAI.PermissionDeniedError, () => site.chat({}, { headers }, client));
  assert.match(error.message, /\[cors\]/);
}

// What the upstream refuses keeps its status and code; our own key's trouble is 502; none is asked twice.
export async function checkUpstreamRefusals(site) {
  for (const [status, kind, seen] of [
    [400, OpenAI.BadRequestError, 400],
    [404, OpenAI.NotFoundError, 404],
    [409, OpenAI.ConflictError, 409],
    [422, OpenAI.UnprocessableEntityError, 422],
    [401, OpenAI.InternalServerError, 502],
    [403, OpenAI.InternalServerError, 502],
  ]) {
    const [client, asked] = site.counting();
    const error = await raised(kind, () => site.chat({}, simulate({ status, code: 'odd_thing' }), client));
    assert.equal(error.status, seen);
    if (seen < 500) assert.equal(error.code, 'odd_thing');
    assert.equal(asked.length, 1);
  }
}

// An upstream's limit is RateLimit with its retry-after; a failing upstream is InternalServer; the SDK asks once.
export async function checkExhaustedPlan(site) {
  const [limited, askedLimited] = site.counting();
  const error = await raised(OpenAI.RateLimitError, () =>
    site.chat({}, simulate({ status: 429, 'retry-after': 7 }), limited),
  );
  assert.equal(error.headers.get('retry-after'), '7');
  assert.equal(error.headers.get('x-should-retry'), 'false');
  assert.equal(error.code, 'rate_limit_exceeded');
  assert.equal(askedLimited.length, 1);
  for (const [status, attempts] of [[500, 2], [503, 2], [504, 1]]) {
    const [client, asked] = site.counting();
    const failed = await raised(OpenAI.InternalServerError, () => site.chat({}, simulate({ status }), client));
    assert.equal(failed.type, 'server_error');
    assert.equal(asked.length, 1);
    if (site.upstream_url) {
      const ids = (await site.seen()).request_ids;
      assert.equal(ids.filter((id) => id === failed.requestID).length, attempts);
    }
  }
}

// A short retry-after of the upstream is waited out by the gateway: the SDK sees one answer.
export async function checkWaitedOut(site) {
  const [client, asked] = site.counting();
  const began = performance.now();
  const mischief = simulate({ status: 429, 'retry-after': 0.3, times: 1, id: randomUUID() });
  assert.equal((await site.chat({}, mischief, client)).choices[0].finish_reason, 'stop');
  assert(performance.now() - began >= 290);
  assert.equal(asked.length, 1);
}

// A gateway that is full says so with retry-after, and the SDK comes back after that and is answered.
export async function checkSdkWaits(site) {
  const open = { baseURL: `${site.open_url}/v1` };
  const busy = site.client.withOptions(open);
  const endless = await site.chat({ stream: true }, simulate({ endless: 1, pace: 0.01 }), busy);
  await endless[Symbol.asyncIterator]().next();
  const error = await raised(OpenAI.InternalServerError, () => site.chat({}, {}, busy));
  assert.deepEqual([error.status, error.code, error.headers.get('retry-after')], [503, 'no_capacity', '1']);
  const [client, asked] = site.counting(open, () => endless.controller.abort());
  const began = performance.now();
  assert.equal((await site.chat({}, {}, client)).choices[0].finish_reason, 'stop');
  assert(performance.now() - began >= 990);
  assert.equal(asked.length, 2);
}

// An error in the middle of a stream is raised as APIError, after what had come.
export async function checkErrorInStream(site) {
  const came = [];
  const error = await raised(OpenAI.APIError, async () => {
    for await (const chunk of await site.chat({ stream: true }, simulate({ error: 5, code: 'overloaded' }))) {
      came.push(chunk);
    }
  });
  assert(came.length);
  assert.deepEqual([error.code, error.type], ['overloaded', 'server_error']);
}

// An error before the first word of a stream has a status of its own.
export async function checkErrorBeforeStream(site) {
  for (const mischief of [{ status: 500 }, { error: 0 }, { cut: 0 }]) {
    const error = await raised(OpenAI.InternalServerError, () => site.chat({ stream: true }, simulate(mischief)));
    assert(error.status >= 500);
  }
}

// A stream or an answer that the upstream cuts raises; it never looks finished.
export async function checkCut(site) {
  const chunks = [];
  const chat = async () => {
    for await (const chunk of await site.chat({ stream: true }, simulate({ cut: 5 }))) chunks.push(chunk);
  };
  const complete = async () =>
    all(await site.client.completions.create({ model: site.model, prompt: 'x', stream: true }, simulate({ cut: 5 })));
  for (const act of [chat, complete]) assert.equal((await raised(OpenAI.APIError, act)).code, 'upstream_cut');
  assert(chunks.length);
  assert(chunks.flatMap((chunk) => chunk.choices).every((choice) => !choice.finish_reason));
  const helper = () =>
    site.client.chat.completions
      .stream({ model: site.model, messages: [{ role: 'user', content: 'Hi' }] }, simulate({ cut: 5 }))
      .finalChatCompletion();
  assert.equal((await raised(OpenAI.APIError, helper)).code, 'upstream_cut');
  const whole = await raised(OpenAI.InternalServerError, () => site.chat({}, simulate({ cut: 0 })));
  assert.equal(whole.code, 'upstream_cut');
}

// A body beyond the limit is 413 with words, not a broken connection.
export async function checkTooLarge(site) {
  const messages = [{ role: 'user', content: 'x'.repeat(5_000_000) }];
  const error = await raised(OpenAI.APIError, () => site.chat({ messages }));
  assert.deepEqual([error.status, error.type], [413, 'invalid_request_error']);
}

// The SDK's own timeout is raised as such.
export async function checkTimeout(site) {
  const late = { timeout: 300, ...simulate({ delay: 30 }) };
  await raised(OpenAI.APIConnectionTimeoutError, () => site.chat({}, late));
}

// A caller's abort ends the call, before any byte of its answer, and the upstream hears of it.
export async function checkAbort(site) {
  const id = randomUUID();
  const controller = new AbortController();
  const left = { signal: controller.signal, headers: { ...simulate({ delay: 30 }).headers, 'x-request-id': id } };
  const call = raised(OpenAI.APIUserAbortError, () => site.chat({}, left));
  if (site.upstream_url) {
    await waitUntil(async () => (await site.seen()).request_ids.includes(id), 'the call to reach the upstream');
  }
  controller.abort();
  await call;
  if (site.upstream_url) {
    await waitUntil(async () => (await site.seen()).cut.some((cut) => cut.request_id === id), 'it to be cut');
  }
  assert((await site.chat()).choices.length);
}

// A key may call its own models only, and is RateLimit with the seconds to wait once it is used up.
export async function checkKeys(site) {
  const fenced = site.client.withOptions({ apiKey: site.fenced_key });
  const error = await raised(OpenAI.PermissionDeniedError, () => site.chat({}, {}, fenced));
  assert.deepEqual([error.status, error.param], [403, 'model']);
  assert.deepEqual((await all(fenced.models.list())).map((model) => model.id), [site.odd_model]);

  const slow = site.client.withOptions({ apiKey: site.slow_key });
  const limited = await raised(OpenAI.RateLimitError, async () => {
    for (let call = 0; call < 4; call += 1) await site.chat({}, {}, slow);
  });
  assert.equal(limited.code, 'rate_limit_exceeded');
  assert(Number(limited.headers.get('retry-after')) <= 60);
  assert.equal(limited.headers.get('x-should-retry'), null);
}
