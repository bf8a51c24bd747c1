// CDN-Cache-Control (RFC 9213) is a dictionary of structured fields (RFC 9651 3.2): the grammar's edges, and what makes
// the field as if it were not there.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fields, parseDictionary, targetedCacheControl } from '../../src/http/index.ts'

const values = (text: string) => {
  const found = parseDictionary(text)
  return found === null ? null : Object.fromEntries([...found].map(([key, v]) => [key, v.kind === 'other' ? 'other' : v.value]))
}

it.each([
  ['', {}],
  ['  a  ', { a: true }],
  ['a=1,b=2', { a: 1, b: 2 }],
  ['a=1 , \tb', { a: 1, b: true }],
  ['a=1;x=2;y="z, b", b', { a: 1, b: true }],
  ['a="x\\"y\\\\", b=?0, c=?1, d=tok/en:1', { a: 'x"y\\', b: false, c: true, d: 'tok/en:1' }],
  ['a=(1 "two" three;p), b=:aGk=:, c=1.5, d=@1700000000, e=%"f%c3%bc"', { a: 'other', b: 'other', c: 'other', d: 'other', e: 'other' }],
  ['a=1, a=2', { a: 2 }],
  ['a=-5', { a: -5 }],
  ['*a.b-c_d=1', { '*a.b-c_d': 1 }],
  ['a=999999999999999', { a: 999999999999999 }],
])('%s is a dictionary', (text, expected) => expect(values(text)).toEqual(expected))

it.each([
  'A=1', 'a=', 'a=1,', ',a', 'a,,b', 'a b', 'a =1', 'a= 1', 'a="x', "a='x'", 'a=1.', 'a=1.2345', 'a=1234567890123456', 'a=(1', 'a=(1  2', 'a=(1"x")',
  'a;=1', 'a=?2', 'a=?', 'a="\\x"', 'a=:a', '&&&', 'max-age=10000, &&&&&', 'a=1;B=2', 'a=%"%C3"',
])('%s is none', text => expect(values(text)).toBe(null))

it('whatever it is given, it answers in no time worth measuring', () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'a=1;,"(\\ )?:.@%*-'), maxLength: 60 }), text => void parseDictionary(text)), { numRuns: 3000 })
  for (const hard of ['('.repeat(20_000), `a=(${'x '.repeat(20_000)}`, `a${';a'.repeat(20_000)}!`, `a="${'\\"'.repeat(20_000)}`]) expect(parseDictionary(hard)).toBe(null)
})

const control = (...lines: string[]) => targetedCacheControl(Fields.from(lines.flatMap(line => ['CDN-Cache-Control', line])), 'cdn-cache-control')

describe('what it says', () => {
  it('is there as in Cache-Control', () => {
    expect(control('max-age=60, s-maxage=70;x=1', 'must-revalidate, no-cache="Foo, Bar", stale-while-revalidate=5')).toMatchObject({
      expiresIgnored: true, maxAge: 60, sMaxage: 70, mustRevalidate: true, noCache: false, noCacheFields: ['foo', 'bar'], staleWhileRevalidate: 5,
    })
    expect(control('private, no-store, immutable, anything="x"')).toMatchObject({ private: true, noStore: true, immutable: true, maxAge: null })
    expect(control('no-store=?0, max-age=-1')).toMatchObject({ noStore: false, maxAge: 0 })
    expect(control('max-age=999999999999')).toMatchObject({ maxAge: 2147483648 })
  })

  it.each([['nothing', []], ['an empty field', ['']], ['no dictionary', ['max-age=10, &&&']], ['a string for a number', ['max-age="10"']], ['a number for a flag', ['no-store=1']], ['a token for names', ['private=foo']], ['a fraction', ['max-age=1.5']]])(
    'is nothing where it is %s',
    (_what, lines) => expect(control(...lines)).toBe(null),
  )
})
