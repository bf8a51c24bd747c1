import { type Clock, type DurationMs, ms } from '../../base/index.ts'
import type { Resolved } from './deps.ts'

// How long a page is held for a name server when it can go on without: long for one that answers, since a confirmed Host
// is stored under its name; hardly at all for servers that have left every question lately unanswered. One answer, for
// whatever name, and they are waited for again.

/** For the first, and after so many questions in a row that nobody answered. */
const patienceMs = [5000, 1000] as const
/** Servers that come back answer within this, or are found to be back by a question that was not waited for. */
const leastMs = 100

export class NamePatience {
  readonly #clock: Clock
  #unanswered = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get now(): DurationMs {
    return ms(patienceMs[this.#unanswered] ?? leastMs)
  }

  /** Null: nobody answered in time. */
  wait(answer: Promise<Resolved>): Promise<Resolved | null> {
    return new Promise((resolve, reject) => {
      let given = false
      const timer = this.#clock.after(this.now, () => {
        given = true
        this.#unanswered++
        resolve(null)
      })
      answer.then(
        resolved => {
          timer.cancel()
          // dns_timeout may be shorter than our patience
          if (resolved.ok || resolved.code !== 'ETIMEOUT') this.#unanswered = 0
          else if (!given) this.#unanswered++
          resolve(resolved)
        },
        error => {
          timer.cancel()
          reject(error)
        },
      )
    })
  }
}
