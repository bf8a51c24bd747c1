import { expect, test } from 'vitest'
import {
  addConditions, afterHead, defaultPolicy, flag, freshened, isConditional, keepFreshened, mayStayStored, MemoryStore, namedBy304, reuse,
  type StoredResponse, type Update, validationOf,
} from '../../src/cache/index.ts'
import { completed } from '../../src/cache/admit.ts'
import { staleWhileRevalidateOf } from '../../src/cache/freshness.ts'
import { usualLimits, write } from '../contract/store.ts'
import { at, dateAt, fieldsOf, policyOf, ruled, storedOf } from './kit.ts'

// Guards RFC 9111 4.3: asking the origin, and what a 304 or a HEAD makes of stored responses. Sees it in the fields of
// the request, and in the stored head and its freshness afterwards.

const body = Buffer.from('hello')
const storedWith = (...response: readonly string[]): StoredResponse => {
  const stored = storedOf({ response: ['Content-Length: 5', ...response], contentLength: 5 })
  return completed(stored, [body], 5)
}
const modified = `Last-Modified: ${dateAt(-100)}`
const nobody = fieldsOf()

/** A 304 or HEAD response that came `s` seconds after t0. */
const updateAt = (s: number, ...lines: readonly string[]): Update => ({
  fields: fieldsOf(...lines),
  requestTime: at(s),
  responseTime: at(s),
})

// --- asking ---

test('both validators are sent, the date as it was spelled', () => {
  const stored = storedWith('Cache-Control: max-age=1', 'ETag: W/"a"', 'Last-Modified: Saturday, 15-Jun-30 11:00:00 GMT')
  const validation = validationOf(stored, [stored], nobody)
  expect(validation).toMatchObject({ ifNoneMatch: 'W/"a"', ifModifiedSince: 'Saturday, 15-Jun-30 11:00:00 GMT' })
})

test('without a validator there is nothing to ask with', () => {
  const stored = storedWith('Cache-Control: max-age=1')
  expect(isConditional(validationOf(stored, [stored], nobody))).toBe(false)
})

test('where no variant fits, the strong tags of all are offered, and no date', () => {
  const one = storedWith('Cache-Control: max-age=1', 'Vary: Foo', 'ETag: "a"', modified)
  const two = storedWith('Cache-Control: max-age=1', 'Vary: Foo', 'ETag: W/"b"')
  const three = storedWith('Cache-Control: max-age=1', 'Vary: Foo')
  const four = storedWith('Cache-Control: max-age=1', 'Vary: Foo', 'ETag: "d"')
  const validation = validationOf(null, [one, two, three, four], nobody)
  expect(validation).toMatchObject({ ifNoneMatch: '"a", "d"', ifModifiedSince: null, candidates: [one, four] })
})

test('neither the tag of a part is offered, nor more than 32', () => {
  const part = storedOf({ status: 206, contentLength: 2, response: ['Cache-Control: max-age=1', 'Vary: Foo', 'ETag: "p"', 'Content-Range: bytes 0-1/9'] })
  const many = Array.from({ length: 33 }, (_, i) => storedWith('Cache-Control: max-age=1', 'Vary: Foo', `ETag: "${i}"`))
  const validation = validationOf(null, [part, ...many], nobody)
  expect(validation.ifNoneMatch?.split(', ')).toEqual(Array.from({ length: 32 }, (_, i) => `"${i}"`))
  expect(validation.candidates).toEqual(many.slice(0, 32))
})

test.each<[string | null, string]>([
  [null, '"b"'],
  ['gzip', '"a", "b"'],
  ['br, GZIP;q=0.5', '"a", "b"'],
  ['br, gzip;q=0', '"b"'],
  ['br, gzip; q=0.000', '"b"'],
  ['br', '"b"'],
  ['*', '"a", "b"'],
  ['identity', '"b"'],
])('what is packed is not offered to those who cannot unpack it: Accept-Encoding: %s', (accepted, tags) => {
  const packed = storedWith('Cache-Control: max-age=1', 'Vary: Accept-Encoding', 'ETag: "a"', 'Content-Encoding: gzip')
  const plain = storedWith('Cache-Control: max-age=1', 'Vary: Accept-Encoding', 'ETag: "b"')
  const request = accepted === null ? nobody : fieldsOf(`Accept-Encoding: ${accepted}`)
  expect(validationOf(null, [packed, plain], request).ifNoneMatch).toBe(tags)
})

