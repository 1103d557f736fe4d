// Goes through what one manages with, beside the screens of drive.mjs: the way to
// anything by its name, a provider that is tried first, what a change will affect and
// how it is undone, one's own sessions, what a form is on the command line.
import assert from 'node:assert/strict'
import { accessible, api, chat, everyLook, open, told } from './browser.mjs'
import { begin, go } from './steps.mjs'

const { browser, page, step, button, field } = await begin()
const dialog = page.getByRole('dialog')
/** until waits for what the page has asked the server to do. */
const until = async (ask, what) => {
  for (let n = 0; !(await ask()); n++) {
    assert.ok(n < 100, `${what}: not after ten seconds`)
    await page.waitForTimeout(100)
  }
}

const provider = (name, keys) => ({ name, type: 'openai', base_url: `${told.upstream}/v1`, api_keys: keys })
await api('POST', '/api/v1/ai/providers', provider('alpha', [told.goodKey, told.limitedKey]))
await api('POST', '/api/v1/ai/routes', { name: 'fast', targets: [{ provider: 'alpha', model: 'mock-gpt' }] })
await api('POST', '/api/v1/users', { name: 'mira', roles: ['member'] })
const { token } = await api('POST', '/api/v1/tokens', { name: 'robot', scopes: ['gateway:use'], providers: ['alpha'] })

await step('one signs in', async () => {
  await page.goto(`${told.url}/providers`)
  await button('Sign in with a token').click()
  await field('Token').fill(told.ownerToken)
  await button('Sign in').click()
  await page.getByRole('heading', { name: 'Providers', exact: true }).waitFor()
})

await step('anything is gone to by its name, by keyboard alone', async () => {
  for (const [name, where] of [['alph', '/providers/alpha'], ['fas', '/routes?q=fast'], ['mir', '/users?q=mira'], ['robo', '/tokens?owner=owner&q=robot'], ['audi', '/audit'], ['account', '/account']]) {
    await page.keyboard.press('Control+k')
    await page.waitForFunction(() => document.activeElement?.getAttribute('role') === 'combobox')
    await page.keyboard.type(name)
    await page.waitForFunction((part) => document.querySelector('[role=option][aria-selected=true]')?.textContent.toLowerCase().includes(part), name)
    if (name === 'alph') await accessible(page, 'the way to anything')
    await page.keyboard.press('Enter')
    await page.waitForURL(told.url + where)
    await dialog.waitFor({ state: 'detached' })
  }
})

await step('what is chosen there is told of, and what is not found', async () => {
  await page.getByRole('button', { name: /^Go to/ }).click()
  const combobox = dialog.getByRole('combobox')
  await dialog.getByRole('option').nth(3).waitFor()
  await page.keyboard.press('ArrowDown')
  const chosen = dialog.getByRole('option', { selected: true })
  assert.equal(await combobox.getAttribute('aria-activedescendant'), await chosen.getAttribute('id'))
  assert.match(await chosen.innerText(), /Providers/)
  await combobox.fill('nothing of that name')
  await dialog.getByText('Nothing is found for').waitFor()
  await everyLook(page, 'goto')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
})

await step('users and routes are searched', async () => {
  for (const [path, there, gone] of [['/users', 'mira', 'owner'], ['/routes', 'fast', 'nothing']]) {
    await go(page, path)
    await page.getByRole('searchbox').fill(there)
    await page.getByRole('row', { name: there }).waitFor()
    await page.waitForFunction((n) => ![...document.querySelectorAll('tbody .name')].some((e) => e.textContent === n), gone)
    await page.getByRole('searchbox').fill('zzz')
    await page.getByText('Nothing is found for').waitFor()
  }
})

await step('a provider is tried before it is added, and nothing of that stays', async () => {
  await go(page, '/providers')
  await button('Add provider').click()
  await field('Name').fill('beta')
  await field('Base URL').fill(`${told.upstream}/v1`)
  await field('API key').fill('sk-nobody-knows-this-key-00')
  await dialog.getByRole('button', { name: 'Test', exact: true }).click()
  await dialog.getByText('key refused').waitFor()
  await field('API key').fill(told.spareKey)
  await dialog.getByText('key refused').waitFor({ state: 'detached' }) // it was of another key
  await dialog.getByRole('button', { name: 'Test', exact: true }).click()
  await dialog.getByText(/^tested, /).waitFor()
  await accessible(page, 'a provider that was tried')
  assert.equal((await api('GET', '/api/v1/ai/providers?search=beta')).items.length, 0)
})

