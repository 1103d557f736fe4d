import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok, type Page, type Schemas, type Token } from '../api/client'
import { useParam } from '../router'
import { may, useMay, useWho } from '../session'
import { s } from '../strings'
import { Button, Copyable, State, TextField } from '../ui/basics'
import { Choices, words } from '../ui/chips'
import { Command, flag } from '../ui/command'
import { Confirm, Dialog, Form, useSend } from '../ui/dialog'
import { Empty, Find, List, sifted, usePages } from '../ui/list'
import { Time, useNow } from '../ui/time'
import { toast } from '../ui/toast'

/** Tokens are what people and tools present: one's own, or those of all for who may see them. */
export function Tokens() {
  const [owner, setOwner] = useParam('owner')
  const [q, setQ] = useParam('q')
  const [minting, setMinting] = useState(false)
  const [revoking, setRevoking] = useState<Token | null>(null)
  const queries = useQueryClient()
  const who = useWho()
  const others = who?.permissions.includes('api_key:read') ?? false
  const mayRevoke = useMay('api_key:delete')
  const list = usePages<Token>(['tokens', owner, q], (from) => sifted((cursor, limit) => ok(api.GET('/api/v1/tokens', { params: { query: { cursor, limit, owner: owner || undefined } } })) as Promise<Page<Token>>, from, q, (t) => t.name), 10_000)
  const mint = may(who, 'api_key:create') && <Button look="primary" onClick={() => setMinting(true)}>{s.token.mint}</Button>
  return (
    <>
      <div className="head"><div><h1>{s.nav.tokens}</h1><p className="sub">{s.token.sub}</p></div><span className="sp" />{mint}</div>
      <div className="find"><Find label={s.provider.find} value={q} onValue={setQ} />{others && <Find label={s.token.findOwner} value={owner} onValue={setOwner} />}</div>
      <List<Token> label={s.nav.tokens} query={list} columns={6}
        head={<tr><th>{s.token.one}</th><th className="wide-only">{s.token.scopes}</th><th className="wide-only">{s.token.allowed}</th><th className="wide-only">{s.token.lastUsed}</th><th>{s.token.expires}</th><th><span className="sr">{s.actions}</span></th></tr>}
        row={(t) => (
          <tr key={t.id}>
            <td><div className="name">{t.name}</div><div className="mut">{t.owner}</div></td>
            <td className="wide-only mono">{t.scopes.join(' ')}</td>
            <td className="wide-only mut">{[...(t.providers ?? []), ...(t.models ?? [])].join(' ') || s.token.anything}</td>
            <td className="wide-only mut"><Time at={t.last_used_at} none={s.never} /></td>
            <td><Expires at={t.expires_at} /></td>
            <td><div className="actions">{mayRevoke && <Button className="small" look="ghost" aria-label={s.token.revokeThis(t.name)} onClick={() => setRevoking(t)}>{s.token.revoke}</Button>}</div></td>
          </tr>
        )}
        empty={q ? <Empty title={s.list.noneFound(q)} text={s.list.noneFoundText} /> : owner ? <Empty title={s.list.noneFound(owner)} text={s.token.noneOf} /> : <Empty title={s.token.none} text={s.token.noneText}>{mint}</Empty>} />
      {minting && <Mint onClose={() => setMinting(false)} />}
      {revoking && (
        <Confirm title={s.token.revokeTitle(revoking.name)} action={s.token.revoke} text={<><p>{s.token.revokeText}</p><p>{s.token.used} <Time at={revoking.last_used_at} none={s.never} />.</p></>}
          send={() => ok(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id: revoking.id } } }))} onClose={() => setRevoking(null)}
          onDone={() => {
            toast(s.token.revoked(revoking.name))
            setRevoking(null)
            void queries.invalidateQueries({ queryKey: ['tokens'] })
          }} />
      )}
    </>
  )
}

function Expires({ at }: { at: string | null }) {
  const now = useNow()
  if (!at) return <span className="mut">{s.never}</span>
  if (Date.parse(at) <= now) return <State tone="off">{s.token.expired}</State>
  return Date.parse(at) - now < 7 * 86400_000 ? <State tone="warn"><Time at={at} /></State> : <span className="mut"><Time at={at} /></span>
}

