import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ifMatch, ok, type Provider } from '../../api/client'
import { providerKey } from '../../providers'
import { useMay } from '../../session'
import { s } from '../../strings'
import { AreaField, Button, Check, SecretField, SelectField, TextField } from '../../ui/basics'
import { words } from '../../ui/chips'
import { Confirm, Form, useSend } from '../../ui/dialog'
import { toast } from '../../ui/toast'

type Kind = 'text' | 'secret' | 'flag' | 'number' | 'list' | 'pem'
type Document = Record<string, unknown>

// What each type of document has, in the order of docs/operations.md. A field that
// is not here is kept as it is.
const common: [string, Kind][] = [
  ['first_byte_timeout', 'text'], ['idle_timeout', 'text'], ['connect_timeout', 'text'], ['max_concurrency', 'number'],
  ['failover_on', 'list'], ['replay_after_send', 'flag'], ['probe', 'flag'], ['breaker', 'flag'],
  ['allowed_models', 'list'], ['allowed_paths', 'list'], ['proxy', 'text'], ['proxy_credentials', 'secret'], ['ca', 'pem'],
]
const own: Record<string, [string, Kind][]> = {
  openai: [['organization', 'text'], ['project', 'text']],
  anthropic: [],
  gemini: [],
  bedrock: [['region', 'text'], ['model', 'text'], ['small_fast_model', 'text'], ['access_key', 'secret'], ['access_key_secret', 'secret'], ['role_arn', 'text'], ['ambient', 'flag']],
  azure: [['api_version', 'text']],
}
const typesFor = { openai: ['openai', 'azure'], anthropic: ['anthropic', 'bedrock'], gemini: ['gemini'] }

