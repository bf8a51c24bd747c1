import { type DurationMs, type MonoMs, ms } from '../../base/index.ts'

// When a worker that ended by itself is started again. One that had lived well is, at once; one that keeps dying is
// waited with, twice as long each time, so that it takes no time from the others and does not fill the log.

/** Who has lived so long has done well: what it dies of then is no habit. */
const goodLifeMs = 60_000
const firstMs = 1000
const longestMs = 64_000

export class Revival {
  #bornAt: MonoMs
  #inARow = 0

  constructor(now: MonoMs) {
    this.#bornAt = now
  }

  born(now: MonoMs): void {
    this.#bornAt = now
  }

  /** It has died: how many times in a row, and how long to wait. */
  died(now: MonoMs): { readonly inARow: number; readonly wait: DurationMs } {
    if (now - this.#bornAt >= goodLifeMs) this.#inARow = 0
    this.#inARow++
    return { inARow: this.#inARow, wait: ms(this.#inARow === 1 ? 0 : Math.min(longestMs, firstMs * 2 ** (this.#inARow - 2))) }
  }
}
