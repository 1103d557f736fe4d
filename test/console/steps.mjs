// What scripts of steps share: a page, and what a person does with it.
import assert from 'node:assert/strict'
import { accessible, fits, launch, open, told } from './browser.mjs'

/** begin opens a browser. What its init function does is done in every page before the page's own. */
export async function begin(init) {
  const browser = await launch()
  const { context, page, faults } = await open(browser)
  context.setDefaultTimeout(30_000) // these run beside each other
  if (init) await context.addInitScript(init)
  return { browser, context, page, faults, step: stepsOf(page, faults), ...controlsOf(page) }
}

/** controlsOf returns what finds a button or a field by its name. */
const controlsOf = (page) => ({
  button: (name) => page.getByRole('button', { name, exact: true }),
  field: (name) => page.getByLabel(name, { exact: true }),
})

/** stepsOf returns what runs a step, and then checks what holds on every screen. */
function stepsOf(page, faults) {
  let started = Date.now()
  return async (name, run, { look = true } = {}) => {
    try {
      await run()
      if (look) await accessible(page, name)
      if (look) await fits(page, name)
      assert.deepEqual(faults, [], 'what the browser logged')
    } catch (e) {
      if (told.screenshots) await page.screenshot({ path: `${told.screenshots}/failed.png` })
      console.log(`FAILED ${name}\n${page.url()}\n${await page.locator('body').innerText().catch(() => 'no page')}`)
      throw e
    }
    console.log(`${String(Date.now() - started).padStart(6)} ms  ${name}`)
    started = Date.now()
  }
}

/** present presents a token, or a name and a password, to the form where it is. */
export async function present(page, credentials) {
  await page.getByRole('heading', { name: 'Sign in' }).waitFor() // signing out takes a moment
  const token = page.getByRole('button', { name: 'Sign in with a token' })
  if (credentials.token && (await token.count())) await token.click()
  for (const [label, value] of Object.entries(credentials)) await page.getByLabel(label[0].toUpperCase() + label.slice(1), { exact: true }).fill(value)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

/** signIn signs in by a token, on the page where it is. */
export async function signIn(page, token) {
  await present(page, { token })
  await page.getByRole('navigation').waitFor()
}

/** go opens an address as a link of the console does. */
export const go = (page, path) => page.evaluate((p) => { history.pushState(null, '', p); dispatchEvent(new PopStateEvent('popstate')) }, path)

/** as asks the API with a token, and returns the answer whatever it is. */
export async function as(token, method, path, body) {
  const res = await fetch(told.url + path, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
  })
  const text = await res.text()
  return { status: res.status, id: res.headers.get('x-gatehouse-request-id'), body: text ? JSON.parse(text) : null }
}

/** say sends a request to the gateway and returns its id. */
export async function say(token, provider) {
  const { status, id } = await as(token, 'POST', `/ai/${provider}/v1/chat/completions`, { model: 'mock-gpt', messages: [{ role: 'user', content: 'hello' }] })
  assert.equal(status, 200, `a request to ${provider}`)
  return id
}
