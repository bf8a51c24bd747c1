import { type Clock, errnoOf, type MonoMs } from '../../../base/index.ts'
import { LedgerDamaged } from './ledger.ts'

// What an error of the disk means for the store.

export type Ailment =
  | 'damaged' // the index is not what was written
  | 'full' // no space left
  | 'failing' // everything else: I/O errors, no descriptors, read-only
  | 'contended' // another process held the index for too long; nothing is wrong with it

/** SQLite's primary result codes that say something of their own. */
const sqliteCodes: Readonly<Record<number, Ailment>> = { 5: 'contended', 6: 'contended', 11: 'damaged', 13: 'full', 26: 'damaged' }

export const ailmentOf = (error: unknown): Ailment => {
  if (error instanceof LedgerDamaged) return 'damaged'
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
  if (typeof code === 'number') return sqliteCodes[code & 0xff] ?? 'failing'
  const errno = errnoOf(error)
  return errno === 'ENOSPC' || errno === 'EDQUOT' ? 'full' : 'failing'
}

const pauseMsMin = 5000
const pauseMsMax = 60_000

/** After a failure nothing new is written for a while; each further failure doubles it. */
export class Health {
  readonly #clock: Clock
  #pauseMs = 0
  #until = 0 as MonoMs

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get mayWrite(): boolean {
    return this.#until === 0 || this.#clock.mono() >= this.#until
  }

  /** Answers for how many seconds; 0: it is paused already. */
  fail(): number {
    if (!this.mayWrite) return 0
    this.#pauseMs = Math.min(Math.max(pauseMsMin, this.#pauseMs * 2), pauseMsMax)
    this.#until = (this.#clock.mono() + this.#pauseMs) as MonoMs
    return this.#pauseMs / 1000
  }

  succeed(): void {
    this.#pauseMs = 0
    this.#until = 0 as MonoMs
  }
}
