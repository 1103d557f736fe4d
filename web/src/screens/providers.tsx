import { Link, useNavigate } from '@tanstack/react-router'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok, type Provider } from '../api/client'
import { hostOf, initials, nameOf, stateOf } from '../providers'
import { useParam } from '../router'
import { useMay } from '../session'
import { s } from '../strings'
import { Button, State } from '../ui/basics'
import { Dialog } from '../ui/dialog'
import { Empty, Filter, Find, List, usePages } from '../ui/list'
import { Dots, Enabled } from '../ui/provider'
import { AddProvider } from '../ui/providerform'
import { Time } from '../ui/time'

export function Providers() {
  const [q, setQ] = useParam('q')
  const [deleted, setDeleted] = useParam('deleted')
  const [adding, setAdding] = useState(false)
  const navigate = useNavigate()
  const queries = useQueryClient()
  const mayAdd = useMay('ai_provider:create', 'ai_provider_key:create')
  const list = usePages<Provider>(
    ['providers', q, deleted],
    (cursor) => ok(api.GET('/api/v1/ai/providers', { params: { query: { cursor, search: q || undefined, include_deleted: deleted === 'shown' || undefined } } })),
    5_000,
  )
  const add = mayAdd && <Button look="primary" onClick={() => setAdding(true)}>{s.provider.add}</Button>
  return (
    <>
      <div className="head"><div><h1>{s.nav.providers}</h1><p className="sub">{s.provider.sub}</p></div><span className="sp" />{add}</div>
      <div className="find">
        <Find label={s.provider.find} value={q} onValue={setQ} />
        <Filter label={s.state.deleted} value={deleted} options={[['shown', s.list.shown]]} onValue={setDeleted} />
      </div>
      <List<Provider> label={s.nav.providers} query={list} columns={6}
        head={<tr><th>{s.provider.one}</th><th className="wide-only">{s.provider.host}</th><th>{s.state.label}</th><th className="wide-only">{s.key.many}</th><th className="wide-only">{s.key.lastUsed}</th><th className="num">{s.provider.on}</th></tr>}
        row={(p) => <Row key={p.id} provider={p} />}
        empty={q ? <Empty title={s.list.noneFound(q)} text={s.list.noneFoundText} /> : <Empty title={s.provider.none} text={s.provider.noneText}>{add}</Empty>} />
      {adding && (
        <Dialog title={s.provider.add} wide onClose={() => setAdding(false)}>
          <AddProvider onCancel={() => setAdding(false)} onDone={(p) => {
            void queries.invalidateQueries({ queryKey: ['providers'] })
            void navigate({ to: '/providers/$name', params: { name: p.name } })
          }} />
        </Dialog>
      )}
    </>
  )
}

function Row({ provider: p }: { provider: Provider }) {
  const state = stateOf(p)
  const used = p.api_keys.map((k) => k.last_used_at ?? '').sort().at(-1)
  return (
    <tr>
      <td>
        <div className="row">
          <span className="logo" aria-hidden="true">{initials(p)}</span>
          <div>
            <Link className="name" data-row to="/providers/$name" params={{ name: p.deleted ? p.id : p.name }}>{nameOf(p)}</Link>
            <div className="mut mono">{p.name}</div>
          </div>
        </div>
      </td>
      <td className="mut wide-only mono">{hostOf(p)}</td>
      <td><State tone={state.tone}>{state.text}</State></td>
      <td className="wide-only"><Dots provider={p} /></td>
      <td className="wide-only mut"><Time at={used} none={s.never} /></td>
      <td className="num"><Enabled provider={p} /></td>
    </tr>
  )
}
