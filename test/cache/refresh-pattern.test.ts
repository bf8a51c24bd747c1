import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seconds, secondsToMs, wallMs } from '../../src/base/index.ts'
import {
  type CachePolicy, defaultRefreshRule, noRefreshOptions, type RefreshOptions, RefreshPatterns, reuse,
} from '../../src/cache/index.ts'
import { at, dateAt, factsOf, policyOf, ruled, storedOf, t0 } from './kit.ts'

// Guards Squid's refresh_pattern: which line it is, its arithmetic, and the order of its decisions. Sees the
// arithmetic in a second implementation, written step by step from the description of refresh.cc and sharing nothing
// with ours, which must agree at every instant of random histories.

const line = (regex: RegExp, min: number, options: Partial<RefreshOptions> = {}) => ({
  regex,
  min: seconds(min),
  percent: 20,
  max: seconds(1000),
  options: { ...noRefreshOptions, ...options },
  text: String(regex),
})

test('the first line that matches counts, alone', () => {
  const patterns = new RefreshPatterns([line(/\.gif$/, 1), line(/./, 2), line(/\.gif$/, 3)])
  expect(patterns.ruleFor('http://a/x.gif').min).toBe(1000)
  expect(patterns.ruleFor('http://a/x.html').min).toBe(2000)
})

test('where none matches: 0, 20 %, three days', () => {
  const patterns = new RefreshPatterns([line(/\.gif$/, 1)])
  const rule = patterns.ruleFor('http://a/x.html')
  expect(rule).toBe(defaultRefreshRule)
  expect([rule.min, rule.fraction, rule.max]).toEqual([0, 0.2, secondsToMs(seconds(259200))])
})

test('asking for the same URI again answers the same, other URIs in between or not', () => {
  const patterns = new RefreshPatterns([line(/\.gif$/, 1), line(/./, 2)])
  const asked = ['http://a/x.gif', 'http://a/x.gif', 'http://a/y', 'http://a/x.gif', 'http://a/y', 'http://a/y']
  expect(asked.map(uri => patterns.ruleFor(uri).min)).toEqual([1000, 1000, 2000, 1000, 2000, 2000])
})

test('a regex that remembers its last match does not make a line match every other time', () => {
  const patterns = new RefreshPatterns([line(/\.gif/g, 1), line(/./y, 2)])
  for (let i = 0; i < 4; i++) {
    expect(patterns.ruleFor('http://a/x.gif').min).toBe(1000)
    expect(patterns.ruleFor(`http://a/${i}`).min).toBe(2000)
  }
})

test('a reload of the conf judges stored responses anew', () => {
  const before = ruled(100, 0, 1000)
  const stored = storedOf({ response: [] }, before)
  expect(reuse(stored, null, before, at(99)).kind).toBe('fresh')
  expect(reuse(stored, null, ruled(10, 0, 1000), at(99)).kind).toBe('validate')
  expect(reuse(stored, null, before, at(99)).kind).toBe('fresh')
})

// --- arithmetic, by hand: last fresh and first stale millisecond ---

/** `end`: the first millisecond after t0 at which it is not fresh. */
type Edge = readonly [name: string, policy: CachePolicy, response: readonly string[], end: number]

const modified = (s: number) => `Last-Modified: ${dateAt(-s)}`

const edges: readonly Edge[] = [
  ['min, nothing known', ruled(60, 20, 300), ['ETag: "a"'], 60_000],
  ['max below min, nothing known: max, to its last millisecond', ruled(300, 20, 60), ['ETag: "a"'], 60_001],
  ['max 0: fresh in its first millisecond only', ruled(0, 20, 0), [modified(1000)], 1],
  ['percent of the time since Last-Modified', ruled(0, 50, 1000), [modified(100)], 50_000],
  ['min does not count beside Last-Modified', ruled(60, 50, 1000), [modified(10)], 5_000],
  ['max cuts the percentage', ruled(0, 50, 30), [modified(100)], 30_001],
  ['percent beyond 100', ruled(0, 999999, 5259487 * 60), [modified(100)], 999_999_000],
  ['percent 0', ruled(0, 0, 1000), [modified(100), 'ETag: "a"'], 0],
  ['explicit freshness ignores max', ruled(0, 20, 10), ['Cache-Control: max-age=100'], 100_000],
  ['explicit freshness ignores min', ruled(1000, 20, 2000), ['Cache-Control: max-age=100'], 100_000],
  [
    'override-expire stretches to min',
    ruled(200, 20, 300, { overrideExpire: true }),
    ['Cache-Control: max-age=100'], 200_000,
  ],
  [
    'override-expire never shortens',
    ruled(50, 20, 300, { overrideExpire: true }),
    ['Cache-Control: max-age=100'], 100_000,
  ],
  [
    'override-expire ends with max_stale',
    ruled(500, 20, 900, { overrideExpire: true, maxStale: seconds(100) }),
    ['Cache-Control: max-age=100'], 200_001,
  ],
  [
    'override-expire ends with the global max_stale',
    ruled(500, 20, 900, { overrideExpire: true }, { maxStale: secondsToMs(seconds(30)) }),
    ['Cache-Control: max-age=100'], 130_001,
  ],
  [
    'override-expire leaves must-revalidate alone',
    ruled(200, 20, 300, { overrideExpire: true }),
    ['Cache-Control: max-age=100, must-revalidate'], 100_000,
  ],
  [
    'override-expire leaves s-maxage alone',
    ruled(200, 20, 300, { overrideExpire: true }),
    ['Cache-Control: s-maxage=100'], 100_000,
  ],
  ['override-lastmod stretches to min', ruled(200, 20, 300, { overrideLastmod: true }), [modified(100)], 200_000],
  [
    'override-lastmod does not go beyond max',
    ruled(500, 20, 300, { overrideLastmod: true }),
    [modified(100)], 300_001,
  ],
  [
    'override-lastmod is not for explicit freshness',
    ruled(200, 20, 300, { overrideLastmod: true }),
    ['Cache-Control: max-age=10'], 10_000,
  ],
  [
    'override-expire is not for Last-Modified',
    ruled(200, 20, 300, { overrideExpire: true }),
    [modified(100)], 20_000,
  ],
  ['Age shortens min too', ruled(60, 20, 300), ['ETag: "a"', 'Age: 40'], 20_000],
  ['Age makes the time since Last-Modified shorter', ruled(0, 50, 1000), [modified(100), 'Age: 20'], 20_000],
]

