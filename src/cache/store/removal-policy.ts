// Which response leaves a full store first. Each has a rank, and the lowest goes:
//
//   lru     the place of its last use in the order of all uses
//   lfuda   age + uses               keeps what is asked for often, whatever its size: most bytes from the cache
//   gdsf    age + uses / bytes       keeps many small ones: most requests from the cache
//
// `age` is the rank of the last one that left. What comes in starts from there, so that what was popular once, and is
// not asked for any more, is overtaken (Arlitt and others 1999, "Evaluating content management techniques for web proxy
// caches"; Squid's heap LFUDA and heap GDSF). Squid's heap LRU is the same order as its lru.

export const removalPolicies = {
  lru: 'what was used longest ago',
  lfuda: 'what was used least often, with aging',
  gdsf: 'what was used least often for its size, with aging',
} as const

export type RemovalPolicy = keyof typeof removalPolicies

/** What comes in and what is used gets this rank. Never lower than `age`, and never lower than with a use less. */
export const agedRank = (policy: 'lfuda' | 'gdsf', age: number, uses: number, bytes: number): number =>
  policy === 'lfuda' ? age + uses : age + uses / Math.max(1, bytes)
