import type { CacheKey } from '../../key.ts'

// Invalidations that could not be written down, because the disk said no, or somebody else had the index for too long. What
// they concern is not found from then on, and they are made with the next change that can be. Other processes know of it
// from debts.ts.

/** Beyond, nothing is found until all of it is gone. */
const keysMax = 4096

export class Owed {
  readonly #keys = new Set<CacheKey>()
  #all = false
  #telling = false

  get isAny(): boolean {
    return this.#all || this.#telling || this.#keys.size > 0
  }

  /** Others are to forget what they have in memory. */
  get isTelling(): boolean {
    return this.#telling
  }

  /** All keys: the index is to be emptied. */
  get isAll(): boolean {
    return this.#all
  }

  get keys(): Iterable<CacheKey> {
    return this.#keys
  }

  /** Whether this one is not to be found. */
  has(key: CacheKey): boolean {
    return this.#all || (this.#keys.size > 0 && this.#keys.has(key))
  }

  add(key: CacheKey): void {
    if (this.#keys.size < keysMax) this.#keys.add(key)
    else this.#all = true
  }

  addAll(): void {
    this.#all = true
  }

  addTelling(): void {
    this.#telling = true
  }

  /** Something newer is stored under it. Answers whether it was owed. */
  delete(key: CacheKey): boolean {
    return this.#keys.delete(key)
  }

  /** They have been made. */
  clear(): void {
    this.#all = this.#telling = false
    this.#keys.clear()
  }
}