await step('a form is a command, without the secret in it', async () => {
  await dialog.getByText('Copy as gatehouse command').click()
  const command = await dialog.getByLabel('The same on the command line').innerText()
  assert.equal(command, `gatehouse provider add beta --type openai --base-url ${told.upstream}/v1 --api-key-env API_KEY`)
  await dialog.getByRole('button', { name: 'Add provider' }).click()
  await page.getByRole('heading', { name: 'beta', exact: true }).waitFor()
})

await step('what is switched off is switched on again by undoing it', async () => {
  await page.getByRole('switch').click()
  await page.getByText('beta is switched off.').waitFor()
  await button('Undo').click()
  await page.getByRole('switch', { checked: true }).waitFor()
  await until(async () => (await api('GET', '/api/v1/ai/providers/beta')).enabled, 'the provider is on again')
  await page.getByRole('button', { name: /^Actions for key/ }).click()
  await page.getByRole('menuitem', { name: 'Disable' }).click()
  await button('Undo').last().click()
  await page.getByRole('row').getByText('ready').waitFor()
  await until(async () => !(await api('GET', '/api/v1/ai/providers/beta')).api_keys[0].disabled, 'the key is on again')
})

await step('settings that somebody else changed show both versions', async () => {
  await go(page, '/providers/alpha?tab=settings')
  await field('Project').fill('mine')
  await api('PATCH', '/api/v1/ai/providers/alpha', { settings: { _type: 'openai', _version: 1, project: 'theirs' } })
  await page.waitForTimeout(3500) // what is read again meanwhile is not taken for what one saw
  await button('Save').click()
  await page.getByRole('cell', { name: 'theirs' }).waitFor()
  await accessible(page, 'the conflict of settings')
  await button('Go on with mine').click()
  assert.equal(await field('Project').inputValue(), 'mine')
  await button('Save').click()
  await page.getByText('The settings are saved.').waitFor()
  assert.equal((await api('GET', '/api/v1/ai/providers/alpha')).settings.project, 'mine')
})

await step('what goes with a provider is named before it is deleted', async () => {
  assert.equal(await chat(token, 'alpha'), 200)
  while ((await api('GET', '/api/v1/usage?provider=alpha')).total.requests === 0) await new Promise((done) => setTimeout(done, 100)) // its record is written
  await go(page, '/providers/alpha')
  await button('Delete provider').click()
  for (const text of ['2 keys will be removed for good.', '1 route has it as a target: fast.', '1 token names it on its list: robot (owner).', '1 request went here in the last day.']) await dialog.getByText(text).waitFor()
  await everyLook(page, 'delete')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
})

await step('one sees where one is signed in, and ends the other sessions', async () => {
  const others = []
  for (let i = 0; i < 2; i++) {
    const other = await open(browser)
    await other.page.goto(told.url)
    await other.page.getByRole('button', { name: 'Sign in with a token' }).click()
    await other.page.getByLabel('Token', { exact: true }).fill(told.ownerToken)
    await other.page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await other.page.getByRole('navigation').waitFor()
    others.push(other)
  }
  await go(page, '/account')
  const rows = page.getByRole('table', { name: 'Where you are signed in' }).locator('tbody tr')
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 3, null, { timeout: 15_000 })
  assert.match(await rows.first().innerText(), /Chrome on Linux[\s\S]*this one/)
  await everyLook(page, 'account')
  await page.getByRole('button', { name: /^Sign out Chrome/ }).first().click()
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 2)
  await button('Sign out everywhere else').click()
  await dialog.getByText('1 other session of yours ends at once.').waitFor()
  await dialog.getByRole('button', { name: 'Sign out everywhere else' }).click()
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1)
  for (const other of others) {
    await other.page.reload()
    await other.page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await other.context.close()
  }
})

await browser.close()
