import createClient from 'openapi-fetch'
import type { components, paths } from './schema'

export type Schemas = components['schemas']
export type Provider = Schemas['Provider']
export type ProviderKey = Schemas['ProviderKey']
export type Token = Schemas['Token']
export type Interception = Schemas['Interception']
export type AuditEntry = Schemas['AuditEntry']
export type Route = Schemas['Route']
export type User = Schemas['User']
export type Role = Schemas['Role']

/** Page is how the API returns lists. */
export interface Page<T> {
  items: T[]
  next_cursor: string | null
}

/** Problem is what the API says went wrong. Its status is 0 if there was no answer. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly fields: { location: string; message: string }[] = [],
    readonly current: unknown = undefined,
  ) {
    super(detail)
  }

  /** field returns what is wrong with a field of the body, and '' if nothing is. */
  field(name: string): string {
    return this.fields.filter((f) => matches(f.location, name)).map((f) => f.message).join('; ')
  }

  /** others are the messages about fields that are not among those shown. */
  others(shown: string[]): string[] {
    return this.fields
      .filter((f) => !shown.some((name) => matches(f.location, name)))
      .map((f) => `${f.location.replace(/^body\./, '')}: ${f.message}`)
  }
}

const matches = (location: string, name: string) =>
  location === `body.${name}` || location.startsWith(`body.${name}.`) || location.startsWith(`body.${name}[`)

/** asProblem makes one of whatever a query threw. */
export const asProblem = (e: unknown): Problem => (e instanceof Problem ? e : new Problem(0, String(e)))

// What has to know of every answer: the bar that says that the server is away,
// and the session that an answer of 401 ends.
type Watcher = (status: number) => void
const watchers = new Set<Watcher>()
export function watchAnswers(w: Watcher): () => void {
  watchers.add(w)
  return () => watchers.delete(w)
}
const seen = (status: number) => watchers.forEach((w) => w(status))

/** request is fetch, with the answers watched. Who is signed in stands in a cookie. */
export async function request(input: Request): Promise<Response> {
  try {
    const res = await fetch(input)
    seen(res.status)
    return res
  } catch (e) {
    if (!input.signal.aborted) seen(0)
    throw e
  }
}

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  credentials: 'same-origin',
  fetch: request,
})

/** ok returns the data of an answer, or throws its problem. */
export async function ok<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let res
  try {
    res = await answer
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e
    throw new Problem(0, '')
  }
  if (res.response.ok) return res.data as T
  const p = (res.error ?? {}) as Partial<Schemas['Problem']>
  throw new Problem(res.response.status, p.detail ?? p.title ?? '', p.errors ?? [], p.current)
}

/** all reads a list page by page, at most so many of them, and says whether there is more of it. */
export async function all<T>(page: (cursor: string | undefined) => Promise<Page<T>>, most = Infinity): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = []
  let cursor: string | undefined
  for (let n = 0; n < most; n++) {
    const next = await page(cursor)
    items.push(...next.items)
    if (!next.next_cursor) return { items, more: false }
    cursor = next.next_cursor
  }
  return { items, more: true }
}

/** ifMatch is the header of a change to what was read at a revision. */
export const ifMatch = (revision: number) => ({ 'If-Match': `"${revision}"` })
