// The openai SDK, through Gatehouse.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import OpenAI from 'openai';

import { badToken, checkHeaders, checkOwn, echo, maxRetries, noOpenAIProvider, openaiURL, token } from './gatehouse.mjs';

const openai = new OpenAI({ apiKey: token, baseURL: openaiURL, maxRetries });
const model = 'mock-gpt';
const messages = [
  { role: 'system', content: 'be brief' },
  { role: 'user', content: 'hello, gatehouse' },
];
const usage = { prompt: 4, completion: 10, total: 14 };

test('chat completion', async () => {
  const { data, response } = await openai.chat.completions.create({ model, messages }).withResponse();
  checkHeaders(response.headers, 'x-request-id');
  assert.equal(response.headers.get('x-ratelimit-limit-requests'), '10000', 'rate-limit headers pass');
  assert.equal(data.choices[0].message.content, echo('hello, gatehouse'));
  assert.equal(data.usage.prompt_tokens, usage.prompt);
  assert.equal(data.usage.completion_tokens, usage.completion);
});

test('chat completion, streamed', async () => {
  const { data: stream, response } = await openai.chat.completions
    .create({ model, messages, stream: true, stream_options: { include_usage: true } })
    .withResponse();
  checkHeaders(response.headers, 'x-request-id');
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  let text = '';
  let words = 0;
  let counted;
  let finish;
  for await (const chunk of stream) {
    const piece = chunk.choices[0]?.delta.content;
    if (piece) {
      text += piece;
      words++;
    }
    finish = chunk.choices[0]?.finish_reason ?? finish;
    counted = chunk.usage ?? counted;
  }
  assert.equal(text, echo('hello, gatehouse'));
  assert.equal(words, usage.completion);
  assert.equal(finish, 'stop');
  assert.equal(counted.total_tokens, usage.total);
});

test('response', async () => {
  const { data, response } = await openai.responses.create({ model, input: 'hello, gatehouse' }).withResponse();
  checkHeaders(response.headers, 'x-request-id');
  assert.equal(data.status, 'completed');
  assert.equal(data.output_text, echo('hello, gatehouse'));
});

test('response, streamed', async () => {
  const stream = openai.responses.stream({ model, input: [{ role: 'user', content: 'hello, gatehouse' }] });
  let text = '';
  let next = 0;
  for await (const event of stream) {
    assert.equal(event.sequence_number, next++, 'no event is missing');
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(text, echo('hello, gatehouse'));
  assert.equal(final.output_text, text);
  assert.equal(final.usage.output_tokens, usage.completion);
});

test('embeddings', async () => {
  const { data, response } = await openai.embeddings
    .create({ model: 'mock-embedding', input: ['one', 'two'], dimensions: 8 })
    .withResponse();
  checkHeaders(response.headers, 'x-request-id');
  assert.equal(data.data.length, 2);
  for (const { embedding } of data.data) {
    assert.equal(embedding.length, 8);
    const square = embedding.reduce((sum, v) => sum + v * v, 0);
    assert.ok(Math.abs(square - 1) < 1e-3, `the vector's length is 1, not ${Math.sqrt(square)}`);
  }
});

test('models', async () => {
  const ids = [];
  for await (const { id } of openai.models.list()) ids.push(id);
  assert.ok(ids.includes(model), `${ids}`);
  assert.equal((await openai.models.retrieve(model)).id, model);
  await assert.rejects(openai.models.retrieve('no-such-model'), OpenAI.NotFoundError);
});

test('a bad token is an AuthenticationError', async () => {
  const stranger = new OpenAI({ apiKey: badToken, baseURL: openaiURL, maxRetries });
  await assert.rejects(stranger.chat.completions.create({ model, messages }), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError, error.name);
    assert.equal(error.status, 401);
    checkOwn(error);
    return true;
  });
});

test('a bad token learns nothing about providers', async () => {
  const stranger = new OpenAI({ apiKey: badToken, baseURL: noOpenAIProvider, maxRetries });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test('an unknown provider is a NotFoundError', async () => {
  const lost = new OpenAI({ apiKey: token, baseURL: noOpenAIProvider, maxRetries });
  await assert.rejects(lost.chat.completions.create({ model, messages }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError, error.name);
    assert.equal(typeof error.error.message, 'string');
    checkOwn(error);
    return true;
  });
});

test("a provider's own 400 passes as it is", async () => {
  await assert.rejects(openai.chat.completions.create({ model, messages: [] }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, error.name);
    assert.equal(error.code, 'empty_array');
    assert.equal(error.param, 'messages');
    assert.equal(error.type, 'invalid_request_error');
    checkHeaders(error.headers, 'x-request-id');
    return true;
  });
});
