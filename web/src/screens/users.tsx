import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok, type Page, type Role, type User } from '../api/client'
import { useParam } from '../router'
import { useMay, useWho } from '../session'
import { s } from '../strings'
import { Button, SecretField, State, TextField } from '../ui/basics'
import { Choices } from '../ui/chips'
import { Confirm, Dialog, Form, useSend } from '../ui/dialog'
import { Empty, Find, List, sifted, usePages } from '../ui/list'
import { Menu } from '../ui/menu'
import { Time } from '../ui/time'
import { toast } from '../ui/toast'
import { Toggle } from '../ui/toggle'

type Open = { what: 'add' } | { what: 'edit' | 'password' | 'remove'; user: User } | null

export function Users() {
  const [open, setOpen] = useState<Open>(null)
  const [q, setQ] = useParam('q')
  const mayAdd = useMay('user:create')
  const mayChange = useMay('user:update')
  const mayRemove = useMay('user:delete')
  const self = useWho()?.id
  const maySet = useMay('password:update')
  const list = usePages<User>(['users', q], (from) => sifted((cursor, limit) => ok(api.GET('/api/v1/users', { params: { query: { cursor, limit } } })) as Promise<Page<User>>, from, q, (u) => u.name), 10_000)
  const close = () => setOpen(null)
  const add = mayAdd && <Button look="primary" onClick={() => setOpen({ what: 'add' })}>{s.user.add}</Button>
  return (
    <>
      <div className="head"><div><h1>{s.nav.users}</h1><p className="sub">{s.user.sub}</p></div><span className="sp" />{add}</div>
      <div className="find"><Find label={s.provider.find} value={q} onValue={setQ} /></div>
      <List<User> label={s.nav.users} query={list} columns={5}
        head={<tr><th>{s.user.one}</th><th>{s.user.roles}</th><th className="wide-only">{s.user.added}</th><th className="num">{s.user.letIn}</th><th><span className="sr">{s.actions}</span></th></tr>}
        row={(u) => (
          <tr key={u.id}>
            <td className="name">{u.name}</td>
            <td>{u.roles.length === 0 ? <span className="mut">{s.user.noRole}</span> : u.roles.join(', ')}{u.disabled && <> <State tone="off">{s.state.disabled}</State></>}</td>
            <td className="wide-only mut"><Time at={u.created_at} /></td>
            <td className="num"><LetIn user={u} disabled={!mayChange} /></td>
            <td><Menu label={s.user.actions(u.name)} choices={[
              mayChange && ['edit', s.edit, () => setOpen({ what: 'edit', user: u })],
              maySet && u.id !== self && ['password', s.user.password, () => setOpen({ what: 'password', user: u })],
              mayRemove && ['remove', s.user.remove, () => setOpen({ what: 'remove', user: u })],
            ]} /></td>
          </tr>
        )}
        empty={q ? <Empty title={s.list.noneFound(q)} text={s.list.noneFoundText} /> : <Empty title={s.user.none} text={s.user.noneText}>{add}</Empty>} />
      {open?.what === 'add' && <UserForm onClose={close} />}
      {open?.what === 'edit' && <UserForm user={open.user} onClose={close} />}
      {open?.what === 'password' && <GivePassword user={open.user} onClose={close} />}
      {open?.what === 'remove' && <Remove user={open.user} onClose={close} />}
    </>
  )
}

function LetIn({ user: u, disabled }: { user: User; disabled: boolean }) {
  const self = useWho()?.id === u.id
  return (
    <Toggle label={s.user.switch(u.name)} on={!u.disabled} disabled={disabled || self} shownIn={['users']}
      change={(on) => ok(api.PATCH('/api/v1/users/{user}', { params: { path: { user: u.id } }, body: { disabled: !on } }))} />
  )
}

function UserForm({ user, onClose }: { user?: User; onClose: () => void }) {
  const queries = useQueryClient()
  const [form, setForm] = useState({ name: user?.name ?? '', roles: user?.roles ?? ['member'] })
  const roles = useQuery({ queryKey: ['roles', 'names'], queryFn: () => ok(api.GET('/api/v1/roles', { params: { query: { limit: 500 } } })) as Promise<Page<Role>> })
  const run = useSend(
    () => (user ? ok(api.PATCH('/api/v1/users/{user}', { params: { path: { user: user.id } }, body: form })) : ok(api.POST('/api/v1/users', { body: form }))) as Promise<User>,
    () => {
      void queries.invalidateQueries({ queryKey: ['users'] })
      onClose()
    },
  )
  const hints = Object.fromEntries((roles.data?.items ?? []).map((r) => [r.name, s.role.about[r.name] ?? r.description]))
  return (
    <Dialog title={user ? s.user.edit(user.name) : s.user.add} onClose={onClose}>
      <Form action={user ? s.save : s.user.add} busy={run.busy} problem={run.problem} shown={['name', 'roles']} onSend={() => void run.send()} onCancel={onClose}>
        <TextField label={s.user.name} value={form.name} onValue={(name) => setForm({ ...form, name })} error={run.problem?.field('name')} autoFocus />
        <Choices label={s.user.roles} all={(roles.data?.items ?? []).map((r) => r.name)} titles={hints} chosen={form.roles} onValue={(v) => setForm({ ...form, roles: v })} error={run.problem?.field('roles')} />
      </Form>
    </Dialog>
  )
}

/** GivePassword sets the first password of another user, who must change it. */
function GivePassword({ user: u, onClose }: { user: User; onClose: () => void }) {
  const [next, setNext] = useState('')
  const run = useSend(() => ok(api.POST('/api/v1/users/{user}/password', { params: { path: { user: u.id } }, body: { new: next } })), () => {
    toast(s.password.saved)
    onClose()
  })
  return (
    <Dialog title={s.user.passwordOf(u.name)} onClose={onClose}>
      <Form action={s.user.password} busy={run.busy} problem={run.problem} shown={['new']} onSend={() => void run.send()} onCancel={onClose}>
        <p className="text">{s.user.passwordText}</p>
        <SecretField label={s.password.next} value={next} onValue={setNext} error={run.problem?.field('new')} hint={s.password.hint} autoComplete="new-password" />
      </Form>
    </Dialog>
  )
}

function Remove({ user: u, onClose }: { user: User; onClose: () => void }) {
  const queries = useQueryClient()
  return (
    <Confirm title={s.user.removeTitle(u.name)} action={s.user.remove} typed={u.name} text={<p>{s.user.removeText}</p>}
      send={() => ok(api.DELETE('/api/v1/users/{user}', { params: { path: { user: u.id } } }))} onClose={onClose}
      onDone={() => {
        void queries.invalidateQueries({ queryKey: ['users'] })
        onClose()
      }} />
  )
}
