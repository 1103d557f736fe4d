import { useQueryClient, type QueryKey } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { refused, toast } from './toast'

/** Toggle is a switch of something at the server. It changes at once, and back if the server refuses. What off says stands there when it was switched off, with a way to undo it. */
export function Toggle({ label, on, disabled, change, off, shownIn }: { label: string; on: boolean; disabled?: boolean; off?: string; change: (on: boolean) => Promise<unknown>; shownIn?: QueryKey }) {
  const queries = useQueryClient()
  const [wanted, setWanted] = useState<boolean | null>(null)
  const send = async (v: boolean) => {
    setWanted(v)
    const done = await change(v).then(() => true, refused)
    await queries.invalidateQueries({ queryKey: shownIn })
    setWanted(null)
    if (done && !v && off) toast(off, { undo: () => void last.current(true) })
  }
  const last = useRef(send) // of the version that is there when it is undone
  last.current = send
  const shown = wanted ?? on
  return <button type="button" role="switch" aria-checked={shown} aria-label={label} disabled={disabled || wanted !== null} className="switch" onClick={() => void send(!shown)} />
}
