import type { Bandwidth, Way } from './bandwidth.ts'
import type { RelayOptions } from './engine/engine.ts'

// What limits each way of a relay. Plain `limits` limit both, each way with tokens of its own; `limitsOfA` are buckets of
// which what a sends takes the same tokens as what b sends: one bucket for what a client receives and for what it uploads.

/** The tokens of one way. */
export interface Share {
  readonly of: Bandwidth
  readonly way: Way
}

/** Of what a sends, and of what b sends. */
export type Shares = readonly [readonly Share[], readonly Share[]]

export const sharesOf = ({ limits, limitsOfA }: RelayOptions): Shares => {
  if (limits === undefined && limitsOfA === undefined) return unlimited
  const both = limits ?? []
  const ofA = (limitsOfA ?? []).map((of): Share => ({ of, way: 1 }))
  return [[...both.filter(of => !of.fromServerOnly).map((of): Share => ({ of, way: 0 })), ...ofA], both.map(of => ({ of, way: 1 }))]
}

/** Whole bytes that may pass now, the poorest's. */
export const leftOf = (shares: readonly Share[]): number => {
  let least = Number.POSITIVE_INFINITY
  for (const { of, way } of shares) least = Math.min(least, of.left(way))
  return least
}

export const takeFrom = (shares: readonly Share[], bytes: number): void => {
  for (const { of, way } of shares) of.take(way, bytes)
}

const unlimited: Shares = [[], []]
