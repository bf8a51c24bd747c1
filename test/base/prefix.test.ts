import { describe, expect, test } from 'vitest'
import { addressOfWords, addressWords, parsePrefix, prefixHolds, prefixText } from '../../src/base/index.ts'

// Networks as numbers: what is one, which addresses it holds, and that the edges are exact.

describe('prefixes', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:db8::1/33', '2001:db8::/33'],
    ['2001:db8:ffff::/33', '2001:db8:8000::/33'],
    ['::/0', '::/0'],
    ['::1', '::1/128'],
    ['::ffff:192.0.2.0/120', '192.0.2.0/24'],
  ])('%s is %s', (text, canonical) => {
    const prefix = parsePrefix(text)
    expect(prefix && prefixText(prefix)).toBe(canonical)
  })

  test.each(['', '10', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '::/129', '10.0.0.0/0x8', 'a::b::c', '::ffff:1.2.3.4/95', 'host', '1.2.3.4-1.2.3.5'])(
    '%s is none',
    text => expect(parsePrefix(text)).toBeNull(),
  )

  test.each([
    ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0', '::a00:0']],
    ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], ['::']],
    ['192.0.2.1', ['192.0.2.1', '::ffff:192.0.2.1'], ['192.0.2.0', '192.0.2.2']],
    ['2001:db8::/33', ['2001:db8::', '2001:db8:7fff:ffff:ffff:ffff:ffff:ffff'], ['2001:db8:8000::', '2001:db7::', '32.1.13.184']],
    ['::/0', ['::', 'ffff::'], ['1.2.3.4']],
  ])('%s holds exactly its addresses', (text, inside, outside) => {
    const prefix = parsePrefix(text)
    expect(prefix).not.toBeNull()
    if (prefix === null) return
    for (const address of inside) expect(prefixHolds(prefix, addressWords(address) ?? []), address).toBe(true)
    for (const address of outside) expect(prefixHolds(prefix, addressWords(address) ?? []), address).toBe(false)
  })

  test.each(['0.0.0.0', '192.0.2.33', '255.255.255.255', '::', '2001:db8::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'])(
    '%s comes back from its words',
    address => expect(addressOfWords(addressWords(address) ?? [])).toBe(address),
  )
})
