// Is refused wherever something is changed, and finds every list empty, and every
// screen without an answer.
import assert from 'node:assert/strict'
import { accessible, api, told } from './browser.mjs'
import { begin, go, say, signIn } from './steps.mjs'

const providerPath = '/api/v1/ai/providers/openai'
await api('POST', '/api/v1/ai/providers', { name: 'openai', display_name: 'OpenAI', type: 'openai', base_url: `${told.upstream}/v1` })
for (const [api_key, label] of [[told.goodKey, 'good'], [told.limitedKey, 'limited']]) await api('POST', `${providerPath}/keys`, { api_key, label })
await api('POST', '/api/v1/ai/providers', { name: 'twice', type: 'openai', base_url: `${told.upstream}/v1` })
await api('DELETE', '/api/v1/ai/providers/twice')
await api('POST', '/api/v1/ai/providers', { name: 'twice', type: 'openai', base_url: `${told.upstream}/v1` })
await api('POST', '/api/v1/ai/routes', { name: 'fast', targets: [{ provider: 'openai', model: 'mock-gpt' }] })
for (const name of ['lee', 'kim']) await api('POST', '/api/v1/users', { name, roles: ['member'] })
const { token } = await api('POST', '/api/v1/tokens', { name: 'laptop', scopes: ['gateway:use'] })
const request = await say(token, 'openai')

const { browser, page, faults, step, button } = await begin()
await page.goto(told.url)
await signIn(page, told.ownerToken)
await page.getByRole('heading', { level: 1 }).waitFor()

const dialog = page.getByRole('dialog')
const choose = async (menu, item) => {
  await page.getByRole('button', { name: menu }).click()
  await page.getByRole('menuitem', { name: item, exact: true }).click()
}
const send = (name) => dialog.getByRole('button', { name, exact: true }).click()
const refused = (within = dialog) => within.locator('.refusal, .error').first().waitFor()

/** opened goes to a screen anew. */
async function opened(path, text) {
  await go(page, '/roles')
  await page.getByRole('heading', { name: 'Roles', exact: true }).waitFor()
  await go(page, path)
  await page.getByText(text).first().waitFor()
}

/** held keeps what the page reads at an address as it is now, until it is let go: no
 * poll shows it the change of somebody else before it makes its own. */
async function held(pattern) {
  const kept = new Map()
  const answer = async (route) => {
    if (route.request().method() !== 'GET') return route.fallback()
    const url = route.request().url()
    if (!kept.has(url)) {
      const res = await route.fetch()
      kept.set(url, { status: res.status(), headers: res.headers(), body: await res.body() })
    }
    await route.fulfill(kept.get(url)).catch(() => undefined) // it was let go meanwhile
  }
  await page.route(pattern, answer)
  return () => page.unroute(pattern, answer)
}

/** again sends until it is taken: the page reads what is there now, in a moment. */
async function again(name) {
  for (let i = 0; (await dialog.count()) > 0; i++) {
    assert.ok(i < 100, `${name} is still refused: ${await dialog.innerText()}`)
    if (await dialog.getByText('revoke it at the provider').count()) return button('Done').click()
    await dialog.getByRole('button', { name, exact: true }).click({ timeout: 500 }).catch(() => undefined)
    await page.evaluate(() => new Promise((done) => setTimeout(done, 100)))
  }
}

// --- 412: somebody else changed it after it was read

let changes = 0
const theirs = () => api('PATCH', providerPath, { display_name: `Theirs ${changes++}` })

for (const [name, how] of Object.entries({
  'a key is added': { open: () => button('Add key').click(), fields: { 'API key': told.spareKey, Label: 'spare' }, send: 'Add key' },
  'a key is edited': { open: () => choose('Actions for key spare', 'Edit'), fields: { Label: 'third' }, send: 'Save' },
  'a key is rotated': { open: () => choose('Actions for key third', 'Rotate'), fields: { 'New key': `${told.goodKey}-x` }, send: 'Rotate', before: () => dialog.getByText('Do not test the new key').click() },
  'a key is removed': { open: () => choose('Actions for key third', 'Remove'), fields: {}, send: 'Remove' },
})) {
  await step(`${name} after a change of somebody else`, async () => {
    const release = await held(/\/api\/v1\/ai\/providers\/openai(\?|$)/)
    await opened('/providers/openai', 'Keys, in failover order')
    await how.open()
    for (const [label, value] of Object.entries(how.fields)) await dialog.getByLabel(label, { exact: true }).fill(value)
    await how.before?.()
    await theirs()
    await send(how.send)
    await refused()
    if (name === 'a key is added') await accessible(page, 'a refused dialog')
    for (const [label, value] of Object.entries(how.fields)) assert.equal(await dialog.getByLabel(label, { exact: true }).inputValue(), value, label)
    await release()
    await again(how.send)
  }, { look: false })
}
assert.deepEqual((await api('GET', providerPath)).api_keys.map((k) => k.label), ['good', 'limited'], 'the keys in the end')

