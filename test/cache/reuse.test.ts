import { expect, test } from 'vitest'
import { seconds, secondsToMs, wallMs } from '../../src/base/index.ts'
import {
  type CachePolicy, defaultPolicy, missed, outdated, reuse, type ReuseKind, type ReuseReason, reuseReasons, timeToLive,
} from '../../src/cache/index.ts'
import { at, dateAt, factsOf, policyOf, ruled, storedOf, t0 } from './kit.ts'

// Guards RFC 9111 4 and 5.2: what a stored response may be used for. Sees it in kind and reason at exact milliseconds.

const fresh10: readonly string[] = ['Cache-Control: max-age=10', 'ETag: "a"']

interface What {
  readonly response?: readonly string[]
  readonly request?: readonly string[]
  readonly policy?: CachePolicy
}

/** What happens, where it differs from a plain request to `fresh10`, milliseconds after t0, why. */
type Row = readonly [name: string, what: What, now: number, reason: ReuseReason]

const rows: readonly Row[] = [
  ['fresh', {}, 9999, 'fresh'],
  ['stale', {}, 10_000, 'stale'],

  // the response
  [
    'no-cache is validated though fresh',
    { response: ['Cache-Control: no-cache, max-age=10', 'ETag: "a"'] },
    0, 'no-cache',
  ],
  ['no-cache="field" is not', { response: ['Cache-Control: no-cache="a", max-age=10'] }, 0, 'fresh'],
  ['must-revalidate while fresh', { response: ['Cache-Control: max-age=10, must-revalidate'] }, 9999, 'fresh'],
  [
    'must-revalidate when stale',
    { response: ['Cache-Control: max-age=10, must-revalidate'] },
    10_000, 'must-revalidate',
  ],
  [
    'proxy-revalidate when stale',
    { response: ['Cache-Control: max-age=10, proxy-revalidate'] },
    10_000, 'must-revalidate',
  ],
  ['s-maxage when stale', { response: ['Cache-Control: s-maxage=10'] }, 10_000, 'must-revalidate'],
  [
    'stale-while-revalidate, last moment',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=5'] },
    14_999, 'while-revalidate',
  ],
  [
    'stale-while-revalidate, over',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=5'] },
    15_000, 'stale',
  ],
  [
    'stale-while-revalidate never beside must-revalidate',
    { response: ['Cache-Control: max-age=10, must-revalidate, stale-while-revalidate=5'] },
    10_000, 'must-revalidate',
  ],
  [
    'stale-while-revalidate never beside no-cache',
    { response: ['Cache-Control: max-age=10, no-cache, stale-while-revalidate=5', 'ETag: "a"'] },
    11_000, 'no-cache',
  ],

  // the request
  [
    'min-fresh does not take what is stale already, validated behind it or not',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=50'], request: ['Cache-Control: min-fresh=1'] },
    11_000, 'stale',
  ],
  [
    'Cache-Control that says nothing we know',
    { request: ['Cache-Control: nothing-to-see-here', 'Pragma: foo'] },
    9999, 'fresh',
  ],
  ['no-cache', { request: ['Cache-Control: no-cache'] }, 0, 'reload'],
  ['Pragma: no-cache', { request: ['Pragma: no-cache'] }, 0, 'reload'],
  [
    'Pragma counts only without Cache-Control',
    { request: ['Pragma: no-cache', 'Cache-Control: max-age=5'] },
    0, 'fresh',
  ],
  ['no-store in the request does not stop a hit', { request: ['Cache-Control: no-store'] }, 0, 'fresh'],
  ['max-age, last moment', { request: ['Cache-Control: max-age=5'] }, 5000, 'fresh'],
  ['max-age, over', { request: ['Cache-Control: max-age=5'] }, 5001, 'client-max-age'],
  ['max-age=0 asks for validation at once', { request: ['Cache-Control: max-age=0'] }, 0, 'client-max-age'],
  ['max-age that is no number is 0', { request: ['Cache-Control: max-age=x'] }, 0, 'client-max-age'],
  ['max-age over, and stale: stale is the reason', { request: ['Cache-Control: max-age=5'] }, 10_000, 'stale'],
  [
    'who says max-age wants nothing stale, however young it is',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=50'], request: ['Cache-Control: max-age=50'] },
    10_000, 'stale',
  ],
  [
    'unless max-stale is beside it',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=50'], request: ['Cache-Control: max-age=50, max-stale=20'] },
    20_000, 'client-max-stale',
  ],
  [
    'max-age=0 that ignore-reload makes nothing of is as if it were not there',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=50'], request: ['Cache-Control: max-age=0'], policy: ruled(0, 20, 99, { ignoreReload: true }) },
    10_000, 'while-revalidate',
  ],
  [
    'max-age beats stale-while-revalidate',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=50'], request: ['Cache-Control: max-age=5'] },
    11_000, 'stale',
  ],
  [
    'immutable is not validated for a reload by max-age=0',
    { response: ['Cache-Control: max-age=10, immutable'], request: ['Cache-Control: max-age=0'] },
    9999, 'fresh',
  ],
  [
    'immutable, stale',
    { response: ['Cache-Control: max-age=10, immutable'], request: ['Cache-Control: max-age=0'] },
    10_000, 'stale',
  ],
  ['min-fresh, last moment', { request: ['Cache-Control: min-fresh=4'] }, 6000, 'fresh'],
  ['min-fresh, over', { request: ['Cache-Control: min-fresh=4'] }, 6001, 'client-min-fresh'],
  ['min-fresh, and stale: stale is the reason', { request: ['Cache-Control: min-fresh=4'] }, 10_000, 'stale'],
  [
    'min-fresh and must-revalidate, fresh but not for long enough',
    { response: ['Cache-Control: max-age=10, must-revalidate'], request: ['Cache-Control: min-fresh=4'] },
    7000, 'client-min-fresh',
  ],
  ['max-stale, last moment', { request: ['Cache-Control: max-stale=5'] }, 15_000, 'client-max-stale'],
  ['a reload brings anew what says no-cache, too', { response: ['Cache-Control: no-cache', 'ETag: "a"'], request: ['Cache-Control: no-cache'] }, 0, 'reload'],
  [
    'and what is stale and must be validated',
    { response: ['Cache-Control: max-age=10, must-revalidate', 'ETag: "a"'], request: ['Pragma: no-cache'] },
    11_000, 'reload',
  ],
  [
    'reload_into_ims: it is validated',
    { response: ['Cache-Control: no-cache', 'ETag: "a"'], request: ['Cache-Control: no-cache'], policy: policyOf({ reloadIntoIms: true }) },
    0, 'no-cache',
  ],
  ['max-stale, exceeded', { request: ['Cache-Control: max-stale=5'] }, 15_001, 'stale'],
  ['max-stale without a number: any staleness', { request: ['Cache-Control: max-stale'] }, 1e9, 'client-max-stale'],
  ['max-stale while fresh', { request: ['Cache-Control: max-stale'] }, 9999, 'fresh'],
  [
    'max-stale never beats must-revalidate',
    { response: ['Cache-Control: max-age=10, must-revalidate'], request: ['Cache-Control: max-stale'] },
    10_000, 'must-revalidate',
  ],
  [
    'max-stale never beats s-maxage',
    { response: ['Cache-Control: s-maxage=10'], request: ['Cache-Control: max-stale=99'] },
    10_000, 'must-revalidate',
  ],
  [
    'max-stale never beats no-cache',
    { response: ['Cache-Control: no-cache', 'ETag: "a"'], request: ['Cache-Control: max-stale'] },
    0, 'no-cache',
  ],
  [
    'max-age and max-stale: both must hold',
    { request: ['Cache-Control: max-age=5, max-stale=100'] },
    6000, 'client-max-age',
  ],
  ['only-if-cached, fresh', { request: ['Cache-Control: only-if-cached'] }, 9999, 'fresh'],
  ['only-if-cached, stale', { request: ['Cache-Control: only-if-cached'] }, 10_000, 'only-if-cached'],
  [
    'only-if-cached and max-stale',
    { request: ['Cache-Control: only-if-cached, max-stale'] },
    99_000, 'client-max-stale',
  ],
  ['only-if-cached and no-cache', { request: ['Cache-Control: only-if-cached, no-cache'] }, 0, 'only-if-cached'],
  ['If-None-Match is not in the way', { request: ['If-None-Match: "b"'] }, 9999, 'fresh'],
  ['If-Match is for the origin', { request: ['If-Match: "a"'] }, 0, 'for-origin'],
  ['If-Unmodified-Since is for the origin', { request: [`If-Unmodified-Since: ${dateAt(0)}`] }, 0, 'for-origin'],
  [
    'only-if-cached does not go to the origin for If-Match',
    { request: ['If-Match: "a"', 'Cache-Control: only-if-cached'] },
    0, 'only-if-cached',
  ],

  // the operator
  [
    'ignore-reload',
    { request: ['Cache-Control: no-cache'], policy: ruled(0, 20, 99, { ignoreReload: true }) },
    0, 'fresh',
  ],
  [
    'ignore-reload, max-age=0',
    { request: ['Cache-Control: max-age=0'], policy: ruled(0, 20, 99, { ignoreReload: true }) },
    9999, 'fresh',
  ],
  [
    'ignore-reload is not for max-age=1',
    { request: ['Cache-Control: max-age=1'], policy: ruled(0, 20, 99, { ignoreReload: true }) },
    1001, 'client-max-age',
  ],
  [
    'reload-into-ims',
    { request: ['Cache-Control: no-cache'], policy: ruled(0, 20, 99, { reloadIntoIms: true }) },
    0, 'reload-into-ims',
  ],
  [
    'reload_into_ims',
    { request: ['Pragma: no-cache'], policy: policyOf({ reloadIntoIms: true }) },
    0, 'reload-into-ims',
  ],
  [
    'refresh-ims',
    { request: ['If-None-Match: "a"'], policy: ruled(0, 20, 99, { refreshIms: true }) },
    0, 'refresh-ims',
  ],
  [
    'refresh_all_ims',
    { request: [`If-Modified-Since: ${dateAt(0)}`], policy: policyOf({ refreshAllIms: true }) },
    0, 'refresh-ims',
  ],
  [
    'refresh-ims is for conditional requests only',
    { request: ['Cache-Control: x'], policy: ruled(0, 20, 99, { refreshIms: true }) },
    0, 'fresh',
  ],
  ['override-expire says so', { policy: ruled(60, 20, 99, { overrideExpire: true }) }, 10_000, 'override'],
  ['max_stale, last moment', { policy: policyOf({ maxStale: secondsToMs(seconds(20)) }) }, 30_000, 'stale'],
  ['max_stale, over', { policy: policyOf({ maxStale: secondsToMs(seconds(20)) }) }, 30_001, 'too-stale'],
  [
    'max-stale= of the line goes before max_stale',
    { policy: ruled(0, 20, 99, { maxStale: seconds(5) }) },
    15_001, 'too-stale',
  ],
  [
    'stale-while-revalidate= of the line',
    { policy: ruled(0, 20, 99, { staleWhileRevalidate: seconds(5) }) },
    14_999, 'while-revalidate',
  ],
  [
    'the response goes before the line',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=1'], policy: ruled(0, 20, 99, { staleWhileRevalidate: seconds(5) }) },
    11_000, 'stale',
  ],
  [
    'ignore-stale-while-revalidate',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=9'], policy: ruled(0, 20, 99, { ignoreStaleWhileRevalidate: true }) },
    10_000, 'stale',
  ],
  // the line's max is for what says nothing: it makes nothing stale that says how long it is fresh
  [
    'max_stale counts from the end of max-age, however far the max of the line is behind',
    { policy: ruled(0, 20, 5, {}, { maxStale: secondsToMs(seconds(20)) }) },
    30_000, 'stale',
  ],
  [
    'and is over where it is over, however near the max of the line is',
    { policy: ruled(0, 20, 25, {}, { maxStale: secondsToMs(seconds(20)) }) },
    30_001, 'too-stale',
  ],
  [
    'what says nothing and is older than the max of its line is stale by what exceeds that',
    { response: [`Last-Modified: ${dateAt(-100)}`], policy: ruled(0, 20, 25, {}, { maxStale: secondsToMs(seconds(20)) }) },
    45_000, 'stale',
  ],
  [
    'and too stale after that',
    { response: [`Last-Modified: ${dateAt(-100)}`], policy: ruled(0, 20, 25, {}, { maxStale: secondsToMs(seconds(20)) }) },
    45_001, 'too-stale',
  ],
  [
    'offline: nobody is asked behind the client either',
    { response: ['Cache-Control: max-age=10, stale-while-revalidate=60'], policy: policyOf({ offline: true }) },
    11_000, 'offline',
  ],
  [
    'ignore-private: validated at each use',
    { response: ['Cache-Control: private, max-age=10', 'ETag: "a"'], policy: ruled(0, 20, 99, { ignorePrivate: true }) },
    0, 'no-cache',
  ],
]

