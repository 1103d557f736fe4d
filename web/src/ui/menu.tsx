import { useId, useRef, type KeyboardEvent } from 'react'
import { s } from '../strings'

/** Menu is a button that opens a list of things to do, above everything else on the screen. */
export function Menu({ label, choices }: { label: string; choices: [id: string, text: string, run: () => void][] }) {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const list = useRef<HTMLDivElement>(null)
  if (choices.length === 0) return null
  const place = () => {
    const [b, l] = [button.current?.getBoundingClientRect(), list.current]
    if (!b || !l) return
    l.style.left = `${Math.max(8, b.right - l.offsetWidth)}px`
    l.style.top = `${b.bottom + 4 + l.offsetHeight > window.innerHeight ? b.top - l.offsetHeight - 4 : b.bottom + 4}px`
    l.querySelector<HTMLElement>('button')?.focus()
  }
  const onKey = (e: KeyboardEvent) => {
    const by = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0
    if (!by) return
    e.preventDefault()
    const all = [...(list.current?.querySelectorAll('button') ?? [])]
    all[(all.indexOf(document.activeElement as HTMLButtonElement) + by + all.length) % all.length]?.focus()
  }
  return (
    <div className="actions">
      <button ref={button} type="button" className="btn ghost small" popoverTarget={id} aria-label={label} aria-haspopup="menu">{s.actions}</button>
      <div ref={list} id={id} popover="auto" role="menu" aria-label={label} className="menu-list" onKeyDown={onKey} onToggle={(e) => (e as unknown as ToggleEvent).newState === 'open' && place()}>
        {choices.map(([key, text, run]) => (
          <button key={key} type="button" role="menuitem" onClick={() => {
            list.current?.hidePopover()
            run()
          }}>{text}</button>
        ))}
      </div>
    </div>
  )
}
