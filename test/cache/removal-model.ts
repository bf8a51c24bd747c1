import type { RemovalPolicy } from '../../src/cache/store/removal-policy.ts'

// The ideal of each removal policy: a cache that looks at all it has before it lets one go. And a trace with the
// popularity of the web (Zipf) and its sizes (lognormal), the same for the same seed.

export interface Ask {
  readonly object: number
  readonly bytes: number
}

export interface TraceOptions {
  readonly objects: number
  readonly requests: number
  readonly seed: number
  /** Exponent of Zipf's law; of the web's traffic 0.7 to 0.9. */
  readonly alpha?: number
}

export const zipfTrace = ({ objects, requests, seed, alpha = 0.8 }: TraceOptions): readonly Ask[] => {
  let state = seed >>> 0
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const sums: number[] = []
  let sum = 0
  for (let i = 1; i <= objects; i++) sums.push((sum += i ** -alpha))
  // popularity and size are independent, as they are on the web
  const sizes = sums.map(() => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
    return Math.min(500_000, Math.max(50, Math.round(Math.exp(8.5 + 1.3 * normal))))
  })
  const trace: Ask[] = []
  for (let i = 0; i < requests; i++) {
    const at = random() * sum
    let low = 0
    let high = objects - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((sums[middle] ?? 0) < at) low = middle + 1
      else high = middle
    }
    trace.push({ object: low, bytes: sizes[low] ?? 0 })
  }
  return trace
}

export interface Hits {
  readonly hits: number
  readonly hitBytes: number
  readonly askedBytes: number
}

/** `weightOf`: what an object takes of the capacity. */
export const idealHits = (policy: RemovalPolicy, trace: readonly Ask[], capacity: number, weightOf: (ask: Ask) => number): Hits => {
  const kept = new Map<number, { rank: number; uses: number; weight: number; at: number }>()
  let taken = 0
  let age = 0
  let hits = 0
  let hitBytes = 0
  let askedBytes = 0
  const rankOf = (uses: number, weight: number, at: number) =>
    policy === 'lru' ? at : policy === 'lfuda' ? age + uses : age + uses / weight
  for (const [at, ask] of trace.entries()) {
    askedBytes += ask.bytes
    const known = kept.get(ask.object)
    if (known !== undefined) {
      hits++
      hitBytes += ask.bytes
      known.uses++
      known.rank = rankOf(known.uses, known.weight, at)
      continue
    }
    const weight = weightOf(ask)
    if (weight > capacity / 2) continue
    while (taken + weight > capacity) {
      let first = -1
      let lowest = Number.POSITIVE_INFINITY
      for (const [object, each] of kept) {
        if (each.rank < lowest) {
          lowest = each.rank
          first = object
        }
      }
      taken -= kept.get(first)?.weight ?? 0
      kept.delete(first)
      if (policy !== 'lru') age = lowest
    }
    kept.set(ask.object, { rank: rankOf(1, weight, at), uses: 1, weight, at })
    taken += weight
  }
  return { hits, hitBytes, askedBytes }
}
