import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatIPv4, formatIPv6, parseIPv4 } from '../../src/base/index.ts'
import { compileAcls } from '../../src/acl/index.ts'
import { acl, factsOf, matches, remarks } from './kit.ts'

// Guards the values of src, dst and localip, and the sets they make, against a naive reading of the same values.

const src = (value: string, address: string): boolean => matches(acl('a', 'src', value), factsOf({ clientAddress: address }))

describe('values', () => {
  test.each([
    ['192.0.2.1', ['192.0.2.1'], ['192.0.2.0', '192.0.2.2', '2001:db8::1']],
    ['192.0.2.0/24', ['192.0.2.0', '192.0.2.255'], ['192.0.1.255', '192.0.3.0']],
    ['192.0.2.0/255.255.255.0', ['192.0.2.0', '192.0.2.255'], ['192.0.3.0']],
    ['192.0.2.8-192.0.2.11', ['192.0.2.8', '192.0.2.11'], ['192.0.2.7', '192.0.2.12']],
    ['10.0.0.0-10.0.5.0/24', ['10.0.0.0', '10.0.5.255'], ['10.0.6.0', '9.255.255.255']],
    ['all', ['0.0.0.0', '255.255.255.255', '::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], []],
    ['0/0', ['8.8.8.8', '2001:db8::1'], []],
    ['0.0.0.0/0', ['8.8.8.8', '2001:db8::1'], []],
    ['0.0.0.0/0.0.0.0', ['8.8.8.8', '2001:db8::1'], []],
    ['0.0.0.0-255.255.255.255', ['8.8.8.8', '2001:db8::1'], []],
    ['ipv4', ['8.8.8.8'], ['2001:db8::1']],
    ['ipv6', ['2001:db8::1'], ['8.8.8.8']],
    ['none', [], ['0.0.0.0', '::']],
    ['2001:db8::/32', ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'], ['2001:db9::', '192.0.2.1']],
    ['2001:DB8::1', ['2001:db8::1'], ['2001:db8::2']],
    ['fe80::1-fe80::5', ['fe80::1', 'fe80::5'], ['fe80::', 'fe80::6']],
    ['2001:db8::/ffff:ffff::', ['2001:db8:1::'], ['2001:db9::']],
    ['::ffff:192.0.2.0/120', ['192.0.2.200'], ['192.0.3.1']],
    ['::/0', ['::', 'ffff::'], ['1.2.3.4']],
  ])('%s', (value, inside, outside) => {
    for (const address of inside) expect(src(value, address), address).toBe(true)
    for (const address of outside) expect(src(value, address), address).toBe(false)
  })

  test.each([
    ['0/0', "warning: '0/0' needs to be replaced by the term 'all'. [write 'all' instead of '0/0']"],
    ['10.0.0.0/255.0.0.0', "note: Netmasks are deprecated. Please use CIDR masks instead: '10.0.0.0/255.0.0.0' [write /8]"],
    ['10.0.0.1/8', "warning: aclIpParseIpData: Netmask masks away part of the specified IP in '10.0.0.1/8' ['10.0.0.1/8' covers 10.0.0.0 to 10.255.255.255]"],
    ['2001:db8::1/32', "warning: aclIpParseIpData: Netmask masks away part of the specified IP in '2001:db8::1/32' [the part beyond /32 is ignored]"],
    ['10.1/16', "fatal: aclIpParseIpData: '10.1/16' is not an address: IPv4 needs four octets of 0 to 255 [did you mean 10.1.0.0/16?]"],
    ['10.0.0.0/33', "fatal: aclIpParseIpData: unknown netmask in '10.0.0.0/33' [a mask is 0 to 32, or such as 255.255.0.0]"],
    ['10.0.0.0/255.0.255.0', "fatal: aclIpParseIpData: unknown netmask in '10.0.0.0/255.0.255.0' [a mask is 0 to 32, or such as 255.255.0.0]"],
    ['10.0.0.9-10.0.0.1', "fatal: aclIpParseIpData: the range '10.0.0.9-10.0.0.1' ends before it begins"],
    ['10.0.0.1-x', "fatal: aclIpParseIpData: unknown second address in '10.0.0.1-x'"],
    ['2001:db8:::1', "fatal: aclIpParseIpData: unknown address in '2001:db8:::1'"],
    ['what?', "fatal: aclIpParseIpData: unknown address in 'what?'"],
    ['10.0.0.1/', "fatal: aclIpParseIpData: unknown netmask in '10.0.0.1/' [write 10.0.0.1, or a mask behind the slash]"],
    ['10.0.0.300', "fatal: aclIpParseIpData: '10.0.0.300' is not an address: IPv4 needs four octets of 0 to 255"],
    ['2001:db8::/129', "fatal: aclIpParseIpData: unknown netmask in '2001:db8::/129' [a mask is 0 to 128]"],
  ])('%s: %s', (value, expected) => {
    expect(remarks(acl('a', 'src', value))).toEqual([expected])
  })

  test('overlaps are told, equal values are not', () => {
    expect(remarks(acl('a', 'src', '10.1.0.0/16 10.0.0.0/8 192.0.2.1 192.0.2.1'))).toEqual([
      "warning: '10.1.0.0/16' is part of '10.0.0.0/8' in ACL 'a' [it can be removed]",
    ])
    expect(remarks(acl('a', 'src', '10.0.0.0-10.0.0.9 10.0.0.5-10.0.0.20'))).toEqual([
      "warning: '10.0.0.5-10.0.0.20' and '10.0.0.0-10.0.0.9' overlap in ACL 'a'",
    ])
    expect(remarks(acl('a', 'src', '2001:db8::/32 2001:db8:1::/48'))).toEqual([
      "warning: '2001:db8:1::/48' is part of '2001:db8::/32' in ACL 'a' [it can be removed]",
    ])
  })

  test('a built-in value is never the one to remove', () => {
    const at = { file: '(built in)', line: 0, column: 0, from: null }
    const mine = acl('localhost', 'src', '127.0.0.0/8')
    const localhost = { ...mine, values: [{ text: '127.0.0.1/32', at, caseInsensitive: false }, ...mine.values] }
    expect(remarks(localhost)).toEqual([])
  })

  test('of thousands of overlaps ten are told', () => {
    const values = ['10.0.0.0/8', ...Array.from({ length: 500 }, (_, i) => `10.0.${i % 250}.${i % 200}`)]
    const told = remarks(acl('a', 'src', values))
    expect(told).toHaveLength(10)
    expect(told[9]).toContain('further overlaps in this ACL are not listed')
  })

  test('a host name counts from the moment it is resolved', () => {
    const { acls, problems } = compileAcls([acl('a', 'src', '192.0.2.1 gate.example')])
    expect(problems).toEqual([])
    expect(acls.pendingHosts.map(host => host.name)).toEqual(['gate.example'])
    const match = (address: string) => acls.get('a')?.match(factsOf({ clientAddress: address }))
    expect(match('198.51.100.7')).toBe(0)
    acls.pendingHosts[0]?.set(['198.51.100.7', '2001:db8::7'])
    expect([match('198.51.100.7'), match('2001:db8::7'), match('192.0.2.1'), match('198.51.100.8')]).toEqual([1, 1, 1, 0])
    acls.pendingHosts[0]?.set(['198.51.100.8'])
    expect([match('198.51.100.7'), match('198.51.100.8')]).toEqual([0, 1])
  })
})

// a small world, so that ranges touch, overlap and repeat
const corner = fc.constantFrom(0, 1, 2, 3, 7, 8, 254, 255, 256, 257, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff)
const rangeV4 = fc.tuple(corner, corner).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)

test('IPv4: merged ranges hold exactly what their ranges hold', () => {
  fc.assert(
    fc.property(fc.array(rangeV4, { maxLength: 12 }), corner, (ranges, probe) => {
      const value = ranges.map(([from, to]) => `${formatIPv4(from)}-${formatIPv4(to)}`)
      // `none` keeps the list from being empty, and a range of everything means IPv6 too: not asked here
      const naive = ranges.some(([from, to]) => probe >= from && probe <= to)
      expect(matches(acl('a', 'src', ['none', ...value]), factsOf({ clientAddress: formatIPv4(probe) }))).toBe(naive)
    }),
    { numRuns: 500 },
  )
})

test('IPv4: random networks against a naive search', () => {
  const network = fc.tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 1, max: 32 }))
  fc.assert(
    fc.property(fc.array(network, { minLength: 1, maxLength: 60 }), fc.array(fc.integer({ min: 0, max: 0xffffffff }), { minLength: 1, maxLength: 30 }), (networks, probes) => {
      const spans = networks.map(([address, bits]) => {
        const size = 2 ** (32 - bits)
        const start = Math.floor(address / size) * size
        return { text: `${formatIPv4(start)}/${bits}`, start, end: start + size - 1 }
      })
      const { acls } = compileAcls([acl('a', 'src', spans.map(s => s.text))])
      const edges = spans.flatMap(s => [s.start, s.end, s.start - 1, s.end + 1]).filter(n => n >= 0 && n <= 0xffffffff)
      for (const probe of [...probes, ...edges]) {
        const naive = spans.some(s => probe >= s.start && probe <= s.end) ? 1 : 0
        expect(acls.get('a')?.match(factsOf({ clientAddress: formatIPv4(probe) })), formatIPv4(probe)).toBe(naive)
      }
    }),
    { numRuns: 100 },
  )
})

