// One running proxy per pid file. Seen with real processes: one that runs, one that was killed, and strangers that got
// an old number. The processes are named by their command line, as ours are.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { claimPidFile, findRunning } from '../../src/cli/pid-file.ts'

let folder = ''
let path = ''
let children: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-pid-'))
  path = join(folder, 'glassquid.pid')
  children = []
})

afterEach(async () => {
  for (const child of children) await end(child, 'SIGKILL')
  rmSync(folder, { recursive: true })
})

const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill(signal)
  await gone
}

/** A process whose command line holds `name`; answers when it runs. */
const start = async (script: string, name: string): Promise<ChildProcess> => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${script};console.log('up');setInterval(() => {}, 1e6)`, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  await new Promise(resolve => child.stdout?.once('data', resolve))
  return child
}

const module = new URL('../../src/cli/pid-file.ts', import.meta.url).pathname

it('holds our number while we run, and goes when we end', () => {
  const claim = claimPidFile(path)
  expect(claim.ok).toBe(true)
  expect(readFileSync(path, 'latin1')).toBe(`${process.pid}\n`)
  expect(readdirSync(folder)).toEqual(['glassquid.pid'])
  if (claim.ok) claim.file.release()
  expect(existsSync(path)).toBe(false)
})

it('is not given to a second one, which is told who has it; killed, its place is free', async () => {
  const first = await start(`import { claimPidFile } from '${module}'; claimPidFile('${path}')`, 'glassquid')
  expect(findRunning(path)).toEqual({ ok: true, pid: first.pid })
  const claim = claimPidFile(path)
  expect(claim).toEqual({ ok: false, running: true, reason: `glassquid is already running! Process ID ${first.pid} (${path})` })
  expect(readFileSync(path, 'latin1')).toBe(`${first.pid}\n`)

  await end(first, 'SIGKILL')
  expect(findRunning(path)).toMatchObject({ ok: false })
  expect(claimPidFile(path).ok).toBe(true)
  expect(readFileSync(path, 'latin1')).toBe(`${process.pid}\n`)
  expect(readdirSync(folder)).toEqual(['glassquid.pid'])
})

it('of a dead proxy whose number a stranger has got is not taken for a running one', async () => {
  const stranger = await start('', 'somebody-else')
  writeFileSync(path, `${stranger.pid}\n`)
  expect(findRunning(path)).toMatchObject({ ok: false })
  expect(claimPidFile(path).ok).toBe(true)
})

it('of a proxy that was there before the clock was set is still its own', async () => {
  const first = await start(`import { claimPidFile } from '${module}'; claimPidFile('${path}')`, 'glassquid')
  utimesSync(path, 1, 1) // the clock has been set forward by decades since it was written
  expect(findRunning(path)).toEqual({ ok: true, pid: first.pid })
  expect(claimPidFile(path)).toMatchObject({ ok: false })
})

it("is not written through somebody's link", () => {
  const precious = join(folder, 'precious')
  writeFileSync(precious, 'precious')
  symlinkSync(precious, `${path}.${process.pid}`)
  const claim = claimPidFile(path)
  expect(claim.ok).toBe(true)
  expect(readFileSync(precious, 'latin1')).toBe('precious')
  expect(readFileSync(path, 'latin1')).toBe(`${process.pid}\n`)
  if (claim.ok) claim.file.release()
})

it('older than the process it names is stale, even when that is a proxy too', async () => {
  const other = await start('', 'glassquid')
  writeFileSync(path, `${other.pid}\n`)
  expect(findRunning(path)).toEqual({ ok: true, pid: other.pid })
  utimesSync(path, 1_000_000_000, 1_000_000_000)
  expect(findRunning(path)).toMatchObject({ ok: false })
})

it('with our own number from an earlier life is replaced', () => {
  writeFileSync(path, `${process.pid}\n`)
  expect(claimPidFile(path).ok).toBe(true)
})

it.each([['', 'empty'], ['hello\n', 'a word'], ['-1\n', 'a negative number'], ['0\n', 'zero: the whole process group'], ['1 2\n', 'two']])(
  'holding %j (%s) names nobody, and is replaced',
  text => {
    writeFileSync(path, text)
    expect(findRunning(path)).toMatchObject({ ok: false })
    expect(claimPidFile(path).ok).toBe(true)
  },
)

it('that has become somebody else’s is left alone at the end', () => {
  const claim = claimPidFile(path)
  writeFileSync(path, '4711\n')
  if (claim.ok) claim.file.release()
  expect(readFileSync(path, 'latin1')).toBe('4711\n')
})

it('is said to be missing or impossible in words that name it', () => {
  expect(findRunning(path)).toEqual({ ok: false, reason: expect.stringContaining(`failed to open PID file ${path}`) })
  expect(claimPidFile(join(folder, 'no/such/folder.pid'))).toEqual({
    ok: false,
    running: false,
    reason: expect.stringMatching(/cannot write the pid file .*no such file/),
  })
})

it("'none' is no file, and nobody to find", () => {
  expect(claimPidFile(null).ok).toBe(true)
  expect(findRunning(null)).toMatchObject({ ok: false })
})
