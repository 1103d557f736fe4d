import { useState, type KeyboardEvent } from 'react'
import { clientURL } from '../providers'
import { s } from '../strings'
import { Copyable } from './basics'

export interface Tool {
  id: string
  title: string
  text: string
}

/** toolsFor is how clients are set up for a provider, with a token to paste. */
export function toolsFor(provider: { name: string; type: string }, token: string): Tool[] {
  const url = clientURL(provider.name, provider.type)
  if (provider.type === 'anthropic') {
    return [
      { id: 'claude', title: 'Claude Code', text: `export ANTHROPIC_BASE_URL=${url}\nexport ANTHROPIC_AUTH_TOKEN=${token}\nclaude -p "hello"` },
      { id: 'sdk', title: 'Anthropic SDK', text: `from anthropic import Anthropic\n\nclient = Anthropic(\n    base_url="${url}",\n    api_key="${token}",\n)` },
      { id: 'curl', title: 'curl', text: `curl ${url}/v1/models \\\n  -H "x-api-key: ${token}" \\\n  -H "anthropic-version: 2023-06-01"` },
    ]
  }
  if (provider.type === 'gemini') {
    return [
      { id: 'gemini', title: 'Gemini CLI', text: `export GOOGLE_GEMINI_BASE_URL=${url}\nexport GEMINI_API_KEY=${token}\ngemini -p "hello"` },
      { id: 'curl', title: 'curl', text: `curl ${url}/v1beta/models -H "x-goog-api-key: ${token}"` },
    ]
  }
  return [
    { id: 'sdk', title: 'OpenAI SDK', text: `from openai import OpenAI\n\nclient = OpenAI(\n    base_url="${url}",\n    api_key="${token}",\n)` },
    { id: 'codex', title: 'Codex', text: `# ~/.codex/config.toml\nmodel_provider = "gatehouse"\n[model_providers.gatehouse]\nname = "Gatehouse"\nbase_url = "${url}"\nenv_key = "GATEHOUSE_TOKEN"\nwire_api = "responses"\n\n# then, in a shell\nexport GATEHOUSE_TOKEN=${token}\ncodex exec "hello"` },
    { id: 'curl', title: 'curl', text: `curl ${url}/models -H "Authorization: Bearer ${token}"` },
  ]
}

/** Setup shows how to point a client at a provider. */
export function Setup({ provider, token }: { provider: { name: string; type: string }; token: string }) {
  const tools = toolsFor(provider, token)
  const [id, setID] = useState(tools[0]?.id)
  const tool = tools.find((t) => t.id === id) ?? tools[0]
  return (
    <>
      <Tabs label={s.setup.label} tabs={tools.map((t) => [t.id, t.title])} value={tool?.id ?? ''} onValue={setID} />
      {tool && <Copyable text={tool.text} label={s.setup.of(tool.title)} />}
    </>
  )
}

/** Tabs are moved through with the arrow keys, as ARIA has it. */
export function Tabs({ label, tabs, value, onValue }: { label: string; tabs: [id: string, title: string][]; value: string; onValue: (id: string) => void }) {
  const onKey = (e: KeyboardEvent<HTMLDivElement>) => {
    const by = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0
    if (!by) return
    const next = tabs[(tabs.findIndex(([id]) => id === value) + by + tabs.length) % tabs.length]
    if (!next) return
    onValue(next[0])
    e.currentTarget.querySelector<HTMLElement>(`[data-tab="${next[0]}"]`)?.focus()
  }
  return (
    <div className="tabs" role="tablist" aria-label={label} onKeyDown={onKey}>
      {tabs.map(([id, title]) => <button key={id} type="button" role="tab" data-tab={id} className="tab" aria-selected={id === value} tabIndex={id === value ? 0 : -1} onClick={() => onValue(id)}>{title}</button>)}
    </div>
  )
}