test('our conditions take the place of the client’s, and it is asked for the whole', () => {
  const stored = storedWith('Cache-Control: max-age=1', 'ETag: "a"')
  const fields = fieldsOf('Foo: 1', 'If-None-Match: "mine"', `If-Modified-Since: ${dateAt(0)}`, 'Range: bytes=0-1', 'If-Range: "x"')
  addConditions(fields, validationOf(stored, [stored], nobody))
  expect(fields.pairs).toEqual(['Foo', '1', 'If-None-Match', '"a"'])
})

// --- which one a 304 is about ---

const tagged = storedWith('Cache-Control: max-age=1', 'ETag: "a"', modified)
const weak = storedWith('Cache-Control: max-age=1', 'ETag: W/"a"')
const dated = storedWith('Cache-Control: max-age=1', modified)
const second = storedWith('Cache-Control: max-age=1', 'Vary: Foo', 'ETag: "b"')

test.each<[string, StoredResponse | null, StoredResponse[], string[], string, StoredResponse | null]>([
  ['its tag', tagged, [tagged], ['ETag: "a"'], 'named', tagged],
  ['a weak tag with the same opaque part', tagged, [tagged], ['ETag: W/"a"'], 'named', tagged],
  ['a strong tag where we have a weak one', weak, [weak], ['ETag: "a"'], 'named', weak],
  ['another tag', tagged, [tagged], ['ETag: "z"'], 'other-validator', null],
  ['a tag where we have none', dated, [dated], ['ETag: "a"', modified], 'other-validator', null],
  ['its date', dated, [dated], [modified], 'named', dated],
  ['another date', dated, [dated], [`Last-Modified: ${dateAt(-99)}`], 'other-validator', null],
  ['nothing, and only one was asked about', tagged, [tagged], [], 'only-one', tagged],
  ['nothing, and several were asked about', null, [tagged, second], [], 'ambiguous', null],
  ['one of several by its tag', null, [tagged, second], ['ETag: "b"'], 'named', second],
])('a 304 that names %s', (_, chosen, variants, lines, reason, found) => {
  const answer = namedBy304(validationOf(chosen, variants, nobody), updateAt(5, ...lines))
  expect(answer.reason).toBe(reason)
  expect(answer.kind === 'update' ? answer.stored : null).toBe(found)
})

// --- what it changes ---

test('a 304 extends freshness from its own arrival and keeps the content', () => {
  const stored = storedWith('Cache-Control: max-age=10', 'ETag: "a"')
  const after = freshened(stored, updateAt(60, `Date: ${dateAt(60)}`, 'ETag: "a"'), nobody, defaultPolicy)
  expect(reuse(after, null, defaultPolicy, at(69)).kind).toBe('fresh')
  expect(reuse(after, null, defaultPolicy, at(70)).kind).toBe('validate')
  expect(after.body).toBe(stored.body)
  expect(after.ageField(at(65))).toBe(5)
  expect(reuse(stored, null, defaultPolicy, at(60)).kind).toBe('validate') // the old one has not changed
})

test('fields of the 304 replace all lines of the same name, others stay, new ones are added', () => {
  const stored = storedWith('Cache-Control: max-age=1', 'A: 1', 'B: 1', 'A: 2', 'ETag: "a"')
  const update = updateAt(5, `Date: ${dateAt(5)}`, 'Cache-Control: max-age=99', 'a: 3', 'a: 4', 'New: n', 'ETag: "a"')
  const after = freshened(stored, update, nobody, defaultPolicy)
  expect(after.head).toBe(
    `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=99\r\na: 3\r\nB: 1\r\nETag: "a"\r\n` +
      `Date: ${dateAt(5)}\r\na: 4\r\nNew: n\r\n`,
  )
  expect(reuse(after, null, defaultPolicy, at(5 + 98)).kind).toBe('fresh')
})

test.each([
  'Content-Length: 9', 'Content-Encoding: gzip', 'Content-Range: bytes 0-1/2', 'Connection: x', 'Keep-Alive: x',
  'Transfer-Encoding: chunked', 'Upgrade: x', 'Proxy-Authenticate: x', 'TE: x', 'Trailer: x', 'Age: 7', 'Set-Cookie: a=b',
])('%s of a 304 is not taken over', line => {
  const stored = storedWith('Cache-Control: max-age=1', 'ETag: "a"')
  const after = freshened(stored, updateAt(5, `Date: ${dateAt(5)}`, 'ETag: "a"', line), nobody, defaultPolicy)
  expect(after.head).toBe(
    `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=1\r\nETag: "a"\r\nDate: ${dateAt(5)}\r\n`,
  )
})

