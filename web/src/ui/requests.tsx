import { Link } from '@tanstack/react-router'
import type { Interception } from '../api/client'
import { s } from '../strings'
import { State, type Tone } from './basics'
import { Clock, count, took } from './time'

/** outcomeOf is how a request ended, in a word. */
export function outcomeOf(i: Interception): { tone: Tone; text: string } {
  if (i.outcome === 'unknown') return { tone: 'off', text: s.requests.unknown }
  if (i.status === 499) return { tone: 'off', text: s.requests.left }
  if (i.status >= 500) return { tone: 'bad', text: String(i.status) }
  if (i.status >= 400) return { tone: 'warn', text: String(i.status) }
  if (i.attempts.length > 1) return { tone: 'ok', text: s.requests.failedOver(i.status) }
  return { tone: 'ok', text: String(i.status) }
}

export const RequestHead = () => (
  <tr><th className="wide-only">{s.requests.when}</th><th>{s.requests.model}</th><th>{s.state.label}</th><th className="wide-only">{s.provider.one}</th><th className="wide-only">{s.token.one}</th><th className="num wide-only">{s.requests.firstByte}</th><th className="num wide-only">{s.requests.tokens}</th><th className="num wide-only">{s.requests.took}</th></tr>
)

export function RequestRow({ request: i, fresh }: { request: Interception; fresh?: boolean }) {
  const o = outcomeOf(i)
  return (
    <tr className={fresh ? 'glow' : undefined}>
      <td className="mut wide-only"><Clock at={i.time} /></td>
      <td>
        <Link className="mono" data-row to="/requests/$id" params={{ id: i.id }}>{i.model || i.path || s.requests.noModel}</Link>
        <div className="narrow hint"><Clock at={i.time} />{[i.provider, i.token, took(i.duration_ms)].filter(Boolean).map((text) => ` · ${text}`)}</div>
      </td>
      <td><State tone={o.tone}>{o.text}</State>{i.reason && <div className="hint">{i.reason.replaceAll('_', ' ')}</div>}</td>
      <td className="wide-only mono">{i.provider || '–'}</td>
      <td className="wide-only">{i.token || '–'}</td>
      <td className="num wide-only">{took(i.first_byte_ms)}</td>
      <td className="num wide-only">{i.tokens ? `${count(i.tokens.input)} / ${count(i.tokens.output)}` : '–'}</td>
      <td className="num wide-only">{took(i.duration_ms)}</td>
    </tr>
  )
}
