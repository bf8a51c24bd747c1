import type { ContentReader, FileStretch, StoredResponse } from '../../cache/index.ts'
import { asRuled, breakOff } from './response.ts'
import type { Next } from './steps.ts'
import { tailOf } from './stored-head.ts'
import type { ServerSide, Transaction } from './transaction.ts'

// Stored content that is not in memory, on its way to one client: read piece by piece, no faster than the client takes
// it. Two buffers at most: while one is with the client, the other is read into.
//
//   read ─► head + write ─► read ─► write …      a write that has to wait ─► drained ─► read
//                        └─► the rest by the kernel, from file to socket: drained ─► sendFile …
//
// The kernel is only asked for what it has in memory; what it has not is read by a thread, and written as any other piece.
//
// Nothing is said to the client before the first piece is here: until then it can still be fetched instead.

/** Most want no more than this; one that takes it all at once is given more at a time. */
const pieceBytesMin = 128 * 1024
const pieceBytesMax = 256 * 1024
/** What the kernel is given at a time: as much as it can take, since each time wakes the other end. */
const fileBytesMax = 4 * 1024 * 1024

export class ReadStored implements ServerSide {
  readonly #t: Transaction
  readonly #stored: StoredResponse
  readonly #status: number
  readonly #head: string
  readonly #reader: ContentReader
  readonly #resolve: (end: Next | 'unread') => void
  #at = 0
  readonly #end: number
  /** Bytes of the last write; what waits beyond them is of the buffer before. 0 = nothing has been written. */
  #lastBytes = 0
  #pieceBytes = pieceBytesMin
  #free: Buffer | null = null
  #sent: Buffer | null = null
  /** The client has to take more first. */
  #waits = false
  #over = false

  /** Bytes [0, end) of what the reader reads. `resolve` is told 'unread' when not even the first of it could be read. */
  constructor(
    t: Transaction,
    stored: StoredResponse,
    status: number,
    head: string,
    reader: ContentReader,
    end: number,
    resolve: (end: Next | 'unread') => void,
  ) {
    this.#t = t
    this.#stored = stored
    this.#status = status
    this.#head = head
    this.#reader = reader
    this.#end = end
    this.#resolve = resolve
  }

  begin(): void {
    this.#t.serverSide = this
    this.#t.framing = 'length'
    this.#read()
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
    const { connection } = this.#t.client
    const stretch = connection.sendFile === undefined ? null : (this.#reader.inFile?.(this.#at) ?? null)
    if (stretch !== null) this.#send(stretch)
    else if (connection.pending > this.#lastBytes) this.#waits = true
    else this.#read()
  }

  /** Without our seeing it. */
  #send(stretch: FileStretch): void {
    const t = this.#t
    const { connection } = t.client
    const bytes = Math.min(fileBytesMax, this.#end - this.#at, stretch.bytes)
    const last = this.#at + bytes === this.#end
    const taken = connection.sendFile?.(stretch.descriptor, stretch.at, bytes, last) ?? -1
    if (taken < 0) {
      this.#read()
      return
    }
    t.limit(t.policy.timeouts.write)
    t.outcome.responseBytes += taken
    this.#at += taken
    if (last && taken === bytes) this.#goOn()
    else this.#waits = true // onDrain follows, or the end of the connection
  }

  #read(): void {
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
    if (count <= 0) {
      this.#failed()
      return
    }
    const t = this.#t
    const piece = count === into.length ? into : into.subarray(0, count)
    t.limit(t.policy.timeouts.write)
    let bytes = count
    let taken: boolean
    if (this.#lastBytes === 0) {
      const tail = tailOf(t, this.#stored, this.#status, this.#head, 0)
      bytes += t.outcome.responseHeadBytes
      if (t.policy.responseFields === null) taken = t.client.write(this.#head, tail, piece)
      else taken = t.client.write(asRuled(t, this.#head + tail), piece)
    } else taken = t.client.write(piece)
    t.outcome.responseBytes += count
    if (taken && t.client.connection.pending <= bytes) this.#pieceBytes = Math.min(2 * this.#pieceBytes, pieceBytesMax)
    this.#at += count
    this.#lastBytes = bytes
    this.#free = this.#sent
    this.#sent = into
    this.#goOn()
  }

  #failed(): void {
    const t = this.#t
    this.#leave()
    if (this.#lastBytes === 0) {
      this.#resolve('unread')
      return
    }
    t.outcome.error = 'internal'
    t.outcome.errorDetail = 'the stored content could not be read to its end'
    breakOff(t)
    this.#resolve(t.over ? 'done' : 'finish')
  }

  #leave(): void {
    if (this.#over) return
    this.#over = true
    this.#reader.close()
    if (this.#t.serverSide === this) this.#t.serverSide = null
  }
}
