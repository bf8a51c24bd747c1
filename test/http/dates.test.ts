import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wallMs } from '../../src/base/index.ts'
import { httpDate, parseHttpDate } from '../../src/http/index.ts'

// Guards: exactly three forms are dates (RFC 9110 5.6.7). Anything else that looked like one would keep stale things fresh.

const now = wallMs(Date.UTC(2026, 5, 15, 12, 0, 0))
const parsed = (text: string, at = now): string | null => {
  const found = parseHttpDate(text, at)
  return found === null ? null : new Date(found).toISOString()
}

describe('an HTTP-date is read', () => {
  it.each<[string, string]>([
    ['Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
    ['Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
    ['Sun Nov  6 08:49:37 1994', '1994-11-06T08:49:37.000Z'],
    ['Wed Nov 16 08:49:37 1994', '1994-11-16T08:49:37.000Z'],
    ['sUN, 06 nOV 1994 08:49:37 gmt', '1994-11-06T08:49:37.000Z'],
    ['SUNDAY, 06-NOV-94 08:49:37 gmt', '1994-11-06T08:49:37.000Z'],
    ['sun nov  6 08:49:37 1994', '1994-11-06T08:49:37.000Z'],
    ['Thu, 18 Aug 2050 02:01:18 GMT', '2050-08-18T02:01:18.000Z'],
    ['Mon, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37.000Z'], // the wrong weekday does not matter
    ['Thu, 29 Feb 2024 23:59:59 GMT', '2024-02-29T23:59:59.000Z'],
    ['Sat, 31 Dec 2016 23:59:60 GMT', '2017-01-01T00:00:00.000Z'],
    ['Thu, 01 Jan 1970 00:00:00 GMT', '1970-01-01T00:00:00.000Z'],
    ['Wed, 31 Dec 1969 23:59:59 GMT', '1969-12-31T23:59:59.000Z'],
    ['Sat, 01 Jan 0000 00:00:00 GMT', '0000-01-01T00:00:00.000Z'],
    ['Mon, 01 Jan 0050 00:00:00 GMT', '0050-01-01T00:00:00.000Z'],
    ['Fri, 31 Dec 9999 23:59:59 GMT', '9999-12-31T23:59:59.000Z'],
  ])('%s', (text, iso) => expect(parsed(text)).toBe(iso))

  it.each([
    '', '0', '-1', 'now', 'Sun', 'Sun,', ', ', 'Sun, 06 Nov 1994', '1994-11-06T08:49:37Z', '784111777',
    'Sun, 06 Nov 1994 08:49:37 UTC', 'Sun, 06 Nov 1994 08:49:37 AEST', 'Sun, 06 Nov 1994 08:49:37 +0000', 'Sun, 06 Nov 1994 08:49:37 GMT+1',
    'Sun, 06 Nov 1994 08:49:37', 'Sun, 06 Nov 1994 08:49:37 GMT ', ' Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:37GMT',
    'Sun, 06 Nov 94 08:49:37 GMT', 'Sun, 6 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 8:49:37 GMT', 'Sun, 06 Nov 1994 08.49.37 GMT',
    'Sun, 06-Nov-1994 08:49:37 GMT', 'Sun, 06-Nov-94 08:49:37 GMT', 'Sunday, 06-Nov-1994 08:49:37 GMT', 'Sunday, 06 Nov 94 08:49:37 GMT',
    'Sun 06 Nov 1994 08:49:37 GMT', 'Sun, 06  Nov 1994 08:49:37 GMT', 'Sun,  06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov  1994 08:49:37 GMT',
    'Xyz, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Xyz 1994 08:49:37 GMT', 'Sund, 06-Nov-94 08:49:37 GMT', 'Sonntag, 06-Nov-94 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT', 'Sun, 31 Nov 1994 08:49:37 GMT', 'Wed, 29 Feb 2023 00:00:00 GMT', 'Sun, 32 Dec 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT', 'Sun, 06 Nov 1994 08:60:00 GMT', 'Sun, 06 Nov 1994 08:49:61 GMT', 'Sun, +6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 -8:49:37 GMT', 'Sun, 06 Nov 199x 08:49:37 GMT', 'Sun, 06 nov 1994 08:49:3\u0667 GMT',
    'Sun Nov 6 08:49:37 1994', 'Sun Nov 06 08:49:37 94', 'Sun Nov  6 08:49:37 1994 GMT', 'Sunday Nov  6 08:49:37 1994', 'Sun  Nov  6 08:49:37 1994',
    'Sun Nov 00 08:49:37 1994', 'Sun Nov   08:49:37 1994',
  ])('refused: %j', text => expect(parsed(text)).toBe(null))

  it.each<[string, number, number]>([
    // two digits, this year, the year meant: never more than 50 years ahead
    ['26', 2026, 2026],
    ['94', 2026, 1994],
    ['00', 2026, 2000],
    ['75', 2026, 2075],
    ['76', 2026, 2076], // 1 January: not quite 50 years from 15 June
    ['77', 2026, 1977],
    ['99', 2060, 2099],
    ['05', 2060, 2105],
    ['11', 2060, 2011],
  ])("'%s in %i is %i", (digits, thisYear, meant) => {
    const at = wallMs(Date.UTC(thisYear, 5, 15, 12, 0, 0))
    expect(parsed(`Monday, 01-Jan-${digits} 00:00:00 GMT`, at)).toBe(`${meant}-01-01T00:00:00.000Z`)
  })

  it("more than 50 years to the second, not the year", () => {
    expect(parsed('Monday, 15-Jun-76 12:00:00 GMT')).toBe('2076-06-15T12:00:00.000Z')
    expect(parsed('Monday, 15-Jun-76 12:00:01 GMT')).toBe('1976-06-15T12:00:01.000Z')
  })
})

describe('an HTTP-date is written', () => {
  it('as IMF-fixdate, and the seconds go on', () => {
    expect(httpDate(wallMs(784111777000))).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
    expect(httpDate(wallMs(784111777999))).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
    expect(httpDate(wallMs(784111778000))).toBe('Sun, 06 Nov 1994 08:49:38 GMT')
    expect(httpDate(wallMs(784111777000))).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
    expect(httpDate(wallMs(0))).toBe('Thu, 01 Jan 1970 00:00:00 GMT')
  })

  it('so that it is read again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253402300799 }), second => {
        expect(parseHttpDate(httpDate(wallMs(second * 1000)), now)).toBe(second * 1000)
      }),
    )
  })

  it('and no text makes the reader throw', () => {
    fc.assert(fc.property(fc.string({ maxLength: 40 }), text => void parseHttpDate(text, now)))
  })
})
