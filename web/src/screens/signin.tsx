import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useState, type ReactNode } from 'react'
import { api, ok } from '../api/client'
import { Mark } from '../shell'
import { goTo, load, methods, signIn, signOut, takeFailure, useSession, type Methods } from '../session'
import { s } from '../strings'
import { Button, SecretField, TextField } from '../ui/basics'
import { Form, useSend } from '../ui/dialog'
import { refused } from '../ui/toast'

const Gate = ({ title, children }: { title: string; children: ReactNode }) => (
  <div className="gate">
    <main>
      <div className="brand"><Mark /> Gatehouse</div>
      <div className="card"><h1>{title}</h1>{children}</div>
    </main>
  </div>
)

/** failure is read when the page is loaded, before anything else looks at the address. */
const failure = takeFailure()

/** why says in words why an identity provider let nobody in: what stands in an address may be anything. */
const why = (reason: string) => (Object.hasOwn(s.signIn.reasons, reason) ? s.signIn.reasons[reason as keyof typeof s.signIn.reasons] : s.signIn.reasons.error)

/** SignIn stands in the place of every screen until somebody is signed in; the address stays. */
export function SignIn() {
  const { ended } = useSession()
  const queries = useQueryClient()
  const [byToken, setByToken] = useState(false)
  const [failed, setFailed] = useState(failure)
  const [ways, setWays] = useState<Methods | null>(null)
  useEffect(() => { // without an answer there is the form
    methods().then(setWays, () => undefined)
  }, [])
  const [form, setForm] = useState({ name: '', password: '', token: '' })
  const run = useSend(async () => {
    queries.clear()
    setFailed(null)
    await signIn(byToken ? { token: form.token.trim() } : { name: form.name, password: form.password })
  })
  const change = (part: Partial<typeof form>) => setForm((f) => ({ ...f, ...part }))
  const e = (field: string) => run.problem?.field(field)
  return (
    <Gate title={s.signIn.title}>
      {ended && <p className="note" role="status">{s.signIn.ended}</p>}
      {failed !== null && !ended && <p className="refusal" role="alert">{s.signIn.failed} {why(failed)}</p>}
      {ways?.oidc.map((p) => <Button key={p.name} className="by" onClick={() => goTo(p.name)}>{s.signIn.by(p.display_name)}</Button>)}
      <Form action={s.signIn.action} busy={run.busy} problem={run.problem} shown={byToken ? ['token'] : ['name', 'password']} onSend={() => void run.send()}>
        {byToken ? <SecretField label={s.signIn.token} value={form.token} onValue={(token) => change({ token })} error={e('token')} hint={s.signIn.tokenHint} autoFocus /> : (
          <>
            <TextField label={s.signIn.name} value={form.name} onValue={(name) => change({ name })} error={e('name')} autoComplete="username" autoFocus />
            <SecretField label={s.signIn.password} value={form.password} onValue={(password) => change({ password })} error={e('password')} autoComplete="current-password" />
          </>
        )}
      </Form>
      <Button look="ghost" className="other" onClick={() => { setByToken(!byToken); run.setProblem(null); change({ password: '', token: '' }) }}>{byToken ? s.signIn.byPassword : s.signIn.byToken}</Button>
    </Gate>
  )
}

/** SetPassword asks for a new password, and for the one until now where there is one. */
export function SetPassword({ onDone, onCancel, action }: { onDone: () => void; onCancel?: () => void; action: string }) {
  const { who } = useSession()
  const [form, setForm] = useState({ current: '', next: '', again: '' })
  const differ = form.again !== '' && form.again !== form.next
  const run = useSend(async () => {
    await ok(api.POST('/api/v1/me/password', { body: { new: form.next, ...(who?.password_set ? { current: form.current } : {}) } }))
    setForm({ current: '', next: '', again: '' })
    await load()
  }, onDone)
  return (
    <Form action={action} busy={run.busy || form.again !== form.next} problem={run.problem} shown={['current', 'new']} onSend={() => void run.send()} onCancel={onCancel}>
      {who?.password_set && <SecretField label={s.password.current} value={form.current} onValue={(current) => setForm({ ...form, current })} error={run.problem?.field('current')} autoComplete="current-password" />}
      <SecretField label={s.password.next} value={form.next} onValue={(next) => setForm({ ...form, next })} error={run.problem?.field('new')} hint={s.password.hint} autoComplete="new-password" />
      <SecretField label={s.password.again} value={form.again} onValue={(again) => setForm({ ...form, again })} error={differ ? s.password.differ : undefined} autoComplete="new-password" />
    </Form>
  )
}

/** MustChange stands before everything else for who was given a password by somebody else. */
export const MustChange = () => (
  <Gate title={s.password.must}>
    <p className="text">{s.password.mustText}</p>
    <SetPassword action={s.save} onDone={() => undefined} />
    <Button look="ghost" className="other" onClick={() => void signOut().catch(refused)}>{s.nav.signOut}</Button>
  </Gate>
)
