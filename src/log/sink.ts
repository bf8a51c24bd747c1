import type { Clock } from '../base/index.ts'
import { countLog } from './counters.ts'

// Where the lines of one place go: a file, the system's log, another machine. Whatever is wrong there, a line costs its
// writer a few instructions: it waits in memory, within a limit, and what does not fit is lost, counted and told.

export interface LineSink {
  /** `line` ends in a line feed, and is latin1: a byte each. */
  write(line: string): void
  rotate(): void
  reopen(): void
  /** Everything written so far has gone to the system, or cannot now. */
  flush(): Promise<void>
  /** Writes what there is and lets go. */
  close(): Promise<void>
}

export interface SinkOptions {
  readonly clock: Clock
  /** Told of failures, at most once a minute. Must not write to this sink. */
  readonly trouble: (message: string) => void
  /** Told of their end; absent = as trouble. */
  readonly relief?: (message: string) => void
  /** on-error=die: called once, when a line was lost. Null = lines may be lost. */
  readonly fatal: ((message: string) => void) | null
}

/** What waits for a place that does not take it. */
export const waitingBytesMax = 8 * 1024 * 1024
/** Lost lines, and failures, are told so often at most. */
export const tellMs = 60_000

/** The lines of one sink that were lost. */
export class Losses {
  readonly #place: string
  readonly #options: SinkOptions
  #total = 0
  /** Those that have not been told. */
  #untold = 0
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(place: string, options: SinkOptions) {
    this.#place = place
    this.#options = options
  }

  /** Since the start. */
  get total(): number {
    return this.#total
  }

  lose(count = 1): void {
    if (count === 0) return
    if (this.#total === 0) this.#options.fatal?.(`a line for the log ${this.#place} is lost, and its access_log says on-error=die`)
    this.#total += count
    this.#untold += count
    countLog.droppedLines += count
    this.tell()
  }

  tell(): void {
    const now = this.#options.clock.mono()
    if (this.#untold === 0 || now < this.#toldAt + tellMs) return
    this.#toldAt = now
    this.#options.trouble(`log ${this.#place} does not take all lines: ${this.#untold} dropped`)
    this.#untold = 0
  }
}

/** Says that a sink fails and that it works again; a sink that fails every other second is told once a minute. */
export class FailureNotes {
  readonly #place: string
  readonly #options: SinkOptions
  #failing = false
  #reason = ''
  #told = false
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(place: string, options: SinkOptions) {
    this.#place = place
    this.#options = options
  }

  get failing(): boolean {
    return this.#failing
  }

  /** Of the last failure; '' = there was none. */
  get reason(): string {
    return this.#reason
  }

  failed(reason: string): void {
    this.#reason = reason
    countLog.writeFailures++
    const now = this.#options.clock.mono()
    if (!this.#failing && now >= this.#toldAt + tellMs) {
      this.#toldAt = now
      this.#told = true
      this.#options.trouble(`log ${this.#place} cannot be written: ${reason}; lines wait in memory, then they are dropped`)
    }
    this.#failing = true
  }

  works(): void {
    if (!this.#failing) return
    this.#failing = false
    const { trouble, relief = trouble } = this.#options
    if (this.#told) relief(`log ${this.#place} can be written again`)
    this.#told = false
  }
}
