import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { Checkpoints } from '../../src/cache/store/disk/checkpoints.ts'
import { Ledger } from '../../src/cache/store/disk/ledger.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisks, newFolder } from './disk-kit.ts'

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

const scene = (bytes: number) => {
  const path = join(newFolder(), 'index.db')
  const ledger = new Ledger(new DatabaseSync(path), 'lru')
  let moved = 0
  const failed = (): void => expect.fail('there is no thread')
  const checkpoints = new Checkpoints(path, new FakeClock(), bytes, 100e6, () => moved++, failed)
  ended.push(() => (ledger.close(), checkpoints.close()))
  const log = `${path}-wal`
  const head = (): Buffer => (existsSync(log) ? readFileSync(log).subarray(0, headBytes + frameHeadBytes) : Buffer.alloc(0))
  return {
    log, head,
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
    await setImmediate()
  }
  const [, ...later] = begun.values() // the first is the store's own
  expect(later.length).toBeGreaterThan(20)
  expect(later.filter(byThread => !byThread)).toEqual([])
})
