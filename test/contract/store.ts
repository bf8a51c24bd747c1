import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { bytes, type FieldView } from '../../src/base/index.ts'
import {
  brokenOff, byPrefix, byTag, type CacheKey, cacheKey, rangeOfPart, type Selection, type Store, StoredResponse, type StoreLimits,
  type Variants, type Writer,
} from '../../src/cache/index.ts'
import { type Case, dateAt, exchangeOf, fieldsOf, storedOf } from '../cache/kit.ts'

// The contract of every store (src/cache/store/store.ts), run over each of them. A test sees a store only through the
// contract: what is found under a key, byte for byte, and how many bytes it says it holds.

export interface StoreUnderTest {
  readonly name: string
  make(limits: StoreLimits): Store
  /** How large `bytesMax` must be for about `objects` of `size` bytes of content. */
  room(objects: number, size: number): number
  /** Its parts have some in common, and each some of its own: their number is that of the larger part. */
  readonly countsLess?: boolean
  /** Resolves when what is complete is stored; only for stores that take their time. */
  settled?(store: Store): Promise<void>
  /** Closes all that were made, and takes away what they have left. */
  end?(): Promise<void>
}

export const usualLimits: StoreLimits = { bytesMax: bytes(4_000_000), objectBytesMax: bytes(200_000), variantsMax: 4 }

const uri = (n: number | string) => `http://a.example/${n}`
const keyOf = (n: number | string): CacheKey => cacheKey('GET', uri(n))
const nobody: FieldView = fieldsOf()

const fresh = (n: number | string, more: Case = {}): StoredResponse =>
  storedOf({ uri: uri(n), ...more, response: ['Cache-Control: max-age=60', ...(more.response ?? [])] })

const requestOf = (c: Case): FieldView => exchangeOf(c).requestFields

/** Writes the whole; null where the store would not have it. */
export const write = (
  store: Store,
  response: StoredResponse,
  content: Uint8Array,
  request: FieldView = nobody,
  pieces = 1,
): StoredResponse | null => {
  const opened = store.open(response, request)
  if (!opened.ok) return null
  const step = Math.max(1, Math.ceil(content.length / pieces))
  for (let i = 0; i < content.length; i += step) {
    if (!opened.writer.append(content.subarray(i, i + step))) return null
  }
  return opened.writer.complete()
}

/** All of it, wherever it lies. */
export const contentOf = async (stored: StoredResponse | undefined): Promise<Buffer> => {
  if (stored === undefined || stored.content === null) return Buffer.concat(stored?.body ?? [])
  const reader = await stored.content.open()
  if (reader === null) throw new Error('its content is gone')
  const pieces: Buffer[] = []
  for (let at = 0; ; ) {
    const piece = Buffer.alloc(10_000)
    const bytes = await reader.read(at, piece)
    if (bytes < 0) throw new Error('its content cannot be read')
    if (bytes === 0) break
    pieces.push(piece.subarray(0, bytes))
    at += bytes
  }
  reader.close()
  return Buffer.concat(pieces)
}

const textOf = async (stored: StoredResponse | undefined): Promise<string> => (await contentOf(stored)).toString()

const textsOf = (variants: Variants): Promise<string[]> => Promise.all(variants.map(textOf))

const filled = (size: number, seed: number): Buffer => {
  const buffer = Buffer.alloc(size)
  for (let i = 0; i < size; i++) buffer[i] = (i * 31 + seed) & 255
  return buffer
}

const found = async (store: Store, key: CacheKey): Promise<Variants> => (await store.lookup(key)) ?? []

