import type { ProxyError } from '../../../base/index.ts'

// Content a service has made, on its way to the server. Pieces are copied; above `queuedMax` the service is not read.

const queuedMax = 64 * 1024

export class ContentQueue implements AsyncIterable<Uint8Array> {
  readonly #resume: () => void
  readonly #left: () => void
  readonly #pieces: Buffer[] = []
  #bytes = 0
  #full = false
  #ended = false
  #failure: ProxyError | null = null
  #wake: (() => void) | null = null

  /** `left`: whoever reads it stops before its end. */
  constructor(resume: () => void, left: () => void) {
    this.#resume = resume
    this.#left = left
  }

  /** False: stop until `resume` is called. */
  push(piece: Buffer): boolean {
    this.#pieces.push(Buffer.from(piece))
    this.#bytes += piece.length
    this.#full = this.#bytes > queuedMax
    this.#woken()
    return !this.#full
  }

  end(): void {
    this.#ended = true
    this.#woken()
  }

  fail(failure: ProxyError): void {
    this.#failure ??= failure
    this.#woken()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let whole = false
    try {
      for (;;) {
        const piece = this.#pieces.shift()
        if (piece !== undefined) {
          this.#taken(piece.length)
          yield piece
        } else if (this.#failure !== null) throw this.#failure
        else if (this.#ended) {
          whole = true
          return
        } else await new Promise<void>(resolve => (this.#wake = resolve))
      }
    } finally {
      if (!whole) this.#left()
    }
  }

  #taken(bytes: number): void {
    this.#bytes -= bytes
    if (!this.#full || this.#bytes >= queuedMax / 2) return
    this.#full = false
    this.#resume()
  }

  #woken(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
