// The Anthropic SDK, through Gatehouse.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { anthropicURL, badToken, checkHeaders, checkOwn, echo, maxRetries, noProvider, token } from './gatehouse.mjs';

const anthropic = new Anthropic({ apiKey: token, baseURL: anthropicURL, maxRetries });
const model = 'mock-claude';
const system = 'be brief';
const messages = [{ role: 'user', content: 'hello, gatehouse' }];
const request = { model, system, messages, max_tokens: 100 };
const usage = { input: 4, output: 10 };

test('message', async () => {
  const { data, response } = await anthropic.messages.create(request).withResponse();
  checkHeaders(response.headers, 'request-id');
  assert.equal(response.headers.get('anthropic-ratelimit-requests-limit'), '4000', 'rate-limit headers pass');
  assert.equal(data.content[0].text, echo('hello, gatehouse'));
  assert.equal(data.stop_reason, 'end_turn');
  assert.equal(data.usage.input_tokens, usage.input);
  assert.equal(data.usage.output_tokens, usage.output);
});

test('message, streamed', async () => {
  const stream = anthropic.messages.stream(request);
  const pieces = [];
  stream.on('text', (piece) => pieces.push(piece));
  const message = await stream.finalMessage();
  assert.equal(pieces.join(''), echo('hello, gatehouse'));
  assert.equal(pieces.length, usage.output);
  assert.equal(message.content[0].text, pieces.join(''));
  assert.equal(message.usage.output_tokens, usage.output);
  assert.match(stream.request_id ?? '', /^req_/);
});

test('events of a stream', async () => {
  const { data: stream, response } = await anthropic.messages.create({ ...request, stream: true }).withResponse();
  checkHeaders(response.headers, 'request-id');
  const types = [];
  for await (const event of stream) if (types.at(-1) !== event.type) types.push(event.type);
  assert.deepEqual(types, [
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ]);
});

test('count_tokens', async () => {
  const count = await anthropic.messages.countTokens({ model, system, messages });
  assert.equal(count.input_tokens, usage.input);
});

test('models', async () => {
  const ids = [];
  for await (const { id } of anthropic.models.list({ limit: 20 })) ids.push(id);
  assert.ok(ids.includes(model), `${ids}`);
  assert.equal((await anthropic.models.retrieve(model)).id, model);
  await assert.rejects(anthropic.models.retrieve('no-such-model'), Anthropic.NotFoundError);
});

// The SDK sends its key as a bearer token; Claude Code and older SDKs send
// x-api-key, and some tools send both.
for (const [name, headers] of Object.entries({
  'x-api-key': { 'x-api-key': token },
  'a bearer token': { authorization: `Bearer ${token}` },
  both: { 'x-api-key': token, authorization: `Bearer ${token}` },
})) {
  test(`the token as ${name}`, async () => {
    const response = await fetch(`${anthropicURL}/v1/messages?beta=true`, {
      method: 'POST',
      headers: { ...headers, 'anthropic-version': '2023-06-01', 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    assert.equal(response.status, 200);
    checkHeaders(response.headers, 'request-id');
    assert.equal((await response.json()).content[0].text, echo('hello, gatehouse'));
  });
}

test('a bad token is an AuthenticationError', async () => {
  const stranger = new Anthropic({ apiKey: badToken, baseURL: anthropicURL, maxRetries });
  await assert.rejects(stranger.messages.create(request), (error) => {
    assert.ok(error instanceof Anthropic.AuthenticationError, error.name);
    assert.equal(error.status, 401);
    assert.equal(error.type, 'authentication_error');
    checkOwn(error);
    return true;
  });
});

test('an unknown provider is a NotFoundError', async () => {
  const lost = new Anthropic({ apiKey: token, baseURL: noProvider, maxRetries });
  await assert.rejects(lost.messages.create(request), (error) => {
    assert.ok(error instanceof Anthropic.NotFoundError, error.name);
    assert.equal(error.type, 'not_found_error');
    checkOwn(error);
    return true;
  });
});

test("a provider's own 400 passes as it is", async () => {
  await assert.rejects(anthropic.messages.create({ ...request, messages: [] }), (error) => {
    assert.ok(error instanceof Anthropic.BadRequestError, error.name);
    assert.equal(error.type, 'invalid_request_error');
    assert.match(error.message, /at least one message/);
    checkHeaders(error.headers, 'request-id');
    return true;
  });
});
