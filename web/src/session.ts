import { api, asProblem, ok, watchAnswers, type Schemas } from './api/client'
import { store } from './store'

/** Who is who uses the console, and what they may do. */
export type Who = Schemas['SignedIn']

interface State {
  /** who is undefined until the server has said it, and null while nobody is signed in. */
  who: Who | null | undefined
  /** ended says that there was a session, which the server ended. */
  ended: boolean
  /** unreached says that the server could not be asked. */
  unreached: boolean
}

const session = store<State>({ who: undefined, ended: false, unreached: false })
const set = (next: Partial<State>) => session.set({ ...session.get(), ...next })

watchAnswers((status) => {
  if (status === 401 && session.get().who) set({ who: null, ended: true })
})

/** load asks the server who is signed in at this browser: the cookie is not for scripts to see. */
export async function load(): Promise<void> {
  try {
    set({ who: await ok(api.GET('/api/v1/session')), unreached: false })
  } catch (e) {
    if (asProblem(e).status === 401) set({ who: null, unreached: false })
    else set({ unreached: true })
  }
}

export type Credentials = { name: string; password: string } | { token: string }

/** signIn begins a session. What was presented is not kept. */
export async function signIn(body: Credentials): Promise<void> {
  set({ who: await ok(api.POST('/api/v1/session', { body })), ended: false })
}

/** Methods are the ways to sign in that the server has. */
export type Methods = Schemas['SignInMethods']

export const methods = (): Promise<Methods> => ok(api.GET('/api/v1/session/methods'))

/** goTo leaves for an identity provider, to come back to where it was. */
export function goTo(provider: string): void {
  location.assign(`/api/v1/session/oidc/${provider}?return=${encodeURIComponent(location.pathname + location.search)}`)
}

/** takeFailure returns why an identity provider let nobody in, once: it goes from the address. */
export function takeFailure(): string | null {
  const query = new URLSearchParams(location.search)
  const reason = query.get('sign_in_failed')
  if (reason !== null) {
    query.delete('sign_in_failed')
    history.replaceState(history.state, '', location.pathname + (query.size > 0 ? `?${query}` : ''))
  }
  return reason
}

/** signOut ends the session, and leaves for the identity provider if that was what it began with. */
export async function signOut(): Promise<void> {
  const provider = session.get().who?.session?.provider
  try {
    await ok(api.DELETE('/api/v1/session'))
  } catch (e) {
    if (asProblem(e).status !== 401) throw e
  }
  set({ who: null, ended: false })
  if (provider) location.assign(`/api/v1/session/oidc/${provider}/end`)
}

export const useSession = session.use

export const useWho = () => useSession().who ?? null

/** may reports whether all of these permissions are there, on all records or on one's own. */
export function may(w: Who | null, ...permissions: string[]): boolean {
  return permissions.every((p) => w?.permissions.some((has) => has === p || has === `${p}:own`))
}

export function useMay(...permissions: string[]): boolean {
  return may(useWho(), ...permissions)
}