export const storeContract = (subject: StoreUnderTest): void => {
  const make = (change: Partial<StoreLimits> = {}) => subject.make({ ...usualLimits, ...change })
  afterEach(() => subject.end?.())

  describe(`${subject.name}: what is found`, () => {
    test('nothing under a key nobody has stored', async () => {
      expect(await make().lookup(keyOf(1))).toBe(null)
      expect(await make().peek(keyOf(1))).toBe(null)
    })

    test.each([
      [0, 1], [1, 1], [1000, 1], [1000, 7], [65_536, 3], [150_000, 1000],
    ])('%i bytes written in %i pieces, byte for byte', async (size, pieces) => {
      const content = filled(size, 7)
      for (const contentLength of [-1, size]) {
        const store = make()
        const stored = write(store, fresh(1, { contentLength }), content, nobody, pieces)
        const [again] = await found(store, keyOf(1))
        expect(again?.head).toBe(stored?.head)
        expect((await contentOf(again)).equals(content)).toBe(true)
        expect(again?.contentLength).toBe(size)
        expect(again?.head).toContain(`Content-Length: ${size}\r\n`)
      }
    })

    test('the bytes that were given may change afterwards', async () => {
      const store = make()
      const slab = Buffer.from('abcdef')
      write(store, fresh(1), slab.subarray(1, 4))
      slab.fill(120)
      const [stored] = await found(store, keyOf(1))
      expect(await textOf(stored)).toBe('bcd')
    })

    test('what is kept for those who read along is the same bytes, and outlives the writer', () => {
      for (const contentLength of [-1, 100_000]) {
        const opened = make().open(fresh(1, { contentLength }), nobody)
        if (!opened.ok) throw new Error(opened.reason)
        const content = filled(100_000, 3)
        const kept: Buffer[] = []
        for (let i = 0; i < content.length; i += 999) expect(opened.writer.append(content.subarray(i, i + 999), kept)).toBe(true)
        opened.writer.abandon()
        expect(Buffer.concat(kept).equals(content)).toBe(true)
      }
    })

    test('a response with status 204 and one to HEAD have no content', async () => {
      const store = make()
      write(store, fresh(1, { status: 204 }), Buffer.alloc(0))
      const head = storedOf({ uri: uri(1), method: 'HEAD', response: ['Cache-Control: max-age=60', 'Content-Length: 7'] })
      write(store, head, Buffer.alloc(0))
      expect((await found(store, keyOf(1)))[0]?.head).not.toContain('Content-Length')
      expect((await found(store, cacheKey('HEAD', uri(1))))[0]?.head).toContain('Content-Length: 7\r\n')
      expect(store.count).toBe(2)
    })
  })

  describe(`${subject.name}: only whole responses`, () => {
    const opened = (store: Store, response: StoredResponse): Writer => {
      const answer = store.open(response, nobody)
      if (!answer.ok) throw new Error(answer.reason)
      return answer.writer
    }

    test('nothing is found before the end, and what was there before stays until then', async () => {
      const store = make()
      write(store, fresh(1), Buffer.from('old'))
      const writer = opened(store, fresh(1))
      writer.append(Buffer.from('new'))
      expect(await textOf((await found(store, keyOf(1)))[0])).toBe('old')
      writer.complete()
      expect(await textOf((await found(store, keyOf(1)))[0])).toBe('new')
      expect(store.count).toBe(1)
    })

    test.each([
      ['too little', 5, ['abc']],
      ['too much', 5, ['abc', 'def']],
      ['nothing', 5, []],
    ])('%s for its Content-Length: not stored', async (_, contentLength, chunks) => {
      const store = make()
      const writer = opened(store, fresh(1, { contentLength }))
      const taken = chunks.map(chunk => writer.append(Buffer.from(chunk)))
      expect(taken).toEqual(chunks.map((_chunk, i) => i === 0)) // beyond its length nothing is taken
      expect(writer.complete()).toBe(null)
      expect(writer.refusal).toBe('incomplete')
      expect(await store.lookup(keyOf(1))).toBe(null)
      expect(store.bytes).toBe(0)
    })

    test('abandoned: nothing is left, and the writer takes no more', async () => {
      const store = make()
      const writer = opened(store, fresh(1))
      writer.append(Buffer.alloc(10_000))
      expect(store.bytes).toBeGreaterThanOrEqual(10_000)
      writer.abandon()
      writer.abandon()
      expect(writer.append(Buffer.alloc(1))).toBe(false)
      expect(writer.complete()).toBe(null)
      expect(writer.refusal).toBe('abandoned')
      expect(store.bytes).toBe(0)
      expect(await store.lookup(keyOf(1))).toBe(null)
    })

    test('completed twice is completed once', async () => {
      const store = make()
      const writer = opened(store, fresh(1))
      expect(writer.complete()).not.toBe(null)
      expect(writer.complete()).toBe(null)
      expect(writer.refusal).toBe(null)
      writer.abandon()
      await subject.settled?.(store)
      expect(store.count).toBe(1)
    })

    test('two writers of one key: the later end wins', async () => {
      const store = make()
      const [one, two] = [opened(store, fresh(1)), opened(store, fresh(1))]
      one.append(Buffer.from('one'))
      two.append(Buffer.from('two'))
      two.complete()
      one.complete()
      expect(await textsOf(await found(store, keyOf(1)))).toEqual(['one'])
    })
  })

  describe(`${subject.name}: variants`, () => {
    const vary = (n: number, foo: string, more: readonly string[] = []) => {
      const c: Case = { uri: uri(n), request: [`Foo: ${foo}`], response: ['Vary: Foo', ...more] }
      return { response: fresh(n, c), request: requestOf(c) }
    }

    test('stand beside each other, and one of the same request takes the place of the former', async () => {
      const store = make()
      for (const [foo, text] of [['a', '1'], ['b', '2'], ['a', '3']] as const) {
        const { response, request } = vary(1, foo)
        write(store, response, Buffer.from(text), request)
      }
      const texts = await textsOf(await found(store, keyOf(1)))
      expect(texts.sort()).toEqual(['2', '3'])
      expect(store.count).toBe(2)
    })

    test('newest Date first, whatever the order of storing', async () => {
      const store = make()
      for (const [foo, s] of [['a', 5], ['b', 9], ['c', 1]] as const) {
        const { response, request } = vary(1, foo, [`Date: ${dateAt(s - 20)}`])
        write(store, response, Buffer.from(foo), request)
      }
      expect(await textsOf(await found(store, keyOf(1)))).toEqual(['b', 'a', 'c'])
    })

    test('one without Vary takes the place of all that fit its request, and of no other', async () => {
      const store = make()
      for (const foo of ['a', 'b']) {
        const { response, request } = vary(1, foo)
        write(store, response, Buffer.from(foo), request)
      }
      write(store, fresh(1), Buffer.from('plain'), requestOf({ request: ['Foo: a'] }))
      expect((await textsOf(await found(store, keyOf(1)))).sort()).toEqual(['b', 'plain'])
    })

    test('their number is limited, the newly stored one stays', async () => {
      const store = make({ variantsMax: 3 })
      for (let i = 0; i < 10; i++) {
        const { response, request } = vary(1, `${i}`, [`Date: ${dateAt(-i)}`]) // each older than the one before
        write(store, response, Buffer.from(`${i}`), request)
        const texts = await textsOf(await found(store, keyOf(1)))
        expect(texts.length).toBeLessThanOrEqual(3)
        expect(texts).toContain(`${i}`)
      }
    })

    test('one variant is removed, the others stay', async () => {
      const store = make()
      const stored = ['a', 'b'].map(foo => {
        const { response, request } = vary(1, foo)
        return write(store, response, Buffer.from(foo), request)
      })
      const [first] = stored
      if (first === null || first === undefined) throw new Error('not stored')
      expect(store.remove(first)).toBe(true)
      expect(store.remove(first)).toBe(false)
      expect(await textsOf(await found(store, keyOf(1)))).toEqual(['b'])
      expect(store.invalidate(keyOf(1))).toBe(1)
      expect(store.bytes).toBe(0)
    })
  })

  describe(`${subject.name}: parts`, () => {
    const content = filled(100_000, 5)
    /** Bytes [from, to) of `content` as they come with a 206. */
    const part = (from: number, to: number, etag = '"a"', request: readonly string[] = []): Case => ({
      uri: uri(1), status: 206, contentLength: to - from, request,
      response: [`ETag: ${etag}`, `Content-Range: bytes ${from}-${to - 1}/${content.length}`],
    })
    const put = (store: Store, c: Case, from: number, to: number) =>
      write(store, fresh(1, c), content.subarray(from, to), requestOf(c), 3)
    const places = async (store: Store) =>
      (await found(store, keyOf(1))).map(stored => rangeOfPart(stored)?.first ?? -1).sort((a, b) => a - b)

    test('of one representation stand beside each other, byte for byte, as far as each has bytes of its own', async () => {
      const store = make()
      for (const [from, to] of [[0, 20_000], [50_000, 50_010], [20_000, 20_010], [60_000, 99_000]] as const) put(store, part(from, to), from, to)
      expect(await places(store)).toEqual([0, 20_000, 50_000, 60_000])
      for (const stored of await found(store, keyOf(1))) {
        const { first, last } = rangeOfPart(stored) ?? { first: 0, last: -1 }
        expect((await contentOf(stored)).equals(content.subarray(first, last + 1))).toBe(true)
      }
      put(store, part(10_000, 70_000), 10_000, 70_000) // two lie within it
      expect(await places(store)).toEqual([0, 10_000, 60_000])
    })

    test('of another representation take the place of all; so does the whole', async () => {
      const store = make()
      put(store, part(0, 10), 0, 10)
      put(store, part(20, 30), 20, 30)
      put(store, part(40, 50, '"b"'), 40, 50)
      expect(await places(store)).toEqual([40])
      write(store, fresh(1, { response: ['ETag: "b"'] }), content)
      expect(await places(store)).toEqual([-1])
    })

    test('are what is left of a writer that is completed early, large or small', async () => {
      for (const bytes of [5, 10_000, 90_000]) {
        const store = make()
        const whole = fresh(1, { contentLength: content.length, response: ['ETag: "a"'] })
        const opened = store.open(whole, nobody)
        if (!opened.ok) throw new Error(opened.reason)
        opened.writer.append(content.subarray(0, bytes))
        const broken = brokenOff(whole, opened.writer.bytes)
        if (broken === null) throw new Error('it can be completed')
        expect(opened.writer.completeAs(broken)).not.toBe(null)
        opened.writer.abandon()
        const [stored] = await found(store, keyOf(1))
        expect([stored?.status, stored?.contentLength]).toEqual([206, bytes])
        expect((await contentOf(stored)).equals(content.subarray(0, bytes))).toBe(true)
        expect(store.count).toBe(1)
      }
    })

    test('keep to the limit of variants', async () => {
      const store = make({ variantsMax: 3 })
      for (let i = 0; i < 10; i++) put(store, part(i * 100, i * 100 + 10), i * 100, i * 100 + 10)
      const there = await places(store)
      expect(there.length).toBeLessThanOrEqual(3)
      expect(there).toContain(900)
    })
  })

  describe(`${subject.name}: changes`, () => {
    test('replace puts the new one in the place of the old; who has the old one keeps its bytes', async () => {
      const store = make()
      const old = write(store, fresh(1), Buffer.from('abc'))
      const by = fresh(1, { response: ['X-New: 1'] })
      if (old === null) throw new Error('not stored')
      expect(store.replace(old, by)).toBe(true)
      expect((await found(store, keyOf(1))).map(stored => stored.head)).toEqual([by.head])
      expect(await textOf(old)).toBe('abc')
      expect(store.replace(old, by)).toBe(false)
    })

    test('replace of what is not there any more changes nothing', async () => {
      const store = make()
      const old = write(store, fresh(1), Buffer.from('abc'))
      if (old === null) throw new Error('not stored')
      store.invalidate(keyOf(1))
      expect(store.replace(old, fresh(1))).toBe(false)
      expect(await store.lookup(keyOf(1))).toBe(null)
      expect(store.bytes).toBe(0)
    })

    test('put stores what is whole already', async () => {
      const store = make()
      const whole = write(make(), fresh(1), Buffer.from('abc'))
      if (whole === null) throw new Error('not stored')
      expect(store.put(whole, nobody)).toBe(true)
      expect(await textOf((await found(store, keyOf(1)))[0])).toBe('abc')
    })

    test('invalidate takes all variants of the key, and no other key', async () => {
      const store = make()
      for (const foo of ['a', 'b']) {
        const c: Case = { uri: uri(1), request: [`Foo: ${foo}`], response: ['Vary: Foo'] }
        write(store, fresh(1, c), Buffer.from(foo), requestOf(c))
      }
      write(store, fresh(2), Buffer.from('other'))
      expect(store.invalidate(keyOf(1))).toBe(2)
      expect(store.invalidate(keyOf(1))).toBe(0)
      expect(await store.lookup(keyOf(1))).toBe(null)
      expect((await found(store, keyOf(2))).length).toBe(1)
    })

    test.each(['invalidate', 'clear'] as const)('what is being written at %s is never stored', async how => {
      const store = make()
      const opened = store.open(fresh(1), nobody)
      const other = store.open(fresh(2), nobody)
      if (!opened.ok || !other.ok) throw new Error('not opened')
      opened.writer.append(Buffer.from('abc'))
      if (how === 'invalidate') store.invalidate(keyOf(1))
      else store.clear()
      expect(opened.writer.append(Buffer.from('def'))).toBe(false)
      expect(opened.writer.complete()).toBe(null)
      expect(opened.writer.refusal).toBe('invalidated')
      expect(await store.lookup(keyOf(1))).toBe(null)
      expect(other.writer.complete() === null).toBe(how === 'clear')
      // a fetch that began afterwards is stored again
      expect(write(store, fresh(1), Buffer.from('new'))).not.toBe(null)
    })

    test('clear leaves nothing', async () => {
      const store = make()
      for (let i = 0; i < 20; i++) write(store, fresh(i), filled(500, i))
      store.clear()
      expect([store.count, store.bytes]).toEqual([0, 0])
      expect(await store.lookup(keyOf(3))).toBe(null)
    })
  })

  describe(`${subject.name}: walks`, () => {
    const all: Selection = { tag: null, selects: () => true }
    const tagged = (n: number, ...tags: string[]) => fresh(n, { response: tags.length === 0 ? [] : [`Cache-Tag: ${tags.join(', ')}`] })
    const walked = (store: Store, selection: Selection, step = 3, between = (_keys: readonly CacheKey[]): void => {}) => {
      const walk = store.walk(selection)
      const keys: CacheKey[] = []
      for (let found = walk.next(step); found !== null; found = walk.next(step)) {
        keys.push(...found)
        between(found)
      }
      return [...new Set(keys)].sort()
    }
    const filledStore = async (count: number, tagsOf = (_n: number): string[] => []): Promise<Store> => {
      const store = make()
      for (let n = 0; n < count; n++) write(store, tagged(n, ...tagsOf(n)), filled(10, n))
      await subject.settled?.(store)
      return store
    }
    const keys = (...numbers: number[]) => numbers.map(n => keyOf(n)).sort()

    test('all there is, and of that what is meant', async () => {
      const store = await filledStore(20)
      expect(walked(store, all)).toEqual(keys(...Array(20).keys()))
      expect(walked(store, byPrefix(uri(1)))).toEqual(keys(1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19))
      expect(walked(make(), all)).toEqual([])
    })

    test('by tag: with it, whatever other tags there are', async () => {
      const store = await filledStore(9, n => (n % 3 === 0 ? ['three', `n${n}`] : n === 4 ? ['four'] : []))
      expect(walked(store, byTag('three'))).toEqual(keys(0, 3, 6))
      expect(walked(store, byTag('n6'))).toEqual(keys(6))
      expect(walked(store, byTag('thre'))).toEqual([])
    })

    test('what has gone, or has been called otherwise, has its former tags no more', async () => {
      const store = await filledStore(6, () => ['all'])
      store.invalidate(keyOf(0))
      write(store, tagged(1), filled(10, 1))
      const [two] = await found(store, keyOf(2))
      if (two !== undefined) store.replace(two, new StoredResponse({ ...two, tags: ['other'] }, two.body, two.content))
      await subject.settled?.(store)
      expect(walked(store, byTag('all'))).toEqual(keys(3, 4, 5))
      expect(walked(store, byTag('other'))).toEqual(keys(2))
      store.clear()
      expect(walked(store, byTag('all'))).toEqual([])
    })

    test('two variants have a tag: it is there until both have gone', async () => {
      const store = make()
      const variant = (foo: string): Case => ({ uri: uri(1), request: [`Foo: ${foo}`], response: ['Vary: Foo', 'Surrogate-Key: k'] })
      const [a, b] = ['a', 'b'].map(foo => write(store, fresh(1, variant(foo)), filled(10, 1), requestOf(variant(foo))))
      await subject.settled?.(store)
      expect(walked(store, byTag('k'))).toEqual(keys(1))
      const stored = await found(store, keyOf(1))
      expect([stored.length, a === null, b === null]).toEqual([2, false, false])
      for (const one of stored) {
        expect(walked(store, byTag('k'))).toEqual(keys(1))
        store.remove(one)
      }
      expect(walked(store, byTag('k'))).toEqual([])
    })

    test('what stays stored is met, also when it is used, renewed and replaced meanwhile; what is purged on the way goes', async () => {
      const store = await filledStore(40)
      let n = 0
      const met = walked(store, all, 3, () => {
        const variants = store.lookup(keyOf((n += 7) % 40))
        if (variants !== null && !(variants instanceof Promise)) {
          const [stored] = variants
          if (stored !== undefined) store.replace(stored, new StoredResponse({ ...stored, head: `${stored.head}X-Again: 1\r\n` }, stored.body, stored.content))
        }
        if (n % 2 === 0) write(store, fresh(100 + n), filled(10, n))
      })
      expect(met.filter(key => keys(...Array(40).keys()).includes(key))).toEqual(keys(...Array(40).keys()))
      const purged = walked(store, all, 5, found => found.forEach(key => store.invalidate(key)))
      expect(purged.length).toBeGreaterThanOrEqual(40)
      expect(store.count).toBe(0)
    })

    test('what is being written can be seen, and stopped', async () => {
      const store = make()
      const before = write(store, fresh(1), filled(10, 1))
      await subject.settled?.(store)
      const opened = store.open(tagged(1, 'new'), nobody)
      if (!opened.ok) throw new Error(opened.reason)
      expect(store.unfinished().map(({ key, tags }) => [key, tags])).toEqual([[keyOf(1), ['new']]])
      store.stopWriting(keyOf(1))
      expect(opened.writer.complete()).toBe(null)
      expect(opened.writer.refusal).toBe('invalidated')
      await subject.settled?.(store)
      expect(store.unfinished()).toEqual([])
      expect((await found(store, keyOf(1)))[0]?.head).toBe(before?.head)
    })
  })

  describe(`${subject.name}: limits`, () => {
    test('the least recently used goes first; a lookup is a use, a peek is none, a touch is one', async () => {
      const size = 10_000
      const store = make({ bytesMax: bytes(subject.room(10, size)) })
      for (let i = 0; i < 10; i++) write(store, fresh(i), filled(size, i))
      await subject.settled?.(store)
      await store.lookup(keyOf(0))
      await store.peek(keyOf(1))
      store.touch(keyOf(2))
      // a store whose index somebody else has may refuse what it would have to make room for
      for (let i = 10; i < 14; i++) await expect.poll(() => write(store, fresh(i), filled(size, i)) !== null).toBe(true)
      await subject.settled?.(store)
      const there = await Promise.all([0, 1, 2, 3, 13].map(async i => (await store.peek(keyOf(i))) !== null))
      expect(there).toEqual([true, false, true, false, true])
      expect(store.bytes).toBeLessThanOrEqual(store.bytesMax)
    })

    test('content of exactly the limit is stored, one byte more is not, declared or not', async () => {
      const max = 200_000
      for (const [size, fits] of [[max - 1, true], [max, true], [max + 1, false]] as const) {
        for (const contentLength of [size, -1]) {
          const store = make({ objectBytesMax: bytes(max) })
          expect(write(store, fresh(1, { contentLength }), filled(size, 1), nobody, 10) !== null).toBe(fits)
          expect((await store.lookup(keyOf(1))) !== null).toBe(fits)
          if (!fits) expect(store.bytes).toBe(0)
        }
      }
    })

    test('one that is too large says so, and leaves the others alone', async () => {
      const store = make({ bytesMax: bytes(1_000_000), objectBytesMax: bytes(900_000) })
      for (let i = 0; i < 8; i++) write(store, fresh(i), filled(10_000, i))
      const declared = store.open(fresh('big', { contentLength: 800_000 }), nobody)
      expect(declared).toEqual({ ok: false, reason: 'too-large' })
      const undeclared = store.open(fresh('big'), nobody)
      if (!undeclared.ok) throw new Error(undeclared.reason)
      let appended = 0
      while (undeclared.writer.append(filled(10_000, 1))) appended += 10_000
      expect(undeclared.writer.refusal).toMatch(/too-large|busy/)
      expect(appended).toBeLessThanOrEqual(500_000)
      expect(store.count).toBe(8)
    })

    test('writers that never end take half the store at most; the rest goes on', async () => {
      const store = make({ bytesMax: bytes(1_000_000) })
      write(store, fresh('there'), filled(1000, 1))
      const writers: Writer[] = []
      for (let i = 0; i < 50; i++) {
        const opened = store.open(fresh(i), nobody)
        if (!opened.ok) continue
        opened.writer.append(filled(50_000, i))
        writers.push(opened.writer)
        await store.lookup(keyOf('there'))
      }
      expect(store.bytes).toBeLessThanOrEqual(store.bytesMax)
      expect(await store.peek(keyOf('there'))).not.toBe(null)
      expect(writers.some(writer => writer.refusal === 'busy') || writers.length < 50).toBe(true)
      for (const writer of writers) writer.abandon()
      expect(store.count).toBe(1)
    })

    test('nor do writers that were all let in before they grew', () => {
      const store = make({ bytesMax: bytes(1_000_000) })
      const writers = Array.from({ length: 20 }, (_, i) => {
        const opened = store.open(fresh(i), nobody)
        if (!opened.ok) throw new Error(opened.reason)
        return opened.writer
      })
      for (let round = 0; round < 6; round++) for (const writer of writers) writer.append(filled(10_000, round))
      expect(store.bytes).toBeLessThanOrEqual(500_000)
      expect(writers.map(writer => writer.refusal)).toContain('busy')
      for (const writer of writers) writer.abandon()
      expect(store.bytes).toBe(0)
    })

    test('a store without room stores nothing and breaks nothing', async () => {
      const store = make({ bytesMax: bytes(0) })
      expect(store.open(fresh(1), nobody)).toEqual({ ok: false, reason: 'switched-off' })
      expect(await store.lookup(keyOf(1))).toBe(null)
      expect(store.invalidate(keyOf(1))).toBe(0)
    })

    test('smaller limits apply at once and keep what was used last; larger ones keep all', async () => {
      const size = 10_000
      const store = make({ bytesMax: bytes(subject.room(20, size)) })
      for (let i = 0; i < 10; i++) write(store, fresh(i), filled(size, i))
      await store.lookup(keyOf(0))
      store.resize({ ...usualLimits, bytesMax: bytes(subject.room(5, size)) })
      expect(store.bytes).toBeLessThanOrEqual(store.bytesMax)
      expect((await contentOf((await found(store, keyOf(0)))[0])).equals(filled(size, 0))).toBe(true)
      expect(await store.peek(keyOf(1))).toBe(null)
      const before = store.count
      expect(before).toBeGreaterThan(1)
      store.resize({ ...usualLimits, bytesMax: bytes(subject.room(100, size)) })
      expect(store.count).toBe(before)
      write(store, fresh(50), filled(size, 50))
      await subject.settled?.(store)
      expect(store.count).toBe(before + 1)
    })
  })

  test(`${subject.name}: agrees with a model over random histories, and never holds more than it may`, async () => {
    interface Step {
      readonly do: 'write' | 'half' | 'lookup' | 'invalidate' | 'touch'
      readonly key: number
      readonly size: number
      readonly foo: number | null
      readonly declared: boolean
    }
    const key = fc.integer({ min: 0, max: 7 })
    const step: fc.Arbitrary<Step> = fc.record({
      do: fc.constantFrom('write', 'write', 'write', 'half', 'lookup', 'lookup', 'invalidate', 'touch'),
      key,
      size: fc.integer({ min: 0, max: 30_000 }),
      foo: fc.option(fc.integer({ min: 0, max: 3 }), { nil: null }),
      declared: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
        const store = make({ bytesMax: bytes(subject.room(8, 15_000)), variantsMax: 3 })
        /** The last content written for key and Foo; what the store has must be one of these. */
        const written = new Map<string, Buffer>()
        const half: Writer[] = []
        let serial = 0
        for (const s of steps) {
          if (s.do === 'lookup') {
            for (const stored of await found(store, keyOf(s.key))) {
              const name = `${s.key} ${stored.selecting === null ? 'plain' : stored.selecting.received[0]}`
              expect((await contentOf(stored)).equals(written.get(name) ?? Buffer.from('never written'))).toBe(true)
            }
          } else if (s.do === 'invalidate') {
            store.invalidate(keyOf(s.key))
            expect(await store.peek(keyOf(s.key))).toBe(null)
          } else if (s.do === 'touch') store.touch(keyOf(s.key))
          else {
            const content = filled(s.size, serial++)
            const c: Case = {
              uri: uri(s.key),
              request: s.foo === null ? [] : [`Foo: ${s.foo}`],
              response: s.foo === null ? [] : ['Vary: Foo'],
              contentLength: s.declared ? s.size : -1,
              came: serial,
            }
            const response = fresh(s.key, c)
            if (s.do === 'half') {
              const opened = store.open(response, requestOf(c))
              if (opened.ok && opened.writer.append(content.subarray(0, s.size >> 1))) half.push(opened.writer)
            } else if (write(store, response, content, requestOf(c)) !== null) {
              written.set(`${s.key} ${s.foo === null ? 'plain' : s.foo}`, content)
            }
          }
          expect(store.bytes).toBeLessThanOrEqual(store.bytesMax)
        }
        for (const writer of half) writer.abandon()
        await subject.settled?.(store)
        let count = 0
        for (let k = 0; k < 8; k++) count += (await store.peek(keyOf(k)))?.length ?? 0
        if (subject.countsLess === true) expect(store.count).toBeLessThanOrEqual(count)
        else expect(store.count).toBe(count)
        store.clear()
        expect(store.bytes).toBe(0)
      }),
      { numRuns: 60 },
    )
  })
}
