import { useQuery } from '@tanstack/react-query'
import { api, ok, type AuditEntry, type Interception, type Page, type Provider } from '../../api/client'
import { s } from '../../strings'
import { by, Diff, what } from '../../ui/audit'
import { Empty, every, Fetched, List, usePages } from '../../ui/list'
import { RequestHead, RequestRow } from '../../ui/requests'
import { Time } from '../../ui/time'

/** Traffic is the requests that went to a provider. */
export function Traffic({ provider: p }: { provider: Provider }) {
  const list = usePages<Interception>(
    ['requests', 'of', p.id],
    (cursor) => ok(api.GET('/api/v1/interceptions', { params: { query: { cursor, provider: p.id } } })) as Promise<Page<Interception>>,
    3_000,
  )
  return (
    <List<Interception> label={s.provider.requests} query={list} columns={8} head={<RequestHead />} row={(i) => <RequestRow key={i.id} request={i} />}
      empty={<Empty title={s.requests.none} text={s.requests.noneOf} />} />
  )
}

/** Changes is what the audit log has of a provider and of its keys. */
export function Changes({ provider: p }: { provider: Provider }) {
  const query = useQuery({
    queryKey: ['audit', 'of', p.id],
    // Entries of the provider have it as their resource, those of its keys as their target.
    queryFn: async () => {
      const of = (q: string, resource: string) => ok(api.GET('/api/v1/audit', { params: { query: { q, resource, limit: 100 } } })) as Promise<Page<AuditEntry>>
      const found = await Promise.all([of(p.id, 'ai_provider'), of(p.id, 'ai_provider_key')])
      return found.flatMap((page) => page.items).sort((a, b) => b.index - a.index)
    },
    refetchInterval: every(5_000),
  })
  return (
    <Fetched query={query}>
      {(entries) => entries.length === 0 ? <Empty title={s.audit.none} text={s.audit.noneText} /> : (
        <div className="stack">
          {entries.map((e) => (
            <article key={e.index} className="card pad stack-small">
              <p><b>{by(e)}</b> {what(e)} <span className="mut">· <Time at={e.time} />{e.count > 1 && ` · ${s.audit.times(e.count)}`}</span></p>
              <Diff entry={e} />
            </article>
          ))}
        </div>
      )}
    </Fetched>
  )
}
