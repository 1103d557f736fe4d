import { useId, useRef, type KeyboardEvent } from 'react'
import { s } from '../strings'

/** Menu is a button that opens a list of what one may do, above everything else on the screen. */
export function Menu({ label, choices: all }: { label: string; choices: ([id: string, text: string, run: () => void] | false)[] }) {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const list = useRef<HTMLDivElement>(null)
  const choices = all.filter((c) => c !== false)
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
    const items = [...(list.current?.querySelectorAll('button') ?? [])]
    items[(items.indexOf(document.activeElement as HTMLButtonElement) + by + items.length) % items.length]?.focus()
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
