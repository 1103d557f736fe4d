import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { api, ifMatch, ok, type Provider, type Schemas } from '../api/client'
import { clientURL, initials, nameOf, providerKey, stateOf, useProvider } from '../providers'
import { useParam } from '../router'
import { may, useMay, useWho } from '../session'
import { s } from '../strings'
import { Button, Copyable, Refusal, State } from '../ui/basics'
import { Confirm, Dialog, useSend } from '../ui/dialog'
import { Fetched } from '../ui/list'
import { Enabled } from '../ui/provider'
import { Tabs } from '../ui/setup'
import { took } from '../ui/time'
import { toast } from '../ui/toast'
import { Affected } from './provider/affected'
import { Edit } from './provider/edit'
import { Keys } from './provider/keys'
import { Settings } from './provider/settings'
import { Changes, Traffic } from './provider/history'

export function ProviderPage() {
  const { name } = useParams({ strict: false }) as { name: string }
  const query = useProvider(name)
  return (
    <>
      <div className="crumb"><Link to="/providers">{s.nav.providers}</Link> /</div>
      <Fetched query={query} top>{(p) => <Loaded provider={p} />}</Fetched>
    </>
  )
}

function Loaded({ provider: p }: { provider: Provider }) {
  const who = useWho()
  const [tab, setTab] = useParam('tab')
  const [dialog, setDialog] = useState<'' | 'edit' | 'test'>('')
  const state = stateOf(p)
  const mayChange = useMay('ai_provider:update')
  const tabs: [string, string][] = [['', s.key.many], ['settings', s.settings.title]]
  if (may(who, 'interception:read')) tabs.push(['requests', s.provider.requests])
  if (may(who, 'audit_log:read')) tabs.push(['changes', s.provider.changes])
  return (
    <>
      <div className="head wrap">
        <span className="logo" aria-hidden="true">{initials(p)}</span>
        <div><h1>{nameOf(p)}</h1><p className="sub mono">{p.name}</p></div>
        <State tone={state.tone}>{state.text}</State>
        <span className="sp" />
        {mayChange && !p.deleted && <Button onClick={() => setDialog('test')}>{s.provider.test}</Button>}
        {mayChange && !p.deleted && <Button onClick={() => setDialog('edit')}>{s.edit}</Button>}
        {!p.deleted && <Enabled provider={p} />}
      </div>
      {p.fault && <p className="refusal" role="alert">{p.fault}</p>}
      {p.deleted && <Deleted provider={p} />}
      <Tabs label={nameOf(p)} tabs={tabs} value={tab} onValue={setTab} />
      {tab === '' && (
        <div className="grid">
          <Keys provider={p} />
          <div className="stack"><Connection provider={p} /><Use provider={p} />{!p.deleted && <Remove provider={p} />}</div>
        </div>
      )}
      {tab === 'settings' && <Settings provider={p} />}
      {tab === 'requests' && <Traffic provider={p} />}
      {tab === 'changes' && <Changes provider={p} />}
      {dialog === 'edit' && <Edit provider={p} onClose={() => setDialog('')} />}
      {dialog === 'test' && <TestKeys provider={p} onClose={() => setDialog('')} />}
    </>
  )
}

function Connection({ provider: p }: { provider: Provider }) {
  return (
    <section className="card" aria-label={s.provider.connection}>
      <h2>{s.provider.connection}</h2>
      <dl className="kv">
        <div><dt>{s.provider.api}</dt><dd>{s.provider.types[p.type]}</dd></div>
        <div><dt>{s.provider.baseURL}</dt><dd className="mono">{p.base_url}</dd></div>
        <div><dt>{s.provider.strategy}</dt><dd>{s.provider.strategies[p.strategy]}</dd></div>
        <div><dt>{s.provider.revision}</dt><dd>{p.revision}</dd></div>
      </dl>
    </section>
  )
}

// What the vendors' SDKs read.
const variables: Record<Provider['type'], [url: string, key: string]> = {
  openai: ['OPENAI_BASE_URL', 'OPENAI_API_KEY'], anthropic: ['ANTHROPIC_BASE_URL', 'ANTHROPIC_API_KEY'], gemini: ['GOOGLE_GEMINI_BASE_URL', 'GEMINI_API_KEY'],
}

