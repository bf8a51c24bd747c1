import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  deltaSecondsMax, Fields, parseAge, parseDeltaSeconds, parseRequestCacheControl, parseResponseCacheControl,
  pragmaNoCache, requestCacheControl, responseCacheControl,
} from '../../src/http/index.ts'

// Guards: what Cache-Control says, also where it is written badly. In doubt it means less reuse.

const response = (value: string) => ({ ...parseResponseCacheControl(value) })
const request = (value: string) => ({ ...parseRequestCacheControl(value) })
const blank = {
  noCache: false, noCacheFields: null, noStore: false, noTransform: false, private: false, privateFields: null,
  public: false, mustRevalidate: false, proxyRevalidate: false, mustUnderstand: false, immutable: false, maxAge: null,
  sMaxage: null, staleWhileRevalidate: null, staleIfError: null, expiresIgnored: false, unknown: null,
}
const blankRequest = {
  noCache: false, noStore: false, noTransform: false, onlyIfCached: false, maxAge: null, maxStale: null, minFresh: null,
  staleIfError: null, unknown: null,
}

describe('of a response', () => {
  it.each<[string, object]>([
    ['', {}],
    [' , ,, ', {}],
    ['max-age=3600', { maxAge: 3600 }],
    ['MAX-AGE=3600', { maxAge: 3600 }],
    ['max-age="3600"', { maxAge: 3600 }],
    ['max-age=003600', { maxAge: 3600 }],
    ['max-age=0', { maxAge: 0 }],
    ['public, max-age=1, s-maxage=2', { public: true, maxAge: 1, sMaxage: 2 }],
    ['no-store,no-cache,\tno-transform ,private', { noStore: true, noCache: true, noTransform: true, private: true }],
    ['must-revalidate, proxy-revalidate, must-understand, immutable', {
      mustRevalidate: true, proxyRevalidate: true, mustUnderstand: true, immutable: true,
    }],
    ['stale-while-revalidate=5, stale-if-error="6"', { staleWhileRevalidate: 5, staleIfError: 6 }],
    // twice: the first counts
    ['max-age=1800, max-age=1', { maxAge: 1800 }],
    ['max-age=1, max-age=1800', { maxAge: 1 }],
    ['max-age=x, max-age=1800', { maxAge: 0 }],
    // what is no number means stale
    ["max-age='3600'", { maxAge: 0 }],
    ['max-age=-3600', { maxAge: 0 }],
    ['max-age=+3600', { maxAge: 0 }],
    ['max-age=3600.0', { maxAge: 0 }],
    ['max-age=a3600', { maxAge: 0 }],
    ['max-age=3600a', { maxAge: 0 }],
    ['max-age=', { maxAge: 0 }],
    ['max-age', { maxAge: 0 }],
    ['max-age=""', { maxAge: 0 }],
    ['max-age =3600', { maxAge: 0 }],
    ['max-age= 3600', { maxAge: 0 }],
    ['max-age=36 00', { maxAge: 0 }],
    ['max-age=3600;public', { maxAge: 0 }],
    ['max-age="3600', { maxAge: 0 }],
    ['s-maxage=x', { sMaxage: 0 }],
    ['stale-while-revalidate=x, stale-if-error', { staleWhileRevalidate: 0, staleIfError: 0 }],
    // too large saturates
    ['max-age=99999999999', { maxAge: 2147483648 }],
    ['max-age=2147483647', { maxAge: 2147483647 }],
    ['max-age=2147483649', { maxAge: 2147483648 }],
    [`max-age=${'9'.repeat(400)}`, { maxAge: 2147483648 }],
    // quoted strings are skipped whole
    ['x="max-age=3600", max-age=1', { maxAge: 1, unknown: [{ name: 'x', argument: 'max-age=3600' }] }],
    ['max-age=1, x="a, no-store"', { maxAge: 1, unknown: [{ name: 'x', argument: 'a, no-store' }] }],
    ['x="a\\", no-store", public', { public: true, unknown: [{ name: 'x', argument: 'a", no-store' }] }],
    // one that is never closed hides nothing
    ['public, x="a, no-store, max-age=5', { public: true, noStore: true, maxAge: 0, unknown: [{ name: 'x', argument: '"a, no-store, max-age=5' }] }],
    // field names
    ['no-cache="Set-Cookie"', { noCacheFields: ['set-cookie'] }],
    ['no-cache="A, b ,,C"', { noCacheFields: ['a', 'b', 'c'] }],
    ['no-cache=A', { noCacheFields: ['a'] }],
    ['no-cache="A", no-cache="B"', { noCacheFields: ['a', 'b'] }],
    ['no-cache="A", no-cache', { noCache: true, noCacheFields: ['a'] }],
    ['private="X-User", private', { private: true, privateFields: ['x-user'] }],
    ['private=""', { privateFields: [] }],
    // what nobody knows is kept
    ['Community="UCI", x=1, y', { unknown: [{ name: 'community', argument: 'UCI' }, { name: 'x', argument: '1' }, { name: 'y', argument: null }] }],
    ['no-store-x, xno-store, no_store', { unknown: ['no-store-x', 'xno-store', 'no_store'].map(name => ({ name, argument: null })) }],
    ['=x', { unknown: [{ name: '', argument: 'x' }] }],
  ])('%j', (value, expected) => expect(response(value)).toEqual({ ...blank, ...expected }))

  it('over several lines', () => {
    const fields = Fields.from(['Cache-Control', 'max-age=1', 'X', 'y', 'cache-control', 'max-age=2, public'])
    expect({ ...responseCacheControl(fields) }).toEqual({ ...blank, maxAge: 1, public: true })
    expect({ ...responseCacheControl(new Fields()) }).toEqual(blank)
  })
})

