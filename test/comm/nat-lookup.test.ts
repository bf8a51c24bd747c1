import { constants } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AF_INET,
  AF_INET6,
  decideGetsockname,
  decideNetfilter,
  endpointToSockaddr,
  netfilterLength,
  netfilterLevel,
  sockaddrToEndpoint,
} from '../../comm/nat-lookup/index.ts'
import { canonicalAddress, type Endpoint, endpoint } from '../../src/base/index.ts'
import vectors from './nat-vectors.json' with { type: 'json' }

// Guards the judgement on what Linux answers. Vectors are structures as compiled C lays them out and answers measured
// on a live kernel (nat-vectors.json); the cases around them are what kernels answer when something is wrong.

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const nobody = () => false
const { ENOENT, ENOPROTOOPT, EINVAL, EBADF } = constants.errno

const local4 = endpoint('10.0.0.1', 3129)
const local6 = endpoint('::1', 3129)
const answer4 = hex('0200 0050 c6336407 0000000000000000')
const answer6 = hex('0a00 0050 00000000 20010db8000b00000000000000000007 00000000')

describe('netfilter', () => {
  for (const v of vectors.netfilter) {
    it(`reads ${v.what}`, () => {
      const local = endpoint(v.local.address, v.local.port)
      expect(netfilterLevel(local)).toBe(v.level)
      expect(netfilterLength(local)).toBe(v.length)
      const expected =
        v.original === null ? { kind: 'direct' } : { kind: 'nat', destination: endpoint(v.original.address, v.original.port) }
      expect(decideNetfilter(hex(v.answer), 0, v.length, local, nobody)).toEqual(expected)
    })
  }

  it('reads in the middle of a slab and not one byte past the structure', () => {
    const slab = Buffer.alloc(200, 0xee)
    answer4.copy(slab, 100)
    expect(decideNetfilter(slab, 100, 16, local4, nobody)).toEqual({
      kind: 'nat',
      destination: endpoint('198.51.100.7', 80),
    })
    answer6.copy(slab, 150)
    expect(decideNetfilter(slab, 150, 28, local6, nobody)).toEqual({
      kind: 'nat',
      destination: endpoint('2001:db8:b::7', 80),
    })
  })

  it('believes the structure and not a length the kernel left as the caller gave it', () => {
    const roomy = Buffer.concat([answer4, Buffer.alloc(112, 0xee)])
    expect(decideNetfilter(roomy, 0, 128, local4, nobody)).toEqual({
      kind: 'nat',
      destination: endpoint('198.51.100.7', 80),
    })
  })

  it('counts a redirect that changes the port alone', () => {
    const local = endpoint('198.51.100.7', 3129)
    expect(decideNetfilter(answer4, 0, 16, local, nobody)).toEqual({
      kind: 'nat',
      destination: endpoint('198.51.100.7', 80),
    })
  })

  it('is direct when the answer is our own end', () => {
    expect(decideNetfilter(answer4, 0, 16, endpoint('198.51.100.7', 80), nobody)).toEqual({ kind: 'direct' })
    expect(decideNetfilter(answer6, 0, 28, endpoint('2001:db8:b::7', 80), nobody)).toEqual({ kind: 'direct' })
  })

  it('is direct when the answer is another endpoint of ours', () => {
    const asked: Endpoint[] = []
    const answer = decideNetfilter(answer4, 0, 16, local4, e => asked.push(e) === 1)
    expect(answer).toEqual({ kind: 'direct' })
    expect(asked).toEqual([endpoint('198.51.100.7', 80)])
  })

  it('tells "no entry" from "could not ask"', () => {
    expect(decideNetfilter(answer4, 0, -ENOENT, local4, nobody)).toEqual({ kind: 'none', errno: 'ENOENT' })
    expect(decideNetfilter(answer4, 0, -ENOPROTOOPT, local4, nobody)).toEqual({ kind: 'none', errno: 'ENOPROTOOPT' })
    expect(decideNetfilter(answer4, 0, -EINVAL, local4, nobody)).toEqual({
      kind: 'broken',
      why: 'SO_ORIGINAL_DST failed with EINVAL',
    })
    expect(decideNetfilter(answer4, 0, -EBADF, local4, nobody).kind).toBe('broken')
    expect(decideNetfilter(answer4, 0, -99999, local4, nobody)).toEqual({
      kind: 'broken',
      why: 'SO_ORIGINAL_DST failed with errno 99999',
    })
  })

  const impossible: readonly (readonly [string, Buffer, number, Endpoint])[] = [
    ['a structure cut short', answer4, 15, local4],
    ['an IPv4 structure where IPv6 was asked', answer4, 16, local6],
    ['an IPv4 family with an IPv6 length', Buffer.concat([answer4, Buffer.alloc(12)]), 28, local6],
    ['an IPv6 family where IPv4 was asked', answer6, 28, local4],
    ['the family in the wrong byte order', hex('0002 0050 c6336407 0000000000000000'), 16, local4],
    ['another address family', hex('0100 0050 c6336407 0000000000000000'), 16, local4],
    ['port 0', hex('0200 0000 c6336407 0000000000000000'), 16, local4],
    ['address 0.0.0.0', hex('0200 0050 00000000 0000000000000000'), 16, local4],
    ['nothing but zeros', Buffer.alloc(16), 16, local4],
    ['address ::', hex(`0a00 0050 00000000 ${'00'.repeat(16)} 00000000`), 28, local6],
    ['an IPv4 client address from the IPv6 table', hex('0a00 0050 00000000 00000000000000000000ffffc6336407 00000000'), 28, local6],
    ['fewer bytes than it says', answer4.subarray(0, 12), 16, local4],
    ['a length of 0', answer4, 0, local4],
  ]
  for (const [what, bytes, length, local] of impossible) {
    it(`is broken by ${what}`, () => {
      expect(decideNetfilter(bytes, 0, length, local, nobody).kind).toBe('broken')
    })
  }
})

