import { type DurationMs, type MonoMs, monoMs, type WallMs, wallMs } from './units.ts'

// The only place of Date.now and setTimeout. Rules take `now` as an argument; rooms are handed a Clock, tests a fake one.

export interface Timer {
  /** Harmless when it has fired or was cancelled before. */
  cancel(): void
}

export interface Clock {
  wall(): WallMs
  mono(): MonoMs
  /** Calls once after `delay`. An unref'd timer does not keep the process alive. */
  after(delay: DurationMs, call: () => void, options?: { readonly unref?: boolean }): Timer
}

/** setTimeout takes 31 bits; more would fire at once. */
const delayMsMax = 0x7fffffff

export const systemClock: Clock = {
  wall: () => wallMs(Date.now()),
  mono: () => monoMs(performance.now()),
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
