import type { AddressWords, Endpoint, Family } from '../../base/index.ts'

// What a NAT policy is to those who use it. The kinds are in kinds.ts, RFC 6052 in embed.ts.

/** Zorp's NAT_SNAT and NAT_DNAT: which end of the server side connection is asked about. */
export type NatUse = 'snat' | 'dnat'

/** One question: both ends as they are before any NAT. */
export interface NatPair {
  readonly client: Endpoint
  /** Where from; port 0 = any. */
  readonly source: Endpoint
  readonly target: Endpoint
  /** Family the answer should have if the policy can choose: a source must be of the target's. */
  readonly wanted: Family
}

/** The new address; a port of 0 keeps the one there was. 'unchanged': nothing here applies. 'rejected': it may not go on. */
export type Mapped = { readonly address: string; readonly port: number } | 'unchanged' | 'rejected'

export interface NatPolicy {
  readonly name: string
  map(use: NatUse, pair: NatPair): Mapped
}

/** The end a use is about. */
export const subjectOf = (use: NatUse, pair: NatPair): Endpoint => (use === 'snat' ? pair.source : pair.target)

/** A pure mapping of words, for kinds that look at nothing else. */
export type WordMapping = (address: AddressWords) => AddressWords | null