describe('of a request', () => {
  it.each<[string, object]>([
    ['no-cache, no-store, no-transform, only-if-cached', { noCache: true, noStore: true, noTransform: true, onlyIfCached: true }],
    ['no-cache="x"', { noCache: true }],
    ['max-age=0', { maxAge: 0 }],
    ['max-age=x', { maxAge: 0 }],
    ['max-stale', { maxStale: 2147483648 }],
    ['max-stale=10', { maxStale: 10 }],
    ['max-stale=x', { maxStale: 0 }],
    ['max-stale=', { maxStale: 0 }],
    ['max-stale= 5', { maxStale: 0 }],
    ['min-fresh=10', { minFresh: 10 }],
    ['min-fresh', { minFresh: 2147483648 }],
    ['min-fresh=x', { minFresh: 2147483648 }],
    ['stale-if-error=60', { staleIfError: 60 }],
    ['public', { unknown: [{ name: 'public', argument: null }] }],
  ])('%j', (value, expected) => expect(request(value)).toEqual({ ...blankRequest, ...expected }))

  it('is the same shared blank where there is none', () => {
    expect(requestCacheControl(new Fields())).toBe(requestCacheControl(Fields.from(['X', 'y'])))
    expect({ ...requestCacheControl(Fields.from(['Cache-Control', 'no-cache'])) }).toEqual({ ...blankRequest, noCache: true })
  })
})

describe('beside it', () => {
  it.each<[string[], number | null]>([
    [[], null],
    [['0'], 0],
    [['7200'], 7200],
    [['7200,0'], 7200],
    [['0, 7200'], 0],
    [['7200', '0'], 7200],
    [['0', '7200'], 0],
    [[' 5 , x'], 5],
    [['2147483649'], 2147483648],
    [['abc'], null],
    [['-7200'], null],
    [['7200.0'], null],
    [['"7200"'], null],
    [['', '5'], null],
  ])('Age %j is %j', (lines, age) => {
    expect(parseAge(Fields.from(lines.flatMap(line => ['Age', line])))).toBe(age)
  })

  it.each<[string[], boolean]>([
    [[], false],
    [['no-cache'], true],
    [['x, No-Cache'], true],
    [['x', 'no-cache'], true],
    [['no-cache-x'], false],
    [['"no-cache"'], false],
  ])('Pragma %j asks for validation: %s', (lines, asks) => {
    expect(pragmaNoCache(Fields.from(lines.flatMap(line => ['pragma', line])))).toBe(asks)
  })

  it('delta-seconds are digits', () => {
    expect(['', ' 1', '1 ', '٣', '1e3'].map(parseDeltaSeconds)).toEqual([null, null, null, null, null])
    expect(parseDeltaSeconds('9'.repeat(30))).toBe(deltaSecondsMax)
  })

  it('nothing makes the readers throw, or take long', () => {
    const unit = fc.constantFrom('"', '\\', ',', '=', ' ', 'no-store', 'max-age', '1', 'x')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), value => {
        parseResponseCacheControl(value)
        parseRequestCacheControl(value)
      }),
    )
    // a megabyte of what could make a reader go back and forth; quadratic work would not end before the test is killed
    for (const text of ['"\\', '"\\",', 'x="', '"a",', ',', 'a="b\\"']) {
      parseResponseCacheControl(text.repeat(1_000_000 / text.length))
    }
  })
})
