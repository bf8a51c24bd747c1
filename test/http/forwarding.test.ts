import { describe, expect, it } from 'vitest'
import {
  appendVia, cacheStatusText, endToEndFields, Fields, heuristicallyCacheable, isFieldValue, isHopByHop, isIdempotent,
  isSafe, maxForwards, parseVia, reasonPhrase, requestHeadText, responseHeadText, statusHasContent, viaNames,
} from '../../src/http/index.ts'
import { read } from './reading.ts'

// Guards: what we send on in other people's names: which fields pass, Via, and that no head we write is two heads.

describe('fields about one connection', () => {
  it('do not pass, nor do those Connection lists', () => {
    const fields = Fields.from([
      'Host', 'a', 'Connection', 'keep-alive, X-One', 'X-One', '1', 'Keep-Alive', 'timeout=5', 'X-Two', '2', 'TE', 'trailers',
      'connection', 'x-THREE', 'X-Three', '3', 'Transfer-Encoding', 'chunked', 'Upgrade', 'h2c', 'HTTP2-Settings', 'AA',
      'Proxy-Connection', 'keep-alive', 'Proxy-Authorization', 'x', 'Proxy-Authenticate', 'x', 'Trailer', 'X-Sum',
      'proxy-authentication-info', 'x',
    ])
    expect(endToEndFields(fields).pairs).toEqual(['Host', 'a', 'X-Two', '2', 'Trailer', 'X-Sum'])
    expect(endToEndFields(fields).get('x-two')).toBe('2')
    expect(fields.size).toBe(16)
  })

  it('cannot be used to take away what the meaning of a message hangs on', () => {
    const kept = [
      'Host', 'a', 'Content-Length', '1', 'Cache-Control', 'x', 'Authorization', 'x', 'Cookie', 'x', 'Range', 'x', 'Vary', 'x',
      'Via', 'x', 'Date', 'x', 'X-Forwarded-For', 'x',
    ]
    const listed = kept.filter((_, i) => i % 2 === 0).join(', ')
    expect(endToEndFields(Fields.from(['Connection', listed, ...kept])).pairs).toEqual(kept)
  })

  it('are known by name', () => {
    expect(['connection', 'te', 'upgrade', 'host', 'trailer'].map(isHopByHop)).toEqual([true, true, true, false, false])
  })

  it.each<[string | undefined, number | null]>([
    [undefined, null], ['0', 0], ['10', 10], ['-1', null], ['1.5', null], ['', null], ['9999999999', null],
  ])('Max-Forwards %j is %j', (value, expected) => {
    expect(maxForwards(Fields.from(value === undefined ? [] : ['Max-Forwards', value]))).toBe(expected)
  })
})

describe('Via', () => {
  it('is read member by member', () => {
    expect(parseVia('1.0 fred, HTTP/1.1 p.example.net:8080 (Apache, (nested) \\) 1.1),1.1\tx(c), , junk')).toEqual([
      { protocol: '1.0', receivedBy: 'fred', comment: '' },
      { protocol: 'HTTP/1.1', receivedBy: 'p.example.net:8080', comment: '(Apache, (nested) \\) 1.1)' },
      { protocol: '1.1', receivedBy: 'x', comment: '(c)' },
    ])
  })

  it('is read on behind a comment that closes too often', () => {
    expect(parseVia('1.1 a (b)), 1.1 c').map(member => member.receivedBy)).toEqual(['a', 'c'])
  })

  it('tells a loop: our name as a hop, not in a comment and not as a part of another', () => {
    const via = (...lines: string[]) => Fields.from(lines.flatMap(line => ['Via', line]))
    expect(viaNames(via('1.1 a', '1.1 GLASS.example (glassquid)'), 'glass.example')).toBe(true)
    expect(viaNames(via('1.1 a (1.1 glass.example)'), 'glass.example')).toBe(false)
    expect(viaNames(via('1.1 a (x, 1.1 glass.example)'), 'glass.example')).toBe(false)
    expect(viaNames(via('1.1 glass.example.org, 1.1 my.glass.example'), 'glass.example')).toBe(false)
    expect(viaNames(new Fields(), 'glass.example')).toBe(false)
  })

  it('grows by one member', () => {
    const fields = Fields.from(['via', '1.0 a', 'X', 'y', 'Via', '1.1 b (c)'])
    appendVia(fields, 1, 'glass.example', 'glassquid')
    expect(fields.pairs).toEqual(['Via', '1.0 a, 1.1 b (c), 1.1 glass.example (glassquid)', 'X', 'y'])
    const none = new Fields()
    appendVia(none, 0, 'glass.example')
    expect(none.pairs).toEqual(['Via', '1.0 glass.example'])
  })
})

