import { expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, defaultPolicy, freshened, MemoryStore } from '../../src/cache/index.ts'
import { bytesOf } from '../../src/cache/store/size.ts'
import { storeContract, usualLimits, write } from '../contract/store.ts'
import { at, fieldsOf, storedOf } from './kit.ts'

// The memory store: the contract of all stores, and what is its own.

storeContract({
  name: 'memory',
  make: limits => new MemoryStore(limits),
  room: (objects, size) => objects * (size + 1700),
})

const response = (uri: string) => storedOf({ uri, response: ['Cache-Control: max-age=60'] })
const nobody = fieldsOf()

test('answers at once, without a promise', () => {
  const store = new MemoryStore(usualLimits)
  write(store, response('http://a/1'), Buffer.from('x'))
  expect(store.lookup(cacheKey('GET', 'http://a/1'))).toHaveLength(1)
  expect(store.lookup(cacheKey('GET', 'http://a/2'))).toBe(null)
})

test('bytes are the sum of what is stored', () => {
  const store = new MemoryStore(usualLimits)
  let sum = 0
  for (let i = 0; i < 10; i++) {
    const stored = write(store, response(`http://a/${i}`), Buffer.alloc(i * 100), nobody)
    if (stored !== null) sum += bytesOf(stored)
  }
  expect(store.bytes).toBe(sum)
})

test('a small content costs no more than itself and its objects, however it came in', () => {
  const store = new MemoryStore(usualLimits)
  const slab = Buffer.alloc(64 * 1024)
  const stored = write(store, response('http://a/1'), slab.subarray(10, 110), nobody, 10)
  expect(stored?.body.map(buffer => [buffer.length, buffer.buffer.byteLength])).toEqual([[100, 100]])
})

test('a content of a megabyte and more is kept in pieces that are full', () => {
  const store = new MemoryStore({ bytesMax: bytes(64e6), objectBytesMax: bytes(16e6), variantsMax: 4 })
  const stored = write(store, response('http://a/1'), Buffer.alloc(2_500_000), nobody, 100)
  const sizes = stored?.body.map(buffer => [buffer.length, buffer.buffer.byteLength]) ?? []
  expect(sizes.every(([used, held]) => used === held)).toBe(true)
  expect(Math.max(...sizes.map(([used = 0]) => used))).toBeLessThanOrEqual(1024 * 1024)
})

test('counters tell what became of responses', () => {
  const store = new MemoryStore({ bytesMax: bytes(100_000), objectBytesMax: bytes(20_000), variantsMax: 4 })
  for (let i = 0; i < 20; i++) write(store, response(`http://a/${i}`), Buffer.alloc(10_000))
  write(store, response('http://a/big'), Buffer.alloc(120_000))
  store.invalidate(cacheKey('GET', 'http://a/19'))
  const { stored, removed, refused, invalidated } = store.counters
  expect({ stored, refused, invalidated }).toEqual({ stored: 20, refused: 1, invalidated: 1 })
  expect(removed).toBe(20 - store.count - 1)
})

test('what a 304 has dated anew is the newest of those that fit', () => {
  const store = new MemoryStore(usualLimits)
  const varying = (name: string, second: number) =>
    storedOf({ uri: 'http://a/1', came: second, response: ['Cache-Control: max-age=60', `Vary: ${name}`, 'ETag: "a"'] })
  const older = write(store, varying('Foo', 0), Buffer.from('x'), fieldsOf('Bar: 1'))
  const newer = write(store, varying('Bar', 10), Buffer.from('y'), fieldsOf('Foo: 1'))
  if (older === null || newer === null) throw new Error('not stored')
  expect(store.peek(older.key)).toEqual([newer, older])
  const update = { fields: fieldsOf('ETag: "a"'), requestTime: at(20), responseTime: at(20) }
  const after = freshened(older, update, nobody, defaultPolicy)
  store.replace(older, after)
  expect(store.peek(older.key)).toEqual([after, newer])
})

