import type { WallMs } from '../../base/index.ts'
import {
  type CachePolicy, type PartialResponse, type RequestFacts, type Reuse, reuse, reuseAnswer, strongValidatorOf, type Variants,
} from '../../cache/index.ts'
import { type ByteRange, type Fields, parseRange, satisfiable } from '../../http/index.ts'
import { CountHttp } from './counters.ts'
import { rangeApplies } from './range-answer.ts'
import { fetchesWhole } from './range-offset.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

// Of what is wanted, only parts are stored (src/cache/parts.ts). Three ways on:
//
//   all bytes of the ranges are here, and usable ──► deliver; stale ──► validate
//   a piece is missing, and the rest is of use ──► fetch that piece alone (complete-part.ts)
//   anything else ──► fetch, as if nothing were stored

export const judgeParts = (t: Transaction, variants: Variants, partial: PartialResponse): Next => {
  const wanted = wantedOf(t.asks, t.fields, partial, t.outcome.startedAt)
  const answer = reuseOfParts(partial, wanted, t.asks, t.policy.cache, t.outcome.startedAt)
  t.variants = variants
  if (answer.kind !== 'no') return use(t, partial, answer)
  if (answer.reason === 'part' && wanted !== null) complete(t, partial, wanted)
  return forward(t, answer)
}

/** Whether what is stored of it may be the answer; `part`: something else is wanted, or more of it. */
export const reuseOfParts = (
  partial: PartialResponse,
  wanted: readonly ByteRange[] | null,
  asks: RequestFacts | null,
  policy: CachePolicy,
  now: WallMs,
): Reuse => {
  const answer = reuse(partial.whole, asks, policy, now)
  if (answer.kind === 'no') return answer
  return wanted?.every(range => partial.missing(range) === null) === true ? answer : reuseAnswer('part')
}

/** What is here is of use if one piece makes it all that is wanted, and the origin can tell that it is the same. */
const complete = (t: Transaction, partial: PartialResponse, wanted: readonly ByteRange[]): void => {
  const asRange = t.asks?.range === true && !fetchesWhole(t)
  const all = asRange ? wanted : [{ first: 0, last: partial.length - 1 }]
  const [only] = all
  const missing = only === undefined || all.length > 1 ? null : partial.missing(only)
  if (missing === null || only === undefined || strongValidatorOf(partial.newest) === null) return
  t.partial = partial
  t.completing = { wanted: asRange ? only : null, missing }
}

/** The whole as if it were stored: of what is wanted, all is there. */
const use = (t: Transaction, partial: PartialResponse, answer: Reuse): Next => {
  t.partial = partial
  t.stored = partial.whole
  t.reuse = answer
  t.outcome.reuseReason = answer.reason
  if (answer.reason === 'offline') t.outcome.result = 'TCP_OFFLINE_HIT'
  // nobody has asked for the whole, so it is not fetched behind a client's back either
  if (answer.kind === 'validate' || answer.reason === 'while-revalidate') return 'validate'
  CountHttp.hits++
  return 'deliver'
}

const forward = (t: Transaction, answer: Reuse): Next => {
  const ends = t.asks?.control.onlyIfCached === true
  t.reuse = ends ? reuseAnswer('only-if-cached') : answer
  t.outcome.reuseReason = t.reuse.reason
  return ends ? t.refuse('only-if-cached', 'the request says only-if-cached') : 'fetch'
}

/** Null: it is for the origin to answer, RFC 9111 3.3 allows parts to be used for nothing but their bytes. */
export const wantedOf = (
  asks: RequestFacts | null,
  fields: Fields,
  { whole, length }: PartialResponse,
  now: WallMs,
): readonly ByteRange[] | null => {
  const all = [{ first: 0, last: length - 1 }]
  if (asks?.range !== true) return asks?.conditional === true ? null : all
  if (!rangeApplies(fields, whole, now)) return null
  const specs = parseRange(fields.joined('range') ?? '')
  if (specs === null) return asks.conditional ? null : all
  const ranges = satisfiable(specs, length)
  return ranges.length === 0 ? null : ranges
}