function Use({ provider: p }: { provider: Provider }) {
  const [url, key] = variables[p.type]
  return (
    <section className="card" aria-label={s.setup.use}>
      <h2>{s.setup.use}</h2>
      <div className="pad"><Copyable label={s.setup.use} text={`export ${url}=${clientURL(p.name, p.type)}\nexport ${key}=gate_…`} /></div>
    </section>
  )
}

function Remove({ provider: p }: { provider: Provider }) {
  const [open, setOpen] = useState(false)
  const navigate = useNavigate()
  const queries = useQueryClient()
  const mayDelete = useMay('ai_provider:delete', 'ai_provider_key:delete')
  if (!mayDelete) return null
  return (
    <>
      <div><Button look="danger" onClick={() => setOpen(true)}>{s.provider.remove}</Button></div>
      {open && (
        <Confirm title={s.provider.removeTitle(nameOf(p))} action={s.provider.remove} typed={p.api_keys.length > 0 ? p.name : undefined}
          text={<><Affected provider={p} /><p>{s.provider.removeText}</p></>}
          send={() => ok(api.DELETE('/api/v1/ai/providers/{provider}', { params: { path: { provider: p.name }, header: ifMatch(p.revision) } }))}
          onClose={() => setOpen(false)}
          onDone={() => {
            toast(s.provider.removed(nameOf(p)))
            void queries.invalidateQueries({ queryKey: ['providers'] })
            void navigate({ to: '/providers' })
          }} />
      )}
    </>
  )
}

function Deleted({ provider: p }: { provider: Provider }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const [purging, setPurging] = useState(false)
  const mayRestore = useMay('ai_provider:update')
  const mayPurge = useMay('ai_provider:delete')
  const path = { params: { path: { provider: p.id } } }
  const restore = useSend(() => ok(api.POST('/api/v1/ai/providers/{provider}/restore', path)), (back) => {
    void queries.invalidateQueries()
    void navigate({ to: '/providers/$name', params: { name: back.name } })
  })
  return (
    <div className="note">
      <p>{s.provider.deletedText}</p>
      <Refusal problem={restore.problem} />
      <div className="actions">
        {mayRestore && <Button busy={restore.busy} onClick={() => void restore.send()}>{s.provider.restore}</Button>}
        {mayPurge && <Button look="danger" onClick={() => setPurging(true)}>{s.provider.purge}</Button>}
      </div>
      {purging && (
        <Confirm title={s.provider.purgeTitle(nameOf(p))} action={s.provider.purge} typed={p.name} text={<p>{s.provider.purgeText}</p>}
          send={() => ok(api.POST('/api/v1/ai/providers/{provider}/purge', path))} onClose={() => setPurging(false)}
          onDone={() => {
            void queries.invalidateQueries({ queryKey: ['providers'] })
            void navigate({ to: '/providers' })
          }} />
      )}
    </div>
  )
}

function TestKeys({ provider: p, onClose }: { provider: Provider; onClose: () => void }) {
  const [result, setResult] = useState<Schemas['ProviderTest'] | null>(null)
  const queries = useQueryClient()
  const run = useSend(() => ok(api.POST('/api/v1/ai/providers/{provider}/test', { params: { path: { provider: p.name } } })), (r) => {
    setResult(r)
    void queries.invalidateQueries({ queryKey: providerKey(p.name) })
  })
  useEffect(() => void run.send(), []) // as it opens
  return (
    <Dialog title={s.provider.testTitle(nameOf(p))} wide onClose={onClose}>
      <div role="status">
        {run.busy && !result && <p className="mut">{s.provider.testing}</p>}
        {result && (
          <table aria-label={s.provider.test}>
            <thead><tr><th>{s.key.one}</th><th>{s.state.label}</th><th className="num">{s.provider.took}</th></tr></thead>
            <tbody>
              {result.keys.map((k) => (
                <tr key={k.key_id}>
                  <td><div className="name">{k.label || k.hint || s.key.none}</div>{k.label && <div className="mono mut">{k.hint}</div>}</td>
                  <td><State tone={k.ok ? 'ok' : 'bad'}>{k.class.replaceAll('_', ' ')}</State><p className="hint">{k.message}</p></td>
                  <td className="num">{took(k.latency_ms)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      <Refusal problem={run.problem} />
      <div className="actions"><Button busy={run.busy} onClick={() => void run.send()}>{s.provider.testAgain}</Button></div>
    </Dialog>
  )
}
