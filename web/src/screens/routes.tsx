import { Link } from '@tanstack/react-router'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { api, ifMatch, ok, type Page, type Provider, type Route, type Schemas } from '../api/client'
import { useParam } from '../router'
import { useMay } from '../session'
import { s } from '../strings'
import { Button, SelectField, State, TextField, type Tone } from '../ui/basics'
import { Command, flag } from '../ui/command'
import { Confirm, Dialog, Form, useSend } from '../ui/dialog'
import { Empty, Find, List, sifted, usePages } from '../ui/list'
import { Menu } from '../ui/menu'
import { Toggle } from '../ui/toggle'

const tones: Record<Schemas['RouteTarget']['state'], Tone> = { ready: 'ok', disabled: 'off', not_served: 'bad', deleted: 'off' }

type Open = { what: 'add' } | { what: 'edit' | 'remove'; route: Route } | null

/** Routes are models of one's own, each leading to models of providers. */
export function Routes() {
  const [open, setOpen] = useState<Open>(null)
  const [q, setQ] = useParam('q')
  const mayAdd = useMay('ai_route:create', 'ai_provider:read')
  const mayChange = useMay('ai_route:update')
  const mayRemove = useMay('ai_route:delete')
  const list = usePages<Route>(['routes', q], (from) => sifted((cursor, limit) => ok(api.GET('/api/v1/ai/routes', { params: { query: { cursor, limit } } })) as Promise<Page<Route>>, from, q, (r) => r.name), 5_000)
  const close = () => setOpen(null)
  const add = mayAdd && <Button look="primary" onClick={() => setOpen({ what: 'add' })}>{s.route.add}</Button>
  return (
    <>
      <div className="head"><div><h1>{s.nav.routes}</h1><p className="sub">{s.route.sub}</p></div><span className="sp" />{add}</div>
      <div className="find"><Find label={s.provider.find} value={q} onValue={setQ} /></div>
      <List<Route> label={s.nav.routes} query={list} columns={5}
        head={<tr><th>{s.route.one}</th><th>{s.route.targets}</th><th className="wide-only">{s.provider.strategy}</th><th className="num">{s.provider.on}</th><th><span className="sr">{s.actions}</span></th></tr>}
        row={(r) => (
          <tr key={r.id}>
            <td><div className="name mono">{r.name}</div>{r.description && <div className="mut">{r.description}</div>}</td>
            <td>{r.targets.map((t, i) => <Target key={i} target={t} weighted={r.strategy === 'weighted'} />)}</td>
            <td className="wide-only">{s.provider.strategies[r.strategy]}</td>
            <td className="num"><Enabled route={r} disabled={!mayChange} /></td>
            <td><Menu label={s.route.actions(r.name)} choices={[
              mayChange && ['edit', s.edit, () => setOpen({ what: 'edit', route: r })],
              mayRemove && ['remove', s.route.remove, () => setOpen({ what: 'remove', route: r })],
            ]} /></td>
          </tr>
        )}
        empty={q ? <Empty title={s.list.noneFound(q)} text={s.list.noneFoundText} /> : <Empty title={s.route.none} text={s.route.noneText}>{add}</Empty>} />
      {open?.what === 'add' && <RouteForm onClose={close} />}
      {open?.what === 'edit' && <RouteForm route={open.route} onClose={close} />}
      {open?.what === 'remove' && <Remove route={open.route} onClose={close} />}
    </>
  )
}

function Target({ target: t, weighted }: { target: Schemas['RouteTarget']; weighted: boolean }) {
  const lists = useMay('ai_provider:read', 'ai_provider_key:read') && t.state !== 'deleted'
  return (
    <div className="row wrap target">
      <span className="mono">{lists ? <Link to="/providers/$name" params={{ name: t.provider }}>{t.provider}</Link> : t.provider}/{t.model}</span>
      {weighted && <span className="mut">{s.route.share(t.weight)}</span>}
      {t.state !== 'ready' && <State tone={tones[t.state]}>{s.route.states[t.state]}</State>}
    </div>
  )
}

const Enabled = ({ route: r, disabled }: { route: Route; disabled: boolean }) => (
  <Toggle label={s.route.switch(r.name)} off={s.provider.off(r.name)} on={r.enabled} disabled={disabled} shownIn={['routes']}
    change={(enabled) => ok(api.PATCH('/api/v1/ai/routes/{route}', { params: { path: { route: r.id }, header: ifMatch(r.revision) }, body: { enabled } }))} />
)

interface Line { provider: string; model: string; weight: string }

const linesOf = (r?: Route): Line[] => r?.targets.map((t) => ({ provider: t.provider, model: t.model, weight: String(t.weight) })) ?? [{ provider: '', model: '', weight: '1' }]

