import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  authorityText, defaultPort, effectiveUri, hostText, originTarget, parseAbsolute, parseAuthority, parseHostField,
  resolveReference, uriText,
} from '../../src/http/index.ts'
import { readHead } from './reading.ts'

// Guards: one spelling of a host has one meaning, and a request has exactly one target URI.

describe('Host', () => {
  it.each<[string, string, number]>([
    ['a', 'a', 0],
    ['A.Example', 'a.example', 0],
    ['a.example:80', 'a.example', 80],
    ['a.example:', 'a.example', 0],
    ['a.example.', 'a.example.', 0],
    ['x_y-z~.example:65535', 'x_y-z~.example', 65535],
    ['xn--bcher-kva.example:1', 'xn--bcher-kva.example', 1],
    ['a:00080', 'a', 80],
    ['192.0.2.1', '192.0.2.1', 0],
    ['192.0.2.1:8080', '192.0.2.1', 8080],
    ['1.example', '1.example', 0],
    ['1a.2b', '1a.2b', 0],
    ['a.0b', 'a.0b', 0],
    ['0a', '0a', 0],
    ['a.1b.', 'a.1b.', 0],
    ['[::1]', '::1', 0],
    ['[2001:DB8:0:0:0:0:0:1]:443', '2001:db8::1', 443],
    ['[::ffff:192.0.2.1]:80', '192.0.2.1', 80],
    ['[::]:', '::', 0],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`, 0],
  ])('%j', (text, host, port) => expect(parseHostField(text)).toEqual({ host, port }))

  it.each([
    '', ':', ':80', '.', '..', '.a', 'a..b', 'a..', 'a b', ' a', 'a ', 'a\t', 'a,b', 'a/b', 'a?b', 'a#b', 'a\\b', 'a@b', 'u:p@b',
    'a%41', "a'b", 'a"b', 'a;b', 'a&b', 'a=b', 'a+b', 'a(b', 'a*b', 'a!b', 'a$b', 'a|b', 'a<b', 'a\0', '\xe4', '\u212a',
    'http://a', 'a:x', 'a:-1', 'a:+1', 'a:0', 'a:65536', 'a:100000', 'a:80x', 'a:80:80', 'a: 80', 'a:8 0',
    '1', '127.1', '2130706433', '0x7f.0.0.1', '0X7f000001', '0x', '127.0.0.01', '256.1.1.1', '1.2.3', '1.2.3.4.5', '1.2.3.4.',
    'a.1', 'a.1.', 'a.0x1', 'a.0x1.', 'a.0xg', '0177.0.0.1',
    '[', '[]', '[::1', '::1', '[::1]x', '[::1]:0', '[::1]:x', '[1.2.3.4]', '[::g]', '[:::]', '[fe80::1%25eth0]', '[fe80::1%eth0]',
    '[v1.a]', '[::1]]', '[[::1]]', `[${'0:'.repeat(40)}]`, 'a'.repeat(255),
  ])('refused: %j', text => expect(parseHostField(text)).toBe(null))

  it('never throws, and means the same when written again', () => {
    const unit = fc.constantFrom(...'aZ09.-_:[]%/@ ,\\\0', '::', '192.0.2.1', '0x', '\xe9')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), text => {
        const parsed = parseHostField(text)
        if (parsed === null) return
        expect(parseHostField(authorityText('none', parsed.host, parsed.port))).toEqual(parsed)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('authority-form', () => {
  it('needs a port', () => {
    expect(parseAuthority('A:443')).toEqual({ host: 'a', port: 443 })
    for (const text of ['a', 'a:', 'a:0', 'u@a:1', '/a:1', '']) expect(parseAuthority(text), text).toBe(null)
  })
})

describe('absolute-form', () => {
  it.each<[string, string, string, number, string]>([
    ['http://a', 'http', 'a', 0, '/'],
    ['HTTP://A:80/B', 'http', 'a', 80, '/B'],
    ['https://a:443?q', 'https', 'a', 443, '/?q'],
    ['http://a/%7Eb/../c//d?e=%20#'.slice(0, -1), 'http', 'a', 0, '/%7Eb/../c//d?e=%20'],
    ['ftp://[::1]:21/x', 'ftp', '::1', 21, '/x'],
    ['http://a//b', 'http', 'a', 0, '//b'],
    ['http://a/x://y@z', 'http', 'a', 0, '/x://y@z'],
  ])('%j', (text, scheme, host, port, path) => expect(parseAbsolute(text)).toEqual({ scheme, host, port, path }))

  it.each([
    '', '/', 'http', 'http:', 'http:/', 'http://', 'http:///a', 'http:a', '://a', 'h2://a', 'ht tp://a', 'http://u@a/',
    'http://a\\b', 'http://a#b', 'http://a/#b', 'http://a/ ', 'http://a/\xe9', 'http://a/\u0141', 'http://:80/', 'http://1/',
    'urn:a', 'mailto:a@b', '*',
  ])('refused: %j', text => expect(parseAbsolute(text)).toBe(null))
})

describe('a URI is written', () => {
  it('without the port of its scheme, IPv6 in brackets', () => {
    expect(uriText('http', 'a', 80, '/x')).toBe('http://a/x')
    expect(uriText('http', 'a', 443, '/x')).toBe('http://a:443/x')
    expect(uriText('https', '::1', 443, '/')).toBe('https://[::1]/')
    expect(uriText('https', '::1', 0, '/')).toBe('https://[::1]/')
    expect(authorityText('ftp', '::1', 2121)).toBe('[::1]:2121')
    expect([hostText('a'), hostText('::1')]).toEqual(['a', '[::1]'])
    expect([defaultPort('http'), defaultPort('https'), defaultPort('ftp'), defaultPort('x')]).toEqual([80, 443, 21, 0])
  })
})

describe('the target URI of a request', () => {
  const original = { host: '192.0.2.1', port: 8080 }
  const uri = (text: string) => effectiveUri(readHead(text, { hostRequired: false }), 'http', original)

  it('comes from Host, or from the original destination', () => {
    expect(uri('GET /x HTTP/1.1\r\nHost: A:81\r\n\r\n')).toEqual({ scheme: 'http', host: 'a', port: 81, path: '/x' })
    expect(uri('GET /x HTTP/1.1\r\n\r\n')).toEqual({ scheme: 'http', host: '192.0.2.1', port: 8080, path: '/x' })
    expect(uri('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n')).toEqual({ scheme: 'http', host: 'a', port: 0, path: '' })
  })

  it('ignores Host where the target is absolute, or an authority (RFC 9112 3.2.2)', () => {
    expect(uri('GET https://real/x HTTP/1.1\r\nHost: evil\r\n\r\n')).toEqual({
      scheme: 'https', host: 'real', port: 0, path: '/x',
    })
    expect(uri('CONNECT real:443 HTTP/1.1\r\nHost: evil\r\n\r\n')).toMatchObject({ host: 'real', port: 443, path: '' })
  })

  it('goes to an origin in origin-form', () => {
    const target = (line: string) => originTarget(readHead(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`))
    expect(target('GET /x?y')).toBe('/x?y')
    expect(target('GET http://b')).toBe('/')
    expect(target('GET http://b?q')).toBe('/?q')
    expect(target('OPTIONS *')).toBe('*')
    expect(target('OPTIONS http://b')).toBe('*')
    expect(target('OPTIONS http://b/')).toBe('/')
    expect(target('OPTIONS http://b?q')).toBe('/?q')
  })
})

