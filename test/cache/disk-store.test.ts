import fs, { existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, type StoredResponse } from '../../src/cache/index.ts'
import { openDisk } from '../../src/cache/store/disk/open-disk.ts'
import { contentOf, write } from '../contract/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisk, closeDisks, diskLimits, newDisk, newFolder } from './disk-kit.ts'
import { type Case, exchangeOf, fieldsOf, storedOf } from './kit.ts'

// What a disk store does beyond the contract of all stores: it outlives its process, and nothing that happens to its
// files makes it say something wrong or keeps the program from starting.

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

const large = 100_000
const filesIn = (folder: string): string[] =>
  readdirSync(join(folder, 'content'), { recursive: true, encoding: 'utf8' })
    .map(name => join(folder, 'content', name))
    .filter(path => statSync(path).isFile())

const first = async (store: ReturnType<typeof newDisk>, n: number | string): Promise<StoredResponse> => {
  const [stored] = (await store.lookup(keyOf(n))) ?? []
  if (stored === undefined) throw new Error(`nothing is stored under ${n}`)
  return stored
}

describe('a restart', () => {
  test('keeps every response with all that is known of it', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    const cases: Case[] = [
      { response: ['ETag: "one"', `Last-Modified: Mon, 03 Jun 2030 10:00:00 GMT`, 'Content-Type: text/plain; charset=utf-8'] },
      { response: ['Cache-Control: s-maxage=9, stale-while-revalidate=5, stale-if-error=7', 'Age: 3'], contentLength: 50 },
      { request: ['Accept-Encoding: GZIP , br', 'Foo: \u00e4'], response: ['Vary: Accept-Encoding, Foo, Bar'] },
      { method: 'HEAD', response: ['Content-Length: 77'] },
      { status: 404, response: ['Cache-Control: must-revalidate, max-age=4'] },
    ]
    const written = cases.map((c, i) => {
      const response = fresh(i, c)
      const size = c.method === 'HEAD' ? 0 : (c.contentLength ?? i * 20_000)
      return write(before, response, filled(size, i), exchangeOf(c).requestFields)
    })
    const inTheEnd = await Promise.all(written.map(stored => before.lookup(stored?.key ?? keyOf('none'))))
    expect(inTheEnd.map(variants => variants?.length)).toEqual([1, 1, 1, 1, 1])
    await closeDisk(before)

    const after = newDisk({ folder })
    expect(after.count).toBe(cases.length)
    for (const [i, stored] of written.entries()) {
      const [again] = (await after.lookup(stored?.key ?? keyOf('none'))) ?? []
      const facts = (response: StoredResponse | null | undefined) =>
        response && { ...response, body: null, content: null, fromDisk: null, lone: null, generation: 0, rule: null, source: null, staleAt: 0, freshUntil: 0, hitUntil: 0 }
      expect(facts(again)).toEqual(facts(stored))
      expect((await contentOf(again)).equals(filled(again?.has(32) ? 0 : (cases[i]?.contentLength ?? i * 20_000), i))).toBe(true)
    }
  })

  test('keeps the order of use', async () => {
    const folder = newFolder()
    const limits = { bytesMax: bytes(160_000) }
    const before = newDisk({ folder, limits })
    for (let i = 0; i < 10; i++) write(before, fresh(i), filled(10_000, i))
    before.lookup(keyOf(0))
    before.touch(keyOf(2))
    await closeDisk(before)
    const after = newDisk({ folder, limits })
    for (let i = 10; i < 14; i++) write(after, fresh(i), filled(10_000, i))
    const there = [0, 1, 2, 3, 13].map(i => after.peek(keyOf(i)) !== null)
    expect(there).toEqual([true, false, true, false, true])
  })

  test('takes the limits of today: what is too much goes, in steps', async () => {
    const folder = newFolder()
    const before = newDisk({ folder, limits: { bytesMax: bytes(200_000_000) } })
    for (let i = 0; i < 200; i++) write(before, fresh(i), filled(10_000, i))
    await closeDisk(before)
    const clock = new FakeClock()
    const after = newDisk({ folder, clock, limits: { bytesMax: bytes(1_000_000), low: 0.5, high: 0.8 } })
    expect(after.count).toBe(200)
    for (let i = 0; i < 20; i++) clock.advance(1)
    expect(after.bytes).toBeLessThanOrEqual(500_000)
    expect(after.peek(keyOf(199))).not.toBe(null)
  })

  test('removes what was being written', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    const opened = before.open(fresh(1, { contentLength: large }), nobody)
    if (!opened.ok) throw new Error(opened.reason)
    opened.writer.append(filled(70_000, 1))
    await expect.poll(() => filesIn(folder)).toHaveLength(1)
    // the process is not there any more: nobody abandons it
    const db = new DatabaseSync(join(folder, 'index.db'))
    expect(db.prepare('SELECT count(*) AS n FROM file WHERE id = ?').get(Number(basename(filesIn(folder)[0] ?? '')))).toEqual({ n: 1 })
    db.exec("UPDATE file SET owner = '1.0'")
    db.close()
    const after = newDisk({ folder })
    await expect.poll(() => filesIn(folder)).toHaveLength(0)
    expect(after.count).toBe(0)
  })
})