const bigAddress = (n: bigint): string =>
  formatIPv6(Array.from({ length: 8 }, (_, i) => Number((n >> BigInt(112 - 16 * i)) & 0xffffn)))

test('IPv6: random networks against a naive search', () => {
  // few high bits differ, so that networks meet
  const address = fc.tuple(fc.bigInt({ min: 0n, max: 7n }), fc.bigInt({ min: 0n, max: (1n << 96n) - 1n })).map(([high, low]) => (high << 125n) | low | (1n << 124n))
  fc.assert(
    fc.property(fc.array(fc.tuple(address, fc.integer({ min: 1, max: 128 })), { minLength: 1, maxLength: 40 }), fc.array(address, { maxLength: 20 }), (networks, probes) => {
      const spans = networks.map(([n, bits]) => {
        const size = 1n << BigInt(128 - bits)
        const start = (n / size) * size
        return { text: `${bigAddress(start)}/${bits}`, start, end: start + size - 1n }
      })
      const { acls } = compileAcls([acl('a', 'src', spans.map(s => s.text))])
      const edges = spans.flatMap(s => [s.start, s.end, s.start - 1n, s.end + 1n]).filter(n => n >= 0n && n < 1n << 128n)
      for (const probe of [...probes, ...edges]) {
        const text = bigAddress(probe)
        if (parseIPv4(text) >= 0) continue
        const naive = spans.some(s => probe >= s.start && probe <= s.end) ? 1 : 0
        expect(acls.get('a')?.match(factsOf({ clientAddress: text })), text).toBe(naive)
      }
    }),
    { numRuns: 100 },
  )
})