test.each(rows)('%s', (_, { response = fresh10, request = [], policy = defaultPolicy }, now, reason) => {
  const answer = reuse(storedOf({ response }, policy), factsOf(...request), policy, wallMs(t0 + now))
  expect(answer).toEqual({ kind: reuseReasons[reason].kind, reason, fwd: reuseReasons[reason].fwd })
})

test('each reason has the kind it is meant to have', () => {
  const kinds: Record<ReuseKind, ReuseReason[]> = { fresh: [], stale: [], validate: [], no: [] }
  for (const reason of Object.keys(reuseReasons) as ReuseReason[]) kinds[reuseReasons[reason].kind].push(reason)
  expect(kinds).toEqual({
    fresh: ['fresh', 'override'],
    stale: ['client-max-stale', 'offline', 'while-revalidate'],
    validate: [
      'stale', 'must-revalidate', 'too-stale', 'no-cache', 'outdated', 'client-max-age', 'client-min-fresh',
      'reload-into-ims', 'refresh-ims',
    ],
    no: ['reload', 'for-origin', 'only-if-cached', 'part', 'uri-miss', 'vary-miss', 'method', 'send-hit-deny', 'bypass'],
  })
})

test('what is outdated is validated, by all and at once, and is not stretched by an override', () => {
  const policy = ruled(1000, 20, 2000, { overrideExpire: true })
  const stored = outdated(storedOf({ response: fresh10 }, policy), at(3))
  for (const request of [null, factsOf('Cache-Control: max-stale')]) {
    expect(reuse(stored, request, policy, at(4)).reason).toBe('outdated')
  }
})

test('asking again allocates no answer', () => {
  const stored = storedOf({ response: fresh10 })
  expect(reuse(stored, null, defaultPolicy, at(1))).toBe(reuse(stored, null, defaultPolicy, at(2)))
})

test('where nothing fits, the reason is which of the two it was, or that the request goes no further', () => {
  expect(missed(false, null).reason).toBe('uri-miss')
  expect(missed(true, null).reason).toBe('vary-miss')
  expect(missed(false, factsOf('Cache-Control: only-if-cached')).reason).toBe('only-if-cached')
  expect(missed(true, factsOf('If-Match: "a"')).reason).toBe('for-origin')
})

test('ttl is what is left of its freshness, negative when stale', () => {
  const stored = storedOf({ response: fresh10 })
  expect([timeToLive(stored, at(4)), timeToLive(stored, at(14))]).toEqual([6000, -4000])
})
