// Tools and structured output.
import assert from 'node:assert/strict';
import { makeParseableResponseFormat } from 'openai/lib/parser';
import { LengthFinishReasonError } from 'openai/core/error';
import { all, raised } from './site.mjs';

const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const WEATHER = { type: 'function', function: { name: 'get_weather', strict: true, parameters } };
const TIME = { type: 'function', function: { name: 'get_time', parameters } };
const PARIS = [{ role: 'user', content: 'What is the weather in Paris?' }];
const BOTH = [{ role: 'user', content: 'What is the weather in Paris and Tokyo?' }];
const schema = {
  type: 'object',
  properties: { title: { type: 'string' }, guests: { type: 'integer' } },
  required: ['title', 'guests'],
  additionalProperties: false,
};
const FORM = { type: 'json_schema', json_schema: { name: 'meeting', strict: true, schema } };
const MEETING = [{ role: 'user', content: 'The meeting "Deltas" has 12 guests.' }];

// Two cities are two calls; both results are told in the next turn; not in parallel, it is one call.
export async function checkCalls(site) {
  const [{ message, finish_reason }] = (await site.chat({ messages: BOTH, tools: [WEATHER] })).choices;
  assert.equal(finish_reason, 'tool_calls');
  const cities = message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  assert.deepEqual(cities, ['Paris', 'Tokyo']);
  const results = message.tool_calls.map((call, place) => ({
    role: 'tool',
    tool_call_id: call.id,
    content: `${place + 18} degrees`,
  }));
  const then = await site.chat({ messages: [...BOTH, message, ...results], tools: [WEATHER] });
  assert.match(then.choices[0].message.content, /18 degrees.*19 degrees/s);
  const alone = await site.chat({ messages: BOTH, tools: [WEATHER], parallel_tool_calls: false });
  assert.equal(alone.choices[0].message.tool_calls.length, 1);
}

// Each form of tool_choice gives the call that it asks for.
export async function checkToolChoices(site) {
  const named = { type: 'function', function: { name: 'get_time' } };
  const forms = [
    ['none', undefined],
    ['auto', 'get_weather'],
    ['required', 'get_weather'],
    [named, 'get_time'],
    [{ type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named] } }, 'get_time'],
  ];
  for (const [tool_choice, expected] of forms) {
    const got = await site.chat({ messages: PARIS, tools: [WEATHER, TIME], tool_choice });
    assert.equal(got.choices[0].message.tool_calls?.[0].function.name, expected);
  }
}

// Streamed calls, joined by index, are the whole answer's calls.
export async function checkStreamedCalls(site) {
  const whole = (await site.chat({ messages: BOTH, tools: [WEATHER] })).choices[0].message.tool_calls;
  const chunks = await all(await site.chat({ messages: BOTH, tools: [WEATHER], stream: true }));
  const joined = [];
  for (const delta of chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.delta.tool_calls ?? [])) {
    joined[delta.index] ??= { id: delta.id, type: delta.type, function: { name: delta.function.name, arguments: '' } };
    joined[delta.index].function.arguments += delta.function.arguments ?? '';
  }
  const plain = ({ id, type, function: called }) => ({ id, type, function: called });
  assert.deepEqual(joined, whole.map(plain));
}

// runTools calls the functions, gives their results back and ends with the model's words, whole and streamed.
export async function checkRunTools(site) {
  for (const stream of [false, true]) {
    const asked = [];
    const run = site.client.chat.completions.runTools({
      model: site.model,
      messages: BOTH,
      stream,
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            parameters,
            parse: JSON.parse,
            function: ({ city }) => {
              asked.push(city);
              return `sunny in ${city}`;
            },
          },
        },
      ],
    });
    assert.match(await run.finalContent(), /sunny in Paris.*sunny in Tokyo/s);
    assert.deepEqual(asked, ['Paris', 'Tokyo']);
  }
}

// json_object gives an object, a strict schema is satisfied.
export async function checkForms(site) {
  const plain = await site.chat({ messages: MEETING, response_format: { type: 'json_object' } });
  assert.equal(typeof JSON.parse(plain.choices[0].message.content), 'object');
  const formed = await site.chat({ messages: MEETING, response_format: FORM });
  assert.deepEqual(JSON.parse(formed.choices[0].message.content), { title: 'Deltas', guests: 12 });
}

// .parse() and the streaming helper give the parsed form; one that is cut short raises.
export async function checkParse(site) {
  const response_format = makeParseableResponseFormat(FORM, JSON.parse);
  const asked = { model: site.model, messages: MEETING, response_format };
  const parsed = await site.client.chat.completions.parse(asked);
  const streamed = await site.client.chat.completions.stream(asked).finalChatCompletion();

  assert.deepEqual(parsed.choices[0].message.parsed, { title: 'Deltas', guests: 12 });
  assert.deepEqual(streamed.choices[0].message.parsed, parsed.choices[0].message.parsed);
  await raised(LengthFinishReasonError, () => site.client.chat.completions.parse({ ...asked, max_tokens: 2 }));
}
