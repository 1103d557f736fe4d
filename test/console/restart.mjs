// Ends the server as kill -9 does, and starts it again, under screens that are open
// and forms that are being filled.
import assert from 'node:assert/strict'
import { accessible, api, fits, open, told } from './browser.mjs'
import { begin, go, say, signIn } from './steps.mjs'

const control = async (what) => {
  const res = await fetch(`${told.control}/${what}`, { method: 'POST' })
  assert.ok(res.ok, `${what}: ${await res.text()}`)
}

await api('POST', '/api/v1/ai/providers', { name: 'openai', display_name: 'OpenAI', type: 'openai', base_url: `${told.upstream}/v1`, api_keys: [told.goodKey] })
await api('POST', '/api/v1/ai/routes', { name: 'fast', targets: [{ provider: 'openai', model: 'mock-gpt' }] })
const { token } = await api('POST', '/api/v1/tokens', { name: 'laptop', scopes: ['gateway:use'] })
const first = await say(token, 'openai')
for (let i = 0; (await api('GET', '/api/v1/interceptions')).items.length === 0; i++) {
  assert.ok(i < 500, 'the first request is never listed')
  await new Promise((done) => setTimeout(done, 20))
}

// --- a page for each screen, and one for each form

const { browser, context, page, faults } = await begin()
const away = (on) => on.getByText('The server does not answer. What is shown')

await page.goto(told.url)
await signIn(page, told.ownerToken)

const screens = {
  '/overview': 'Requests by the hour', '/providers': 'OpenAI', '/providers/openai': 'Keys, in failover order', '/providers/openai?tab=settings': 'Platform', '/routes': 'fast', '/requests': 'mock-gpt',
  [`/requests/${first}`]: 'Attempts', '/tokens': 'laptop', '/users': 'owner', '/roles': 'auditor', '/audit': 'created ai provider', '/encryption': 'seals secrets', '/welcome': 'Waiting for your first request',
}
const pages = {}
for (const [at, text] of Object.entries(screens)) {
  const on = at === '/overview' ? page : await context.newPage()
  pages[at] = on
  if (on === page) await go(on, at)
  else await on.goto(told.url + at)
  if (at === '/welcome') {
    await on.getByLabel('Name', { exact: true }).fill('first')
    await on.getByRole('button', { name: 'Mint token' }).click()
  }
  await on.getByText(text).first().waitFor()
}
const firstToken = (await pages['/welcome'].getByLabel('Set-up for OpenAI SDK').innerText()).match(/gate_\w+/)[0]

// Each form is filled, and sent while the server is away.
const forms = {
  provider: async (on) => {
    await on.goto(`${told.url}/providers`)
    await on.getByRole('button', { name: 'Add provider' }).click()
    await on.getByRole('dialog').getByRole('button', { name: 'OpenAI', exact: true }).click()
    return { fields: { Name: 'another', 'Base URL': `${told.upstream}/v1`, 'API key': told.spareKey }, send: 'Add provider', done: () => api('GET', '/api/v1/ai/providers/another') }
  },
  token: async (on) => {
    await on.goto(`${told.url}/tokens`)
    await on.getByRole('button', { name: 'Mint token' }).click()
    return { fields: { Name: 'robot', Providers: 'openai', Models: 'gpt-*' }, send: 'Mint token', done: () => on.getByText('The token is shown this once.').waitFor() }
  },
  user: async (on) => {
    await on.goto(`${told.url}/users`)
    await on.getByRole('button', { name: 'Add user' }).click()
    return { fields: { Name: 'lee' }, send: 'Add user', done: () => api('GET', '/api/v1/users/lee') }
  },
  route: async (on) => {
    await on.goto(`${told.url}/routes`)
    await on.getByRole('button', { name: 'Add route' }).click()
    return { fields: { Name: 'slow', 'Provider of target 1': 'openai', 'Model of target 1': 'mock-gpt' }, send: 'Add route', done: () => api('GET', '/api/v1/ai/routes/slow') }
  },
  settings: async (on) => {
    await on.goto(`${told.url}/providers/openai?tab=settings`)
    return { fields: { 'Wait for the first byte': '90s', Models: 'mock-gpt' }, send: 'Save', done: () => on.getByText('The settings are saved.').waitFor(), page: true }
  },
}
const filled = []
for (const [name, prepare] of Object.entries(forms)) {
  const on = await context.newPage()
  const form = await prepare(on)
  form.within = form.page ? on.locator('main') : on.getByRole('dialog')
  form.held = async (when) => {
    for (const [label, value] of Object.entries(form.fields)) assert.equal(await form.within.getByLabel(label, { exact: true }).inputValue(), value, `${label} of the form of a ${name} ${when}`)
  }
  for (const [label, value] of Object.entries(form.fields)) await form.within.getByLabel(label, { exact: true }).fill(value)
  filled.push({ name, on, ...form })
}
const stranger = await open(browser) // who has not signed in yet
stranger.context.setDefaultTimeout(30_000)
await stranger.page.goto(told.url)
await stranger.page.getByLabel('Name', { exact: true }).fill('owner')
await stranger.page.getByLabel('Password', { exact: true }).fill('not the one')
console.log(`${Object.keys(pages).length} screens and ${filled.length + 1} forms are open`)