describe('a head that is written', () => {
  it('says what it was given', () => {
    expect(requestHeadText('GET', '/x', ['Host', 'a', 'X', ''])).toBe('GET /x HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n')
    expect(responseHeadText(404)).toBe('HTTP/1.1 404 Not Found\r\n\r\n')
    expect(responseHeadText(299, '', ['A', 'b'])).toBe('HTTP/1.1 299 \r\nA: b\r\n\r\n')
  })

  // U+010D and U+010A are cut to CR and LF by latin1
  it.each(['\r', '\n', '\r\n', '\0', '\x7f', '\u010d', '\u010a', '\ud83d'])('has no %j anywhere', bad => {
    for (const text of [bad, `a${bad}`, `${bad}a`, `a${bad}b`]) {
      expect(() => requestHeadText('GET', '/', ['X', text])).toThrow('does not hold')
      expect(() => requestHeadText('GET', '/', [`X${text}`, 'y'])).toThrow('does not hold')
      expect(() => requestHeadText('GET', `/${text}`, [])).toThrow('does not hold')
      expect(() => requestHeadText(`GET${text}`, '/', [])).toThrow('does not hold')
      expect(() => responseHeadText(200, text, [])).toThrow('does not hold')
      expect(() => responseHeadText(200, 'OK', ['X', text])).toThrow('does not hold')
    }
  })

  it('has tokens where tokens belong', () => {
    for (const name of ['', 'a b', 'a:', ':', 'ä']) expect(() => responseHeadText(200, '', [name, 'x']), name).toThrow()
    for (const target of ['', '/a b', '/#']) expect(() => requestHeadText('GET', target, []), target).toThrow()
    for (const status of [0, 99, 1000, 200.5, Number.NaN]) expect(() => responseHeadText(status, ''), `${status}`).toThrow()
  })
})

describe('methods and status codes', () => {
  it('unknown methods are neither safe nor idempotent', () => {
    expect(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'POST', 'PUT', 'DELETE', 'PATCH', 'CONNECT', 'get', 'M-SEARCH'].map(m => [
      isSafe(m), isIdempotent(m),
    ])).toEqual([
      [true, true], [true, true], [true, true], [true, true], [true, true], [false, false], [false, true], [false, true],
      [false, false], [false, false], [false, false], [false, false],
    ])
  })

  it('have phrases, content, and heuristics', () => {
    expect([200, 404, 431, 299].map(reasonPhrase)).toEqual(['OK', 'Not Found', 'Request Header Fields Too Large', ''])
    expect([100, 199, 200, 204, 304, 404].map(statusHasContent)).toEqual([false, false, true, false, false, true])
    expect([200, 301, 302, 404, 500, 206].map(heuristicallyCacheable)).toEqual([true, true, false, true, false, true])
  })
})

describe('Cache-Status', () => {
  it.each<[string, Parameters<typeof cacheStatusText>[1], string]>([
    ['glass.example', { hit: true, ttl: 30 }, 'glass.example; hit; ttl=30'],
    ['G', { hit: true, fwd: 'miss', ttl: -412 }, 'G; hit; ttl=-412'],
    ['g', { fwd: 'stale', fwdStatus: 304, stored: true, collapsed: true }, 'g; fwd=stale; fwd-status=304; stored; collapsed'],
    ['two words', { fwd: 'uri-miss' }, '"two words"; fwd=uri-miss'],
    ['1.2.3.4', {}, '"1.2.3.4"'],
    ['[::1]:80', {}, '"[::1]:80"'],
    ['a:80/x', {}, 'a:80/x'],
    ['g', { key: 'http://a/"\\', detail: 'because' }, 'g; key="http://a/\\"\\\\"; detail=because'],
    ['g', { detail: 'a, b\r\n\xe9' }, 'g; detail="a, b???"'],
    ['', {}, '""'],
    ['g', { hit: false, stored: false, ttl: 1.9 }, 'g; ttl=1'],
  ])('%j %j', (cache, status, text) => expect(cacheStatusText(cache, status)).toBe(text))
})

describe('what may stand in a value', () => {
  it('is the same for what is read and what is written', () => {
    for (let c = 0; c < 256; c++) {
      const text = `a${String.fromCharCode(c)}b`
      expect(isFieldValue(text), `${c}`).toBe(typeof read(`GET / HTTP/1.1\r\nHost: a\r\nX: ${text}\r\n\r\n`) === 'object')
    }
    expect(isFieldValue('')).toBe(true)
  })
})
