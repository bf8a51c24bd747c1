// `npm test`: everything, quick things first. `npm test -- fast`: only what needs no namespaces, daemons or minutes.
// `npm test -- cache http`: the folders named. The last line is plain: N passed, N failed, N skipped.

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Run after the quick folders, in this order: they start processes and fill the machine. */
const slow = ['contract', 'native', 'intercept', 'scenario', 'differential', 'fault', 'conformance', 'lab', 'load']
/** Of these, two files at a time: they wait more than they work. Of the others, one. */
const pairs = ['scenario', 'fault']
/** No tests of ours in there: the kit, and what `npm run bench` and `npm run replay` run. */
const other = ['support', 'bench', 'replay', 'golden']

const home = new URL('..', import.meta.url).pathname
const here = join(home, 'test')

interface Count {
  passed: number
  failed: number
  skipped: number
}

const main = async (asked: readonly string[]): Promise<number> => {
  const present = readdirSync(here, { withFileTypes: true })
    .filter(entry => entry.isDirectory() && !other.includes(entry.name) && holdsTests(join(here, entry.name)))
    .map(entry => entry.name)
  const fast = asked.includes('fast')
  const names = asked.filter(word => word !== 'fast')
  const unknown = names.filter(name => !present.includes(name))
  if (unknown.length > 0) {
    console.error(`no such tests: ${unknown.join(', ')}. There are: fast, ${present.join(', ')}`)
    return 1
  }
  const wanted = present.filter(name => names.length === 0 || names.includes(name))
  const quick = wanted.filter(name => !slow.includes(name))
  const steady = fast ? [] : slow.filter(name => wanted.includes(name))

  const total: Count = { passed: 0, failed: 0, skipped: 0 }
  const scratch = mkdtempSync(join(tmpdir(), 'glassquid-tests-'))
  try {
    if (quick.length > 0) add(total, await runGroup(quick, [], scratch))
    for (const name of steady) add(total, await runGroup([name], [pairs.includes(name) ? '--maxWorkers=2' : '--no-file-parallelism'], scratch))
  } finally {
    // again: a program that is just ending may write there what it has compiled
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  return total.failed > 0 || total.passed === 0 ? 1 : 0
}

const holdsTests = (folder: string): boolean =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).some(name => name.endsWith('.test.ts'))

const add = (total: Count, some: Count): void => {
  total.passed += some.passed
  total.failed += some.failed
  total.skipped += some.skipped
}

/** One vitest. A run that breaks without a single failing test (a file that does not load, a stray rejection) counts as one failure. */
const runGroup = async (folders: readonly string[], atOnce: readonly string[], scratch: string): Promise<Count> => {
  const report = join(scratch, `${folders.length > 1 ? 'quick' : folders[0]}.json`)
  const args = [
    ...folders.map(name => `test/${name}/`),
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    ...atOnce,
  ]
  const code = await vitest(args, join(scratch, 'compiled'))
  const count = read(report)
  if (code !== 0 && count.failed === 0) count.failed = 1
  return count
}

/**
 * `compiled`: what Node has compiled, types stripped, for the next process that loads it. Without it each of the many
 * programs that tests start spends more than a second of the processor on the same sources.
 */
const vitest = (args: readonly string[], compiled: string): Promise<number> =>
  new Promise(resolve => {
    const child = spawn(process.execPath, [join(home, 'node_modules/vitest/vitest.mjs'), 'run', ...args], {
      cwd: home,
      stdio: 'inherit',
      env: { NODE_COMPILE_CACHE: compiled, ...process.env },
    })
    child.once('error', error => {
      console.error(error.message)
      resolve(1)
    })
    child.once('close', code => resolve(code ?? 1))
  })

const read = (report: string): Count => {
  try {
    const told: unknown = JSON.parse(readFileSync(report, 'utf8'))
    return {
      passed: numberIn(told, 'numPassedTests'),
      failed: numberIn(told, 'numFailedTests'),
      skipped: numberIn(told, 'numPendingTests') + numberIn(told, 'numTodoTests'),
    }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 } // vitest did not come so far as to write it, and has said why
  }
}

const numberIn = (object: unknown, key: string): number => {
  const value: unknown = typeof object === 'object' && object !== null ? Reflect.get(object, key) : undefined
  return typeof value === 'number' ? value : 0
}

process.exitCode = await main(process.argv.slice(2))
