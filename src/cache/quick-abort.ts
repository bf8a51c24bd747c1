import type { Bytes } from '../base/index.ts'

// quick_abort_*: what becomes of a fetch whose last reader has left, and whose response is to be stored. The order is
// Squid's.

export interface QuickAbort {
  /** Infinity = every fetch is finished. */
  readonly min: Bytes
  readonly max: Bytes
  /** 0 to 100. */
  readonly percent: number
}

/** Whether to fetch on for the store alone. `expected` -1 = the length is not known. */
export const fetchesOn = (rule: QuickAbort, received: number, expected: number): boolean => {
  if (rule.min === Number.POSITIVE_INFINITY) return true
  if (expected < 0) return false
  const remaining = expected - received
  if (remaining < rule.min) return true
  if (remaining > rule.max) return false
  return received * 100 > rule.percent * expected
}
