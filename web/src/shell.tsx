import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { lazy, Suspense, useEffect, useState } from 'react'
import { api, ok, Problem, watchAnswers } from './api/client'
import { load, may, signOut, useSession, useWho } from './session'
import { MustChange, SignIn } from './screens/signin'
import { store } from './store'
import { s } from './strings'
import { Button } from './ui/basics'
import { Dialog } from './ui/dialog'
import { Empty, Failed } from './ui/list'
import { Time } from './ui/time'
import { refused, Toasts } from './ui/toast'

const GoTo = lazy(() => import('./ui/goto').then((m) => ({ default: m.GoTo })))

interface Place {
  to: string
  text: string
  key: string
  needs: string[]
}

/** The places of the console, each for who may read what it shows. */
const places: { title?: string; items: Place[] }[] = [
  {
    items: [
      { to: '/overview', text: s.nav.overview, key: 'h', needs: ['interception:read'] },
      { to: '/providers', text: s.nav.providers, key: 'p', needs: ['ai_provider:read', 'ai_provider_key:read'] },
      { to: '/routes', text: s.nav.routes, key: 'o', needs: ['ai_route:read'] },
      { to: '/requests', text: s.nav.requests, key: 'q', needs: ['interception:read'] },
    ],
  },
  {
    title: s.nav.access,
    items: [
      { to: '/tokens', text: s.nav.tokens, key: 't', needs: ['api_key:read'] },
      { to: '/users', text: s.nav.users, key: 'u', needs: ['user:read'] },
      { to: '/roles', text: s.nav.roles, key: 'r', needs: ['role:read'] },
    ],
  },
  {
    title: s.nav.trust,
    items: [
      { to: '/audit', text: s.nav.audit, key: 'a', needs: ['audit_log:read'] },
      { to: '/encryption', text: s.nav.encryption, key: 'e', needs: ['encryption_key:read', 'replica:read'] },
    ],
  },
]

export const placesOf = (who: Parameters<typeof may>[0]) =>
  places.map((g) => ({ ...g, items: g.items.filter((p) => may(who, ...p.needs)) })).filter((g) => g.items.length > 0)

// What is no place to go to, and not for everybody either.
const others = [{ to: '/welcome', needs: ['ai_provider:create', 'ai_provider:read', 'ai_provider_key:create', 'ai_provider_key:read'] }]

/** allowed reports whether an address is for somebody, as far as it is one of the console. */
function allowed(who: Parameters<typeof may>[0], path: string): boolean {
  const at = [...places.flatMap((g) => g.items), ...others].find((p) => path === p.to || path.startsWith(`${p.to}/`))
  return !at || may(who, ...at.needs)
}

export const Mark = () => (
  <svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
    <path d="M3 18V4h2.6v2h2.2V4h4.4v2h2.2V4H17v14" /><path d="M7 18v-5a3 3 0 0 1 6 0v5" /><path d="M3 10h14" />
  </svg>
)

/** Shell is what is around each screen: who is signed in, where one can go, whether the server is there. */
export function Shell() {
  const { who, unreached } = useSession()
  const path = useRouterState({ select: (r) => r.location.pathname })
  const queries = useQueryClient()
  useEffect(() => void load(), [])
  useEffect(() => { // the server was away when the page came
    if (!unreached) return
    const t = setInterval(() => void load(), 1000)
    return () => clearInterval(t)
  }, [unreached])
  useEffect(() => {
    if (!who) queries.clear() // nothing of one user is there for the next
  }, [who, queries])
  useEffect(() => {
    document.title = `${s.titles[path.split('/')[1] ?? ''] ?? s.titles['']} · Gatehouse`
  }, [path, who])
  if (who === undefined) return <Away />
  if (!who) return <><Away /><SignIn /></>
  if (who.password_must_change) return <><Away /><MustChange /><Toasts /></>
  return (
    <>
      <a className="skip" href="#main">{s.nav.skip}</a>
      <Away />
      <div className="app">
        <Navigation />
        <main id="main" tabIndex={-1}>{allowed(who, path) ? <Outlet /> : <Failed top problem={new Problem(403, s.failed.role)} />}</main>
      </div>
      <Keys />
      <Toasts />
    </>
  )
}

