import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { all, api, ok, type Page, type Schemas } from '../api/client'
import { useSession } from '../session'
import { s } from '../strings'
import { Button, State } from '../ui/basics'
import { Confirm } from '../ui/dialog'
import { every, Fetched } from '../ui/list'
import { Time } from '../ui/time'
import { refused, toast } from '../ui/toast'
import { SetPassword } from './signin'

type Session = Schemas['Session']

/** Account is one's own: where one is signed in, and the password, which who signs in elsewhere has none of. */
export function Account() {
  const { who } = useSession()
  const title = who?.password_set ? s.password.change : s.password.set
  return (
    <>
      <div className="head"><div><h1>{s.account.title}</h1><p className="sub">{s.account.sub(who?.name ?? '', who?.roles.join(', ') ?? '')}</p></div></div>
      <div className="stack">
        {who && <Sessions of={who.id} />}
        {(who?.password_set || !who?.session?.provider) && (
          <section className="card limited" aria-label={title}>
            <h2>{title}</h2>
            <div className="pad"><p className="text">{s.password.others}</p><SetPassword action={title} onDone={() => toast(s.password.saved)} /></div>
          </section>
        )}
      </div>
    </>
  )
}

/** readAll reads one's sessions, the one that asks first and then the latest. */
async function readAll(user: string): Promise<Session[]> {
  const { items } = await all<Session>((cursor) => ok(api.GET('/api/v1/sessions', { params: { query: { user, cursor, limit: 500 } } })) as Promise<Page<Session>>)
  return items.filter((one) => one.active).sort((a, b) => Number(b.current) - Number(a.current) || b.last_seen_at.localeCompare(a.last_seen_at))
}

function Sessions({ of }: { of: string }) {
  const queries = useQueryClient()
  const [ending, setEnding] = useState(false)
  const query = useQuery({ queryKey: ['sessions', of], queryFn: () => readAll(of), refetchInterval: every(10_000) })
  const again = () => queries.invalidateQueries({ queryKey: ['sessions'] })
  const end = (one: Session) => ok(api.DELETE('/api/v1/sessions/{id}', { params: { path: { id: one.id } } }))
  return (
    <Fetched query={query}>
      {(found) => {
        const others = found.filter((one) => !one.current)
        return (
          <section className="card" aria-label={s.account.sessions}>
            <div className="title"><h2>{s.account.sessions}</h2>{others.length > 0 && <Button onClick={() => setEnding(true)}>{s.account.endOthers}</Button>}</div>
            <table aria-label={s.account.sessions}>
              <thead><tr><th>{s.account.device}</th><th className="wide-only">{s.account.address}</th><th className="wide-only">{s.account.since}</th><th>{s.account.seen}</th><th><span className="sr">{s.actions}</span></th></tr></thead>
              <tbody>
                {found.map((one) => (
                  <tr key={one.id}>
                    <td><div className="name">{deviceOf(one.user_agent)}</div><div className="narrow hint mono">{one.address}</div></td>
                    <td className="wide-only mono mut">{one.address || '–'}</td>
                    <td className="wide-only mut"><Time at={one.created_at} /></td>
                    <td className="mut">{one.current ? <State tone="ok">{s.account.current}</State> : <Time at={one.last_seen_at} />}</td>
                    <td><div className="actions">{!one.current && <Button className="small" look="ghost" aria-label={s.account.endThis(deviceOf(one.user_agent), one.address)} onClick={() => void end(one).then(() => toast(s.account.ended), refused).then(again)}>{s.account.end}</Button>}</div></td>
                  </tr>
                ))}
              </tbody>
            </table>
            {ending && (
              <Confirm title={s.account.endOthers} action={s.account.endOthers} text={<p>{s.account.endOthersText(others.length)}</p>}
                send={async () => { for (const one of others) await end(one) }} onClose={() => { setEnding(false); void again() }}
                onDone={() => {
                  setEnding(false)
                  toast(s.account.endedOthers)
                  void again()
                }} />
            )}
          </section>
        )
      }}
    </Fetched>
  )
}

const browsers: [RegExp, string][] = [[/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/Firefox\//, 'Firefox'], [/Chrome\//, 'Chrome'], [/Safari\//, 'Safari']]
const systems: [RegExp, string][] = [[/iPhone|iPad/, 'iOS'], [/Android/, 'Android'], [/Windows/, 'Windows'], [/Mac OS X/, 'macOS'], [/Linux/, 'Linux']]

/** deviceOf is what a User-Agent says of a browser, or itself if it says that to nobody. */
function deviceOf(agent: string): string {
  const of = (all: [RegExp, string][]) => all.find(([has]) => has.test(agent))?.[1]
  const [browser, system] = [of(browsers), of(systems)]
  return browser && system ? s.account.on(browser, system) : agent.slice(0, 60) || s.account.unknown
}
