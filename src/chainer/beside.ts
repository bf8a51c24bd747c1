import { type Clock, type DurationMs, ms, type MonoMs } from '../base/index.ts'

// RFC 8305: an address of the other family is tried beside one that does not answer. How soon, how often and how many at
// once is for all connections of the process together: happy_eyeballs_connect_timeout, _gap, _limit.

export interface BesideLimits {
  readonly after: DurationMs
  /** Between two of them; -1 = any. */
  readonly gap: number
  /** Under way; -1 = any number. */
  readonly most: number
}

/** RFC 8305 section 5: Connection Attempt Delay. */
export const usualBeside: BesideLimits = { after: ms(250), gap: -1, most: -1 }

export interface BesideRules {
  readonly after: DurationMs
  /** True: it may be tried now, and counts until `ended`. */
  begin(): boolean
  ended(): void
}

export class Beside implements BesideRules {
  limits: BesideLimits
  readonly #clock: Clock
  #underWay = 0
  #last = Number.NEGATIVE_INFINITY as MonoMs

  constructor(clock: Clock, limits: BesideLimits = usualBeside) {
    this.#clock = clock
    this.limits = limits
  }

  get after(): DurationMs {
    return this.limits.after
  }

  begin(): boolean {
    const { gap, most } = this.limits
    const now = this.#clock.mono()
    if ((most >= 0 && this.#underWay >= most) || now - this.#last < gap) return false
    this.#underWay++
    this.#last = now
    return true
  }

  ended(): void {
    this.#underWay--
  }
}
