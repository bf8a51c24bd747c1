import type { CacheKey } from '../key.ts'
import type { Selection } from '../selection.ts'
import type { Entries } from './entries.ts'
import type { Walk } from './store.ts'

// A walk through the entries of a memory store by their numbers. What is stored anew under its key may get a number the
// walk is past; so the store tells of it, and it is looked at in the end.

export class MemoryWalk implements Walk {
  readonly #entries: Entries
  readonly #selection: Selection
  readonly #onEnd: () => void
  readonly #end: number
  #at = 0
  #moved: CacheKey[] = []
  /** Where more is stored than is looked at, it ends all the same. */
  #movedLeft: number

  constructor(entries: Entries, selection: Selection, onEnd: () => void) {
    this.#entries = entries
    this.#selection = selection
    this.#onEnd = onEnd
    this.#end = entries.end
    this.#movedLeft = 4 * entries.count + movedMin
  }

  /** Stored just now, as the entry of that number. */
  moved(key: CacheKey, entry: number): void {
    if ((entry < this.#at || entry >= this.#end) && this.#movedLeft-- > 0) this.#moved.push(key)
  }

  next(count: number): readonly CacheKey[] | null {
    const found: CacheKey[] = []
    if (this.#at === this.#end && this.#moved.length === 0) {
      this.end()
      return null
    }
    const to = Math.min(this.#at + count, this.#end)
    const more = count - (to - this.#at)
    for (; this.#at < to; this.#at++) {
      const key = this.#entries.keyAt(this.#at)
      if (key !== null && this.#means(key)) found.push(key)
    }
    if (more > 0) for (const key of this.#moved.splice(-more)) if (this.#means(key)) found.push(key)
    return found
  }

  end(): void {
    this.#onEnd()
  }

  #means(key: CacheKey): boolean {
    const { tag, selects } = this.#selection
    if (tag === null) return selects(key, none)
    for (const stored of this.#entries.peek(key) ?? none) {
      if (stored.tags.length > 0 && selects(key, stored.tags)) return true
    }
    return false
  }
}

const none: readonly never[] = []
const movedMin = 4096
