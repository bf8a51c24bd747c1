import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, Disks, MemoryStore, type StoredResponse, TieredStore } from '../../src/cache/index.ts'
import { contentOf, write } from '../contract/store.ts'
import { closeDisks, type DiskOfTest, newDisk } from './disk-kit.ts'
import { type Case, fieldsOf, storedOf } from './kit.ts'

// Several cache_dirs as one store: where a response goes, and that it is found, replaced and removed wherever it went.

afterEach(closeDisks)

const nobody = fieldsOf()
const uri = (n: number | string) => `http://a.example/${n}`
const keyOf = (n: number | string) => cacheKey('GET', uri(n))
const fresh = (n: number | string, more: Case = {}): StoredResponse =>
  storedOf({ uri: uri(n), ...more, response: ['Cache-Control: max-age=60', ...(more.response ?? [])] })
const filled = (size: number, seed = 1): Buffer => Buffer.alloc(size, seed)
const dirOf = (limits: DiskOfTest['limits'] = {}) => newDisk({ limits: { bytesMax: bytes(4_000_000), ...limits } })
const counts = (disks: Disks): number[] => disks.dirs.map(dir => dir.count)

describe('where a response goes', () => {
  test('least-load: in proportion to the sizes of the folders', async () => {
    const disks = new Disks([dirOf({ bytesMax: bytes(16_000_000) }), dirOf({ bytesMax: bytes(8_000_000) })])
    for (let n = 0; n < 90; n++) write(disks, fresh(n), filled(90_000))
    for (let n = 0; n < 90; n++) expect((await disks.lookup(keyOf(n)))?.length).toBe(1) // files, that are there when they are whole
    const [large = 0, small = 0] = counts(disks)
    expect(large + small).toBe(90)
    expect(large / small).toBeGreaterThan(1.6)
    expect(large / small).toBeLessThan(2.5)
  })

  test('round-robin: one after the other', () => {
    const disks = new Disks([dirOf({ bytesMax: bytes(8_000_000) }), dirOf(), dirOf()], 'round-robin')
    for (let n = 0; n < 9; n++) write(disks, fresh(n), filled(100))
    expect(counts(disks)).toEqual([3, 3, 3])
  })

  test('only where its size is welcome, declared or not', async () => {
    const small = dirOf({ objectBytesMax: bytes(20_000) })
    const large = dirOf({ objectBytesMin: bytes(20_001), objectBytesMax: bytes(1_000_000) })
    const disks = new Disks([small, large], 'round-robin')
    const tiers = new TieredStore(new MemoryStore({ bytesMax: bytes(500_000), objectBytesMax: bytes(100_000), variantsMax: 4 }), disks)
    for (const store of [disks, tiers]) {
      store.clear()
      const sizes = [0, 20_000, 20_001, 90_000, 150_000]
      for (const size of sizes) expect(write(store, fresh(`declared-${size}`, { contentLength: size }), filled(size))).not.toBe(null)
      for (const size of [20_001, 90_000, 150_000]) expect(write(store, fresh(`open-${size}`), filled(size))).not.toBe(null)
      await disks.settled()
      expect(small.count).toBe(2)
      expect(large.count).toBe(6)
    }
    // what has gone to the other one by its undeclared length is not kept there against its bounds
    expect(write(disks, fresh('open-500'), filled(500))).toBe(null)
    expect(write(tiers, fresh('open-500'), filled(500))).not.toBe(null)
    expect(small.count).toBe(3)
    expect(disks.open(fresh('huge', { contentLength: 2_000_000 }), nobody)).toEqual({ ok: false, reason: 'too-large' })
  })

  test('not into one that is read-only; what is there is found', async () => {
    const full = dirOf()
    write(full, fresh(1), filled(100))
    full.resize({ bytesMax: bytes(4_000_000), objectBytesMax: bytes(-1), variantsMax: 4 })
    const disks = new Disks([full, dirOf()], 'round-robin')
    for (let n = 2; n < 6; n++) expect(write(disks, fresh(n), filled(100))).not.toBe(null)
    expect(counts(disks)).toEqual([1, 4])
    expect((await disks.lookup(keyOf(1)))?.length).toBe(1)
    expect(disks.invalidate(keyOf(1))).toBe(1)
    expect(await disks.lookup(keyOf(1))).toBe(null)
  })

  test('not into one that fails, and the others go on', async () => {
    const said: string[] = []
    const bad = newDisk({ said, limits: { bytesMax: bytes(4_000_000) } })
    const disks = new Disks([bad, dirOf()], 'round-robin')
    for (let n = 0; n < 4; n++) write(disks, fresh(n), filled(50_000))
    await disks.settled()
    // its files cannot be made any more
    for (let i = 0; i < 256; i++) {
      const name = join(bad.folder, 'content', i.toString(16).padStart(2, '0'))
      if (!existsSync(name)) writeFileSync(name, 'in the way')
    }
    for (let n = 10; n < 20; n++) {
      const opened = disks.open(fresh(n, { contentLength: 50_000 }), nobody)
      if (!opened.ok) throw new Error(opened.reason)
      opened.writer.append(filled(50_000, n))
      opened.writer.complete()
      await disks.settled()
    }
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(/EEXIST|ENOTDIR/)
    let found = 0
    for (let n = 10; n < 20; n++) {
      const [stored] = (await disks.lookup(keyOf(n))) ?? []
      if (stored === undefined) continue
      found++
      expect((await contentOf(stored)).equals(filled(50_000, n))).toBe(true)
    }
    expect(found).toBe(9)
    expect(disks.counters.failed).toBe(1)
  })
})

