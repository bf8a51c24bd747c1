import { type Clock, type MonoMs, ms, type Timer } from '../src/base/index.ts'
import type { CommCounters } from './counters.ts'

// Keeps descriptors back for what is already in work (Lusca's RESERVED_FD and httpAcceptDefer): when fewer are free,
// accepting stops, and new clients wait in the kernel's backlog until others have gone.
//
//   free ──► = reserved ──► every listener pauses ──► a descriptor is closed, free again ──► they resume
//                 ▲ EMFILE, ENFILE, ENOBUFS, ENOMEM from accept: pause at once, look again after a second

/** What can be paused: a listener of an engine. */
export interface Pausable {
  pauseForBudget(): void
  resumeFromBudget(): void
}

const warnEveryMs = 15_000
const retryAfterError = ms(1000)

export class FdBudget {
  readonly fdMax: number
  readonly reserved: number
  readonly #clock: Clock
  readonly #counters: CommCounters
  readonly #warn: (text: string) => void
  readonly #listeners = new Set<Pausable>()
  /** Descriptors of this process that are not comm's: logs, Node itself. */
  readonly #others: number
  /** Descriptors that comm holds. */
  #open = 0
  #paused = false
  #warnedAt: MonoMs | null = null
  #retry: Timer | null = null

  constructor(fdMax: number, clock: Clock, counters: CommCounters, warn: (text: string) => void, others = 0) {
    this.fdMax = fdMax
    this.#others = others
    this.reserved = Math.min(100, Math.floor(fdMax / 4))
    this.#clock = clock
    this.#counters = counters
    this.#warn = warn
  }

  get open(): number {
    return this.#open
  }

  get paused(): boolean {
    return this.#paused
  }

  /** How many connections may still be accepted. */
  get acceptable(): number {
    return this.#paused ? 0 : Math.max(0, this.#free - this.reserved)
  }

  opened(count = 1): void {
    this.#open += count
    if (!this.#paused && this.#free <= this.reserved) {
      this.#pause(`only ${this.reserved} of ${this.fdMax} descriptors are free`)
    }
  }

  closed(count = 1): void {
    this.#open -= count
    // a retry is pending when the system, not our own count, said no: only time can tell
    if (this.#paused && this.#retry === null && this.#enoughFree) this.#resume()
  }

  /** accept(2) said EMFILE, ENFILE, ENOBUFS or ENOMEM. */
  acceptFailed(errno: string): void {
    this.#counters.acceptErrors++
    this.#pause(`accept failed with ${errno}`)
    this.#retry ??= this.#clock.after(
      retryAfterError,
      () => {
        this.#retry = null
        if (this.#enoughFree) this.#resume()
      },
      { unref: true },
    )
  }

  add(listener: Pausable): void {
    this.#listeners.add(listener)
    if (this.#paused) listener.pauseForBudget()
  }

  remove(listener: Pausable): void {
    this.#listeners.delete(listener)
  }

  stop(): void {
    this.#retry?.cancel()
    this.#retry = null
  }

  get #free(): number {
    return this.fdMax - this.#others - this.#open
  }

  /** A little more than what pauses, so that at the limit not every connection pauses and resumes all listeners. */
  get #enoughFree(): boolean {
    return this.#free > this.reserved + this.reserved / 8
  }

  #pause(why: string): void {
    const now = this.#clock.mono()
    if (this.#warnedAt === null || now - this.#warnedAt >= warnEveryMs) {
      this.#warnedAt = now
      this.#warn(`new connections wait: ${why} (LimitNOFILE or ulimit -n raises the limit)`)
    }
    if (this.#paused) return
    this.#paused = true
    this.#counters.acceptPauses++
    for (const listener of this.#listeners) listener.pauseForBudget()
  }

  #resume(): void {
    this.#paused = false
    for (const listener of this.#listeners) listener.resumeFromBudget()
  }
}
