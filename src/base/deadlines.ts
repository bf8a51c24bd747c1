import type { Clock, Timer } from './clock.ts'
import { type DurationMs, type MonoMs, ms } from './units.ts'

// One timer for all connections. Each watched thing carries the moment it is due. Moving that moment further away is
// one field write and one comparison; the slot is only looked at when the wheel comes round to it.
//
//   items ──► slot[turn mod slots] ──► on tick: due? deadlinePassed() : put into the slot of its present deadline
//
// Slots are lists whose links are in the items, undone when an item leaves. A Set per slot would do the same, but V8's
// sets chain every table they have outgrown to the next one: once the oldest has grown old, all that ever was in one of
// them survives the young collections. With 20,000 short connections a second that cost 10 ms each time.

export interface Watched {
  /** When it is due; 0 = no deadline. Written through Deadlines.set only. */
  deadlineAt: MonoMs
  /** The turn of the wheel at which it is looked at; 0 = in no slot. Kept by the wheel, as are the two links. */
  deadlineTurn: number
  deadlineBefore: Watched | null
  deadlineBehind: Watched | null
  deadlinePassed(): void
}

const never = 0 as MonoMs

/** Deadlines are met up to two ticks late and never early; where telling others takes long, that much later. */
export class Deadlines {
  readonly #clock: Clock
  readonly #tick: DurationMs
  /** The first item of each slot. */
  readonly #slots: (Watched | null)[]
  #timer: Timer | null = null
  #turn: number
  #count = 0

  constructor(clock: Clock, options: { readonly tick?: DurationMs; readonly slots?: number } = {}) {
    this.#clock = clock
    this.#tick = options.tick ?? ms(250)
    this.#slots = new Array<Watched | null>(options.slots ?? 512).fill(null)
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
      this.#take(item)
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
    if (item.deadlineTurn !== 0) this.#take(item)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (let turn = 0; turn < this.#slots.length; turn++) this.#empty(turn)
  }

  #turnOf(at: number): number {
    return Math.floor(at / this.#tick) + 1 // + 1: turn 0 means "in no slot"
  }

  #put(item: Watched, turn: number): void {
    // an item due beyond one round waits in the last slot and is put again from there
    item.deadlineTurn = Math.min(Math.max(turn, this.#turn + 1), this.#turn + this.#slots.length - 1)
    const slot = item.deadlineTurn % this.#slots.length
    const first = this.#slots[slot] ?? null
    item.deadlineBehind = first
    if (first !== null) first.deadlineBefore = item
    this.#slots[slot] = item
    this.#count++
  }

  #take(item: Watched): void {
    const { deadlineBefore: before, deadlineBehind: behind } = item
    if (before === null) this.#slots[item.deadlineTurn % this.#slots.length] = behind
    else before.deadlineBehind = behind
    if (behind !== null) behind.deadlineBefore = before
    item.deadlineBefore = null
    item.deadlineBehind = null
    item.deadlineTurn = 0
    this.#count--
  }

  /** All items of a slot, taken out. */
  #empty(turn: number, into: Watched[] = []): Watched[] {
    const slot = turn % this.#slots.length
    for (let item = this.#slots[slot] ?? null; item !== null; item = this.#slots[slot] ?? null) {
      this.#take(item)
      into.push(item)
    }
    return into
  }

  #arm(): void {
    this.#timer = this.#clock.after(this.#tick, () => this.#advance(), { unref: true })
  }

  // The timer that has fired stays in its place until everybody has been told: it tells `set` that the wheel turns. Were
  // it gone, somebody who sets a deadline when he is told of one would start the wheel at the present moment; a tick that
  // has passed meanwhile would never be looked at, and who waits in it be told a whole round (two minutes) late.
  #advance(): void {
    const now = this.#clock.mono()
    const until = this.#turnOf(now)
    const late: Watched[] = []
    // after a long stall one round shows every slot; a second would show them twice
    for (let turn = Math.max(this.#turn + 1, until - this.#slots.length + 1); turn <= until; turn++) {
      this.#empty(turn, late)
    }
    this.#turn = Math.max(until, this.#turn)
    let told = 0
    try {
      while (told < late.length) this.#look(late[told++] as Watched, now) // within
    } finally {
      for (const item of late.slice(told)) this.#lookAgain(item)
      this.#timer?.cancel() // stopped and set again while others were told: there is a new one
      this.#timer = null
      if (this.#count > 0) this.#arm()
    }
  }

  /** Something was thrown before its turn came: the next tick is its. */
  #lookAgain(item: Watched): void {
    if (item.deadlineAt !== never && item.deadlineTurn === 0) this.#put(item, this.#turn + 1)
  }

  #look(item: Watched, now: MonoMs): void {
    if (item.deadlineAt === never || item.deadlineTurn !== 0) return // cleared, or set anew by an earlier callback
    if (item.deadlineAt <= now) {
      item.deadlineAt = never
      item.deadlinePassed()
    } else this.#put(item, this.#turnOf(item.deadlineAt) + 1)
  }
}
