import { parseRange } from '../../http/index.ts'
import type { Transaction } from './transaction.ts'

// range_offset_limit: whether the whole is fetched for a client that wants a range of it. As Squid: the first byte asked
// for decides, and the end of a file has a first byte only for "none".

/** Infinity = any range. */
export const rangeOffsetLimit = (t: Transaction): number => {
  const lines = t.policy.rangeOffsets
  if (lines.length === 0) return 0
  return lines.find(line => line.when.holds(t.client.facts))?.value ?? 0
}

export const fetchesWhole = (t: Transaction): boolean => {
  if (t.asks?.range !== true || t.head.method !== 'GET' || !t.mayCache) return false
  const limit = rangeOffsetLimit(t)
  if (limit === 0) return false
  const specs = parseRange(t.fields.joined('range') ?? '')
  if (specs === null) return false
  return limit === Number.POSITIVE_INFINITY || specs.every(({ first }) => first !== null && first <= limit)
}
