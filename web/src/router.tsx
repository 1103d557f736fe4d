import { createRootRoute, createRoute, createRouter, lazyRouteComponent, useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback } from 'react'
import { NotFound, Shell } from './shell'

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound })

// Each screen is a file of its own, which comes when it is first opened.
const routes = [
  createRoute({ getParentRoute: () => root, path: '/', component: lazyRouteComponent(() => import('./screens/home'), 'Home') }),
  createRoute({ getParentRoute: () => root, path: '/welcome', component: lazyRouteComponent(() => import('./screens/welcome'), 'Welcome') }),
  createRoute({ getParentRoute: () => root, path: '/providers', component: lazyRouteComponent(() => import('./screens/providers'), 'Providers') }),
  createRoute({ getParentRoute: () => root, path: '/providers/$name', component: lazyRouteComponent(() => import('./screens/provider'), 'ProviderPage') }),
  createRoute({ getParentRoute: () => root, path: '/requests', component: lazyRouteComponent(() => import('./screens/requests'), 'Requests') }),
  createRoute({ getParentRoute: () => root, path: '/requests/$id', component: lazyRouteComponent(() => import('./screens/request'), 'RequestPage') }),
  createRoute({ getParentRoute: () => root, path: '/routes', component: lazyRouteComponent(() => import('./screens/routes'), 'Routes') }),
  createRoute({ getParentRoute: () => root, path: '/encryption', component: lazyRouteComponent(() => import('./screens/encryption'), 'Encryption') }),
  createRoute({ getParentRoute: () => root, path: '/overview', component: lazyRouteComponent(() => import('./screens/overview'), 'Overview') }),
  createRoute({ getParentRoute: () => root, path: '/tokens', component: lazyRouteComponent(() => import('./screens/tokens'), 'Tokens') }),
  createRoute({ getParentRoute: () => root, path: '/users', component: lazyRouteComponent(() => import('./screens/users'), 'Users') }),
  createRoute({ getParentRoute: () => root, path: '/roles', component: lazyRouteComponent(() => import('./screens/roles'), 'Roles') }),
  createRoute({ getParentRoute: () => root, path: '/account', component: lazyRouteComponent(() => import('./screens/account'), 'Account') }),
  createRoute({ getParentRoute: () => root, path: '/audit', component: lazyRouteComponent(() => import('./screens/audit'), 'Audit') }),
] as const

export const router = createRouter({
  routeTree: root.addChildren(routes),
  defaultPreload: 'intent',
  scrollRestoration: true,
  // Addresses are read by people: plain names and values, no JSON.
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const text = new URLSearchParams(Object.entries(search as Record<string, string>).filter(([, v]) => v !== '' && v !== undefined)).toString()
    return text && `?${text}`
  },
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

/** useParam is one parameter of the address: the filters of a list, the tab of a page. */
export function useParam(name: string): [string, (value: string) => void] {
  const search = useSearch({ strict: false }) as Record<string, string | undefined>
  const navigate = useNavigate()
  const set = useCallback(
    (value: string) => void navigate({ to: '.', replace: true, search: ((old: Record<string, string>) => ({ ...old, [name]: value })) as never }),
    [navigate, name],
  )
  return [search[name] ?? '', set]
}