describe('a reference is resolved', () => {
  const base = { scheme: 'http', host: 'a', port: 8080, path: '/b/c/d?q' }
  const resolved = (reference: string): string | null => {
    const found = resolveReference(reference, base)
    return found === null ? null : uriText(found.scheme, found.host, found.port, found.path)
  }

  // the cases of RFC 3986 5.4 that a reference to another resource of ours can be
  it.each<[string, string | null]>([
    ['g', 'http://a:8080/b/c/g'],
    ['./g', 'http://a:8080/b/c/g'],
    ['g/', 'http://a:8080/b/c/g/'],
    ['/g', 'http://a:8080/g'],
    ['//g', 'http://g/'],
    ['?y', 'http://a:8080/b/c/d?y'],
    ['g?y', 'http://a:8080/b/c/g?y'],
    ['#s', 'http://a:8080/b/c/d?q'],
    ['g#s', 'http://a:8080/b/c/g'],
    ['g?y#s', 'http://a:8080/b/c/g?y'],
    ['', 'http://a:8080/b/c/d?q'],
    ['.', 'http://a:8080/b/c/'],
    ['..', 'http://a:8080/b/'],
    ['../', 'http://a:8080/b/'],
    ['../g', 'http://a:8080/b/g'],
    ['../../../g', 'http://a:8080/g'],
    ['/./g', 'http://a:8080/g'],
    ['g.', 'http://a:8080/b/c/g.'],
    ['..g', 'http://a:8080/b/c/..g'],
    ['./g/.', 'http://a:8080/b/c/g/'],
    ['g?y/../x', 'http://a:8080/b/c/g?y/../x'],
    ['HTTPS://G:443/x#s', 'https://g/x'],
    ['mailto:x', null],
    ['http:g', null],
    ['g h', null],
    ['//u@g/', null],
  ])('%j', (reference, expected) => expect(resolved(reference)).toBe(expected))
})
