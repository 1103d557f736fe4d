// Opens and searches every list of an installation that has much, goes through one by
// keyboard, and measures the first load. The times are for people; what fails is
// ten times what is promised, and the size of the first load.
import assert from 'node:assert/strict'
import { accessible, fits, open, told } from './browser.mjs'
import { begin, go, signIn } from './steps.mjs'

const { browser, page, faults } = await begin()
const n = told.amounts
const at = (kind, i) => `${kind}-${String(i).padStart(6, '0')}`
const promised = 300 // milliseconds to open or search a list

// --- the first load, of a browser that has nothing of it

{
  const { context, page: fresh } = await open(browser)
  context.setDefaultTimeout(30_000)
  const watch = await context.newCDPSession(fresh)
  await watch.send('Network.enable')
  const asked = new Map()
  let [bytes, answers] = [0, 0] // of files, and of the API
  watch.on('Network.requestWillBeSent', (e) => asked.set(e.requestId, e.request.url))
  watch.on('Network.loadingFinished', (e) => {
    if (asked.get(e.requestId)?.startsWith(`${told.url}/api/`)) answers += e.encodedDataLength
    else bytes += e.encodedDataLength
  })
  await fresh.goto(told.url)
  await fresh.getByRole('heading', { name: 'Sign in' }).waitFor()
  const form = await fresh.evaluate(() => performance.now())
  const first = bytes
  await signIn(fresh, told.ownerToken)
  await fresh.getByRole('heading', { level: 1 }).waitFor()
  await fresh.getByText('Requests by the hour').first().waitFor()
  const size = bytes
  await fresh.goto(`${told.url}/providers`)
  await fresh.getByText(at('provider', 0)).first().waitFor()
  const screen = await fresh.evaluate(() => performance.now())
  console.log(`first load: ${(first / 1024).toFixed(0)} KiB until one can sign in, after ${form.toFixed(0)} ms; ${(size / 1024).toFixed(0)} KiB with the first screen, beside ${(answers / 1024).toFixed(0)} KiB of answers. The providers stand there ${screen.toFixed(0)} ms after their address was opened`)
  assert.ok(size < 250 * 1024, `the first load is ${size} bytes`)
  assert.ok(first > 50 * 1024, `the first load is ${first} bytes: it is not measured`)
  await context.close()
}

await page.goto(told.url)
await signIn(page, told.ownerToken)
await page.getByRole('heading', { level: 1 }).waitFor()

/** timed returns how long it takes in the page until a text is in a list, from what is done on. */
const timed = (what, text, query) => page.evaluate(([act, arg, wanted, selector]) => new Promise((done, fail) => {
  const started = performance.now()
  const there = () => [...document.querySelectorAll(selector)].some((e) => e.textContent.includes(wanted))
  const look = () => {
    if (there()) requestAnimationFrame(() => done(performance.now() - started))
    else if (performance.now() - started > 30_000) fail(new Error(`${wanted} is never there`))
    else requestAnimationFrame(look)
  }
  if (act === 'go') {
    history.pushState(null, '', arg)
    dispatchEvent(new PopStateEvent('popstate'))
  } else {
    const field = document.querySelector(`input[aria-label="${arg[0]}"]`)
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, arg[1])
    field.dispatchEvent(new Event('input', { bubbles: true }))
  }
  look()
}), [what, query, text, 'main tbody tr'])

const lists = {
  '/providers': { first: at('provider', 0), field: 'Find by name', search: [[at('provider', n.Providers - 1), at('provider', n.Providers - 1)], ['provider-0003', at('provider', 300)]] },
  '/requests': { first: 'model-', field: 'Model', search: [[at('model', 7), at('model', 7)], [at('model', 500), at('model', 500)]] },
  '/tokens': { first: 'token-', field: 'Owner', search: [[at('user', n.Others - 1), at('token', n.Others - 1)], [at('user', 5), at('token', 5)]] },
  '/users': { first: 'user-' },
  '/roles': { first: 'ai_provider:read' },
  '/audit': { first: 'user-', field: 'Find actor, target or request id', search: [['rare-person', 'rare-person'], [at('provider', 77), at('provider', 77)]] },
  '/encryption': { first: 'seals secrets' },
}
for (const [path, list] of Object.entries(lists)) {
  const opened = []
  for (let i = 0; i < 3; i++) {
    await go(page, '/routes')
    await page.getByText('No routes yet').waitFor()
    opened.push(await timed('go', list.first, path))
  }
  const searched = []
  for (const [text, found] of list.search ?? []) searched.push(await timed('type', found, [list.field, text]))
  const [o, s] = [Math.max(...opened), searched.length ? Math.max(...searched) : 0] // the first time its file is fetched, too
  console.log(`${path.padEnd(12)} opens in ${o.toFixed(0).padStart(4)} ms${s ? `, searches in ${s.toFixed(0).padStart(4)} ms` : ''}${o > promised || s > promised ? `, which is over ${promised}` : ''}`)
  assert.ok(o < 10 * promised && s < 10 * promised, `${path} takes too long`)
}
await accessible(page, 'a screen of much')

// --- through pages by keyboard, there and back

await go(page, '/providers')
await page.getByText(at('provider', 0)).first().waitFor()
await page.locator('main').focus()
const pressed = Date.now()
const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '')
for (let i = 0; (await focused()) !== at('provider', 120); i++) {
  assert.ok(i < 2000, `the keyboard stays at ${await focused()}`)
  await page.keyboard.press('j')
}
const there = Date.now()
for (let i = 0; i < 120; i++) await page.keyboard.press('k')
assert.equal(await focused(), at('provider', 0), 'back at the first row')
assert.equal(await page.evaluate(() => scrollY < innerHeight && document.activeElement.getBoundingClientRect().top >= 0), true, 'which is on the screen')
console.log(`120 rows down by keyboard in ${there - pressed} ms, and back in ${Date.now() - there} ms`)
await fits(page, 'a list of much')
assert.deepEqual(faults, [], 'what the browser logged')
await browser.close()
