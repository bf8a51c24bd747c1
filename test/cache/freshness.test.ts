import { expect, test } from 'vitest'
import { seconds, wallMs } from '../../src/base/index.ts'
import { defaultPolicy, reuse, timeToLive } from '../../src/cache/index.ts'
import { judge } from '../../src/cache/freshness.ts'
import { admission, at, dateAt, policyOf, ruled, storedOf, t0 } from './kit.ts'

// Guards the freshness lifetime of RFC 9111 4.2.1 and 4.2.2 without refresh_pattern lines. Sees it as the last
// millisecond at which a plain request is answered and the first at which it is not.

/** A validator, so that what is stale at once is stored all the same. */
const tag = 'ETag: "a"'

test.each<[name: string, response: string[], source: string, fresh: number]>([
  ['max-age', ['Cache-Control: max-age=10'], 'max-age', 10],
  ['s-maxage before max-age, longer', ['Cache-Control: max-age=10, s-maxage=20'], 's-maxage', 20],
  ['s-maxage before max-age, shorter', ['Cache-Control: s-maxage=5, max-age=10'], 's-maxage', 5],
  ['in two lines', ['Cache-Control: max-age=10', 'Cache-Control: s-maxage=20'], 's-maxage', 20],
  ['max-age before Expires', ['Cache-Control: max-age=10', `Expires: ${dateAt(100)}`], 'max-age', 10],
  ['max-age=0 before Expires', ['Cache-Control: max-age=0', `Expires: ${dateAt(100)}`, tag], 'max-age', 0],
  ['Expires', [`Expires: ${dateAt(100)}`], 'expires', 100],
  [
    'Expires counts from Date: clock of the origin behind',
    [`Date: ${dateAt(-50)}`, `Expires: ${dateAt(50)}`],
    'expires', 50,
  ],
  [
    'Expires counts from Date: clock of the origin ahead',
    [`Date: ${dateAt(50)}`, `Expires: ${dateAt(60)}`],
    'expires', 10,
  ],
  ['Expires in the past', [`Expires: ${dateAt(-1)}`, tag], 'expires', 0],
  ['Expires equal to Date', [`Expires: ${dateAt(0)}`, tag], 'expires', 0],
  ['Expires: 0', ['Expires: 0', tag], 'expires', 0],
  ['Expires in UTC, which is not GMT', ['Expires: Thu, 18 Aug 2050 02:01:18 UTC', tag], 'expires', 0],
  [
    'Expires of which the first line is no date',
    ['Expires: Thu', 'Expires: 18 Aug 2050 02:01:18 GMT', tag],
    'expires', 0,
  ],
  ['Expires wins over a heuristic', [`Expires: ${dateAt(-1)}`, `Last-Modified: ${dateAt(-1e6)}`], 'expires', 0],
  ['a max-age that is no number', ["Cache-Control: max-age='3600'", tag], 'max-age', 0],
  ['a negative max-age', ['Cache-Control: max-age=-3600', tag], 'max-age', 0],
  ['the first of two max-age', ['Cache-Control: max-age=10, max-age=100'], 'max-age', 10],
  ['max-age inside a quoted string is none', ['Cache-Control: x="max-age=100", max-age=10'], 'max-age', 10],
  ['a max-age beyond 2^31 is 2^31', ['Cache-Control: max-age=99999999999'], 'max-age', 2 ** 31],
  ['Age is taken off', ['Cache-Control: max-age=10', 'Age: 4'], 'max-age', 6],
  ['Age beyond max-age', ['Cache-Control: max-age=10', 'Age: 15', tag], 'max-age', -5],
  ['CDN-Cache-Control is not for us', ['Cache-Control: max-age=10', 'CDN-Cache-Control: max-age=1'], 'max-age', 10],
  ['a fifth of the time since Last-Modified', [`Last-Modified: ${dateAt(-1000)}`], 'last-modified', 200],
  ['by heuristic three days at most', [`Last-Modified: ${dateAt(-365 * 86400)}`], 'last-modified', 3 * 86400 + 0.001],
  ['a Last-Modified in the future says nothing', [`Last-Modified: ${dateAt(10)}`], 'minimum', 0],
  ['a Last-Modified that is now says nothing', [`Last-Modified: ${dateAt(0)}`], 'minimum', 0],
  ['nothing is known', [tag], 'minimum', 0],
])('%s: %j, by %s, fresh for %d s', (_, response, source, fresh) => {
  const stored = storedOf({ response })
  expect(stored.source).toBe(source)
  const end = t0 + fresh * 1000
  expect(stored.freshUntil).toBe(end)
  if (fresh > 0) expect(reuse(stored, null, defaultPolicy, wallMs(end - 1)).kind).toBe('fresh')
  expect(reuse(stored, null, defaultPolicy, wallMs(end)).kind).toBe('validate')
})

