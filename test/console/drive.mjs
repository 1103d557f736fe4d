// Goes through the console in a browser: each step as a person would, by what they
// see, and then looks at the screen with axe and at what the browser logged.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { accessible, api, chat, everyLook, fits, models, open, told } from './browser.mjs'
import { begin, go, present } from './steps.mjs'

const { browser, context, page, faults, step, button, field } = await begin()

const sees = (text) => page.getByText(text).first().waitFor()

const password = 'a gate and four towers'
let firstToken = ''

await step('a deep link asks who it is first', async () => {
  await page.goto(`${told.url}/`)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
})

await step('a wrong password is refused beside the form', async () => {
  await present(page, { name: 'owner', password: 'not the one' })
  await page.getByRole('alert').waitFor()
})

await step('a token that is none is refused beside the form', async () => {
  await present(page, { token: 'gate_nonsense' })
  await page.getByRole('alert').waitFor()
})

await step('the owner signs in, and an empty installation begins with the first steps', async () => {
  await present(page, { token: told.ownerToken })
  await sees('Welcome to your Gatehouse')
  await everyLook(page, 'first-run')
})

await step('the owner sets a password, and a short one is refused beside its field', async () => {
  await field('New password').fill('short')
  await field('New password again').fill('short')
  await button('Set a password').last().click()
  await page.locator('.field:has(label:text-is("New password")) .error').waitFor()
  await field('New password').fill(password)
  await field('New password again').fill(password)
  await button('Set a password').last().click()
  await sees('The file owner-token has been removed')
})

await step('a page that is loaded again is still signed in', async () => {
  await page.reload()
  await sees('Welcome to your Gatehouse')
})

await step('what is wrong with a provider stands beside its field', async () => {
  await button('OpenAI').click()
  await field('Name').fill('Not a name')
  await button('Add provider').click()
  await page.locator('.field:has(label:text-is("Name")) .error').waitFor()
  await field('Name').fill('openai')
  await field('Base URL').fill('ftp://example.org')
  await button('Add provider').click()
  await page.locator('.field:has(label:text-is("Base URL")) .error').waitFor()
})

await step('the first provider is added and tested', async () => {
  await field('Name').fill('openai')
  await field('Base URL').fill(`${told.upstream}/v1`)
  await field('API key').fill(told.goodKey)
  await button('Add provider').click()
  await page.getByText(/^tested, /).waitFor()
})

await step('the first token is minted and stands in what is to be pasted', async () => {
  await button('Mint token').click()
  await sees('Waiting for your first request')
  firstToken = (await page.getByLabel('Set-up for OpenAI SDK').innerText()).match(/gate_\w+/)[0]
  await everyLook(page, 'first-run-client')
})

await step('the first request is seen at once', async () => {
  assert.equal(await chat(firstToken), 200)
  await page.getByText(/^Received: answered 200/).waitFor({ timeout: 3000 })
})

await step('providers are listed', async () => {
  await page.getByRole('link', { name: 'Providers', exact: true }).click()
  await page.getByRole('table').getByRole('link', { name: 'OpenAI' }).waitFor()
})

await step('what is not there is said, and how to get back', async () => {
  await page.getByRole('searchbox').fill('nothing of that name')
  await sees('Nothing is found for')
  await page.getByRole('searchbox').fill('')
  await page.getByRole('table').getByRole('link', { name: 'OpenAI' }).waitFor()
})

await step('a provider is opened by keyboard alone', async () => {
  await page.locator('main').focus()
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'OpenAI', exact: true }).waitFor()
})

await step('keys are added, and a duplicate is refused beside its field', async () => {
  for (const [key, label] of [[told.limitedKey, 'overflow'], [told.spareKey, 'spare']]) {
    await button('Add key').click()
    await page.getByRole('dialog').getByLabel('API key').fill(key)
    await page.getByRole('dialog').getByLabel('Label').fill(label)
    await page.getByRole('dialog').getByRole('button', { name: 'Add key' }).click()
    await page.getByRole('row', { name: label }).waitFor()
  }
  await button('Add key').click()
  await page.getByRole('dialog').getByLabel('API key').fill(told.spareKey)
  await page.getByRole('dialog').getByRole('button', { name: 'Add key' }).click()
  await page.getByRole('dialog').locator('.error, .refusal').first().waitFor()
  await accessible(page, 'a dialog with an error')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})

const labels = () => page.locator('tbody .name').allInnerTexts()

