import type { Bandwidth, BandwidthShape } from '../../../../comm/bandwidth.ts'

// Buckets by a key (an address, a network, a user), made when somebody first comes with that key. One that nobody uses
// is kept, for its level says what its owner has had lately; when there are too many, the one unused for longest goes.

export interface Buckets {
  /** Throws when there are too many of them in the whole process. */
  readonly open: (shape: BandwidthShape) => Bandwidth
  /** Calls `resume` each time they have been filled, until the answer is called. */
  readonly onFilled: (resume: () => void) => () => void
}

/** Per level of a pool. All pools and relays together have 65,536. */
const bucketsMax = 8192

interface Entry {
  readonly bucket: Bandwidth
  users: number
}

export class KeyedBuckets {
  readonly #shape: BandwidthShape
  readonly #entries = new Map<string, Entry>()
  /** Those without users, unused longest first. */
  readonly #unused = new Map<string, Entry>()
  readonly #max: number
  #retired = false

  constructor(shape: BandwidthShape, max = bucketsMax) {
    this.#shape = shape
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  /** A bucket to be given back under the same key; null = there is no room for one more. */
  take(key: string, buckets: Buckets): Bandwidth | null {
    const entry = this.#entries.get(key) ?? this.#make(key, buckets)
    if (entry === null) return null
    if (entry.users++ === 0) this.#unused.delete(key)
    return entry.bucket
  }

  giveBack(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || --entry.users > 0) return
    if (this.#retired) this.#drop(key, entry)
    else this.#unused.set(key, entry)
  }

  /** Nobody comes any more; who is still here keeps what he has. */
  retire(): void {
    this.#retired = true
    for (const [key, entry] of this.#unused) this.#drop(key, entry)
  }

  #make(key: string, buckets: Buckets): Entry | null {
    if (this.#entries.size >= this.#max && !this.#dropLongestUnused()) return null
    const bucket = this.#open(buckets)
    if (bucket === null) return null
    const entry = { bucket, users: 0 }
    this.#entries.set(key, entry)
    return entry
  }

  #open(buckets: Buckets): Bandwidth | null {
    for (;;) {
      try {
        return buckets.open(this.#shape)
      } catch {
        // all of the process are in use: one of ours that nobody uses makes room, or there is none
        if (!this.#dropLongestUnused()) return null
      }
    }
  }

  #dropLongestUnused(): boolean {
    for (const [key, entry] of this.#unused) {
      this.#drop(key, entry)
      return true
    }
    return false
  }

  #drop(key: string, entry: Entry): void {
    this.#unused.delete(key)
    this.#entries.delete(key)
    entry.bucket.close()
  }
}
