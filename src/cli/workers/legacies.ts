import { type Clock, type DurationMs, ms, type Timer } from '../../base/index.ts'
import type { Legacy } from '../../manager/index.ts'
import type { Order } from './messages.ts'

// What the workers have counted, as last known: a worker that dies takes its counts with it, and sums over all workers
// would go down, which whoever reads them takes for a new start. So each is asked every few seconds, whatever anybody is
// told of its counts is kept as well, and its successor begins with it: then it counts on, and there is never more than
// one legacy to a place. What a worker has counted since it was last asked is lost with it.
//
//   kid2: counted ─► legacy of 2 ─┬─ died: goes into the sums in its place
//                                 └─ started again: inherited, and from there on part of its own counts

/** What is lost at most. An answer is a few kilobytes and less than a millisecond of the worker. */
const reportMsMax = ms(5_000)

/** A worker, as far as this goes. */
export interface Counting {
  readonly number: number
  readonly over: boolean
  ask(order: Order, patience: DurationMs): Promise<unknown>
}

export class Legacies {
  readonly #clock: Clock
  readonly #living: () => readonly Counting[]
  readonly #byNumber = new Map<number, Legacy>()
  #timer: Timer | null = null

  constructor(clock: Clock, living: () => readonly Counting[]) {
    this.#clock = clock
    this.#living = living
  }

  /** Of the worker with this number; the names of its pages and their values. */
  of(number: number): Legacy {
    return this.#byNumber.get(number) ?? {}
  }

  keep(number: number, counted: Legacy): void {
    this.#byNumber.set(number, { ...this.of(number), ...counted })
  }

  begin(): void {
    this.#timer = this.#clock.after(reportMsMax, () => void this.#ask(), { unref: true })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Who does not answer has said its last before. */
  async report(kid: Counting, patience: DurationMs): Promise<void> {
    const said = (await kid.ask({ kind: 'counted' }, patience)) as Legacy | null
    // a successor counts for itself by now
    if (said !== null && !kid.over) this.keep(kid.number, said)
  }

  async #ask(): Promise<void> {
    await Promise.all(this.#living().map(kid => this.report(kid, reportMsMax)))
    if (this.#timer !== null) this.begin()
  }
}
