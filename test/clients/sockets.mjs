// OpenAI's SDK over WebSocket, and a WebSocket as browsers open it, through
// Gatehouse.
//
//   node sockets.mjs
//
// It asks for two responses on one connection, and for one of Realtime, and prints
// what was said and what was used as one JSON object. The SDK takes Realtime over TLS
// alone, so that one is by the ws package, with the token where the SDK puts it in
// runtimes that cannot set headers.
import { once } from 'node:events';

import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';
import WebSocket from 'ws';

import { maxRetries, openaiURL, token } from './gatehouse.mjs';

const said = [];
const used = { input: 0, output: 0 };

function take({ output_text, usage }) {
  said.push(output_text);
  used.input += usage.input_tokens;
  used.output += usage.output_tokens;
}

const client = new OpenAI({ apiKey: token, baseURL: openaiURL, maxRetries });
const responses = new ResponsesWS(client);
const failed = new Promise((_, reject) => responses.on('error', reject));
for (const input of ['first', 'second']) {
  const completed = new Promise((resolve) => responses.on('response.completed', resolve));
  responses.send({ type: 'response.create', model: 'mock-gpt', input });
  take((await Promise.race([completed, failed])).response);
}
responses.close();

const realtime = new WebSocket(`${openaiURL.replace('http', 'ws')}/realtime?model=mock-realtime`, ['realtime', `openai-insecure-api-key.${token}`]);
const done = new Promise((resolve) => {
  realtime.on('message', (message) => {
    const event = JSON.parse(message);
    if (event.type === 'response.done') resolve(event.response);
  });
});
await once(realtime, 'open');
if (realtime.protocol !== 'realtime') throw new Error(`the subprotocol is ${realtime.protocol}`);
realtime.send(JSON.stringify({ type: 'response.create', response: { instructions: 'third' } }));
take(await done);
realtime.close();
await once(realtime, 'close');
console.log(JSON.stringify({ said, used }));
