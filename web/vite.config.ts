import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

// GATEHOUSE is the server that `npm run dev` works against.
const server = process.env.GATEHOUSE ?? 'http://127.0.0.1:8090'

// Beside each file of text stands what most browsers are sent: Go packs no Brotli.
const brotli: Plugin = {
  name: 'brotli',
  apply: 'build',
  writeBundle: ({ dir = '' }, bundle) => {
    for (const name of Object.keys(bundle)) {
      if (/\.(js|css)$/.test(name)) writeFileSync(join(dir, `${name}.br`), brotliCompressSync(readFileSync(join(dir, name))))
    }
  },
}

export default defineConfig({
  plugins: [react(), brotli],
  build: {
    outDir: '../internal/webui/dist',
    emptyOutDir: true,
    // The Content-Security-Policy of the server has no data: in it.
    assetsInlineLimit: 0,
    // Nothing that is inline may be needed, and browsers that old are not served.
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
  server: { proxy: Object.fromEntries(['/api', '/ai', '/healthz'].map((p) => [p, server])) },
})
