import { Navigate } from '@tanstack/react-router'
import { useQuery } from '@tanstack/react-query'
import { api, ok } from '../api/client'
import { useMay, useWho } from '../session'
import { placesOf } from '../shell'
import { s } from '../strings'
import { Empty } from '../ui/list'

/** Home leads to where the work is: the first steps while there is no provider. */
export function Home() {
  const who = useWho()
  const admin = useMay('ai_provider:create', 'ai_provider:read', 'ai_provider_key:read', 'ai_provider_key:create')
  const providers = useQuery({ queryKey: ['providers', 'any'], queryFn: () => ok(api.GET('/api/v1/ai/providers', { params: { query: { limit: 1 } } })), enabled: admin })
  if (admin && providers.isPending) return null
  if (admin && providers.data?.items.length === 0) return <Navigate to="/welcome" replace />
  const first = placesOf(who).flatMap((g) => g.items)[0]
  if (first) return <Navigate to={first.to} replace />
  return <Empty top title={s.nothing.title} text={s.nothing.text} />
}
