import { useSyncExternalStore } from 'react'

/** Store is a value that parts of the console share: read at once, or used by what is shown. */
export interface Store<T> {
  get: () => T
  set: (value: T) => void
  use: () => T
}

/** store makes one. The function watched runs from when somebody uses it until nobody does, when what it returned is called. */
export function store<T>(value: T, watched?: () => () => void): Store<T> {
  const listeners = new Set<() => void>()
  let unwatch: (() => void) | undefined
  const get = () => value
  const subscribe = (f: () => void) => {
    if (listeners.size === 0) unwatch = watched?.()
    listeners.add(f)
    return () => {
      listeners.delete(f)
      if (listeners.size === 0) unwatch?.()
    }
  }
  return {
    get,
    set: (next) => {
      if (Object.is(next, value)) return
      value = next
      listeners.forEach((f) => f())
    },
    use: () => useSyncExternalStore(subscribe, get),
  }
}
