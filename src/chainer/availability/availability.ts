import { type Clock, type DurationMs, type Endpoint, endpointText, ms, type Timer } from '../../base/index.ts'
import type { Route } from '../../router/router.ts'
import { type Course, ListCourse, type Plan, type Turn } from '../course.ts'
import type { Check, Checking } from './checks.ts'

// The targets of availability chainers, each asked again and again.
//
//   check 1 ─┐
//   check 2 ─┼─► all say yes within the time: up ──► so long until the next round
//   check n ─┘   one says no: down
//
// A target that has not been asked yet is up: the first client must not wait for the first round.

/** A target and what it is asked. */
export interface Watch {
  /** The chainer whose checks they are: two may ask one target different things. */
  readonly chainer: string
  readonly target: Endpoint
  /** Says the same of two watches that ask the same. */
  readonly asks: string
  readonly checks: readonly Check[]
  readonly interval: DurationMs
  readonly timeout: DurationMs
}

export interface CheckOutcome {
  readonly chainer: string
  readonly target: Endpoint
  readonly up: boolean
  /** '' when up. */
  readonly why: string
}

export interface AvailabilityOptions {
  readonly clock: Clock
  /** A target has come up or gone down. */
  readonly changed?: (outcome: CheckOutcome) => void
  /** 0 to 1: rounds are spread over the interval. */
  readonly random?: () => number
}

export class Availability {
  readonly #options: Required<AvailabilityOptions>
  readonly #watched = new Map<string, Watched>()

  constructor(options: AvailabilityOptions) {
    this.#options = { changed: () => {}, random: Math.random, ...options }
  }

  /** These from now on, and no others; what is known of those that stay is kept. */
  watch(wanted: readonly Watch[]): void {
    const keys = new Map(wanted.map(watch => [`${keyOf(watch.chainer, watch.target)}`, watch] as const))
    for (const [key, watched] of this.#watched) {
      const watch = keys.get(key)
      if (watch !== undefined && watch.asks === watched.watch.asks) continue
      watched.stop()
      this.#watched.delete(key)
    }
    for (const [key, watch] of keys) {
      if (!this.#watched.has(key)) this.#watched.set(key, new Watched(watch, this.#options))
    }
  }

  isUp(chainer: string, target: Endpoint): boolean {
    return this.#watched.get(keyOf(chainer, target))?.up ?? true
  }

  /** Every target, in the order of the conf. */
  get outcomes(): readonly CheckOutcome[] {
    return [...this.#watched.values()].map(({ watch: { chainer, target }, up, why }) => ({ chainer, target, up, why }))
  }

  close(): void {
    this.watch([])
  }

  /** Those that are up, beginning with another one each time. */
  plan(chainer: string, turn: Turn): Plan {
    return (routes: readonly Route[]): Course =>
      new ListCourse(turn.rotated(routes.filter(route => this.isUp(chainer, route.target))))
  }
}

const keyOf = (chainer: string, target: Endpoint): string => `${chainer.toLowerCase()} ${endpointText(target)}`

class Watched {
  readonly watch: Watch
  up = true
  why = ''
  readonly #options: Required<AvailabilityOptions>
  #running: Checking[] = []
  #timer: Timer | null
  #asked = false

  constructor(watch: Watch, options: Required<AvailabilityOptions>) {
    this.watch = watch
    this.#options = options
    // the first round at once; those of many targets part in their second
    this.#timer = options.clock.after(ms(0), () => this.#round(), { unref: true })
  }

  stop(): void {
    this.#timer?.cancel()
    for (const checking of this.#running.splice(0)) checking.cancel()
  }

  #round(): void {
    const { checks, target, timeout } = this.watch
    this.#timer = null
    let left = checks.length
    let over = false
    const answered = (why: string): void => {
      left--
      if (over || (why === '' && left > 0)) return
      over = true
      // one that says no is enough
      queueMicrotask(() => {
        for (const checking of this.#running.splice(0)) checking.cancel()
      })
      this.#decided(why)
    }
    this.#running = checks.map(check => check(target, timeout, answered))
  }

  #decided(why: string): void {
    const up = why === ''
    const { clock, changed, random } = this.#options
    const { chainer, target, interval } = this.watch
    const isNews = up !== this.up || (!this.#asked && !up)
    this.up = up
    this.why = why
    const pause = this.#asked ? interval : ms(interval * (0.5 + random() / 2))
    this.#asked = true
    this.#timer = clock.after(pause, () => this.#round(), { unref: true })
    if (isNews) changed({ chainer, target, up, why })
  }
}
