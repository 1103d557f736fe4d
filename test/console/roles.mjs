// Goes through every screen as each role, and looks for what is not for it: on the
// screen, and in every answer that the browser got.
import assert from 'node:assert/strict'
import { accessible, api, fits, open, told } from './browser.mjs'
import { as, begin, go, say, signIn } from './steps.mjs'

// Each thing that somebody else has, by the kind of permission that shows it.
const things = {
  provider: 'hush-provider', key: 'hush-key', route: 'hush-route', user: 'hush-user', role: 'hush-role', token: 'hush-token', session: 'hush-agent',
}
const everything = [...Object.keys(things), 'request']
const kept = [told.goodKey, told.ownerToken] // shown to nobody

// What each role is shown: the places of the navigation, and things of others. An
// auditor finds them all by their names in the audit log.
const roles = {
  owner: { places: ['/overview', '/providers', '/routes', '/requests', '/tokens', '/users', '/roles', '/audit', '/encryption'], pages: ['/account', '/welcome', '/providers/$name', '/requests/$id'], sees: everything },
  auditor: { places: ['/overview', '/requests', '/audit'], pages: ['/account', '/requests/$id'], sees: everything },
  'user-admin': { places: ['/overview', '/requests', '/tokens', '/users', '/roles'], pages: ['/account'], sees: ['user', 'token', 'role', 'session'], own: true },
  member: { places: ['/overview', '/requests', '/tokens'], pages: ['/account'], sees: [], own: true },
  nothing: { places: [], pages: ['/account'], sees: [] }, // of the console: it may read the metrics
}

// What shows each place to a role that has nothing else, and nothing but it.
const grants = {
  '/overview': ['interception:read'], '/providers': ['ai_provider:read', 'ai_provider_key:read'], '/routes': ['ai_route:read'], '/tokens': ['api_key:read'],
  '/users': ['user:read'], '/roles': ['role:read'], '/audit': ['audit_log:read'], '/encryption': ['encryption_key:read', 'replica:read'],
}

const addresses = told.routes.filter((r) => r !== '/')
for (const at of roles.owner.places.concat(roles.owner.pages)) assert.ok(addresses.includes(at), `there is no screen ${at} any more`)
for (const at of addresses) assert.ok(roles.owner.places.concat(roles.owner.pages).includes(at), `who may see the screen ${at}? Say so in roles.mjs`)

// --- what there is

await api('POST', '/api/v1/ai/providers', { name: things.provider, type: 'openai', base_url: `${told.upstream}/v1` })
await api('POST', `/api/v1/ai/providers/${things.provider}/keys`, { api_key: told.goodKey, label: things.key })
await api('POST', '/api/v1/ai/providers', { name: 'common', type: 'openai', base_url: `${told.upstream}/v1`, api_keys: [told.spareKey] })
await api('POST', '/api/v1/ai/routes', { name: things.route, targets: [{ provider: things.provider, model: 'mock-gpt' }] })
await api('POST', '/api/v1/users', { name: things.user, roles: ['member'] })
await api('POST', '/api/v1/roles', { name: things.role, permissions: ['ai_route:read'] })
await api('POST', '/api/v1/roles', { name: 'nothing', permissions: ['metrics:read'] })
const mint = async (owner, name) => (await api('POST', '/api/v1/tokens', { name, owner, scopes: ['all'] })).token
const hush = await mint(things.user, things.token)
kept.push(hush)
things.request = await say(hush, things.provider)

// What somebody's browser gets is kept beside what their screen shows, a stream as it comes.
const { browser, context: first } = await begin()
await first.close()
async function person(userAgent) {
  const made = await open(browser, userAgent ? { userAgent } : {})
  made.context.setDefaultTimeout(30_000)
  await made.context.addInitScript(() => {
    window.answers = []
    window.pending = 0
    const real = window.fetch
    window.fetch = async (...a) => {
      const url = a[0].url ?? String(a[0])
      const stream = url.includes('/events')
      if (!stream) window.pending++
      try {
        const res = await real(...a)
        const answer = { url, status: res.status, text: '' }
        window.answers.push(answer)
        const copy = res.clone()
        const read = async () => {
          const text = new TextDecoder()
          for (let r = copy.body?.getReader(), c; r && !(c = await r.read()).done;) answer.text += text.decode(c.value, { stream: true })
        }
        if (stream) void read().catch(() => undefined)
        else await read()
        return res
      } finally {
        if (!stream) window.pending--
      }
    }
  })
  await made.page.goto(told.url)
  return made
}
const other = await person(things.session)
await signIn(other.page, hush)

/** settled waits until a screen is there, and all that it has asked for. */
const settled = (page) => page.waitForFunction(() => document.querySelector('h1, main [role=alert] h2') && window.pending === 0 && !document.querySelector('main .skeleton'))

