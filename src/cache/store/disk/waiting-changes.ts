import { type Clock, ms, type Timer } from '../../../base/index.ts'
import type { Ledger } from './ledger.ts'

// Changes of the index that can wait, in their order: for our own thread that moves its log, or for another process. Whoever
// asks for what waits waits, too; so nothing does for longer than five seconds.

export interface Change {
  /** Within a transaction; it may be undone. */
  readonly make: (ledger: Ledger) => void
  /** Once, outside: it has been made, or the disk would not have it. */
  readonly ended: (made: boolean) => void
}

/** Beyond, nothing more is taken in; small content is in memory until then. */
const changesMax = 1024
/** Made in one step: more than come in one turn of the loop, and an eighth of what waits, or it would never end. */
const perStepMin = 64
/** Until the next try, where nobody says when it is time. */
const pauseMs = 5
const waitMsMax = 5000

export class WaitingChanges {
  readonly #clock: Clock
  readonly #make: () => void
  #changes: Change[] = []
  #since = 0
  #timer: Timer | null = null
  /** The next step, when others have had their turn. */
  #turn: NodeJS.Immediate | undefined

  /** `make`: makes a step's worth of them if the index is to be had, and says so by `next` and `done`. */
  constructor(clock: Clock, make: () => void) {
    this.#clock = clock
    this.#make = make
  }

  get areTooMany(): boolean {
    return this.#changes.length >= changesMax
  }

  /** Made at once, or when its turn has come. */
  add(change: Change): void {
    this.#changes.push(change)
    if (this.#changes.length > 1) return
    this.#since = this.#clock.mono()
    this.proceed()
  }

  /** As much as one step takes: somebody may have left the index. */
  proceed(): void {
    this.cancel()
    if (this.#changes.length === 0) return
    const before = this.#changes.length
    this.#make()
    const progress = this.#changes.length < before
    if (progress) this.#since = this.#clock.mono()
    else if (this.#clock.mono() - this.#since >= waitMsMax) this.giveUp()
    if (this.#changes.length === 0) return
    if (progress) this.#turn = setImmediate(() => this.proceed())
    else this.#timer = this.#clock.after(ms(pauseMs), () => this.proceed(), { unref: true })
  }

  /** Those whose turn it is. */
  next(all: boolean): readonly Change[] {
    return all ? this.#changes.slice() : this.#changes.slice(0, Math.max(perStepMin, this.#changes.length >> 3))
  }

  /** So many have had their turn. */
  done(count: number): void {
    this.#changes.splice(0, count)
  }

  /** None of them will be made. */
  giveUp(): void {
    for (const { ended } of this.#changes.splice(0)) ended(false)
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = null
    clearImmediate(this.#turn)
  }
}
