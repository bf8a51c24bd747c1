import { expect, test } from 'vitest'
import { wallMs } from '../../src/base/index.ts'
import { defaultPolicy, reuse } from '../../src/cache/index.ts'
import { at, dateAt, storedOf, t0 } from './kit.ts'

// Guards the freshness lifetime of RFC 9111 4.2.1 and 4.2.2 without refresh_pattern lines. Sees it as the last
// millisecond at which a plain request is answered and the first at which it is not.

/** A validator, so that what is stale at once is stored all the same. */
const tag = 'ETag: "a"'

test.each<{ name: string; response: string[]; source: string; fresh: number; age?: number }>([
  { name: 'max-age', response: ['Cache-Control: max-age=10'], source: 'max-age', fresh: 10 },
  { name: 's-maxage before max-age, longer', response: ['Cache-Control: max-age=10, s-maxage=20'], source: 's-maxage', fresh: 20 },
  { name: 's-maxage before max-age, shorter', response: ['Cache-Control: s-maxage=5, max-age=10'], source: 's-maxage', fresh: 5 },
  { name: 'in two lines', response: ['Cache-Control: max-age=10', 'Cache-Control: s-maxage=20'], source: 's-maxage', fresh: 20 },
  { name: 'max-age before Expires', response: ['Cache-Control: max-age=10', `Expires: ${dateAt(100)}`], source: 'max-age', fresh: 10 },
  { name: 'max-age=0 before Expires', response: ['Cache-Control: max-age=0', `Expires: ${dateAt(100)}`, tag], source: 'max-age', fresh: 0 },
  { name: 'Expires', response: [`Expires: ${dateAt(100)}`], source: 'expires', fresh: 100 },
  { name: 'Expires counts from Date: clock of the origin behind', response: [`Date: ${dateAt(-50)}`, `Expires: ${dateAt(50)}`], source: 'expires', fresh: 50 },
  { name: 'Expires counts from Date: clock of the origin ahead', response: [`Date: ${dateAt(50)}`, `Expires: ${dateAt(60)}`], source: 'expires', fresh: 10 },
  { name: 'Expires in the past', response: [`Expires: ${dateAt(-1)}`, tag], source: 'expires', fresh: 0 },
  { name: 'Expires equal to Date', response: [`Expires: ${dateAt(0)}`, tag], source: 'expires', fresh: 0 },
  { name: 'Expires: 0', response: ['Expires: 0', tag], source: 'expires', fresh: 0 },
  { name: 'Expires in UTC, which is not GMT', response: ['Expires: Thu, 18 Aug 2050 02:01:18 UTC', tag], source: 'expires', fresh: 0 },
  { name: 'Expires of which the first line is no date', response: ['Expires: Thu', 'Expires: 18 Aug 2050 02:01:18 GMT', tag], source: 'expires', fresh: 0 },
  { name: 'Expires wins over a heuristic', response: [`Expires: ${dateAt(-1)}`, `Last-Modified: ${dateAt(-1e6)}`], source: 'expires', fresh: 0 },
  { name: 'a max-age that is no number', response: ["Cache-Control: max-age='3600'", tag], source: 'max-age', fresh: 0 },
  { name: 'a negative max-age', response: ['Cache-Control: max-age=-3600', tag], source: 'max-age', fresh: 0 },
  { name: 'the first of two max-age', response: ['Cache-Control: max-age=10, max-age=100'], source: 'max-age', fresh: 10 },
  { name: 'max-age inside a quoted string is none', response: ['Cache-Control: x="max-age=100", max-age=10'], source: 'max-age', fresh: 10 },
  { name: 'a max-age beyond 2^31 is 2^31', response: ['Cache-Control: max-age=99999999999'], source: 'max-age', fresh: 2 ** 31 },
  { name: 'Age is taken off', response: ['Cache-Control: max-age=10', 'Age: 4'], source: 'max-age', fresh: 6 },
  { name: 'Age beyond max-age', response: ['Cache-Control: max-age=10', 'Age: 15', tag], source: 'max-age', fresh: -5 },
  { name: 'CDN-Cache-Control is not for us', response: ['Cache-Control: max-age=10', 'CDN-Cache-Control: max-age=1'], source: 'max-age', fresh: 10 },
  { name: 'a fifth of the time since Last-Modified', response: [`Last-Modified: ${dateAt(-1000)}`], source: 'last-modified', fresh: 200 },
  { name: 'by heuristic three days at most', response: [`Last-Modified: ${dateAt(-365 * 86400)}`], source: 'last-modified', fresh: 3 * 86400 + 0.001 },
  { name: 'a Last-Modified in the future says nothing', response: [`Last-Modified: ${dateAt(10)}`], source: 'minimum', fresh: 0 },
  { name: 'a Last-Modified that is now says nothing', response: [`Last-Modified: ${dateAt(0)}`], source: 'minimum', fresh: 0 },
  { name: 'nothing is known', response: [tag], source: 'minimum', fresh: 0 },
])('$name: fresh for $fresh s', ({ response, source, fresh }) => {
  const stored = storedOf({ response })
  expect(stored.source).toBe(source)
  const end = t0 + fresh * 1000
  expect(stored.freshUntil).toBe(end)
  if (fresh > 0) expect(reuse(stored, null, defaultPolicy, wallMs(end - 1)).kind).toBe('fresh')
  expect(reuse(stored, null, defaultPolicy, wallMs(end)).kind).toBe('validate')
})

test('the delay of the response is taken off too', () => {
  const stored = storedOf({ sent: -4, came: 0, response: ['Cache-Control: max-age=10'] })
  expect(stored.freshUntil).toBe(at(6))
})

test('a status that no heuristic is allowed for is never fresh by one', () => {
  const stored = storedOf({ status: 403, response: [`Expires: ${dateAt(10)}`, `Last-Modified: ${dateAt(-1000)}`] })
  expect(stored.freshUntil).toBe(at(10))
})

test.each([
  [206, false],
  [451, true],
  [599, true],
])('public makes a heuristic right for any status: %i', (status, storable) => {
  if (!storable) return expect(() => storedOf({ status, response: ['Cache-Control: public', `Last-Modified: ${dateAt(-1000)}`] })).toThrow('partial')
  const stored = storedOf({ status, response: ['Cache-Control: public', `Last-Modified: ${dateAt(-1000)}`] })
  expect(stored.freshUntil).toBe(at(200))
})

test('the stored Date is what came; without one that can be read it is the time of arrival', () => {
  expect(storedOf({ response: ['Cache-Control: max-age=1', 'Date: Sat, 15 Jun 2030 11:59:00 GMT', 'Age: 0', tag] }).head).toContain('Date: Sat, 15 Jun 2030 11:59:00 GMT\r\n')
  for (const response of [['Cache-Control: max-age=9'], ['Cache-Control: max-age=9', 'Date: yesterday']]) {
    const stored = storedOf({ noDate: true, came: 5, response })
    expect(stored.head).toContain(`Date: ${dateAt(5)}\r\n`)
    expect(stored.date).toBe(at(5))
    expect(stored.freshUntil).toBe(at(14))
  }
})
