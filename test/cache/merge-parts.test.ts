import { expect, test } from 'vitest'
import { bytes, type FieldView } from '../../src/base/index.ts'
import {
  cacheKey, type ContentSource, type MemoryStore as Memory, MemoryStore, mergeParts, rangeOfPart, type Store, StoredResponse, type Variants,
} from '../../src/cache/index.ts'
import { fieldsOf, storedOf } from './kit.ts'

// Guards how parts become fewer: that a file in a thousand pieces is a few parts at any time, that what is copied is
// copied a few times, and that no byte is lost on the way. The store keeps content as a disk would: elsewhere.

const nobody: FieldView = fieldsOf()
const pieces = 1000
const size = 100
const content = Buffer.from(Array.from({ length: pieces * size }, (_, i) => (i * 7 + (i >> 8)) & 255))

const elsewhere = (stored: Buffer): ContentSource => ({
  open: () => Promise.resolve({ read: (at, into) => Promise.resolve(stored.copy(into, 0, at, at + into.length)), close: () => {} }),
})

/** A memory store whose content seems to lie in files. `written`: bytes it was given. */
const filing = (memory: Memory): Store & { written: number } => {
  const seen = new Map<StoredResponse, StoredResponse>()
  const there = (stored: StoredResponse): StoredResponse => {
    const known = seen.get(stored)
    if (known !== undefined) return known
    const made = new StoredResponse(stored, [], elsewhere(Buffer.concat(stored.body)))
    seen.set(stored, made)
    return made
  }
  const proxy = {
    written: 0,
    peek: (key: StoredResponse['key']): Variants | null => memory.peek(key)?.map(there) ?? null,
    open: (response: StoredResponse, request: FieldView) => {
      const opened = memory.open(response, request)
      if (!opened.ok) return opened
      const { writer } = opened
      const append = writer.append.bind(writer)
      writer.append = (chunk, kept) => {
        proxy.written += chunk.length
        return append(chunk, kept)
      }
      return opened
    },
  }
  return proxy as unknown as Store & { written: number } // mergeParts asks for no more of it
}

const inOrder = Array.from({ length: pieces }, (_, i) => i)

test.each([
  ['one after the other', inOrder, 16, 5],
  ['from the end', inOrder.toReversed(), 16, 5],
  ['by two readers', inOrder.map(i => (i % 2 === 0 ? i / 2 : pieces / 2 + (i - 1) / 2)), 32, 6],
])('a thousand pieces %s', async (_, order, partsMax, timesMax) => {
  const memory = new MemoryStore({ bytesMax: bytes(1e8), objectBytesMax: bytes(1e7), variantsMax: 1000 })
  const store = filing(memory)
  const key = cacheKey('GET', 'http://a.example/x')
  let most = 0
  for (const piece of order) {
    const first = piece * size
    const response = storedOf({
      status: 206, contentLength: size,
      response: ['Cache-Control: max-age=60', 'ETag: "a"', `Content-Range: bytes ${first}-${first + size - 1}/${content.length}`],
    })
    const opened = memory.open(response, nobody)
    if (!opened.ok) throw new Error(opened.reason)
    opened.writer.append(content.subarray(first, first + size))
    const stored = opened.writer.complete()
    if (stored === null) throw new Error('not stored')
    mergeParts(store, stored, nobody)
    await new Promise(setImmediate)
    most = Math.max(most, memory.peek(key)?.length ?? 0)
  }
  expect(most).toBeLessThanOrEqual(partsMax)
  expect(store.written).toBeLessThan(timesMax * content.length)
  const [whole, ...more] = memory.peek(key) ?? []
  expect([whole?.status, more]).toEqual([200, []])
  expect(whole !== undefined && rangeOfPart(whole)).toBe(null)
  expect(Buffer.concat(whole?.body ?? []).equals(content)).toBe(true)
})
