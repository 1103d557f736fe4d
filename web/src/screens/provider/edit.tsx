import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ifMatch, ok, type Provider } from '../../api/client'
import { nameOf, providerKey } from '../../providers'
import { s } from '../../strings'
import { Button, SecretField, SelectField, TextField } from '../../ui/basics'
import { Command, flag } from '../../ui/command'
import { Dialog, Form, useSend } from '../../ui/dialog'

/** Edit changes a provider. If somebody else has in the meantime, it shows both. */
export function Edit({ provider, onClose }: { provider: Provider; onClose: () => void }) {
  const queries = useQueryClient()
  const [base, setBase] = useState(provider) // what the changes are to
  const [form, setForm] = useState({ display_name: provider.display_name ?? '', base_url: provider.base_url, strategy: provider.strategy })
  const [keys, setKeys] = useState<string[]>([])
  const change = (part: Partial<typeof form>) => setForm((f) => ({ ...f, ...part }))
  // Keys may be sent to one host only: those of another are wanted anew.
  const moved = origin(form.base_url) !== origin(base.base_url)
  const run = useSend(
    () => ok(api.PATCH('/api/v1/ai/providers/{provider}', {
      params: { path: { provider: base.name }, header: ifMatch(base.revision) },
      body: {
        display_name: form.display_name || null, base_url: form.base_url, strategy: form.strategy,
        ...(moved && base.api_keys.length > 0 ? { api_keys: keys.filter(Boolean).map((api_key) => ({ api_key })) } : {}),
      },
    })),
    (p) => {
      setKeys([])
      queries.setQueryData(providerKey(p.name), p)
      void queries.invalidateQueries()
      onClose()
    },
  )
  const theirs = run.problem?.status === 412 ? (run.problem.current as Provider) : null
  if (theirs) {
    return (
      <Dialog title={s.conflict.title} wide onClose={onClose}>
        <p className="text">{s.conflict.text}</p>
        <table aria-label={s.conflict.title}>
          <thead><tr><th>{s.conflict.field}</th><th>{s.conflict.yours}</th><th>{s.conflict.theirs}</th></tr></thead>
          <tbody>
            {([['display_name', s.provider.displayName], ['base_url', s.provider.baseURL], ['strategy', s.provider.strategy]] as const).map(([field, label]) => (
              <tr key={field}><td>{label}</td><td className="mono">{form[field]}</td><td className="mono">{form[field] === (theirs[field] ?? '') ? <span className="mut">{s.conflict.same}</span> : (theirs[field] ?? '–')}</td></tr>
            ))}
          </tbody>
        </table>
        <div className="actions pad">
          <Button look="primary" onClick={() => { setBase(theirs); run.setProblem(null) }}>{s.conflict.mine}</Button>
          <Button onClick={() => {
            setBase(theirs)
            change({ display_name: theirs.display_name ?? '', base_url: theirs.base_url, strategy: theirs.strategy })
            run.setProblem(null)
          }}>{s.conflict.take}</Button>
        </div>
      </Dialog>
    )
  }
  const e = (field: string) => run.problem?.field(field)
  return (
    <Dialog title={s.provider.editTitle(nameOf(provider))} onClose={onClose}>
      <Form action={s.save} busy={run.busy} problem={run.problem} shown={['display_name', 'base_url', 'strategy', 'api_keys']} onSend={() => void run.send()} onCancel={onClose}>
        <TextField label={s.provider.displayName} value={form.display_name} onValue={(display_name) => change({ display_name })} error={e('display_name')} />
        <TextField label={s.provider.baseURL} mono value={form.base_url} onValue={(base_url) => change({ base_url })} error={e('base_url')} />
        {moved && base.api_keys.map((k, i) => (
          <SecretField key={k.id} label={s.key.again(k.label || k.hint)} value={keys[i] ?? ''} onValue={(v) => setKeys((old) => base.api_keys.map((_, j) => (j === i ? v : (old[j] ?? ''))))} error={i === 0 ? e('api_keys') : undefined} hint={i === 0 ? s.key.againHint : undefined} />
        ))}
        <SelectField label={s.provider.strategy} value={form.strategy} onValue={(v) => change({ strategy: v as Provider['strategy'] })} error={e('strategy')}>
          {Object.entries(s.provider.strategies).map(([v, text]) => <option key={v} value={v}>{text}</option>)}
        </SelectField>
        {!moved && <Command words={['provider', 'edit', base.name, '--display-name', form.display_name, ...flag('base-url', form.base_url), ...flag('strategy', form.strategy)]} />}
      </Form>
    </Dialog>
  )
}

function origin(url: string): string {
  try {
    return new URL(url).origin
  } catch {
    return url
  }
}
