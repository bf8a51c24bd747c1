import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { admit, cacheKey, defaultPolicy, MemoryStore } from '../../src/cache/index.ts'
import { write } from '../contract/store.ts'
import { type Case, dateAt, exchangeOf, fieldsOf } from './kit.ts'

// Guards the promise that cache_mem is real: what the store says it holds is what the process grew by. Sees it in heap
// and buffers after a collection, with bounds wide enough for what V8 keeps in reserve.

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void // the function that flag defines

const used = (): number => {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage() // external includes the array buffers
  return heapUsed + external
}

const usual = [
  'Content-Type: text/html; charset=utf-8', 'Server: nginx/1.22.1', 'Cache-Control: max-age=3600', 'ETag: "65f1a2b3-4d2"',
  `Last-Modified: ${dateAt(-100000)}`, 'Accept-Ranges: bytes', 'X-Request-ID: 0123456789abcdef',
]

interface Shape {
  readonly name: string
  readonly count: number
  readonly size: number
  readonly path: (i: number) => string
  readonly request?: (i: number) => readonly string[]
  readonly more?: readonly string[]
}

const shapes: readonly Shape[] = [
  { name: 'small objects', count: 20_000, size: 1024, path: i => `/images/thumbnails/object-${i}.png` },
  { name: 'empty ones', count: 20_000, size: 0, path: i => `/r/${i}` },
  { name: 'large objects', count: 300, size: 100_000, path: i => `/video/segment-${i}.ts` },
  {
    name: 'variants', count: 5_000, size: 500, path: i => `/page/${i >> 2}`, more: ['Vary: Accept-Encoding, Accept-Language'],
    request: i => [`Accept-Encoding: gzip, deflate, br;q=0.${i & 3}`, 'Accept-Language: en-US, en;q=0.5'],
  },
  { name: 'long URLs', count: 5_000, size: 200, path: i => `/search?q=${'x'.repeat(500)}${i}` },
]

test.each(shapes)('$name: what the store counts is what the process grew by', ({ count, size, path, request, more }) => {
  const store = new MemoryStore({ bytesMax: bytes(1e9), objectBytesMax: bytes(1e6), variantsMax: 16 })
  const content = Buffer.alloc(size, 97)
  const fill = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const c: Case = { uri: `http://www.example.test${path(i)}`, request: request?.(i) ?? [], response: [...usual, ...(more ?? [])] }
      const exchange = exchangeOf(c)
      const answer = admit(exchange, cacheKey('GET', exchange.uri), defaultPolicy)
      if (answer.kind === 'no') throw new Error(answer.reason)
      if (write(store, answer.response, content, fieldsOf(...(c.request ?? []))) === null) throw new Error('not stored')
    }
  }
  fill(0, count >> 2) // the tables have grown once, the code is compiled
  const before = used()
  const said = store.bytes
  fill(count >> 2, count)
  const ratio = (used() - before) / (store.bytes - said)
  expect(store.count).toBe(count)
  if (process.env['SHOW_MEMORY'] !== undefined) console.log(((used() - before) / (count - (count >> 2))).toFixed(0), 'bytes each', ratio)
  expect(ratio).toBeGreaterThan(0.7)
  expect(ratio).toBeLessThan(1.2)
})

test('memory stays within the limit however much passes through', () => {
  const limit = 20_000_000
  const store = new MemoryStore({ bytesMax: bytes(limit), objectBytesMax: bytes(500_000), variantsMax: 16 })
  const before = used()
  let passed = 0
  for (let i = 0; i < 6_000; i++) {
    const size = (i * 7919) % 40_000
    const exchange = exchangeOf({ uri: `http://www.example.test/${i}`, response: usual })
    const answer = admit(exchange, cacheKey('GET', exchange.uri), defaultPolicy)
    if (answer.kind === 'no') throw new Error(answer.reason)
    const opened = store.open(answer.response, exchange.requestFields)
    if (!opened.ok) throw new Error(opened.reason)
    opened.writer.append(Buffer.alloc(size))
    if (i % 3 === 0) opened.writer.abandon()
    else if (opened.writer.complete() !== null) passed += size
  }
  expect(passed).toBeGreaterThan(3 * limit)
  expect(store.bytes).toBeLessThanOrEqual(limit)
  expect(store.bytes).toBeGreaterThan(limit * 0.9)
  expect(used() - before).toBeLessThan(limit * 1.3)
  store.clear()
  expect(used() - before).toBeLessThan(limit * 0.1)
})
