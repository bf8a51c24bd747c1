// Squid's line protocol: what of an answer is result, pairs and text; what of a question must be escaped.

import { describe, expect, it } from 'vitest'
import { escapeField, parseReply, quoteField, unescapeField } from '../../src/helper/index.ts'

const read = (line: string) => {
  const { result, values, text } = parseReply(line)
  return [result, Object.fromEntries(values), text]
}

describe('an answer', () => {
  it.each([
    ['OK', ['OK', {}, '']],
    ['ERR', ['ERR', {}, '']],
    ['OK user=joe tag=a%20b', ['OK', { user: 'joe', tag: 'a b' }, '']],
    ['ERR message="no \\"way\\" \\\\ %41" log=x', ['ERR', { message: 'no "way" \\ %41', log: 'x' }, '']],
    ['OK status=302 url="http://x/?a=b c"', ['OK', { status: '302', url: 'http://x/?a=b c' }, '']],
    ['OK a=1 a=2', ['OK', { a: '1' }, '']],
    ['BH message=down for good', ['BH', { message: 'down' }, 'for good']],
    ['OK rewrite-url=', ['OK', { 'rewrite-url': '' }, '']],
    ['OK url="unfinished', ['OK', { url: 'unfinished' }, '']],
    ['OKAY', ['', {}, 'OKAY']],
    ['http://x/ rest', ['', {}, 'http://x/ rest']],
    ['', ['', {}, '']],
  ])('%s', (line, expected) => expect(read(line)).toEqual(expected))
})

describe('a field', () => {
  it('holds nothing that ends a field or a line', () => {
    expect(escapeField('a b%\n"\xe4')).toBe('a%20b%25%0A%22%E4')
    expect(escapeField('http://x:80/?a=b&c')).toBe('http://x:80/?a=b&c')
  })
  it('comes back as it was', () => {
    const all = Array.from({ length: 256 }, (_, n) => String.fromCharCode(n)).join('')
    expect(unescapeField(escapeField(all))).toBe(all)
  })
  it('in quotes', () => expect(quoteField('a "b" \\')).toBe('"a \\"b\\" \\\\"'))
})
