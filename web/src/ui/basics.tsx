import { useId, useRef, useState, type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from 'react'
import type { Problem } from '../api/client'
import { s } from '../strings'

type Look = 'plain' | 'primary' | 'ghost' | 'danger'

export function Button({ look = 'plain', busy, className, ...rest }: ButtonHTMLAttributes<HTMLButtonElement> & { look?: Look; busy?: boolean }) {
  return <button type="button" {...rest} aria-busy={busy || undefined} disabled={rest.disabled || busy} className={`btn ${look} ${className ?? ''}`} />
}

export type Tone = 'ok' | 'warn' | 'bad' | 'off' | 'seal'

/** State is a word and its colour: never the colour alone. */
export const State = ({ tone, children }: { tone: Tone; children: ReactNode }) => <span className={`state ${tone}`}>{children}</span>

interface FieldProps {
  label: string
  error?: string
  hint?: ReactNode
}

function Labelled({ label, error, hint, children }: FieldProps & { children: (a: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ReactNode }) {
  const id = useId()
  const described = [error && `${id}-e`, hint && `${id}-h`].filter(Boolean).join(' ') || undefined
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': described, 'aria-invalid': error ? true : undefined })}
      {error && <p className="error" id={`${id}-e`}>{error}</p>}
      {hint && <p className="hint" id={`${id}-h`}>{hint}</p>}
    </div>
  )
}

type TextProps = FieldProps & Omit<InputHTMLAttributes<HTMLInputElement>, 'value' | 'onChange'> & { value: string; onValue: (v: string) => void; mono?: boolean }

export function TextField({ label, error, hint, onValue, mono, ...rest }: TextProps) {
  return (
    <Labelled {...{ label, error, hint }}>
      {(a) => <input type="text" autoComplete="off" spellCheck={false} {...rest} {...a} className={mono ? 'mono' : undefined} onChange={(e) => onValue(e.target.value)} />}
    </Labelled>
  )
}

/** SecretField takes a secret. Nothing puts one back into it. */
export const SecretField = (p: TextProps) => <TextField {...p} type="password" autoComplete={p.autoComplete ?? 'off'} mono />

export function AreaField({ label, error, hint, onValue, mono, ...rest }: FieldProps & Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'onChange'> & { onValue: (v: string) => void; mono?: boolean }) {
  return (
    <Labelled {...{ label, error, hint }}>
      {(a) => <textarea spellCheck={false} rows={3} {...rest} {...a} className={mono ? 'mono' : undefined} onChange={(e) => onValue(e.target.value)} />}
    </Labelled>
  )
}

export function SelectField({ label, error, hint, onValue, children, ...rest }: FieldProps & Omit<SelectHTMLAttributes<HTMLSelectElement>, 'onChange'> & { onValue: (v: string) => void }) {
  return (
    <Labelled {...{ label, error, hint }}>
      {(a) => <select {...rest} {...a} onChange={(e) => onValue(e.target.value)}>{children}</select>}
    </Labelled>
  )
}

export function Check({ label, hint, checked, onValue, disabled }: { label: ReactNode; hint?: ReactNode; checked: boolean; onValue: (v: boolean) => void; disabled?: boolean }) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} disabled={disabled} onChange={(e) => onValue(e.target.checked)} />
      <span>{label}{hint && <span className="hint">{hint}</span>}</span>
    </label>
  )
}

/** Refusal says why a change was refused, as far as no field of the form says it. */
export function Refusal({ problem, shown = [] }: { problem: Problem | null; shown?: string[] }) {
  if (!problem) return null
  const others = problem.others(shown)
  const detail = problem.fields.length === 0 ? s.problem(problem.status, problem.detail) : others.length > 0 ? others.join(' · ') : s.form.fix
  return <p className="refusal" role="alert">{detail}</p>
}

/** Copyable is text to take away: commands, tokens, addresses. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false)
  const pre = useRef<HTMLPreElement>(null)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setCopied(true)
      setTimeout(() => setCopied(false), 2000)
    } catch {
      // Without a right to the clipboard: selected, for the keyboard to copy.
      if (pre.current) window.getSelection()?.selectAllChildren(pre.current)
    }
  }
  return (
    <div className="copyable">
      <pre ref={pre} tabIndex={0} aria-label={label}>{text}</pre>
      <Button onClick={copy} aria-live="polite">{copied ? s.copied : s.copy}</Button>
    </div>
  )
}