test.each(edges)('%s', (_, policy, response, end) => {
  const stored = storedOf({ response }, policy)
  if (end > 0) expect(reuse(stored, null, policy, wallMs(t0 + end - 1)).kind).toBe('fresh')
  expect(reuse(stored, null, policy, wallMs(t0 + end)).kind).toBe('validate')
})

// --- the same by the description, in whole milliseconds ---

interface History {
  readonly explicit: number | null
  readonly sinceModified: number | null
  readonly mustRevalidate: boolean
  readonly noCache: boolean
  readonly immutable: boolean
  readonly rule: { readonly min: number; readonly percent: number; readonly max: number }
  readonly options: Partial<RefreshOptions>
  readonly maxStale: number
  readonly refreshAllIms: boolean
  readonly reloadIntoIms: boolean
  readonly ask: {
    readonly conditional: boolean
    readonly noCache: boolean
    readonly maxAge: number | null
    readonly minFresh: number | null
    readonly maxStale: number | null
    readonly at: number
  }
}

/** refresh.cc, as its description reads. Its own words: what becomes of the request. */
const described = (h: History): 'serve' | 'revalidate' | 'fetch' => {
  const { min, percent, max } = h.rule
  const check = h.ask.at + Math.max(0, (h.ask.minFresh ?? 0) - 1) // RFC 9111 5.2.1.3: "no less than"
  const age = Math.max(0, check)
  let staleness: number
  let kind: 'expires' | 'max' | 'lmfactor' | 'min'
  if (h.explicit !== null) {
    kind = 'expires'
    staleness = h.explicit > check ? -1 : check - h.explicit
  } else if (age > max) {
    kind = 'max'
    staleness = age - max
  } else if (h.sinceModified !== null && h.sinceModified > 0) {
    kind = 'lmfactor'
    const factor = (h.sinceModified * percent) / 100
    staleness = age < factor ? -1 : age - factor
  } else {
    kind = 'min'
    staleness = age < min ? -1 : age - min
  }
  const fresh = staleness === -1
  // a reload is taken for one before anything is checked
  const reloads = h.ask.noCache && !h.options.ignoreReload
  if (reloads && !h.options.reloadIntoIms && !h.reloadIntoIms) return 'fetch'
  if (h.noCache || (!fresh && h.mustRevalidate)) return 'revalidate'
  if (h.ask.conditional && (h.options.refreshIms || h.refreshAllIms)) return 'revalidate'
  if (reloads) return 'revalidate'
  // where Squid and RFC 9111 differ we follow the RFC: min-fresh does not age the response for max-age, `immutable`
  // holds while fresh, and max-stale counts from the end of freshness, "no more than" included
  if (h.ask.maxAge !== null && !(h.immutable && freshAt(h)) && !(h.ask.maxAge === 0 && h.options.ignoreReload)) {
    if (h.ask.at > h.ask.maxAge || h.ask.maxAge === 0) return 'revalidate'
  }
  if (!fresh && h.ask.maxStale !== null && age - freshFor(h) <= h.ask.maxStale) return 'serve'
  if (fresh) return 'serve'
  if (staleness > h.maxStale) return 'revalidate'
  if (kind === 'expires' && h.options.overrideExpire && !h.mustRevalidate && age < min) return 'serve'
  if (kind === 'lmfactor' && h.options.overrideLastmod && !h.mustRevalidate && age < min) return 'serve'
  return 'revalidate'
}

/** First millisecond of age at which it is stale. */
const freshFor = (h: History): number => {
  if (h.explicit !== null) return h.explicit
  const base = h.sinceModified !== null && h.sinceModified > 0 ? (h.sinceModified * h.rule.percent) / 100 : h.rule.min
  return Math.min(h.rule.max + 1, base)
}

