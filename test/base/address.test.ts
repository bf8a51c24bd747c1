import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addressFromBytes, addressToBytes, canonicalAddress, endpoint, endpointText, formatIPv4, formatIPv6, parseIPv4, parseIPv6, sameEndpoint,
} from '../../src/base/index.ts'

// Addresses as text and numbers: one spelling for each address, and the same idea of what an address is as Node has.

describe('IPv4 text', () => {
  it.each([
    ['0.0.0.0', 0],
    ['255.255.255.255', 0xffffffff],
    ['192.0.2.1', 0xc0000201],
  ])('%s is %i', (text, value) => {
    expect(parseIPv4(text)).toBe(value)
    expect(formatIPv4(value)).toBe(text)
  })

  it.each(['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.04', '1..2.3', '.1.2.3.4', '1.2.3.4.', ' 1.2.3.4', '1.2.3.a', '0x1.2.3.4'])(
    '%j is none',
    text => expect(parseIPv4(text)).toBe(-1),
  )
})

describe('IPv6 text', () => {
  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::192.0.2.1', '::c000:201'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['[2001:db8::1]', '2001:db8::1'],
  ])('%s is written %s (RFC 5952)', (text, canonical) => expect(canonicalAddress(text)).toBe(canonical))

  it.each([':', ':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '12345::', 'g::', '::1%eth0', '1:2:3:4:5:6:7::8', '::1.2.3', '1.2.3.4::', '[::1', 'name', ''])(
    '%j is none',
    text => expect(canonicalAddress(text)).toBe(null),
  )
})

it('what is an address to Node is one to us, and nothing else', () => {
  const piece = fc.constantFrom('0', '1', 'ff', 'ffff', '10', '255', '256', ':', '::', '.', 'a', '12345', '')
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.array(piece, { maxLength: 17 }).map(parts => parts.join(''))), text => {
      expect(parseIPv4(text) >= 0).toBe(isIPv4(text))
      expect(parseIPv6(text) !== null).toBe(isIPv6(text))
    }),
    { numRuns: 3000 },
  )
})

it('addresses survive numbers and bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0, 0, 1, 0xffff, 0x2001), { minLength: 8, maxLength: 8 }), groups => {
      const text = formatIPv6(groups)
      expect(parseIPv6(text)).toEqual(groups)
      const canonical = canonicalAddress(text) ?? ''
      const bytes = new Uint8Array(20)
      const family = addressToBytes(canonical, bytes, 2)
      expect(addressFromBytes(bytes, 2, family)).toBe(canonical)
    }),
  )
})

it('endpoints are written as people type them', () => {
  expect(endpointText(endpoint('192.0.2.1', 80))).toBe('192.0.2.1:80')
  expect(endpointText(endpoint('2001:db8::1', 80))).toBe('[2001:db8::1]:80')
  expect(sameEndpoint(endpoint('::1', 1), endpoint('::1', 1))).toBe(true)
  expect(sameEndpoint(endpoint('::1', 1), endpoint('::1', 2))).toBe(false)
})
