// What the steps have to work with: a page that is watched, and checks.
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import assert from 'node:assert/strict'
import { chromium } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export const told = JSON.parse(readFileSync(0, 'utf8'))

export async function launch() {
  return chromium.launch({
    executablePath: told.browser,
    args: [...(told.sandbox ? [] : ['--no-sandbox']), '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

/** open makes a page whose every fault is collected, to be asked for by faults(). */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 820 }, reducedMotion: 'reduce', ...options })
  context.setDefaultTimeout(10_000)
  const page = await context.newPage()
  const faults = []
  page.on('console', (m) => {
    // The browser logs each answer of 400 and more, which the steps ask for.
    if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) faults.push(`console: ${m.text()}`)
  })
  page.on('pageerror', (e) => faults.push(`exception: ${e.message}`))
  page.on('request', (r) => {
    if (!r.url().startsWith(told.url + '/')) faults.push(`a request to another host: ${r.url()}`)
  })
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`)))
  return { context, page, faults }
}

/** accessible fails for what axe finds on the screen. */
export async function accessible(page, name) {
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] })
    return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`)
  })
  assert.deepEqual(found, [], `axe on ${name}`)
}

/** fits fails for a screen that is wider than the window. */
export async function fits(page, name) {
  const [has, is] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
  assert.ok(has <= is, `${name} is ${has} pixels wide in a window of ${is}`)
}

/** everyLook takes pictures of the screen in every width and scheme, where pictures are wanted. */
export async function everyLook(page, name) {
  if (!told.screenshots) return
  const before = page.viewportSize()
  mkdirSync(told.screenshots, { recursive: true })
  for (const width of [360, 1280, 2560]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: width === 2560 ? 1300 : 820 })
      await page.emulateMedia({ colorScheme })
      await fits(page, `${name} at ${width}`)
      await accessible(page, `${name} at ${width} in ${colorScheme}`)
      await page.screenshot({ path: `${told.screenshots}/${name}-${width}-${colorScheme}.png` })
    }
  }
  await page.setViewportSize(before)
  await page.emulateMedia({ colorScheme: null })
}

/** api asks the server beside the browser, with the owner's token. */
export async function api(method, path, body, headers = {}) {
  const res = await fetch(told.url + path, {
    method, body: body && JSON.stringify(body),
    headers: { Authorization: `Bearer ${told.ownerToken}`, ...(body && { 'Content-Type': 'application/json' }), ...headers },
  })
  const text = await res.text()
  assert.ok(res.ok, `${method} ${path}: ${res.status} ${text}`)
  return text ? JSON.parse(text) : null
}

/** models asks the gateway what there is. */
export async function models(token, provider = 'openai') {
  const res = await fetch(`${told.url}/ai/${provider}/v1/models`, { headers: { Authorization: `Bearer ${token}` } })
  await res.arrayBuffer()
  return res.status
}

/** chat sends a request to the gateway. */
export async function chat(token, provider = 'openai') {
  const res = await fetch(`${told.url}/ai/${provider}/v1/chat/completions`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ model: 'mock-gpt', messages: [{ role: 'user', content: 'hello' }] }),
  })
  await res.arrayBuffer()
  return res.status
}
