import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Attempt, CloseHandler, CloseReason, Connection, ConnectionReader, Tuning } from '../../comm/index.ts'
import { type Endpoint, errnoOf, type Introduction } from '../base/index.ts'
import { ConnectionStream, type StreamKeeper } from './connection-stream.ts'

// TLS over a connection of comm, and itself one: whoever reads and writes it sees clear text and need not know.
//
//   owner ──write──► SecureConnection ──► node:tls ──► ConnectionStream ──► comm's connection
//   owner ◄─reader── SecureConnection ◄── node:tls ◄── ConnectionStream ◄── comm's connection
//
// Deadlines, addresses, close handlers and the descriptor are those of the connection below. Ends: the peer's close_notify is
// its FIN; a FIN without one is a stream that was cut off, and is told as a reset, so that what only the end of a connection
// delimits is not taken for whole (RFC 8446 6.1, RFC 9112 9.8).

/** Begins TLS over the stream; as client or server, with all options. Listeners are added by who calls it. */
export type MakeTls = (stream: Duplex) => TLSSocket

/** One of the two is null. Not before `handshake` has returned, and not at all after cancel. */
export type HandshakeDone = (failure: HandshakeFailure | null, secure: SecureConnection | null) => void

export interface HandshakeFailure {
  /**
   * timeout: `timeoutMs` passed. ended: the other side closed. tls: what one of the two ends said no to. again: what was
   * missing has been found meanwhile, and another connection to the same server is to be made. validator: the program that
   * has the last word does not say it.
   */
  readonly kind: 'timeout' | 'ended' | 'tls' | 'again' | 'validator'
  /** OpenSSL's or Node's code: ERR_SSL_…, ECONNRESET; '' = none. */
  readonly code: string
  readonly message: string
}

/**
 * The handshake. The connection belongs to it from now on; it is closed when the handshake fails or is cancelled. Bytes that
 * were read already (a ClientHello) are given back to the connection before.
 */
export const handshake = (inner: Connection, make: MakeTls, timeoutMs: number, done: HandshakeDone): Attempt => {
  const shaking = new Handshake(inner, done)
  shaking.start(make, timeoutMs)
  return shaking
}

class Handshake implements Attempt, StreamKeeper {
  readonly #inner: Connection
  readonly #stream: ConnectionStream
  readonly #done: HandshakeDone
  #tls: TLSSocket | null = null
  #over = false

  constructor(inner: Connection, done: HandshakeDone) {
    this.#inner = inner
    this.#done = done
    this.#stream = new ConnectionStream(inner, this)
  }

