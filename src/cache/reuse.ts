import { type DurationMs, ms, type Seconds, secondsToMs, type WallMs, wallMs } from '../base/index.ts'
import { deltaSecondsMax, type ForwardReason } from '../http/index.ts'
import { judge, maxStaleOf, stalenessOf, staleWhileRevalidateOf } from './freshness.ts'
import type { CachePolicy } from './policy.ts'
import type { RequestFacts } from './request-facts.ts'
import { flag, type StoredResponse } from './stored-response.ts'

// RFC 9111 4: may this stored response answer this request. The variant has been chosen; what is left is time and what
// the request, the response and the operator want. Answers are shared objects: asking costs no memory.

export const reuseKinds = {
  fresh: 'give it to the client',
  stale: 'give it to the client although it is stale',
  validate: 'ask the origin first, with its validators if it has any',
  no: 'do not use it',
} as const

export type ReuseKind = keyof typeof reuseKinds

interface Line {
  readonly kind: ReuseKind
  /** RFC 9211 2.2; null = it does not go forward. */
  readonly fwd: ForwardReason | null
  readonly doc: string
}

export const reuseReasons = {
  'fresh': { kind: 'fresh', fwd: null, doc: 'younger than its freshness lifetime' },
  'override': { kind: 'fresh', fwd: null, doc: 'past its freshness, which its refresh_pattern overrides' },
  'client-max-stale': { kind: 'stale', fwd: null, doc: 'stale, and the request says max-stale' },
  'offline': { kind: 'stale', fwd: null, doc: 'it would have to be validated, but for offline_mode' },
  'while-revalidate': { kind: 'stale', fwd: null, doc: 'stale-while-revalidate: used now, validated behind it' },
  'stale': { kind: 'validate', fwd: 'stale', doc: 'past its freshness lifetime' },
  'must-revalidate': { kind: 'validate', fwd: 'stale', doc: 'stale, with must-revalidate, proxy-revalidate or s-maxage' },
  'too-stale': { kind: 'validate', fwd: 'stale', doc: 'stale for longer than max_stale' },
  'no-cache': { kind: 'validate', fwd: 'stale', doc: 'the response says no-cache' },
  'outdated': { kind: 'validate', fwd: 'stale', doc: 'a HEAD or an unsafe request showed that it may have changed' },
  'client-max-age': { kind: 'validate', fwd: 'request', doc: 'older than the max-age of the request' },
  'client-min-fresh': { kind: 'validate', fwd: 'request', doc: 'fresh for less than the min-fresh of the request' },
  'reload-into-ims': { kind: 'validate', fwd: 'request', doc: 'the client reloads, and reload_into_ims is on' },
  'refresh-ims': { kind: 'validate', fwd: 'request', doc: 'a conditional request, and refresh-ims or refresh_all_ims' },
  'reload': { kind: 'no', fwd: 'request', doc: 'the request says no-cache' },
  'for-origin': { kind: 'no', fwd: 'bypass', doc: 'If-Match or If-Unmodified-Since: only the origin may judge them' },
  'only-if-cached': { kind: 'no', fwd: null, doc: 'only-if-cached, and nothing that may be used: 504' },
  'part': { kind: 'no', fwd: 'partial', doc: 'a part of it is stored, and not all that is wanted' },
  'uri-miss': { kind: 'no', fwd: 'uri-miss', doc: 'nothing is stored for the URI' },
  'vary-miss': { kind: 'no', fwd: 'vary-miss', doc: 'something is stored, but for other selecting fields' },
  'method': { kind: 'no', fwd: 'method', doc: 'neither GET nor HEAD' },
  'send-hit-deny': { kind: 'no', fwd: 'bypass', doc: 'a send_hit line of the conf said no' },
  'bypass': { kind: 'no', fwd: 'bypass', doc: 'the cache was not asked: cache deny, or not for a cache' },
} as const satisfies Record<string, Line>

export type ReuseReason = keyof typeof reuseReasons

export interface Reuse {
  readonly kind: ReuseKind
  readonly reason: ReuseReason
  readonly fwd: ForwardReason | null
}

const answers = Object.fromEntries(
  Object.entries(reuseReasons).map(([reason, line]) => [reason, { kind: line.kind, reason, fwd: line.fwd }]),
) as Readonly<Record<ReuseReason, Reuse>> // one entry per key of the table

export const reuseAnswer = (reason: ReuseReason): Reuse => answers[reason]

const fresh = answers.fresh

/** `request` null = it says nothing to caches, the usual case. */
export const reuse = (
  stored: StoredResponse,
  request: RequestFacts | null,
  policy: CachePolicy,
  now: WallMs,
): Reuse => {
  if (stored.generation !== policy.refresh.generation) judge(stored, policy, now)
  if (request === null) return now < stored.hitUntil && now < stored.staleAt ? fresh : online(whenPlain(stored, policy, now), policy)
  const answer = request.forOrigin ? answers['for-origin'] : online(whenAsked(stored, request, policy, now), policy)
  // RFC 9111 5.2.1.7: what would go forward ends here instead
  const ends = request.control.onlyIfCached && (answer.kind === 'validate' || answer.kind === 'no')
  return ends ? answers['only-if-cached'] : answer
}

