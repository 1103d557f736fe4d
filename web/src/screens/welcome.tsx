import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { api, asProblem, ok, type Provider, type Schemas } from '../api/client'
import { follow } from '../api/events'
import { nameOf } from '../providers'
import { useSession } from '../session'
import { s } from '../strings'
import { Button, Refusal, State, TextField } from '../ui/basics'
import { Form, useSend } from '../ui/dialog'
import { SetPassword } from './signin'
import { Failed } from '../ui/list'
import { AddProvider } from '../ui/providerform'
import { Setup } from '../ui/setup'
import { count, took } from '../ui/time'

/** Welcome leads from an empty installation to its first request. */
export function Welcome() {
  const [provider, setProvider] = useState<Provider | null>(null)
  const [token, setToken] = useState<Schemas['CreatedToken'] | null>(null)
  const first = useQuery({ queryKey: ['providers', 'first'], queryFn: () => ok(api.GET('/api/v1/ai/providers', { params: { query: { limit: 100 } } })) })
  const set = useSession().who?.password_set ?? false
  const there = provider ?? first.data?.items.find((p) => p.enabled) ?? null
  return (
    <>
      <div className="head"><div><h1>{s.welcome.title}</h1><p className="sub">{s.welcome.sub}</p></div></div>
      <div className="card pad">
        <div className="steps">
          <Step no={1} title={s.welcome.password} done={set}>
            {set ? <p className="mut">{s.welcome.passwordSet}</p> : <><p className="hint">{s.welcome.passwordText}</p><SetPassword action={s.password.set} onDone={() => undefined} /></>}
          </Step>
          <Step no={2} title={s.welcome.provider} done={!!there}>
            {there ? <Tested provider={there} /> : first.error ? <Failed problem={asProblem(first.error)} again={() => void first.refetch()} /> : first.data && <AddProvider onDone={setProvider} />}
          </Step>
          <Step no={3} title={s.welcome.token} done={!!token}>
            {there && (token ? <p className="mut">{s.welcome.minted(token.name)}</p> : <MintFirst onDone={setToken} />)}
          </Step>
          <Step no={4} title={s.welcome.client} done={false}>
            {there && token && <><Setup provider={there} token={token.token} /><p className="hint">{s.token.once}</p><FirstRequest token={token.id} /></>}
          </Step>
        </div>
      </div>
    </>
  )
}

const Step = ({ no, title, done, children }: { no: number; title: string; done: boolean; children: React.ReactNode }) => (
  <>
    <div className={`step-no ${done ? 'done' : ''}`} aria-hidden="true">{done ? '✓' : no}</div>
    <section className="step" aria-label={title}><h2>{title}</h2>{children}</section>
  </>
)

function Tested({ provider }: { provider: Provider }) {
  const [result, setResult] = useState<Schemas['ProviderTest'] | null>(null)
  const run = useSend(() => ok(api.POST('/api/v1/ai/providers/{provider}/test', { params: { path: { provider: provider.name } } })), setResult)
  useEffect(() => void run.send(), [provider.id]) // once for each provider
  const key = result?.keys.find((k) => !k.ok) ?? result?.keys[0]
  return (
    <>
      <div className="row wrap">
        <Link className="name" to="/providers/$name" params={{ name: provider.name }}>{nameOf(provider)}</Link>
        <span className="mono mut">{provider.api_keys[0]?.hint}</span>
        {run.busy && <State tone="off">{s.provider.testing}</State>}
        {key && <State tone={key.ok ? 'ok' : 'bad'}>{key.ok ? s.provider.tested(took(key.latency_ms)) : key.class.replaceAll('_', ' ')}</State>}
        <Button className="small" busy={run.busy} onClick={() => void run.send()}>{s.provider.testAgain}</Button>
      </div>
      {key && !key.ok && <p className="hint">{key.message}</p>}
      <Refusal problem={run.problem} />
    </>
  )
}

function MintFirst({ onDone }: { onDone: (t: Schemas['CreatedToken']) => void }) {
  const [name, setName] = useState('my-laptop')
  const run = useSend(() => ok(api.POST('/api/v1/tokens', { body: { name, scopes: ['gateway:use'] } })), onDone)
  return (
    <Form action={s.token.mint} busy={run.busy} problem={run.problem} shown={['name']} onSend={() => void run.send()}>
      <TextField label={s.token.name} value={name} onValue={setName} error={run.problem?.field('name')} hint={s.welcome.tokenHint} />
    </Form>
  )
}

function FirstRequest({ token }: { token: string }) {
  const [seen, setSeen] = useState<Schemas['Interception'] | null>(null)
  useEffect(() => follow({ token }, { interception: (i) => setSeen(i), state: () => undefined, gap: () => undefined }), [token])
  return (
    <div role="status">
      <p className={`pulse ${seen ? 'done' : ''}`}>
        {seen ? s.welcome.received(seen.status, took(seen.duration_ms), count((seen.tokens?.input ?? 0) + (seen.tokens?.output ?? 0))) : s.welcome.waiting}
      </p>
      {seen && <p><Link to="/providers" className="link">{s.welcome.onward}</Link></p>}
    </div>
  )
}