test('override-expire stretches the freshness of what may be stretched, and what is left of it is told so', () => {
  const policy = ruled(1000, 20, 2000, { overrideExpire: true })
  const stretched = storedOf({ response: ['Cache-Control: max-age=10'] }, policy)
  const kept = storedOf({ response: ['Cache-Control: max-age=10, must-revalidate'] }, policy)
  expect([stretched.freshUntil, kept.freshUntil]).toEqual([at(1000), at(10)])
  expect([stretched, kept].map(one => timeToLive(one, at(20)))).toEqual([980_000, -10_000])
})

test.each([204, 305, 400, 403, 404, 405, 414, 421, 500, 501, 502, 503, 504])('negative_ttl is about %i that says nothing', status => {
  const policy = ruled(0, 20, 2000, { negativeTtl: seconds(7) })
  expect(storedOf({ status, response: [] }, policy)).toMatchObject({ source: 'negative-ttl', freshUntil: at(7) })
  expect(storedOf({ status, response: ['Cache-Control: max-age=99'] }, policy)).toMatchObject({ source: 'max-age', freshUntil: at(99) })
})

test('what came at a time that is still to come has no age that anybody knows', () => {
  const stored = storedOf({ came: 100, response: ['Cache-Control: max-age=10'] })
  judge(stored, defaultPolicy, at(95)) // clocks are corrected by so much
  expect([stored.source, stored.freshUntil]).toEqual(['max-age', at(110)])
  judge(stored, defaultPolicy, at(94.999))
  expect([stored.source, stored.freshUntil]).toEqual(['clock-set-back', at(94.999)])
})

test('vary_ignore_expire: without the Expires that is its Date there is nothing to be fresh by', () => {
  const lines = (expires: string) => [`Date: ${dateAt(0)}`, `Expires: ${expires}`, 'Vary: Foo', `Last-Modified: ${dateAt(-1000)}`]
  const policy = policyOf({ varyIgnoreExpire: true })
  expect(storedOf({ response: lines(dateAt(0)) }, policy).source).toBe('last-modified')
  expect(storedOf({ response: lines(dateAt(5)) }, policy).source).toBe('expires')
  expect(storedOf({ response: lines(dateAt(0)) }).source).toBe('expires')
  // a status without heuristics has nothing left
  const refused = { status: 403, response: lines(dateAt(0)) }
  expect([admission(refused).reason, admission(refused, policy).reason]).toEqual(['validator', 'no-freshness'])
})

test('the delay of the response is taken off too', () => {
  const stored = storedOf({ sent: -4, came: 0, response: ['Cache-Control: max-age=10'] })
  expect(stored.freshUntil).toBe(at(6))
})

test('a status that no heuristic is allowed for is never fresh by one', () => {
  const stored = storedOf({ status: 403, response: [`Expires: ${dateAt(10)}`, `Last-Modified: ${dateAt(-1000)}`] })
  expect(stored.freshUntil).toBe(at(10))
})

test.each([201, 302, 451, 599])('public makes a heuristic right for any status: %i', status => {
  const stored = storedOf({ status, response: ['Cache-Control: public', `Last-Modified: ${dateAt(-1000)}`] })
  expect(stored.freshUntil).toBe(at(200))
})

test('the stored Date is what came; without one that can be read it is the time of arrival', () => {
  const old = storedOf({ response: ['Cache-Control: max-age=1', 'Date: Sat, 15 Jun 2030 11:59:00 GMT', tag] })
  expect(old.head).toContain('Date: Sat, 15 Jun 2030 11:59:00 GMT\r\n')
  for (const response of [['Cache-Control: max-age=9'], ['Cache-Control: max-age=9', 'Date: yesterday']]) {
    const stored = storedOf({ noDate: true, came: 5, response })
    expect(stored.head).toContain(`Date: ${dateAt(5)}\r\n`)
    expect(stored.date).toBe(at(5))
    expect(stored.freshUntil).toBe(at(14))
  }
})
