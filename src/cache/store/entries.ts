import { bucketOf } from '../by-key.ts'
import type { CacheKey } from '../key.ts'
import { RemovalOrder } from './removal-order.ts'
import type { RemovalPolicy } from './removal-policy.ts'
import type { Variants } from './store.ts'

// Keys with their variants, and the order in which they leave. The table is many Maps instead of one: V8 makes a Map
// anew, all of it, when it grows and each time enough has been removed from it, which takes 25 ms for half a million
// keys. One of 256 takes a tenth of a millisecond.

const partCount = 256

export class Entries {
  readonly #parts = Array.from({ length: partCount }, () => new Map<CacheKey, number>())
  readonly #keys: (CacheKey | null)[] = []
  readonly #variants: (Variants | null)[] = []
  readonly #bytesOf: number[] = []
  /** Numbers of entries that are gone. */
  readonly #free: number[] = []
  readonly #order: RemovalOrder
  #bytes = 0

  constructor(policy: RemovalPolicy) {
    this.#order = new RemovalOrder(policy)
  }

  get count(): number {
    return this.#order.count
  }

  get bytes(): number {
    return this.#bytes
  }

  get policy(): RemovalPolicy {
    return this.#order.policy
  }

  /** Counts as a use. */
  use(key: CacheKey): Variants | null {
    const entry = this.#partOf(key).get(key)
    if (entry === undefined) return null
    this.#order.use(entry)
    return this.#variants[entry] as Variants // of an entry in the table
  }

  peek(key: CacheKey): Variants | null {
    const entry = this.#partOf(key).get(key)
    return entry === undefined ? null : (this.#variants[entry] as Variants)
  }

  /** 0 = it is not there. */
  usesOf(key: CacheKey): number {
    const entry = this.#partOf(key).get(key)
    return entry === undefined ? 0 : this.#order.usesOf(entry)
  }

  /** `uses`: those of the entry that was there under the key, which must be gone. Answers its number. */
  add(key: CacheKey, variants: Variants, bytes: number, uses: number): number {
    const entry = this.#free.pop() ?? this.#keys.length
    this.#keys[entry] = key
    this.#variants[entry] = variants
    this.#bytesOf[entry] = bytes
    this.#bytes += bytes
    this.#partOf(key).set(key, entry)
    this.#order.add(entry, bytes, uses + 1)
    return entry
  }

  delete(key: CacheKey): Variants | null {
    const entry = this.#partOf(key).get(key)
    if (entry === undefined) return null
    this.#order.remove(entry)
    return this.#letGo(entry, key)
  }

  /** The one whose turn it is; there must be one. */
  deleteFirst(): Variants {
    const entry = this.#order.removeFirst()
    return this.#letGo(entry, this.#keys[entry] as CacheKey)
  }

  clear(): void {
    for (const key of this.keys()) this.delete(key)
  }

  /** As they are now. */
  keys(): CacheKey[] {
    return this.#keys.filter(key => key !== null)
  }

  /** Numbers of entries are below this; one number stays an entry's as long as it is there. */
  get end(): number {
    return this.#keys.length
  }

  keyAt(entry: number): CacheKey | null {
    return this.#keys[entry] ?? null
  }

  changePolicy(policy: RemovalPolicy): void {
    if (policy !== this.#order.policy) this.#order.changePolicy(policy)
  }

  #letGo(entry: number, key: CacheKey): Variants {
    const variants = this.#variants[entry] as Variants
    this.#partOf(key).delete(key)
    this.#keys[entry] = this.#variants[entry] = null
    this.#bytes -= this.#bytesOf[entry] as number
    this.#free.push(entry)
    return variants
  }

  #partOf(key: CacheKey): Map<CacheKey, number> {
    return this.#parts[bucketOf(key, partCount)] as Map<CacheKey, number> // there are so many
  }
}
