import { useQuery } from '@tanstack/react-query'
import { api, ok, type Provider, type ProviderKey } from './api/client'
import { s } from './strings'
import type { Tone } from './ui/basics'
import { every } from './ui/list'

export const nameOf = (p: Provider) => p.display_name || p.name

/** hostOf is where a provider is, without what every address has. */
export const hostOf = (p: Provider) => p.base_url.replace(/^https?:\/\//, '').replace(/\/v1$/, '')

export const initials = (p: Provider) => {
  const words = nameOf(p).split(/[\s-]+/).filter(Boolean)
  return (words.length > 1 ? words.map((w) => w[0]).join('') : (words[0] ?? '')).slice(0, 2).toUpperCase()
}

export const keyTones: Record<ProviderKey['state'], Tone> = {
  ready: 'ok', cooling: 'warn', failed: 'bad', disabled: 'off', expired: 'off', unreadable: 'seal',
}

/** stateOf is the state of a provider in a word, from those of its keys. */
export function stateOf(p: Provider): { tone: Tone; text: string } {
  if (p.deleted) return { tone: 'off', text: s.state.deleted }
  if (!p.enabled) return { tone: 'off', text: s.state.disabled }
  if (p.fault) return { tone: 'seal', text: s.state.fault }
  const keys = p.api_keys.filter((k) => k.state !== 'disabled')
  const of = (state: ProviderKey['state']) => keys.filter((k) => k.state === state).length
  const [ready, cooling, failed, unreadable] = [of('ready'), of('cooling'), of('failed'), of('unreadable')]
  if (p.api_keys.length === 0) return { tone: 'ok', text: s.state.keyless }
  if (unreadable > 0) return { tone: 'seal', text: s.state.some(unreadable, 'unreadable', keys.length) }
  if (ready === 0 && cooling > 0) return { tone: 'warn', text: s.state.all('cooling') }
  if (ready === 0) return { tone: 'bad', text: failed > 0 ? s.state.all('failed') : s.state.noneUsable }
  if (failed > 0) return { tone: 'bad', text: s.state.some(failed, 'failed', keys.length) }
  if (cooling > 0) return { tone: 'warn', text: s.state.some(cooling, 'cooling', keys.length) }
  return { tone: 'ok', text: s.state.ready }
}

export const providerKey = (name: string) => ['provider', name]

export function useProvider(name: string) {
  return useQuery({
    queryKey: providerKey(name),
    queryFn: () => ok(api.GET('/api/v1/ai/providers/{provider}', { params: { path: { provider: name }, query: { include_deleted: true } } })),
    refetchInterval: every(3_000),
  })
}

/** The base URL that clients are given for a provider. */
export const clientURL = (name: string, type: string) => `${window.location.origin}/ai/${name}${type === 'openai' ? '/v1' : ''}`
