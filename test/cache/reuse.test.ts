import { expect, test } from 'vitest'
import { seconds, secondsToMs, wallMs } from '../../src/base/index.ts'
import {
  type CachePolicy, defaultPolicy, missed, outdated, reuse, type ReuseKind, type ReuseReason, reuseReasons, timeToLive,
} from '../../src/cache/index.ts'
import { at, type Case, dateAt, factsOf, policyOf, ruled, storedOf, t0 } from './kit.ts'

// Guards RFC 9111 4 and 5.2: what a stored response may be used for. Sees it in kind and reason at exact milliseconds.

const fresh10: readonly string[] = ['Cache-Control: max-age=10', 'ETag: "a"']

interface Row {
  readonly name: string
  readonly response?: readonly string[]
  readonly request?: readonly string[]
  readonly policy?: CachePolicy
  /** Milliseconds after t0. */
  readonly now: number
  readonly kind: ReuseKind
  readonly reason: ReuseReason
}

const rows: readonly Row[] = [
  { name: 'fresh', now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'stale', now: 10_000, kind: 'validate', reason: 'stale' },

  // the response
  { name: 'no-cache is validated though fresh', response: ['Cache-Control: no-cache, max-age=10', 'ETag: "a"'], now: 0, kind: 'validate', reason: 'no-cache' },
  { name: 'no-cache="field" is not', response: ['Cache-Control: no-cache="a", max-age=10'], now: 0, kind: 'fresh', reason: 'fresh' },
  { name: 'must-revalidate while fresh', response: ['Cache-Control: max-age=10, must-revalidate'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'must-revalidate when stale', response: ['Cache-Control: max-age=10, must-revalidate'], now: 10_000, kind: 'validate', reason: 'must-revalidate' },
  { name: 'proxy-revalidate when stale', response: ['Cache-Control: max-age=10, proxy-revalidate'], now: 10_000, kind: 'validate', reason: 'must-revalidate' },
  { name: 's-maxage when stale', response: ['Cache-Control: s-maxage=10'], now: 10_000, kind: 'validate', reason: 'must-revalidate' },
  { name: 'stale-while-revalidate, last moment', response: ['Cache-Control: max-age=10, stale-while-revalidate=5'], now: 14_999, kind: 'stale', reason: 'while-revalidate' },
  { name: 'stale-while-revalidate, over', response: ['Cache-Control: max-age=10, stale-while-revalidate=5'], now: 15_000, kind: 'validate', reason: 'stale' },
  { name: 'stale-while-revalidate never beside must-revalidate', response: ['Cache-Control: max-age=10, must-revalidate, stale-while-revalidate=5'], now: 10_000, kind: 'validate', reason: 'must-revalidate' },
  { name: 'stale-while-revalidate never beside no-cache', response: ['Cache-Control: max-age=10, no-cache, stale-while-revalidate=5', 'ETag: "a"'], now: 11_000, kind: 'validate', reason: 'no-cache' },

  // the request
  { name: 'Cache-Control that says nothing we know', request: ['Cache-Control: nothing-to-see-here', 'Pragma: foo'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'no-cache', request: ['Cache-Control: no-cache'], now: 0, kind: 'no', reason: 'reload' },
  { name: 'Pragma: no-cache', request: ['Pragma: no-cache'], now: 0, kind: 'no', reason: 'reload' },
  { name: 'Pragma counts only without Cache-Control', request: ['Pragma: no-cache', 'Cache-Control: max-age=5'], now: 0, kind: 'fresh', reason: 'fresh' },
  { name: 'no-store in the request does not stop a hit', request: ['Cache-Control: no-store'], now: 0, kind: 'fresh', reason: 'fresh' },
  { name: 'max-age, last moment', request: ['Cache-Control: max-age=5'], now: 5000, kind: 'fresh', reason: 'fresh' },
  { name: 'max-age, over', request: ['Cache-Control: max-age=5'], now: 5001, kind: 'validate', reason: 'client-max-age' },
  { name: 'max-age=0 asks for validation at once', request: ['Cache-Control: max-age=0'], now: 0, kind: 'validate', reason: 'client-max-age' },
  { name: 'max-age that is no number is 0', request: ['Cache-Control: max-age=x'], now: 0, kind: 'validate', reason: 'client-max-age' },
  { name: 'max-age over, and stale: stale is the reason', request: ['Cache-Control: max-age=5'], now: 10_000, kind: 'validate', reason: 'stale' },
  { name: 'max-age beats stale-while-revalidate', response: ['Cache-Control: max-age=10, stale-while-revalidate=50'], request: ['Cache-Control: max-age=5'], now: 11_000, kind: 'validate', reason: 'stale' },
  { name: 'immutable is not validated for a reload by max-age=0', response: ['Cache-Control: max-age=10, immutable'], request: ['Cache-Control: max-age=0'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'immutable, stale', response: ['Cache-Control: max-age=10, immutable'], request: ['Cache-Control: max-age=0'], now: 10_000, kind: 'validate', reason: 'stale' },
  { name: 'min-fresh, last moment', request: ['Cache-Control: min-fresh=4'], now: 6000, kind: 'fresh', reason: 'fresh' },
  { name: 'min-fresh, over', request: ['Cache-Control: min-fresh=4'], now: 6001, kind: 'validate', reason: 'client-min-fresh' },
  { name: 'min-fresh, and stale: stale is the reason', request: ['Cache-Control: min-fresh=4'], now: 10_000, kind: 'validate', reason: 'stale' },
  { name: 'min-fresh and must-revalidate, fresh but not for long enough', response: ['Cache-Control: max-age=10, must-revalidate'], request: ['Cache-Control: min-fresh=4'], now: 7000, kind: 'validate', reason: 'client-min-fresh' },
  { name: 'max-stale, last moment', request: ['Cache-Control: max-stale=5'], now: 15_000, kind: 'stale', reason: 'client-max-stale' },
  { name: 'max-stale, exceeded', request: ['Cache-Control: max-stale=5'], now: 15_001, kind: 'validate', reason: 'stale' },
  { name: 'max-stale without a number: any staleness', request: ['Cache-Control: max-stale'], now: 1e9, kind: 'stale', reason: 'client-max-stale' },
  { name: 'max-stale while fresh', request: ['Cache-Control: max-stale'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'max-stale never beats must-revalidate', response: ['Cache-Control: max-age=10, must-revalidate'], request: ['Cache-Control: max-stale'], now: 10_000, kind: 'validate', reason: 'must-revalidate' },
  { name: 'max-stale never beats s-maxage', response: ['Cache-Control: s-maxage=10'], request: ['Cache-Control: max-stale=99'], now: 10_000, kind: 'validate', reason: 'must-revalidate' },
  { name: 'max-stale never beats no-cache', response: ['Cache-Control: no-cache', 'ETag: "a"'], request: ['Cache-Control: max-stale'], now: 0, kind: 'validate', reason: 'no-cache' },
  { name: 'max-age and max-stale: both must hold', request: ['Cache-Control: max-age=5, max-stale=100'], now: 6000, kind: 'validate', reason: 'client-max-age' },
  { name: 'only-if-cached, fresh', request: ['Cache-Control: only-if-cached'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'only-if-cached, stale', request: ['Cache-Control: only-if-cached'], now: 10_000, kind: 'no', reason: 'only-if-cached' },
  { name: 'only-if-cached and max-stale', request: ['Cache-Control: only-if-cached, max-stale'], now: 99_000, kind: 'stale', reason: 'client-max-stale' },
  { name: 'only-if-cached and no-cache', request: ['Cache-Control: only-if-cached, no-cache'], now: 0, kind: 'no', reason: 'only-if-cached' },
  { name: 'If-None-Match is not in the way', request: ['If-None-Match: "b"'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'If-Match is for the origin', request: ['If-Match: "a"'], now: 0, kind: 'no', reason: 'for-origin' },
  { name: 'If-Unmodified-Since is for the origin', request: [`If-Unmodified-Since: ${dateAt(0)}`], now: 0, kind: 'no', reason: 'for-origin' },
  { name: 'only-if-cached does not go to the origin for If-Match', request: ['If-Match: "a"', 'Cache-Control: only-if-cached'], now: 0, kind: 'no', reason: 'only-if-cached' },

  // the operator
  { name: 'ignore-reload', policy: ruled(0, 20, 99, { ignoreReload: true }), request: ['Cache-Control: no-cache'], now: 0, kind: 'fresh', reason: 'fresh' },
  { name: 'ignore-reload, max-age=0', policy: ruled(0, 20, 99, { ignoreReload: true }), request: ['Cache-Control: max-age=0'], now: 9999, kind: 'fresh', reason: 'fresh' },
  { name: 'ignore-reload is not for max-age=1', policy: ruled(0, 20, 99, { ignoreReload: true }), request: ['Cache-Control: max-age=1'], now: 1001, kind: 'validate', reason: 'client-max-age' },
  { name: 'reload-into-ims', policy: ruled(0, 20, 99, { reloadIntoIms: true }), request: ['Cache-Control: no-cache'], now: 0, kind: 'validate', reason: 'reload-into-ims' },
  { name: 'reload_into_ims', policy: policyOf({ reloadIntoIms: true }), request: ['Pragma: no-cache'], now: 0, kind: 'validate', reason: 'reload-into-ims' },
  { name: 'refresh-ims', policy: ruled(0, 20, 99, { refreshIms: true }), request: ['If-None-Match: "a"'], now: 0, kind: 'validate', reason: 'refresh-ims' },
  { name: 'refresh_all_ims', policy: policyOf({ refreshAllIms: true }), request: [`If-Modified-Since: ${dateAt(0)}`], now: 0, kind: 'validate', reason: 'refresh-ims' },
  { name: 'refresh-ims is for conditional requests only', policy: ruled(0, 20, 99, { refreshIms: true }), request: ['Cache-Control: x'], now: 0, kind: 'fresh', reason: 'fresh' },
  { name: 'override-expire says so', policy: ruled(60, 20, 99, { overrideExpire: true }), now: 10_000, kind: 'fresh', reason: 'override' },
  { name: 'max_stale, last moment', policy: policyOf({ maxStale: secondsToMs(seconds(20)) }), now: 30_000, kind: 'validate', reason: 'stale' },
  { name: 'max_stale, over', policy: policyOf({ maxStale: secondsToMs(seconds(20)) }), now: 30_001, kind: 'validate', reason: 'too-stale' },
  { name: 'max-stale= of the line goes before max_stale', policy: ruled(0, 20, 99, { maxStale: seconds(5) }), now: 15_001, kind: 'validate', reason: 'too-stale' },
  { name: 'stale-while-revalidate= of the line', policy: ruled(0, 20, 99, { staleWhileRevalidate: seconds(5) }), now: 14_999, kind: 'stale', reason: 'while-revalidate' },
  { name: 'the response goes before the line', response: ['Cache-Control: max-age=10, stale-while-revalidate=1'], policy: ruled(0, 20, 99, { staleWhileRevalidate: seconds(5) }), now: 11_000, kind: 'validate', reason: 'stale' },
  { name: 'ignore-stale-while-revalidate', response: ['Cache-Control: max-age=10, stale-while-revalidate=9'], policy: ruled(0, 20, 99, { ignoreStaleWhileRevalidate: true }), now: 10_000, kind: 'validate', reason: 'stale' },
  { name: 'ignore-private: validated at each use', response: ['Cache-Control: private, max-age=10', 'ETag: "a"'], policy: ruled(0, 20, 99, { ignorePrivate: true }), now: 0, kind: 'validate', reason: 'no-cache' },
]

test.each(rows)('$name', ({ response = fresh10, request = [], policy = defaultPolicy, now, kind, reason }) => {
  const stored = storedOf({ response } satisfies Case, policy)
  const answer = reuse(stored, factsOf(...request), policy, wallMs(t0 + now))
  expect(answer).toEqual({ kind, reason, fwd: reuseReasons[reason].fwd })
  expect(reuseReasons[reason].kind).toBe(kind)
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
