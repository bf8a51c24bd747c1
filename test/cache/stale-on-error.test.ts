import { expect, test } from 'vitest'
import { seconds, secondsToMs, wallMs } from '../../src/base/index.ts'
import {
  type CachePolicy, defaultPolicy, isOriginFailure, outdated, staleOnError, type StaleReason, staleReasons,
} from '../../src/cache/index.ts'
import { at, factsOf, policyOf, ruled, storedOf, t0 } from './kit.ts'

// Guards RFC 9111 4.2.4 and RFC 5861 4: what may be served when validation failed. Sees it in the reason at exact
// milliseconds.

const short = policyOf({ maxStale: secondsToMs(seconds(20)) })

test.each<[string, string, string[], CachePolicy, number, StaleReason]>([
  ['stale, nobody forbids it', 'max-age=10', [], short, 30_000, 'stale-on-error'],
  ['stale for longer than max_stale', 'max-age=10', [], short, 30_001, 'too-stale'],
  ['fresh, the client had wanted it fresher', 'max-age=10', ['Cache-Control: max-age=0'], short, 9999, 'fresh-on-error'],
  ['within stale-if-error', 'max-age=10, stale-if-error=5', [], short, 15_000, 'stale-if-error'],
  ['beyond stale-if-error', 'max-age=10, stale-if-error=5', [], short, 15_001, 'beyond-stale-if-error'],
  ['stale-if-error does not go beyond max_stale', 'max-age=10, stale-if-error=50', [], short, 30_001, 'too-stale'],
  ['stale-if-error of the request', 'max-age=10, stale-if-error=0', ['Cache-Control: stale-if-error=5'], short, 15_000, 'stale-if-error'],
  ['stale-if-error=0 forbids', 'max-age=10, stale-if-error=0', [], short, 10_001, 'beyond-stale-if-error'],
  ['must-revalidate', 'max-age=10, must-revalidate', [], short, 10_000, 'must-revalidate'],
  ['proxy-revalidate', 'max-age=10, proxy-revalidate', [], short, 10_000, 'must-revalidate'],
  ['s-maxage', 's-maxage=10', [], short, 10_000, 'must-revalidate'],
  ['must-revalidate beats stale-if-error', 'max-age=10, must-revalidate, stale-if-error=99', [], short, 10_000, 'must-revalidate'],
  ['must-revalidate, but fresh', 'max-age=10, must-revalidate', ['Cache-Control: max-age=0'], short, 9999, 'fresh-on-error'],
  ['no-cache', 'max-age=10, no-cache', [], short, 0, 'no-cache'],
  ['a reload', 'max-age=10', ['Cache-Control: no-cache'], short, 0, 'reload'],
  ['a reload that is ignored', 'max-age=10', ['Cache-Control: no-cache'], ruled(0, 20, 99, { ignoreReload: true }), 0, 'fresh-on-error'],
  ['max-stale= of the line', 'max-age=10', [], ruled(0, 20, 99, { maxStale: seconds(5) }), 15_001, 'too-stale'],
])('%s', (_, control, request, policy, now, reason) => {
  const stored = storedOf({ response: [`Cache-Control: ${control}`, 'ETag: "a"'] }, policy)
  const answer = staleOnError(stored, factsOf(...request), policy, wallMs(t0 + now))
  expect(answer).toEqual({ kind: staleReasons[reason].kind, reason })
})

test('what is outdated is not served', () => {
  const stored = outdated(storedOf({ response: ['Cache-Control: max-age=10'] }), at(1))
  expect(staleOnError(stored, null, defaultPolicy, at(2)).reason).toBe('outdated')
})

test('an origin that answers 500, 502, 503 or 504 has failed; 501 and 404 are answers', () => {
  expect([200, 404, 500, 501, 502, 503, 504, 505].filter(isOriginFailure)).toEqual([500, 502, 503, 504])
})
