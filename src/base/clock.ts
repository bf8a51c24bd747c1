import { type DurationMs, type MonoMs, monoMs, type WallMs, wallMs } from './units.ts'

// The only place of Date.now and setTimeout. Rules take `now` as an argument; rooms are handed a Clock, tests a fake one.

export interface Timer {
  /** Harmless when it has fired or was cancelled before. */
  cancel(): void
}

/** May stand still while a turn holds it: nothing that lasts is done within a turn, and asking costs a tenth of a hit. */
export interface Clock {
  wall(): WallMs
  mono(): MonoMs
  /**
   * It stands still at this moment until `release`, or moves on to it where it is held. For the engine, around events it
   * hands on without a pause; a callback of anybody else's finds it running.
   */
  hold(): void
  release(): void
  /** Calls once after `delay`. An unref'd timer does not keep the process alive. */
  after(delay: DurationMs, call: () => void, options?: { readonly unref?: boolean }): Timer
}

/** setTimeout takes 31 bits; more would fire at once. */
const delayMsMax = 0x7fffffff

const { performance } = globalThis

let held = false
let heldWall = wallMs(0)
let heldMono = monoMs(0)

/** Never stands still: for measuring what is done without a pause. */
export const monoNow = (): MonoMs => monoMs(performance.now())

export const systemClock: Clock = {
  wall: () => (held ? heldWall : wallMs(Date.now())),
  mono: () => (held ? heldMono : monoNow()),
  hold() {
    heldWall = wallMs(Date.now())
    heldMono = monoNow()
    held = true
  },
  release() {
    held = false
  },
  after(delay, call, options) {
    const timer = setTimeout(call, Math.min(delay, delayMsMax))
    if (options?.unref) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

export const sleep = (clock: Clock, delay: DurationMs): Promise<void> =>
  new Promise(resolve => {
    clock.after(delay, resolve)
  })
