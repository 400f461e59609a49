// A model's life through Ollama's Node SDK: `node lives.mjs URL`. What came of each step is printed as one JSON object.
import { Ollama } from 'ollama';

const NAME = 'tiny:latest-q8_0';
const client = new Ollama({ host: process.argv[2], headers: { authorization: `Bearer ${process.env.OLLAMA_API_KEY}` } });
const steps = { pulled: [] };
for await (const part of await client.pull({ model: NAME, stream: true })) steps.pulled.push(part);
const messages = [{ role: 'user', content: 'hi' }];
steps.said = (await client.chat({ model: NAME, messages, options: { num_predict: 5 } })).message.content;
steps.copied = (await client.copy({ source: NAME, destination: 'twin' })).status;
steps.deleted = [];
for (const model of ['twin', NAME]) steps.deleted.push((await client.delete({ model })).status);
try {
  await client.delete({ model: NAME });
} catch (error) {
  steps.nobody = [error.status_code, error.message];
}
console.log(JSON.stringify(steps));