await step('keys are put in order after a change of somebody else', async () => {
  const release = await held(/\/api\/v1\/ai\/providers\/openai(\?|$)/)
  await opened('/providers/openai', 'Keys, in failover order')
  await theirs()
  await page.getByRole('button', { name: /^Move key limited/ }).focus()
  for (const key of [' ', 'ArrowUp', ' ']) await page.keyboard.press(key)
  await page.getByText('Somebody changed this provider at the same time.').first().waitFor()
  await release()
  assert.deepEqual((await api('GET', providerPath)).api_keys.map((k) => k.label), ['good', 'limited'])
})

await step('settings are saved after a change of somebody else', async () => {
  const release = await held(/\/api\/v1\/ai\/providers\/openai(\?|$)/)
  await opened('/providers/openai?tab=settings', 'Platform')
  await page.getByLabel('Models', { exact: true }).fill('mock-gpt')
  await theirs()
  await button('Save').click()
  await page.locator('main [role=alert], dialog').first().waitFor()
  await release()
  for (let i = 0; !(await api('GET', providerPath)).settings?.allowed_models; i++) {
    assert.ok(i < 100, `the settings are still refused: ${await page.locator('main').innerText()}`)
    for (const name of ['Go on with mine', 'Save']) await button(name).click({ timeout: 300 }).catch(() => undefined)
    await page.evaluate(() => new Promise((done) => setTimeout(done, 100)))
  }
  assert.deepEqual((await api('GET', providerPath)).settings.allowed_models, ['mock-gpt'])
})

for (const [name, how] of Object.entries({
  'a provider': { at: '/providers', list: /\/api\/v1\/ai\/providers(\?|$)/, switch: 'Send requests to OpenAI', theirs: () => api('PATCH', providerPath, { strategy: 'weighted' }), now: () => api('GET', providerPath) },
  'a route': { at: '/routes', list: /\/api\/v1\/ai\/routes(\?|$)/, switch: 'Serve fast', theirs: () => api('PATCH', '/api/v1/ai/routes/fast', { description: 'theirs' }), now: () => api('GET', '/api/v1/ai/routes/fast') },
})) {
  await step(`${name} is switched off after a change of somebody else`, async () => {
    if (name === 'a provider') await api('PATCH', providerPath, { display_name: 'OpenAI' })
    const release = await held(how.list)
    await opened(how.at, name === 'a provider' ? 'OpenAI' : 'fast')
    await how.theirs()
    await page.getByRole('switch', { name: how.switch }).click()
    await page.locator('.toast.bad').last().waitFor()
    assert.equal((await how.now()).enabled, true, 'it is as it was')
    await page.locator(`[role=switch][aria-label="${how.switch}"][aria-checked=true]`).waitFor() // and says so
    await release()
    await page.locator('.toast.bad').last().getByRole('button').last().click()
  })
}

for (const [name, how] of Object.entries({
  'a route': { at: '/routes', list: /\/api\/v1\/ai\/routes(\?|$)/, open: () => choose('Actions for route fast', 'Delete route'), typed: 'fast', send: 'Delete route', theirs: () => api('PATCH', '/api/v1/ai/routes/fast', { description: 'theirs again' }), there: () => api('GET', '/api/v1/ai/routes/fast') },
  'a provider': { at: '/providers/openai', list: /\/api\/v1\/ai\/providers\/openai(\?|$)/, open: () => button('Delete provider').click(), typed: 'openai', send: 'Delete provider', theirs, there: () => api('GET', providerPath) },
})) {
  await step(`${name} is deleted after a change of somebody else`, async () => {
    const release = await held(how.list)
    await opened(how.at, how.typed)
    await how.open()
    await dialog.getByLabel(`Type ${how.typed} to confirm`).fill(how.typed)
    await how.theirs()
    await send(how.send)
    await refused()
    await how.there() // or it throws
    await release()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  }, { look: false })
}

// --- 409: the name is taken

