import type { ContentReader } from '../../cache/index.ts'
import { breakOff } from './response.ts'
import type { Next } from './steps.ts'
import type { ServerSide, Transaction } from './transaction.ts'

// Stored content that is not in memory, on its way to one client: read piece by piece, no faster than the client takes
// it. Two buffers at most: while one is with the client, the other is read into.
//
//   read ─► write ─► read ─► write …      a write that has to wait ─► drained ─► read

/** The first piece is small: many a client wants no more, or is slow. One that takes all at once is given more. */
const pieceBytesMin = 64 * 1024
const pieceBytesMax = 256 * 1024

export class ReadStored implements ServerSide {
  readonly #t: Transaction
  readonly #reader: ContentReader
  readonly #resolve: (next: Next) => void
  #at: number
  readonly #end: number
  /** Bytes of the last write; what waits beyond them is of the buffer before. */
  #lastBytes: number
  #pieceBytes = pieceBytesMin
  #free: Buffer | null = null
  #sent: Buffer | null = null
  /** The client has to take more first. */
  #waits = false
  #over = false

  /** Content [from, to). `headBytes` have just been written. */
  constructor(t: Transaction, reader: ContentReader, from: number, to: number, headBytes: number, resolve: (next: Next) => void) {
    this.#t = t
    this.#reader = reader
    this.#at = from
    this.#end = to
    this.#lastBytes = headBytes
    this.#resolve = resolve
  }

  begin(): void {
    this.#t.serverSide = this
    this.#goOn()
  }

  drained(): void {
    if (!this.#waits) return
    this.#waits = false
    this.#goOn()
  }

  clientGone(): void {
    this.#leave()
    this.#resolve('done')
  }

  #goOn(): void {
    if (this.#at === this.#end) {
      this.#leave()
      this.#resolve('finish')
      return
    }
    const { client } = this.#t
    if (client.connection.pending > this.#lastBytes) {
      this.#waits = true
      return
    }
    const into = this.#buffer()
    this.#reader.read(this.#at, into).then(
      count => this.#give(into, count),
      error => this.#t.broke(error),
    )
  }

  /** One that nobody reads from any more: at most the last write is still waiting. */
  #buffer(): Buffer {
    const bytes = Math.min(this.#pieceBytes, this.#end - this.#at)
    const free = this.#free
    this.#free = null
    if (free !== null && free.length >= bytes) return free.length === bytes ? free : free.subarray(0, bytes)
    return Buffer.allocUnsafeSlow(bytes)
  }

  #give(into: Buffer, count: number): void {
    if (this.#over) return
    const t = this.#t
    if (count <= 0) {
      t.outcome.error = 'internal'
      t.outcome.errorDetail = 'the stored content could not be read to its end'
      this.#leave()
      breakOff(t)
      this.#resolve(t.over ? 'done' : 'finish')
      return
    }
    this.#at += count
    t.outcome.responseBytes += count
    t.limit(t.policy.timeouts.write)
    const taken = t.client.write(count === into.length ? into : into.subarray(0, count))
    if (taken && t.client.connection.pending <= count) this.#pieceBytes = Math.min(2 * this.#pieceBytes, pieceBytesMax)
    this.#lastBytes = count
    this.#free = this.#sent
    this.#sent = into
    this.#goOn()
  }

  #leave(): void {
    if (this.#over) return
    this.#over = true
    this.#reader.close()
    if (this.#t.serverSide === this) this.#t.serverSide = null
  }
}
