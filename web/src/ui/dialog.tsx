import { useEffect, useId, useRef, useState, type FormEvent, type ReactNode } from 'react'
import { asProblem, type Problem } from '../api/client'
import { s } from '../strings'
import { Button, Refusal, TextField } from './basics'

/** Dialog is a modal one, by the browser's own element: it holds the focus and gives it back. */
export function Dialog({ title, onClose, wide, children }: { title: string; onClose: () => void; wide?: boolean; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const d = ref.current
    d?.showModal()
    // To what one came to fill in, not to the button that closes it.
    d?.querySelector<HTMLElement>('[role=combobox], form :is(input, select, textarea)')?.focus()
    return () => d?.close()
  }, [])
  return (
    <dialog ref={ref} aria-labelledby={id} className={wide ? 'wide' : undefined} onCancel={(e) => { e.preventDefault(); onClose() }}
      onMouseDown={(e) => e.target === ref.current && onClose()}>
      <div className="inside">
        <div className="title"><h2 id={id}>{title}</h2><Button look="ghost" onClick={onClose}>{s.close}</Button></div>
        {children}
      </div>
    </dialog>
  )
}

/** useSend runs a change and keeps what went wrong with it. */
export function useSend<A extends unknown[], T>(change: (...args: A) => Promise<T>, done?: (result: T) => void) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const send = async (...args: A) => {
    setBusy(true)
    setProblem(null)
    try {
      const result = await change(...args)
      setBusy(false)
      done?.(result)
    } catch (e) {
      setBusy(false)
      setProblem(asProblem(e))
    }
  }
  return { send, busy, problem, setProblem }
}

/** Form is fields, what went wrong with them, and the button that sends them. */
export function Form({ action, busy, problem, shown, onSend, onCancel, danger, more, children }: {
  action: string; busy: boolean; problem: Problem | null; shown?: string[]; onSend: () => void; onCancel?: () => void; danger?: boolean; more?: ReactNode; children: ReactNode
}) {
  const ref = useRef<HTMLFormElement>(null)
  useEffect(() => { // to the first field that is wrong
    if (problem) ref.current?.querySelector<HTMLElement>('[aria-invalid]')?.focus()
  }, [problem])
  return (
    <form ref={ref} noValidate onSubmit={(e: FormEvent) => { e.preventDefault(); if (!busy) onSend() }}>
      {children}
      <Refusal problem={problem} shown={shown} />
      <div className="actions">
        <Button type="submit" look={danger ? 'danger' : 'primary'} busy={busy}>{action}</Button>
        {more}
        {onCancel && <Button look="ghost" onClick={onCancel}>{s.cancel}</Button>}
      </div>
    </form>
  )
}

/** Confirm asks before something is destroyed, and names what will happen. */
export function Confirm({ title, action, text, typed, send, onClose, onDone }: {
  title: string; action: string; text: ReactNode; typed?: string; send: () => Promise<unknown>; onClose: () => void; onDone: () => void
}) {
  const [name, setName] = useState('')
  const run = useSend(send, onDone)
  return (
    <Dialog title={title} onClose={onClose}>
      <Form action={action} busy={run.busy} problem={run.problem} danger onCancel={onClose} onSend={() => (!typed || name === typed) && void run.send()}>
        <div className="text">{text}</div>
        {typed && <TextField label={s.confirm.type(typed)} mono value={name} onValue={setName} />}
      </Form>
    </Dialog>
  )
}