function RouteForm({ route, onClose }: { route?: Route; onClose: () => void }) {
  const queries = useQueryClient()
  const [base, setBase] = useState(route)
  const [form, setForm] = useState({ name: route?.name ?? '', description: route?.description ?? '', strategy: route?.strategy ?? 'in_order' })
  const [lines, setLines] = useState(linesOf(route))
  const providers = useQuery({ queryKey: ['providers', 'names'], queryFn: () => ok(api.GET('/api/v1/ai/providers', { params: { query: { limit: 500 } } })) as Promise<Page<Provider>> })
  const run = useSend(() => {
    const body = { strategy: form.strategy, targets: lines.map((l) => ({ provider: l.provider, model: l.model, weight: Number(l.weight) })) }
    return (base
      ? ok(api.PATCH('/api/v1/ai/routes/{route}', { params: { path: { route: base.id }, header: ifMatch(base.revision) }, body: { ...body, description: form.description || null } }))
      : ok(api.POST('/api/v1/ai/routes', { body: { ...body, name: form.name, description: form.description || undefined } }))) as Promise<Route>
  }, () => {
    void queries.invalidateQueries({ queryKey: ['routes'] })
    onClose()
  })
  const { problem, setProblem } = run
  useEffect(() => { // somebody else changed it: what is sent next is a change of that
    if (problem?.status === 412 && problem.current) setBase(problem.current as Route)
  }, [problem])
  const set = (i: number, part: Partial<Line>) => setLines((old) => old.map((l, j) => (j === i ? { ...l, ...part } : l)))
  const up = (i: number) => setLines((old) => old.flatMap((l, j) => (j === i - 1 ? [old[i] as Line, l] : j === i ? [] : [l])))
  const stale = problem?.status === 412 ? (problem.current as Route) : null
  return (
    <Dialog title={route ? s.route.edit(route.name) : s.route.add} wide onClose={onClose}>
      {stale && (
        <div className="note" role="alert">
          <p>{s.route.stale}</p>
          {stale.targets.map((t, i) => <p key={i} className="mono">{t.provider}/{t.model}{stale.strategy === 'weighted' && ` ${s.route.share(t.weight)}`}</p>)}
          <div className="actions">
            <Button onClick={() => {
              setForm({ name: stale.name, description: stale.description ?? '', strategy: stale.strategy })
              setLines(linesOf(stale))
              setProblem(null)
            }}>{s.conflict.take}</Button>
            <Button onClick={() => setProblem(null)}>{s.conflict.mine}</Button>
          </div>
        </div>
      )}
      <Form action={route ? s.save : s.route.add} busy={run.busy} problem={stale ? null : problem} shown={['name', 'description', 'strategy', 'targets']} onSend={() => void run.send()} onCancel={onClose}>
        {!route && <TextField label={s.route.name} mono value={form.name} onValue={(name) => setForm({ ...form, name })} error={problem?.field('name')} hint={s.route.nameHint} autoFocus />}
        <TextField label={s.role.description} value={form.description} onValue={(description) => setForm({ ...form, description })} error={problem?.field('description')} />
        <SelectField label={s.provider.strategy} value={form.strategy} onValue={(v) => setForm({ ...form, strategy: v as Route['strategy'] })} error={problem?.field('strategy')}>
          <option value="in_order">{s.provider.strategies.in_order}</option><option value="weighted">{s.provider.strategies.weighted}</option>
        </SelectField>
        <datalist id="providers">{providers.data?.items.map((p) => <option key={p.id} value={p.name} />)}</datalist>
        <fieldset>
          <legend className="legend">{s.route.targetsHint}</legend>
          {problem?.field('targets') && <p className="error">{problem.field('targets')}</p>}
          {lines.map((l, i) => (
            <div key={i} className="line">
              <input className="mono" list="providers" aria-label={s.route.providerOf(i + 1)} placeholder={s.provider.one} value={l.provider} onChange={(e) => set(i, { provider: e.target.value })} />
              <input className="mono" aria-label={s.route.modelOf(i + 1)} placeholder={s.requests.model} value={l.model} onChange={(e) => set(i, { model: e.target.value })} />
              {form.strategy === 'weighted' && <input className="weight" type="number" min={0} aria-label={s.route.weightOf(i + 1)} value={l.weight} onChange={(e) => set(i, { weight: e.target.value })} />}
              <Button className="small" look="ghost" disabled={i === 0} aria-label={s.route.up(i + 1)} onClick={() => up(i)}>↑</Button>
              <Button className="small" look="ghost" disabled={lines.length === 1} aria-label={s.route.drop(i + 1)} onClick={() => setLines(lines.filter((_, j) => j !== i))}>×</Button>
            </div>
          ))}
          <Button className="small" onClick={() => setLines([...lines, { provider: '', model: '', weight: '1' }])}>{s.route.more}</Button>
        </fieldset>
        {!route && <Command words={['route', 'add', form.name || s.command.name, ...lines.flatMap((l) => flag('target', `${l.provider}/${l.model}${form.strategy === 'weighted' ? `@${l.weight}` : ''}`)), ...(form.strategy === 'weighted' ? ['--weighted'] : []), ...flag('description', form.description)]} />}
      </Form>
    </Dialog>
  )
}

function Remove({ route: r, onClose }: { route: Route; onClose: () => void }) {
  const queries = useQueryClient()
  return (
    <Confirm title={s.route.removeTitle(r.name)} action={s.route.remove} typed={r.name} text={<p>{s.route.removeText}</p>}
      send={() => ok(api.DELETE('/api/v1/ai/routes/{route}', { params: { path: { route: r.id }, header: ifMatch(r.revision) } }))} onClose={onClose}
      onDone={() => {
        void queries.invalidateQueries({ queryKey: ['routes'] })
        onClose()
      }} />
  )
}
