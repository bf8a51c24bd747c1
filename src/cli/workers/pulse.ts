import { type Clock, type DurationMs, ms, type Timer } from '../../base/index.ts'

// Whether a worker's event loop still turns: it is asked, again and again, and whoever leaves four questions in a row
// unanswered hangs. Questions are counted, not time: after the whole machine has slept, or this process, one may be missed
// by everybody, never four.

const missedMax = 4
/** A collection of garbage, or a busy machine, may take as long. */
const intervalMsMin = 250

export interface Asked {
  /** False: no answer within `patience`. */
  answers(patience: DurationMs): Promise<boolean>
  /** Compiling a conf takes as long as it takes. */
  readonly occupied: boolean
}

export class Pulse {
  readonly #asked: Asked
  readonly #clock: Clock
  readonly #hangs: () => void
  #timeoutMs: number
  #missed = 0
  #timer: Timer | null = null
  #asking = false
  #over = false

  /** `timeoutMs` 0: it is not watched. `hangs` is called once. */
  constructor(asked: Asked, clock: Clock, timeoutMs: number, hangs: () => void) {
    this.#asked = asked
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#hangs = hangs
    this.#wait()
  }

  /** From the next question on. */
  set timeoutMs(value: number) {
    this.#timeoutMs = value
    this.#timer?.cancel()
    this.#missed = 0
    if (!this.#asking) this.#wait()
  }

  stop(): void {
    this.#over = true
    this.#timer?.cancel()
  }

  get #interval(): DurationMs {
    return ms(Math.max(intervalMsMin, this.#timeoutMs / missedMax))
  }

  #wait(): void {
    if (this.#over || this.#timeoutMs <= 0) return
    this.#timer = this.#clock.after(this.#interval, () => void this.#ask(), { unref: true })
  }

  async #ask(): Promise<void> {
    this.#asking = true
    while (!this.#over && this.#timeoutMs > 0) {
      if (await this.#asked.answers(this.#interval)) {
        this.#missed = 0
        break
      }
      if (!this.#asked.occupied && ++this.#missed === missedMax && !this.#over) {
        this.#over = true
        this.#hangs()
      }
    }
    this.#asking = false
    this.#wait()
  }
}
