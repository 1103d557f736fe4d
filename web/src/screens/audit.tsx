import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok, type AuditEntry, type Page } from '../api/client'
import { useParam } from '../router'
import { s } from '../strings'
import { Button, Copyable, State } from '../ui/basics'
import { by, Diff, Target, what } from '../ui/audit'
import { Dialog, useSend } from '../ui/dialog'
import { Empty, every, Fetched, Filter, Find, List, usePages } from '../ui/list'
import { count, Time } from '../ui/time'

const resources = ['ai_provider', 'ai_provider_key', 'ai_route', 'api_key', 'user', 'role', 'session', 'encryption_key', 'audit_log', 'gateway']
const actions = ['create', 'update', 'delete', 'restore', 'purge', 'rotate', 'open', 'login', 'login_failed', 'denied']
const since: Record<string, number> = { hour: 3600_000, day: 86400_000, week: 7 * 86400_000, month: 30 * 86400_000 }

/** Audit is who did what, with what changed, and how far it is proved. */
export function Audit() {
  const [q, setQ] = useParam('q')
  const [resource, setResource] = useParam('resource')
  const [action, setAction] = useParam('action')
  const [span, setSpan] = useParam('since')
  const [proof, setProof] = useState(false)
  const filter = () => ({
    q: q || undefined, resource: resource || undefined, action: action || undefined,
    since: since[span] ? new Date(Date.now() - since[span]).toISOString() : undefined,
  })
  const list = usePages<AuditEntry>(['audit', q, resource, action, span], (cursor) => ok(api.GET('/api/v1/audit', { params: { query: { cursor, ...filter() } } })) as Promise<Page<AuditEntry>>, 5_000)
  const checkpoint = useQuery({ queryKey: ['audit', 'checkpoint'], queryFn: () => ok(api.GET('/api/v1/audit/checkpoint')), refetchInterval: every(15_000) })
  const save = useSend(() => download(filter()))
  const filtered = [q, resource, action, span].some(Boolean)
  return (
    <>
      <div className="head wrap">
        <div><h1>{s.nav.audit}</h1><p className="sub">{checkpoint.data ? <>{s.audit.covered(count(checkpoint.data.size))} <Time at={checkpoint.data.time} />.</> : s.audit.sub}</p></div>
        <span className="sp" />
        {checkpoint.data && <State tone="ok">{s.audit.signed}</State>}
        {checkpoint.data && <Button onClick={() => setProof(true)}>{s.audit.checkpoint}</Button>}
        <Button busy={save.busy} onClick={() => void save.send()}>{s.audit.export}</Button>
      </div>
      {save.problem && <p className="refusal" role="alert">{s.problem(save.problem.status, save.problem.detail)}</p>}
      <div className="find">
        <Find label={s.audit.find} value={q} onValue={setQ} />
        <Filter label={s.audit.resource} value={resource} options={resources.map((r) => [r, r.replaceAll('_', ' ')])} onValue={setResource} />
        <Filter label={s.audit.action} value={action} options={actions.map((a) => [a, a.replaceAll('_', ' ')])} onValue={setAction} />
        <Filter label={s.audit.since} value={span} options={s.audit.spans} onValue={setSpan} />
      </div>
      <List<AuditEntry> label={s.nav.audit} query={list} columns={5}
        head={<tr><th>{s.requests.when}</th><th>{s.audit.who}</th><th>{s.audit.what}</th><th className="wide-only">{s.audit.target}</th><th className="num wide-only">{s.audit.number}</th></tr>}
        row={(e) => <Entry key={e.index} entry={e} />}
        empty={filtered ? <Empty title={s.list.noneMatch} text={s.list.noneMatchText} /> : <Empty title={s.audit.none} text={s.audit.noneText} />} />
      {proof && (
        <Dialog title={s.audit.checkpoint} wide onClose={() => setProof(false)}>
          <Fetched query={checkpoint}>
            {(c) => <div className="text"><p>{s.audit.checkpointText}</p><Copyable text={c.audit_checkpoint} label={s.audit.checkpoint} /><p>{s.audit.key}</p><Copyable text={c.key} label={s.audit.key} /></div>}
          </Fetched>
        </Dialog>
      )}
    </>
  )
}

function Entry({ entry: e }: { entry: AuditEntry }) {
  const [open, setOpen] = useState(false)
  return (
    <>
      <tr>
        <td className="mut"><Time at={e.time} /></td>
        <td>{by(e)}{e.actor.kind === 'system' && <span className="mut"> {s.audit.system}</span>}</td>
        <td><button type="button" data-row className="disclose" aria-expanded={open} onClick={() => setOpen(!open)}>{what(e)}</button>{e.count > 1 && <span className="mut"> × {count(e.count)}</span>}<div className="narrow"><Target entry={e} /></div></td>
        <td className="wide-only"><Target entry={e} /></td>
        <td className="num mut wide-only">{count(e.index)}</td>
      </tr>
      {open && <tr><td colSpan={5}><Diff entry={e} /></td></tr>}
    </>
  )
}

/** download saves what the filters leave of the log as a file. */
async function download(query: Record<string, string | undefined>) {
  const file = await ok(api.GET('/api/v1/audit/export', { params: { query: query as never }, parseAs: 'blob' }) as never) as unknown as Blob
  const url = URL.createObjectURL(file)
  const a = document.createElement('a')
  a.href = url
  a.download = 'gatehouse-audit.jsonl'
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
