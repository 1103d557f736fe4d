// Signs in at an identity provider on another site, is refused there and here, and signs
// out.
import assert from 'node:assert/strict'
import { api, open, told } from './browser.mjs'
import { begin, go } from './steps.mjs'

const { browser, context, page, faults, step: look } = await begin()
const sees = (text) => page.getByText(text).first().waitFor()
const by = () => page.getByRole('button', { name: 'Sign in with Acme', exact: true })
const cookie = async (from, name) => (await from.cookies()).find((c) => c.name === name)

const elsewhere = [] // requests to the provider, which are no fault here
/** step leaves those requests out of what the browser logged. */
const step = (name, run) => look(name, async () => {
  await run()
  for (let i = faults.length - 1; i >= 0; i--) if (faults[i].includes(`${told.idp}/`)) elsewhere.push(...faults.splice(i, 1))
})

await api('POST', '/api/v1/ai/providers', { type: 'openai', name: 'openai', base_url: `${told.upstream}/v1`, api_keys: [told.goodKey] })

await step('who goes back at an identity provider is told so, once', async () => {
  await page.goto(`${told.url}/providers`)
  await by().click()
  await page.getByRole('button', { name: 'Nobody' }).click()
  await sees('The identity provider did not let you in')
  assert.equal(new URL(page.url()).search, '', 'the reason stays in the address')
})

await step('who has no role is told so', async () => {
  await by().click()
  await page.getByRole('button', { name: 'guest' }).click()
  await sees('nothing there gives you a role')
})

await step('somebody is signed in, and led to where they were', async () => {
  await page.goto(`${told.url}/providers`)
  await by().click()
  await page.getByRole('button', { name: 'bea' }).click()
  await page.getByRole('table').getByRole('link', { name: 'openai' }).waitFor()
  assert.equal(new URL(page.url()).pathname, '/providers')
  assert.equal((await cookie(context, 'gatehouse-session'))?.sameSite, 'Strict')
  assert.equal(await cookie(context, 'gatehouse-oidc'), undefined, 'the cookie of the sign-in stays')
})

await step('a page that is loaded again is still signed in', async () => {
  await page.reload()
  await page.getByRole('table').getByRole('link', { name: 'openai' }).waitFor()
})

// The control: were the cookie that goes along Strict, the browser would not send it.
const strict = await open(browser)
await strict.page.goto(`${told.url}/api/v1/session/oidc/acme`)
await strict.context.addCookies([{ ...(await cookie(strict.context, 'gatehouse-oidc')), sameSite: 'Strict' }])
await strict.page.getByRole('button', { name: 'bea' }).click()
await strict.page.getByText('the browser did not keep a cookie').waitFor()
await strict.context.close()

await step('who signs in elsewhere is offered no password', async () => {
  await go(page, '/account')
  await page.getByRole('table').getByText('this one').waitFor()
  assert.equal(await page.getByLabel('New password', { exact: true }).count(), 0)
})

await step('signing out signs out at the identity provider, which leads back', async () => {
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await by().waitFor()
  assert.equal(await cookie(context, 'gatehouse-session'), undefined)
})
assert.ok(elsewhere.some((f) => f.includes(`${told.idp}/logout`)), 'the identity provider was not told')
await browser.close()
