import type { CacheKey } from '../../key.ts'
import type { Selection } from '../../selection.ts'
import type { Walk } from '../store.ts'
import type { Ledger } from './ledger.ts'
import { keyOfRecord, tagsOfRecord } from './record.ts'

// A walk through the ledger. By tag it goes along the table of tags, by key along the rows' numbers, which never change:
// what is stored meanwhile comes behind the walk's end or in front of it.

export class DiskWalk implements Walk {
  readonly #ledger: () => Ledger | null
  readonly #selection: Selection
  readonly #failed: (error: unknown) => void
  #at = -1
  /** Rows still to be looked at, at most: where more is used than is looked at, it ends all the same. */
  #rowsLeft: number | null = null
  #over = false

  constructor(ledger: () => Ledger | null, selection: Selection, failed: (error: unknown) => void) {
    this.#ledger = ledger
    this.#selection = selection
    this.#failed = failed
  }

  next(count: number): readonly CacheKey[] | null {
    const ledger = this.#ledger()
    if (this.#over || ledger === null) return null
    try {
      const { tag } = this.#selection
      return tag === null ? this.#byUse(ledger, count) : this.#byTag(ledger, tag, count)
    } catch (error) {
      this.#over = true
      this.#failed(error)
      return null
    }
  }

  end(): void {
    this.#over = true
  }

  #byUse(ledger: Ledger, count: number): readonly CacheKey[] | null {
    this.#rowsLeft ??= 4 * ledger.count + rowsMin
    const rows = ledger.after(this.#at, count)
    const last = rows.at(-1)
    if (last === undefined || this.#rowsLeft <= 0) return null
    this.#rowsLeft -= rows.length
    this.#at = last.id
    return rows.map(row => keyOfRecord(row.record) as CacheKey).filter(key => this.#selection.selects(key, none))
  }

  #byTag(ledger: Ledger, tag: string, count: number): readonly CacheKey[] | null {
    // each is looked up by itself, which takes the time of several rows in order
    const hashes = ledger.tagged(tag, this.#at, Math.ceil(count / 8))
    const last = hashes.at(-1)
    if (last === undefined) return null
    this.#at = last
    const keys: CacheKey[] = []
    for (const hashed of hashes) {
      for (const { record } of ledger.find(hashed)) {
        const key = keyOfRecord(record) as CacheKey
        if (this.#selection.selects(key, tagsOfRecord(record)) && !keys.includes(key)) keys.push(key)
      }
    }
    return keys
  }
}

const none: readonly never[] = []
const rowsMin = 4096
