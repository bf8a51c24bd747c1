import { type Clock, type DurationMs, elapsed, type MonoMs, ms, type Timer, type WallMs } from '../base/index.ts'
import type { ServiceTimes } from './durations.ts'
import type { Traffic, TrafficSums } from './traffic.ts'

// What was counted, minute by minute for an hour and hour by hour for three days: what averages are made of.

export interface DiskSums {
  /** Responses written to disk, read from it, and removed there. */
  readonly stored: number
  readonly read: number
  readonly removed: number
}

export interface Sample {
  readonly at: WallMs
  /** Since the start. Differences of `at` may be anything: the clock on the wall is set. */
  readonly up: DurationMs
  readonly sums: TrafficSums
  readonly times: ServiceTimes
  readonly cpuSeconds: number
  readonly pageFaults: number
  readonly disk: DiskSums
}

export interface HistorySource {
  readonly clock: Clock
  readonly startedAt: WallMs
  readonly traffic: Traffic
  readonly disk: () => DiskSums
  /** Of a worker: how long the proxy had been up when it began. */
  readonly upBefore?: DurationMs
}

/** Two moments, and what lies between them. */
export interface Span {
  readonly from: Sample
  readonly to: Sample
}

const minuteMs = ms(60_000)
const minutesMax = 61
const hoursMax = 73

export class History {
  readonly #source: HistorySource
  readonly #minutes: Sample[] = []
  readonly #hours: Sample[] = []
  readonly #startedMono: MonoMs
  #taken = 0
  #timer: Timer | null = null

  constructor(source: HistorySource) {
    this.#source = source
    this.#startedMono = source.clock.mono()
    this.#keep()
  }

  now(): Sample {
    const { clock, traffic, disk, upBefore = ms(0) } = this.#source
    const { user, system } = process.cpuUsage()
    return {
      at: clock.wall(),
      up: ms(upBefore + elapsed(this.#startedMono, clock.mono())),
      sums: traffic.sums(),
      times: traffic.times.copy(),
      cpuSeconds: (user + system) / 1e6,
      pageFaults: process.resourceUsage().majorPageFault,
      disk: disk(),
    }
  }

  /** The last minutes; since the start where that was less ago. */
  last(minutes: number): Span {
    const to = this.now()
    const wanted = to.up - minutes * minuteMs
    const samples = minutes < minutesMax ? this.#minutes : this.#hours
    const from = samples.findLast(sample => sample.up <= wanted) ?? samples[0] ?? to
    return { from, to }
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #keep(): void {
    const sample = this.now()
    this.#minutes.push(sample)
    if (this.#minutes.length > minutesMax) this.#minutes.shift()
    if (this.#taken++ % 60 === 0) {
      this.#hours.push(sample)
      if (this.#hours.length > hoursMax) this.#hours.shift()
    }
    this.#timer = this.#source.clock.after(minuteMs, () => this.#keep(), { unref: true })
  }
}
