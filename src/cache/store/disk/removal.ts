import { type Clock, ms, type Timer } from '../../../base/index.ts'
import { type DiskIndex, logShareMax, usualLogBytes } from './disk-index.ts'
import type { DiskCounters, DiskLimits } from './disk-options.ts'
import type { Incoming } from './incoming.ts'
import type { Ledger } from './ledger.ts'
import type { OurFiles } from './our-files.ts'
import type { Uses } from './uses.ts'

// What the store takes of its room, and what leaves it when there is none: the lowest rank first (ledger.ts), unless it is
// spared (uses.ts), in steps of a fraction of a millisecond. A few steps go with each response that comes when there is no
// room left; and from `high` down to `low` the background makes some, so that there usually is.
//
//   taken = rows and files + pages of the index beyond its rows + its log + what writers hold, here and elsewhere

/** Rows removed in one transaction. */
const stepRows = 32
/** Between two steps others have their turn. */
const stepPauseMs = 1
/** Changes between two looks at what the index takes on disk. */
const changesPerLook = 128

export interface RemovalParts {
  readonly clock: Clock
  readonly counters: DiskCounters
  readonly index: DiskIndex
  readonly files: OurFiles
  readonly incoming: Incoming
  readonly uses: Uses
}

/** Files that have lost their response may still take so much of the limit. */
const leavingShareMax = 1 / 100

export class Removal {
  readonly #limits: () => DiskLimits
  readonly #parts: RemovalParts
  /** What the index takes on disk beyond the sum of its rows. */
  #overhead = 0
  #changes = 0
  #sweep: Timer | null = null
  #stopped = false

  constructor(limits: () => DiskLimits, parts: RemovalParts) {
    this.#limits = limits
    this.#parts = parts
  }

  get limits(): DiskLimits {
    return this.#limits()
  }

  /** What counts against bytesMax. */
  get taken(): number {
    const { index, files, incoming } = this.#parts
    const { ledger } = index
    const { bytesMax } = this.limits
    // what it has between two beginnings, however short it is now: room that comes and goes would be filled and made again
    const log = Math.min(Math.max(index.logBytes, usualLogBytes(bytesMax)), bytesMax * logShareMax)
    // what others are writing; what we are is in `incoming`
    const elsewhere = ledger === null ? 0 : Math.max(0, ledger.reserved - files.reservedBytes)
    return (ledger?.bytes ?? 0) + this.#overhead + log + incoming.bytes - index.entering + elsewhere
  }

  /** Looks at what the index takes on disk. Throws what SQLite says. */
  measure(ledger: Ledger): void {
    const space = ledger.space()
    this.#overhead = Math.max(0, space.bytes - space.free - ledger.totals.small)
  }

  /** The index has been changed. Throws what SQLite says. */
  changed(ledger: Ledger): void {
    if (++this.#changes % changesPerLook === 0) this.measure(ledger)
    this.sweepIfFull()
  }

  // ---- now

  /** One step, if so much is not free. Whether it is. Not while somebody else has the index. */
  makeRoomFor(bytes: number): boolean {
    const downTo = this.limits.bytesMax - bytes
    if (this.taken > downTo) this.#parts.index.change(ledger => this.removeOldest(ledger, downTo), 0, 'leaves')
    // a disk that is behind with taking away gets no more
    return this.taken <= downTo && this.taken + this.#parts.files.leavingBytes <= downTo + this.limits.bytesMax * leavingShareMax
  }

  /** The first steps at once: after a small change of the limit all is done, after a large one begun. */
  fit(): void {
    const { bytesMax } = this.limits
    for (let i = 0; i < 8 && this.taken > bytesMax; i++) {
      this.#parts.index.change(ledger => this.removeOldest(ledger, bytesMax), 0)
    }
    this.sweepIfFull()
  }

  /** One step, within a transaction; answers how many went. */
  removeOldest(ledger: Ledger, downTo: number): number {
    const { counters, index, uses } = this.#parts
    let removed = 0
    let spared = 0
    for (const row of ledger.front(stepRows)) {
      if (this.taken <= downTo) break
      uses.reach(row)
      if (spared < stepRows / 2 && uses.spare(ledger, row)) {
        spared++
        continue
      }
      ledger.makeRoom(row)
      index.gone(ledger, row)
      removed++
    }
    counters.removed += removed
    return removed
  }

  // ---- in the background

  sweepIfFull(): void {
    const { bytesMax, high } = this.limits
    if (this.#sweep !== null || this.#stopped || this.taken <= bytesMax * high) return
    this.#plan()
  }

  #plan(): void {
    this.#sweep = this.#parts.clock.after(ms(stepPauseMs), () => this.#step(), { unref: true })
  }

  #step(): void {
    this.#sweep = null
    const { index } = this.#parts
    const downTo = this.limits.bytesMax * this.limits.low
    if (this.#stopped || index.ledger === null) return
    const removed = index.change(ledger => this.removeOldest(ledger, downTo), -1, 'leaves')
    if (removed === 0 || (removed < 0 && !index.health.mayWrite) || this.taken <= downTo) return
    if (this.#sweep === null) this.#plan()
  }

  stop(): void {
    this.#stopped = true
    this.#sweep?.cancel()
  }
}
