import { useQuery } from '@tanstack/react-query'
import { all, api, ok, type Page, type Provider, type Route, type Token } from '../../api/client'
import { useMay } from '../../session'
import { s } from '../../strings'
import { count } from '../../ui/time'

const enough = 10 // pages of 500: what is said of more would not be read either

/** Affected says what goes with a provider, as far as one may know of it. */
export function Affected({ provider: p }: { provider: Provider }) {
  const [routes, tokens, requests] = [useMay('ai_route:read'), useMay('api_key:read'), useMay('interception:read')]
  const query = useQuery({
    queryKey: ['affected', p.id],
    queryFn: async () => {
      const [r, t, u] = await Promise.all([
        routes ? all<Route>((cursor) => ok(api.GET('/api/v1/ai/routes', { params: { query: { cursor, limit: 500 } } })) as Promise<Page<Route>>, enough) : null,
        tokens ? all<Token>((cursor) => ok(api.GET('/api/v1/tokens', { params: { query: { cursor, limit: 500 } } })) as Promise<Page<Token>>, enough) : null,
        requests ? ok(api.GET('/api/v1/usage', { params: { query: { provider: p.id, since: new Date(Date.now() - 24 * 3600_000).toISOString(), limit: 1 } } })) : null,
      ])
      return {
        routes: r && { names: r.items.filter((one) => one.targets.some((x) => x.provider === p.name)).map((one) => one.name), more: r.more },
        tokens: t && { names: t.items.filter((one) => one.providers?.includes(p.name)).map((one) => `${one.name} (${one.owner})`), more: t.more },
        requests: u && u.total.requests,
      }
    },
    staleTime: 0,
  })
  const found = query.data
  const of = (what: { names: string[]; more: boolean } | null | undefined, say: (n: number, names: string, more: boolean) => string) =>
    what && (what.names.length > 0 || what.more) ? <li>{say(what.names.length, [...what.names.slice(0, 5), ...(what.names.length > 5 ? ['…'] : [])].join(', '), what.more)}</li> : null
  return (
    <ul className="affected" aria-live="polite" aria-busy={query.isPending}>
      <li>{s.provider.removeKeys(p.api_keys.length)}</li>
      {query.isPending && <li className="mut">{s.affected.looking}</li>}
      {query.error && <li className="error">{s.affected.unknown}</li>}
      {of(found?.routes, s.affected.routes)}
      {of(found?.tokens, s.affected.tokens)}
      {found && found.requests !== null && <li>{s.affected.requests(count(found.requests), found.requests)}</li>}
    </ul>
  )
}