/** offline_mode: there is no origin to ask, behind a client's back neither. A reload still goes forward, as in Squid. */
const online = (answer: Reuse, policy: CachePolicy): Reuse =>
  policy.offline && (answer.kind === 'validate' || answer.reason === 'while-revalidate') ? answers.offline : answer

const whenPlain = (stored: StoredResponse, policy: CachePolicy, now: WallMs): Reuse => {
  const forced = forcedValidation(stored, now)
  return forced ?? byFreshness(stored, policy, now)
}

/** The order is Squid's (refresh.cc), which operators' refresh_patterns were written for; times by RFC 9111. */
const whenAsked = (stored: StoredResponse, request: RequestFacts, policy: CachePolicy, now: WallMs): Reuse => {
  const { control } = request
  const options = stored.rule.options
  const reloads = request.reload && !options.ignoreReload
  const intoIms = options.reloadIntoIms || policy.reloadIntoIms
  // before all else: a 304 to our condition would leave the client with what it does not trust (Squid)
  if (reloads && !intoIms) return answers.reload
  // RFC 9111 5.2.1.3: lifetime >= age + min-fresh. What is fresh at `then` is fresh for that long, to the millisecond
  const minFresh = control.minFresh === null ? 0 : secondsToMs(control.minFresh)
  const then = wallMs(minFresh === 0 ? now : now + minFresh - 1)
  const forced = forcedValidation(stored, then)
  if (forced !== null) return minFreshIsWhy(stored, now, then) ? answers['client-min-fresh'] : forced
  if (request.conditional && (options.refreshIms || policy.refreshAllIms)) return answers['refresh-ims']
  if (reloads) return answers['reload-into-ims']
  if (control.maxAge !== null && olderThanAsked(stored, control.maxAge, now)) {
    return now < stored.freshUntil ? answers['client-max-age'] : answers.stale
  }
  const staleness = then - stored.staleAt
  if (staleness >= 0 && control.maxStale !== null && withinMaxStale(staleness, control.maxStale)) {
    return answers['client-max-stale']
  }
  const answer = byFreshness(stored, policy, then)
  // RFC 9111 5.2.1.1: who says max-age and not max-stale wants nothing stale
  if (answer.kind === 'stale' && control.maxAge !== null && !(control.maxAge === 0 && options.ignoreReload)) return answers.stale
  if (answer.kind === 'fresh' || minFresh === 0) return answer
  return minFreshIsWhy(stored, now, then) ? answers['client-min-fresh'] : answers.stale
}

/** What nothing can talk out of asking the origin. */
const forcedValidation = (stored: StoredResponse, now: WallMs): Reuse | null => {
  if (stored.has(flag.outdated)) return answers.outdated
  if (stored.has(flag.noCache)) return answers['no-cache']
  return now >= stored.staleAt && stored.has(flag.mustRevalidate) ? answers['must-revalidate'] : null
}

const byFreshness = (stored: StoredResponse, policy: CachePolicy, now: WallMs): Reuse => {
  if (now < stored.staleAt) return fresh
  if (now < stored.freshUntil) return answers.override
  if (stalenessOf(stored, now) > maxStaleOf(stored.rule, policy)) return answers['too-stale']
  return now < stored.staleAt + staleWhileRevalidateOf(stored) ? answers['while-revalidate'] : answers.stale
}

/** It would have been used, had the request not wanted it fresh for a while longer. */
const minFreshIsWhy = (stored: StoredResponse, now: WallMs, then: WallMs): boolean =>
  then > now && now < stored.hitUntil

/** RFC 9111 5.2.1.1; 0 asks for validation whatever the age. RFC 8246: not of what is immutable and fresh. */
const olderThanAsked = (stored: StoredResponse, maxAge: Seconds, now: WallMs): boolean => {
  if (stored.has(flag.immutable) && now < stored.staleAt) return false
  if (maxAge === 0) return !stored.rule.options.ignoreReload
  return stored.age(now) > secondsToMs(maxAge)
}

/** RFC 9111 5.2.1.2: "no more than the specified number of seconds"; without a number any staleness. */
const withinMaxStale = (staleness: number, maxStale: Seconds): boolean =>
  maxStale >= deltaSecondsMax || staleness <= secondsToMs(maxStale)

/** Where nothing fit: why the request goes forward, or ends. `found` = something is stored under the key. */
export const missed = (found: boolean, request: RequestFacts | null): Reuse => {
  if (request !== null && request.control.onlyIfCached) return answers['only-if-cached']
  if (request !== null && request.forOrigin) return answers['for-origin']
  return found ? answers['vary-miss'] : answers['uri-miss']
}

/** Remaining freshness, negative when stale: ttl of RFC 9211. */
export const timeToLive = (stored: StoredResponse, now: WallMs): DurationMs => ms(stored.freshUntil - now)