function Navigation() {
  const who = useWho()
  const [open, setOpen] = useState(false)
  const path = useRouterState({ select: (r) => r.location.pathname })
  useEffect(() => setOpen(false), [path])
  const version = useQuery({ queryKey: ['version'], queryFn: () => ok(api.GET('/api/v1/version')), staleTime: Infinity })
  return (
    <nav aria-label={s.nav.label} className={open ? 'open' : undefined}>
      <div className="brand">
        <Mark /> Gatehouse
        <Button look="ghost" className="menu" aria-expanded={open} onClick={() => setOpen(!open)}>{s.nav.menu}</Button>
      </div>
      <div className="places">
        <Button look="ghost" className="find-any" aria-keyshortcuts="Control+K Meta+K" onClick={() => palette.set(true)}>{s.goto.title}<kbd>{s.goto.key}</kbd></Button>
        {placesOf(who).map((group, i) => (
          <div key={i} className="group">
            {group.title && <p className="heading">{group.title}</p>}
            {group.items.map((p) => <Link key={p.to} to={p.to} activeProps={{ className: 'on' }}>{p.text}</Link>)}
          </div>
        ))}
        <div className="foot">
          <p><Link to="/account" className="self" aria-label={s.account.of(who?.name ?? '')}><b>{who?.name}</b></Link>{who && who.roles.length > 0 && ` · ${who.roles.join(', ')}`}</p>
          {version.data && <p>Gatehouse {version.data.version}</p>}
          <div className="row wrap"><Theme /><Link to="/account" className="btn ghost">{s.account.title}</Link><Button look="ghost" onClick={() => void signOut().catch(refused)}>{s.nav.signOut}</Button></div>
        </div>
      </div>
    </nav>
  )
}

function Theme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? 'system')
  const choose = (v: string) => {
    setTheme(v)
    if (v === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = v
    try {
      localStorage.setItem('theme', v)
    } catch {
      // A browser that keeps nothing: it holds until the page is left.
    }
  }
  return (
    <select className="theme" aria-label={s.theme.label} value={theme} onChange={(e) => choose(e.target.value)}>
      {s.theme.choices.map(([v, text]) => <option key={v} value={v}>{text}</option>)}
    </select>
  )
}

// Since when the server is away: nothing answers, or what stands before it says so.
const away = store<string | null>(null)
watchAnswers((status) => away.set(status === 0 || status === 502 || status === 504 ? (away.get() ?? new Date().toISOString()) : null))

function Away() {
  const since = away.use()
  const queries = useQueryClient()
  useEffect(() => { // a screen that asks for nothing by itself is to say so, too
    const t = setInterval(() => {
      api.GET('/healthz').then(() => (since ? queries.invalidateQueries() : undefined), () => undefined)
    }, since ? 1000 : 3000)
    return () => clearInterval(t)
  }, [since, queries])
  return <div role="status">{since && <p className="away">{s.away} <Time at={since} /></p>}</div>
}

// Whether the dialog is open that leads to anything by its name.
const palette = store(false)

/** Keys are the shortcuts, which `?` shows. */
function Keys() {
  const who = useWho()
  const navigate = useNavigate()
  const [help, setHelp] = useState(false)
  const finding = palette.use()
  const all = placesOf(who).flatMap((g) => g.items)
  useEffect(() => () => palette.set(false), [])
  useEffect(() => {
    let go = false
    const onKey = (e: KeyboardEvent) => {
      const at = e.target as HTMLElement
      if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k' && !document.querySelector('dialog[open]')) {
        e.preventDefault()
        palette.set(true)
      }
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest('input, textarea, select, dialog')) return
      const place = go && placesOf(who).flatMap((g) => g.items).find((p) => p.key === e.key)
      go = false
      if (place) void navigate({ to: place.to })
      else if (e.key === 'g') go = true
      else if (e.key === '?') setHelp(true)
      else if (e.key === '/') document.querySelector<HTMLElement>('[data-find]')?.focus()
      else if (e.key === 'j' || e.key === 'k') step(e.key === 'j' ? 1 : -1)
      else return
      e.preventDefault()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [who, navigate])
  if (finding) return <Suspense><GoTo places={[...all, { to: '/account', text: s.account.title }]} onClose={() => palette.set(false)} /></Suspense>
  if (!help) return null
  return (
    <Dialog title={s.keys.title} onClose={() => setHelp(false)}>
      <dl className="kv">
        {s.keys.list.map(([k, text]) => <div key={k}><dt><kbd>{k}</kbd></dt><dd>{text}</dd></div>)}
        {placesOf(who).flatMap((g) => g.items).map((p) => <div key={p.key}><dt><kbd>g</kbd> <kbd>{p.key}</kbd></dt><dd>{p.text}</dd></div>)}
      </dl>
    </Dialog>
  )
}

/** step moves the focus through the rows of the list. */
function step(by: number) {
  const links = [...document.querySelectorAll<HTMLElement>('main [data-row]')]
  const at = links.indexOf(document.activeElement as HTMLElement)
  links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))]?.focus()
}

export const NotFound = () => <Empty top title={s.notFound.title} text={s.notFound.text}><Link to="/" className="btn">{s.notFound.home}</Link></Empty>
