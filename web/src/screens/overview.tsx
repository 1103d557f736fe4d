import { Link } from '@tanstack/react-router'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { api, ok, type Page, type Provider, type Schemas } from '../api/client'
import { follow } from '../api/events'
import { nameOf, stateOf } from '../providers'
import { useMay } from '../session'
import { s } from '../strings'
import { State } from '../ui/basics'
import { Empty, every, Fetched } from '../ui/list'
import { Dots } from '../ui/provider'
import { count, exactly, roughly, took } from '../ui/time'

const dayAgo = () => new Date(Date.now() - 24 * 3600_000).toISOString()

/** Overview is the last day in numbers, and the health of keys, as they change. */
export function Overview() {
  const keys = useMay('ai_provider:read', 'ai_provider_key:read')
  const queries = useQueryClient()
  const hours = useQuery({ queryKey: ['usage', 'hour'], queryFn: () => ok(api.GET('/api/v1/usage', { params: { query: { group_by: 'hour', since: dayAgo() } } })), refetchInterval: every(30_000) })
  const models = useQuery({ queryKey: ['usage', 'model'], queryFn: () => ok(api.GET('/api/v1/usage', { params: { query: { group_by: 'model', since: dayAgo(), limit: 8 } } })), refetchInterval: every(30_000) })
  useEffect(() => { // at most once a second, however many there are
    let due: ReturnType<typeof setTimeout> | undefined
    const again = () => (due ??= setTimeout(() => {
      due = undefined
      void queries.invalidateQueries({ queryKey: ['usage'] })
    }, 900))
    const stop = follow({}, { interception: again, gap: again, state: () => undefined })
    return () => {
      stop()
      clearTimeout(due)
    }
  }, [queries])
  return (
    <>
      <div className="head"><div><h1>{s.nav.overview}</h1><p className="sub">{s.overview.sub}</p></div></div>
      <Fetched query={hours}>
        {(u) => u.total.requests === 0 ? <Empty title={s.requests.none} text={s.requests.noneText} /> : (
          <div className="stack">
            <Numbers sums={u.total} />
            <Hours groups={u.items} />
          </div>
        )}
      </Fetched>
      <div className="halves">
        {keys && <Health />}
        {models.data && models.data.items.length > 0 && <Models groups={models.data.items} />}
      </div>
    </>
  )
}

function Numbers({ sums: t }: { sums: Schemas['UsageSums'] }) {
  const numbers: [string, string, string?][] = [
    [s.overview.requests, roughly(t.requests), count(t.requests)],
    [s.overview.errors, t.errors === 0 ? '0' : `${roughly(t.errors)} · ${((100 * t.errors) / t.requests).toFixed(1)} %`],
    [s.overview.more, roughly(Math.max(0, t.attempts - t.requests))],
    [s.overview.firstByte, t.answered ? took(t.first_byte_ms / t.answered) : '–'],
    [s.overview.tokens, `${roughly(t.tokens.input)} / ${roughly(t.tokens.output)}`],
  ]
  return <dl className="numbers">{numbers.map(([label, value, title]) => <div key={label} className="card"><dt>{label}</dt><dd title={title}>{value}</dd></div>)}</dl>
}

/** Hours shows the requests of each hour, with the errors among them, and as a table for who does not see it. */
function Hours({ groups }: { groups: Schemas['UsageGroup'][] }) {
  const end = Math.floor(Date.now() / 3600_000)
  const at = new Map(groups.map((g) => [Math.floor(Date.parse(g.start ?? '') / 3600_000), g]))
  const hours = Array.from({ length: 24 }, (_, i) => ({ hour: end - 23 + i, group: at.get(end - 23 + i) }))
  const most = Math.max(1, ...groups.map((g) => g.requests))
  const high = (n: number) => (n === 0 ? 0 : Math.max(2, (n / most) * 96))
  return (
    <section className="card" aria-label={s.overview.byHour}>
      <h2>{s.overview.byHour}</h2>
      <div className="pad">
        <svg className="bars" viewBox="0 0 480 100" preserveAspectRatio="none" role="img" aria-label={s.overview.most(most)}>
          {hours.map(({ hour, group }, i) => {
            const [all, bad] = [high(group?.requests ?? 0), high(group?.errors ?? 0)]
            return (
              <g key={hour}>
                <title>{`${exactly(new Date(hour * 3600_000).toISOString())}: ${s.overview.of(group?.requests ?? 0, group?.errors ?? 0)}`}</title>
                <rect x={i * 20} y={0} width={20} height={100} className="space" />
                <rect x={i * 20 + 3} y={98 - all} width={14} height={all} className="all" />
                <rect x={i * 20 + 3} y={98 - bad} width={14} height={bad} className="bad" />
              </g>
            )
          })}
        </svg>
        <p className="row hint"><span>{s.overview.dayAgo}</span><span className="sp" /><span>{s.overview.now}</span></p>
        <details>
          <summary>{s.overview.asTable}</summary>
          <table aria-label={s.overview.byHour}>
            <thead><tr><th>{s.overview.hour}</th><th className="num">{s.overview.requests}</th><th className="num">{s.overview.errors}</th></tr></thead>
            <tbody>{groups.map((g) => <tr key={g.start}><td>{g.start && exactly(g.start)}</td><td className="num">{count(g.requests)}</td><td className="num">{count(g.errors)}</td></tr>)}</tbody>
          </table>
        </details>
      </div>
    </section>
  )
}

function Health() {
  const query = useQuery({ queryKey: ['providers', 'health'], queryFn: () => ok(api.GET('/api/v1/ai/providers', { params: { query: { limit: 500 } } })) as Promise<Page<Provider>>, refetchInterval: every(3_000) })
  return (
    <section className="card" aria-label={s.overview.health}>
      <h2>{s.overview.health}</h2>
      <Fetched query={query}>
        {({ items, next_cursor }) => {
          const on = items.filter((p) => p.enabled)
          const rest = next_cursor !== null && <p className="pad"><Link className="link" to="/providers">{s.overview.rest(items.length)}</Link></p>
          if (on.length === 0) return rest || <p className="pad mut">{s.overview.noneOn}</p>
          return (
            <><table aria-label={s.overview.health}>
              <thead><tr><th>{s.provider.one}</th><th>{s.state.label}</th><th className="wide-only">{s.key.many}</th></tr></thead>
              <tbody>
                {on.map((p) => {
                  const state = stateOf(p)
                  return (
                    <tr key={p.id}>
                      <td><Link className="name" data-row to="/providers/$name" params={{ name: p.name }}>{nameOf(p)}</Link></td>
                      <td><State tone={state.tone}>{state.text}</State></td>
                      <td className="wide-only"><Dots provider={p} /></td>
                    </tr>
                  )
                })}
              </tbody>
            </table>{rest}</>
          )
        }}
      </Fetched>
    </section>
  )
}

function Models({ groups }: { groups: Schemas['UsageGroup'][] }) {
  return (
    <section className="card" aria-label={s.overview.models}>
      <h2>{s.overview.models}</h2>
      <table aria-label={s.overview.models}>
        <thead><tr><th>{s.requests.model}</th><th className="num">{s.overview.requests}</th><th className="num">{s.overview.tokens}</th></tr></thead>
        <tbody>{groups.map((g) => <tr key={g.group}><td className="mono">{g.group || s.requests.noModel}</td><td className="num">{count(g.requests)}</td><td className="num">{roughly(g.tokens.input)} / {roughly(g.tokens.output)}</td></tr>)}</tbody>
      </table>
    </section>
  )
}
