import { expect, test } from 'vitest'
import { cacheKey, keysOf, type StoreReason, storeReasons, unverifiedKey } from '../../src/cache/index.ts'
import { endpoint } from '../../src/base/index.ts'
import { admission, type Case, dateAt, policyOf, ruled } from './kit.ts'

// Guards RFC 9111 3: what may be stored and what is worth storing. Sees it in the reason of the answer, which names
// the first thing that stands in the way.

const tag = 'ETag: "a"'
const hour = 'Cache-Control: max-age=3600'
const expired = `Expires: ${dateAt(-1)}`
const day = `Last-Modified: ${dateAt(-86400)}`

const names = (count: number) => Array.from({ length: count }, (_, i) => `f${i}`).join(', ')

const cases: readonly (readonly [string, Case, StoreReason])[] = [
  ['max-age', { response: [hour] }, 'explicit'],
  ['Expires', { response: [`Expires: ${dateAt(1)}`] }, 'explicit'],
  ['Last-Modified alone', { response: [day] }, 'heuristic'],
  ['an entity tag alone: to be validated', { response: [tag] }, 'validator'],
  ['stale on arrival, with a tag', { response: [expired, tag] }, 'validator'],
  ['stale on arrival, with a date', { response: ['Cache-Control: max-age=0', day] }, 'validator'],
  ['stale on arrival by Age', { response: ['Cache-Control: max-age=10', 'Age: 10'] }, 'stale-without-validator'],
  ['last second of its life', { response: ['Cache-Control: max-age=10', 'Age: 9'] }, 'explicit'],
  ['stale on arrival, nothing to validate with', { response: [expired] }, 'stale-without-validator'],
  ['stale on arrival, usable while validated', { response: ['Cache-Control: max-age=0, stale-while-revalidate=9'] }, 'stale-window'],
  ['stale on arrival, usable if the origin fails', { response: ['Cache-Control: max-age=0, stale-if-error=9'] }, 'stale-window'],
  ['stale on arrival, and that window over too', { response: ['Cache-Control: max-age=0, stale-if-error=9', 'Age: 9'] }, 'stale-without-validator'],
  ['a window beside must-revalidate is none', { response: ['Cache-Control: max-age=0, must-revalidate, stale-if-error=9'] }, 'stale-without-validator'],
  ['nothing known at all', { response: [] }, 'stale-without-validator'],
  ['no-cache with a tag', { response: ['Cache-Control: no-cache, max-age=9', tag] }, 'validator'],
  ['no-cache without a validator', { response: ['Cache-Control: no-cache, max-age=9'] }, 'stale-without-validator'],
  ['a tag that cannot be read is none', { response: ['ETag: abc'] }, 'stale-without-validator'],
  ['a Last-Modified that is no date is none', { response: ['Last-Modified: yesterday'] }, 'stale-without-validator'],

  ['HEAD', { method: 'HEAD', response: [hour] }, 'explicit'],
  ['POST', { method: 'POST', response: [hour] }, 'method'],
  ['POST that names its own URI', { method: 'POST', response: [hour, 'Content-Location: /x'] }, 'explicit'],
  ['POST that names its own URI in full', { method: 'POST', response: [hour, 'Content-Location: http://A.example:80/x'] }, 'explicit'],
  ['POST that names another', { method: 'POST', response: [hour, 'Content-Location: /y'] }, 'method'],
  ['POST without explicit freshness', { method: 'POST', response: [day, 'Content-Location: /x'] }, 'no-freshness'],
  ['POST answered 201', { method: 'POST', status: 201, response: [hour, 'Content-Location: /x'] }, 'method'],
  ['PUT', { method: 'PUT', response: [hour, 'Content-Location: /x'] }, 'method'],
  ['methods are case-sensitive', { method: 'get', response: [hour] }, 'method'],
  ['OPTIONS', { method: 'OPTIONS', response: [hour] }, 'method'],

  ['cache deny', { denied: true, response: [hour] }, 'cache-deny'],
  ['an unverified Host', { unverified: true, response: [hour] }, 'host-unverified'],

  ['103', { status: 103, response: [hour] }, 'not-final'],
  ['206', { status: 206, response: [hour] }, 'partial'],
  ['304', { status: 304, response: [hour] }, 'not-modified'],
  ...[428, 429, 431, 511].map(status => [`${status}`, { status, response: [hour] }, 'status'] as const),
  ...[200, 203, 204, 299, 300, 301, 302, 303, 305, 307, 308, 400, 401, 403, 404, 405, 410, 414, 421, 451, 499, 500, 501, 502, 503, 504, 599]
    .map(status => [`${status} with explicit freshness`, { status, response: [hour] }, 'explicit'] as const),
  ...[200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501]
    .map(status => [`${status} by heuristic`, { status, response: [day] }, 'heuristic'] as const),
  ...[201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599]
    .map(status => [`${status} by heuristic: not allowed`, { status, response: [day, tag] }, 'no-freshness'] as const),
  ['599 by heuristic, public', { status: 599, response: [day, 'Cache-Control: public'] }, 'heuristic'],

  ['no-store', { response: ['Cache-Control: no-store'] }, 'no-store'],
  ['No-StOrE beside max-age', { response: ['Cache-Control: max-age=10000, No-StOrE'] }, 'no-store'],
  ['no-store in a second line', { response: [hour, 'Cache-Control: no-store'] }, 'no-store'],
  ['no-store inside a quoted string', { response: [`${hour}, x="no-store"`] }, 'explicit'],
  ['no-store in the request', { request: ['Cache-Control: no-store'], response: [hour] }, 'request-no-store'],
  ['Pragma: no-store in the request means nothing', { request: ['Pragma: no-store'], response: [hour] }, 'explicit'],
  ['Pragma: no-cache in the response means nothing', { response: [hour, 'Pragma: no-cache'] }, 'explicit'],
  ['private', { response: ['Cache-Control: private, max-age=9'] }, 'private'],
  ['private="field" is about the field', { response: ['Cache-Control: private="set-cookie", max-age=9'] }, 'explicit'],
  ['no-cache="field" is about the field', { response: ['Cache-Control: no-cache="set-cookie", max-age=9'] }, 'explicit'],
  ['must-understand with a known status overrules no-store', { response: ['Cache-Control: must-understand, no-store, max-age=9'] }, 'explicit'],
  ['must-understand with 418, which asks nothing of anybody', { status: 418, response: ['Cache-Control: must-understand, max-age=9'] }, 'must-understand'],
  ['must-understand with 417', { status: 417, response: ['Cache-Control: must-understand, max-age=9'] }, 'explicit'],
  ['must-understand with an unknown status', { status: 599, response: ['Cache-Control: must-understand, max-age=9'] }, 'must-understand'],

  ['Authorization', { request: ['Authorization: x'], response: [hour] }, 'authorization'],
  ['Authorization and public', { request: ['Authorization: x'], response: [`${hour}, public`] }, 'explicit'],
  ['Authorization and must-revalidate', { request: ['Authorization: x'], response: [`${hour}, must-revalidate`] }, 'explicit'],
  ['Authorization and s-maxage', { request: ['Authorization: x'], response: ['Cache-Control: s-maxage=9'] }, 'explicit'],
  ['Authorization and proxy-revalidate', { request: ['Authorization: x'], response: [`${hour}, proxy-revalidate`] }, 'authorization'],

  ['Vary: *', { response: [hour, 'Vary: *'] }, 'vary-star'],
  ['Vary: *, *', { response: [hour, 'Vary: *, *'] }, 'vary-star'],
  ['Vary: foo, *', { response: [hour, 'Vary: foo, *'] }, 'vary-star'],
  ['Vary: *, foo', { response: [hour, 'Vary: *, foo'] }, 'vary-star'],
  ['Vary: , *', { response: [hour, 'Vary: , *'] }, 'vary-star'],
  ['an empty Vary, then *', { response: [hour, 'Vary:', 'Vary: *'] }, 'vary-star'],
  ['Vary: Foo', { response: [hour, 'Vary: Foo'] }, 'explicit'],
  ['Vary with 32 names', { response: [hour, `Vary: ${names(32)}`] }, 'explicit'],
  ['Vary with 33 names', { response: [hour, `Vary: ${names(33)}`] }, 'vary-too-many'],
  ['Set-Cookie', { response: [hour, 'Set-Cookie: a=b'] }, 'explicit'],
  ['a stream of pictures', { response: [hour, 'Content-Type: multipart/X-Mixed-Replace; boundary=x'] }, 'endless'],
]

