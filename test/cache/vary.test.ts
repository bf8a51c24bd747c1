import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chooseVariant } from '../../src/cache/index.ts'
import { normalValue } from '../../src/cache/vary.ts'
import { fieldsOf, storedOf } from './kit.ts'

// Guards RFC 9111 4.1: which request a variant may answer, and which of several does. Sees it in chooseVariant.

const variant = (vary: string, request: readonly string[]) =>
  storedOf({ request, response: ['Cache-Control: max-age=99', ...(vary === '' ? [] : [`Vary: ${vary}`])] })

test.each<[string, string, string[], string[], boolean]>([
  ['the same value', 'Foo', ['Foo: 1'], ['Foo: 1'], true],
  ['another value', 'Foo', ['Foo: 1'], ['Foo: 2'], false],
  ['another case of the value', 'Foo', ['Foo: a'], ['Foo: A'], false],
  ['the request leaves it out', 'Foo', ['Foo: 1'], [], false],
  ['the request has it, the stored one had not', 'Foo', [], ['Foo: 1'], false],
  ['an empty value is not an absent field', 'Foo', [], ['Foo:'], false],
  ['neither has it', 'Foo', [], [], true],
  ['fields not named do not matter', 'Foo', ['Foo: 1', 'Bar: 1'], ['Foo: 1', 'Bar: 2'], true],
  ['names without case', 'fOO', ['FOO: 1'], ['foo: 1'], true],
  ['two names, both fit', 'Foo, Bar', ['Foo: 1', 'Bar: 2'], ['Bar: 2', 'Foo: 1'], true],
  ['two names, the second does not', 'Foo, Bar', ['Foo: 1', 'Bar: 2'], ['Foo: 1', 'Bar: 3'], false],
  ['three names, one absent in both', 'Foo, Bar, Baz', ['Foo: 1', 'Baz: 3'], ['Foo: 1', 'Baz: 3'], true],
  ['two lines are one list', 'Foo', ['Foo: 1, 2'], ['Foo: 1', 'Foo: 2'], true],
  ['white space around commas', 'Foo', ['Foo: 1,2'], ['Foo: 1 ,  2'], true],
  ['white space inside a value', 'Foo', ['Foo: 12'], ['Foo: 1 2'], false],
  ['white space inside a quoted string', 'Foo', ['Foo: "a,b"'], ['Foo: "a, b"'], false],
  ['white space behind an escaped quote', 'Foo', ['Foo: "a\\",b"'], ['Foo: "a\\", b"'], false],
  ['a tab around a comma', 'Foo', ['Foo: 1,2'], ['Foo: 1\t,\t2'], true],
  ['case of charsets', 'Accept-Charset', ['Accept-Charset: utf-8;q=1'], ['Accept-Charset: UTF-8 ; Q=1'], true],
  ['order', 'Foo', ['Foo: 1, 2'], ['Foo: 2, 1'], false],
  ['case of languages', 'Accept-Language', ['Accept-Language: en-US'], ['Accept-Language: EN-us'], true],
  ['order of languages', 'Accept-Language', ['Accept-Language: en, de'], ['Accept-Language: de, en'], false],
  ['weights of languages', 'Accept-Language', ['Accept-Language: en; q=0.5, de'], ['Accept-Language: en;q=0.5,de'], true],
  ['case of codings', 'Accept-Encoding', ['Accept-Encoding: gzip, br'], ['Accept-Encoding: GZIP,BR'], true],
  ['case of media types is left alone: parameters may mean it', 'Accept', ['Accept: a/b;x=y'], ['Accept: a/b;x=Y'], false],
])('%s', (_, vary, stored, request, fits) => {
  const one = variant(vary, stored)
  expect(chooseVariant([one], fieldsOf(...request))).toBe(fits ? one : null)
})

test('what a variant keeps does not hold on to the request it came from', () => {
  const one = variant('Foo', ['Foo: 1, 2'])
  expect(one.selecting).toEqual({ names: ['foo'], received: ['1, 2'], normalised: ['1,2'] })
  expect(variant('foo , FOO', ['Foo: 1']).selecting?.names).toEqual(['foo'])
  expect(variant('Foo', []).selecting?.names).toBe(one.selecting?.names)
})

test('of several that fit, one with Vary goes before one without, and otherwise the first', () => {
  const plain = variant('', [])
  const fits = variant('Foo', ['Foo: 1'])
  const other = variant('Bar', ['Bar: 1'])
  const request = fieldsOf('Foo: 1', 'Bar: 1')
  expect(chooseVariant([plain, fits, other], request)).toBe(fits)
  expect(chooseVariant([other, fits], request)).toBe(other)
  expect(chooseVariant([plain, fits], fieldsOf('Foo: 2'))).toBe(plain)
  expect(chooseVariant([fits, other], fieldsOf('Foo: 2'))).toBe(null)
})

test('normalising keeps what is no white space, is the same when done twice, and never joins different lists', () => {
  const word = fc.stringMatching(/^[a-zA-Z0-9;="\\ \t.*-]{0,12}$/)
  fc.assert(
    fc.property(fc.constantFrom('foo', 'accept-encoding', 'accept-language'), fc.array(word, { maxLength: 5 }), (name, words) => {
      const value = words.join(',')
      const normal = normalValue(name, value)
      expect(normalValue(name, normal)).toBe(normal)
      const bare = (text: string) => text.replace(/[ \t]/g, '').toLowerCase()
      expect(bare(normal)).toBe(bare(value))
      expect(normal.length).toBeLessThanOrEqual(value.length)
    }),
    { numRuns: 500 },
  )
})

test('only white space around commas is dropped from an unknown field', () => {
  const expected = (text: string) => text.replace(/[ \t]*,[ \t]*/g, ',')
  fc.assert(
    fc.property(fc.stringMatching(/^[a-c, \t]{0,20}$/), value => {
      expect(normalValue('foo', value)).toBe(expected(value))
    }),
    { numRuns: 500 },
  )
})
