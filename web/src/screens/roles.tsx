import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok, type Page, type Role } from '../api/client'
import { useMay } from '../session'
import { s } from '../strings'
import { Button, State, TextField } from '../ui/basics'
import { Confirm, Dialog, Form, useSend } from '../ui/dialog'
import { Fetched } from '../ui/list'
import { Menu } from '../ui/menu'

type Reach = '' | 'own' | 'all'

/** reachOf is how far a role's permission goes. */
const reachOf = (r: { permissions: string[] }, p: string): Reach => (r.permissions.includes(p) ? 'all' : r.permissions.includes(`${p}:own`) ? 'own' : '')

/** Roles are shown as a matrix of what each can do; one's own can be made and changed. */
export function Roles() {
  const [open, setOpen] = useState<{ what: 'add' } | { what: 'edit' | 'remove'; role: Role } | null>(null)
  const mayAdd = useMay('role:create')
  const mayChange = useMay('role:update')
  const mayRemove = useMay('role:delete')
  const query = useQuery({ queryKey: ['roles'], queryFn: () => ok(api.GET('/api/v1/roles', { params: { query: { limit: 500 } } })) as Promise<Page<Role>> })
  const close = () => setOpen(null)
  return (
    <>
      <div className="head"><div><h1>{s.nav.roles}</h1><p className="sub">{s.role.sub}</p></div><span className="sp" />{mayAdd && <Button look="primary" onClick={() => setOpen({ what: 'add' })}>{s.role.add}</Button>}</div>
      <Fetched query={query}>
        {({ items }) => (
          <>
            <div className="card scroll" tabIndex={0} role="group" aria-label={s.role.matrix}>
              <table aria-label={s.role.matrix}>
                <thead>
                  <tr><th>{s.role.permission}</th>{items.map((r) => (
                    <th key={r.name} scope="col">
                      <div className="row"><span>{r.name}</span>{!r.built_in && <Menu label={s.role.actions(r.name)} choices={[
                        mayChange && ['edit', s.edit, () => setOpen({ what: 'edit', role: r })],
                        mayRemove && ['remove', s.role.remove, () => setOpen({ what: 'remove', role: r })],
                      ]} />}</div>
                    </th>
                  ))}</tr>
                </thead>
                <tbody>{permissionsOf(items).map((p) => <tr key={p}><th scope="row" className="mono">{p}</th>{items.map((r) => <td key={r.name}><Reaches reach={reachOf(r, p)} /></td>)}</tr>)}</tbody>
              </table>
            </div>
            {open?.what === 'add' && <RoleForm all={permissionsOf(items)} onClose={close} />}
            {open?.what === 'edit' && <RoleForm all={permissionsOf(items)} role={open.role} onClose={close} />}
            {open?.what === 'remove' && <Remove role={open.role} onClose={close} />}
          </>
        )}
      </Fetched>
    </>
  )
}

/** permissionsOf are all there are: the owner has each of them. */
const permissionsOf = (roles: Role[]) => [...new Set(roles.flatMap((r) => r.permissions.map((p) => p.replace(/:own$/, ''))))].sort()

const Reaches = ({ reach }: { reach: Reach }) => (reach === '' ? <span className="mut" aria-label={s.role.reach['']}>–</span> : <State tone={reach === 'all' ? 'ok' : 'off'}>{s.role.reach[reach]}</State>)

function RoleForm({ all, role, onClose }: { all: string[]; role?: Role; onClose: () => void }) {
  const queries = useQueryClient()
  const [form, setForm] = useState({ name: role?.name ?? '', description: role?.description ?? '', permissions: role?.permissions ?? [] })
  const run = useSend(
    () => (role
      ? ok(api.PATCH('/api/v1/roles/{role}', { params: { path: { role: role.name } }, body: { description: form.description || null, permissions: form.permissions } }))
      : ok(api.POST('/api/v1/roles', { body: { ...form, description: form.description || undefined } }))) as Promise<Role>,
    () => {
      void queries.invalidateQueries({ queryKey: ['roles'] })
      onClose()
    },
  )
  const set = (p: string, reach: Reach) => setForm((f) => ({
    ...f, permissions: [...f.permissions.filter((x) => x !== p && x !== `${p}:own`), ...(reach === 'all' ? [p] : reach === 'own' ? [`${p}:own`] : [])],
  }))
  return (
    <Dialog title={role ? s.role.edit(role.name) : s.role.add} wide onClose={onClose}>
      <Form action={role ? s.save : s.role.add} busy={run.busy} problem={run.problem} shown={['name', 'description', 'permissions']} onSend={() => void run.send()} onCancel={onClose}>
        {!role && <TextField label={s.role.name} mono value={form.name} onValue={(name) => setForm({ ...form, name })} error={run.problem?.field('name')} hint={s.role.nameHint} autoFocus />}
        <TextField label={s.role.description} value={form.description} onValue={(description) => setForm({ ...form, description })} error={run.problem?.field('description')} />
        <fieldset>
          <legend className="legend">{s.role.grants}</legend>
          {run.problem?.field('permissions') && <p className="error">{run.problem.field('permissions')}</p>}
          <p className="hint">{s.role.grantsHint}</p>
          <div className="choices">
            {all.map((p) => (
              <label key={p} className="grant"><span className="mono">{p}</span>
                <select value={reachOf(form, p)} onChange={(e) => set(p, e.target.value as Reach)}>{(['', 'own', 'all'] as const).map((r) => <option key={r} value={r}>{s.role.reach[r]}</option>)}</select>
              </label>
            ))}
          </div>
        </fieldset>
      </Form>
    </Dialog>
  )
}

function Remove({ role: r, onClose }: { role: Role; onClose: () => void }) {
  const queries = useQueryClient()
  return (
    <Confirm title={s.role.removeTitle(r.name)} action={s.role.remove} typed={r.name} text={<p>{s.role.removeText}</p>}
      send={() => ok(api.DELETE('/api/v1/roles/{role}', { params: { path: { role: r.name } } }))} onClose={onClose}
      onDone={() => {
        void queries.invalidateQueries({ queryKey: ['roles'] })
        onClose()
      }} />
  )
}
