// Both SDKs at the one URL for all providers, with a model of each.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

import { anthropicModel, checkOwn, echo, maxRetries, openaiModel, sharedURL, token } from './gatehouse.mjs';

const openai = new OpenAI({ apiKey: token, baseURL: `${sharedURL}/v1`, maxRetries });
const anthropic = new Anthropic({ apiKey: token, baseURL: sharedURL, maxRetries });
const messages = [{ role: 'user', content: 'hello, gatehouse' }];

for (const model of [openaiModel, anthropicModel]) {
  test(`chat completion of ${model}`, async () => {
    const data = await openai.chat.completions.create({ model, messages });
    assert.equal(data.choices[0].message.content, echo('hello, gatehouse'));
    assert.ok(data.usage.completion_tokens > 0);
  });

  test(`chat completion of ${model}, streamed`, async () => {
    const final = await openai.chat.completions.stream({ model, messages }).finalContent();
    assert.equal(final, echo('hello, gatehouse'));
  });

  test(`response of ${model}, streamed`, async () => {
    const stream = openai.responses.stream({ model, input: messages, store: false });
    const final = await stream.finalResponse();
    assert.equal(final.output_text, echo('hello, gatehouse'));
  });

  test(`message of ${model}, streamed`, async () => {
    const stream = anthropic.messages.stream({ model, messages, max_tokens: 100 });
    const message = await stream.finalMessage();
    assert.equal(message.content[0].text, echo('hello, gatehouse'));
    assert.equal(message.stop_reason, 'end_turn');
    assert.ok(message.usage.output_tokens > 0);
  });
}

test('models that are known, in either form', async () => {
  for await (const model of openai.models.list()) assert.equal(model.object, 'model');
  for await (const model of anthropic.models.list()) assert.equal(model.type, 'model');
});

test('a model that is not there', async () => {
  const refused = async (request) => {
    const error = await request.then(() => null, (e) => e);
    assert.equal(error?.status, 404);
    checkOwn(error);
    return error;
  };
  const error = await refused(openai.chat.completions.create({ model: 'nowhere/m', messages }));
  assert.equal(error.code, 'model_not_found');
  assert.equal((await refused(anthropic.messages.create({ model: 'nothing', messages, max_tokens: 1 }))).error.error.type, 'not_found_error');
});
