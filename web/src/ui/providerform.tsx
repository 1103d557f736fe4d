import { useState } from 'react'
import { api, ok, type Provider } from '../api/client'
import { presets, titleOf, type Preset } from '../presets'
import { s } from '../strings'
import { Button, SecretField, SelectField, TextField } from './basics'
import { Form, useSend } from './dialog'

/** AddProvider asks for a provider and its first key, from a preset or from nothing. */
export function AddProvider({ onDone, onCancel }: { onDone: (p: Provider) => void; onCancel?: () => void }) {
  const [preset, setPreset] = useState<Preset | null>(null)
  const [form, setForm] = useState({ name: '', display_name: '', type: 'openai' as Provider['type'], base_url: '', key: '' })
  const change = (part: Partial<typeof form>) => setForm((f) => ({ ...f, ...part }))
  const choose = (p: Preset) => {
    setPreset(p)
    change({ name: p.name, display_name: titleOf(p.name), type: p.type, base_url: p.base_url, key: '' })
  }
  const run = useSend(
    () => ok(api.POST('/api/v1/ai/providers', {
      body: { name: form.name, display_name: form.display_name || undefined, type: form.type, base_url: form.base_url, api_keys: form.key ? [form.key] : undefined },
    })),
    (p) => {
      change({ key: '' })
      onDone(p)
    },
  )
  const e = (field: string) => run.problem?.field(field)
  return (
    <Form action={s.provider.add} busy={run.busy} problem={run.problem} shown={['name', 'display_name', 'type', 'base_url', 'api_keys']} onSend={() => void run.send()} onCancel={onCancel}>
      <p className="legend" id="presets">{s.provider.preset}</p>
      <div className="presets" role="group" aria-labelledby="presets">
        {presets.map((p) => <Button key={p.name} aria-pressed={preset?.name === p.name} onClick={() => choose(p)}><span className="logo" aria-hidden="true">{titleOf(p.name).slice(0, 2)}</span>{titleOf(p.name)}</Button>)}
      </div>
      <div className="two">
        <TextField label={s.provider.name} mono value={form.name} onValue={(name) => change({ name })} error={e('name')} hint={s.provider.nameHint} required />
        <TextField label={s.provider.displayName} value={form.display_name} onValue={(display_name) => change({ display_name })} error={e('display_name')} />
      </div>
      <div className="two">
        <SelectField label={s.provider.type} value={form.type} onValue={(type) => change({ type: type as Provider['type'] })} error={e('type')}>
          {Object.entries(s.provider.types).map(([v, text]) => <option key={v} value={v}>{text}</option>)}
        </SelectField>
        <TextField label={s.provider.baseURL} mono value={form.base_url} onValue={(base_url) => change({ base_url })} error={e('base_url')} hint={s.provider.urls[form.type]} required />
      </div>
      <SecretField label={s.key.secret} value={form.key} onValue={(key) => change({ key })} error={e('api_keys')}
        hint={preset?.keys_at ? <>{s.key.keysAt} <a className="link" href={preset.keys_at} target="_blank" rel="noreferrer">{preset.keys_at}</a></> : preset && !preset.needs_key ? s.key.noneNeeded : s.key.sealed} />
    </Form>
  )
}
