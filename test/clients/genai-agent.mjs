// A small agent made of Google's SDK, as gosdk/agent is of the others': it asks a
// model each of its prompts in one conversation, lends it two tools, and prints
// what the model said to each, and what was used in all, as one JSON object.
//
//   node genai-agent.mjs whole|streamed PROMPT...
//
// The base URL and the key come from the variables that the SDK reads. Nothing is
// repeated that failed.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { GoogleGenAI } from '@google/genai';

const [form, ...prompts] = process.argv.slice(2);
const ai = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY });

const tool = (name, arg) => ({
  name,
  parametersJsonSchema: { type: 'object', properties: { [arg]: { type: 'string' } }, required: [arg] },
});
const config = { tools: [{ functionDeclarations: [tool('read_file', 'path'), tool('run_command', 'command')] }] };
const use = {
  read_file: ({ path }) => readFileSync(path, 'utf8'),
  run_command: ({ command }) => execFileSync('bash', ['-c', command], { encoding: 'utf8' }),
};

const contents = [];
const used = { Input: 0, Output: 0, CacheRead: 0, CacheWrite: 0, Reasoning: 0 };

// ask returns the parts of one answer.
async function ask() {
  const request = { model: 'mock-gemini', contents, config };
  let parts = [], usage, finished;
  const take = (r) => {
    parts.push(...(r.candidates?.[0]?.content?.parts ?? []));
    finished ??= r.candidates?.[0]?.finishReason;
    usage = r.usageMetadata;
  };
  if (form === 'streamed') {
    for await (const chunk of await ai.models.generateContentStream(request)) take(chunk);
  } else {
    take(await ai.models.generateContent(request));
  }
  if (!finished) throw new Error('the answer has no end');
  used.Input += usage.promptTokenCount;
  used.Output += usage.candidatesTokenCount;
  used.CacheRead += usage.cachedContentTokenCount ?? 0;
  used.Reasoning += usage.thoughtsTokenCount ?? 0;
  contents.push({ role: 'model', parts });
  return parts;
}

const said = [];
for (const prompt of prompts) {
  let parts = [{ text: prompt }];
  for (;;) {
    contents.push({ role: 'user', parts });
    const answer = await ask();
    const calls = answer.flatMap((p) => p.functionCall ?? []);
    if (calls.length === 0) {
      said.push(answer.map((p) => p.text ?? '').join(''));
      break;
    }
    parts = calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: { output: use[name](args) } } }));
  }
}
console.log(JSON.stringify({ Said: said, Used: used }));