await step('keys are put in order by keyboard, and none is lost', async () => {
  const grip = page.getByRole('button', { name: /^Move key overflow/ })
  await grip.focus()
  await page.keyboard.press(' ')
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press(' ')
  await page.getByText('The order is saved.').waitFor({ state: 'attached' })
  assert.deepEqual(await labels(), ['overflow', 'no label', 'spare'])
  const { api_keys } = await api('GET', '/api/v1/ai/providers/openai')
  assert.deepEqual(api_keys.map((k) => k.label), ['overflow', '', 'spare'])
})

await step('keys are put in order by pointer', async () => {
  const from = await page.getByRole('button', { name: /^Move key spare/ }).boundingBox()
  const to = await page.getByRole('button', { name: /^Move key overflow/ }).boundingBox()
  await page.mouse.move(from.x + 5, from.y + 5)
  await page.mouse.down()
  await page.mouse.move(to.x + 5, to.y + 20, { steps: 4 })
  await page.mouse.move(to.x + 5, to.y + 5, { steps: 4 })
  await page.mouse.up()
  await page.waitForFunction(() => document.querySelector('tbody .name')?.textContent === 'spare')
  await page.waitForFunction(() => !document.querySelector('tr.lifted'))
})

await step('a key that is rate limited cools, and says for how long', async () => {
  await api('PATCH', '/api/v1/ai/providers/openai', { api_keys: (await api('GET', '/api/v1/ai/providers/openai')).api_keys.sort((a) => (a.label === 'overflow' ? -1 : 1)).map(({ id }) => ({ id })) })
  assert.equal(await chat(firstToken), 200)
  assert.equal(await models(firstToken), 200) // of no model, so that the key cools as a whole
  await page.getByText(/^cooling, \d+ s$/).waitFor()
})

/** choose does something to a key by its menu. */
async function choose(label, action) {
  await page.getByRole('button', { name: `Actions for key ${label}` }).click()
  await page.getByRole('menuitem', { name: action, exact: true }).click()
}

await step('a key is disabled and enabled', async () => {
  await choose('spare', 'Disable')
  await page.getByRole('row', { name: 'spare' }).getByText('disabled').waitFor()
  await choose('spare', 'Enable')
  await page.getByRole('row', { name: 'spare' }).getByText('ready').waitFor()
})

await step('a key is removed, and the others stay', async () => {
  await choose('spare', 'Remove')
  await sees('2 other keys of this provider stay.')
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
  await page.getByRole('row', { name: 'spare' }).waitFor({ state: 'detached' })
  assert.equal((await api('GET', '/api/v1/ai/providers/openai')).api_keys.length, 2)
})

await step('a key is rotated, and a refused one says why', async () => {
  await choose('no label', 'Rotate').catch(() => choose('sk-…0001', 'Rotate'))
  await field('New key').fill('sk-nobody-knows-this-key-00')
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click()
  await page.getByRole('dialog').locator('.error, .refusal').first().waitFor()
  await field('New key').fill(told.spareKey)
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click()
  await sees('revoke it at the provider')
  await button('Done').click()
})

await step('keys are tested', async () => {
  await button('Test keys').click()
  await page.getByRole('dialog').getByText('ok', { exact: true }).waitFor()
  await page.keyboard.press('Escape')
})

await step('a change under one’s hands shows both versions', async () => {
  await button('Edit').click()
  await field('Name for people').fill('Mine')
  await api('PATCH', '/api/v1/ai/providers/openai', { display_name: 'Theirs' })
  await button('Save').click()
  await sees('It was changed in the meantime')
  await page.getByRole('cell', { name: 'Theirs' }).waitFor()
  await accessible(page, 'the conflict')
  await button('Go on with mine').click()
  await button('Save').click()
  await page.getByRole('heading', { name: 'Mine' }).waitFor()
})

await step('settings are saved, and what is wrong with one stands beside it', async () => {
  await page.getByRole('tab', { name: 'Settings' }).click()
  await field('Wait for the first byte').fill('soon')
  await button('Save').click()
  await page.locator('.field:has(label:text-is("Wait for the first byte")) .error').waitFor()
  await field('Wait for the first byte').fill('90s')
  await field('Models').fill('mock-gpt, gpt-*')
  await button('Save').click()
  await sees('The settings are saved.')
  const { settings } = await api('GET', '/api/v1/ai/providers/openai')
  assert.deepEqual(settings.allowed_models, ['mock-gpt', 'gpt-*'])
})

await step('its requests are listed', async () => {
  await page.getByRole('tab', { name: 'Requests' }).click()
  await page.getByText('200, failed over').first().waitFor()
})

