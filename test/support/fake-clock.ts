import { type Clock, type DurationMs, type MonoMs, monoMs, type Timer, wallMs } from '../../src/base/index.ts'

// A clock that stands still until a test moves it.

interface Pending {
  readonly dueAt: number
  readonly call: () => void
}

export class FakeClock implements Clock {
  #mono = 1_000_000
  #wallAhead = 1_700_000_000_000
  readonly #pending = new Set<Pending>()

  /** Timers that have not fired and were not cancelled. */
  get pending(): number {
    return this.#pending.size
  }

  /** What `mono` says, unless somebody holds it. */
  get passed(): number {
    return this.#mono
  }

  wall = () => wallMs(this.#wallAhead + this.#mono)
  mono = (): MonoMs => monoMs(this.#mono)

  /** Somebody sets the wall clock: no timer notices. */
  setWall(wall: number): void {
    this.#wallAhead = wall - this.#mono
  }

  hold(): void {}
  release(): void {}

  after(delay: DurationMs, call: () => void): Timer {
    const item = { dueAt: this.#mono + delay, call }
    this.#pending.add(item)
    return { cancel: () => this.#pending.delete(item) }
  }

  /** The clock on the wall is set, forward or back; no time passes. */
  set(by: number): void {
    this.#wallAhead += by
  }

  /** Somebody computes, or the machine does something else: time passes, and no timer is called meanwhile. */
  stall(by: number): void {
    this.#mono += by
  }

  /** Time passes; what falls due on the way is called at its moment, in order. */
  advance(by: number): void {
    const until = this.#mono + by
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#pending.delete(next)
      this.#mono = Math.max(this.#mono, next.dueAt)
      next.call()
    }
    this.#mono = Math.max(this.#mono, until)
  }

  #next(until: number): Pending | undefined {
    let first: Pending | undefined
    for (const item of this.#pending) {
      if (item.dueAt <= until && (first === undefined || item.dueAt < first.dueAt)) first = item
    }
    return first
  }
}