describe('getsockname', () => {
  it('is tproxy with the socket as it is', () => {
    expect(decideGetsockname(endpoint('203.0.113.10', 80), nobody)).toEqual({
      kind: 'tproxy',
      destination: endpoint('203.0.113.10', 80),
    })
  })
  it('is direct when the socket is our listener', () => {
    expect(decideGetsockname(local4, e => e.port === 3129)).toEqual({ kind: 'direct' })
  })
  it('is broken by an end that cannot be one', () => {
    expect(decideGetsockname(endpoint('0.0.0.0', 80), nobody).kind).toBe('broken')
    expect(decideGetsockname(endpoint('::', 80), nobody).kind).toBe('broken')
    expect(decideGetsockname(endpoint('203.0.113.10', 0), nobody).kind).toBe('broken')
  })
})

describe('sockaddr', () => {
  const groups = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
  const address = fc.oneof(
    fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }).map(octets => octets.join('.')),
    groups.map(g => canonicalAddress(g.map(n => n.toString(16)).join(':')) ?? ''),
  )

  it('gives back what was written, at any place, in either byte order, and touches nothing else', () => {
    fc.assert(
      fc.property(address, fc.nat(65535), fc.nat(40), fc.boolean(), fc.boolean(), (text, port, at, littleEndian, asIPv6) => {
        const bytes = Buffer.alloc(80, 0xaa)
        const e = endpoint(text, port)
        const length = endpointToSockaddr(e, bytes, at, { littleEndian, asIPv6 })
        expect(length).toBe(e.family === 6 || asIPv6 ? 28 : 16)
        expect(sockaddrToEndpoint(bytes, at, littleEndian)).toEqual(e)
        expect(bytes.subarray(0, at).every(b => b === 0xaa)).toBe(true)
        expect(bytes.subarray(at + length).every(b => b === 0xaa)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('writes the structures of the kernel', () => {
    const bytes = Buffer.alloc(28, 0xaa)
    expect(endpointToSockaddr(endpoint('198.51.100.7', 80), bytes, 0, { littleEndian: true })).toBe(16)
    expect(bytes.subarray(0, 16)).toEqual(answer4)
    expect(endpointToSockaddr(endpoint('2001:db8:b::7', 80), bytes, 0, { littleEndian: true })).toBe(28)
    expect(bytes).toEqual(answer6)
    endpointToSockaddr(endpoint('198.51.100.7', 80), bytes, 0, { littleEndian: true, asIPv6: true })
    expect(bytes).toEqual(hex('0a00 0050 00000000 00000000000000000000ffffc6336407 00000000'))
    endpointToSockaddr(endpoint('198.51.100.7', 80), bytes, 0, { littleEndian: false })
    expect(bytes.subarray(0, 16)).toEqual(hex('0002 0050 c6336407 0000000000000000'))
  })

  it('knows no other family and no cut structure', () => {
    expect(sockaddrToEndpoint(hex('0100 0050 c6336407 0000000000000000'), 0, true)).toBeNull()
    expect(sockaddrToEndpoint(answer4.subarray(0, 15), 0, true)).toBeNull()
    expect(sockaddrToEndpoint(answer6.subarray(0, 27), 0, true)).toBeNull()
    expect(sockaddrToEndpoint(Buffer.alloc(0), 0, true)).toBeNull()
    expect([AF_INET, AF_INET6]).toEqual([2, 10])
  })
})
