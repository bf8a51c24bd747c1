import { describe, expect, test } from 'vitest'
import { type BlanksInTarget, type HeadLimits, parseRequestHead, usualHeadLimits } from '../../src/http/index.ts'

// uri_whitespace: what becomes of a request line with blanks in its target. However the bytes are cut, the answer is the
// same, and it ends where the head does.

const read = (text: string, blanksInTarget?: BlanksInTarget, more: Partial<HeadLimits> = {}) => {
  const bytes = Buffer.from(text, 'latin1')
  return parseRequestHead(bytes, 0, bytes.length, { ...usualHeadLimits, ...more, blanksInTarget })
}
const rest = '\r\nHost: x\r\nX: a b\r\n\r\n'
const target = (line: string, how?: BlanksInTarget): string => {
  const answer = read(line + rest, how)
  return answer.kind === 'head' ? answer.head.target : answer.kind === 'bad' ? answer.why : answer.kind
}

describe('blanks in a target', () => {
  test.each([
    ['GET /a b\tc HTTP/1.1', '/abc', '/a%20b%09c', '/a'],
    ['GET /a  b?c d HTTP/1.0', '/ab?cd', '/a%20%20b?c%20d', '/a'],
    ['GET http://x/a b HTTP/1.1', 'http://x/ab', 'http://x/a%20b', 'http://x/a'],
    ['GET /a HTTP/1.1 HTTP/1.1', '/aHTTP/1.1', '/a%20HTTP/1.1', '/a'],
    // in a host a blank is nothing but wrong where it is not left out
    ['GET http://x y/ HTTP/1.1', 'http://xy/', 'target', 'http://x'],
  ])('%j', (line, strip, encode, chop) => {
    expect([target(line), target(line, 'strip'), target(line, 'encode'), target(line, 'chop')]).toEqual(['request-line', strip, encode, chop])
  })

  test.each(['GET  /a HTTP/1.1', 'GET /a  HTTP/1.1', ' GET /a HTTP/1.1', 'GET /a b HTTP/1.1 ', 'GET /a b', 'CONNECT a b:443 HTTP/1.1', 'GET /a b HTTP/3.0', 'GET /a\vb HTTP/1.1', 'G(T /a b HTTP/1.1'])(
    '%j is refused all the same', line => expect(['request-line', 'method', 'version', 'http-0.9', 'control']).toContain(target(line, 'strip')),
  )

  test('what is right is not touched', () => {
    const answer = read(`GET /a%20b HTTP/1.1${rest}next`, 'strip')
    expect(answer).toMatchObject({ kind: 'head', head: { target: '/a%20b' }, end: 'GET /a%20b HTTP/1.1'.length + rest.length })
  })

  test('the end and the size are those of the bytes that came, however they were cut', () => {
    const bytes = Buffer.from(`\r\nGET /a b c HTTP/1.1${rest}GET /next HTTP/1.1`, 'latin1')
    const head = bytes.length - 'GET /next HTTP/1.1'.length
    const limits: HeadLimits = { ...usualHeadLimits, blanksInTarget: 'encode' }
    for (let cut = 1; cut < head; cut++) {
      expect(parseRequestHead(bytes, 0, cut, limits).kind, `${cut} bytes`).toBe('more')
      expect(parseRequestHead(bytes, 0, bytes.length, limits, cut)).toMatchObject({ kind: 'head', end: head, head: { target: '/a%20b%20c', headBytes: head } })
    }
  })

  test('limits hold', () => {
    expect(read(`GET /${'a '.repeat(100)}b HTTP/1.1${rest}`, 'strip', { lineBytesMax: 100 })).toMatchObject({ kind: 'bad' })
    expect(read(`GET /a b HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(50)}\r\n`, 'strip', { fieldsMax: 10 })).toMatchObject({ kind: 'bad', why: 'fields-too-many' })
  })
})
