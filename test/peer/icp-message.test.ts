// ICP on the wire: the bytes Squid 5.7 answered with, and that no bytes whatsoever are taken for more than they are.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { icpAnswer, icpOpcodes, icpQuery, readIcp } from '../../src/peer/index.ts'

describe('a message', () => {
  it('of a query has four bytes for the requester before its URI', () => {
    expect(icpQuery('http://a/', 77).toString('hex')).toBe(`01020022${'0000004d'}${'00'.repeat(16)}${Buffer.from('http://a/\0').toString('hex')}`)
  })

  it('of an answer has none', () => {
    const bytes = icpAnswer('hit', 'http://127.0.0.1:34771/fresh', 77)
    expect(bytes).toHaveLength(49) // as Squid's
    expect(bytes.subarray(0, 8).toString('hex')).toBe('020200310000004d')
    expect(readIcp(bytes)).toEqual({ opcode: icpOpcodes.hit, requestNumber: 77, uri: 'http://127.0.0.1:34771/fresh' })
  })

  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.webUrl(), fc.nat({ max: 0xffffffff }), (uri, number) => {
        expect(readIcp(icpQuery(uri, number))).toEqual({ opcode: icpOpcodes.query, requestNumber: number, uri })
        expect(readIcp(icpAnswer('miss', uri, number))).toEqual({ opcode: icpOpcodes.miss, requestNumber: number, uri })
      }),
    )
  })

  it('that was cut or changed is none, or what it says', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), array => {
        const bytes = Buffer.from(array)
        const message = readIcp(bytes)
        if (message !== null) expect(message.uri.length).toBeLessThan(bytes.length - 19)
      }),
    )
    const query = icpQuery('http://a/', 1)
    for (let end = 0; end < query.length; end++) expect(readIcp(query.subarray(0, end))).toBeNull()
  })
})