test('one takes the place of another wherever that is; variants of one key may lie in different folders', async () => {
  const vary = (language: string) => ({ request: [`Accept-Language: ${language}`], response: ['Vary: Accept-Language'] })
  const disks = new Disks([dirOf(), dirOf()], 'round-robin')
  const put = (language: string, size: number) => write(disks, fresh(1, vary(language)), filled(size), fieldsOf(`Accept-Language: ${language}`))
  for (const [language, size] of [['en', 100], ['de', 100_000], ['fr', 100], ['en', 200], ['de', 100]] as const) put(language, size)
  await disks.settled()
  const variants = (await disks.lookup(keyOf(1))) ?? []
  expect(variants.map(stored => stored.contentLength).sort((a, b) => a - b)).toEqual([100, 100, 200])
  const [one, ...others] = variants
  if (one === undefined) throw new Error('nothing')
  expect(disks.remove(one)).toBe(true)
  expect((await disks.lookup(keyOf(1)))?.length).toBe(2)
  for (const other of others) expect(disks.replace(other, other)).toBe(true)
  expect(disks.invalidate(keyOf(1))).toBe(2)
  expect(await disks.lookup(keyOf(1))).toBe(null)
  expect(disks.bytes).toBe(0)
})

test('a response whose content lies in a file can be stored anew, beside it', async () => {
  const disks = new Disks([dirOf(), dirOf()])
  for (let n = 0; n < 4; n++) {
    const stored = write(disks, fresh(n, { contentLength: 100_000 }), filled(100_000, n))
    await disks.settled()
    const [found] = (await disks.lookup(keyOf(n))) ?? []
    if (stored === null || found === undefined) throw new Error('not stored')
    expect(disks.put(found, nobody)).toBe(true)
    const [anew] = (await disks.lookup(keyOf(n))) ?? []
    if (anew === undefined) throw new Error('gone')
    expect((await contentOf(anew)).equals(filled(100_000, n))).toBe(true)
  }
  expect(disks.count).toBe(4)
})

test('random histories over two folders agree with a map', async () => {
  const deed = fc.record({ what: fc.nat({ max: 9 }), n: fc.nat({ max: 8 }), size: fc.constantFrom(0, 10, 1000, 30_000), seed: fc.nat({ max: 255 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 40 }), fc.constantFrom('least-load' as const, 'round-robin' as const), async (deeds, choice) => {
      const disks = new Disks([dirOf(), dirOf({ objectBytesMin: bytes(500) })], choice)
      const model = new Map<number, Buffer>()
      for (const { what, n, size, seed } of deeds) {
        if (what < 5) {
          if (write(disks, fresh(n, { contentLength: size }), filled(size, seed)) !== null) model.set(n, filled(size, seed))
        } else if (what < 7) {
          disks.invalidate(keyOf(n))
          model.delete(n)
        } else {
          const variants = (await disks.lookup(keyOf(n))) ?? []
          expect(variants.length).toBe(model.has(n) ? 1 : 0)
          for (const stored of variants) expect((await contentOf(stored)).equals(model.get(n) ?? Buffer.from('x'))).toBe(true)
        }
      }
      await disks.settled()
      expect(disks.count).toBe(model.size)
      await closeDisks()
    }),
    { numRuns: 15 },
  )
})