await step('its changes are told, and no secret with them', async () => {
  await page.getByRole('tab', { name: 'Changes' }).click()
  await page.getByText('display_name').first().waitFor()
  const text = await page.locator('main').innerText()
  for (const secret of [told.goodKey, told.spareKey, told.limitedKey]) assert.ok(!text.includes(secret))
})

await step('requests come as they end, and lead to their attempts', async () => {
  await page.getByRole('link', { name: 'Requests', exact: true }).click()
  await page.getByText('live', { exact: true }).waitFor()
  const before = await page.locator('tbody tr').count()
  assert.equal(await chat(firstToken), 200)
  await page.waitForFunction((n) => document.querySelectorAll('tbody tr').length > n, before, { timeout: 3000 })
  await page.locator('tbody a').first().click()
  await page.getByRole('table', { name: 'Attempts' }).waitFor()
})

await step('requests are filtered by the address', async () => {
  await go(page, '/requests?status=5xx')
  await sees('Nothing matches')
})

await step('there is a page for what is not there', async () => {
  await go(page, '/nowhere')
  await sees('There is no such page')
  await go(page, '/providers/nowhere')
  await sees('There is no such thing here')
})

await step('a server that is away is told of, and what was read stays', async () => {
  await go(page, '/providers')
  await page.getByRole('table').getByRole('link', { name: 'Mine' }).waitFor()
  await context.setOffline(true)
  await page.getByText('The server does not answer.').waitFor()
  await page.getByRole('table').getByRole('link', { name: 'Mine' }).waitFor()
  await context.setOffline(false)
  await page.getByText('The server does not answer.').waitFor({ state: 'detached' })
  faults.splice(0, faults.length, ...faults.filter((f) => !/ERR_INTERNET_DISCONNECTED/.test(f)))
})

await step('shortcuts are shown', async () => {
  await page.locator('main').focus()
  await page.keyboard.press('?')
  await page.getByRole('dialog').getByText('Next row').waitFor()
  await page.keyboard.press('Escape')
})

await step('a list of hundreds goes on as one scrolls', async () => {
  for (let i = 0; i < 120; i++) await api('POST', '/api/v1/ai/providers', { name: `many-${String(i).padStart(3, '0')}`, type: 'openai', base_url: `${told.upstream}/v1`, enabled: false })
  await go(page, '/providers?q=many')
  await page.getByRole('link', { name: 'many-000' }).waitFor()
  await page.waitForFunction(() => {
    scrollTo(0, document.body.scrollHeight)
    return [...document.querySelectorAll('tbody a')].some((a) => a.textContent === 'many-119')
  })
})

await step('a deleted provider is named by what goes with it, and can be restored', async () => {
  await go(page, '/providers/openai')
  await button('Delete provider').click()
  await sees('2 keys will be removed for good.')
  await field('Type openai to confirm').fill('openai')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete provider' }).click()
  await page.getByRole('heading', { name: 'Providers', exact: true }).waitFor()
  await go(page, '/providers?deleted=shown&q=openai')
  await page.getByRole('link', { name: 'Mine' }).click()
  await button('Restore').click()
  await page.getByText('This provider was deleted').waitFor({ state: 'detached' })
})

await step('a route is made, and a change under one’s hands shows what is there', async () => {
  await page.getByRole('link', { name: 'Routes', exact: true }).click()
  await sees('No routes yet')
  await button('Add route').first().click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill('fast')
  await field('Provider of target 1').fill('nobody')
  await field('Model of target 1').fill('mock-gpt')
  await dialog.getByRole('button', { name: 'Add route' }).click()
  await dialog.locator('fieldset .error').waitFor()
  await accessible(page, 'a route with an error')
  await field('Provider of target 1').fill('openai')
  await button('One more target').click()
  await field('Provider of target 2').fill('many-000')
  await field('Model of target 2').fill('mock-gpt')
  await field('Move target 2 up').click()
  await dialog.getByRole('button', { name: 'Add route' }).click()
  await page.getByText('many-000/mock-gpt').waitFor()
  assert.deepEqual((await api('GET', '/api/v1/ai/routes/fast')).targets.map((t) => t.provider), ['many-000', 'openai'])
  await page.getByRole('button', { name: 'Actions for route fast' }).click()
  await page.getByRole('menuitem', { name: 'Edit' }).click()
  await api('PATCH', '/api/v1/ai/routes/fast', { targets: [{ provider: 'openai', model: 'theirs' }] })
  await field('What it is for').fill('mine')
  await button('Save').click()
  await dialog.getByText('openai/theirs').waitFor()
  await button('Take what is there').click()
  await field('What it is for').fill('agreed')
  await button('Save').click()
  await page.getByRole('row', { name: /agreed/ }).getByText('openai/theirs').waitFor()
})

