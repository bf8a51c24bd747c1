// How long things took, as counts by size: 8 bins to each doubling, from a microsecond to half an hour. No logarithm and
// no allocation where it counts; a percentile is right to an eighth.

/** Bins of one kind. */
export const durationBins = 232
/** Longer ones count as this. */
const microsecondsMax = 0x7fff_ffff

export const binOf = (milliseconds: number): number => {
  const micros = milliseconds * 1000
  const v = micros >= microsecondsMax ? microsecondsMax : micros > 0 ? micros | 0 : 0
  if (v < 8) return v
  const doublings = 28 - Math.clz32(v) // of 8
  return doublings * 8 + (v >>> doublings)
}

/** The least of a bin, in seconds. */
export const binSeconds = (bin: number): number => {
  if (bin < 16) return bin / 1e6
  const doublings = (bin >> 3) - 1
  return ((8 + (bin & 7)) * 2 ** doublings) / 1e6
}

export const timeKinds = {
  all: 'HTTP Requests (All)',
  miss: 'Cache Misses',
  hit: 'Cache Hits',
  nearHit: 'Near Hits',
  nearMiss: 'Near Misses',
  notModified: 'Not-Modified Replies',
  dns: 'DNS Lookups',
} as const

export type TimeKind = keyof typeof timeKinds

export const kindNames = Object.keys(timeKinds) as readonly TimeKind[] // of the table above

/** As JSON can hold it, and several workers' can be added: `[bin, count]` of bins that have some, and the sum in seconds. */
export type TimesValue = Readonly<Record<TimeKind, { readonly seconds: number; readonly bins: readonly (readonly [bin: number, count: number])[] }>>

/** Counts of all kinds, one behind the other: a snapshot is one copy. */
export class ServiceTimes {
  readonly counts: Uint32Array
  readonly #sums: Float64Array

  constructor(counts = new Uint32Array(durationBins * kindNames.length), sums = new Float64Array(kindNames.length)) {
    this.counts = counts
    this.#sums = sums
  }

  add(kind: number, milliseconds: number): void {
    const at = kind * durationBins + binOf(milliseconds)
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.#sums[kind] = (this.#sums[kind] ?? 0) + milliseconds / 1000
  }

  /** All of them together. */
  static of(...values: readonly TimesValue[]): ServiceTimes {
    const all = new ServiceTimes()
    for (const value of values) {
      for (const [i, kind] of kindNames.entries()) {
        all.#sums[i] = (all.#sums[i] ?? 0) + value[kind].seconds
        for (const [bin, count] of value[kind].bins) all.counts[i * durationBins + bin] = (all.counts[i * durationBins + bin] ?? 0) + count
      }
    }
    return all
  }

  value(): TimesValue {
    const kinds = kindNames.map(kind => [kind, { seconds: this.sum(kind), bins: [...this.of(kind).entries()].filter(([, count]) => count > 0) }])
    return Object.fromEntries(kinds) as TimesValue // one per kind
  }

  copy(): ServiceTimes {
    return new ServiceTimes(this.counts.slice(), this.#sums.slice())
  }

  /** What came since `before`. */
  since(before: ServiceTimes): ServiceTimes {
    const counts = new Uint32Array(this.counts.length)
    for (let i = 0; i < counts.length; i++) counts[i] = (this.counts[i] ?? 0) - (before.counts[i] ?? 0)
    return new ServiceTimes(counts, this.#sums.map((sum, i) => sum - (before.#sums[i] ?? 0)))
  }

  /** Counts of one kind, a bin each. */
  of(kind: TimeKind): Uint32Array {
    const from = kindNames.indexOf(kind) * durationBins
    return this.counts.subarray(from, from + durationBins)
  }

  /** In seconds. */
  sum(kind: TimeKind): number {
    return this.#sums[kindNames.indexOf(kind)] ?? 0
  }

  total(kind: TimeKind): number {
    return this.of(kind).reduce((sum, count) => sum + count, 0)
  }

  /** Seconds that `percent` of them kept within; 0 where there were none. */
  percentile(kind: TimeKind, percent: number): number {
    const bins = this.of(kind)
    const total = this.total(kind)
    if (total === 0) return 0
    let left = (total * percent) / 100
    for (let bin = 0; bin < bins.length; bin++) {
      left -= bins[bin] ?? 0
      if (left <= 0) return binSeconds(bin)
    }
    return binSeconds(bins.length - 1)
  }
}