for (const [name, how] of Object.entries({
  'a provider': { at: '/providers', heading: 'Providers', open: 'Add provider', fields: { Name: 'openai', 'Base URL': `${told.upstream}/v1` }, first: () => dialog.getByRole('button', { name: 'OpenAI', exact: true }).click() },
  'a route': { at: '/routes', heading: 'Routes', open: 'Add route', fields: { Name: 'fast', 'Provider of target 1': 'openai', 'Model of target 1': 'mock-gpt' } },
  'a user': { at: '/users', heading: 'Users', open: 'Add user', fields: { Name: 'lee' } },
  'a role': { at: '/roles', heading: 'Roles', open: 'Make a role', fields: { Name: 'auditor' }, first: () => dialog.getByLabel('ai_provider:read').selectOption('all') },
})) {
  await step(`${name} with a name that is taken`, async () => {
    await go(page, how.at)
    await page.getByRole('heading', { name: how.heading, exact: true }).waitFor()
    await button(how.open).first().click()
    await how.first?.()
    for (const [label, value] of Object.entries(how.fields)) await dialog.getByLabel(label, { exact: true }).fill(value)
    await send(how.open)
    await refused()
    for (const [label, value] of Object.entries(how.fields)) assert.equal(await dialog.getByLabel(label, { exact: true }).inputValue(), value, label)
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  }, { look: false })
}

await step('a user is given a name that is taken', async () => {
  await opened('/users', 'kim')
  await choose('Actions for kim', 'Edit')
  await dialog.getByLabel('Name', { exact: true }).fill('lee')
  await send('Save')
  await refused()
  assert.equal(await dialog.getByLabel('Name', { exact: true }).inputValue(), 'lee')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
})

await step('a provider is restored onto a name that is taken', async () => {
  const { items } = await api('GET', '/api/v1/ai/providers?include_deleted=true&search=twice')
  await opened(`/providers/${items.find((p) => p.deleted).id}`, 'This provider was deleted')
  await button('Restore').click()
  await refused(page.locator('main'))
})

// --- what has nothing, and what cannot be read

/** answering has every question of the page to the API answered, but for who is there. */
async function answering(answer) {
  const pattern = /\/api\/v1\/(?!session$|version$)/
  const respond = (route) => (route.request().url().includes('/events') ? route.abort() : route.fulfill({ ...answer, contentType: answer.status === 200 ? 'application/json' : 'application/problem+json' }))
  await page.route(pattern, respond)
  return () => page.unroute(pattern, respond)
}

for (const [path, text] of Object.entries({
  '/providers': 'No provider yet', '/providers?q=x': 'Nothing is found for “x”', '/routes': 'No routes yet', '/requests': 'No requests yet', '/requests?status=5xx': 'Nothing matches',
  '/tokens': 'No tokens yet', '/tokens?owner=x': 'Nothing is found for “x”', '/users': 'No users', '/audit': 'No changes', '/audit?q=x': 'Nothing matches', '/encryption': 'No data keys',
})) {
  await step(`${path} is empty, and says what would be there`, async () => {
    const release = await answering({ status: 200, body: '{"items":[],"next_cursor":null,"size":0,"time":"2030-01-01T00:00:00Z","state":"idle","done":0,"secrets":0}' })
    await page.goto(told.url + path)
    await page.getByRole('heading', { name: text, exact: true }).waitFor()
    await release()
  }, { look: path.includes('?') }) // axe takes its time: once for each kind
}

const screens = {
  '/overview': 'Requests by the hour', '/providers': 'twice', '/providers/twice': 'No keys', '/routes': 'fast', '/requests': 'mock-gpt', [`/requests/${request}`]: 'Attempts',
  '/tokens': 'laptop', '/users': 'lee', '/roles': 'auditor', '/audit': 'created ai provider', '/encryption': 'seals secrets', '/welcome': 'Mint token',
}
for (const [path, text] of Object.entries(screens)) {
  await step(`${path} cannot be read, and is when one tries again`, async () => {
    const release = await answering({ status: 500, body: '{"title":"Internal Server Error","status":500,"detail":"something went wrong"}' })
    await page.goto(told.url + path)
    await page.getByRole('alert').getByText('Something went wrong').first().waitFor()
    await release()
    // One of them may have others read anew, too.
    while (await button('Try again').count()) await button('Try again').first().click({ timeout: 500 }).catch(() => undefined)
    await page.getByText(text).first().waitFor()
    await page.getByRole('alert').first().waitFor({ state: 'detached' })
  }, { look: ['/providers', '/requests'].includes(path) })
}

assert.deepEqual(faults, [])
await browser.close()