await step('the encryption keys are rotated, and every secret is verified', async () => {
  await page.getByRole('link', { name: 'Encryption', exact: true }).click()
  await page.getByText('no rotation under way').waitFor()
  await button('Rotate keys').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate keys' }).click()
  await page.getByText('retired').first().waitFor({ timeout: 30_000 })
  await button('Verify secrets').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Verify secrets' }).click()
  await page.getByText(/^all \d+ secrets? opens?, |^all \d+ secrets? open, /).waitFor()
  await page.keyboard.press('Escape')
})

await step('the overview has the last day, and moves as requests end', async () => {
  await page.getByRole('link', { name: 'Overview', exact: true }).click()
  const requests = page.locator('.numbers dd').first()
  await requests.waitFor()
  const before = Number(await requests.innerText())
  await api('PATCH', '/api/v1/ai/providers/openai', { enabled: true })
  await chat(firstToken)
  await page.waitForFunction((n) => Number(document.querySelector('.numbers dd')?.textContent) > n, before, { timeout: 4000 })
  await page.getByRole('table', { name: 'Providers in use' }).getByRole('link', { name: 'Mine' }).waitFor() // behind 120 others by its name
})

await step('a token is minted, shown once, and revoked', async () => {
  await page.getByRole('link', { name: 'Tokens', exact: true }).click()
  await page.getByText('my-laptop').waitFor()
  await button('Mint token').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Mint token' }).click()
  await page.getByRole('dialog').locator('.field:has(label:text-is("Name")) .error').waitFor()
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('robot')
  await field('Providers').fill('openai')
  await page.getByRole('checkbox', { name: 'metrics:read' }).check()
  await page.getByRole('dialog').getByRole('button', { name: 'Mint token' }).click()
  await page.getByRole('dialog').locator('.error, .refusal').first().waitFor() // a list of providers takes scopes of the gateway only
  await page.getByRole('checkbox', { name: 'metrics:read' }).uncheck()
  await page.getByRole('dialog').getByRole('button', { name: 'Mint token' }).click()
  await sees('The token is shown this once.')
  const token = await page.getByRole('dialog').locator('pre').innerText()
  assert.match(token, /^gate_/)
  await accessible(page, 'a minted token')
  await button('Done').click()
  assert.ok(!(await page.content()).includes(token))
  await button('Revoke robot').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('row', { name: 'robot' }).waitFor({ state: 'detached' })
})

await step('a user is added with a role, changed, and kept out', async () => {
  await page.getByRole('link', { name: 'Users', exact: true }).click()
  await button('Add user').click()
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('owner')
  await page.getByRole('dialog').getByRole('button', { name: 'Add user' }).click()
  await page.getByRole('dialog').locator('.error, .refusal').first().waitFor() // the name is taken
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('lee')
  await page.getByRole('checkbox', { name: 'auditor' }).check()
  await page.getByRole('dialog').getByRole('button', { name: 'Add user' }).click()
  await page.getByRole('row', { name: /^lee/ }).getByText('member, auditor').or(page.getByRole('row', { name: /^lee/ }).getByText('auditor, member')).waitFor()
  await page.getByRole('switch', { name: 'Let lee in' }).click()
  await page.getByRole('row', { name: /^lee/ }).getByText('disabled').waitFor()
})

await step('a role is made, and what each can do stands side by side', async () => {
  await page.getByRole('link', { name: 'Roles', exact: true }).click()
  await page.getByRole('table', { name: 'What each role can do' }).waitFor()
  await button('Make a role').click()
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('operator')
  await page.getByRole('dialog').getByLabel('ai_provider:read').selectOption('all')
  await accessible(page, 'the form of a role')
  await page.getByRole('dialog').getByRole('button', { name: 'Make a role' }).click()
  await page.getByRole('columnheader', { name: 'operator' }).waitFor()
})

await step('the audit log tells who did what, and what changed', async () => {
  await page.getByRole('link', { name: 'Audit', exact: true }).click()
  await page.getByText('signed', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'created role' }).click()
  await page.getByText('+ name operator').waitFor()
})