// --- it is gone

let started = Date.now()
await control('kill')
for (const [at, on] of Object.entries(pages)) {
  await away(on).waitFor()
  await on.getByText(screens[at]).first().waitFor() // what was read stays
}
console.log(`${String(Date.now() - started).padStart(6)} ms  until every screen says that the server is away`)
await accessible(pages['/requests'], 'a server that is away')
await fits(pages['/requests'], 'a server that is away')
for (const f of filled) {
  await away(f.on).waitFor()
  await f.within.getByRole('button', { name: f.send, exact: true }).click()
  await f.within.getByText('The server does not answer. Nothing was changed, as far as is known here').waitFor()
  await f.held('while the server is away')
}
await away(stranger.page).waitFor()
await stranger.page.getByRole('button', { name: 'Sign in', exact: true }).click()
await stranger.page.getByText('Nothing was changed, as far as is known here').waitFor()

// --- it is back, and serves before any screen has noticed

await control('start')
started = Date.now()
const after = [await say(token, 'openai'), await say(firstToken, 'openai'), await say(token, 'openai')]
const live = pages['/requests']
for (const id of [...after, first]) await live.locator(`a[href="/requests/${id}"]`).waitFor()
console.log(`${String(Date.now() - started).padStart(6)} ms  until the live list has what was served since the start`)
await pages['/welcome'].getByText(/^Received: answered 200/).waitFor()
console.log(`${String(Date.now() - started).padStart(6)} ms  until the first request is received`)
assert.equal(await live.locator('tbody tr').count(), 4, 'each request once')
for (const on of Object.values(pages)) await away(on).waitFor({ state: 'detached' })
console.log(`${String(Date.now() - started).padStart(6)} ms  until no screen says that the server is away`)
const later = await say(token, 'openai')
started = Date.now()
await live.locator(`a[href="/requests/${later}"]`).waitFor()
console.log(`${String(Date.now() - started).padStart(6)} ms  until the live list has the next request`)

for (const f of filled) {
  await away(f.on).waitFor({ state: 'detached' })
  await f.held('after the server is back')
  await f.within.getByRole('button', { name: f.send, exact: true }).click()
  if (f.page) await f.done()
  else {
    await f.within.getByText('The server does not answer.').waitFor({ state: 'detached' })
    await f.within.getByText('The token is shown this once.').or(f.on.locator('body:not(:has(dialog))')).first().waitFor()
    await f.done()
  }
}
assert.equal(await stranger.page.getByLabel('Name', { exact: true }).inputValue(), 'owner')
await stranger.page.getByRole('button', { name: 'Sign in', exact: true }).click()
await stranger.page.getByText('Nothing was changed, as far as is known here').waitFor({ state: 'detached' })
await stranger.page.getByRole('alert').waitFor() // it is the wrong password, as before

assert.deepEqual([...faults, ...stranger.faults], [], 'what the browser logged')
await browser.close()
