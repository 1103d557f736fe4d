import { useQueryClient, type QueryKey } from '@tanstack/react-query'
import { useState } from 'react'
import { refused } from './toast'

/** Toggle is a switch of something at the server. It changes at once, and back if the server refuses. */
export function Toggle({ label, on, disabled, change, shownIn }: { label: string; on: boolean; disabled?: boolean; change: (on: boolean) => Promise<unknown>; shownIn?: QueryKey }) {
  const queries = useQueryClient()
  const [wanted, setWanted] = useState<boolean | null>(null)
  const send = async (v: boolean) => {
    setWanted(v)
    await change(v).catch(refused)
    await queries.invalidateQueries({ queryKey: shownIn })
    setWanted(null)
  }
  const shown = wanted ?? on
  return <button type="button" role="switch" aria-checked={shown} aria-label={label} disabled={disabled || wanted !== null} className="switch" onClick={() => void send(!shown)} />
}
