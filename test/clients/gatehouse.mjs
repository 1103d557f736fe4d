// Where the Gatehouse under test is, and what is true of all its answers.
//
//   GATEHOUSE_URL       its address, http://127.0.0.1:8090 if unset
//   GATEHOUSE_TOKEN     a token that may use the gateway
//   OPENAI_PROVIDER     the name of a provider of type openai, "openai" if unset
//   ANTHROPIC_PROVIDER  the name of one of type anthropic, "anthropic" if unset
//   GEMINI_PROVIDER     the name of one of type gemini, "gemini" if unset
//
// Behind all providers is the mock upstream, as in `gatehouse demo`.
import assert from 'node:assert/strict';

const env = (name, otherwise) => process.env[name] || otherwise;

export const token = env('GATEHOUSE_TOKEN', '');
assert.notEqual(token, '', 'GATEHOUSE_TOKEN is not set');

// A token that was never given out, in the right form and not.
export const badToken = 'gate_thisIsNotATokenThatAnybodyWasEverGiven';

const url = env('GATEHOUSE_URL', 'http://127.0.0.1:8090').replace(/\/$/, '');

// The base URLs are what people paste into their clients.
export const openaiURL = `${url}/ai/${env('OPENAI_PROVIDER', 'openai')}/v1`;
export const anthropicURL = `${url}/ai/${env('ANTHROPIC_PROVIDER', 'anthropic')}`;
export const geminiURL = `${url}/ai/${env('GEMINI_PROVIDER', 'gemini')}`;
export const sharedURL = `${url}/ai`;
export const openaiModel = `${env('OPENAI_PROVIDER', 'openai')}/mock-gpt`;
export const anthropicModel = `${env('ANTHROPIC_PROVIDER', 'anthropic')}/mock-claude`;
export const noOpenAIProvider = `${url}/ai/nowhere/v1`;
export const noProvider = `${url}/ai/nowhere`;

// The SDKs repeat what fails. Here a failure must be seen, and a failover must
// be Gatehouse's own work.
export const maxRetries = 0;

// echo is how the mock upstream answers.
export const echo = (said) => `This is the Gatehouse mock upstream. You said: ${said}`;

// checkHeaders holds for every answer that comes from a provider.
export function checkHeaders(headers, vendorRequestID) {
  assert.match(headers.get('x-gatehouse-request-id') ?? '', /^[0-9a-f-]{36}$/, 'x-gatehouse-request-id');
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.equal(headers.get('content-security-policy'), 'sandbox');
  assert.match(headers.get(vendorRequestID) ?? '', /^req_/, `the vendor's ${vendorRequestID} passes`);
  for (const name of ['set-cookie', 'openai-organization', 'openai-project', 'anthropic-organization-id']) {
    assert.equal(headers.get(name), null, `${name} does not come back`);
  }
}

// checkOwn holds for every answer that Gatehouse gives itself.
export function checkOwn(error) {
  assert.match(error.headers.get('x-gatehouse-request-id') ?? '', /^[0-9a-f-]{36}$/, 'x-gatehouse-request-id');
  assert.match(error.headers.get('content-type') ?? '', /^application\/json/);
  assert.ok(!JSON.stringify(error.error).includes(badToken), 'no error carries what was sent');
}
