import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { Checkpoints } from '../../src/cache/store/disk/checkpoints.ts'
import { Ledger } from '../../src/cache/store/disk/ledger.ts'
import { write } from '../contract/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisks, newDisk, newFolder } from './disk-kit.ts'
import { fieldsOf, storedOf } from './kit.ts'

// The index's log begins anew, cut and waited for, by the thread that moves it and never by who makes a change: that would
// be the event loop. Each beginning has a salt of its own. The thread's first change is of one page, all of it one frame;
// a change of the store is of several.

const headBytes = 32
const saltAt = 16
const frameHeadBytes = 24
/** Of a frame's head: pages of the file after it, if it is the last one of its change. */
const lastOfChangeAt = headBytes + 4

const ended: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ended.splice(0)) await end()
  await closeDisks()
})

const scene = (bytes: number, bytesMax = 100e6) => {
  const path = join(newFolder(), 'index.db')
  const ledger = new Ledger(new DatabaseSync(path), 'lru')
  const clock = new FakeClock()
  let moved = 0
  const behind: boolean[] = []
  const done = (): void => {
    moved++
    behind.push(checkpoints.behind)
  }
  const alone = (): void => expect.fail('there is no thread')
  const checkpoints = new Checkpoints(path, clock, bytes, bytesMax, done, alone)
  ended.push(() => (ledger.close(), checkpoints.close()))
  const log = `${path}-wal`
  const head = (): Buffer => (existsSync(log) ? readFileSync(log).subarray(0, headBytes + frameHeadBytes) : Buffer.alloc(0))
  return {
    path, log, head, clock, behind,
    change: () => {
      ledger.write('waits', () => ledger.insert(ledger.take(), 1, null, 4000, 1, Buffer.alloc(10), Buffer.alloc(4000)))
      checkpoints.changed()
    },
    get moved() {
      return moved
    },
    get reserved() {
      return checkpoints.reserved
    },
  }
}

test('is short as soon as it has been moved, and goes on as it is', async () => {
  const it = scene(500_000)
  for (let i = 0; i < 200; i++) it.change()
  expect(statSync(it.log).size).toBeGreaterThan(500_000)
  await expect.poll(() => it.moved).toBe(1)
  const head = it.head()
  expect(statSync(it.log).size).toBeLessThan(10_000)
  it.change()
  expect(it.head()).toEqual(head)
})

test('is begun by the thread, however much is written meanwhile', async () => {
  const it = scene(50_000)
  const begun = new Map<string, boolean>()
  while (it.moved < 50) {
    for (let i = 0; i < 3 && !it.reserved; i++) it.change()
    const head = it.head()
    const byOneFrame = head.length === headBytes + frameHeadBytes && head.readUInt32BE(lastOfChangeAt) !== 0
    begun.set(head.toString('latin1', saltAt, saltAt + 8), byOneFrame)
    it.clock.advance(1)
    await setImmediate()
  }
  const [, ...later] = begun.values() // the first is the store's own
  expect(later.length).toBeGreaterThan(20)
  // a change that had just begun when it was asked to wait may come first
  expect(later.filter(byThread => !byThread).length).toBeLessThan(later.length / 4)
})

test('keeps nobody from writing while somebody reads it who does not go on, as a process that stands still', async () => {
  const it = scene(50_000, 100_000)
  it.change()
  const reader = new DatabaseSync(it.path)
  ended.push(() => Promise.resolve(reader.close()))
  reader.exec('BEGIN; SELECT one FROM total')
  const step = async (): Promise<void> => {
    it.change() // throws when it has waited for 200 ms
    it.clock.advance(1000)
    await setTimeout(1)
  }
  while (it.moved < 4) await step()
  // nothing more is taken in, though the thread has given up for now
  expect(it.behind.at(-1)).toBe(true)
  reader.exec('COMMIT')
  while (it.behind.at(-1) === true) await step()
  expect(statSync(it.log).size).toBeLessThan(100_000)
})

test('does not grow without end: the store takes nothing in as long as it cannot be begun anew', async () => {
  const clock = new FakeClock()
  const folder = newFolder()
  const store = newDisk({ folder, clock })
  const log = join(folder, 'index.db-wal')
  const fresh = (n: number) => storedOf({ uri: `http://a.example/${n}`, response: ['Cache-Control: max-age=60'] })
  const reader = new DatabaseSync(join(folder, 'index.db'))
  ended.push(() => Promise.resolve(reader.close()))
  reader.exec('BEGIN; SELECT one FROM total')
  for (let n = 1; n < 1500; n++) {
    write(store, fresh(n), Buffer.alloc(10_000))
    await setImmediate()
  }
  // a megabyte, and what comes between two looks
  expect(statSync(log).size).toBeLessThan(1_150_000)
  expect(store.open(fresh(1), fieldsOf())).toEqual({ ok: false, reason: 'busy' })
  reader.exec('COMMIT')
  await expect.poll(() => (clock.advance(1000), store.open(fresh(1), fieldsOf()).ok)).toBe(true)
  await expect.poll(() => (clock.advance(1000), statSync(log).size)).toBeLessThan(100_000)
})

test('is moved by the store itself only as long as there is no thread', async () => {
  const folder = join(newFolder(), 'later')
  const clock = new FakeClock()
  const alone: boolean[] = []
  const checkpoints = new Checkpoints(join(folder, 'index.db'), clock, -1, 100e6, () => {}, is => alone.push(is))
  const changed = (): void => {
    clock.advance(1000)
    for (let i = 0; i < 32; i++) checkpoints.changed()
  }
  changed()
  await expect.poll(() => alone).toEqual([true])
  mkdirSync(folder)
  const ledger = new Ledger(new DatabaseSync(join(folder, 'index.db')), 'lru')
  ended.push(() => (ledger.close(), checkpoints.close()))
  await expect.poll(() => (changed(), alone)).toEqual([true, false])
})
