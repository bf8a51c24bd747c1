import { type Clock, ms, type Timer, type WallMs } from '../base/index.ts'
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
  #taken = 0
  #timer: Timer | null = null

  constructor(source: HistorySource) {
    this.#source = source
    this.#keep()
  }

  now(): Sample {
    const { clock, traffic, disk } = this.#source
    const { user, system } = process.cpuUsage()
    return {
      at: clock.wall(),
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
    const wanted = to.at - minutes * minuteMs
    const samples = minutes < minutesMax ? this.#minutes : this.#hours
    const from = samples.findLast(sample => sample.at <= wanted) ?? samples[0] ?? to
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
