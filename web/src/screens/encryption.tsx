import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok, type Page, type Schemas } from '../api/client'
import { useMay } from '../session'
import { s } from '../strings'
import { Button, SelectField, State, type Tone } from '../ui/basics'
import { Dialog, Form, useSend } from '../ui/dialog'
import { Empty, Fetched, List, usePages } from '../ui/list'
import { count, Time } from '../ui/time'

type DataKey = Schemas['EncryptionKey']

const tones: Record<DataKey['state'], Tone> = { primary: 'ok', active: 'ok', pending: 'warn', retired: 'off' }

/** Encryption is the data keys, how far a rotation is, and whether every secret opens. */
export function Encryption() {
  const [open, setOpen] = useState<'' | 'rotate' | 'verify'>('')
  const mayRotate = useMay('encryption_key:rotate')
  const mayVerify = useMay('ai_provider:read', 'ai_provider_key:read', 'audit_log:read')
  const rotation = useQuery({
    queryKey: ['encryption', 'rotation'], queryFn: () => ok(api.GET('/api/v1/encryption-keys/rotation')),
    refetchInterval: (q) => (q.state.data?.state === 'idle' ? 10_000 : 1_000),
  })
  const list = usePages<DataKey>(['encryption', 'keys', rotation.data?.key_epoch], (cursor) => ok(api.GET('/api/v1/encryption-keys', { params: { query: { cursor } } })) as Promise<Page<DataKey>>, 5_000)
  return (
    <>
      <div className="head">
        <div><h1>{s.nav.encryption}</h1><p className="sub">{s.encryption.sub}</p></div><span className="sp" />
        {mayVerify && <Button onClick={() => setOpen('verify')}>{s.encryption.verify}</Button>}
        {mayRotate && <Button look="primary" onClick={() => setOpen('rotate')}>{s.encryption.rotate}</Button>}
      </div>
      <div className="stack">
        <Fetched query={rotation}>{(r) => <Progress rotation={r} />}</Fetched>
        <List<DataKey> label={s.encryption.keys} query={list} columns={6}
          head={<tr><th>{s.audit.number}</th><th>{s.encryption.purpose}</th><th>{s.state.label}</th><th className="wide-only">{s.encryption.kek}</th><th className="num">{s.encryption.secrets}</th><th className="wide-only">{s.encryption.made}</th></tr>}
          row={(k) => (
            <tr key={k.number}>
              <td className="num-left">{k.number}</td>
              <td>{s.encryption.purposes[k.purpose]}</td>
              <td><State tone={tones[k.state]}>{s.encryption.states[k.state]}</State></td>
              <td className="wide-only mono mut">{k.kek}</td>
              <td className="num">{count(k.secrets)}</td>
              <td className="wide-only mut"><Time at={k.created_at} /></td>
            </tr>
          )}
          empty={<Empty title={s.encryption.none} text={s.encryption.sub} />} />
      </div>
      {open === 'rotate' && <Rotate onClose={() => setOpen('')} />}
      {open === 'verify' && <Verify onClose={() => setOpen('')} />}
    </>
  )
}

function Progress({ rotation: r }: { rotation: Schemas['Rotation'] }) {
  return (
    <section className="card pad stack-small" aria-label={s.encryption.rotation}>
      <div className="row wrap"><State tone={r.trouble ? 'bad' : r.state === 'idle' ? 'off' : 'warn'}>{s.encryption.rotations[r.state]}</State><span className="mut">{s.encryption.done(r.done, r.secrets)}</span></div>
      <progress aria-label={s.encryption.rotation} max={Math.max(1, r.secrets)} value={r.secrets === 0 ? 1 : r.done} />
      {r.trouble && <p className="error">{r.trouble}</p>}
    </section>
  )
}

function Rotate({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const [mode, setMode] = useState<'full' | 'rewrap'>('full')
  const run = useSend(() => ok(api.POST('/api/v1/encryption-keys/rotation', { body: { mode } })), () => {
    void queries.invalidateQueries({ queryKey: ['encryption'] })
    onClose()
  })
  return (
    <Dialog title={s.encryption.rotate} onClose={onClose}>
      <Form action={s.encryption.rotate} busy={run.busy} problem={run.problem} onSend={() => void run.send()} onCancel={onClose}>
        <SelectField label={s.encryption.mode} value={mode} onValue={(v) => setMode(v as typeof mode)} hint={s.encryption.modeHints[mode]}>
          <option value="full">{s.encryption.full}</option><option value="rewrap">{s.encryption.rewrap}</option>
        </SelectField>
      </Form>
    </Dialog>
  )
}

function Verify({ onClose }: { onClose: () => void }) {
  const [report, setReport] = useState<Schemas['EncryptionReport'] | null>(null)
  const run = useSend(() => ok(api.POST('/api/v1/encryption-keys/verify', { body: {} })), setReport)
  return (
    <Dialog title={s.encryption.verify} wide onClose={onClose}>
      <Form action={s.encryption.verify} busy={run.busy} problem={run.problem} onSend={() => void run.send()} onCancel={onClose}>
        <p className="text">{s.encryption.verifyText}</p>
        <div role="status">
          {report && <p className="text"><State tone={report.findings.length === 0 ? 'ok' : 'seal'}>{s.encryption.found(report.findings.length, report.secrets)}</State></p>}
          {report?.findings.map((f) => <p key={f.id} className="text"><b>{f.target}</b> {f.detail}</p>)}
        </div>
      </Form>
    </Dialog>
  )
}
