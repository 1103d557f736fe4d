import { Link } from '@tanstack/react-router'
import type { AuditEntry } from '../api/client'
import { s } from '../strings'

/** what is an action on a kind of resource, as people say it. */
export const what = (e: AuditEntry) => s.audit.did(e.action, e.resource_type.replaceAll('_', ' '))

export const by = (e: AuditEntry) => e.actor.name || e.actor.id || s.audit.kinds[e.actor.kind] || e.actor.kind

/** Target leads from an entry to what it is about, where there is a page of it. */
export function Target({ entry: e }: { entry: AuditEntry }) {
  const text = e.target || e.resource_id || '–'
  const gone = e.action === 'purge'
  if (!gone && e.resource_type === 'ai_provider' && e.resource_id) return <Link to="/providers/$name" params={{ name: e.resource_id }}><b>{text}</b></Link>
  if (!gone && e.resource_type === 'ai_provider_key' && e.target) return <Link to="/providers/$name" params={{ name: e.target }}><b>{label(e) || s.key.one}</b></Link>
  return <b>{text}</b>
}

function label(e: AuditEntry): string {
  const change = (e.diff as Record<string, Change> | null)?.label
  return String(change?.new ?? change?.old ?? '')
}

interface Change {
  old?: unknown
  new?: unknown
  secret?: boolean
  cleared?: boolean
  unreadable?: boolean
}

const show = (v: unknown) => (typeof v === 'string' ? v : JSON.stringify(v))
const nothing = (v: unknown) => v === undefined || v === null || v === ''

/** Diff is what changed, field by field. Of a secret it says that it did. */
export function Diff({ entry: e }: { entry: AuditEntry }) {
  const changes = Object.entries((e.diff ?? {}) as Record<string, Change>)
  return (
    <div className="diff">
      {changes.map(([field, c]) => {
        if (c.secret) return <div key={field} className="secret">● {field} {s.audit.secret}</div>
        if (c.cleared || c.unreadable) return <div key={field} className="secret">● {field} {c.cleared ? s.audit.cleared : s.audit.unreadable}</div>
        return (
          <div key={field}>
            {!nothing(c.old) && <div className="old">− {field} {show(c.old)}</div>}
            {!nothing(c.new) && <div className="new">+ {field} {show(c.new)}</div>}
          </div>
        )
      })}
      <div className="mut">{[e.address && s.audit.from(e.address), e.actor.token_name && s.audit.token(e.actor.token_name), e.request_id && s.audit.request(e.request_id), e.user_agent].filter(Boolean).join(' · ') || s.audit.noOrigin}</div>
    </div>
  )
}
