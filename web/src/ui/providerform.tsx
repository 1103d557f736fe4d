import { useState } from 'react'
import { api, ok, type Provider, type Schemas } from '../api/client'
import { presets, titleOf, type Preset } from '../presets'
import { s } from '../strings'
import { Button, SecretField, SelectField, State, TextField } from './basics'
import { Command, flag } from './command'
import { Form, useSend } from './dialog'
import { took } from './time'

/** AddProvider asks for a provider and its first key, from a preset or from nothing. */
export function AddProvider({ onDone, onCancel }: { onDone: (p: Provider) => void; onCancel?: () => void }) {
  const [preset, setPreset] = useState<Preset | null>(null)
  const [form, setForm] = useState({ name: '', display_name: '', type: 'openai' as Provider['type'], base_url: '', key: '' })
  const change = (part: Partial<typeof form>) => setForm((f) => ({ ...f, ...part }))
  const choose = (p: Preset) => {
    setPreset(p)
    change({ name: p.name, display_name: titleOf(p.name), type: p.type, base_url: p.base_url, key: '' })
  }
  const body = () => ({ name: form.name, display_name: form.display_name || undefined, type: form.type, base_url: form.base_url, api_keys: form.key ? [form.key] : undefined })
  const run = useSend(
    () => ok(api.POST('/api/v1/ai/providers', { body: body() })),
    (p) => {
      change({ key: '' })
      onDone(p)
    },
  )
  // Tried as it stands here: with other values nothing is known of it.
  const [tested, setTested] = useState<{ form: string; test: Schemas['ProviderTest'] } | null>(null)
  const test = useSend(async () => {
    const as = JSON.stringify(form)
    run.setProblem(null)
    setTested({ form: as, test: await ok(api.POST('/api/v1/ai/providers/test', { body: body() })) })
  })
  const problem = run.problem ?? test.problem
  const result = tested?.form === JSON.stringify(form) ? tested.test.keys[0] : undefined
  const e = (field: string) => problem?.field(field)
  return (
    <Form action={s.provider.add} busy={run.busy || test.busy} problem={problem} shown={['name', 'display_name', 'type', 'base_url', 'api_keys']} onSend={() => { test.setProblem(null); void run.send() }} onCancel={onCancel}
      more={<Button busy={run.busy || test.busy} onClick={() => void test.send()}>{s.provider.tryIt}</Button>}>
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
      <div role="status">
        {test.busy && <p className="field"><State tone="off">{s.provider.trying}</State></p>}
        {result && <div className="field"><div><State tone={result.ok ? 'ok' : 'bad'}>{result.ok ? s.provider.tested(took(result.latency_ms)) : result.class.replaceAll('_', ' ')}</State></div><p className="hint">{result.message}</p></div>}
      </div>
      <Command words={['provider', 'add', form.name || s.command.name, ...flag('type', form.type), ...flag('base-url', form.base_url), ...flag('display-name', form.display_name), ...(form.key ? ['--api-key-env', 'API_KEY'] : ['--no-key'])]} />
    </Form>
  )
}