  start(make: MakeTls, timeoutMs: number): void {
    const tls = make(this.#stream)
    this.#tls = tls
    tls.on('error', this.#failed)
    tls.on('_tlsError', this.#failed) // where a server's handshake that failed says so
    tls.once('secure', () => queueMicrotask(this.#shaken)) // 'secureConnect' of a client comes within
    tls.once('end', this.#ended)
    this.#inner.setTimeout(timeoutMs)
    this.#inner.setReader(this.#stream)
  }

  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#drop()
  }

  // --- from the stream ---

  streamEnded(): void {
    this.#ended()
  }

  streamBlocked(): void {}

  streamTimedOut(): void {
    this.#fail({ kind: 'timeout', code: 'ETIMEDOUT', message: 'the TLS handshake took too long' })
  }

  streamClosed(why: CloseReason): void {
    const code = why === 'peer-reset' ? 'ECONNRESET' : ''
    this.#fail({ kind: 'ended', code, message: 'the connection broke in the TLS handshake' })
  }

  // --- from node:tls ---

  readonly #shaken = (): void => {
    const tls = this.#tls
    if (this.#over || tls === null) return
    this.#over = true
    tls.off('error', this.#failed)
    tls.off('_tlsError', this.#failed)
    tls.off('end', this.#ended)
    this.#inner.setTimeout(0)
    this.#done(null, new SecureConnection(this.#inner, this.#stream, tls))
  }

  readonly #failed = (error: Error): void => {
    const code = errnoOf(error)
    const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
    this.#fail({ kind: 'tls', code, message: reason })
  }

  readonly #ended = (): void => {
    this.#fail({ kind: 'ended', code: '', message: 'the connection closed in the TLS handshake' })
  }

  #fail(failure: HandshakeFailure): void {
    if (this.#over) return
    this.#over = true
    this.#tls?.on('error', ignored)
    setImmediate(() => this.#drop()) // an alert leaves before the connection closes
    this.#done(failure, null)
  }

  #drop(): void {
    this.#tls?.destroy()
    this.#inner.close('aborted')
  }
}

/** What comes after the failure that was told. */
const ignored = (): void => {}

/** A reader threw: a bug of ours, which must not end in node:tls. */
export type ReaderFailed = (error: unknown) => void

export class SecureConnection implements Connection, StreamKeeper {
  /** What was negotiated, certificates, sessions. Not to be read, written or ended. */
  readonly tls: TLSSocket
  /** Clear text. */
  bytesRead = 0
  bytesWritten = 0
  /** Told of bugs; whoever owns connections sets it once. */
  static readerFailed: ReaderFailed = error => {
    throw error
  }

  readonly #inner: Connection
  readonly #stream: ConnectionStream
  #reader: ConnectionReader | null = null
  /** Given back by the reader before, or come while nobody could take it. */
  #held: Buffer | null = null
  #deferred = false
  /** close_notify has come, or a FIN without one. */
  #end: 'open' | 'cut' | 'ended' | 'told' = 'open'
  #finWanted = false
  #closing: 'no' | 'now' | 'flushed' | 'done' = 'no'
  #why: CloseReason | null = null
  #drainWanted = false

  constructor(inner: Connection, stream: ConnectionStream, tls: TLSSocket) {
    this.#inner = inner
    this.#stream = stream
    this.tls = tls
    stream.keeper = this
    tls.pause() // a listener for data would begin to read
    tls.on('data', this.#arrived)
    tls.on('end', this.#endArrived)
    tls.on('drain', this.#drained)
    tls.on('finish', this.#finished)
    tls.on('error', this.#broken)
    tls.on('_tlsError', this.#broken)
  }

  get id(): number {
    return this.#inner.id
  }

  get protocol(): 'tcp' {
    return 'tcp'
  }

  /** Nothing may go round TLS to the descriptor. */
  get fd(): number {
    return -1
  }

  get peer(): Endpoint {
    return this.#inner.peer
  }

  get local(): Endpoint {
    return this.#inner.local
  }

  get introduced(): Introduction | null {
    return this.#inner.introduced ?? null
  }

  get original(): Connection['original'] {
    return this.#inner.original
  }

  /** Nothing while onDrain is not to come: what node:tls is at work on goes on its way by itself. */
  get pending(): number {
    return this.#drainWanted ? Math.max(1, this.tls.writableLength + this.#inner.pending) : 0
  }

  get closed(): boolean {
    return this.#closing !== 'no' || this.#inner.closed
  }

  get ended(): boolean {
    return this.#end !== 'open' && this.#end !== 'cut'
  }

  get note(): string {
    return this.#inner.note
  }

  set note(note: string) {
    this.#inner.note = note
  }

  setReader(reader: ConnectionReader): void {
    this.#reader = reader
    this.#read()
  }

  giveBack(bytes: Buffer): void {
    if (this.closed) return
    this.#reader = null
    this.#deferred = false
    this.tls.pause()
    if (bytes.length > 0) this.#held = this.#held === null ? bytes : Buffer.concat([bytes, this.#held])
    if (this.#end === 'told') this.#end = 'ended'
  }

  write(a: Buffer | string, b: Buffer | string | null = null, c: Buffer | string | null = null): boolean {
    if (this.closed || this.#finWanted) return false
    const bytes = this.#output(a, b, c)
    this.bytesWritten += bytes.length
    if (bytes.length === 0 || this.tls.write(bytes)) return !this.#drainWanted
    this.#drainWanted = true
    return false
  }

  inputWaits(): boolean {
    return this.#held !== null || this.tls.readableLength > 0 || this.#inner.inputWaits?.() === true
  }

  deferRead(): void {
    if (this.closed || this.#deferred) return
    this.#deferred = true
    this.tls.pause()
  }

  resumeRead(): void {
    if (this.closed || !this.#deferred) return
    this.#deferred = false
    this.#read()
  }

  /** close_notify, then FIN. */
  shutdownWrite(): void {
    if (this.closed || this.#finWanted) return
    this.#finWanted = true
    this.tls.end()
  }

  setTimeout(delayMs: number): void {
    this.#inner.setTimeout(delayMs)
  }

  keepAlive(): void {
    this.#inner.keepAlive()
  }

  tune(tuning: Tuning): boolean {
    return this.#inner.tune?.(tuning) === true
  }

  addCloseHandler(handler: CloseHandler): void {
    this.#inner.addCloseHandler(handler)
  }

  removeCloseHandler(handler: CloseHandler): void {
    this.#inner.removeCloseHandler(handler)
  }

  /** What was written, and close_notify behind it, leaves unless the connection below has no room for it. */
  close(why: CloseReason = 'done'): void {
    if (this.closed) return
    this.#begin('now', why)
    if (this.#stream.blocked) this.#leave()
  }

  closeAfterFlush(why: CloseReason = 'done'): void {
    if (this.closed) return
    this.#begin('flushed', why)
    this.tls.resume() // what comes is thrown away
  }

  resetClose(why: CloseReason = 'aborted'): void {
    if (this.#closing === 'done' || this.#inner.closed) return
    this.#closing = 'done'
    this.#why ??= why
    this.tls.destroy()
    this.#inner.resetClose(why)
  }

  // --- from the stream ---

  /** What is still in node:tls comes first; a close_notify among it makes this the proper end. */
  streamEnded(): void {
    if (this.#end === 'open') this.#end = 'cut'
    this.#lookForEnd()
  }

  streamBlocked(): void {
    if (this.#closing === 'now') this.#leave()
  }

  streamTimedOut(): void {
    if (!this.closed) this.#tell(reader => reader.onTimeout(this))
    else if (this.#closing !== 'done') this.#leave()
  }

  streamClosed(why: CloseReason): void {
    this.#closing = 'done'
    this.tls.destroy()
    this.#tell(reader => reader.onClose(this, this.#why ?? why))
    this.#reader = null
    this.#held = null
  }

  // --- from node:tls ---

  readonly #arrived = (chunk: Buffer): void => {
    if (this.#closing !== 'no') return
    this.bytesRead += chunk.length
    if (this.#reader !== null && !this.#deferred && this.#held === null) {
      this.#tell(reader => reader.onData(this, chunk, 0, chunk.length))
      return
    }
    this.#held = this.#held === null ? chunk : Buffer.concat([this.#held, chunk])
    this.tls.pause()
  }

  readonly #endArrived = (): void => {
    if (this.#end === 'open' || this.#end === 'cut') this.#end = 'ended'
    this.#tellEnd()
  }

  readonly #drained = (): void => {
    if (!this.#drainWanted) return
    this.#drainWanted = false
    if (this.#closing === 'no') this.#tell(reader => reader.onDrain(this))
  }

  /** close_notify is out. */
  readonly #finished = (): void => {
    if (this.#closing === 'now' || this.#closing === 'flushed') this.#leave()
  }

  /** A record that could not be read, or an alert. */
  readonly #broken = (): void => this.resetClose('read-error')

  // --- between ---

  /** One buffer for small parts, which makes one record of them. A view of a slab is copied where it would have to wait. */
  #output(a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): Buffer {
    const busy = this.tls.writableLength > 0
    if (b === null && c === null) return typeof a === 'string' ? Buffer.from(a, 'latin1') : busy ? Buffer.from(a) : a
    const parts: Buffer[] = []
    for (const part of [a, b, c]) if (part !== null) parts.push(typeof part === 'string' ? Buffer.from(part, 'latin1') : part)
    return Buffer.concat(parts)
  }

  /** The reader can take more. */
  #read(): void {
    if (this.#reader === null || this.#deferred || this.closed) return
    if (this.#held !== null || this.#end === 'ended') queueMicrotask(this.#tellHeld)
    else {
      this.tls.resume()
      this.#lookForEnd()
    }
  }

  readonly #tellHeld = (): void => {
    if (this.#reader === null || this.#deferred || this.closed) return
    const held = this.#held
    this.#held = null
    if (held !== null) this.#tell(reader => reader.onData(this, held, 0, held.length))
    if (this.#end === 'ended') this.#tellEnd()
    else this.#read()
  }

  #tellEnd(): void {
    if (this.#end !== 'ended' || this.#reader === null || this.#deferred || this.#held !== null || this.closed) return
    this.#end = 'told'
    this.#tell(reader => reader.onEnd(this))
  }

  /** After a FIN: node:tls says its own end within a turn once everything was read; if it does not, there was none. */
  #lookForEnd(): void {
    if (this.#end !== 'cut') return
    setImmediate(() => {
      if (this.#end !== 'cut' || this.#deferred || this.#reader === null || this.closed) return
      if (this.tls.readableLength > 0 || this.#held !== null) this.#lookForEnd()
      else this.resetClose('peer-reset')
    })
  }

  #begin(how: 'now' | 'flushed', why: CloseReason): void {
    this.#closing = how
    this.#why = why
    if (this.tls.writableFinished) this.#leave()
    else if (!this.#finWanted) this.tls.end()
  }

  #leave(): void {
    const flushed = this.#closing === 'flushed'
    this.#closing = 'done'
    this.tls.destroy()
    if (flushed) this.#inner.closeAfterFlush(this.#why ?? 'done')
    else this.#inner.close(this.#why ?? 'done')
  }

  #tell(what: (reader: ConnectionReader) => void): void {
    if (this.#reader === null) return
    try {
      what(this.#reader)
    } catch (error) {
      this.resetClose('handler-failed')
      SecureConnection.readerFailed(error)
    }
  }
}
