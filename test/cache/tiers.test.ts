import { afterEach, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, type DiskStore, MemoryStore, StoredResponse, TieredStore, type TierRules } from '../../src/cache/index.ts'
import { contentOf, write } from '../contract/store.ts'
import { closeDisk, closeDisks, newDisk, newFolder } from './disk-kit.ts'
import { type Case, exchangeOf, fieldsOf, storedOf } from './kit.ts'

// Memory over disk, beyond the contract of all stores: what is where, what rises, and that no tier answers with what
// another knows to be out of date.

afterEach(closeDisks)

const nobody = fieldsOf()
const uri = (n: number | string) => `http://a.example/${n}`
const keyOf = (n: number | string) => cacheKey('GET', uri(n))
const fresh = (n: number | string, more: Case = {}): StoredResponse =>
  storedOf({ uri: uri(n), ...more, response: ['Cache-Control: max-age=60', ...(more.response ?? [])] })

const filled = (size: number, seed: number): Buffer => {
  const buffer = Buffer.alloc(size)
  for (let i = 0; i < size; i++) buffer[i] = (i * 31 + seed) & 255
  return buffer
}

/** As after a 304. */
const renewed = (stored: StoredResponse): StoredResponse =>
  new StoredResponse({ ...stored, head: `${stored.head}X-New: 1\r\n` }, stored.body, stored.content)

const memoryMax = 100_000

const newTiers = (folder = newFolder(), rules?: TierRules): TieredStore<DiskStore> =>
  new TieredStore(
    new MemoryStore({ bytesMax: bytes(1_000_000), objectBytesMax: bytes(memoryMax), variantsMax: 4 }),
    newDisk({ folder, limits: { bytesMax: bytes(8_000_000), objectBytesMax: bytes(3_000_000) } }),
    rules,
  )

const restarted = async (tiers: TieredStore<DiskStore>, folder: string): Promise<TieredStore<DiskStore>> => {
  await closeDisk(tiers.disk)
  return newTiers(folder)
}

test('what fits memory is in both, what does not is on disk alone', async () => {
  const tiers = newTiers()
  for (const [n, size] of [['small', 500], ['middle', 80_000], ['large', 400_000]] as const) {
    for (const declared of [true, false]) {
      write(tiers, fresh(n, { contentLength: declared ? size : -1 }), filled(size, 1), nobody, 50)
      await tiers.disk.settled()
      expect(tiers.memory.peek(keyOf(n)) !== null).toBe(n !== 'large')
      expect((await contentOf((await tiers.disk.peek(keyOf(n)))?.[0])).equals(filled(size, 1))).toBe(true)
      expect((await contentOf((await tiers.lookup(keyOf(n)))?.[0])).equals(filled(size, 1))).toBe(true)
    }
  }
})

test('a hit in memory is no promise, and the disk does not hear of it', () => {
  const tiers = newTiers()
  write(tiers, fresh(1), filled(500, 1))
  tiers.disk.lookup = () => {
    throw new Error('the disk was asked')
  }
  expect(tiers.lookup(keyOf(1))).toHaveLength(1)
})

test('what is found on disk rises, if it fits; who gets it knows where it came from, the next one does not care', async () => {
  const folder = newFolder()
  const before = newTiers(folder)
  for (const [n, size] of [['small', 500], ['middle', 80_000], ['large', 400_000]] as const) write(before, fresh(n), filled(size, 1))
  await before.disk.settled()
  const tiers = await restarted(before, folder)
  const small = tiers.lookup(keyOf('small'))
  expect(small).not.toBeInstanceOf(Promise)
  for (const [n, rises] of [['small', true], ['middle', true], ['large', false]] as const) {
    const [stored] = (await tiers.lookup(keyOf(n))) ?? []
    expect(stored?.fromDisk).toBe(true)
    expect(stored?.content === null).toBe(rises)
    expect(tiers.memory.peek(keyOf(n)) !== null).toBe(rises)
  }
  const both = await Promise.all([tiers.lookup(keyOf('middle')), tiers.lookup(keyOf('middle'))])
  expect(both[0]).toBe(both[1])
})