// What a scope covers is in docs/reference/scopes.md. These are offered by name; the
// server knows the others, and takes none that whoever mints has not.
const scopes = ['gateway:use', 'gateway:passthrough', 'interception:read', 'audit_log:read', 'metrics:read', 'ai_provider:*', 'ai_provider_key:*', 'ai_route:*', 'api_key:*', 'user:*', 'role:*', 'encryption_key:*', 'replica:read', 'all']

function Mint({ onClose }: { onClose: () => void }) {
  const who = useWho()
  const queries = useQueryClient()
  const others = who?.permissions.includes('api_key:create') ?? false
  const [form, setForm] = useState({ name: '', owner: '', scopes: ['gateway:use'], providers: '', models: '', expires: '', rpm: '', concurrency: '' })
  const [minted, setMinted] = useState<Schemas['CreatedToken'] | null>(null)
  const change = (part: Partial<typeof form>) => setForm((f) => ({ ...f, ...part }))
  const run = useSend(() => ok(api.POST('/api/v1/tokens', {
    body: {
      name: form.name, scopes: form.scopes, owner: form.owner || undefined, expires_at: form.expires ? new Date(form.expires).toISOString() : undefined,
      providers: form.providers ? words(form.providers) : undefined, models: form.models ? words(form.models) : undefined,
      rpm: form.rpm ? Number(form.rpm) : undefined, concurrency: form.concurrency ? Number(form.concurrency) : undefined,
    },
  })), (t) => {
    setMinted(t)
    void queries.invalidateQueries({ queryKey: ['tokens'] })
  })
  const e = (name: string) => run.problem?.field(name)
  if (minted) {
    return (
      <Dialog title={s.token.minted(minted.name)} onClose={onClose}>
        <p className="text">{s.token.once}</p>
        <Copyable text={minted.token} label={s.token.one} />
        <div className="actions pad-top"><Button look="primary" onClick={onClose}>{s.done}</Button></div>
      </Dialog>
    )
  }
  return (
    <Dialog title={s.token.mint} wide onClose={onClose}>
      <Form action={s.token.mint} busy={run.busy} problem={run.problem} shown={['name', 'owner', 'scopes', 'providers', 'models', 'expires_at', 'rpm', 'concurrency']} onSend={() => void run.send()} onCancel={onClose}>
        <div className="two">
          <TextField label={s.token.name} value={form.name} onValue={(name) => change({ name })} error={e('name')} hint={s.token.nameHint} autoFocus />
          {others && <TextField label={s.token.owner} value={form.owner} onValue={(owner) => change({ owner })} error={e('owner')} hint={s.token.ownerHint(who?.name ?? '')} />}
        </div>
        <Choices label={s.token.scopes} all={scopes} titles={s.token.scopeHints} chosen={form.scopes} onValue={(v) => change({ scopes: v })} error={e('scopes')} />
        <div className="two">
          <TextField label={s.token.providers} mono value={form.providers} onValue={(providers) => change({ providers })} error={e('providers')} hint={s.token.listHint} />
          <TextField label={s.token.models} mono value={form.models} onValue={(models) => change({ models })} error={e('models')} hint={s.token.modelsHint} />
        </div>
        <div className="two">
          <TextField label={s.token.rpm} type="number" min={0} value={form.rpm} onValue={(rpm) => change({ rpm })} error={e('rpm')} hint={s.token.anyNumber} />
          <TextField label={s.token.concurrency} type="number" min={0} value={form.concurrency} onValue={(concurrency) => change({ concurrency })} error={e('concurrency')} hint={s.token.anyNumber} />
        </div>
        <TextField label={s.token.expires} type="datetime-local" value={form.expires} onValue={(expires) => change({ expires })} error={e('expires_at')} hint={s.key.expiresHint} />
        <Command words={['token', 'create', form.name || s.command.name, ...flag('owner', form.owner), ...flag('scope', ...form.scopes), ...flag('provider', ...words(form.providers)), ...flag('model', ...words(form.models)), ...flag('rpm', form.rpm), ...flag('concurrency', form.concurrency), ...flag('expires', form.expires && new Date(form.expires).toISOString())]} />
      </Form>
    </Dialog>
  )
}
