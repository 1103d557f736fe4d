// Google's Gen AI SDK, through Gatehouse.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError, GoogleGenAI } from '@google/genai';

import { badToken, echo, geminiURL, noProvider, token } from './gatehouse.mjs';

const gemini = (apiKey, baseUrl) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl } });
const ai = gemini(token, geminiURL);
const model = 'mock-gemini';
const contents = 'hello, gatehouse';
const config = { systemInstruction: 'be brief' };
const usage = { input: 4, output: 10 };

// post sends what the SDK has no call for.
const post = (operation, body) => fetch(`${geminiURL}/v1beta/models/${model}${operation}`, {
  method: 'POST',
  headers: { 'x-goog-api-key': token, 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

// checkHeaders holds for every answer that comes from the provider.
function checkHeaders(headers) {
  assert.match(headers['x-gatehouse-request-id'] ?? '', /^[0-9a-f-]{36}$/);
  for (const name of ['set-cookie', 'server', 'server-timing']) assert.equal(headers[name], undefined, `${name} does not come back`);
}

test('content', async () => {
  const response = await ai.models.generateContent({ model, contents, config });
  checkHeaders(response.sdkHttpResponse.headers);
  assert.equal(response.text, echo(contents));
  assert.equal(response.modelVersion, model);
  assert.equal(response.usageMetadata.promptTokenCount, usage.input);
  assert.equal(response.usageMetadata.candidatesTokenCount, usage.output);
});

test('content, streamed', async () => {
  const pieces = [];
  let last;
  for await (const chunk of await ai.models.generateContentStream({ model, contents, config })) {
    pieces.push(chunk.text ?? '');
    last = chunk;
  }
  assert.equal(pieces.join(''), echo(contents));
  assert.equal(pieces.length, usage.output + 1, 'each word comes by itself, and then the end');
  assert.equal(last.usageMetadata.candidatesTokenCount, usage.output);
});

test('a stream that is one list', async () => {
  const response = await post(':streamGenerateContent', { contents: [{ role: 'user', parts: [{ text: contents }] }] });
  assert.equal(response.status, 200);
  const chunks = await response.json();
  assert.equal(chunks.map((c) => c.candidates[0].content.parts[0].text).join(''), echo(contents));
});

test('a chat', async () => {
  const chat = ai.chats.create({ model });
  assert.equal((await chat.sendMessage({ message: 'first' })).text, echo('first'));
  assert.equal((await chat.sendMessage({ message: 'second' })).text, echo('second'));
});

test('tokens', async () => {
  assert.equal((await ai.models.countTokens({ model, contents })).totalTokens, 2);
});

test('embeddings', async () => {
  const response = await ai.models.embedContent({ model: 'mock-embedding', contents: ['a b', 'c'], config: { outputDimensionality: 3 } });
  assert.deepEqual(response.embeddings.map((e) => e.values.length), [3, 3]);
});

test('models', async () => {
  const names = [];
  for await (const { name } of await ai.models.list()) names.push(name);
  assert.deepEqual(names, [`models/${model}`]);
  assert.equal((await ai.models.get({ model })).name, `models/${model}`);
  await assert.rejects(ai.models.get({ model: 'no-such-model' }), (error) => error instanceof ApiError && error.status === 404);
});

for (const [name, client, status, state] of [
  ['a bad token is UNAUTHENTICATED', gemini(badToken, geminiURL), 401, 'UNAUTHENTICATED'],
  ['an unknown provider is NOT_FOUND', gemini(token, noProvider), 404, 'NOT_FOUND'],
]) {
  test(name, async () => {
    for (const ask of [(r) => client.models.generateContent(r), (r) => client.models.generateContentStream(r)]) {
      await assert.rejects(ask({ model, contents }), (error) => {
        assert.ok(error instanceof ApiError, error.name);
        assert.equal(error.status, status);
        assert.match(error.message, new RegExp(state));
        assert.ok(!error.message.includes(badToken), 'no error carries what was sent');
        return true;
      });
    }
  });
}

test("a provider's own 400 passes as it is", async () => {
  const response = await post(':generateContent', { contents: [] }); // the SDK would not send that
  assert.equal(response.status, 400);
  assert.equal((await response.json()).error.message, '* GenerateContentRequest.contents: contents is not specified\n');
});

test('a token in the URL is refused', async () => {
  const response = await fetch(`${geminiURL}/v1beta/models?key=${token}`, { headers: { 'x-goog-api-key': token } });
  assert.equal(response.status, 400);
  assert.equal((await response.json()).error.status, 'INVALID_ARGUMENT');
});
