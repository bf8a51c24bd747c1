import type { CloseHandler, CloseReason, Connection, ConnectionReader } from '../../comm/index.ts'
import { assert, type Endpoint } from '../base/index.ts'

// Where the client speaks in datagrams and the server in a stream, or the reverse, with the framing DNS has for that: each
// message in a stream has its length before it, in two bytes (RFC 1035 4.2.2, RFC 7766).
//
//   client udp ──datagram──► length + message ──► server tcp        onLengths: datagrams outside, a stream inside
//   client tcp ──length + message──► datagram ──► server udp        onMessages: a stream outside, datagrams inside
//
// The server's connection in other clothes: whoever relays sees the client's kind on both sides.

const lengthBytes = 2
const messageBytesMax = 0xffff
/** For answers to what a stream asked before its end; nobody else would end a flow of datagrams. */
const answersMs = 10_000

/** A stream that is written and read in messages. */
export const onLengths = (server: Connection): Connection => new OnLengths(server)

/** Messages that are written and read as a stream. */
export const onMessages = (server: Connection): Connection => new OnMessages(server)

abstract class Framed implements Connection, ConnectionReader {
  readonly fd = -1
  abstract readonly protocol: 'tcp' | 'udp'
  protected readonly inner: Connection
  protected reader: ConnectionReader | null = null
  /** Bytes of a message that is not whole yet. */
  #partial: Buffer = empty

  constructor(inner: Connection) {
    this.inner = inner
  }

  abstract write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean
  abstract onData(connection: Connection, slab: Buffer, start: number, end: number): void

  get id(): number {
    return this.inner.id
  }

  get peer(): Endpoint {
    return this.inner.peer
  }

  get local(): Endpoint {
    return this.inner.local
  }

  get original(): Connection['original'] {
    return this.inner.original
  }

  get bytesRead(): number {
    return this.inner.bytesRead
  }

  get bytesWritten(): number {
    return this.inner.bytesWritten
  }

  get pending(): number {
    return this.inner.pending
  }

  get closed(): boolean {
    return this.inner.closed
  }

  get ended(): boolean {
    return this.inner.ended
  }

  get note(): string {
    return this.inner.note
  }

  set note(note: string) {
    this.inner.note = note
  }

  setReader(reader: ConnectionReader): void {
    this.reader = reader
    this.inner.setReader(this)
  }

  giveBack(): void {
    assert(false, 'a framed connection has one reader')
  }

  deferRead(): void {
    this.inner.deferRead()
  }

  resumeRead(): void {
    this.inner.resumeRead()
  }

  shutdownWrite(): void {
    this.inner.shutdownWrite()
  }

  setTimeout(delayMs: number): void {
    this.inner.setTimeout(delayMs)
  }

  keepAlive(): void {
    this.inner.keepAlive()
  }

  addCloseHandler(handler: CloseHandler): void {
    this.inner.addCloseHandler(handler)
  }

  removeCloseHandler(handler: CloseHandler): void {
    this.inner.removeCloseHandler(handler)
  }

  close(why?: CloseReason): void {
    this.inner.close(why)
  }

  closeAfterFlush(why?: CloseReason): void {
    this.inner.closeAfterFlush(why)
  }

  resetClose(why?: CloseReason): void {
    this.inner.resetClose(why)
  }

  // --- from the connection inside ---

  onEnd(): void {
    this.reader?.onEnd(this)
  }

  onDrain(): void {
    this.reader?.onDrain(this)
  }

  onTimeout(): void {
    this.reader?.onTimeout(this)
  }

  onClose(_connection: Connection, why: CloseReason): void {
    this.reader?.onClose(this, why)
  }

  // --- messages ---

  /** Each whole message in `bytes` and what was left of those before it. At most one message is kept. */
  protected eachMessage(bytes: Buffer, each: (message: Buffer) => void): void {
    let rest = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes])
    for (;;) {
      if (rest.length < lengthBytes) break
      const end = lengthBytes + rest.readUInt16BE(0)
      if (rest.length < end) break
      each(rest.subarray(lengthBytes, end))
      rest = rest.subarray(end)
    }
    this.#partial = rest.length === 0 ? empty : Buffer.from(rest)
  }
}

const empty = Buffer.alloc(0)

const asBytes = (part: Buffer | string | null | undefined): Buffer =>
  part === null || part === undefined ? empty : typeof part === 'string' ? Buffer.from(part, 'latin1') : part

/** One buffer of its own. */
const joined = (...parts: readonly (Buffer | string | null | undefined)[]): Buffer => Buffer.concat(parts.map(asBytes))

const withLength = (message: Buffer): Buffer => {
  const framed = Buffer.allocUnsafe(lengthBytes + message.length)
  framed.writeUInt16BE(message.length, 0)
  message.copy(framed, lengthBytes)
  return framed
}

class OnLengths extends Framed {
  readonly protocol = 'udp'

  write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean {
    const message = joined(a, b, c)
    // a stream that is full would hold datagrams back, which cannot wait: they are lost, as they may be
    if (message.length <= messageBytesMax && this.inner.pending === 0) this.inner.write(withLength(message))
    return true
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    this.eachMessage(slab.subarray(start, end), message => this.reader?.onData(this, message, 0, message.length))
  }

  /** There are no ends of halves among datagrams: the next one finds a server of its own. */
  override onEnd(): void {
    this.inner.close('done')
  }
}

class OnMessages extends Framed {
  readonly protocol = 'tcp'
  /** The stream has ended, and its answers are waited for. */
  #finished = false

  write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean {
    this.eachMessage(joined(a, b, c), message => void this.inner.write(message))
    return !this.inner.closed
  }

  override shutdownWrite(): void {
    this.#finished = true
    this.inner.setTimeout(answersMs)
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    const message = withLength(slab.subarray(start, end))
    this.reader?.onData(this, message, 0, message.length)
  }

  override onTimeout(): void {
    if (this.#finished) this.reader?.onEnd(this)
    else super.onTimeout()
  }
}
