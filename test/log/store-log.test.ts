// Lines of cache_store_log, as Squid 5.7 wrote them of the same responses.

import { expect, it, test } from 'vitest'
import { wallMs } from '../../src/base/index.ts'
import { Fields } from '../../src/http/index.ts'
import { keyText, type StoreLine, storeLine, timesOf } from '../../src/log/index.ts'

const line: StoreLine = {
  action: 'SWAPOUT', dir: 0, number: 0, method: 'GET', uri: 'http://127.0.0.1:33180/1?h=Cache-Control:max-age=600&n=300',
  status: 200, date: 1795178637, lastModified: -1, expires: 1795179237, contentType: 'text/plain; charset=utf-8',
  length: 2100, bytes: 2100, unstored: false,
}

test.each<readonly [Partial<StoreLine>, number, string]>([
  [{}, 1795178637806, '1795178637.806 SWAPOUT 00 00000000 9DB51439E2E3AFB93D981F69480820C3  200 1795178637        -1 1795179237 text/plain 2100/2100 GET http://127.0.0.1:33180/1?'],
  [
    { action: 'RELEASE', number: 1, uri: 'http://127.0.0.1:33180/3?h=Cache-Control:max-age=600&h=Last-Modified:Sat,%2001%20Jan%202000%2000:00:00%20GMT&h=Expires:Sat,%2001%20Jan%202100%2000:00:00%20GMT&chunked=1', lastModified: 946684800, length: -1, bytes: 7 },
    1795178637873,
    '1795178637.873 RELEASE 00 00000001 63E6BA93E5939E7F9765320CFF20C83B  200 1795178637 946684800 1795179237 text/plain -1/7 GET http://127.0.0.1:33180/3?',
  ],
  [{ number: 2, method: 'HEAD', uri: 'http://127.0.0.1:33180/4?h=Cache-Control:max-age=600', length: 7, bytes: 0 }, 1795178637838, '1795178637.838 SWAPOUT 00 00000002 93643A4D8A0E4BA858371EEDF552D73F  200 1795178637        -1 1795179237 text/plain 7/0 HEAD http://127.0.0.1:33180/4?'],
])('%j', (change, now, expected) => {
  const one = { ...line, ...change }
  expect(storeLine(one, keyText(one.method, one.uri), wallMs(now), true)).toBe(`${expected}\n`)
})

it('has a word for what has no type, no directory, and a time of a few milliseconds', () => {
  const one: StoreLine = { ...line, action: 'RELEASE', dir: -1, contentType: '', unstored: true, method: 'PURGE', uri: 'http://x/', date: -1, expires: -1 }
  expect(storeLine(one, '07', wallMs(1795178637004), true)).toBe('1795178637.004 RELEASE -1 FFFFFFFF 07  200        -1        -1        -1 unknown 2100/2100 PURGE http://x/\n')
})

it('cannot be broken by what a client asks for', () => {
  expect(storeLine({ ...line, uri: 'http://u:p@x/a b\n' }, 'K', wallMs(0), false)).toMatch(/ GET http:\/\/x\/a%20b%0A\n$/)
})

test.each<readonly [readonly string[], readonly [number, number, number]]>([
  [[], [-1, -1, -1]],
  [['Date', 'Sat, 01 Jan 2000 00:00:00 GMT', 'Cache-Control', 'max-age=10, s-maxage=20'], [946684800, -1, 946684820]],
  [['Date', 'Sat, 01 Jan 2000 00:00:00 GMT', 'Expires', 'Sat, 01 Jan 2000 00:00:05 GMT'], [946684800, -1, 946684805]],
  [['Date', 'Sat, 01 Jan 2000 00:00:00 GMT', 'Expires', '0'], [946684800, -1, 946684800]],
  [['Last-Modified', 'Sat, 01 Jan 2000 00:00:00 GMT', 'Cache-Control', 'max-age=10'], [-1, 946684800, 946684900 + 10]],
])('times of %j', (pairs, [date, lastModified, expires]) => {
  expect(timesOf(Fields.from(pairs), wallMs(946684900_000))).toEqual({ date, lastModified, expires })
})