/** withheld fails for what a role is not to see, on the screen or in an answer. */
async function withheld(page, name, role, where) {
  const answers = await page.evaluate(() => window.answers)
  for (const a of answers) assert.ok(a.status < 500 && (a.status !== 401 || a.url.endsWith('/session')), `${name} at ${where}: ${a.url} is answered ${a.status}`)
  const got = [['the screen', await page.content()], ...answers.map((a) => [a.url, a.text])]
  for (const [place, text] of got) {
    for (const secret of kept) assert.ok(!text.includes(secret), `${name} at ${where}: a secret is in ${place}`)
    for (const [kind, thing] of Object.entries(things)) if (!role.sees.includes(kind)) assert.ok(!text.includes(thing), `${name} at ${where}: the ${kind} of somebody else is in ${place}`)
  }
  return got.map(([, text]) => text).join()
}

const addressOf = (at) => at.replace('$name', things.provider).replace('$id', things.request)
const links = (page) => page.locator('nav .group a').evaluateAll((all) => all.map((a) => new URL(a.href).pathname))
const refusal = (page) => page.getByRole('alert').getByRole('heading', { name: 'This is not for your role' })

async function walk(name, role) {
  const started = Date.now()
  if (name !== 'owner') await api('POST', '/api/v1/users', { name, roles: [name] })
  const token = await mint(name, `own-${name}`)
  const { page, context, faults } = await person()
  await signIn(page, token)
  await settled(page)
  assert.deepEqual(await links(page), role.places, `the navigation of ${name}`)
  let looked = false
  let seen = await withheld(page, name, role, '/')
  for (const at of addresses) {
    await page.goto(told.url + addressOf(at))
    await settled(page)
    const shown = role.places.includes(at) || role.pages.includes(at)
    if (shown) assert.equal(await page.getByRole('alert').count(), 0, `${name} may see ${at}, and is shown ${await page.locator('main').innerText()}`)
    else if (at === '/requests/$id' && role.own) await page.getByRole('heading', { name: 'There is no such thing here' }).waitFor() // as one that is not there
    else {
      await refusal(page).waitFor()
      assert.equal(await page.locator('main table').count(), 0, `${name} is refused ${at}, and shown a table`)
      assert.equal(await page.locator('main input, main form').count(), 0, `${name} is refused ${at}, and asked for something`)
      if (!looked) await accessible(page, `${at} refused`)
      if (!looked) await fits(page, `${at} refused`)
      looked = true
    }
    seen += await withheld(page, name, role, at)
  }
  // What somebody else does now is in the live list of those who may see it alone.
  if (role.places.includes('/requests')) {
    await go(page, '/requests')
    await page.getByText('live', { exact: true }).waitFor()
    const theirs = await say(hush, things.provider)
    things.later = theirs
    const last = role.own || name === 'owner' ? await say(token, 'common') : theirs
    await page.locator(`a[href="/requests/${last}"]`).waitFor()
    await withheld(page, name, { sees: role.sees.includes('request') ? [...role.sees, 'later'] : role.sees }, 'the live list')
    assert.equal(await page.locator(`a[href="/requests/${theirs}"]`).count(), role.sees.includes('request') ? 1 : 0, `${name} is shown the request of somebody else`)
    delete things.later
  }
  for (const kind of role.sees.filter((k) => k !== 'session')) assert.ok(seen.includes(things[kind]), `the ${kind} is shown to ${name} nowhere: the test would not find it elsewhere either`)
  assert.deepEqual(faults, [], `what the browser logged for ${name}`)
  await context.close()
  console.log(`${String(Date.now() - started).padStart(6)} ms  ${addresses.length} screens as ${name}`)
}

for (const [name, role] of Object.entries(roles)) await walk(name, role)

// A permission more is a place more, and no other.
const token = await mint('nothing', 'granted')
for (const [at, permissions] of Object.entries(grants)) {
  await api('PATCH', '/api/v1/roles/nothing', { permissions })
  const { page, context } = await person()
  await signIn(page, token)
  await settled(page)
  const places = at === '/overview' ? ['/overview', '/requests'] : [at]
  assert.deepEqual(await links(page), places, `the navigation with ${permissions}`)
  assert.equal(new URL(page.url()).pathname, at, `the start with ${permissions}`)
  assert.equal(await page.getByRole('alert').count(), 0, `${at} with ${permissions}: ${await page.locator('main').innerText()}`)
  await context.close()
  console.log(`one more: ${at} with ${permissions.join(', ')}`)
}
assert.equal((await as(token, 'GET', '/api/v1/ai/providers')).status, 403, 'the last role has no providers')
await browser.close()
