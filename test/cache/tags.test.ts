// Tags as origins say them, and which keys a purge of many means.

import { describe, expect, it } from 'vitest'
import { endpoint } from '../../src/base/index.ts'
import { byHost, byPattern, byPrefix, byTag, cacheKey, tagsOf, unverifiedKey, uriOfKey } from '../../src/cache/index.ts'
import { fieldsOf } from './kit.ts'

it.each([
  ['no field', [], []],
  ['Surrogate-Key: blanks', ['Surrogate-Key: a  b\tc'], ['a', 'b', 'c']],
  ['Cache-Tag: commas', ['Cache-Tag: a, b ,c d,, '], ['a', 'b', 'c d']],
  ['both, several lines, one twice', ['Surrogate-Key: a', 'Surrogate-Key: b', 'Cache-Tag: b,x', 'Cache-Tag: y'], ['a', 'b', 'x', 'y']],
  ['case matters', ['Cache-Tag: A,a'], ['A', 'a']],
  ['1000 tags', [`Cache-Tag: ${[...Array(1000).keys()].join(',')}`], [...Array(1000).keys()].map(String)],
] as const)('%s', (_what, lines, tags) => expect(tagsOf(fieldsOf(...lines))).toEqual(tags))

it.each([
  ['1001 tags', [`Surrogate-Key: ${[...Array(1001).keys()].join(' ')}`]],
  ['one byte too many', [`Cache-Tag: ${'x'.repeat(16 * 1024 + 1)}`]],
] as const)('%s are too many', (_what, lines) => expect(tagsOf(fieldsOf(...lines))).toBe(null))

describe('what is meant', () => {
  const get = cacheKey('GET', 'http://www.example.com:8080/a/b?c')
  const head = cacheKey('HEAD', 'http://www.example.com:8080/a/b?c')
  const forged = unverifiedKey('HEAD', 'http://www.example.com:8080/a/b?c', endpoint('192.0.2.1', 8080))
  const six = cacheKey('GET', 'http://[2001:db8::1]/x')

  it('the URI stands in every key', () => {
    expect([get, head, forged].map(uriOfKey)).toEqual(Array(3).fill('http://www.example.com:8080/a/b?c'))
  })

  it.each([
    ['the host', byHost('www.example.com'), true],
    ['the host in capitals', byHost('WWW.example.com'), true],
    ['its domain', byHost('.example.com'), true],
    ['itself as a domain', byHost('.www.example.com'), true],
    ['the domain as a host', byHost('example.com'), false],
    ['what only ends so', byHost('.xample.com'), false],
    ['a prefix', byPrefix('http://www.example.com:8080/a/'), true],
    ['another prefix', byPrefix('http://www.example.com/'), false],
    ['a pattern', byPattern(uri => /b\?c$/.test(uri)), true],
  ] as const)('%s', (_what, selection, expected) => {
    for (const key of [get, head, forged]) expect(selection.selects(key, [])).toBe(expected)
  })

  it('IPv6 hosts, without brackets', () => {
    expect(byHost('2001:db8::1').selects(six, [])).toBe(true)
    expect(byHost('2001:db8::2').selects(six, [])).toBe(false)
  })

  it('a tag', () => {
    expect(byTag('a').selects(get, ['b', 'a'])).toBe(true)
    expect(byTag('a').selects(get, ['ab'])).toBe(false)
  })
})
