import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  connectionOptions, Fields, fieldLists, ifMatchNames, ifNoneMatchNames, isEtag, isStrongEtag, listHas, parseEtagList,
  quotedIfNeeded, splitList, strongMatch, unquoted, varyMembers, weakMatch,
} from '../../src/http/index.ts'

// Guards: where members of lists begin and end, quotes and all; how entity tags compare.

describe('a list', () => {
  it.each<[string, string[]]>([
    ['', []],
    [' \t', []],
    [',', []],
    ['a', ['a']],
    [' a ,\tb,,c , ', ['a', 'b', 'c']],
    ['"a, b", c', ['"a, b"', 'c']],
    ['x="a\\", b", c', ['x="a\\", b"', 'c']],
    ['"a, b', ['"a, b']],
    ['a b', ['a b']],
  ])('%j', (text, members) => expect(splitList(text)).toEqual(members))

  it.each<[string, string, boolean]>([
    ['close', 'close', true],
    ['Keep-Alive, CLOSE ,x', 'close', true],
    ['closed', 'close', false],
    ['clos', 'close', false],
    ['"close"', 'close', false],
    ['x="a, close"', 'close', false],
    ['', 'close', false],
    ['close, "unclosed', 'close', true],
  ])('%j has %j: %s', (text, token, has) => expect(listHas(text, token)).toBe(has))

  it('agrees with itself', () => {
    const unit = fc.constantFrom('a', 'B', ',', ' ', '"', '\\', '\t')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), text => {
        const lower = splitList(text).map(member => member.toLowerCase())
        for (const token of ['a', 'b', 'ab']) expect(listHas(text, token)).toBe(lower.includes(token))
      }),
      { numRuns: 1000 },
    )
  })

  it('over several lines', () => {
    const fields = Fields.from(['Connection', 'X-One, close', 'Via', 'x', 'connection', 'Upgrade'])
    expect(connectionOptions(fields)).toEqual(['x-one', 'close', 'upgrade'])
    expect(connectionOptions(new Fields())).toEqual([])
    expect(['x-one', 'upgrade', 'via'].map(token => fieldLists(fields, 'connection', token))).toEqual([true, true, false])
  })
})

describe('a quoted string', () => {
  it.each<[string, string | null]>([
    ['', ''],
    ['a', 'a'],
    ['""', ''],
    ['"a b"', 'a b'],
    ['"a\\"b\\\\"', 'a"b\\'],
    ['"', null],
    ['"a', null],
    ['"a\\"', null],
    ['"a"b', null],
  ])('%j', (text, content) => expect(unquoted(text)).toBe(content))

  it('is written where a token will not do', () => {
    expect(['a', 'a b', 'a"\\', ''].map(quotedIfNeeded)).toEqual(['a', '"a b"', '"a\\"\\\\"', '""'])
  })
})

describe('Vary', () => {
  it.each<[string[], readonly string[] | '*']>([
    [[], []],
    [[''], []],
    [['Accept-Encoding'], ['accept-encoding']],
    [['A, b', 'a ,C'], ['a', 'b', 'c']],
    [['*'], '*'],
    [[', *'], '*'],
    [['', '*'], '*'],
    [['a', 'b, *'], '*'],
    [['*, a'], '*'],
    [['a b'], '*'],
    [['"a"'], '*'],
  ])('%j', (lines, members) => {
    expect(varyMembers(Fields.from(lines.flatMap(line => ['Vary', line])))).toEqual(members)
  })
})

describe('an entity tag', () => {
  it.each<[string, boolean, boolean]>([
    ['"a"', true, true],
    ['""', true, true],
    ['W/"a"', true, false],
    ['"a,b\\"', true, true],
    ['"\xe9"', true, true],
    ['w/"a"', false, false],
    ['W/ "a"', false, false],
    ['a', false, false],
    ['"a', false, false],
    ['a"', false, false],
    ['"a b"', false, false],
    ['"a"b"', false, false],
    ['"\x7f"', false, false],
    ['', false, false],
  ])('%j: %s, strong: %s', (text, valid, strong) => {
    expect([isEtag(text), isStrongEtag(text)]).toEqual([valid, strong])
  })

  // RFC 9110 8.8.3.2
  it.each<[string, string, boolean, boolean]>([
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', 'W/"1"', false, true],
    ['"1"', '"1"', true, true],
    ['"a"', '"A"', false, false],
    ['a', 'a', false, false],
  ])('%s and %s: strong %s, weak %s', (a, b, strong, weak) => {
    expect([strongMatch(a, b), weakMatch(a, b)]).toEqual([strong, weak])
  })

  it.each<[string, readonly string[] | '*' | null]>([
    ['*', '*'],
    [' * ', '*'],
    ['"a"', ['"a"']],
    ['"a", W/"b" ,"c,d"', ['"a"', 'W/"b"', '"c,d"']],
    [', ,"a",', ['"a"']],
    ['', null],
    [',', null],
    ['*, "a"', null],
    ['"a" "b"', null],
    ['"a", b', null],
    ['a', null],
    ['"a', null],
  ])('list %j', (text, tags) => expect(parseEtagList(text)).toEqual(tags))

  it.each<[string, string | undefined, boolean, boolean]>([
    // the list, the tag of the response, If-None-Match names it, If-Match names it
    ['"a"', '"a"', true, true],
    ['"x", "a"', '"a"', true, true],
    ['W/"a"', '"a"', true, false],
    ['"a"', 'W/"a"', true, false],
    ['"b"', '"a"', false, false],
    ['*', '"a"', true, true],
    ['*', undefined, true, true],
    ['"a"', undefined, false, false],
    ['a', 'a', false, false],
    ['"a", oops', '"a"', false, false],
  ])('%j and %j', (list, etag, none, match) => {
    expect([ifNoneMatchNames(list, etag), ifMatchNames(list, etag)]).toEqual([none, match])
  })
})
