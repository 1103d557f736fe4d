import { request, type Interception } from './client'

export interface EventHandlers {
  interception: (i: Interception) => void
  state: (live: boolean) => void
  gap: () => void
}

/**
 * follow shows requests as they end, until it is stopped. It comes back by itself
 * after the server was away, behind the last event that it saw: with what a server
 * that was started again has served since, from its first request on.
 */
export function follow(query: Record<string, string>, on: EventHandlers): () => void {
  const stop = new AbortController()
  void run(query, on, stop.signal)
  return () => stop.abort()
}

async function run(query: Record<string, string>, on: EventHandlers, signal: AbortSignal) {
  let last = ''
  for (let wait = 125; !signal.aborted; wait = Math.min(wait * 2, 1000)) {
    try {
      const url = new URL('/api/v1/events', window.location.origin)
      for (const [k, v] of Object.entries(query)) if (v) url.searchParams.set(k, v)
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (last) headers['Last-Event-ID'] = last
      const res = await request(new Request(url, { headers, credentials: 'same-origin', signal }))
      if (res.status === 401 || res.status === 403) return
      if (res.ok && res.body) {
        on.state(true)
        wait = 60
        last ||= '0' // before every event: what comes until the next connection is wanted, too
        last = await read(res.body, on, last)
      }
    } catch {
      // The server is away: try again below.
    }
    if (signal.aborted) return
    on.state(false)
    await new Promise((done) => setTimeout(done, wait))
  }
}

async function read(body: ReadableStream<Uint8Array>, on: EventHandlers, last: string): Promise<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let text = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return last
      text += value
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const event = parse(text.slice(0, end))
        text = text.slice(end + 2)
        if (event.id) last = event.id
        if (event.kind === 'interception') on.interception(JSON.parse(event.data) as Interception)
        if (event.kind === 'gap') on.gap()
      }
    }
  } catch {
    return last
  }
}

function parse(block: string): { kind: string; id: string; data: string } {
  const event = { kind: '', id: '', data: '' }
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event.kind = line.slice(7)
    if (line.startsWith('id: ')) event.id = line.slice(4)
    if (line.startsWith('data: ')) event.data += line.slice(6)
  }
  return event
}
