import { useState } from 'react'
import { useQueryClient } from '@tanstack/react-query'
import { Mark } from '../shell'
import { signIn, useEnded } from '../session'
import { s } from '../strings'
import { SecretField } from '../ui/basics'
import { Form, useSend } from '../ui/dialog'

/** SignIn stands in the place of every screen until somebody is signed in; the address stays. */
export function SignIn() {
  const ended = useEnded()
  const queries = useQueryClient()
  const [token, setToken] = useState('')
  const run = useSend(async () => {
    queries.clear()
    await signIn(token.trim())
  })
  return (
    <div className="gate">
      <main>
        <div className="brand"><Mark /> Gatehouse</div>
        <div className="card">
          <h1>{s.signIn.title}</h1>
          {ended && <p className="note" role="status">{s.signIn.ended}</p>}
          <Form action={s.signIn.action} busy={run.busy} problem={run.problem} onSend={() => void run.send()}>
            <SecretField label={s.signIn.token} value={token} onValue={setToken} hint={s.signIn.tokenHint} autoFocus />
          </Form>
        </div>
      </main>
    </div>
  )
}
