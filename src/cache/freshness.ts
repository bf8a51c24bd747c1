import { type DurationMs, ms, secondsToMs, type WallMs, wallMs } from '../base/index.ts'
import { type Fields, parseHttpDate, type ResponseCacheControl } from '../http/index.ts'
import type { CachePolicy } from './policy.ts'
import type { RefreshRule } from './refresh-pattern.ts'
import { flag, type FreshnessSource, type StoredResponse } from './stored-response.ts'

// How long a response is fresh (RFC 9111 4.2.1), and what refresh_pattern makes of it. Everything is a moment on the
// wall clock, worked out once; afterwards a hit compares `now` with one number.
//
//   bornAt                      staleAt            freshUntil
//     |------- fresh --------------|--- override ------|------- stale ------>
//                                                   (the same moment without an override)

export interface Lifetime {
  /** -1 = the response does not say. */
  readonly lifetime: DurationMs
  readonly source: FreshnessSource
}

const unsaid: Lifetime = { lifetime: ms(-1), source: 'none' }

/** Explicit freshness for a shared cache, first match: s-maxage, max-age, Expires minus Date. */
export const explicitLifetime = (
  control: Readonly<ResponseCacheControl>,
  fields: Fields,
  date: WallMs,
  now: WallMs,
): Lifetime => {
  if (control.sMaxage !== null) return { lifetime: secondsToMs(control.sMaxage), source: 's-maxage' }
  if (control.maxAge !== null) return { lifetime: secondsToMs(control.maxAge), source: 'max-age' }
  if (control.expiresIgnored) return unsaid
  const text = fields.get('expires') // of several lines the first counts (RFC 9111 4.2.1)
  if (text === undefined) return unsaid
  const expires = parseHttpDate(text, now)
  // RFC 9111 5.3: what is no date, above all "0", is in the past
  return { lifetime: ms(expires === null ? 0 : Math.max(0, expires - date)), source: 'expires' }
}

/** Writes what the policy in force makes of a stored response. Once per response and generation of the patterns. */
export const judge = (stored: StoredResponse, policy: CachePolicy, now: WallMs): void => {
  const rule = policy.refresh.ruleFor(stored.uri)
  stored.rule = rule
  stored.generation = policy.refresh.generation
  const negative = stored.lifetime < 0 ? negativeTtlOf(stored.status, rule, policy) : 0
  if (stored.lifetime >= 0) judgeExplicit(stored, rule, policy)
  else if (negative > 0) staleFrom(stored, stored.bornAt + negative, stored.bornAt + negative, 'negative-ttl')
  else if (stored.has(flag.heuristic)) judgeHeuristic(stored, rule, policy)
  else staleFrom(stored, stored.bornAt, stored.bornAt, 'none')
  // nobody knows how old it is: it may have been received an hour ago, or a day
  if (stored.responseTime > now + clockErrorMs) staleFrom(stored, now, now, 'clock-set-back')
}

/** What a response may seem to come from the future: clocks are corrected by less all the time. */
const clockErrorMs = 5000

const judgeExplicit = (stored: StoredResponse, rule: RefreshRule, policy: CachePolicy): void => {
  const staleAt = stored.bornAt + stored.lifetime
  const until = rule.options.overrideExpire ? stretched(stored, staleAt, stored.bornAt + rule.min, policy) : staleAt
  staleFrom(stored, staleAt, until, stored.lifetimeSource)
}

/** What Squid calls a negative response. Of these RFC 9111 has freshness for some by heuristic, and the operator's counts. */
const negativeStatuses = new Set([204, 305, 400, 403, 404, 405, 414, 421, 500, 501, 502, 503, 504])

/** negative_ttl of the line or of all; 0 = it does not concern that status. */
export const negativeTtlOf = (status: number, rule: RefreshRule, policy: CachePolicy): number => {
  if (!negativeStatuses.has(status)) return 0
  return rule.options.negativeTtl === null ? policy.negativeTtl : secondsToMs(rule.options.negativeTtl)
}

/** Squid's refresh algorithm for a response that says nothing: older than max is stale; by Last-Modified; by min. */
const judgeHeuristic = (stored: StoredResponse, rule: RefreshRule, policy: CachePolicy): void => {
  const born = stored.bornAt
  const pastMax = born + rule.max + 1 // age = max is not yet too old
  const modified = stored.lastModified
  if (modified < 0 || modified >= born) {
    const staleAt = Math.min(pastMax, born + rule.min)
    staleFrom(stored, staleAt, staleAt, 'minimum')
    return
  }
  const byModification = born + Math.ceil((born - modified) * rule.fraction)
  const staleAt = Math.min(pastMax, byModification)
  const to = Math.min(pastMax, born + rule.min) // no override goes beyond max
  const until = rule.options.overrideLastmod ? stretched(stored, staleAt, to, policy) : staleAt
  staleFrom(stored, staleAt, until, 'last-modified')
}

/** An override never shortens, never goes beyond max_stale, and never touches what must be validated. */
const stretched = (stored: StoredResponse, staleAt: number, to: number, policy: CachePolicy): number => {
  if (stored.has(flag.mustRevalidate)) return staleAt
  const limit = staleAt + maxStaleOf(stored.rule, policy) + 1 // staleness = max_stale is not yet too stale
  return Math.max(staleAt, Math.min(to, limit))
}

const staleFrom = (stored: StoredResponse, staleAt: number, until: number, source: FreshnessSource): void => {
  stored.staleAt = wallMs(staleAt)
  stored.freshUntil = wallMs(until)
  stored.hitUntil = stored.has(flag.noCache) || stored.has(flag.outdated) ? wallMs(0) : stored.freshUntil
  stored.source = source
}

/**
 * How stale it is as refresh.cc counts, for max_stale: what is older than the max of its line is stale by what exceeds
 * it, however long it had been stale by Last-Modified or min before. Negative while fresh.
 */
export const stalenessOf = (stored: StoredResponse, now: WallMs): number => {
  const beyondMax = stored.lifetime < 0 && stored.has(flag.heuristic) ? now - stored.bornAt - stored.rule.max : 0
  return beyondMax > 0 ? beyondMax : now - stored.staleAt
}

/** How stale a response may be used at all: its refresh_pattern's max-stale=, else max_stale. */
export const maxStaleOf = (rule: RefreshRule, policy: CachePolicy): DurationMs =>
  rule.options.maxStale === null ? policy.maxStale : secondsToMs(rule.options.maxStale)

/**
 * How long beyond staleAt it may be used while it is validated behind the client's back (RFC 5861 3); 0 = not at all.
 * What must be validated never is (RFC 9111 4.2.4).
 */
export const staleWhileRevalidateOf = (stored: StoredResponse): DurationMs => {
  if (stored.has(flag.noCache | flag.mustRevalidate | flag.outdated)) return ms(0)
  const { ignoreStaleWhileRevalidate, staleWhileRevalidate } = stored.rule.options
  if (stored.staleWhileRevalidate >= 0 && !ignoreStaleWhileRevalidate) return stored.staleWhileRevalidate
  return staleWhileRevalidate === null ? ms(0) : secondsToMs(staleWhileRevalidate)
}
