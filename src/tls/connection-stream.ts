import { Duplex } from 'node:stream'
import type { CloseReason, Connection, ConnectionReader } from '../../comm/index.ts'

// A connection of comm in the shape of the stream node:tls speaks over.
//
//   node:tls ──► write ──► connection.write ──false──► the next write waits for onDrain
//   node:tls ◄── push, a copy of the slab ◄── onData ──full──► deferRead ... read ──► resumeRead

/** Hears what is not the stream's business. */
export interface StreamKeeper {
  /** The peer's FIN. Nothing more can come, whether TLS was ended before it or not. */
  streamEnded(): void
  /** The connection takes no more for now. */
  streamBlocked(): void
  streamTimedOut(): void
  /** The connection's last word. */
  streamClosed(why: CloseReason): void
}

export class ConnectionStream extends Duplex implements ConnectionReader {
  /** Another one may take over: the handshake, then the connection. */
  keeper: StreamKeeper
  readonly #connection: Connection
  /** The write that waits for room. */
  #written: ((error?: Error | null) => void) | null = null

  constructor(connection: Connection, keeper: StreamKeeper) {
    super({ allowHalfOpen: true, autoDestroy: false, emitClose: false })
    this.#connection = connection
    this.keeper = keeper
  }

  /** A write waits for room. */
  get blocked(): boolean {
    return this.#written !== null
  }

  // --- from node:tls ---

  override _read(): void {
    this.#connection.resumeRead()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#goOn(this.#connection.write(chunk), done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    let all = true
    for (const { chunk } of chunks) all = this.#connection.write(chunk)
    this.#goOn(all, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.shutdownWrite()
    done()
  }

  // --- from comm ---

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.destroyed) return
    if (!this.push(Buffer.from(slab.subarray(start, end)))) this.#connection.deferRead()
  }

  onEnd(): void {
    this.keeper.streamEnded()
  }

  onDrain(): void {
    const written = this.#written
    this.#written = null
    written?.()
  }

  onTimeout(): void {
    this.keeper.streamTimedOut()
  }

  onClose(_connection: Connection, why: CloseReason): void {
    this.keeper.streamClosed(why)
  }

  #goOn(all: boolean, done: (error?: Error | null) => void): void {
    // on a closed connection nothing waits for room; its end is told by onClose
    if (all || this.#connection.closed) return done()
    this.#written = done
    this.keeper.streamBlocked()
  }
}
