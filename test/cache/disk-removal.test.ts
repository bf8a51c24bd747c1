import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey } from '../../src/cache/index.ts'
import type { DiskStore } from '../../src/cache/store/disk/disk-store.ts'
import { type RemovalPolicy, removalPolicies } from '../../src/cache/store/removal-policy.ts'
import { write } from '../contract/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisk, closeDisks, newDisk, newFolder } from './disk-kit.ts'
import { fieldsOf, storedOf } from './kit.ts'
import { idealHits, zipfTrace } from './removal-model.ts'

// Guards that what leaves a full cache_dir first is what the policy says, also over restarts and changes of the policy.

afterEach(closeDisks)

const policies = Object.keys(removalPolicies) as RemovalPolicy[]
const content = Buffer.alloc(600_000)
const nobody = fieldsOf()
const keyOf = (n: number) => cacheKey('GET', `http://a.example/${n}`)
/** Tries again while the log is behind: the thread that moves it is heard only between turns. */
const put = async (store: DiskStore, n: number, size: number): Promise<void> => {
  const uri = `http://a.example/${n}`
  const response = storedOf({ uri, response: ['Cache-Control: max-age=60'], contentLength: size })
  while (write(store, response, content.subarray(0, size), nobody) === null) {
    const opened = store.open(response, nobody)
    if (opened.ok) opened.writer.abandon()
    else if (opened.reason !== 'busy') throw new Error(opened.reason)
    await new Promise(resolve => setImmediate(resolve))
  }
}

describe.each(policies)('%s', policy => {
  test('hits within 1 % of the policy’s ideal on a trace like the web’s, with a restart in the middle', async () => {
    // sizes of 16 KB and less lie in the index, where a store is full to the byte
    const trace = zipfTrace({ objects: 3000, requests: 9_000, seed: 3 }).map(ask => ({ ...ask, bytes: Math.min(ask.bytes, 16_000) }))
    const folder = newFolder()
    const clock = new FakeClock()
    const limits = { bytesMax: bytes(6_000_000), objectBytesMax: bytes(1_000_000) }
    let store = newDisk({ folder, policy, clock, limits })
    await put(store, -1, 0)
    const eachBytes = store.bytes
    let hits = 0
    let hitBytes = 0
    let held = 0
    for (const [i, ask] of trace.entries()) {
      if (i === trace.length / 2) {
        await closeDisk(store)
        store = newDisk({ folder, policy, clock, limits })
      }
      if ((await store.lookup(keyOf(ask.object))) !== null) {
        hits++
        hitBytes += ask.bytes
      } else await put(store, ask.object, ask.bytes)
      if (i >= trace.length / 2) held += store.bytes / (trace.length / 2)
    }
    expect(store.counters.removed).toBeGreaterThan(300)
    expect(held).toBeGreaterThan(0.6 * limits.bytesMax) // the rest is the log and half-filled pages of a small store
    const ideal = idealHits(policy, trace, held, ask => ask.bytes + eachBytes)
    expect(hits / trace.length).toBeGreaterThan(0.2)
    expect(Math.abs(hits - ideal.hits) / trace.length).toBeLessThan(0.01)
    expect(Math.abs(hitBytes - ideal.hitBytes) / ideal.askedBytes).toBeLessThan(0.01)
  })
})

test('of another policy what is there goes before what comes, and nothing is lost by the change', async () => {
  const folder = newFolder()
  const limits = { bytesMax: bytes(2_000_000) }
  const first = newDisk({ folder, limits })
  for (let n = 0; n < 50; n++) await put(first, n, 10_000)
  await closeDisk(first)
  for (const policy of ['gdsf', 'lfuda', 'gdsf', 'lru'] as const) {
    const store = newDisk({ folder, limits, policy })
    expect(store.count).toBe(50)
    for (let n = 0; n < 50; n += 10) expect(await store.lookup(keyOf(n))).not.toBe(null)
    await closeDisk(store)
  }
  const last = newDisk({ folder, limits, policy: 'gdsf' })
  expect(await last.lookup(keyOf(49))).not.toBe(null)
  for (let n = 100; last.counters.removed < 49; n++) await put(last, n, 10_000)
  expect(last.peek(keyOf(49))).not.toBe(null)
  expect(last.peek(keyOf(25))).toBe(null)
  await closeDisk(last)
  const db = new DatabaseSync(join(folder, 'index.db'))
  expect(db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'by_rank'").get()).toEqual({ n: 1 })
  db.close()
})

test('many uses are written down in small steps, in the background', async () => {
  const clock = new FakeClock()
  const folder = newFolder()
  const store = newDisk({ folder, clock, policy: 'lfuda', limits: { bytesMax: bytes(50_000_000) } })
  for (let n = 0; n < 500; n++) await put(store, n, 100)
  for (let times = 0; times < 3; times++) for (let n = 0; n < 500; n++) await store.lookup(keyOf(n))
  const db = new DatabaseSync(join(folder, 'index.db'))
  // kept one higher: see the ledger
  const noted = (): number => Number(db.prepare('SELECT count(*) AS n FROM response WHERE uses = 5').get()?.['n'])
  expect(noted()).toBe(0)
  // the thread that moves the log goes by another clock, and may keep some waiting
  await expect.poll(() => (clock.advance(200), noted())).toBe(500)
  db.close()
})
