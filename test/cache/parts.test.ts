import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  brokenOff, type ContentSource, continues, fieldsTogether, PartialResponse, rangeOfPart, SplicedContent, type StoredResponse,
  StoredResponse as Stored, strongValidatorOf, takesPlaceOf,
} from '../../src/cache/index.ts'
import { admission, type Case, dateAt, fieldsOf, policyOf, storedOf } from './kit.ts'

// Guards RFC 9111 3.3 and 3.4: what a part is, which belong together, what is missing between them. Sees it in the rules
// alone; that no byte goes wrong on the wire is for test/scenario/rfc9111-parts.test.ts.

const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i & 255))
const nobody = fieldsOf()

const partOf = (first: number, last: number, more: Case = {}, length: number | string = content.length): Case => ({
  ...more,
  status: 206,
  contentLength: last - first + 1,
  response: ['Cache-Control: max-age=60', `Content-Range: bytes ${first}-${last}/${length}`, ...(more.response ?? ['ETag: "a"'])],
})

/** Stored, with its content. */
const part = (first: number, last: number, more: Case = {}): StoredResponse =>
  new Stored(storedOf(partOf(first, last, more)), [content.subarray(first, last + 1)])

test.each<[string, Case, string]>([
  ['one range of a known length', partOf(2, 5), 'explicit'],
  ['no length of its own, since it comes in chunks', { ...partOf(2, 5), contentLength: -1 }, 'explicit'],
  ['all of it', partOf(0, 999), 'explicit'],
  ['a length nobody knows', partOf(2, 5, {}, '*'), 'partial'],
  ['a range beyond its length', partOf(2, 5, {}, 5), 'partial'],
  ['another unit', { status: 206, response: ['Cache-Control: max-age=60', 'Content-Range: lines 2-5/10'] }, 'partial'],
  ['two ranges', partOf(2, 5, { response: ['Content-Range: bytes 6-7/1000'] }), 'partial'],
  ['a byte too many', { ...partOf(2, 5), contentLength: 5 }, 'partial-length'],
  ['a byte too few', { ...partOf(2, 5), contentLength: 3 }, 'partial-length'],
  ['an answer to If-Range', partOf(2, 5, { request: ['If-Range: "a"'] }), 'partial-if-range'],
  ['of another method', partOf(2, 5, { method: 'HEAD' }), 'partial'],
  ['no-store', partOf(2, 5, { response: ['Cache-Control: no-store'] }), 'no-store'],
  ['412', { status: 412, response: ['Cache-Control: max-age=60'] }, 'of-request'],
  ['416', { status: 416, response: ['Cache-Control: max-age=60', 'Content-Range: bytes */10'] }, 'of-request'],
])('%s: %#', (_, c, reason) => {
  expect(admission(c).reason).toBe(reason)
})

test('a 206 that has all bytes is a 200', () => {
  const stored = storedOf(partOf(0, 999))
  expect([stored.status, stored.contentLength, rangeOfPart(stored)]).toEqual([200, 1000, null])
  expect(stored.head).toMatch(/^HTTP\/1.1 200 OK\r\n/)
  expect(stored.head).not.toContain('Content-Range')
})

test.each<[string, string | null, readonly string[]]>([
  ['a strong tag', '"a"', ['ETag: "a"']],
  ['no weak one, be there a date', null, ['ETag: W/"a"', `Last-Modified: ${dateAt(-1000)}`]],
  ['a date a minute old', dateAt(-60), [`Last-Modified: ${dateAt(-60)}`]],
  ['no date of the last minute', null, [`Last-Modified: ${dateAt(-59)}`]],
  ['nothing', null, []],
])('what tells two contents apart for sure: %s', (_, validator, response) => {
  expect(strongValidatorOf(storedOf(partOf(0, 9, { response })))).toBe(validator)
})

const weak: Case = { response: ['ETag: W/"a"'] }
const other: Case = { response: ['ETag: "b"'] }
const dated = (s: number): Case => ({ response: [`Last-Modified: ${dateAt(s)}`] })
const varying = (foo: string): Case => ({ request: [`Foo: ${foo}`], response: ['ETag: "a"', 'Vary: Foo'] })
const whole = (tag: string): StoredResponse => storedOf({ response: ['Cache-Control: max-age=60', `ETag: ${tag}`], contentLength: 1000 })

