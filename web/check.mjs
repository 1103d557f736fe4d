// Builds the console beside what is committed, and names the files that differ.
import { readdirSync, readFileSync, rmSync, existsSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

const [kept, built] = ['../internal/webui/dist', 'node_modules/.built']
const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'build', '--', '--outDir', built, '--logLevel', 'error'], { encoding: 'utf8' })
if (status !== 0) {
  console.log(stdout + stderr)
  process.exit(0) // what is printed is what is wrong
}
const names = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => `${e.parentPath ?? e.path}/${e.name}`.slice(dir.length))
for (const name of new Set([...names(kept), ...names(built)])) {
  const [a, b] = [kept + name, built + name]
  if (!existsSync(a) || !existsSync(b) || !readFileSync(a).equals(readFileSync(b))) console.log(name)
}
rmSync(built, { recursive: true })
