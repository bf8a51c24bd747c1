import type { Bandwidth } from '../../../../comm/bandwidth.ts'
import type { CloseHandler, CloseReason, Connection, ConnectionReader } from '../../../../comm/connection.ts'
import type { Endpoint } from '../../../base/index.ts'
import type { OriginalDestination } from '../../../../comm/nat-lookup/original-destination.ts'
import type { Buckets } from './buckets.ts'
import { leftOf, type Taken, takeFrom } from './pools.ts'

// client_delay_pools and response_delay_pool: a client connection whose output is metered. Whoever writes to it sees what
// he sees of any connection: what there are no tokens for counts as output that waits.
//
//   write ──tokens──► connection
//     └─none─► held ──buckets filled──► connection ──all gone──► reader.onDrain

/** Up to this a piece is copied when it is held: it may lie in a buffer that is read into again. Larger ones never do. */
const copiedMax = 1024 * 1024

export class MeteredConnection implements Connection, ConnectionReader {
  readonly #inner: Connection
  readonly #buckets: Buckets
  /** The client's own. */
  readonly #own: Taken | null
  /** In place of it, while a response is written that has a pool. */
  #response: Taken | null = null
  #reader: ConnectionReader | null = null
  readonly #held: Buffer[] = []
  #heldBytes = 0
  #timeoutMs = 0
  /** The connection itself has to get rid of something first. */
  #full = false
  #atEnd: ((inner: Connection) => void) | null = null
  #stopWaiting: (() => void) | null = null

  constructor(inner: Connection, buckets: Buckets, own: Taken | null) {
    this.#inner = inner
    this.#buckets = buckets
    this.#own = own
  }

  /** What is written from here on is limited by these. */
  meter(response: Taken | null): void {
    this.#response?.giveBack()
    this.#response = response
  }

  get #limits(): readonly Bandwidth[] {
    return (this.#response ?? this.#own)?.limits ?? none
  }

  // ---- as a connection

  get id(): number {
    return this.#inner.id
  }
  get protocol(): 'tcp' | 'udp' {
    return this.#inner.protocol
  }
  get fd(): number {
    return this.#inner.fd
  }
  get peer(): Endpoint {
    return this.#inner.peer
  }
  get local(): Endpoint {
    return this.#inner.local
  }
  get original(): OriginalDestination {
    return this.#inner.original
  }
  get bytesRead(): number {
    return this.#inner.bytesRead
  }
  get bytesWritten(): number {
    return this.#inner.bytesWritten
  }
  get pending(): number {
    return this.#inner.pending + this.#heldBytes
  }
  get closed(): boolean {
    return this.#inner.closed
  }
  get ended(): boolean {
    return this.#inner.ended
  }
  get note(): string {
    return this.#inner.note
  }
  set note(note: string) {
    this.#inner.note = note
  }

  setReader(reader: ConnectionReader): void {
    this.#reader = reader
    this.#inner.setReader(this)
  }

  giveBack(bytes: Buffer): void {
    this.#inner.giveBack(bytes)
  }

  write(a: Buffer | string, b: Buffer | string | null = null, c: Buffer | string | null = null): boolean {
    if (this.#inner.closed || this.#atEnd !== null) return false
    const bytes = a.length + (b?.length ?? 0) + (c?.length ?? 0)
    const left = this.#heldBytes === 0 ? leftOf(this.#limits) : 0
    if (left >= bytes) {
      takeFrom(this.#limits, bytes)
      this.#full = !this.#inner.write(a, b, c)
      return !this.#full
    }
    takeFrom(this.#limits, left)
    let now = left
    for (const part of [a, b, c]) if (part !== null) now -= this.#writeSome(part, now)
    if (!this.#full) this.#wait()
    return false
  }

  /** So much of it now, the rest is held. Answers how much went. */
  #writeSome(part: Buffer | string, now: number): number {
    const whole = typeof part === 'string' ? Buffer.from(part, 'latin1') : part
    const bytes = Math.min(now, whole.length)
    if (bytes > 0) this.#full = !this.#inner.write(whole.subarray(0, bytes))
    if (bytes === whole.length) return bytes
    const rest = whole.subarray(bytes)
    this.#held.push(rest.length <= copiedMax ? Buffer.from(rest) : rest)
    this.#heldBytes += rest.length
    return bytes
  }

  deferRead(): void {
    this.#inner.deferRead()
  }

  resumeRead(): void {
    this.#inner.resumeRead()
  }

  shutdownWrite(): void {
    this.#afterHeld(inner => inner.shutdownWrite())
  }

  setTimeout(delayMs: number): void {
    this.#timeoutMs = delayMs
    this.#inner.setTimeout(delayMs)
  }

  keepAlive(): void {
    this.#inner.keepAlive()
  }

  addCloseHandler(handler: CloseHandler): void {
    this.#inner.addCloseHandler(handler)
  }

  removeCloseHandler(handler: CloseHandler): void {
    this.#inner.removeCloseHandler(handler)
  }

  close(why?: CloseReason): void {
    this.#drop()
    this.#inner.close(why)
  }

  closeAfterFlush(why?: CloseReason): void {
    this.#afterHeld(inner => inner.closeAfterFlush(why))
  }

  resetClose(why?: CloseReason): void {
    this.#drop()
    this.#inner.resetClose(why)
  }

  #afterHeld(end: (inner: Connection) => void): void {
    if (this.#heldBytes === 0) end(this.#inner)
    else this.#atEnd = end
  }

  // ---- as the reader of the connection

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#reader?.onData(this, slab, start, end)
  }

  onEnd(): void {
    this.#reader?.onEnd(this)
  }

  onDrain(): void {
    this.#full = false
    if (this.#heldBytes === 0) this.#reader?.onDrain(this)
    else this.#wait()
  }

  /** While it is we who hold the output back, the client is not slow. */
  onTimeout(): void {
    if (this.#heldBytes > 0 && !this.#full) this.#inner.setTimeout(this.#timeoutMs)
    else this.#reader?.onTimeout(this)
  }

  onClose(_connection: Connection, why: CloseReason): void {
    this.#drop()
    this.#response?.giveBack()
    this.#own?.giveBack()
    this.#reader?.onClose(this, why)
  }

  // ---- the buckets

  #wait(): void {
    this.#stopWaiting ??= this.#buckets.onFilled(() => this.#goOn())
  }

  #rest(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = null
  }

  #goOn(): void {
    if (this.#full) return this.#rest() // onDrain goes on
    let left = Math.min(leftOf(this.#limits), this.#heldBytes)
    if (left === 0) return this.#wait()
    // who has had some goes behind those who have not
    this.#rest()
    takeFrom(this.#limits, left)
    while (left > 0) {
      const first = this.#held[0]
      if (first === undefined) break
      const piece = first.length <= left ? first : first.subarray(0, left)
      if (piece === first) this.#held.shift()
      else this.#held[0] = first.subarray(left)
      left -= piece.length
      this.#heldBytes -= piece.length
      this.#full = !this.#inner.write(piece)
    }
    if (this.#heldBytes > 0) {
      if (!this.#full) this.#wait()
    } else this.#allGone()
  }

  #allGone(): void {
    const atEnd = this.#atEnd
    this.#atEnd = null
    if (atEnd !== null) atEnd(this.#inner)
    else if (!this.#full) this.#reader?.onDrain(this)
  }

  #drop(): void {
    this.#rest()
    this.#held.length = 0
    this.#heldBytes = 0
    this.#atEnd = null
  }
}

const none: readonly Bandwidth[] = []
