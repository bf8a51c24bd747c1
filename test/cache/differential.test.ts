import { createRequire } from 'node:module'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seconds, wallMs, type WallMs } from '../../src/base/index.ts'
import {
  admit, cacheKey, chooseVariant, freshened, mayStayStored, namedBy304, noRefreshOptions, RefreshPatterns, reuse,
  type StoredResponse, validationOf,
} from '../../src/cache/index.ts'
import { forbidden } from '../../src/cache/storable.ts'
import { type Fields, type ResponseCacheControl, responseCacheControl } from '../../src/http/index.ts'
import { dateAt, exchangeOf, factsOf, fieldsOf, policyOf, t0 } from './kit.ts'

// Guards our reading of RFC 9111 against somebody else's: http-cache-semantics judges the same random exchanges. Where
// the two differ, one of the listed differences must be the cause; each says which section we follow, and has an
// example that shows it, so that the list cannot grow old unnoticed.

/** The parts of the oracle we use; it has no types of its own. */
interface Oracle {
  storable(): boolean
  evaluateRequest(request: unknown): { response?: unknown; revalidation?: { synchronous: boolean } }
  revalidatedPolicy(request: unknown, response: unknown): { policy: Oracle; matches: boolean }
}

type OracleClass = new (request: unknown, response: unknown, options: unknown) => Oracle

const Policy = createRequire(import.meta.url)('http-cache-semantics') as OracleClass

let clock: WallMs = t0

/** Its documented hook for tests. */
class Timed extends Policy {
  now(): number {
    return clock
  }
}

interface Exchange {
  readonly method: string
  readonly status: number
  readonly request: readonly string[]
  readonly response: readonly string[]
  readonly later: readonly string[]
  /** When the last request comes, in milliseconds after the first response. */
  readonly now: number
  /** A 304 that comes in between, if the first response is stored; null = none. */
  readonly confirmed: { readonly at: number; readonly fields: readonly string[] } | null
}

type Use = 'use' | 'use and validate' | 'ask'

const headersOf = (lines: readonly string[]): Record<string, string> => {
  const headers: Record<string, string> = {}
  const fields = fieldsOf(...lines)
  for (let i = 0; i < fields.size; i++) headers[fields.lowerAt(i)] ??= fields.joined(fields.lowerAt(i)) ?? ''
  return headers
}

const theirs = (e: Exchange): { storable: boolean; use: Use } => {
  clock = t0
  const request = { url: '/x', method: e.method, headers: { host: 'a.example', ...headersOf(e.request) } }
  let policy: Oracle = new Timed(request, { status: e.status, headers: headersOf(e.response) }, { shared: true, cacheHeuristic: 0.1 })
  if (e.confirmed !== null && policy.storable()) {
    clock = wallMs(t0 + e.confirmed.at)
    const answer = policy.revalidatedPolicy(request, { status: 304, headers: headersOf(e.confirmed.fields) })
    if (!answer.matches) return { storable: true, use: 'ask' }
    policy = answer.policy
    if (!policy.storable()) return { storable: true, use: 'ask' }
  }
  clock = wallMs(t0 + e.now)
  const answer = policy.evaluateRequest({ url: '/x', method: e.method, headers: { host: 'a.example', ...headersOf(e.later) } })
  const use = answer.response === undefined ? 'ask' : answer.revalidation === undefined ? 'use' : 'use and validate'
  return { storable: policy.storable(), use: policy.storable() ? use : 'ask' }
}

/** Ten percent as theirs, without a limit of days; otherwise as shipped. */
const ourPolicy = policyOf({
  refresh: new RefreshPatterns([
    { regex: /./, min: seconds(0), percent: 10, max: seconds(2 ** 31), options: noRefreshOptions, text: 'as the oracle' },
  ]),
})

