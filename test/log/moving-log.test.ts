import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDebugLog, type DebugLog } from '../../src/log/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Guards cache.log when a reload names a file that cannot be had: the former one goes on with every line and says why. Sees
// it in real files: a folder in its place, no permission, a disk that is full.

let folder: string
let clock: FakeClock
let echoed: string[]
let log: DebugLog

const at = (name: string) => join(folder, name)
const conf = (path: string | null) => ({ path, levels: [], keep: 2 })
/** Messages without their time. */
const lines = (name: string) => readFileSync(at(name), 'utf8').split('\n').slice(0, -1).map(line => line.replace(/^.{19}\| /, ''))
const openHere = () => readdirSync('/proc/self/fd').length

const settled = async () => {
  await log.flush()
  await new Promise(resolve => setImmediate(resolve))
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-moving-'))
  clock = new FakeClock()
  echoed = []
  log = createDebugLog({ ...conf(at('old.log')), clock, kid: '', echoLevel: -1, echo: line => echoed.push(line) })
})

afterEach(async () => {
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

test.each([
  ['a folder in its place', 'EISDIR', (path: string) => mkdirSync(path), (path: string) => rmdirSync(path)],
  ['its folder missing', 'ENOENT', () => {}, (path: string) => mkdirSync(join(path, '..'))],
  ['a file where its folder should be', 'ENOTDIR', (path: string) => writeFileSync(join(path, '..'), ''), (path: string) => { rmSync(join(path, '..')); mkdirSync(join(path, '..')) }],
])('%s: told once in the former log, which goes on until it can be written', async (_what, errno, spoil, repair) => {
  const name = errno === 'EISDIR' ? 'new.log' : 'new/cache.log'
  spoil(at(name))
  log.configure(conf(at(name)))
  log.write('main', 1, 'one')
  await settled()
  for (const count of [3, 4]) {
    clock.advance(10_000)
    log.write('main', 1, 'after 10000')
    await expect.poll(() => lines('old.log')).toHaveLength(count)
  }
  const told = `ERROR: cache_log ${at(name)} cannot be written (${errno}): ${at('old.log')} goes on, and it is tried again every 10 seconds`
  expect(lines('old.log')).toEqual([told, 'one', 'after 10000', 'after 10000'])
  expect(echoed).toHaveLength(1)

  repair(at(name))
  clock.advance(10_000)
  log.write('main', 1, 'two')
  await expect.poll(() => lines(name)).toHaveLength(2)
  log.write('main', 1, 'three')
  await expect.poll(() => lines(name)).toEqual(['two', `cache_log ${at(name)} can be written now: it goes on here, from ${at('old.log')}`, 'three'])
  expect(lines('old.log')).toHaveLength(4)
})

test('a full disk: what it has not taken is in the former log', async () => {
  const before = openHere()
  log.configure(conf('/dev/full'))
  log.write('main', 1, 'one')
  log.write('main', 1, 'two')
  await expect.poll(() => lines('old.log')).toHaveLength(3)
  log.write('main', 1, 'three')
  await expect.poll(() => lines('old.log')).toEqual(['one', 'two', expect.stringContaining('ERROR: cache_log /dev/full cannot be written (ENOSPC)'), 'three'])
  for (let i = 0; i < 5; i++) {
    clock.advance(10_000)
    log.write('main', 1, `try ${i}`)
    await expect.poll(() => lines('old.log')).toHaveLength(5 + i)
    clock.advance(1)
  }
  expect(lines('old.log').slice(4)).toEqual(['try 0', 'try 1', 'try 2', 'try 3', 'try 4'])
  await expect.poll(openHere).toBe(before)
})

test('a rotation tries again at once; until then it rotates the former one', async () => {
  mkdirSync(at('new.log'))
  log.configure(conf(at('new.log')))
  await settled()
  log.rotate()
  expect(existsSync(at('old.log.0'))).toBe(true)
  rmdirSync(at('new.log'))
  log.rotate()
  log.write('main', 1, 'here')
  await expect.poll(() => lines('new.log')).toEqual(['here', expect.stringContaining('can be written now')])
  expect(existsSync(at('old.log.1'))).toBe(false)
})

test('who changes the conf back, or again, is not followed by what failed', async () => {
  mkdirSync(at('new.log'))
  log.configure(conf(at('new.log')))
  log.configure(conf(at('old.log')))
  rmdirSync(at('new.log'))
  clock.advance(60_000)
  log.write('main', 1, 'still here')
  await expect.poll(() => lines('old.log').at(-1)).toBe('still here')
  expect(existsSync(at('new.log'))).toBe(false)
  expect(lines('old.log').at(-1)).toBe('still here')
  expect(clock.pending).toBe(0)
})
