import { store } from '../store'

// One clock for all that counts, that runs while somebody looks at it.
const now = store(Date.now(), () => {
  const tick = () => now.set(Date.now())
  tick()
  const timer = setInterval(tick, 1000)
  return () => clearInterval(timer)
})

export const useNow = now.use

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })
const exact = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })

const units: [Intl.RelativeTimeFormatUnit, number][] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]

/** ago says a time as people do: relative within a month, else the day. */
export function ago(at: string, from: number): string {
  const seconds = (Date.parse(at) - from) / 1000
  if (Math.abs(seconds) > 30 * 86400) return day.format(new Date(at))
  if (Math.abs(seconds) < 2) return 'now'
  for (const [unit, size] of units) if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit)
  return 'now'
}

/** Time is relative, with the exact time in the reader's zone on hover. */
export function Time({ at, none = '–' }: { at: string | null | undefined; none?: string }) {
  const from = useNow()
  if (!at) return <>{none}</>
  return <time dateTime={at} title={exact.format(new Date(at))}>{ago(at, from)}</time>
}

/** Clock is a time of the day, for what comes by the second. */
export const Clock = ({ at }: { at: string }) => <time dateTime={at} title={exact.format(new Date(at))}>{clock.format(new Date(at))}</time>

export const exactly = (at: string) => exact.format(new Date(at))

const number = new Intl.NumberFormat('en')
export const count = (n: number) => number.format(n)

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
export const roughly = (n: number) => (n < 10000 ? number.format(n) : compact.format(n))

/** took says how long something took. */
export function took(ms: number | null): string {
  if (ms === null) return '–'
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`
}