test.each<[string, boolean, StoredResponse, StoredResponse]>([
  ['a part, one within it', true, part(0, 9), part(2, 5)],
  ['a part, the same', true, part(0, 9), part(0, 9)],
  ['a part, one that overlaps', false, part(0, 9), part(5, 10)],
  ['a part, one that touches', false, part(0, 9), part(10, 12)],
  ['a part, one around it', false, part(2, 5), part(0, 9)],
  ['a part, one of another tag', true, part(0, 9, other), part(20, 30)],
  ['a part, one of a weak tag', true, part(0, 9, weak), part(20, 30, weak)],
  ['a part, one of the same old date', false, part(0, 9, dated(-99)), part(20, 30, dated(-99))],
  ['a part, one of the same new date', true, part(0, 9, dated(-9)), part(20, 30, dated(-9))],
  ['a part, one of another date', true, part(0, 9, dated(-99)), part(20, 30, dated(-98))],
  ['a part, one of the same tag and another length', true, part(0, 9), new Stored(storedOf(partOf(20, 30, {}, 999)), [])],
  ['a part, another variant', false, part(0, 9, varying('1')), part(2, 5, varying('2'))],
  ['a part, the whole it is of', false, part(0, 9), whole('"a"')],
  ['a part, the whole of something else', true, part(0, 9), whole('"b"')],
  ['the whole, its parts', true, whole('"a"'), part(0, 9)],
  ['the whole, parts of something else', true, whole('"a"'), part(0, 9, other)],
])('%s: takes its place %s', (_, takes, by, stored) => {
  expect(takesPlaceOf(by, stored, fieldsOf('Foo: 1'))).toBe(takes)
})

test.each<[string, [number, number] | null, Case, number]>([
  ['a 200 with length and tag', [0, 6], { contentLength: 10, response: ['ETag: "a"'] }, 7],
  ['with all bytes', [0, 9], { contentLength: 10, response: ['ETag: "a"'] }, 10],
  ['with more than all', null, { contentLength: 10, response: ['ETag: "a"'] }, 11],
  ['with no byte', null, { contentLength: 10, response: ['ETag: "a"'] }, 0],
  ['without length', null, { response: ['ETag: "a"'] }, 7],
  ['without tag', null, { contentLength: 10 }, 7],
  ['with a weak tag', null, { contentLength: 10, response: ['ETag: W/"a"'] }, 7],
  ['an error', null, { status: 404, contentLength: 10, response: ['ETag: "a"'] }, 7],
  ['a part', [20, 26], partOf(20, 99), 7],
])('%s that breaks off is the part %s', (_, range, c, bytes) => {
  const broken = brokenOff(storedOf({ ...c, response: ['Cache-Control: max-age=60', ...(c.response ?? [])] }), bytes)
  expect(broken === null).toBe(range === null)
  const place = broken === null ? null : rangeOfPart(broken)
  expect(place === null ? null : [place.first, place.last]).toEqual(range)
  expect(broken?.contentLength ?? bytes).toBe(bytes)
})

test.each<[string, boolean, readonly string[]]>([
  ['exactly', true, ['ETag: "a"', 'Content-Range: bytes 10-19/1000', 'Content-Length: 10']],
  ['in chunks', true, ['ETag: "a"', 'Content-Range: bytes 10-19/1000']],
  ['of another length', false, ['ETag: "a"', 'Content-Range: bytes 10-19/1001']],
  ['of a length it does not know', false, ['ETag: "a"', 'Content-Range: bytes 10-19/*']],
  ['a byte late', false, ['ETag: "a"', 'Content-Range: bytes 11-19/1000']],
  ['less', false, ['ETag: "a"', 'Content-Range: bytes 10-18/1000']],
  ['with another tag', false, ['ETag: "b"', 'Content-Range: bytes 10-19/1000']],
  ['without a tag', false, ['Content-Range: bytes 10-19/1000']],
  ['with a length that is not that', false, ['ETag: "a"', 'Content-Range: bytes 10-19/1000', 'Content-Length: 9']],
])('a 206 that continues what is stored %s: %s', (_, yes, lines) => {
  expect(continues(part(0, 9), { first: 10, last: 19, length: 1000 }, fieldsOf(...lines))).toBe(yes)
})

test.each<[string, boolean, readonly string[]]>([
  ['with its date', true, [`Last-Modified: ${dateAt(-99)}`]],
  ['without a date', true, []],
  ['with another date', false, [`Last-Modified: ${dateAt(-98)}`]],
])('a 206 that continues what has no tag, %s: %s', (_, yes, lines) => {
  const stored = part(0, 9, dated(-99))
  expect(continues(stored, { first: 10, last: 19, length: 1000 }, fieldsOf('Content-Range: bytes 10-19/1000', ...lines))).toBe(yes)
})

test('put together, the fields of the new one count, but for what describes bytes', () => {
  const stored = part(0, 9, { response: ['ETag: "a"', 'X-A: old', 'X-B: old', 'Content-Encoding: gzip', 'Content-Type: text/plain'] })
  const came = fieldsOf('X-A: new', 'X-A: newer', 'Content-Range: bytes 10-19/1000', 'Content-Length: 10', 'Content-Encoding: br', 'Age: 3', 'Connection: X-Hop', 'X-Hop: 1')
  const fields = fieldsTogether(stored, came, null, 1000)
  expect([fields.all('x-a'), fields.get('x-b'), fields.get('content-encoding'), fields.get('content-type')]).toEqual([['new', 'newer'], 'old', 'gzip', 'text/plain'])
  expect([fields.get('content-length'), fields.get('content-range'), fields.get('age'), fields.has('x-hop'), fields.has('date')]).toEqual(['1000', undefined, '3', false, false])
  const ranged = fieldsTogether(stored, came, { first: 0, last: 19, length: 1000 }, 1000)
  expect([ranged.get('content-length'), ranged.get('content-range')]).toEqual(['20', 'bytes 0-19/1000'])
})

