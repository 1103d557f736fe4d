import { useSyncExternalStore } from 'react'
import { api, bearer, ok, watchAnswers, type Schemas } from './api/client'

/** Who is who uses the console, and what they may do. */
export type Who = Schemas['Me']

let who: Who | null = null
let ended = false
const listeners = new Set<() => void>()

function set(next: Who | null, over: boolean) {
  if (next === who && over === ended) return
  who = next
  ended = over
  listeners.forEach((f) => f())
}

const subscribe = (f: () => void) => {
  listeners.add(f)
  return () => listeners.delete(f)
}

watchAnswers((status) => {
  if (status === 401 && who) {
    bearer.token = ''
    set(null, true)
  }
})

/** signIn begins a session with a token, which stays in the memory of this page. */
export async function signIn(token: string): Promise<Who> {
  bearer.token = token
  try {
    const me = await ok(api.GET('/api/v1/me'))
    set(me, false)
    return me
  } catch (e) {
    bearer.token = ''
    throw e
  }
}

export async function signOut(): Promise<void> {
  bearer.token = ''
  set(null, false)
}

export const useWho = () => useSyncExternalStore(subscribe, () => who)

/** useEnded says whether there was a session that the server ended. */
export const useEnded = () => useSyncExternalStore(subscribe, () => ended)

/** may reports whether all of these permissions are there, on all records or on one's own. */
export function may(w: Who | null, ...permissions: string[]): boolean {
  return permissions.every((p) => w?.permissions.some((has) => has === p || has === `${p}:own`))
}

export function useMay(...permissions: string[]): boolean {
  return may(useWho(), ...permissions)
}
