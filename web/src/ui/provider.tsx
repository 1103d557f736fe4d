import { api, ifMatch, ok, type Provider } from '../api/client'
import { keyTones, nameOf } from '../providers'
import { useMay } from '../session'
import { s } from '../strings'
import { Toggle } from './toggle'

/** Dots are the states of a provider's keys at a glance. */
export function Dots({ provider: p }: { provider: Provider }) {
  if (p.api_keys.length === 0) return <span className="mut">{s.key.none}</span>
  const words = p.api_keys.map((k) => s.state.key[k.state]).join(', ')
  if (p.api_keys.length > 12) return <span className="mut">{s.key.number(p.api_keys.length)}</span>
  return <span className="dots" role="img" aria-label={words} title={words}>{p.api_keys.map((k) => <i key={k.id} className={keyTones[k.state]} />)}</span>
}

/** Enabled is the switch of a provider. */
export function Enabled({ provider: p }: { provider: Provider }) {
  const mayChange = useMay('ai_provider:update')
  return (
    <Toggle label={s.provider.switch(nameOf(p))} off={s.provider.off(nameOf(p))} on={p.enabled} disabled={!mayChange || p.deleted}
      change={(enabled) => ok(api.PATCH('/api/v1/ai/providers/{provider}', { params: { path: { provider: p.name }, header: ifMatch(p.revision) }, body: { enabled } }))} />
  )
}
