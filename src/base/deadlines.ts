import type { Clock, Timer } from './clock.ts'
import { type DurationMs, type MonoMs, ms } from './units.ts'

// One timer for all connections. Each watched thing carries the moment it is due. Moving that moment further away is
// one field write and one comparison; the slot is only looked at when the wheel comes round to it.
//
//   items ──► slot[turn mod slots] ──► on tick: due? deadlinePassed() : put into the slot of its present deadline

export interface Watched {
  /** When it is due; 0 = no deadline. Written through Deadlines.set only. */
  deadlineAt: MonoMs
  /** The turn of the wheel at which it is looked at; 0 = in no slot. Kept by the wheel. */
  deadlineTurn: number
  deadlinePassed(): void
}

const never = 0 as MonoMs

/** Deadlines are met up to two ticks late and never early. */
export class Deadlines {
  readonly #clock: Clock
  readonly #tick: DurationMs
  readonly #slots: Set<Watched>[]
  #timer: Timer | null = null
  #turn: number
  #count = 0

  constructor(clock: Clock, options: { readonly tick?: DurationMs; readonly slots?: number } = {}) {
    this.#clock = clock
    this.#tick = options.tick ?? ms(250)
    this.#slots = Array.from({ length: options.slots ?? 512 }, () => new Set<Watched>())
    this.#turn = this.#turnOf(clock.mono())
  }

  /** How many items sit in slots (some may have been cleared since; the wheel drops them when it comes round). */
  get watched(): number {
    return this.#count
  }

  /** `delay` from now; replaces the item's former deadline. */
  set(item: Watched, delay: DurationMs): void {
    const now = this.#clock.mono()
    item.deadlineAt = (now + delay) as MonoMs
    const turn = this.#turnOf(item.deadlineAt) + 1
    if (item.deadlineTurn !== 0) {
      if (item.deadlineTurn <= turn) return // looked at in time anyway
      this.#slotAt(item.deadlineTurn).delete(item)
      this.#count--
    }
    if (this.#timer === null) {
      this.#turn = this.#turnOf(now)
      this.#arm()
    }
    this.#put(item, turn)
  }

  clear(item: Watched): void {
    item.deadlineAt = never
  }

  /** Takes the item out at once, so that the wheel does not keep a closed connection in memory. */
  forget(item: Watched): void {
    item.deadlineAt = never
    if (item.deadlineTurn === 0) return
    this.#slotAt(item.deadlineTurn).delete(item)
    item.deadlineTurn = 0
    this.#count--
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const slot of this.#slots) {
      for (const item of slot) item.deadlineTurn = 0
      slot.clear()
    }
    this.#count = 0
  }

  #turnOf(at: number): number {
    return Math.floor(at / this.#tick) + 1 // + 1: turn 0 means "in no slot"
  }

  #slotAt(turn: number): Set<Watched> {
    return this.#slots[turn % this.#slots.length] as Set<Watched> // the index is within by the modulo
  }

  #put(item: Watched, turn: number): void {
    // an item due beyond one round waits in the last slot and is put again from there
    item.deadlineTurn = Math.min(Math.max(turn, this.#turn + 1), this.#turn + this.#slots.length - 1)
    this.#slotAt(item.deadlineTurn).add(item)
    this.#count++
  }

  #arm(): void {
    this.#timer = this.#clock.after(this.#tick, () => this.#advance(), { unref: true })
  }

  #advance(): void {
    const now = this.#clock.mono()
    const until = this.#turnOf(now)
    const late: Watched[] = []
    // after a long stall one round shows every slot; a second would show them twice
    for (let turn = Math.max(this.#turn + 1, until - this.#slots.length + 1); turn <= until; turn++) {
      const slot = this.#slotAt(turn)
      for (const item of slot) late.push(item)
      slot.clear()
    }
    this.#turn = Math.max(until, this.#turn)
    this.#count -= late.length
    for (const item of late) item.deadlineTurn = 0
    this.#timer = null
    for (const item of late) this.#look(item, now)
    if (this.#count > 0 && this.#timer === null) this.#arm()
  }

  #look(item: Watched, now: MonoMs): void {
    if (item.deadlineAt === never || item.deadlineTurn !== 0) return // cleared, or set anew by an earlier callback
    if (item.deadlineAt <= now) {
      item.deadlineAt = never
      item.deadlinePassed()
    } else this.#put(item, this.#turnOf(item.deadlineAt) + 1)
  }
}