const ours = (e: Exchange): { storable: boolean; use: Use } => {
  const exchange = exchangeOf({ method: e.method, status: e.status, request: e.request, response: e.response, noDate: true })
  const storable = forbidden(exchange, responseCacheControl(exchange.fields), ourPolicy) === null
  const admission = admit(exchange, cacheKey(e.method, exchange.uri), ourPolicy)
  if (admission.kind === 'no') {
    // what is allowed and yet not stored is worth nothing: it was stale and could not be validated
    expect(storable).toBe(admission.reason === 'stale-without-validator')
    return { storable, use: 'ask' }
  }
  expect(storable).toBe(true)
  const last = e.confirmed === null ? admission.response : confirmedBy(admission.response, e.confirmed, exchange.requestFields)
  const stored = last === null ? null : chooseVariant([last], fieldsOf(...e.later))
  if (stored === null) return { storable, use: 'ask' }
  const answer = reuse(stored, factsOf(...e.later), ourPolicy, wallMs(t0 + e.now))
  const use = answer.kind === 'fresh' ? 'use' : answer.kind === 'stale' ? (answer.reason === 'while-revalidate' ? 'use and validate' : 'use') : 'ask'
  return { storable, use }
}

/** Null: the 304 is not about it, or says that it may not stay. */
const confirmedBy = (stored: StoredResponse, { at, fields }: NonNullable<Exchange['confirmed']>, request: Fields): StoredResponse | null => {
  const update = { fields: fieldsOf(...fields), requestTime: wallMs(t0 + at), responseTime: wallMs(t0 + at) }
  const named = namedBy304(validationOf(stored, [stored], request), update)
  if (named.kind === 'no') return null
  const after = freshened(named.stored, update, request, ourPolicy)
  return mayStayStored(after, ourPolicy) ? after : null
}

// --- what differs, and why we are right ---

interface Facts extends Exchange {
  readonly control: Readonly<ResponseCacheControl>
  readonly asked: string
  readonly has: (line: RegExp) => boolean
  readonly later_: Fields
}

const factsFor = (e: Exchange): Facts => ({
  ...e,
  // what counts in the end: that of the 304, where it has one
  control: responseCacheControl(fieldsOf(...(e.confirmed !== null && e.confirmed.fields.some(line => /^cache-control/i.test(line)) ? e.confirmed.fields : e.response))),
  asked: fieldsOf(...e.later).joined('cache-control') ?? '',
  has: line => [...e.response, ...(e.confirmed?.fields ?? [])].some(one => line.test(one)),
  later_: fieldsOf(...e.later),
})

interface Difference {
  readonly section: string
  readonly says: string
  readonly when: (f: Facts) => boolean
  readonly example: Partial<Exchange>
}

const nameOf = (line: string): string => line.slice(0, line.indexOf(':')).toLowerCase()

const understoodByThem = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501]

