// Plants each kind of fault that the other scripts are to fail for, and sees that
// it is found. Without this a watcher that has gone blind would look like a console
// without faults.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { accessible, fits, told } from './browser.mjs'
import { begin, signIn } from './steps.mjs'

const { browser, page, faults } = await begin()
const elsewhere = createServer((_, res) => res.end()).listen(0, '127.0.0.1')
await new Promise((done) => elsewhere.once('listening', done))
const other = `http://127.0.0.1:${elsewhere.address().port}/`

await page.goto(told.url)
await signIn(page, told.ownerToken)
await page.getByRole('heading', { level: 1 }).waitFor()
await accessible(page, 'the page before anything is planted')
await fits(page, 'the page before anything is planted')
assert.deepEqual(faults, [], 'before anything is planted')

/** planted does something, and waits for what the browser is to say of it. */
async function planted(what, plant, pattern) {
  faults.length = 0
  await page.evaluate(plant, other)
  for (let i = 0; !faults.some((f) => pattern.test(f)); i++) {
    assert.ok(i < 100, `${what} was not found, but ${JSON.stringify(faults)}`)
    await new Promise((done) => setTimeout(done, 20))
  }
  console.log(`found: ${what}`)
}

await planted('an error in the log', () => console.error('planted'), /^console: planted/)
await planted('an exception', () => void setTimeout(() => { throw new Error('planted') }), /^exception: planted/)
await planted('a promise that nobody handles', () => void Promise.reject(new Error('planted')), /^exception: planted/)
await planted('an inline script', () => document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = true' })), /CSP: script-src/)
assert.equal(await page.evaluate(() => window.ran), undefined, 'an inline script ran')
await planted('an inline style', () => document.head.append(Object.assign(document.createElement('style'), { textContent: 'body { color: red }' })), /CSP: style-src/)
await planted('a style in an attribute', () => document.body.setAttribute('style', 'color: red'), /CSP: style-src/)
await planted('a script from elsewhere', (o) => document.head.append(Object.assign(document.createElement('script'), { src: `${o}x.js` })), /CSP: script-src/)
await planted('a picture from elsewhere', (o) => void (new Image().src = `${o}x.png`), /CSP: img-src/)
await planted('a picture in the page', () => void (new Image().src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='), /CSP: img-src/)
await planted('a request to elsewhere', (o) => void fetch(o).catch(() => undefined), /CSP: connect-src/)

// What leaves the page by itself is no matter of the policy, but of the watcher.
await planted('a page from elsewhere', (o) => void (location.href = o), /^a request to another host/)
await page.waitForURL(other)
elsewhere.close()

await page.goto(told.url)
await page.getByRole('heading', { level: 1 }).waitFor()
const unfit = async (check, plant) => {
  await page.evaluate(plant)
  await assert.rejects(check(page, 'what was planted'), assert.AssertionError)
}
await unfit(fits, () => document.querySelector('main').append(Object.assign(document.createElement('img'), { width: 5000, height: 1 })))
console.log('found: a screen that is too wide')
await unfit(accessible, () => document.querySelector('main').append(document.createElement('button')))
console.log('found: a button without a name')
await browser.close()
