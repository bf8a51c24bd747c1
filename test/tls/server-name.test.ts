import fc from 'fast-check'
import { isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import { serverName } from '../../src/tls/index.ts'
import { addressBytes } from '../../src/tls/server-name.ts'

// Names of servers as certificates and ClientHellos know them. What is no name is told from what is; an address is its bytes.

describe('names', () => {
  test.each([
    ['Example.COM', { kind: 'dns', text: 'example.com' }],
    ['example.com.', { kind: 'dns', text: 'example.com' }],
    ['bücher.example', { kind: 'dns', text: 'xn--bcher-kva.example' }],
    ['_sip.example', { kind: 'dns', text: '_sip.example' }],
    ['localhost', { kind: 'dns', text: 'localhost' }],
    ['192.0.2.1', { kind: 'ip', text: '192.0.2.1' }],
    ['[2001:DB8::1]', { kind: 'ip', text: '2001:db8::1' }],
    ['fe80::1%eth0', { kind: 'ip', text: 'fe80::1' }],
    ['', null],
    ['.', null],
    ['a..b', null],
    ['*.example.com', null],
    ['a b', null],
    ['-a.example', null],
    ['a-.example', null],
    ['0x7f.1', { kind: 'dns', text: '0x7f.1' }],
    ['１２７.0.0.1', null],
    [`${'a'.repeat(63)}.example`, { kind: 'dns', text: `${'a'.repeat(63)}.example` }],
    [`${'a'.repeat(64)}.example`, null],
  ])('%j is %j', (host, wanted) => {
    expect(serverName(host)).toEqual(wanted)
  })

  test('whatever is taken for a name is one as certificates have it, and stays what it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.domain(), fc.string({ unit: 'grapheme' })), host => {
        const name = serverName(host)
        if (name === null || name.kind === 'ip') return name === null || isIP(name.text) !== 0
        expect(name.text).toMatch(/^[a-z0-9_.-]{1,253}$/)
        expect(isIP(name.text)).toBe(0)
        expect(serverName(name.text)).toEqual(name)
        return true
      }),
    )
  })
})

test('bytes of addresses are those of the network', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), bytes => {
      const groups = Array.from({ length: 8 }, (_, i) => (((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0)).toString(16))
      const [, shortest = ''] = /^http:\/\/\[(.+)\]\/$/.exec(new URL(`http://[${groups.join(':')}]`).href) ?? []
      expect(addressBytes(groups.join(':'))).toEqual(Buffer.from(bytes))
      expect(addressBytes(shortest)).toEqual(Buffer.from(bytes))
    }),
  )
  expect(addressBytes('::ffff:192.0.2.1')?.toString('hex')).toBe('00000000000000000000ffffc0000201')
  expect(addressBytes('::')?.toString('hex')).toBe('0'.repeat(32))
  expect(addressBytes('192.0.2.1')?.toString('hex')).toBe('c0000201')
  expect(addressBytes('example.com')).toBe(null)
})
