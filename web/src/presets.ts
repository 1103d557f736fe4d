import type { Provider } from './api/client'
import list from './presets.json'

/** Preset is what there is to know of a well-known provider to add it. The list is that of the command line. */
export interface Preset {
  name: string
  type: Provider['type']
  base_url: string
  needs_key: boolean
  keys_at: string
}

export const presets = list as Preset[]

const titles: Record<string, string> = {
  openai: 'OpenAI', anthropic: 'Anthropic', deepseek: 'DeepSeek', openrouter: 'OpenRouter', xai: 'xAI', 'llama-cpp': 'llama.cpp', 'lm-studio': 'LM Studio', vllm: 'vLLM', 'gemini-openai': 'Gemini, OpenAI API',
}

export const titleOf = (name: string) => titles[name] ?? name.charAt(0).toUpperCase() + name.slice(1)