/** What a source gives, a few bytes at a time. */
const slow = (bytes: Buffer): ContentSource => ({
  open: () =>
    Promise.resolve({
      read: (at, into) => Promise.resolve(bytes.copy(into, 0, at, at + into.length)),
      close: () => {},
    }),
})

test('of any parts, what is said to be there is there, and what is said to be missing is not', async () => {
  const ranges = fc.array(fc.tuple(fc.nat(999), fc.nat(300)), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(ranges, fc.nat(999), fc.nat(999), async (pairs, a, b) => {
      const has = new Set<number>()
      const parts = pairs.map(([first, more], i) => {
        const last = Math.min(999, first + more)
        for (let at = first; at <= last; at++) has.add(at)
        const made = part(first, last)
        return i % 2 === 0 || made.status === 200 ? made : new Stored(made, [], slow(content.subarray(first, last + 1)))
      }).filter(made => made.status === 206)
      if (parts.length < pairs.length) return
      const partial = PartialResponse.of(parts, nobody)
      if (partial === null) throw new Error('there are parts')
      const wanted = { first: Math.min(a, b), last: Math.max(a, b) }
      const lacking = Array.from({ length: wanted.last - wanted.first + 1 }, (_, i) => wanted.first + i).filter(at => !has.has(at))
      const missing = partial.missing(wanted)
      expect(missing).toEqual(lacking.length === 0 ? null : { first: lacking[0], last: lacking.at(-1) })
      const reader = await partial.whole.content?.open()
      const into = Buffer.alloc(wanted.last - wanted.first + 1)
      const count = (await reader?.read(wanted.first, into)) ?? -1
      reader?.close()
      const run = lacking.length === 0 ? into.length : (lacking[0] ?? 0) - wanted.first
      expect(Math.max(0, count)).toBe(run)
      expect(into.subarray(0, run).equals(content.subarray(wanted.first, wanted.first + run))).toBe(true)
      const around = partial.runAround(parts[0] === undefined ? 0 : (rangeOfPart(parts[0])?.first ?? 0))
      for (let at = around.first; at <= around.last; at++) expect(has.has(at)).toBe(true)
      expect([has.has(around.first - 1), has.has(around.last + 1)]).toEqual([false, false])
    }),
    { numRuns: 300 },
  )
})

test('parts of another representation, or of another variant, are not put together', () => {
  const partial = PartialResponse.of([part(0, 9), part(10, 19, other), part(10, 19, varying('2')), part(20, 29)], fieldsOf('Foo: 1'))
  expect(partial?.parts.map(({ first }) => first)).toEqual([0, 20])
  expect(PartialResponse.of([whole('"a"')], nobody)).toBe(null)
})

test('content in several places ends where the last ends, and cannot be read where it is not', async () => {
  const spliced = new SplicedContent([
    { at: 0, length: 3, from: 1, body: [Buffer.from('xab'), Buffer.from('cx')], content: null },
    { at: 3, length: 2, from: 1, body: [], content: slow(Buffer.from('xdex')) },
    { at: 7, length: 1, from: 0, body: [Buffer.from('h')], content: null },
  ])
  const reader = await spliced.open()
  const read = async (at: number, size: number) => {
    const into = Buffer.alloc(size)
    const count = (await reader?.read(at, into)) ?? -1
    return count < 0 ? count : into.toString('latin1', 0, count)
  }
  expect(await Promise.all([read(0, 5), read(2, 2), read(0, 10), read(5, 1), read(7, 10), read(8, 10)])).toEqual(['abcde', 'cd', 'abcde', -1, 'h', ''])
  reader?.close()
  expect(await read(0, 1)).toBe(-1)
})

test('tags that are kept beside the fields are those of what is put together, too', () => {
  const policy = policyOf({ tags: 'strip' })
  const stored = storedOf(partOf(0, 9, { response: ['ETag: "a"', 'Cache-Tag: red, blue'] }), policy)
  expect([stored.tags, stored.head.includes('Cache-Tag')]).toEqual([['red', 'blue'], false])
  expect(fieldsTogether(stored, fieldsOf('ETag: "a"'), null, 1000).get('cache-tag')).toBe('red, blue')
  expect(PartialResponse.of([stored], nobody)?.whole.tags).toEqual(['red', 'blue'])
})
