import type { Clock, Timer } from './clock.ts'
import { type DurationMs, ms } from './units.ts'

// The clock on the wall is set by people and programs, or goes on while the machine sleeps. All that waits here waits by the
// other clock and does not notice; who compares moments on the wall has to be told.

const lookMs = ms(10_000)
/** Less is a correction, not a step. */
const stepMsMin = 2000

/** `stepped` hears by how much, negative: backwards. Answers how to stop. */
export const watchClockSteps = (clock: Clock, stepped: (by: DurationMs) => void): (() => void) => {
  let ahead = clock.wall() - clock.mono()
  let timer: Timer
  const look = (): void => {
    const now = clock.wall() - clock.mono()
    const by = now - ahead
    ahead = now
    timer = clock.after(lookMs, look, { unref: true })
    if (Math.abs(by) >= stepMsMin) stepped(ms(by))
  }
  timer = clock.after(lookMs, look, { unref: true })
  return () => timer.cancel()
}