test.each(cases)('%s', (_, c, reason) => {
  const answer = admission(c)
  expect(answer.reason).toBe(reason)
  expect(answer.kind).toBe(storeReasons[reason].kind)
})

test.each<[string, Parameters<typeof ruled>[3], Case, StoreReason]>([
  ['ignore-no-store', { ignoreNoStore: true }, { response: [`${hour}, no-store`] }, 'explicit'],
  ['ignore-no-store, of the request', { ignoreNoStore: true }, { request: ['Cache-Control: no-store'], response: [hour] }, 'explicit'],
  ['ignore-private stores, to be validated', { ignorePrivate: true }, { response: [`${hour}, private`, tag] }, 'validator'],
  ['ignore-private does not help without a validator', { ignorePrivate: true }, { response: [`${hour}, private`] }, 'stale-without-validator'],
  ['store-stale', { storeStale: true }, { response: [expired] }, 'store-stale'],
  ['store-stale is for what is stale, not for what is forbidden', { storeStale: true }, { response: ['Cache-Control: no-store'] }, 'no-store'],
  ['a minimum makes the unknown fresh', {}, { response: [] }, 'heuristic'],
  ['override-expire makes the expired fresh', { overrideExpire: true }, { response: [expired] }, 'explicit'],
])('refresh_pattern: %s', (_, options, c, reason) => {
  expect(admission(c, ruled(60, 20, 600, options)).reason).toBe(reason)
})