test.each(['Content-Type: text/x', 'Content-Location: /y', 'Content-MD5: x', 'Expires: 0', 'X-Frame-Options: deny'])(
  '%s of a 304 is taken over', line => {
    const stored = storedWith('Cache-Control: max-age=1', 'ETag: "a"')
    const after = freshened(stored, updateAt(5, 'ETag: "a"', line), nobody, defaultPolicy)
    expect(after.head).toContain(`${line}\r\n`)
  },
)

test('Set-Cookie of a 304 is taken over where it is replayed', () => {
  const stored = storedWith('Cache-Control: max-age=1', 'ETag: "a"')
  const after = freshened(stored, updateAt(5, 'Set-Cookie: a=c'), nobody, policyOf({ setCookie: 'replay' }))
  expect(after.head).toContain('Set-Cookie: a=c\r\n')
})

test('a 304 without Date is dated by its arrival, and Age counts', () => {
  const stored = storedWith('Cache-Control: max-age=10', 'ETag: "a"')
  const after = freshened(stored, updateAt(60, 'Age: 3'), nobody, defaultPolicy)
  expect(after.head).toContain(`Date: ${dateAt(60)}\r\n`)
  expect(after.ageField(at(60))).toBe(3)
})

test('a 304 that says no-store or private ends the storing, unless its refresh_pattern says otherwise', () => {
  const stored = storedWith('Cache-Control: max-age=1', 'ETag: "a"')
  const noStore = freshened(stored, updateAt(5, 'Cache-Control: no-store'), nobody, defaultPolicy)
  const secret = freshened(stored, updateAt(5, 'Cache-Control: private'), nobody, defaultPolicy)
  expect([stored, noStore, secret].map(one => mayStayStored(one, defaultPolicy))).toEqual([true, false, false])
  const policy = ruled(0, 20, 99, { ignoreNoStore: true, ignorePrivate: true })
  expect([noStore, secret].map(one => mayStayStored(one, policy))).toEqual([true, true])
})

test('a 304 that brings another Vary decides anew for whom it is', () => {
  const stored = storedWith('Cache-Control: max-age=10', 'ETag: "a"')
  const after = freshened(stored, updateAt(5, 'ETag: "a"', 'Vary: Foo'), fieldsOf('Foo: 1'), defaultPolicy)
  expect(after.selecting).toEqual({ names: ['foo'], received: ['1'], normalised: ['1'] })
  const never = freshened(stored, updateAt(5, 'ETag: "a"', 'Vary: *'), fieldsOf('Foo: 1'), defaultPolicy)
  expect(mayStayStored(never, defaultPolicy)).toBe(false)
})

test('a variant chosen by its tag is for the new request from then on', () => {
  const stored = storedOf({ request: ['Foo: 1'], response: ['Cache-Control: max-age=10', 'Vary: Foo', 'ETag: "a"'] })
  const same = freshened(stored, updateAt(5, 'ETag: "a"'), fieldsOf('Foo: 1'), defaultPolicy)
  expect(same.selecting).toBe(stored.selecting)
  const other = freshened(stored, updateAt(5, 'ETag: "a"'), fieldsOf('Foo: 2'), defaultPolicy)
  expect(other.selecting?.received).toEqual(['2'])
})

test('what was outdated is not so after a 304', () => {
  const stored = afterHead(storedWith('Cache-Control: max-age=10', 'ETag: "a"'), nobody, updateAt(1, 'ETag: "b"'), defaultPolicy)
  expect(stored.has(flag.outdated)).toBe(true)
  expect(freshened(stored, updateAt(2, 'ETag: "a"'), nobody, defaultPolicy).has(flag.outdated)).toBe(false)
})

test('what a 304 has brought up to date is judged at once', () => {
  const stored = storedWith('Cache-Control: max-age=10', 'ETag: "a"')
  expect(freshened(stored, updateAt(60, 'ETag: "a"'), nobody, defaultPolicy).freshUntil).toBe(at(70))
})