test('where memory is full only what is asked for twice rises: those who are asked for once push nobody out', async () => {
  const folder = newFolder()
  const before = newTiers(folder)
  const often = [1, 2, 3, 4, 5]
  const once = Array.from({ length: 30 }, (_, i) => 100 + i)
  for (const n of [...often, ...once]) write(before, fresh(n), filled(80_000, n), nobody)
  await before.disk.settled()
  const tiers = await restarted(before, folder)
  for (const n of [...often, 6, 7, 8, 9, 10, 11, 12]) {
    if (n > 5) write(tiers, fresh(n), filled(80_000, n), nobody)
    else await tiers.lookup(keyOf(n))
  }
  await tiers.disk.settled()
  expect(often.map(n => tiers.memory.peek(keyOf(n)) !== null)).toEqual(often.map(() => true))
  for (const n of once) {
    const [stored] = (await tiers.lookup(keyOf(n))) ?? []
    expect((await contentOf(stored)).equals(filled(80_000, n))).toBe(true)
    expect(tiers.memory.peek(keyOf(n))).toBe(null)
  }
  expect(often.map(n => tiers.memory.peek(keyOf(n)) !== null)).toEqual(often.map(() => true))
  await tiers.lookup(keyOf(100))
  expect(tiers.memory.peek(keyOf(100))).not.toBe(null)
})

test('two who ask for what is rising wait for the same reading', async () => {
  const folder = newFolder()
  const before = newTiers(folder)
  write(before, fresh(1), filled(80_000, 1))
  await before.disk.settled()
  const tiers = await restarted(before, folder)
  const [one, two] = await Promise.all([tiers.lookup(keyOf(1)), tiers.lookup(keyOf(1))])
  expect(one?.[0]).toBe(two?.[0])
})

test('what is invalidated while it rises is not found, neither by who waits nor by the next', async () => {
  const folder = newFolder()
  const before = newTiers(folder)
  write(before, fresh(1), filled(80_000, 1))
  await before.disk.settled()
  const tiers = await restarted(before, folder)
  const waiting = tiers.lookup(keyOf(1))
  expect(waiting).toBeInstanceOf(Promise)
  expect(tiers.invalidate(keyOf(1))).toBe(1)
  expect(tiers.lookup(keyOf(1))).toBe(null)
  expect(await waiting).toBe(null)
  expect(tiers.memory.peek(keyOf(1))).toBe(null)
})

test('what is replaced while it rises is found as it is now', async () => {
  const folder = newFolder()
  const before = newTiers(folder)
  write(before, fresh(1), filled(80_000, 1))
  await before.disk.settled()
  const tiers = await restarted(before, folder)
  const [old] = (await tiers.disk.peek(keyOf(1))) ?? []
  const waiting = tiers.lookup(keyOf(1))
  if (old === undefined) throw new Error('not there')
  expect(tiers.replace(old, renewed(old))).toBe(true)
  expect((await waiting)?.[0]?.head).toContain('X-New: 1')
  expect((await tiers.lookup(keyOf(1)))?.[0]?.head).toContain('X-New: 1')
})

test('a change reaches both tiers', async () => {
  const folder = newFolder()
  const tiers = newTiers(folder)
  const stored = write(tiers, fresh(1), filled(500, 1))
  const removed = write(tiers, fresh(2), filled(500, 2))
  if (stored === null || removed === null) throw new Error('not stored')
  expect(tiers.replace(stored, renewed(stored))).toBe(true)
  expect(tiers.remove(removed)).toBe(true)
  expect((await tiers.lookup(keyOf(1)))?.[0]?.head).toContain('X-New: 1')
  const later = await restarted(tiers, folder)
  expect((await later.lookup(keyOf(1)))?.[0]?.head).toContain('X-New: 1')
  expect(await later.lookup(keyOf(2))).toBe(null)
})

test('what memory has read anew since is not kept beside a change of what was there before', async () => {
  const tiers = newTiers()
  for (const n of [1, 2]) write(tiers, fresh(n), filled(500, n))
  await tiers.disk.settled()
  const readAnew = async (n: number): Promise<StoredResponse> => {
    const [old] = (await tiers.lookup(keyOf(n))) ?? []
    tiers.memory.drop(keyOf(n))
    const [now] = (await tiers.lookup(keyOf(n))) ?? []
    if (old === undefined || old === now || tiers.memory.peek(keyOf(n)) === null) throw new Error('it has not risen anew')
    return old
  }
  const replaced = await readAnew(1)
  expect(tiers.replace(replaced, renewed(replaced))).toBe(true)
  expect((await tiers.lookup(keyOf(1)))?.[0]?.head).toContain('X-New: 1')
  expect(tiers.remove(await readAnew(2))).toBe(true)
  expect(await tiers.lookup(keyOf(2))).toBe(null)
})

