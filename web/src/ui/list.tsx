import { useInfiniteQuery, type QueryKey } from '@tanstack/react-query'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { asProblem, type Page, type Problem } from '../api/client'
import { s } from '../strings'
import { Button } from './basics'

/**
 * every has a query asked again after a time, but not while there is nothing of it but
 * an error: asked again that would be gone from the screen, and come back.
 */
export const every = (ms: number | undefined) => (q: { state: { data: unknown; error: unknown } }) => (q.state.error && q.state.data === undefined ? undefined : ms)

/** usePages reads a list page by page, each when it is wanted. */
export function usePages<T>(queryKey: QueryKey, page: (cursor: string | undefined) => Promise<Page<T>>, refetchInterval?: number) {
  return useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => page(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    refetchInterval: every(refetchInterval),
  })
}

/**
 * sifted is a page of what one looks for in a list that the server does not search:
 * it reads on until something is found, or the list is over.
 */
export async function sifted<T>(read: (cursor: string | undefined, limit: number | undefined) => Promise<Page<T>>, cursor: string | undefined, q: string, nameOf: (item: T) => string): Promise<Page<T>> {
  if (!q) return read(cursor, undefined)
  const part = q.toLowerCase()
  for (;;) {
    const page = await read(cursor, 500)
    const items = page.items.filter((item) => nameOf(item).toLowerCase().includes(part))
    if (items.length > 0 || !page.next_cursor) return { ...page, items }
    cursor = page.next_cursor
  }
}

/** Pages are a list on the screen, and what stands there while there is none. */
export interface Pages<T> {
  data: { pages: Page<T>[] } | undefined
  error: unknown
  hasNextPage: boolean
  isFetchingNextPage: boolean
  fetchNextPage: () => unknown
  refetch: () => unknown
}

export const rows = <T,>(q: Pages<T>): T[] => q.data?.pages.flatMap((p) => p.items) ?? []

/**
 * List shows a table. It fetches the next page before its end is reached, keeps
 * the layout while it loads, and shows what was read when the server is away.
 */
export function List<T>({ label, query, head, row, empty, columns }: {
  label: string; query: Pages<T>; head: ReactNode; row: (item: T) => ReactNode; empty: ReactNode; columns: number
}) {
  const items = rows(query)
  if (query.error && !query.data) return <Failed problem={asProblem(query.error)} again={() => void query.refetch()} />
  if (query.data && items.length === 0) return <>{empty}</>
  return (
    <div className="card">
      <table aria-label={label} aria-busy={!query.data}>
        <thead>{head}</thead>
        <tbody>{query.data ? items.map(row) : <Skeleton columns={columns} />}</tbody>
      </table>
      {query.hasNextPage && <More query={query} />}
    </div>
  )
}

function More<T>({ query }: { query: Pages<T> }) {
  const ref = useRef<HTMLDivElement>(null)
  const { fetchNextPage, isFetchingNextPage } = query
  useEffect(() => {
    const watch = new IntersectionObserver((seen) => seen.some((e) => e.isIntersecting) && !isFetchingNextPage && void fetchNextPage(), { rootMargin: '600px' })
    if (ref.current) watch.observe(ref.current)
    return () => watch.disconnect()
  }, [fetchNextPage, isFetchingNextPage])
  return <div ref={ref} className="more"><Button look="ghost" busy={isFetchingNextPage} onClick={() => void fetchNextPage()}>{s.list.more}</Button></div>
}

/** Later shows its children after a tenth of a second: what is faster shows nothing. */
function Later({ children }: { children: ReactNode }) {
  const [late, setLate] = useState(false)
  useEffect(() => {
    const t = setTimeout(() => setLate(true), 100)
    return () => clearTimeout(t)
  }, [])
  return late ? <>{children}</> : null
}

const Skeleton = ({ columns }: { columns: number }) => (
  <Later>{[0, 1, 2, 3, 4].map((i) => <tr key={i} className="skeleton"><td colSpan={columns}><span>{i === 0 && s.list.loading}</span></td></tr>)}</Later>
)

/** Failed stands where something would that could not be read. */
export function Failed({ problem, again, top }: { problem: Problem; again?: () => void; top?: boolean }) {
  const Heading = top ? 'h1' : 'h2'
  return (
    <div className="empty" role="alert">
      <Heading>{s.failed.title(problem.status)}</Heading>
      <p>{s.problem(problem.status, problem.detail)}</p>
      {again && problem.status !== 403 && problem.status !== 404 && <Button onClick={again}>{s.again}</Button>}
    </div>
  )
}

/** Empty says what would stand here and has the button that starts it. */
export function Empty({ title, text, top, children }: { title: string; text: ReactNode; top?: boolean; children?: ReactNode }) {
  const Heading = top ? 'h1' : 'h2'
  return <div className="empty"><Heading>{title}</Heading><p>{text}</p>{children}</div>
}

/** Find narrows a list as one types. */
export function Find({ label, value, onValue }: { label: string; value: string; onValue: (v: string) => void }) {
  const [text, setText] = useState(value)
  const sent = useRef(value)
  useEffect(() => { // the address changed by itself: back, or a link
    if (value !== sent.current) {
      sent.current = value
      setText(value)
    }
  }, [value])
  useEffect(() => {
    if (text === sent.current) return
    const t = setTimeout(() => {
      sent.current = text
      onValue(text)
    }, 120)
    return () => clearTimeout(t)
  }, [text, onValue])
  return <input type="search" data-find aria-label={label} placeholder={label} value={text} onChange={(e) => setText(e.target.value)} autoComplete="off" spellCheck={false} />
}

/** Filter is a choice that stands in the address. */
export function Filter({ label, value, options, onValue }: { label: string; value: string; options: [value: string, text: string][]; onValue: (v: string) => void }) {
  return (
    <label className={`filter ${value ? 'on' : ''}`}>
      <span>{label}</span>
      <select value={value} onChange={(e) => onValue(e.target.value)}>
        <option value="">{s.list.any}</option>
        {options.map(([v, text]) => <option key={v} value={v}>{text}</option>)}
      </select>
    </label>
  )
}

/** Fetched shows one thing, or why it could not be read; as the top of a page, if it is that. */
export function Fetched<T>({ query, top, children }: { query: { data: T | undefined; error: unknown; refetch: () => unknown }; top?: boolean; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>
  if (query.error) return <Failed problem={asProblem(query.error)} again={() => void query.refetch()} top={top} />
  return <Later><div className="skeleton block"><span>{s.list.loading}</span></div></Later>
}
