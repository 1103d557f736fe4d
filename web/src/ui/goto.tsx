import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react'
import { api, ok, type Page, type Route, type Token, type User } from '../api/client'
import { nameOf } from '../providers'
import { may, useWho } from '../session'
import { s } from '../strings'
import { Dialog } from './dialog'

interface Found {
  id: string
  text: string
  kind: string
  to: string
  params?: Record<string, string>
  search?: Record<string, string>
}

const most = 6 // of a kind

/** named reads the lists that cannot be searched, once for as long as the dialog is open. */
function useNamed() {
  const who = useWho()
  return useQuery({
    queryKey: ['goto'],
    queryFn: async () => {
      const [routes, users, tokens] = await Promise.all([
        may(who, 'ai_route:read') ? (ok(api.GET('/api/v1/ai/routes', { params: { query: { limit: 500 } } })) as Promise<Page<Route>>) : null,
        may(who, 'user:read') ? (ok(api.GET('/api/v1/users', { params: { query: { limit: 500 } } })) as Promise<Page<User>>) : null,
        may(who, 'api_key:read') ? (ok(api.GET('/api/v1/tokens', { params: { query: { limit: 500 } } })) as Promise<Page<Token>>) : null,
      ])
      return [
        ...(routes?.items ?? []).map((r): Found => ({ id: r.id, text: r.name, kind: s.route.one, to: '/routes', search: { q: r.name } })),
        ...(users?.items ?? []).map((u): Found => ({ id: u.id, text: u.name, kind: s.user.one, to: '/users', search: { q: u.name } })),
        ...(tokens?.items ?? []).map((t): Found => ({ id: t.id, text: t.name, kind: s.goto.tokenOf(t.owner), to: '/tokens', search: { owner: t.owner, q: t.name } })),
      ]
    },
    staleTime: 10_000,
  })
}

/** useProviders asks the server, which has them all by name. */
function useProviders(q: string) {
  const reads = may(useWho(), 'ai_provider:read', 'ai_provider_key:read')
  return useQuery({
    queryKey: ['goto', 'providers', q], enabled: reads && q !== '', staleTime: 10_000, placeholderData: (old) => old,
    queryFn: async () => (await ok(api.GET('/api/v1/ai/providers', { params: { query: { search: q, limit: most } } }))).items
      .map((p): Found => ({ id: p.id, text: nameOf(p), kind: s.provider.one, to: '/providers/$name', params: { name: p.name } })),
  })
}

/** GoTo leads to any screen and to what has a name, by a part of it. */
export function GoTo({ places, onClose }: { places: { to: string; text: string }[]; onClose: () => void }) {
  const id = useId()
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  const q = text.trim().toLowerCase()
  const [named, providers] = [useNamed(), useProviders(q)]
  const has = (f: Found) => f.text.toLowerCase().includes(q)
  const screens = places.map((p): Found => ({ id: p.to, text: p.text, kind: s.goto.screen, to: p.to })).filter(has)
  const found = q === '' ? screens : [...screens, ...(providers.data ?? []).filter(has), ...(named.data ?? []).filter(has).slice(0, 3 * most)]
  const chosen = Math.min(at, found.length - 1)
  useEffect(() => void list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [chosen])
  const go = (f: Found | undefined) => {
    if (!f) return
    onClose()
    void navigate({ to: f.to, params: f.params, search: f.search } as never)
  }
  const onKey = (e: KeyboardEvent) => {
    const by = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0
    if (by && found.length > 0) setAt((chosen + by + found.length) % found.length)
    else if (e.key === 'Enter') go(found[chosen])
    else return
    e.preventDefault()
  }
  return (
    <Dialog title={s.goto.title} onClose={onClose}>
      <input type="text" role="combobox" aria-label={s.goto.label} aria-expanded aria-controls={id} aria-autocomplete="list" autoFocus autoComplete="off" spellCheck={false}
        aria-activedescendant={found[chosen] ? `${id}-${chosen}` : undefined} placeholder={s.goto.label} value={text} onChange={(e) => { setText(e.target.value); setAt(0) }} onKeyDown={onKey} />
      <div ref={list} id={id} role="listbox" aria-label={s.goto.title} className="goto">
        {found.map((f, i) => (
          <div key={`${f.kind} ${f.id}`} id={`${id}-${i}`} role="option" aria-selected={i === chosen} onPointerMove={() => setAt(i)} onClick={() => go(f)}>
            <span>{f.text}</span><span className="mut">{f.kind}</span>
          </div>
        ))}
      </div>
      <p className="hint" role="status">{found.length === 0 && !providers.isFetching && !named.isPending ? s.list.noneFound(text) : s.goto.found(found.length)}</p>
    </Dialog>
  )
}
