import { unreachable } from '../base/index.ts'
import { ChunkedDecoder, type ChunkedLimits, type ContentSink } from './chunked.ts'
import type { Fields } from './fields.ts'
import type { Framing } from './framing.ts'
import type { Bad } from './head.ts'

/** Reads the content of one message, however it is delimited, and knows where it ends. */
export class BodyReader {
  readonly #framing: Framing
  readonly #decoder: ChunkedDecoder | null
  #left: number
  #bytes = 0
  #closed = false

  constructor(framing: Framing, limits?: ChunkedLimits) {
    this.#framing = framing
    this.#decoder = framing.kind === 'chunked' ? new ChunkedDecoder(limits) : null
    this.#left = framing.length
  }

  /** All content has been read; what comes next on the connection is not part of this message. */
  get done(): boolean {
    switch (this.#framing.kind) {
      case 'none':
        return true
      case 'length':
        return this.#left === 0
      case 'chunked':
        return this.#decoder?.done ?? false
      case 'until-close':
        return this.#closed
      default:
        return unreachable(this.#framing.kind)
    }
  }

  /** Content bytes so far, without framing. */
  get bytes(): number {
    return this.#decoder?.bytes ?? this.#bytes
  }

  get trailers(): Fields | null {
    return this.#decoder?.trailers ?? null
  }

  /** Why it cannot be read further; null while all is well. */
  get failed(): Bad | null {
    return this.#decoder?.failed ?? null
  }

  /** Gives content to the sink. Answers up to where the bytes were used; less than `end` = done, or failed. */
  feed(slab: Buffer, start: number, end: number, sink: ContentSink): number {
    if (this.#decoder !== null) return this.#decoder.feed(slab, start, end, sink)
    if (this.done) return start
    const stop = this.#framing.kind === 'length' ? Math.min(end, start + this.#left) : end
    if (stop === start) return start
    if (this.#framing.kind === 'length') this.#left -= stop - start
    this.#bytes += stop - start
    sink.onContent(slab, start, stop)
    return stop
  }

  /** The sender has closed. True = the message is complete with that. */
  end(): boolean {
    if (this.#framing.kind === 'until-close') this.#closed = true
    return this.done
  }
}