const freshAt = (h: History): boolean =>
  described({
    ...h,
    noCache: false,
    mustRevalidate: false,
    options: {},
    refreshAllIms: false,
    ask: { conditional: false, noCache: false, maxAge: null, minFresh: null, maxStale: null, at: h.ask.at },
    maxStale: -1,
  }) === 'serve'

const ours = (h: History): 'serve' | 'revalidate' | 'fetch' => {
  const policy = ruled(h.rule.min / 1000, h.rule.percent, h.rule.max / 1000, h.options, {
    maxStale: secondsToMs(seconds(h.maxStale / 1000)),
    refreshAllIms: h.refreshAllIms,
    reloadIntoIms: h.reloadIntoIms,
  })
  const control = [
    ...(h.explicit === null ? [] : [`max-age=${h.explicit / 1000}`]),
    ...(h.mustRevalidate ? ['must-revalidate'] : []),
    ...(h.noCache ? ['no-cache'] : []),
    ...(h.immutable ? ['immutable'] : []),
  ]
  const stored = storedOf(
    {
      response: [
        'ETag: "a"',
        ...(control.length === 0 ? [] : [`Cache-Control: ${control.join(', ')}`]),
        ...(h.sinceModified === null ? [] : [`Last-Modified: ${dateAt(-h.sinceModified / 1000)}`]),
      ],
    },
    policy,
  )
  const asked = [
    ...(h.ask.noCache ? ['no-cache'] : []),
    ...(h.ask.maxAge === null ? [] : [`max-age=${h.ask.maxAge / 1000}`]),
    ...(h.ask.minFresh === null ? [] : [`min-fresh=${h.ask.minFresh / 1000}`]),
    ...(h.ask.maxStale === null ? [] : [`max-stale=${h.ask.maxStale / 1000}`]),
  ]
  const request = factsOf(
    ...(asked.length === 0 ? [] : [`Cache-Control: ${asked.join(', ')}`]),
    ...(h.ask.conditional ? [`If-Modified-Since: ${dateAt(0)}`] : []),
  )
  const { kind } = reuse(stored, request, policy, wallMs(t0 + h.ask.at))
  return kind === 'no' ? 'fetch' : kind === 'validate' ? 'revalidate' : 'serve'
}

test('our decision is the described one at every instant of random histories', () => {
  const short = fc.integer({ min: 0, max: 40 }).map(s => s * 1000)
  const maybe = (value: fc.Arbitrary<number>) => fc.option(value, { nil: null })
  const history: fc.Arbitrary<History> = fc.record({
    explicit: maybe(short),
    sinceModified: maybe(short),
    mustRevalidate: rarely(),
    noCache: rarely(),
    immutable: rarely(),
    rule: fc.record({ min: short, percent: fc.integer({ min: 0, max: 300 }), max: short }),
    options: fc.record({
      overrideExpire: fc.boolean(),
      overrideLastmod: fc.boolean(),
      reloadIntoIms: fc.boolean(),
      ignoreReload: fc.boolean(),
      refreshIms: fc.boolean(),
    }),
    maxStale: short,
    refreshAllIms: rarely(),
    reloadIntoIms: fc.boolean(),
    ask: fc.record({
      conditional: rarely(),
      noCache: rarely(),
      maxAge: rare(short),
      minFresh: rare(short),
      maxStale: rare(short),
      // whole seconds and one millisecond to either side of them: where the edges are
      at: fc.tuple(fc.integer({ min: 0, max: 90 }), fc.constantFrom(-1, 0, 1)).map(([s, off]) => Math.max(0, s * 1000 + off)),
    }),
  })
  const seen = new Set<string>()
  fc.assert(
    fc.property(history, h => {
      const expected = described(h)
      seen.add(expected)
      expect(ours(h)).toBe(expected)
    }),
    { numRuns: 6000 },
  )
  expect([...seen].sort()).toEqual(['fetch', 'revalidate', 'serve'])
})

const rarely = () => fc.integer({ min: 0, max: 4 }).map(n => n === 0)
const rare = (value: fc.Arbitrary<number>) => fc.option(value, { nil: null, freq: 3 })

test('a query URL is not kept by the usual line for it, unless it says for how long', () => {
  const policy = policyOf({
    refresh: new RefreshPatterns([
      { ...line(/(\/cgi-bin\/|\?)/i, 0), percent: 0, max: seconds(0) },
      { ...line(/./, 0), max: seconds(4320 * 60) },
    ]),
  })
  const response = [`Last-Modified: ${dateAt(-1000)}`]
  expect(reuse(storedOf({ uri: 'http://a/x?y', response }, policy), null, policy, at(1)).kind).toBe('validate')
  expect(reuse(storedOf({ uri: 'http://a/xy', response }, policy), null, policy, at(1)).kind).toBe('fresh')
  const explicit = ['Cache-Control: max-age=60']
  expect(reuse(storedOf({ uri: 'http://a/x?y', response: explicit }, policy), null, policy, at(59)).kind).toBe('fresh')
})
