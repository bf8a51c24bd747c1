import { secondsToMs, type WallMs } from '../base/index.ts'
import { judge, maxStaleOf, stalenessOf } from './freshness.ts'
import type { CachePolicy } from './policy.ts'
import type { RequestFacts } from './request-facts.ts'
import { flag, type StoredResponse } from './stored-response.ts'

// Validation failed: the origin could not be reached, closed or timed out, or answered 500, 502, 503 or 504 (RFC 9111
// 4.3.3). May the client have the stale response instead.

export const staleReasons = {
  'stale-if-error': { kind: 'stale', doc: 'within stale-if-error of the response or the request' },
  'stale-on-error': { kind: 'stale', doc: 'nobody forbids it, and it is within max_stale' },
  'fresh-on-error': { kind: 'stale', doc: 'fresh; only the request had wanted it fresher' },
  'failure-itself': { kind: 'no', doc: 'what is stored is a failure of the origin, too (negative_ttl)' },
  'no-cache': { kind: 'no', doc: 'the response says no-cache' },
  'must-revalidate': { kind: 'no', doc: 'it says must-revalidate, proxy-revalidate or s-maxage' },
  'outdated': { kind: 'no', doc: 'a HEAD or an unsafe request showed that it may have changed' },
  'reload': { kind: 'no', doc: 'the request says no-cache' },
  'beyond-stale-if-error': { kind: 'no', doc: 'stale for longer than the response allows with stale-if-error' },
  'too-stale': { kind: 'no', doc: 'stale for longer than max_stale' },
} as const

export type StaleReason = keyof typeof staleReasons

export interface StaleUse {
  readonly kind: 'stale' | 'no'
  readonly reason: StaleReason
}

const answers = Object.fromEntries(
  Object.entries(staleReasons).map(([reason, line]) => [reason, { kind: line.kind, reason }]),
) as Readonly<Record<StaleReason, StaleUse>> // one entry per key of the table

/** Statuses that count as "the origin failed" (RFC 5861 4). */
export const isOriginFailure = (status: number): boolean =>
  status === 500 || status === 502 || status === 503 || status === 504

export const staleOnError = (
  stored: StoredResponse,
  request: RequestFacts | null,
  policy: CachePolicy,
  now: WallMs,
): StaleUse => {
  if (stored.generation !== policy.refresh.generation) judge(stored, policy, now)
  if (isOriginFailure(stored.status)) return answers['failure-itself']
  if (stored.has(flag.noCache)) return answers['no-cache']
  if (stored.has(flag.outdated)) return answers.outdated
  if (request?.reload === true && !stored.rule.options.ignoreReload) return answers.reload
  const staleness = now - stored.staleAt
  if (staleness < 0) return answers['fresh-on-error']
  // RFC 9111 5.2.2.2: not even when disconnected
  if (stored.has(flag.mustRevalidate)) return answers['must-revalidate']
  if (stalenessOf(stored, now) > maxStaleOf(stored.rule, policy)) return answers['too-stale']
  const asked = request?.control.staleIfError ?? null
  if (asked !== null && staleness <= secondsToMs(asked)) return answers['stale-if-error']
  if (stored.staleIfError < 0) return answers['stale-on-error']
  return staleness <= stored.staleIfError ? answers['stale-if-error'] : answers['beyond-stale-if-error']
}