test('tags stay where a 304 says none, and go with those it says', () => {
  const stored = storedWith('Cache-Control: max-age=10', 'ETag: "a"', 'Cache-Tag: one, two')
  expect(freshened(stored, updateAt(5, 'ETag: "a"'), nobody, defaultPolicy).tags).toEqual(['one', 'two'])
  expect(freshened(stored, updateAt(5, 'ETag: "a"', 'Cache-Tag: three'), nobody, defaultPolicy).tags).toEqual(['three'])
})

test('what a HEAD has stored keeps its length, and stays what a HEAD has stored', () => {
  const stored = storedOf({ method: 'HEAD', response: ['Cache-Control: max-age=10', 'ETag: "a"', 'Content-Length: 5'] })
  const after = freshened(stored, updateAt(5, 'ETag: "a"', 'Content-Length: 9'), nobody, defaultPolicy)
  expect([after.has(flag.headOnly), after.fields().get('content-length')]).toEqual([true, '5'])
})

test('must-understand goes on overruling no-store after a 304', () => {
  const stored = storedWith('Cache-Control: max-age=10, must-understand, no-store', 'ETag: "a"')
  const after = freshened(stored, updateAt(5, 'ETag: "a"'), nobody, defaultPolicy)
  expect([stored, after].map(one => mayStayStored(one, defaultPolicy))).toEqual([true, true])
})

test('a variant that was invalidated while it was validated for another request does not come back', () => {
  const store = new MemoryStore(usualLimits)
  const first = write(store, storedOf({ request: ['Foo: 1'], response: ['Cache-Control: max-age=10', 'Vary: Foo', 'ETag: "a"'] }), body, fieldsOf('Foo: 1'))
  if (first === null) throw new Error('it is not stored')
  const asked = fieldsOf('Foo: 2')
  const after = freshened(first, updateAt(5, 'ETag: "a"'), asked, defaultPolicy)
  store.invalidate(first.key)
  // something else has been stored meanwhile
  write(store, storedOf({ request: ['Foo: 3'], response: ['Cache-Control: max-age=10', 'Vary: Foo'] }), body, fieldsOf('Foo: 3'))
  expect(keepFreshened(store, first, after, asked, defaultPolicy)).toBe(false)
  expect(store.peek(first.key)?.map(one => one.selecting?.received)).toEqual([['3']])
})

// --- HEAD ---

test('what is outdated has no freshness left, for whatever purpose', () => {
  const stored = afterHead(storedWith('Cache-Control: max-age=10, stale-while-revalidate=50', 'ETag: "a"'), nobody, updateAt(3, 'ETag: "b"'), defaultPolicy)
  expect(stored.lifetime).toBe(3000)
  reuse(stored, null, defaultPolicy, at(3)) // judges it
  expect([stored.hitUntil, staleWhileRevalidateOf(stored)]).toEqual([0, 0])
})


test.each<[string, string[], boolean]>([
  ['the same tag', ['ETag: "a"'], true],
  ['another tag', ['ETag: "b"'], false],
  ['a weak tag for a strong one', ['ETag: W/"a"'], false],
  ['the same date', [modified], true],
  ['another date', [`Last-Modified: ${dateAt(-99)}`], false],
  ['the same length', ['Content-Length: 5'], true],
  ['another length', ['Content-Length: 6'], false],
  ['nothing to compare', [], true],
  ['one of two that differs', ['ETag: "a"', 'Content-Length: 6'], false],
])('HEAD with %s', (_, lines, agrees) => {
  const stored = storedWith('Cache-Control: max-age=10', 'ETag: "a"', modified, 'A: 1')
  const after = afterHead(stored, nobody, updateAt(60, 'A: 2', 'Cache-Control: max-age=100', ...lines), defaultPolicy)
  if (agrees) {
    expect(after.head).toContain('A: 2\r\n')
    expect(reuse(after, null, defaultPolicy, at(159)).kind).toBe('fresh')
    expect(after.contentLength).toBe(5)
  } else {
    expect(after.head).toBe(stored.head)
    expect(reuse(after, null, defaultPolicy, at(60)).reason).toBe('outdated')
  }
  expect(after.body).toBe(stored.body)
})

test('HEAD says nothing about a variant it could not have been answered with', () => {
  const stored = storedOf({ request: ['Foo: 1'], response: ['Cache-Control: max-age=10', 'Vary: Foo', 'ETag: "a"'] })
  expect(afterHead(stored, fieldsOf('Foo: 2'), updateAt(1, 'ETag: "b"'), defaultPolicy)).toBe(stored)
})