describe('after the machine went down', () => {
  test('what may not have reached the disk is not believed; the rest is', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    write(before, fresh('sure', { contentLength: large }), filled(large, 1))
    await before.lookup(keyOf('sure'))
    await closeDisk(before) // syncs
    const again = newDisk({ folder })
    write(again, fresh('unsure', { contentLength: large }), filled(large, 2))
    write(again, fresh('small'), filled(100, 3))
    await again.lookup(keyOf('unsure'))
    // no close; another boot
    const db = new DatabaseSync(join(folder, 'index.db'))
    db.exec("UPDATE file SET boot = 'the one before'")
    db.close()

    const after = newDisk({ folder })
    expect((await contentOf(await first(after, 'sure'))).equals(filled(large, 1))).toBe(true)
    expect((await contentOf(await first(after, 'small'))).equals(filled(100, 3))).toBe(true)
    expect(await after.lookup(keyOf('unsure'))).toBe(null)
    expect(after.count).toBe(2)
    await expect.poll(() => filesIn(folder)).toHaveLength(1)
  })
})

test('what could not be invalidated because the disk said no is not found, and goes as soon as it can', async () => {
  const folder = newFolder()
  const clock = new FakeClock()
  const store = newDisk({ folder, clock })
  for (let i = 0; i < 3; i++) write(store, fresh(i), filled(500, i))
  // another process does not let go of the index
  const other = new DatabaseSync(join(folder, 'index.db'))
  other.exec('BEGIN IMMEDIATE')
  store.invalidate(keyOf(1))
  expect(store.counters.failed).toBe(1)
  expect(store.lookup(keyOf(1))).toBe(null)
  expect(store.peek(keyOf(1))).toBe(null)
  expect(store.lookup(keyOf(0))).not.toBe(null)
  other.exec('COMMIT')
  const count = (): unknown => other.prepare('SELECT count(*) AS n FROM response').get()?.['n']
  expect(count()).toBe(3)
  clock.advance(2000)
  expect(count()).toBe(2)
  expect(write(store, fresh(1), filled(500, 9))).not.toBe(null)
  expect((await contentOf(await first(store, 1))).equals(filled(500, 9))).toBe(true)
  other.close()
})

describe('damage', () => {
  /** Changes bytes of the index where this content lies. */
  const spoil = (folder: string, content: Buffer, by: string): void => {
    const path = join(folder, 'index.db')
    const index = readFileSync(path)
    const at = index.indexOf(content)
    if (at < 0) throw new Error('the content is not in the index')
    index.write(by, at + 20, 'latin1')
    writeFileSync(path, index)
  }

  test('to a content in the index: gone, and the others stay', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    for (let i = 0; i < 5; i++) write(before, fresh(i), filled(500, i))
    await closeDisk(before)
    spoil(folder, filled(500, 3), 'oops')
    const after = newDisk({ folder })
    expect(after.lookup(keyOf(3))).toBe(null)
    expect(after.counters.damaged).toBe(1)
    expect(after.count).toBe(4)
    for (const i of [0, 1, 2, 4]) expect((await contentOf(await first(after, i))).equals(filled(500, i))).toBe(true)
  })

  test('to a record: gone', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    write(before, fresh(1, { response: ['X-Long: a value that is long enough to be found'] }), filled(500, 1))
    await closeDisk(before)
    spoil(folder, Buffer.from('a value that is long enough'), 'wrong')
    const after = newDisk({ folder })
    expect(after.lookup(keyOf(1))).toBe(null)
    expect(after.count).toBe(0)
  })

  test.each([
    ['cut', (path: string) => truncateSync(path, large - 1)],
    ['grown', (path: string) => truncateSync(path, large + 1)],
  ])('to a file, %s: cannot be opened, and is gone from then on', async (_, change) => {
    const folder = newFolder()
    const store = newDisk({ folder })
    write(store, fresh(1, { contentLength: large }), filled(large, 1))
    const stored = await first(store, 1)
    for (const path of filesIn(folder)) change(path)
    expect(await stored.content?.open()).toBe(null)
    expect(await store.lookup(keyOf(1))).toBe(null)
    await expect.poll(() => filesIn(folder)).toHaveLength(0)
  })

  test.each([
    ['empty', (path: string) => truncateSync(path, 0), 0],
    ['cut within its first page', (path: string) => truncateSync(path, 1000), 1],
    ['all zeros', (path: string) => writeFileSync(path, Buffer.alloc(statSync(path).size)), 1],
    ['another file', (path: string) => writeFileSync(path, 'not a database, but something else\n'.repeat(1000)), 1],
  ])('to the index, %s: one line, and the store starts empty', async (_, change, lines) => {
    const folder = newFolder()
    const before = newDisk({ folder })
    for (let i = 0; i < 50; i++) write(before, fresh(i), filled(5000, i))
    write(before, fresh('large', { contentLength: large }), filled(large, 1))
    await before.lookup(keyOf('large'))
    await closeDisk(before)
    change(join(folder, 'index.db'))
    const said: string[] = []
    const after = newDisk({ folder, said })
    expect(said).toHaveLength(lines)
    for (const line of said) expect(line).toMatch(/its index is damaged \(.+\); it is set aside/)
    expect(after.count).toBe(0)
    expect(await after.lookup(keyOf(1))).toBe(null)
    write(after, fresh(1), filled(500, 9))
    expect((await contentOf(await first(after, 1))).equals(filled(500, 9))).toBe(true)
  })

  test('found while it is used: one line, and it goes on empty', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    for (let i = 0; i < 300; i++) write(before, fresh(i), filled(5000, i))
    await closeDisk(before)
    const path = join(folder, 'index.db')
    const size = statSync(path).size
    const index = readFileSync(path)
    index.fill('junk', 8192, size - 8192)
    writeFileSync(path, index)
    const said: string[] = []
    const after = newDisk({ folder, said })
    for (let i = 0; i < 300; i++) expect(await after.lookup(keyOf(i))).toBe(null)
    expect(said).toHaveLength(1)
    expect(write(after, fresh(1), filled(500, 9))).not.toBe(null)
    expect((await contentOf(await first(after, 1))).equals(filled(500, 9))).toBe(true)
  })

  test('an index of another format is not read', async () => {
    const folder = newFolder()
    const before = newDisk({ folder })
    write(before, fresh(1), filled(500, 1))
    await closeDisk(before)
    const db = new DatabaseSync(join(folder, 'index.db'))
    db.exec('PRAGMA user_version = 4711')
    db.close()
    const said: string[] = []
    const after = newDisk({ folder, said })
    expect(said).toHaveLength(1)
    expect(after.count).toBe(0)
  })
})

