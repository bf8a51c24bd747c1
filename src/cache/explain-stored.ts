import { type WallMs, wallMs } from '../base/index.ts'
import { maxStaleOf, staleWhileRevalidateOf } from './freshness.ts'
import { type PartRange, rangeOfPart } from './parts.ts'
import type { CachePolicy } from './policy.ts'
import type { RequestFacts } from './request-facts.ts'
import { reuse, type ReuseReason, reuseReasons } from './reuse.ts'
import { staleOnError, type StaleReason, staleReasons } from './stale-on-error.ts'
import { flag, freshnessSources, type StoredResponse } from './stored-response.ts'

// One stored response and one request, with the sums behind the answer. Nothing is decided here: the rules are asked, and
// what they have written into the stored response is put into words.

export interface ExplainedStored {
  readonly status: number
  /** Null: the whole. */
  readonly part: PartRange | null
  readonly contentBytes: number
  readonly contentType: string
  /** What its requests say in the fields of its Vary; null = they do not have the field. */
  readonly selecting: readonly (readonly [name: string, value: string | null])[]
  readonly tags: readonly string[]
  /** Fields of it that the sums begin with. */
  readonly fields: readonly string[]
  readonly ageSeconds: number
  readonly lifetimeSeconds: number
  readonly freshUntil: string
  /** `file:line: ` and the line. */
  readonly refreshPattern: string
  /** In order, each a sentence. */
  readonly sums: readonly string[]
  readonly reuse: { readonly kind: string; readonly reason: ReuseReason; readonly doc: string }
  /** If the origin had to be asked, and could not say. */
  readonly onFailure: { readonly kind: string; readonly reason: StaleReason; readonly doc: string }
}

const shownFields = ['date', 'age', 'expires', 'cache-control', 'cdn-cache-control', 'last-modified', 'etag', 'vary', 'pragma'] as const

export const explainStored = (
  stored: StoredResponse,
  request: RequestFacts | null,
  policy: CachePolicy,
  now: WallMs,
): ExplainedStored => {
  const answer = reuse(stored, request, policy, now) // judges it, too, if the conf is a new one
  const failure = staleOnError(stored, request, policy, now)
  const own = stored.fields()
  const { selecting } = stored
  return {
    status: stored.status,
    part: rangeOfPart(stored),
    contentBytes: stored.contentLength,
    contentType: stored.contentType,
    selecting: selecting === null ? [] : selecting.names.map((name, i) => [name, selecting.received[i] ?? null] as const),
    tags: stored.tags,
    fields: shownFields.flatMap(name => {
      const value = own.joined(name)
      return value === undefined ? [] : [`${name}: ${value}`]
    }),
    ageSeconds: stored.age(now) / 1000,
    lifetimeSeconds: (stored.staleAt - stored.bornAt) / 1000,
    freshUntil: moment(stored.freshUntil),
    refreshPattern: stored.rule.text,
    sums: [ageSum(stored, now), lifetimeSum(stored), ...freshnessSums(stored, policy, now)],
    reuse: { kind: answer.kind, reason: answer.reason, doc: reuseReasons[answer.reason].doc },
    onFailure: { kind: failure.kind, reason: failure.reason, doc: staleReasons[failure.reason].doc },
  }
}

const ageSum = (stored: StoredResponse, now: WallMs): string => {
  const atArrival = stored.responseTime - stored.bornAt
  const here = Math.max(0, now - stored.responseTime)
  const how = atArrival > 0 ? `was ${span(atArrival)} old (by Date, Age, or the time it took)` : 'was new'
  return `age = ${span(stored.age(now))}: it ${how} when it came, and has been here for ${span(here)}`
}

const lifetimeSum = (stored: StoredResponse): string => {
  const { source, rule, lastModified, bornAt } = stored
  const lifetime = stored.staleAt - bornAt
  const why = freshnessSources[source]
  switch (source) {
    case 'last-modified': {
      const share = `${Number((rule.fraction * 100).toFixed(2))} % of the ${span(bornAt - lastModified)} since Last-Modified`
      return `lifetime = ${span(lifetime)}: ${share}, at most ${span(rule.max)} (${rule.text})`
    }
    case 'minimum':
      return `lifetime = ${span(lifetime)}: nothing is known of it, so the minimum (${rule.text})`
    case 'none':
      return `lifetime = 0 s: ${why}`
    case 'clock-set-back':
      return `lifetime = unknown: ${why}`
    default:
      return `lifetime = ${span(lifetime)}: ${why}`
  }
}

const freshnessSums = (stored: StoredResponse, policy: CachePolicy, now: WallMs): string[] => {
  const sums: string[] = []
  const left = stored.staleAt - now
  sums.push(left > 0 ? `fresh for ${span(left)} more` : `stale for ${span(-left)}`)
  if (stored.freshUntil > stored.staleAt) {
    sums.push(`its refresh_pattern stretches that by ${span(stored.freshUntil - stored.staleAt)}, until ${moment(stored.freshUntil)}`)
  }
  if (stored.has(flag.outdated)) sums.push('a HEAD or an unsafe request showed that it may have changed: validated before its next use')
  if (stored.has(flag.noCache)) sums.push('no-cache (or private, and stored by its refresh_pattern): validated at each use')
  if (stored.has(flag.mustRevalidate)) sums.push('must-revalidate, proxy-revalidate or s-maxage: never used stale')
  else if (!stored.has(flag.noCache | flag.outdated)) {
    const behind = staleWhileRevalidateOf(stored)
    if (behind > 0) sums.push(`may be used stale for ${span(behind)} while it is validated (stale-while-revalidate)`)
    if (stored.staleIfError >= 0) sums.push(`may be used stale for ${span(stored.staleIfError)} when the origin fails (stale-if-error)`)
    sums.push(`may be used stale for ${span(maxStaleOf(stored.rule, policy))} at most (max_stale)`)
  }
  if (stored.has(flag.immutable)) sums.push('immutable: while it is fresh a reload does not validate it')
  sums.push(stored.hasValidator ? 'it has a validator: the origin can say 304' : 'it has no validator: the origin would have to send it anew')
  return sums
}

/** `90 s`, `1.5 s`; large ones also in hours or days. */
const span = (ms: number): string => {
  if (!Number.isFinite(ms)) return 'ever'
  const seconds = Number((ms / 1000).toFixed(3))
  if (seconds >= 2 * 86_400) return `${seconds} s (${Number((seconds / 86_400).toFixed(1))} days)`
  return seconds >= 2 * 3600 ? `${seconds} s (${Number((seconds / 3600).toFixed(1))} h)` : `${seconds} s`
}

/** The years of a clock end before the largest number does. */
const dateMsMax = 8.64e15

const moment = (at: number): string => new Date(Math.min(wallMs(at), dateMsMax)).toISOString()