test('Set-Cookie as the policy says', () => {
  const c: Case = { response: [hour, 'Set-Cookie: a=b', 'Set-Cookie: c=d'] }
  expect(admission(c, policyOf({ setCookie: 'refuse' })).reason).toBe('set-cookie')
  const strip = admission(c, policyOf({ setCookie: 'strip' }))
  const replay = admission(c, policyOf({ setCookie: 'replay' }))
  if (strip.kind === 'no' || replay.kind === 'no') throw new Error('not stored')
  expect(strip.response.head).not.toMatch(/set-cookie/i)
  expect(replay.response.head).toContain('Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n')
})

test('tags that are too many keep a response from being stored only where tags are kept', () => {
  const c: Case = { response: [hour, `Surrogate-Key: ${[...Array(1001).keys()].join(' ')}`] }
  expect((['keep', 'strip', 'off'] as const).map(tags => admission(c, policyOf({ tags })).reason)).toEqual(['too-many-tags', 'too-many-tags', 'explicit'])
})

test('keys: the URI for GET and POST, one of its own for HEAD, and one per address where Host is unverified', () => {
  const uri = 'http://a.example/x'
  const keys = [
    cacheKey('GET', uri),
    cacheKey('HEAD', uri),
    unverifiedKey('GET', uri, endpoint('192.0.2.1', 80)),
    unverifiedKey('GET', uri, endpoint('192.0.2.1', 8080)),
    unverifiedKey('GET', uri, endpoint('2001:db8::1', 80)),
    unverifiedKey('HEAD', uri, endpoint('192.0.2.1', 80)),
  ]
  expect(new Set(keys).size).toBe(keys.length)
  expect(cacheKey('POST', uri)).toBe(cacheKey('GET', uri))
  expect(keysOf(uri)).toEqual([keys[0], keys[1]])
})
