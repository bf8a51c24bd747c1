import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IpKey } from '../../src/acl/index.ts'
import { formatIPv6, parseIPv6 } from '../../src/base/index.ts'

// An address as words: any spelling gives what the plain parser gives, and what is none gives none.

const words = (text: string): readonly number[] | null => {
  const { family, a, b, c, d } = new IpKey(text)
  return family === 6 ? [a, b, c, d].flatMap(word => [word >>> 16, word & 0xffff]) : null
}

test.each([
  '::', '::1', '1::', '1::2', '2001:db8::1', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  '2001:DB8::A', '::ffff:1.2.3.4', '64:ff9b::192.0.2.33', '0001:02:003:0004::',
])('%s', text => expect(words(text)).toEqual(parseIPv6(text)))

test.each([
  '', ':', ':::', '1', '1:', ':1', '1:2', '1::2::3', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8:', '::1:2:3:4:5:6:7:8', '1:::2', '12345::', 'g::', '1::2:', 'a.b', '1:2:3:4:5:6:7:8::',
])('%j is none', text => expect(words(text)).toEqual(parseIPv6(text)))

test('every address comes back from its text', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
  fc.assert(fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), groups => {
    expect(words(formatIPv6(groups))).toEqual(groups)
  }), { numRuns: 2000 })
})

test('what looks like an address reads as the plain parser reads it', () => {
  const piece = fc.constantFrom(':', '::', '0', '1', 'ab', 'ffff', 'F', '12345', '1.2.3.4', 'x')
  fc.assert(fc.property(fc.array(piece, { maxLength: 18 }), pieces => {
    const text = pieces.join('')
    expect(words(text), text).toEqual(parseIPv6(text))
  }), { numRuns: 5000 })
})
