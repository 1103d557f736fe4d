import { s } from '../strings'
import { Copyable } from './basics'

const plain = /^[A-Za-z0-9_./:@%+=,-]+$/
const quoted = (word: string) => (plain.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

/** flag is a flag with its value, or nothing if that is empty; with several, once for each. */
export const flag = (name: string, ...values: (string | undefined)[]) => values.filter(Boolean).flatMap((v) => [`--${name}`, v as string])

/** Command is what does on the command line what a form does. No secret is ever given to it. */
export function Command({ words }: { words: string[] }) {
  const text = ['gatehouse', ...words].map(quoted).join(' ')
  return (
    <details className="command">
      <summary>{s.command.title}</summary>
      <Copyable label={s.command.label} text={text} />
    </details>
  )
}
