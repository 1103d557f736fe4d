import { Link, useParams } from '@tanstack/react-router'
import { useQuery } from '@tanstack/react-query'
import { api, asProblem, ok, type Interception } from '../api/client'
import { useMay } from '../session'
import { s } from '../strings'
import { State } from '../ui/basics'
import { Fetched } from '../ui/list'
import { outcomeOf } from '../ui/requests'
import { Clock, count, exactly, took } from '../ui/time'

export function RequestPage() {
  const { id } = useParams({ strict: false }) as { id: string }
  const query = useQuery({
    queryKey: ['request', id], queryFn: () => ok(api.GET('/api/v1/interceptions/{id}', { params: { path: { id } } })),
    // A request is shown live a moment before the database has its record.
    retry: (failures, e) => asProblem(e).status === 404 && failures < 8, retryDelay: 500,
  })
  return (
    <>
      <div className="crumb"><Link to="/requests">{s.nav.requests}</Link> /</div>
      <Fetched query={query} top>{(i) => <Loaded request={i as Interception} />}</Fetched>
    </>
  )
}

function Loaded({ request: i }: { request: Interception }) {
  const o = outcomeOf(i)
  const lists = useMay('ai_provider:read', 'ai_provider_key:read')
  const t = i.tokens
  const facts: [string, React.ReactNode][] = [
    [s.requests.when, exactly(i.time)],
    [s.provider.one, i.provider ? (lists ? <Link className="link" to="/providers/$name" params={{ name: i.provider }}>{i.provider}</Link> : i.provider) : '–'],
    [s.requests.endpoint, i.endpoint || '–'],
    [s.requests.answered, i.actual_model || '–'],
    [s.token.one, i.token || '–'],
    [s.requests.owner, i.owner || '–'],
    [s.requests.client, i.client || '–'],
    [s.requests.firstByte, took(i.first_byte_ms)],
    [s.requests.took, took(i.duration_ms)],
    [s.requests.sizes, `${count(i.request_bytes)} / ${count(i.response_bytes)}`],
    [s.requests.id, <span key="id" className="mono">{i.id}</span>],
  ]
  return (
    <>
      <div className="head wrap"><div><h1 className="mono-title">{i.model || i.path || s.requests.noModel}</h1></div><State tone={o.tone}>{o.text}</State>{i.reason && <span className="mut">{i.reason.replaceAll('_', ' ')}</span>}</div>
      <div className="grid">
        <section className="card" aria-label={s.requests.attempts}>
          <h2>{s.requests.attempts}</h2>
          {i.attempts.length === 0 ? <p className="pad mut">{s.requests.noAttempt}</p> : (
            <table aria-label={s.requests.attempts}>
              <thead><tr><th className="wide-only">{s.requests.when}</th><th>{s.provider.one}</th><th className="wide-only">{s.key.one}</th><th>{s.requests.outcome}</th><th className="num wide-only">{s.requests.status}</th><th className="num">{s.requests.took}</th></tr></thead>
              <tbody>
                {i.attempts.map((a, n) => (
                  <tr key={n}>
                    <td className="mut wide-only"><Clock at={a.time} /></td>
                    <td><span className="mono">{a.provider}</span><div className="narrow hint"><Clock at={a.time} />{a.status > 0 && ` · ${a.status}`}</div></td>
                    <td className="mono mut wide-only">{a.key_id ? `…${a.key_id.slice(-8)}` : s.key.none}</td>
                    <td><State tone={a.outcome === 'ok' ? 'ok' : 'warn'}>{a.outcome.replaceAll('_', ' ')}</State>{a.possibly_billed_twice && <p className="hint">{s.requests.twice}</p>}</td>
                    <td className="num wide-only">{a.status || '–'}</td>
                    <td className="num">{took(a.duration_ms)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
        <div className="stack">
          <section className="card" aria-label={s.requests.facts}><h2>{s.requests.facts}</h2><dl className="kv">{facts.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl></section>
          {t && (
            <section className="card" aria-label={s.requests.usage}>
              <h2>{s.requests.usage}</h2>
              <dl className="kv">{([['input', t.input], ['output', t.output], ['cache_read', t.cache_read], ['cache_write', t.cache_write], ['reasoning', t.reasoning]] as const).map(([k, v]) => <div key={k}><dt>{s.requests.kinds[k]}</dt><dd>{count(v)}</dd></div>)}</dl>
            </section>
          )}
        </div>
      </div>
    </>
  )
}