await step('the audit log is filtered by the address, and exported', async () => {
  await go(page, '/audit?resource=api_key&action=delete')
  await page.getByRole('button', { name: 'deleted token' }).first().waitFor()
  const saved = page.waitForEvent('download')
  await button('Export').click()
  const stream = await (await saved).createReadStream()
  let text = ''
  for await (const chunk of stream) text += chunk
  assert.match(text, /robot/)
  await button('Checkpoint').click()
  await sees('Keep this where nobody')
  await accessible(page, 'the checkpoint')
  await page.keyboard.press('Escape')
})

await step('a session that the server ends asks to sign in again, and leads back', async () => {
  const { items } = await api('GET', '/api/v1/sessions')
  for (const session of items) await api('DELETE', `/api/v1/sessions/${session.id}`)
  await go(page, '/tokens')
  await sees('Your session has ended.')
  await present(page, { name: 'owner', password })
  await page.getByRole('heading', { name: 'Tokens' }).waitFor()
})

await step('a user is given a password, and must choose another', async () => {
  await api('POST', '/api/v1/users', { name: 'kim', roles: ['member'] })
  await go(page, '/users')
  await page.getByRole('button', { name: 'Actions for kim' }).click()
  await page.getByRole('menuitem', { name: 'Set password' }).click()
  await field('New password').fill('given by the owner')
  await page.getByRole('dialog').getByRole('button', { name: 'Set password' }).click()
  await sees('The password is saved.')
  await button('Sign out').click()
  await present(page, { name: 'kim', password: 'given by the owner' })
  await page.getByRole('heading', { name: 'Choose a password' }).waitFor()
  await field('Password until now').fill('given by the owner')
  await field('New password').fill('known to kim alone')
  await field('New password again').fill('known to kim alone')
  await button('Save').click()
  await page.getByRole('link', { name: 'Tokens', exact: true }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'Users', exact: true }).count(), 0)
})

await step('a role that may read nothing is shown nothing', async () => {
  await api('POST', '/api/v1/users', { name: 'sofia', roles: ['auditor'] })
  const { token } = await api('POST', '/api/v1/tokens', { name: 'sofia', owner: 'sofia', scopes: ['all'] })
  await button('Sign out').click()
  await present(page, { token })
  await page.getByRole('link', { name: 'Requests', exact: true }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'Providers', exact: true }).count(), 0)
  await go(page, '/providers')
  await sees('This is not for your role')
})

if (told.screenshots) {
  await button('Sign out').click()
  await pictures()
}
await browser.close()

async function pictures() {
  mkdirSync(told.screenshots, { recursive: true })
  const provider = (await api('GET', '/api/v1/ai/providers?search=openai')).items[0]
  await api('PATCH', '/api/v1/ai/providers/openai', { enabled: true, api_keys: [{ api_key: told.limitedKey }, { api_key: told.goodKey }] })
  for (let i = 0; i < 12; i++) await chat(firstToken)
  await models(firstToken)
  const request = (await api('GET', '/api/v1/interceptions')).items[0]
  const screens = { overview: '/overview', routes: '/routes', encryption: '/encryption', welcome: '/welcome', providers: '/providers', provider: '/providers/openai', settings: '/providers/openai?tab=settings', changes: '/providers/openai?tab=changes', requests: '/requests', tokens: '/tokens', users: '/users', roles: '/roles', audit: '/audit', request: `/requests/${request.id}` }
  assert.ok(provider)
  for (const width of [360, 1280, 2560]) {
    for (const scheme of ['light', 'dark']) {
      const shot = await open(browser, { viewport: { width, height: width === 2560 ? 1300 : 820 }, colorScheme: scheme })
      const save = (name) => shot.page.screenshot({ path: `${told.screenshots}/${name}-${width}-${scheme}.png` })
      await shot.page.goto(`${told.url}/`)
      await shot.page.getByRole('heading', { name: 'Sign in' }).waitFor()
      await save('signin')
      await present(shot.page, { name: 'owner', password })
      await shot.page.getByRole('navigation').waitFor()
      for (const [name, path] of Object.entries(screens)) {
        await shot.page.evaluate((p) => { history.pushState(null, '', p); dispatchEvent(new PopStateEvent('popstate')) }, path)
        await shot.page.getByRole('heading', { level: 1 }).waitFor()
        await shot.page.waitForTimeout(400)
        await fits(shot.page, `${name} at ${width}`)
        await accessible(shot.page, `${name} at ${width} in ${scheme}`)
        await save(name)
      }
      assert.deepEqual(shot.faults, [])
      await shot.context.close()
    }
  }
}
