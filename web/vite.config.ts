import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// GATEHOUSE is the server that `npm run dev` works against.
const server = process.env.GATEHOUSE ?? 'http://127.0.0.1:8090'

export default defineConfig({
  plugins: [react()],
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
