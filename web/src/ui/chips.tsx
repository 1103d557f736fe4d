import type { ReactNode } from 'react'
import { Check } from './basics'

/** Choices are several of a list, each with a box to tick. */
export function Choices({ label, all, chosen, onValue, error, titles = {} }: {
  label: string; all: string[]; chosen: string[]; onValue: (v: string[]) => void; error?: string; titles?: Record<string, ReactNode>
}) {
  return (
    <fieldset>
      <legend className="legend">{label}</legend>
      {error && <p className="error">{error}</p>}
      <div className="choices">
        {all.map((one) => (
          <Check key={one} label={<span className="mono">{one}</span>} hint={titles[one]} checked={chosen.includes(one)}
            onValue={(on) => onValue(on ? [...chosen, one] : chosen.filter((c) => c !== one))} />
        ))}
      </div>
    </fieldset>
  )
}

/** words are what stands between spaces or commas. */
export const words = (text: string) => text.split(/[\s,]+/).filter(Boolean)
