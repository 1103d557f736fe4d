import { asProblem } from '../api/client'
import { store } from '../store'
import { s } from '../strings'
import { Button } from './basics'

interface Toast {
  id: number
  text: string
  bad?: boolean
  undo?: () => void
}

const toasts = store<Toast[]>([])
let next = 1
const drop = (id: number) => toasts.set(toasts.get().filter((t) => t.id !== id))

/** toast says what happened, and offers to undo it where that can be. */
export function toast(text: string, o: { bad?: boolean; undo?: () => void } = {}) {
  const id = next++
  toasts.set([...toasts.get().slice(-2), { id, text, ...o }])
  setTimeout(() => drop(id), o.undo || o.bad ? 10_000 : 4_000)
}

/** refused says why a change was, where no form says it. */
export function refused(e: unknown) {
  const { status, detail } = asProblem(e)
  toast(s.problem(status, detail), { bad: true })
}

export function Toasts() {
  const shown = toasts.use()
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((t) => (
        <div key={t.id} className={`toast ${t.bad ? 'bad' : ''}`}>
          <span>{t.text}</span>
          {t.undo && <Button look="ghost" onClick={() => { drop(t.id); t.undo?.() }}>{s.undo}</Button>}
          <Button look="ghost" onClick={() => drop(t.id)} aria-label={s.dismiss}>×</Button>
        </div>
      ))}
    </div>
  )
}
