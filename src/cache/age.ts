import { type DurationMs, ms, msToSeconds, type Seconds, seconds, type WallMs, wallMs } from '../base/index.ts'
import { deltaSecondsMax } from '../http/index.ts'

// RFC 9111 4.2.3. Instead of an age that grows, a stored response keeps the moment it would have been born at, had it
// come to us at once: age = now - bornAt. Seconds are what peers tell us (Date, Age), milliseconds what we measure.
//
//   born            request sent   response received        now
//    |--- Age, or by Date ---|--- delay ---|---- resident ---|

export interface AgeFacts {
  readonly requestTime: WallMs
  readonly responseTime: WallMs
  /** The origin's Date, or the response time where there is none. */
  readonly date: WallMs
  /** The Age field, 0 if there is none. */
  readonly age: Seconds
}

export const bornAt = (facts: AgeFacts): WallMs => {
  // Date is cut to whole seconds, so less than one second of apparent age is no age: otherwise max-age=1 would be
  // stale on arrival half of the time
  const apparent = Math.floor((facts.responseTime - facts.date) / 1000) * 1000
  const delay = Math.max(0, facts.responseTime - facts.requestTime) // the wall clock may have been set back meanwhile
  const corrected = Math.min(facts.age, deltaSecondsMax) * 1000 + delay
  return wallMs(facts.responseTime - Math.max(0, apparent, corrected))
}

/** RFC 9111 4.2.3 current_age; never negative, also when the wall clock was set back. */
export const currentAge = (born: WallMs, now: WallMs): DurationMs => ms(Math.max(0, now - born))

/** The value of Age in a response made now. */
export const ageField = (born: WallMs, now: WallMs): Seconds =>
  seconds(Math.min(msToSeconds(currentAge(born, now)), deltaSecondsMax))