/** Settings are a form of the settings document. A secret in it is replaced, never shown. */
export function Settings({ provider }: { provider: Provider }) {
  // While something is being edited, what it is a change of stays; the server says if somebody else changed it.
  const [base, setBase] = useState<Provider | null>(null)
  const p = base ?? provider
  const there = (p.settings ?? null) as Document | null
  const [chosen, setType] = useState<string | null>(null)
  const type = chosen ?? String(there?._type ?? p.type)
  const [edits, setEdits] = useState<Document>({})
  const [replacing, setReplacing] = useState<string[]>([])
  const [clearing, setClearing] = useState(false)
  const queries = useQueryClient()
  const mayChange = useMay('ai_provider:update') && !p.deleted
  const drop = () => {
    setEdits({})
    setReplacing([])
    setBase(null)
    setType(null)
  }
  const done = (now: Provider) => {
    drop()
    queries.setQueryData(providerKey(p.name), now)
    void queries.invalidateQueries()
    toast(s.settings.saved)
  }
  const change = (settings: Document | null) => ok(api.PATCH('/api/v1/ai/providers/{provider}', {
    params: { path: { provider: p.name }, header: ifMatch(p.revision) }, body: { settings },
  }))
  const same = there?._type === type
  const fields = [...(own[type] ?? []), ...common]
  const run = useSend(() => {
    const kept = same ? Object.fromEntries(Object.entries(there).filter(([k]) => k !== '_secrets')) : {}
    const next: Document = { ...kept, ...edits, _type: type, _version: same ? there._version : 1 }
    for (const [name, kind] of fields) {
      const v = next[name]
      if (kind === 'list' && typeof v === 'string' && v.trim()) next[name] = words(v)
      // Left out, a field has its default, and a secret stays; a secret that was to be replaced by nothing is cleared.
      if (v === '' && !replacing.includes(name)) delete next[name]
    }
    return change(next)
  }, done)
  const edit = (change: () => void) => {
    setBase(p)
    change()
  }
  const set = (name: string, v: unknown) => edit(() => setEdits((e) => ({ ...e, [name]: v })))
  const theirs = run.problem?.status === 412 ? (run.problem.current as Provider) : null
  if (theirs) {
    const now = (theirs.settings ?? {}) as Document
    const mine = fields.filter(([name]) => name in edits)
    const say = (kind: Kind, v: unknown) => (kind === 'secret' ? s.settings.isSet : v === undefined || v === '' ? '–' : Array.isArray(v) ? v.join(' ') : String(v))
    const held = (name: string, kind: Kind) => (kind === 'secret' ? (Array.isArray(now._secrets) && now._secrets.includes(name) ? s.settings.isSet : '–') : say(kind, now[name]))
    return (
      <div className="card pad limited" role="alert">
        <h2>{s.conflict.title}</h2>
        <p className="text">{s.conflict.text}</p>
        <table aria-label={s.conflict.title}>
          <thead><tr><th>{s.conflict.field}</th><th>{s.conflict.yours}</th><th>{s.conflict.theirs}</th></tr></thead>
          <tbody>{mine.map(([name, kind]) => <tr key={name}><td>{s.settings.fields[name]?.label ?? name}</td><td className="mono">{say(kind, edits[name])}</td><td className="mono">{held(name, kind)}</td></tr>)}</tbody>
        </table>
        <div className="actions pad">
          <Button look="primary" onClick={() => { setBase(theirs); run.setProblem(null) }}>{s.conflict.mine}</Button>
          <Button onClick={() => { queries.setQueryData(providerKey(p.name), theirs); drop(); run.setProblem(null) }}>{s.conflict.take}</Button>
        </div>
      </div>
    )
  }
  const secrets = same && Array.isArray(there._secrets) ? (there._secrets as string[]) : []
  const value = (name: string) => edits[name] ?? (same ? there[name] : undefined)
  const error = (name: string) => run.problem?.field(`settings.${name}`)
  const shown = fields.map(([name]) => `settings.${name}`)
  return (
    <div className="card pad limited">
      <Form action={s.save} busy={run.busy || !mayChange} problem={run.problem} shown={shown} onSend={() => void run.send()}>
        <SelectField label={s.settings.platform} value={type} onValue={(v) => edit(() => setType(v))} hint={there ? undefined : s.settings.noneYet}>
          {typesFor[p.type].map((t) => <option key={t} value={t}>{s.settings.types[t] ?? t}</option>)}
        </SelectField>
        {fields.map(([name, kind], i) => {
          const text = s.settings.fields[name] ?? { label: name }
          const props = { label: text.label, hint: text.hint, error: error(name) }
          const heading = i === (own[type]?.length ?? 0) && <h2 className="legend">{s.settings.reach}</h2>
          return (
            <div key={`${type} ${name}`}>
              {heading}
              {kind === 'flag' ? <div className="field"><Check label={text.label} hint={text.hint} checked={value(name) === undefined ? (text.standard ?? false) : value(name) === true} onValue={(v) => set(name, v)} />{error(name) && <p className="error">{error(name)}</p>}</div>
                : kind === 'secret' && secrets.includes(name) && !replacing.includes(name) ? (
                  <div className="field"><span className="legend">{text.label}</span><div className="row"><span className="mut">{s.settings.isSet}</span><Button className="small" aria-label={s.settings.replaceThis(text.label)} onClick={() => edit(() => setReplacing([...replacing, name]))}>{s.settings.replace}</Button></div></div>
                ) : kind === 'secret' ? <SecretField {...props} value={String(edits[name] ?? '')} onValue={(v) => set(name, v)} />
                : kind === 'list' ? <TextField {...props} mono value={Array.isArray(value(name)) ? (value(name) as string[]).join(' ') : String(value(name) ?? '')} onValue={(v) => set(name, v)} />
                : kind === 'number' ? <TextField {...props} type="number" min={0} value={value(name) === undefined ? '' : String(value(name))} onValue={(v) => set(name, v === '' ? '' : Number(v))} />
                : kind === 'pem' ? <AreaField {...props} mono value={String(value(name) ?? '')} onValue={(v) => set(name, v)} />
                : <TextField {...props} mono value={String(value(name) ?? '')} onValue={(v) => set(name, v)} />}
            </div>
          )
        })}
      </Form>
      {there && mayChange && <div className="actions pad-top"><Button look="danger" onClick={() => setClearing(true)}>{s.settings.clear}</Button></div>}
      {clearing && <Confirm title={s.settings.clear} action={s.settings.clear} text={<p>{s.settings.clearText}</p>} send={() => change(null).then(done)} onClose={() => setClearing(false)} onDone={() => setClearing(false)} />}
    </div>
  )
}