describe('the folder', () => {
  const answerFor = (folder: string) => openDisk({ folder, limits: diskLimits(), clock: new FakeClock(), notice: () => {} })

  test("of Squid is refused, and not touched", () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'swap.state'), 'x')
    expect(answerFor(folder)).toMatchObject({ ok: false, reason: 'foreign' })
    expect(readdirSync(folder)).toEqual(['swap.state'])
  })

  test('is made where it is missing', () => {
    const folder = join(newFolder(), 'a', 'b')
    newDisk({ folder })
    expect(existsSync(join(folder, 'content'))).toBe(true)
  })

  test('that is a file cannot be used, and that is said', () => {
    const folder = join(newFolder(), 'file')
    writeFileSync(folder, '')
    expect(answerFor(folder)).toMatchObject({ ok: false, reason: 'unusable' })
  })

  test('is left alone once the store is closed, by a file that was just begun, too', async () => {
    const folder = newFolder()
    const store = newDisk({ folder })
    const { open } = fs
    let begun = 0
    const slowly = vi.spyOn(fs, 'open').mockImplementation(((...args: Parameters<typeof open>) => {
      setTimeout(() => (begun++, open(...args)), 50)
    }) as never)
    const opened = store.open(fresh(1, { contentLength: large }), nobody)
    if (!opened.ok) throw new Error(opened.reason)
    expect(opened.writer.append(filled(70_000, 1))).toBe(true)
    await closeDisk(store)
    slowly.mockRestore()
    expect(begun).toBeGreaterThan(0)
    expect(filesIn(folder)).toEqual([])
  })

  test('that can never be made cannot be used: Node itself would try for ever', () => {
    expect(answerFor('/proc/glassquid/cache')).toMatchObject({ ok: false, reason: 'unusable' })
  })

  test('may hold other things', async () => {
    const folder = newFolder()
    mkdirSync(join(folder, 'photos'))
    writeFileSync(join(folder, 'photos', 'cat'), 'meow')
    const store = newDisk({ folder })
    write(store, fresh(1, { contentLength: large }), filled(large, 1))
    await store.lookup(keyOf(1))
    store.clear()
    await closeDisk(store)
    expect(readFileSync(join(folder, 'photos', 'cat'), 'latin1')).toBe('meow')
  })
})

describe('sizes', () => {
  test('what is smaller than minimum_object_size is not written, declared or not', () => {
    const store = newDisk({ limits: { objectBytesMin: bytes(1000) } })
    expect(store.open(fresh(1, { contentLength: 999 }), nobody)).toEqual({ ok: false, reason: 'too-small' })
    expect(write(store, fresh(1), filled(999, 1))).toBe(null)
    expect(write(store, fresh(1), filled(1000, 1))).not.toBe(null)
    expect(store.count).toBe(1)
  })

  test('the file of the index shrinks when what was in it has gone', async () => {
    const folder = newFolder()
    const clock = new FakeClock()
    const store = newDisk({ folder, clock, limits: { bytesMax: bytes(40_000_000) } })
    for (let i = 0; i < 800; i++) write(store, fresh(i), filled(10_000, i))
    for (let i = 0; i < 800; i++) store.invalidate(keyOf(i))
    for (let i = 0; i < 100; i++) clock.advance(2000)
    await closeDisk(store)
    expect(statSync(join(folder, 'index.db')).size).toBeLessThan(1_000_000)
  })
})
