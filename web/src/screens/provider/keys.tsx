import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, type KeyboardEvent } from 'react'
import { api, asProblem, ifMatch, ok, type Provider, type ProviderKey, type Schemas } from '../../api/client'
import { keyTones, nameOf, providerKey } from '../../providers'
import { useMay } from '../../session'
import { s } from '../../strings'
import { Button, Check, SecretField, State, TextField } from '../../ui/basics'
import { Confirm, Dialog, Form, useSend } from '../../ui/dialog'
import { Empty } from '../../ui/list'
import { Menu } from '../../ui/menu'
import { Time, useNow } from '../../ui/time'
import { refused, toast } from '../../ui/toast'

type Open = { what: 'add' } | { what: 'rotate' | 'edit' | 'remove'; key: ProviderKey } | null

/** Keys are the keys of a provider, in the order in which they are tried. */
export function Keys({ provider: p }: { provider: Provider }) {
  const [open, setOpen] = useState<Open>(null)
  const mayAdd = useMay('ai_provider_key:create')
  const close = () => setOpen(null)
  const add = mayAdd && !p.deleted && <Button onClick={() => setOpen({ what: 'add' })}>{s.key.add}</Button>
  return (
    <>
      {p.api_keys.length === 0 ? <Empty title={s.key.noneTitle} text={s.key.noneText}>{add}</Empty> : (
        <section className="card" aria-label={s.key.order}>
          <div className="title"><h2>{s.key.order}</h2>{add}</div>
          <Ordered provider={p} onOpen={setOpen} />
        </section>
      )}
      {open?.what === 'add' && <AddKey provider={p} onClose={close} />}
      {open?.what === 'rotate' && <Rotate provider={p} k={open.key} onClose={close} />}
      {open?.what === 'edit' && <EditKey provider={p} k={open.key} onClose={close} />}
      {open?.what === 'remove' && <RemoveKey provider={p} k={open.key} onClose={close} />}
    </>
  )
}

const named = (k: ProviderKey) => k.label || k.hint || s.key.unnamed

/** useChanged has everything on the screen read again: what shows keys, and what counts them. */
function useChanged() {
  const queries = useQueryClient()
  return () => queries.invalidateQueries()
}

