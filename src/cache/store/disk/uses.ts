import type { CacheKey } from '../../key.ts'
import { hashOf, type Ledger, type Row } from './ledger.ts'
import { keyOfRecord } from './record.ts'

// Uses, which move a response back in the order of removal. Writing one down costs ten microseconds; so they are kept here
// until a change takes some along, or the background does; and with lru those in the younger half of the order are not
// written down at all, since they would not change what goes next.
//
// Whoever's turn to go has come is looked at once more: uses the index does not know of, here or in a tier above, spare it.

const keysMax = 4096
/** Written down in one transaction. */
export const usesPerStep = 32
/** So many steps write down all there can be. */
export const stepsMax = keysMax / usesPerStep

export class Uses {
  readonly #above: (key: CacheKey) => number
  readonly #noted: () => void
  readonly #times = new Map<CacheKey, number>()
  /** The oldest place in the order of use, or a little less. */
  #front = 0

  /** `above`: uses a tier above has seen; 0 = it does not have it. `noted`: there is something to write down. */
  constructor(above: (key: CacheKey) => number, noted: () => void) {
    this.#above = above
    this.#noted = noted
  }

  /** Another index. */
  begin(ledger: Ledger): void {
    this.#front = ledger.front(1)[0]?.rank ?? ledger.next
  }

  /** Whether some are still to be written down. */
  get areAny(): boolean {
    return this.#times.size > 0
  }

  touch(key: CacheKey): void {
    if (this.#times.size >= keysMax && !this.#times.has(key)) return
    this.#times.set(key, (this.#times.get(key) ?? 0) + 1)
    this.#noted()
  }

  /** It was found in the index, with that rank. */
  found(ledger: Ledger, key: CacheKey, rank: number): void {
    if (this.#isOld(ledger, rank)) this.touch(key)
  }

  clear(): void {
    this.#times.clear()
  }

  /** With lru, in the older half of the order of use. */
  #isOld(ledger: Ledger, rank: number): boolean {
    return ledger.policy !== 'lru' || rank - this.#front < (ledger.next - this.#front) / 2
  }

  // ---- within a transaction

  /** A few of them; the rest has its turn with the next change, or in the background. */
  note(ledger: Ledger): void {
    let left = usesPerStep
    for (const [key, times] of this.#times) {
      if (left-- === 0) return
      this.#times.delete(key)
      for (const row of ledger.find(hashOf(key))) {
        if (this.#isOld(ledger, row.rank) && keyOfRecord(row.record) === key) ledger.use(row, times)
      }
    }
  }

  /** Its turn to go has come: the order begins there. */
  reach(row: Row): void {
    this.#front = row.rank
  }

  /** True: it was used more often than the index knows, and has the place now that it should have. */
  spare(ledger: Ledger, row: Row): boolean {
    const key = keyOfRecord(row.record) as CacheKey // what was written as one
    const here = this.#times.get(key) ?? 0
    const above = this.#above(key)
    if (here === 0 && above === 0) return false
    this.#times.delete(key)
    ledger.use(row, Math.max(here + (above > 0 ? 1 : 0), above - row.uses))
    return true
  }
}
