import { type Clock, ms, type Timer } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'
import type { History } from '../manager/index.ts'

// high_response_time_warning and high_memory_warning: once a minute a look whether things are as the conf expects.

const minuteMs = ms(60_000)

export interface AlarmParts {
  readonly clock: Clock
  readonly log: DebugLog
  readonly history: History
  /** Bytes of memory the process has. */
  readonly memory: () => number
}

export class Alarms {
  readonly #parts: AlarmParts
  #config: Config
  #timer: Timer | null = null

  constructor(config: Config, parts: AlarmParts) {
    this.#parts = parts
    this.#config = config
    this.use(config)
  }

  use(config: Config): void {
    this.#config = config
    const wanted = config.high_response_time_warning > 0 || config.high_memory_warning > 0
    if (!wanted) this.stop()
    else this.#timer ??= this.#parts.clock.after(minuteMs, () => this.#look(), { unref: true })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #look(): void {
    this.#timer = null
    const { high_response_time_warning: most, high_memory_warning: room } = this.#config
    const { log, history, memory } = this.#parts
    const { from, to } = history.last(1)
    const median = Math.round(to.times.since(from.times).percentile('all', 50) * 1000)
    if (most > 0 && median > most) log.write('main', 0, `WARNING: Median response time is ${median} milliseconds, more than ${most}`)
    const taken = memory()
    if (room > 0 && taken > room) log.write('main', 0, `WARNING: Memory usage at ${Math.round(taken / 1048576)} MB, more than ${Math.round(room / 1048576)} MB`)
    this.use(this.#config)
  }
}
