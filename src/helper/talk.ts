import type { HelperChild } from './helper-child.ts'
import type { HelperAnswer, HelperPool } from './helper-pool.ts'

/**
 * Several questions to one child, one after the other, with its own answers in mind (handshakes of NTLM and Negotiate).
 * From the first on nobody else is served by that child, until the talk ends.
 */
export class Talk {
  /** Null: the first question has not reached one yet, or it is over. */
  child: HelperChild | null = null
  readonly #pool: HelperPool
  #begun = false
  #over = false

  constructor(pool: HelperPool) {
    this.#pool = pool
  }

  /** Never rejects; 'died' when the child has gone that knew what was said before. */
  ask(line: string): Promise<HelperAnswer> {
    if (this.#over || (this.#begun && this.child === null)) return Promise.resolve({ ok: false, reason: 'died' })
    this.#begun = true
    return this.#pool.ask(line, this)
  }

  /** The child is for others again. Harmless when it has been said. */
  end(): void {
    this.#over = true
    const { child } = this
    this.child = null
    if (child !== null) this.#pool.letGo(child)
  }

  get over(): boolean {
    return this.#over
  }
}
