import { useEffect, useMemo, useRef, useState } from 'react'
import { api, ok, type Interception, type Page } from '../api/client'
import { follow } from '../api/events'
import { useParam } from '../router'
import { useMay } from '../session'
import { s } from '../strings'
import { Button, State } from '../ui/basics'
import { Empty, Filter, Find, List, rows, usePages } from '../ui/list'
import { RequestHead, RequestRow } from '../ui/requests'

const kept = 500 // live requests on the screen

/** Requests are those that reached the gateway: the latest as they end, and all before. */
export function Requests() {
  const [provider, setProvider] = useParam('provider')
  const [model, setModel] = useParam('model')
  const [token, setToken] = useParam('token')
  const [status, setStatus] = useParam('status')
  const [paused, setPaused] = useParam('paused')
  const all = useMay('audit_log:read') // who sees the requests of everybody
  const query = useMemo(() => ({ provider, model, token, status }), [provider, model, token, status])
  const { live, fresh, missed } = useLive(query, paused !== '')
  const used = Object.fromEntries(Object.entries(query).filter(([, v]) => v !== ''))
  const list = usePages<Interception>(
    ['requests', provider, model, token, status],
    (cursor) => ok(api.GET('/api/v1/interceptions', { params: { query: { cursor, ...used } } })) as Promise<Page<Interception>>,
  )
  const { refetch } = list
  useEffect(() => { // what was missed is in the list by now
    if (missed > 0) void refetch()
  }, [missed, refetch])
  const known = new Set(rows(list).map((i) => i.id))
  // What comes again after a gap may have been over before what is listed.
  const oldest = list.hasNextPage ? Date.parse(rows(list).at(-1)?.time ?? '') : 0
  const before = fresh.filter((i) => !known.has(i.id) && Date.parse(i.time) + (i.duration_ms ?? 0) >= oldest)
  const shown = list.data && { ...list, data: { ...list.data, pages: [{ items: before, next_cursor: null }, ...list.data.pages] } }
  const freshIDs = new Set(fresh.map((i) => i.id))
  const filtered = Object.keys(used).length > 0
  return (
    <>
      <div className="head">
        <div><h1>{s.nav.requests}</h1><p className="sub">{all ? s.requests.sub : s.requests.subOwn}</p></div>
        <span className="sp" />
        <span role="status"><State tone={paused ? 'off' : live ? 'ok' : 'warn'}>{paused ? s.requests.paused : live ? s.requests.live : s.requests.connecting}</State></span>
        <Button onClick={() => setPaused(paused ? '' : 'yes')}>{paused ? s.requests.goOn : s.requests.pause}</Button>
      </div>
      <div className="find">
        <Find label={s.requests.findModel} value={model} onValue={setModel} />
        <Find label={s.requests.findProvider} value={provider} onValue={setProvider} />
        <Find label={s.requests.findToken} value={token} onValue={setToken} />
        <Filter label={s.requests.status} value={status} options={s.requests.statuses} onValue={setStatus} />
      </div>
      <List<Interception> label={s.nav.requests} query={shown ?? list} columns={8} head={<RequestHead />} row={(i) => <RequestRow key={i.id} request={i} fresh={freshIDs.has(i.id)} />}
        empty={filtered ? <Empty title={s.list.noneMatch} text={s.list.noneMatchText} /> : <Empty title={s.requests.none} text={s.requests.noneText} />} />
    </>
  )
}

/** useLive follows requests, and counts how often some may have been missed. */
function useLive(query: Record<string, string>, paused: boolean) {
  const [live, setLive] = useState(false)
  const [fresh, setFresh] = useState<Interception[]>([])
  const [missed, setMissed] = useState(0)
  const wasLive = useRef(false)
  useEffect(() => setFresh([]), [query])
  useEffect(() => {
    if (paused) return
    return follow(query, {
      interception: (i) => setFresh((old) => [i, ...old.filter((o) => o.id !== i.id)].slice(0, kept)),
      state: (now) => {
        if (now && wasLive.current) setMissed((n) => n + 1)
        wasLive.current ||= now
        setLive(now)
      },
      gap: () => setMissed((n) => n + 1),
    })
  }, [query, paused])
  return { live, fresh, missed }
}