const differences: readonly Difference[] = [
  {
    section: 'RFC 9111 3',
    says: 'any final status may be stored with explicit freshness or public',
    when: f => !understoodByThem.includes(f.status),
    example: { status: 299, response: ['Cache-Control: max-age=60', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.2.2.2',
    says: 'must-revalidate matters once it is stale, not before',
    when: f => f.control.mustRevalidate,
    example: { response: ['Cache-Control: max-age=60, must-revalidate', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.2.2.8',
    says: 'proxy-revalidate likewise, and then stale responses are not used, whoever would take them',
    when: f => f.control.proxyRevalidate,
    example: { response: ['Cache-Control: max-age=60, proxy-revalidate', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.2.2.10',
    says: 's-maxage means proxy-revalidate: stale responses are not used',
    when: f => f.control.sMaxage !== null && (/max-stale/.test(f.asked) || f.control.staleWhileRevalidate !== null),
    example: { response: ['Cache-Control: s-maxage=60', `Date: ${dateAt(0)}`], later: ['Cache-Control: max-stale'], now: 70_000 },
  },
  {
    section: 'RFC 9111 4.2.3',
    says: 'a Date in the past is age',
    when: f => f.has(/^date/i) && Date.parse(headersOf(f.response)['date'] ?? '') < t0,
    example: { response: ['Cache-Control: max-age=60', `Date: ${dateAt(-59)}`], now: 2000 },
  },
  {
    section: 'RFC 9111 4.2.2',
    says: 'the interval since Last-Modified ends when the response came, not at a Date in the future',
    when: f => Date.parse(headersOf(f.response)['date'] ?? '') > t0 && f.has(/^last-modified/i),
    example: { response: [`Date: ${dateAt(30)}`, `Last-Modified: ${dateAt(-600)}`], now: 61_000 },
  },
  {
    section: 'RFC 9111 5.2.2.4, 5.2.2.7',
    says: 'no-cache="field" and private="field" are about the field',
    when: f => f.control.noCacheFields !== null || f.control.privateFields !== null,
    example: { response: ['Cache-Control: max-age=60, private="x"', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.2.2.3',
    says: 'must-understand overrules no-store where the status is known',
    when: f => f.control.mustUnderstand,
    example: { response: ['Cache-Control: max-age=60, must-understand, no-store', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.2',
    says: 'directives are compared without case',
    when: f => /[A-Z]/.test(headersOf(f.response)['cache-control'] ?? ''),
    example: { response: ['Cache-Control: MAX-AGE=60', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.4',
    says: 'Pragma means nothing in a response, and in a request only without Cache-Control',
    when: f => f.has(/^pragma/i) || (f.later_.has('pragma') && f.later_.has('cache-control')),
    example: { response: ['Expires: Sat, 15 Jun 2030 13:00:00 GMT', 'Pragma: no-cache', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 7.3',
    says: 'Set-Cookie does not stop storing; we leave the field out of what others get',
    when: f => f.has(/^set-cookie/i),
    example: { response: ['Cache-Control: max-age=60', 'Set-Cookie: a=b', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 4.1',
    says: 'what varies on * is not stored at all',
    when: f => f.has(/^vary:.*\*/i),
    example: { response: ['Cache-Control: max-age=60', 'Vary: *', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 4.1',
    says: 'white space around commas makes no other variant',
    when: f => f.has(/^vary:/i) && /,/.test([...f.request, ...f.later].join()),
    example: { request: ['Foo: a,b'], later: ['Foo: a, b'], response: ['Cache-Control: max-age=60', 'Vary: Foo', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9110 9.3.3',
    says: 'a response to POST is stored only if it names its own URI in Content-Location',
    when: f => f.method === 'POST',
    example: { method: 'POST', response: ['Cache-Control: max-age=60', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9110 5.6.7',
    says: 'a date is one of three forms, and GMT',
    when: f => f.has(/ UTC$/),
    example: { response: ['Expires: Sat, 15 Jun 2030 13:00:00 UTC', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.1',
    says: 'an Age that is no number is ignored',
    when: f => f.has(/^age: \d+\D/i),
    example: { response: ['Cache-Control: max-age=60', 'Age: 100x', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 5.2.1.2',
    says: 'max-stale allows "no more than" its number: also exactly that',
    when: f => /max-stale=\d/.test(f.asked),
    example: { response: ['Cache-Control: max-age=60', `Date: ${dateAt(0)}`], later: ['Cache-Control: max-stale=10'], now: 70_000 },
  },
  {
    section: 'RFC 9111 5.2.1.1',
    says: 'max-age=0 asks for validation, also in the very first millisecond',
    when: f => /max-age=0/.test(f.asked) && f.now === 0,
    example: { response: ['Cache-Control: max-age=60', `Date: ${dateAt(0)}`], later: ['Cache-Control: max-age=0'], now: 0 },
  },
  {
    section: 'RFC 8246 2',
    says: 'immutable stops validation of what is fresh, and makes nothing fresh by itself',
    when: f => f.control.immutable,
    example: { response: ['Cache-Control: immutable', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 4.2.1',
    says: 'of two directives of one name the first counts',
    when: f => /(max-age).*\1/.test((headersOf(f.response)['cache-control'] ?? '').replace(/s-maxage/g, '')),
    example: { response: ['Cache-Control: max-age=60, max-age=0', `Date: ${dateAt(0)}`], now: 1000 },
  },
  {
    section: 'RFC 9111 4.3.4',
    says: 'a 304 that names nothing is about the one response that was asked about, be there a validator or not',
    when: f => f.confirmed !== null && !f.confirmed.fields.some(line => /^(etag|last-modified)/i.test(line)) && f.has(/^(etag|last-modified)/i),
    example: { response: ['Cache-Control: max-age=60', 'ETag: "a"', `Date: ${dateAt(0)}`], confirmed: { at: 1000, fields: [`Date: ${dateAt(1)}`] }, now: 2000 },
  },
  {
    section: 'RFC 9111 3.2',
    says: 'a 304 adds fields that were not there',
    when: f => f.confirmed !== null && f.confirmed.fields.some(line => !f.response.some(one => nameOf(one) === nameOf(line))),
    example: {
      response: [`Expires: ${dateAt(5)}`, 'ETag: "a"', `Date: ${dateAt(0)}`],
      confirmed: { at: 6000, fields: [`Date: ${dateAt(6)}`, 'ETag: "a"', 'Cache-Control: max-age=60'] },
      now: 7000,
    },
  },
]

const usual: Exchange = { method: 'GET', status: 200, request: [], response: [], later: [], now: 0, confirmed: null }

test.each(differences)('$section: $says', ({ when, example }) => {
  const e = { ...usual, ...example }
  expect(when(factsFor(e))).toBe(true)
  expect(ours(e)).not.toEqual(theirs(e))
  // no other listed difference is what this example shows
  expect(differences.filter(one => one.when(factsFor(e))).map(one => one.when)).toEqual([when])
})

test('random exchanges are judged alike, but for the listed differences', () => {
  const age = fc.constantFrom(0, 1, 5, 10, 60)
  const sometimes = <T>(value: fc.Arbitrary<T>, freq = 3) => fc.option(value, { nil: null, freq })
  const rarely = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 1 }).chain(v => fc.integer({ min: 0, max: 3 }).map(n => (n === 0 ? v : null)))
  const control = fc
    .record({
      'max-age': sometimes(age, 1),
      's-maxage': rarely(age),
      'stale-while-revalidate': rarely(age),
      public: rarely(fc.constant(true)),
      private: rarely(fc.constant(true)),
      'no-store': rarely(fc.constant(true)),
      'no-cache': rarely(fc.constant(true)),
      'must-revalidate': rarely(fc.constant(true)),
      'proxy-revalidate': rarely(fc.constant(true)),
      'must-understand': rarely(fc.constant(true)),
      immutable: rarely(fc.constant(true)),
      'no-cache="x"': rarely(fc.constant(true)),
    })
    .map(directives => listed('Cache-Control', directives))
  const response = fc
    .record({
      control,
      date: fc.constantFrom(0, 0, 0, -30, 30),
      expires: sometimes(fc.constantFrom(dateAt(-5), dateAt(5), dateAt(60), '0', 'Sat, 15 Jun 2030 13:00:00 UTC'), 1),
      modified: sometimes(fc.constantFrom(dateAt(-100), dateAt(-600), dateAt(10))),
      age: rarely(fc.constantFrom('0', '3', '30', '3x')),
      vary: rarely(fc.constantFrom('Foo', 'foo, bar', '*')),
      etag: sometimes(fc.constant('"a"')),
      cookie: rarely(fc.constant('a=b')),
      pragma: rarely(fc.constant('no-cache')),
    })
    .map(r => [
      ...r.control, `Date: ${dateAt(r.date)}`, ...given('Expires', r.expires), ...given('Last-Modified', r.modified),
      ...given('Age', r.age), ...given('Vary', r.vary), ...given('ETag', r.etag), ...given('Set-Cookie', r.cookie), ...given('Pragma', r.pragma),
    ])
  const foo = fc.constantFrom('1', '2', 'a,b', 'a, b')
  const request = fc
    .record({ foo: sometimes(foo), authorization: rarely(fc.constant('x')), noStore: rarely(fc.constant('no-store')) })
    .map(r => [...given('Foo', r.foo), ...given('Authorization', r.authorization), ...given('Cache-Control', r.noStore)])
  const later = fc
    .record({
      foo: sometimes(foo),
      control: fc
        .record({ 'max-age': rarely(age), 'min-fresh': rarely(age), 'max-stale': rarely(fc.oneof(age, fc.constant(true))), 'no-store': rarely(fc.constant(true)), 'no-cache': rarely(fc.constant(true)) })
        .map(directives => listed('Cache-Control', directives)),
      pragma: rarely(fc.constant('no-cache')),
    })
    .map(r => [...given('Foo', r.foo), ...r.control, ...given('Pragma', r.pragma)])
  const exchange: fc.Arbitrary<Exchange> = fc.record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'PUT', 'POST'),
    status: fc.constantFrom(200, 200, 200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 414, 501, 299, 500, 451),
    request,
    response,
    later,
    now: fc.constantFrom(0, 1000, 4000, 4999, 5000, 5001, 9000, 10_000, 12_000, 59_999, 60_000, 61_000, 120_000),
    confirmed: fc.constant(null),
  })
  // the same, with a 304 in between
  const confirmation = fc
    .record({ at: fc.constantFrom(0, 3000, 9000, 60_000), control: sometimes(control, 2), expires: rarely(fc.constantFrom(dateAt(5), dateAt(100))), age: rarely(fc.constantFrom('0', '7')), etag: fc.constantFrom('"a"', '"a"', '"a"', 'W/"a"', '"b"', null), modified: rarely(fc.constantFrom(dateAt(-100), dateAt(-600))), vary: rarely(fc.constantFrom('Foo', '*')) })
    .map(({ at, control, expires, age, etag, modified, vary }) => ({
      at,
      fields: [`Date: ${dateAt(at / 1000)}`, ...(control ?? []), ...given('Expires', expires), ...given('Age', age), ...given('ETag', etag), ...given('Last-Modified', modified), ...given('Vary', vary)],
    }))
  const history = fc.tuple(exchange, confirmation).map(([e, confirmed]): Exchange => ({ ...e, confirmed, now: confirmed.at + e.now }))
  let alike = 0
  let used = 0
  let confirmed = 0
  fc.assert(
    fc.property(fc.oneof(exchange, history), e => {
      const [we, they] = [ours(e), theirs(e)]
      if (we.storable === they.storable && we.use === they.use) {
        alike++
        if (we.use !== 'ask') used++
        if (we.use !== 'ask' && e.confirmed !== null) confirmed++
        return
      }
      const facts = factsFor(e)
      const why = differences.find(one => one.when(facts))
      expect(why, `${JSON.stringify(e, null, 1)}\nours ${JSON.stringify(we)}, theirs ${JSON.stringify(they)}`).toBeDefined()
    }),
    { numRuns: 8000 },
  )
  // the agreement must not come from exchanges in which nothing happens
  expect(alike).toBeGreaterThan(4000)
  expect(used).toBeGreaterThan(600)
  expect(confirmed).toBeGreaterThan(100)
})

const given = (name: string, value: string | null): string[] => (value === null ? [] : [`${name}: ${value}`])

const listed = (name: string, directives: Readonly<Record<string, number | boolean | null>>): string[] => {
  const words = Object.entries(directives)
    .filter(([, value]) => value !== null)
    .map(([word, value]) => (value === true ? word : `${word}=${value}`))
  return words.length === 0 ? [] : [`${name}: ${words.join(', ')}`]
}