test('what a HEAD has stored takes no room for the content it tells the length of', () => {
  const store = new MemoryStore(usualLimits)
  const told = storedOf({ method: 'HEAD', uri: 'http://a/1', response: ['Cache-Control: max-age=60', 'Content-Length: 99999999'] })
  expect(write(store, told, Buffer.alloc(0))?.fields().get('content-length')).toBe('99999999')
  expect(store.bytes).toBeLessThan(3000)
})

test('what comes up from below is taken unless it is more than what may be stored', () => {
  const limits = { bytesMax: bytes(100_000), objectBytesMax: bytes(20_000), variantsMax: 40 }
  const key = cacheKey('GET', 'http://a/1')
  const below = (sizes: readonly number[]) => {
    const store = new MemoryStore({ ...limits, bytesMax: bytes(4_000_000), objectBytesMax: bytes(1_000_000) })
    return sizes.map((size, i) => {
      const one = write(store, storedOf({ uri: 'http://a/1', request: [`Foo: ${i}`], contentLength: size, response: ['Cache-Control: max-age=60', 'Vary: Foo'] }), Buffer.alloc(size), fieldsOf(`Foo: ${i}`))
      if (one === null) throw new Error('not stored')
      return one
    })
  }
  const adopted = (sizes: readonly number[]) => new MemoryStore(limits).adopt(key, below(sizes))
  expect([adopted([20_000]), adopted([20_001]), adopted([20_000, 20_000]), adopted([20_000, 20_000, 20_000])]).toEqual([true, false, true, false])
})

test('a validation leaves a key the uses it has had', () => {
  const store = new MemoryStore(usualLimits, 'lfuda')
  const stored = write(store, response('http://a/1'), Buffer.from('x'))
  if (stored === null) throw new Error('not stored')
  for (let i = 0; i < 5; i++) store.lookup(stored.key)
  const before = store.usesOf(stored.key)
  const update = { fields: fieldsOf(), requestTime: at(20), responseTime: at(20) }
  store.replace(stored, freshened(stored, update, nobody, defaultPolicy))
  expect([before >= 6, store.usesOf(stored.key) >= before]).toEqual([true, true])
})

test('what comes up from below makes room before it is there', () => {
  const limits = { bytesMax: bytes(50_000), objectBytesMax: bytes(20_000), variantsMax: 4 }
  const below = new MemoryStore(usualLimits)
  const store = new MemoryStore(limits)
  for (let i = 0; i < 10; i++) {
    const one = write(below, response(`http://a/${i}`), Buffer.alloc(10_000))
    if (one === null) throw new Error('not stored')
    expect(store.adopt(one.key, [one])).toBe(true)
    expect(store.bytes).toBeLessThanOrEqual(limits.bytesMax)
    expect(store.peek(one.key)).toEqual([one])
  }
})

test('heads alone may have half of the store, too: beyond that what comes is not stored', () => {
  const limits = { bytesMax: bytes(100_000), objectBytesMax: bytes(20_000), variantsMax: 4 }
  const store = new MemoryStore(limits)
  let opened = 0
  while (opened < 1000 && store.open(response(`http://a/${opened}`), nobody).ok) opened++
  expect(store.open(response('http://a/x'), nobody)).toEqual({ ok: false, reason: 'busy' })
  expect(store.bytes).toBeLessThanOrEqual(limits.bytesMax / 2)
})

test('a walk meets what is stored anew under a number it is past', () => {
  const store = new MemoryStore(usualLimits)
  const all = Array.from({ length: 20 }, (_, i) => write(store, response(`http://a/${i}`), Buffer.from('x')))
  const walk = store.walk({ tag: null, selects: () => true })
  const met = new Set(walk.next(10))
  // the first number that is free is given to the last that was removed
  const [early, late] = [all[3], all[15]]
  if (early === null || early === undefined || late === null || late === undefined) throw new Error('not stored')
  store.remove(late)
  store.remove(early)
  store.put(late, nobody)
  for (let keys = walk.next(10); keys !== null; keys = walk.next(10)) for (const key of keys) met.add(key)
  expect(met.has(late.key)).toBe(true)
  expect(met.size).toBe(20)
})
