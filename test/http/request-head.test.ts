import { describe, expect, it } from 'vitest'
import { badReasons, parseRequestHead, usualHeadLimits } from '../../src/http/index.ts'
import { bytes, read, readHead } from './reading.ts'
import { refused } from './refused.ts'

// Guards: what a request head may look like, to the byte. Each refusal is a place where two programs could read the
// same bytes as different requests, or where nobody could read them.

const get = (lines: string): string => `GET / HTTP/1.1\r\nHost: a.example\r\n${lines}\r\n`

describe('a request head is read', () => {
  it('with everything it says', () => {
    const text = 'POST /a?b=%20c HTTP/1.1\r\nHOST: A.example:8080\r\ncontent-LENGTH: 5\r\nX-Odd:\t one  two \t\r\nEmpty:\r\n\r\n'
    expect(readHead(text)).toMatchObject({
      method: 'POST',
      target: '/a?b=%20c',
      form: 'origin',
      absolute: null,
      connect: null,
      versionMajor: 1,
      versionMinor: 1,
      headBytes: text.length,
      framing: { kind: 'length', length: 5 },
      keepAlive: true,
      expectContinue: false,
      upgrade: null,
      host: 'A.example:8080',
      hostPort: { host: 'a.example', port: 8080 },
    })
    const { fields } = readHead(text)
    expect(fields.pairs).toEqual(['HOST', 'A.example:8080', 'content-LENGTH', '5', 'X-Odd', 'one  two', 'Empty', ''])
    expect([0, 1, 2, 3].map(i => fields.lowerAt(i))).toEqual(['host', 'content-length', 'x-odd', 'empty'])
  })

  it('up to its own end and no further', () => {
    const text = get('') + get('')
    const slab = bytes(text)
    const first = parseRequestHead(slab, 0, slab.length, usualHeadLimits)
    expect(first).toMatchObject({ kind: 'head', end: text.length / 2 })
  })

  it.each<[string, object]>([
    ['OPTIONS * HTTP/1.1', { form: 'asterisk', target: '*' }],
    ['CONNECT A.example:443 HTTP/1.1', { form: 'authority', connect: { host: 'a.example', port: 443 } }],
    ['CONNECT [2001:DB8::1]:443 HTTP/1.1', { form: 'authority', connect: { host: '2001:db8::1', port: 443 } }],
    ['GET http://B.example:81/x?y HTTP/1.1', {
      form: 'absolute', absolute: { scheme: 'http', host: 'b.example', port: 81, path: '/x?y' },
    }],
    ['GET HTTPS://b.example HTTP/1.1', { absolute: { scheme: 'https', host: 'b.example', port: 0, path: '/' } }],
    ['OPTIONS http://b.example?q HTTP/1.1', { absolute: { scheme: 'http', host: 'b.example', port: 0, path: '/?q' } }],
    ['GET //b.example/x HTTP/1.1', { form: 'origin', target: '//b.example/x' }],
    ['GET /"<>\\^`{|}[] HTTP/1.1', { target: '/"<>\\^`{|}[]' }],
    ["M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1", { method: "M-SEARCH!#$%&'*+.^_`|~" }],
    ['get / HTTP/1.1', { method: 'get' }],
    ['GEX / HTTP/1.1', { method: 'GEX' }],
    ['GXT / HTTP/1.1', { method: 'GXT' }],
    ['XET / HTTP/1.1', { method: 'XET' }],
    ['GE / HTTP/1.1', { method: 'GE' }],
    ['GETS / HTTP/1.0', { method: 'GETS', versionMinor: 0 }],
  ])('%s', (line, expected) => {
    expect(readHead(`${line}\r\nHost: a.example\r\n\r\n`)).toMatchObject(expected)
  })

  it.each<[string, string, boolean]>([
    ['1.1', '', true],
    ['1.1', 'Connection: close\r\n', false],
    ['1.1', 'Connection: CLOSE\r\n', false],
    ['1.1', 'Connection: x, close ,y\r\n', false],
    ['1.1', 'Connection: x\r\nCONNECTION: close\r\n', false],
    ['1.1', 'Connection: closed\r\n', true],
    ['1.1', 'Connection: keep-alive, close\r\n', false],
    ['1.1', 'Proxy-Connection: close\r\n', false],
    ['1.0', '', false],
    ['1.0', 'Connection: Keep-Alive\r\n', true],
    ['1.0', 'Connection: keep-alive\r\nConnection: close\r\n', false],
    ['1.0', 'Proxy-Connection: keep-alive\r\n', true],
    ['1.0', 'Connection: close\r\nProxy-Connection: keep-alive\r\n', false],
  ])('HTTP/%s with %j persists: %s', (version, lines, persists) => {
    expect(readHead(`GET / HTTP/${version}\r\nHost: a\r\n${lines}\r\n`).keepAlive).toBe(persists)
  })

  it.each<[string, string, object]>([
    ['none', '', { kind: 'none', length: 0 }],
    ['a length', 'Content-Length: 10\r\n', { kind: 'length', length: 10 }],
    ['no bytes', 'Content-Length: 0\r\n', { kind: 'length', length: 0 }],
    ['leading zeros', 'Content-Length: 00000000000010\r\n', { kind: 'length', length: 10 }],
    ['the largest', 'Content-Length: 999999999999999\r\n', { kind: 'length', length: 999999999999999 }],
    ['white space around', 'Content-Length:   7  \r\n', { kind: 'length', length: 7 }],
    ['chunked', 'Transfer-Encoding: chunked\r\n', { kind: 'chunked', length: 0 }],
    ['chunked in any case', 'tRANSFER-eNCODING:  ChunkeD \r\n', { kind: 'chunked', length: 0 }],
  ])('content: %s', (_, lines, framing) => {
    expect(readHead(get(lines)).framing).toEqual(framing)
  })

  it('no content, said aloud, in CONNECT', () => {
    const head = readHead('CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    expect(head.framing).toEqual({ kind: 'length', length: 0 })
  })

  it('expects 100 only where content follows and the version has it', () => {
    const asks = 'Expect: 100-Continue\r\n'
    expect(readHead(get(`${asks}Content-Length: 1\r\n`)).expectContinue).toBe(true)
    expect(readHead(get(`${asks}Transfer-Encoding: chunked\r\n`)).expectContinue).toBe(true)
    expect(readHead(get(asks)).expectContinue).toBe(false)
    expect(readHead(get(`${asks}Content-Length: 0\r\n`)).expectContinue).toBe(false)
    expect(readHead(`POST / HTTP/1.0\r\n${asks}Content-Length: 1\r\n\r\n`).expectContinue).toBe(false)
    expect(readHead('POST / HTTP/1.0\r\nExpect: miracles\r\n\r\n').expectContinue).toBe(false)
  })

  it('upgrades only where Connection lists it and the version has it', () => {
    const upgrade = 'Upgrade: websocket\r\n'
    expect(readHead(get(`${upgrade}Connection: x, Upgrade\r\n`)).upgrade).toBe('websocket')
    expect(readHead(get(`${upgrade}Connection: x\r\nConnection: upgrade\r\nUpgrade: b\r\n`)).upgrade).toBe('websocket, b')
    expect(readHead(get(upgrade)).upgrade).toBe(null)
    expect(readHead(get('Connection: upgrade\r\n')).upgrade).toBe(null)
    expect(readHead(`GET / HTTP/1.0\r\nConnection: upgrade\r\n${upgrade}\r\n`).upgrade).toBe(null)
  })

  it('without Host where that is allowed', () => {
    expect(readHead('GET / HTTP/1.0\r\n\r\n')).toMatchObject({ host: null, hostPort: null })
    expect(readHead('GET / HTTP/1.1\r\n\r\n', { hostRequired: false })).toMatchObject({ host: null, hostPort: null })
    expect(readHead('GET / HTTP/1.1\r\nHost:\r\n\r\n', { hostRequired: false })).toMatchObject({ host: null })
    expect(readHead('GET / HTTP/1.0\r\nHost: \r\n\r\n')).toMatchObject({ host: null })
  })

  it('behind one or two empty lines, which count as bytes of the head', () => {
    expect(readHead(`\r\n${get('')}`).headBytes).toBe(get('').length + 2)
    expect(readHead(`\r\n\r\n${get('')}`).headBytes).toBe(get('').length + 4)
    expect(read(`\r\n\r\n\r\n${get('')}`)).toBe('request-line')
    for (const text of ['', '\r', '\r\n', '\r\n\r', '\r\n\r\n']) expect(read(text)).toBe('more')
  })
})

describe('a request head is refused', () => {
  it.each(refused)('%s: %j', (why, text) => {
    expect(read(text)).toBe(why)
  })

  it('with an error from the table for every reason', () => {
    const named = new Set(refused.map(([why]) => why))
    const elsewhere = ['status-line', 'trailer-framing', 'line-too-long', 'head-too-long', 'fields-too-many', 'trailers-too-long']
    for (const why of Object.keys(badReasons)) {
      if (!why.startsWith('chunk') && !elsewhere.includes(why)) expect(named, why).toContain(why)
    }
  })

  it('as soon as the request line is there, without waiting for the rest', () => {
    expect(read('GET /')).toBe('more')
    expect(read('GET /\r')).toBe('more')
    expect(read('GET /\r\n')).toBe('http-0.9')
    expect(read('HELO a.example\r\n')).toBe('http-0.9')
    expect(read('\x80')).toBe('more')
    expect(read('GET / HTTP/1.1\r\nHost: a\r\nA: \0')).toBe('control')
    expect(read('GET / HTTP/1.1\r\nHost: a\n')).toBe('bare-lf')
  })
})

describe('limits hold to the byte, and before the head is complete', () => {
  const line = 'GET /123456789 HTTP/1.1\r\n' // 25 bytes

  it('of the request line', () => {
    const text = `${line}Host: a\r\n\r\n`
    expect(readHead(text, { lineBytesMax: line.length }).target).toBe('/123456789')
    expect(read(text, { lineBytesMax: line.length - 1 })).toBe('line-too-long')
    expect(read(line.slice(0, -2), { lineBytesMax: line.length - 1 })).toBe('more')
    expect(read(line.slice(0, -1), { lineBytesMax: line.length - 1 })).toBe('line-too-long')
    expect(read('x'.repeat(40), { lineBytesMax: 40 })).toBe('line-too-long')
    expect(read('x'.repeat(39), { lineBytesMax: 40 })).toBe('more')
  })

  it('of the head', () => {
    const text = `${line}Host: a\r\nX: ${'y'.repeat(50)}\r\n\r\n`
    expect(typeof readHead(text, { headBytesMax: text.length })).toBe('object')
    expect(read(text, { headBytesMax: text.length - 1 })).toBe('head-too-long')
    expect(read(text.slice(0, -1), { headBytesMax: text.length - 1 })).toBe('head-too-long')
    expect(read(text.slice(0, -2), { headBytesMax: text.length - 1 })).toBe('more')
  })

  it('of the number of fields', () => {
    const text = `${line}Host: a\r\nA: 1\r\nB: 2\r\n\r\n`
    expect(readHead(text, { fieldsMax: 3 }).fields.size).toBe(3)
    expect(read(text, { fieldsMax: 2 })).toBe('fields-too-many')
  })

  it('also for a head larger than what is tried whole', () => {
    const text = get(`X: ${'y'.repeat(20_000)}\r\n`)
    expect(readHead(text).fields.get('x')).toHaveLength(20_000)
    expect(read(text, { headBytesMax: 20_000 })).toBe('head-too-long')
  })
})