// what is nobody else's gives its memory back as soon as it is sent
test.each([[true, false], [false, true]])('what is found on disk is its finder’s alone if memory does not take it: rises %s', async (risen, lone) => {
  const folder = newFolder()
  const before = newTiers(folder)
  write(before, fresh(1), filled(500, 1))
  await before.disk.settled()
  await closeDisk(before.disk)
  const tiers = newTiers(folder, { fetched: true, risen })
  const [stored] = (await tiers.lookup(keyOf(1))) ?? []
  expect([stored?.lone, tiers.memory.peek(keyOf(1))?.[0] === stored]).toEqual([lone, risen])
})

test('variants of which memory could have only some are all found', async () => {
  const tiers = newTiers()
  const vary = (foo: string, size: number) => {
    const c: Case = { uri: uri(1), request: [`Foo: ${foo}`], response: ['Vary: Foo'] }
    write(tiers, fresh(1, c), filled(size, size), exchangeOf(c).requestFields)
  }
  const sizes = async () => ((await tiers.lookup(keyOf(1))) ?? []).map(stored => stored.contentLength).sort((a, b) => a - b)
  vary('a', 500)
  vary('b', 400_000) // too large for memory
  await tiers.disk.settled()
  expect(await sizes()).toEqual([500, 400_000])
  vary('c', 700)
  expect(await sizes()).toEqual([500, 700, 400_000])
  tiers.memory.clear() // pushed out
  vary('d', 900)
  expect(await sizes()).toEqual([500, 700, 900, 400_000])
})

test('what the disk would not take does not leave an older one there', async () => {
  const folder = newFolder()
  const tiers = newTiers(folder)
  write(tiers, fresh(1, { response: ['X-Version: old'] }), filled(500, 1))
  tiers.disk.put = () => false
  write(tiers, fresh(1, { response: ['X-Version: new'] }), filled(500, 2))
  expect((await tiers.lookup(keyOf(1)))?.[0]?.head).toContain('new')
  const later = await restarted(tiers, folder)
  expect(await later.lookup(keyOf(1))).toBe(null)
})

test('what memory has is not the first to leave the disk', async () => {
  const tiers = new TieredStore(
    new MemoryStore({ bytesMax: bytes(60_000), objectBytesMax: bytes(20_000), variantsMax: 4 }),
    newDisk({ limits: { bytesMax: bytes(200_000) } }),
  )
  write(tiers, fresh('hot'), filled(10_000, 0))
  for (let i = 0; i < 60; i++) {
    expect(tiers.lookup(keyOf('hot'))).not.toBe(null) // in memory all the time
    write(tiers, fresh(i), filled(10_000, i))
  }
  expect(tiers.disk.peek(keyOf(0))).toBe(null)
  expect(tiers.disk.peek(keyOf('hot'))).not.toBe(null)
})

test.each([
  ['always', { fetched: true, risen: true }, true, true],
  ['network', { fetched: true, risen: false }, true, false],
  ['disk', { fetched: false, risen: true }, false, true],
  ['never', { fetched: false, risen: false }, false, false],
] as const)('memory_cache_mode %s', async (_, rules, fetched, risen) => {
  const folder = newFolder()
  const before = newTiers(folder, rules)
  for (const size of [500, 50_000]) write(before, fresh(size), filled(size, 1))
  await before.disk.settled()
  for (const size of [500, 50_000]) expect(before.memory.peek(keyOf(size)) !== null).toBe(fetched)
  await closeDisk(before.disk)
  const after = newTiers(folder, rules)
  for (const size of [500, 50_000]) {
    expect((await contentOf((await after.lookup(keyOf(size)))?.[0])).equals(filled(size, 1))).toBe(true)
    expect(after.memory.peek(keyOf(size)) !== null).toBe(risen)
  }
})