function Ordered({ provider: p, onOpen }: { provider: Provider; onOpen: (o: Open) => void }) {
  const mayMove = useMay('ai_provider_key:update', 'ai_provider:update') && !p.deleted
  const queries = useQueryClient()
  const [order, setOrder] = useState<string[] | null>(null) // while keys are moved, and until the server has it
  const [lifted, setLifted] = useState('')
  const [said, setSaid] = useState('')
  const body = useRef<HTMLTableSectionElement>(null)
  const keys = order ? order.flatMap((id) => p.api_keys.find((k) => k.id === id) ?? []) : p.api_keys

  const move = (id: string, to: number) => {
    const ids = keys.map((k) => k.id)
    const from = ids.indexOf(id)
    if (from < 0 || to < 0 || to >= ids.length || from === to) return
    ids.splice(to, 0, ...ids.splice(from, 1))
    setOrder(ids)
    setSaid(s.key.moved(to + 1, ids.length))
  }
  const save = async () => {
    setLifted('')
    if (!order || order.join() === p.api_keys.map((k) => k.id).join()) return setOrder(null)
    try {
      // The order alone: each key is kept by its id, and none is added or removed.
      const changed = await ok(api.PATCH('/api/v1/ai/providers/{provider}', {
        params: { path: { provider: p.name }, header: ifMatch(p.revision) }, body: { api_keys: order.map((id) => ({ id })) },
      }))
      queries.setQueryData(providerKey(p.name), changed)
      setSaid(s.key.orderSaved)
    } catch (e) {
      if (asProblem(e).status === 412) toast(s.key.orderStale, { bad: true })
      else refused(e)
      await queries.invalidateQueries({ queryKey: providerKey(p.name) })
    }
    setOrder(null)
  }
  const onKey = (e: KeyboardEvent, id: string, at: number) => {
    if (e.key === ' ' || e.key === 'Enter') {
      if (lifted === id) void save()
      else {
        setLifted(id)
        setSaid(s.key.lifted)
      }
    } else if (lifted === id && e.key === 'ArrowUp') move(id, at - 1)
    else if (lifted === id && e.key === 'ArrowDown') move(id, at + 1)
    else if (lifted === id && e.key === 'Escape') {
      setLifted('')
      setOrder(null)
      setSaid(s.key.notMoved)
    } else return
    e.preventDefault()
  }
  // By pointer: the row goes where the pointer is, until it is let go.
  const drag = useRef('')
  const onMove = (y: number) => {
    const all = [...(body.current?.rows ?? [])]
    const to = all.findIndex((r) => y < r.getBoundingClientRect().bottom)
    move(drag.current, to < 0 ? all.length - 1 : to)
  }
  useEffect(() => { // the grip that moves a row keeps the focus
    if (lifted && !drag.current) body.current?.querySelector<HTMLElement>(`[data-grip="${lifted}"]`)?.focus()
  }, [order, lifted])
  return (
    <>
      <table aria-label={s.key.order}>
        <thead><tr>{mayMove && <th><span className="sr">{s.key.move}</span></th>}<th>{s.key.one}</th><th>{s.state.label}</th><th className="wide-only">{s.key.lastUsed}</th><th className="wide-only">{s.key.expires}</th><th><span className="sr">{s.actions}</span></th></tr></thead>
        <tbody ref={body}>
          {keys.map((k, at) => (
            <tr key={k.id} className={lifted === k.id ? 'lifted' : undefined}>
              {mayMove && (
                <td>
                  <button type="button" className="grip" data-grip={k.id} aria-pressed={lifted === k.id} aria-label={s.key.grip(named(k), at + 1)} title={s.key.gripHint}
                    onKeyDown={(e) => onKey(e, k.id, at)}
                    onPointerDown={(e) => { e.currentTarget.setPointerCapture(e.pointerId); drag.current = k.id; setLifted(k.id) }}
                    onPointerMove={(e) => drag.current && onMove(e.clientY)}
                    onPointerUp={() => { drag.current = ''; void save() }}
                    onPointerCancel={() => { drag.current = ''; setLifted(''); setOrder(null) }}>⋮⋮</button>
                </td>
              )}
              <td><div className="name">{k.label || s.key.unnamed}</div><div className="mono mut">{k.hint || s.key.noHint}</div></td>
              <td><KeyState k={k} /></td>
              <td className="wide-only mut"><Time at={k.last_used_at} none={s.never} /></td>
              <td className="wide-only mut"><Expiry at={k.expires_at} /></td>
              <td>{!p.deleted && <Actions provider={p} k={k} onOpen={onOpen} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="sr" aria-live="assertive">{said}</p>
    </>
  )
}

/** KeyState is a word, the reason, and how long it lasts. */
function KeyState({ k }: { k: ProviderKey }) {
  const now = useNow()
  const left = k.state_until ? Math.max(0, Math.ceil((Date.parse(k.state_until) - now) / 1000)) : null
  const reason = k.state === 'unreadable' ? s.key.unreadableHint : k.state_reason ? s.key.reasons[k.state_reason] ?? k.state_reason.replaceAll('_', ' ') : ''
  return (
    <>
      <State tone={keyTones[k.state]}>{s.state.key[k.state]}{k.state === 'cooling' && left !== null && s.key.left(left)}</State>
      {reason && <p className="hint">{reason}{k.state === 'failed' && left !== null && left > 0 && ` ${s.key.tryAgain(left)}`}</p>}
    </>
  )
}

function Expiry({ at }: { at: string | null }) {
  const now = useNow()
  if (!at) return <>–</>
  const soon = Date.parse(at) - now < 14 * 86400_000
  return soon ? <State tone="warn"><Time at={at} /></State> : <Time at={at} />
}

function Actions({ provider: p, k, onOpen }: { provider: Provider; k: ProviderKey; onOpen: (o: Open) => void }) {
  const changed = useChanged()
  const mayChange = useMay('ai_provider_key:update')
  const mayRemove = useMay('ai_provider_key:delete')
  const mayRotate = useMay('ai_provider:update', 'ai_provider_key:create', 'ai_provider_key:delete', 'ai_provider_key:update')
  // What is undone is the switch alone, whatever else has changed since.
  const toggle = (disabled: boolean, at?: number) => ok(api.PATCH('/api/v1/ai/providers/{provider}/keys/{id}', {
    params: { path: { provider: p.name, id: k.id }, header: at === undefined ? undefined : ifMatch(at) }, body: { disabled },
  })).then(() => {
    if (disabled) toast(s.key.off(named(k)), { undo: () => void toggle(false) })
    return changed()
  }, refused)
  return (
    <Menu label={s.key.actions(named(k))} choices={[
      mayRotate && ['rotate', s.key.rotate, () => onOpen({ what: 'rotate', key: k })],
      mayChange && ['edit', s.edit, () => onOpen({ what: 'edit', key: k })],
      mayChange && ['toggle', k.disabled ? s.key.enable : s.key.disable, () => void toggle(!k.disabled, p.revision)],
      mayRemove && ['remove', s.key.remove, () => onOpen({ what: 'remove', key: k })],
    ]} />
  )
}

const stamp = (local: string) => (local ? new Date(local).toISOString() : undefined)

function AddKey({ provider: p, onClose }: { provider: Provider; onClose: () => void }) {
  const changed = useChanged()
  const [form, setForm] = useState({ api_key: '', label: '', expires: '' })
  const run = useSend(() => ok(api.POST('/api/v1/ai/providers/{provider}/keys', {
    params: { path: { provider: p.name }, header: ifMatch(p.revision) },
    body: { api_key: form.api_key, label: form.label || undefined, expires_at: stamp(form.expires) },
  })), () => { void changed(); onClose() })
  return (
    <Dialog title={s.key.addTitle(nameOf(p))} onClose={onClose}>
      <Form action={s.key.add} busy={run.busy} problem={run.problem} shown={['api_key', 'label', 'expires_at']} onSend={() => void run.send()} onCancel={onClose}>
        <SecretField label={s.key.secret} value={form.api_key} onValue={(api_key) => setForm({ ...form, api_key })} error={run.problem?.field('api_key')} hint={s.key.sealed} autoFocus />
        <TextField label={s.key.label} value={form.label} onValue={(label) => setForm({ ...form, label })} error={run.problem?.field('label')} hint={s.key.labelHint} />
        <TextField label={s.key.expires} type="datetime-local" value={form.expires} onValue={(expires) => setForm({ ...form, expires })} error={run.problem?.field('expires_at')} hint={s.key.expiresHint} />
      </Form>
    </Dialog>
  )
}

function EditKey({ provider: p, k, onClose }: { provider: Provider; k: ProviderKey; onClose: () => void }) {
  const changed = useChanged()
  const [form, setForm] = useState({ label: k.label, weight: String(k.weight), expires: k.expires_at ? local(k.expires_at) : '' })
  const run = useSend(() => ok(api.PATCH('/api/v1/ai/providers/{provider}/keys/{id}', {
    params: { path: { provider: p.name, id: k.id }, header: ifMatch(p.revision) },
    body: { label: form.label, expires_at: stamp(form.expires) ?? null, weight: Number(form.weight) },
  })), () => { void changed(); onClose() })
  return (
    <Dialog title={s.key.editTitle(named(k))} onClose={onClose}>
      <Form action={s.save} busy={run.busy} problem={run.problem} shown={['label', 'expires_at', 'weight']} onSend={() => void run.send()} onCancel={onClose}>
        <TextField label={s.key.label} value={form.label} onValue={(label) => setForm({ ...form, label })} error={run.problem?.field('label')} />
        <TextField label={s.key.expires} type="datetime-local" value={form.expires} onValue={(expires) => setForm({ ...form, expires })} error={run.problem?.field('expires_at')} hint={s.key.expiresHint} />
        <TextField label={s.key.weight} type="number" min={0} max={1000} value={form.weight} onValue={(weight) => setForm({ ...form, weight })} error={run.problem?.field('weight')} hint={s.key.weightHint} />
      </Form>
    </Dialog>
  )
}

function local(at: string): string {
  const d = new Date(at)
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

function Rotate({ provider: p, k, onClose }: { provider: Provider; k: ProviderKey; onClose: () => void }) {
  const changed = useChanged()
  const [form, setForm] = useState({ api_key: '', skip: false })
  const [result, setResult] = useState<Schemas['KeyRotation'] | null>(null)
  const run = useSend(() => ok(api.POST('/api/v1/ai/providers/{provider}/keys/{id}/rotate', {
    params: { path: { provider: p.name, id: k.id }, header: ifMatch(p.revision) },
    body: { api_key: form.api_key, skip_test: form.skip || undefined },
  })), (r) => {
    setForm({ api_key: '', skip: false })
    setResult(r)
    void changed()
  })
  return (
    <Dialog title={s.key.rotateTitle(named(k))} onClose={onClose}>
      {result ? (
        <div className="text" role="status">
          <p><State tone="ok">{s.key.rotated}</State> <span className="mono">{result.key.hint}</span></p>
          <p>{result.drained ? s.key.drained : s.key.notDrained}</p>
          <div className="actions"><Button look="primary" onClick={onClose}>{s.done}</Button></div>
        </div>
      ) : (
        <Form action={s.key.rotate} busy={run.busy} problem={run.problem} shown={['api_key']} onSend={() => void run.send()} onCancel={onClose}>
          <p className="text">{s.key.rotateText(k.hint)}</p>
          <SecretField label={s.key.newSecret} value={form.api_key} onValue={(api_key) => setForm({ ...form, api_key })} error={run.problem?.field('api_key')} hint={s.key.sealed} autoFocus />
          <Check label={s.key.skipTest} hint={s.key.skipTestHint} checked={form.skip} onValue={(skip) => setForm({ ...form, skip })} />
        </Form>
      )}
    </Dialog>
  )
}

function RemoveKey({ provider: p, k, onClose }: { provider: Provider; k: ProviderKey; onClose: () => void }) {
  const changed = useChanged()
  return (
    <Confirm title={s.key.removeTitle(named(k))} action={s.key.remove} text={<><p>{s.key.removeText}</p><p>{p.api_keys.length === 1 ? s.key.removeLast : s.key.removeOthers(p.api_keys.length - 1)}</p></>}
      send={() => ok(api.DELETE('/api/v1/ai/providers/{provider}/keys/{id}', { params: { path: { provider: p.name, id: k.id }, header: ifMatch(p.revision) } }))}
      onClose={onClose} onDone={() => { void changed(); onClose() }} />
  )
}
