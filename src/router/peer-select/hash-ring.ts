// Peers that share the work by a hash of what is asked, or of who asks (Squid: carp, sourcehash, userhash). Each peer has a
// score for each key and the highest takes it: when one leaves, only what it had goes elsewhere, and each gets its part
// by weight. Numbers are 32 bits without a sign, as Squid's are, so that children of both kinds agree.

export interface RingMember {
  readonly name: string
  /** At least 1. */
  readonly weight: number
}

interface Place<T> {
  readonly member: T
  readonly hash: number
  readonly multiplier: number
}

export interface Ring<T> {
  readonly places: readonly Place<T>[]
}

/** Members by weight; the lighter first, and of equal ones as they stand in the conf. */
export const ringOf = <T extends RingMember>(members: readonly T[]): Ring<T> => {
  const sorted = [...members].sort((a, b) => a.weight - b.weight)
  const total = members.reduce((sum, member) => sum + member.weight, 0)
  const multipliers = multipliersOf(sorted.map(({ weight }) => share(weight / total)))
  return { places: sorted.map((member, at) => ({ member, hash: mixed(hashOf(0, member.name)), multiplier: multipliers[at] ?? 0 })) }
}

/**
 * Who takes what `keyOf` says of each; null = nobody may. `adding`: the key's hash goes on from place to place, as in Squid's
 * carp, where members may have keys of different parts of a URI. It follows that a change of the ring in the conf moves more
 * than the changed member's part; a member that is down moves its own alone.
 */
export const takerOf = <T>(ring: Ring<T>, keyOf: (member: T) => string, may: (member: T) => boolean, adding: boolean): T | null => {
  let taker: T | null = null
  let highest = 0
  let key = 0
  for (const { member, hash, multiplier } of ring.places) {
    key = hashOf(adding ? key : 0, keyOf(member))
    const score = mixed((key ^ hash) >>> 0) * multiplier
    if (score <= highest || !may(member)) continue
    taker = member
    highest = score
  }
  return taker
}

/** A part of the work too small to be counted in thousandths is none. */
const share = (part: number): number => (Math.floor(part * 1000) === 0 ? 0 : part)

/**
 * CARP (draft-vinod-carp-v1 3.4): what a score has to be multiplied with, so that each member wins as often as its share
 * says. `shares` in ascending order.
 */
const multipliersOf = (shares: readonly number[]): number[] => {
  let product = 1
  let last = 0
  let lastShare = 0
  return shares.map((part, at) => {
    const left = shares.length - at
    const multiplier = ((left * (part - lastShare)) / product + last ** left) ** (1 / left)
    product *= multiplier
    last = multiplier
    lastShare = part
    return multiplier
  })
}

const rotated = (value: number, by: number): number => ((value << by) | (value >>> (32 - by))) >>> 0

/** A byte after the other, latin1, signed as C's char is where Squid runs. */
const hashOf = (start: number, text: string): number => {
  let hash = start
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i) & 0xff
    hash = (hash + rotated(hash, 19) + (byte > 127 ? byte - 256 : byte)) >>> 0
  }
  return hash
}

const mixed = (hash: number): number => rotated((hash + Math.imul(hash, 0x62531965)) >>> 0, 21)
