import type net from 'node:net'
import { Client, type Dispatcher } from 'undici'
import type { Connection } from '../../../comm/index.ts'
import { type Clock, type DurationMs, type MonoMs, ms } from '../../base/index.ts'
import { type Fields, persists, type ResponseHead } from '../../http/index.ts'
import type { ServerSight } from '../../tls/index.ts'
import type { Exchange } from './exchange.ts'
import type { Origin } from './origin.ts'
import type { OutgoingHead } from './head.ts'
import { OriginGone, OriginSocket, type SocketKeeper } from './socket.ts'

// One connection to an origin: comm's connection, the socket undici sees, and the undici Client that speaks on it. A
// Client for each connection rather than a Pool: which connection a request takes, whether it was used before, and when
// it may be used again are ours to know (retries, the exact key, the limits), and it is also the cheapest way through.
//
//   dialled ──► carries an exchange ◄──► idle ──► gone            (gone from any of them)

/** What the connection needs of its pool. */
export interface ConnectionPool {
  readonly limits: ConnectionLimits
  readonly clock: Clock
  /** It carries nothing and may be used again. */
  idle(connection: OriginConnection): void
  gone(connection: OriginConnection): void
  failed(error: unknown, where: string): void
}

export interface ConnectionLimits {
  /** read_timeout: silence of the origin while we wait for it. */
  readonly readTimeout: DurationMs
  /**
   * detect_broken_pconn: silence after which a response is taken for whole whose end nothing but the end of the
   * connection can show, though its head says that the connection is kept. 0 = off.
   */
  readonly brokenPersistence: DurationMs
  /** write_timeout: the origin takes nothing of what we send. */
  readonly writeTimeout: DurationMs
  /** server_idle_pconn_timeout. */
  readonly idleTimeout: DurationMs
  /** pconn_lifetime: an older connection is not kept for another request; Infinity = whatever its age. */
  readonly keptAgeMax: DurationMs
  /** reply_header_max_size. */
  readonly responseHeadBytesMax: number
  /** server_persistent_connections. */
  readonly persistent: boolean
}

export class OriginConnection implements SocketKeeper {
  readonly origin: Origin
  readonly socket: OriginSocket
  /** What its server showed; null = it is in clear text. */
  readonly sight: ServerSight | null
  /** Requests it has carried. */
  used = 0
  exchange: Exchange | null = null
  isGone = false
  timedOutWhile: 'reading' | 'writing' | null = null
  // links of the pool's list of idle connections
  idleBefore: OriginConnection | null = null
  idleBehind: OriginConnection | null = null

  readonly #pool: ConnectionPool
  readonly #client: Client
  readonly #bornAt: MonoMs
  #given = false
  #blocked = false
  /** The answer it carries has no end that could come: see brokenPersistence. */
  #endless = false

  constructor(origin: Origin, connection: Connection, sight: ServerSight | null, pool: ConnectionPool) {
    const { limits } = pool
    this.origin = origin
    this.sight = sight
    this.#pool = pool
    this.#bornAt = pool.clock.mono()
    this.socket = new OriginSocket(connection, this, limits.responseHeadBytesMax)
    this.#client = new Client(anyOrigin, {
      connect: (_options, callback) => this.#giveSocket(callback),
      maxHeaderSize: limits.responseHeadBytesMax,
      // deadlines are comm's: one wheel, and they rest while the client cannot take more
      headersTimeout: 0,
      bodyTimeout: 0,
      // undici closes earlier when the origin announces how long it keeps a connection (Keep-Alive: timeout)
      keepAliveTimeout: limits.idleTimeout + backstopMs,
      keepAliveMaxTimeout: limits.idleTimeout + backstopMs,
      allowH2: false,
    })
    this.#client.on('error' as 'drain', error => pool.failed(error, 'undici')) // its types forget that it emits errors
  }

  get connection(): Connection {
    return this.socket.connection
  }

  /** Gives the exchange to undici; its onRequestStart comes when the request may be written. */
  carry(exchange: Exchange, options: Dispatcher.DispatchOptions): void {
    this.exchange = exchange
    this.used++
    this.connection.setTimeout(this.#pool.limits.readTimeout)
    this.#client.dispatch(options, exchange)
  }

  /** How long it may wait for another request; 0 or less: not at all. */
  get idleMsMax(): number {
    const { idleTimeout, keptAgeMax } = this.#pool.limits
    return Math.min(idleTimeout, keptAgeMax - (this.#pool.clock.mono() - this.#bornAt))
  }

  get paused(): boolean {
    return this.exchange?.paused === true
  }

  /** Will it be closed after a response to `method`? undici keeps none on which a HEAD was sent. */
  closesAfter(method: string): boolean {
    return method === 'HEAD' || !this.#pool.limits.persistent
  }

  /** Called in onRequestStart: undici writes the head next. */
  begin(head: OutgoingHead, early: boolean, method: string): void {
    this.socket.begin(head.text, head.framing, early, method)
  }

  /** The exchange waits for its client, not for the origin. */
  rest(): void {
    if (!this.isGone) this.connection.setTimeout(0)
  }

  /** The origin's turn again. */
  await(): void {
    if (!this.isGone) this.connection.setTimeout(this.#silenceMax)
  }

  pauseReading(): void {
    this.connection.deferRead()
    this.rest()
  }

  resumeReading(go: () => void): void {
    this.socket.resumed(go)
    if (!this.paused) this.connection.resumeRead()
  }

  /** Whatever it carries is given up; the origin may still be sending. */
  drop(why: string): void {
    this.socket.destroy(new OriginGone(why))
  }

  /** Whoever listens to its answer threw: a bug of ours, told by undici like any other end of the exchange. */
  threw(error: unknown): void {
    this.socket.destroy(error instanceof Error ? error : new Error(String(error)))
  }

  /** An idle connection that is not needed any more. */
  close(): void {
    this.socket.destroy()
  }

  // --- from the socket ---

  parsed(): void {
    const exchange = this.exchange
    if (exchange === null) return
    if (!exchange.responseRead) {
      if (!this.isGone) this.#goOn(exchange)
      return
    }
    this.exchange = null
    if (!this.isGone) this.#pool.idle(this)
    exchange.finish()
  }

  gone(): void {
    if (this.isGone) return
    this.isGone = true
    this.#pool.gone(this)
  }

  timedOut(): void {
    if (this.exchange === null) return this.close()
    if (this.#endless && !this.#blocked) return this.#takeForWhole(this.exchange)
    this.timedOutWhile = this.#blocked ? 'writing' : 'reading'
    this.drop('a deadline passed')
  }

  headRead(head: ResponseHead): void {
    this.exchange?.headRead(head)
  }

  contentRead(piece: Buffer): void {
    this.exchange?.contentRead(piece)
  }

  continued(): void {
    this.exchange?.continued()
  }

  blocked(waiting: boolean): void {
    this.#blocked = waiting
    if (this.isGone || this.exchange === null) return
    if (waiting) this.connection.setTimeout(this.#pool.limits.writeTimeout)
    else if (this.exchange.sending) this.rest()
    else this.await()
  }

  /** The head has been read, and says nothing of where its content ends. */
  headWithoutEnd(fields: Fields): void {
    this.#endless = this.#pool.limits.brokenPersistence > 0 && persists(fields, this.socket.answerMinor)
  }

  get #silenceMax(): DurationMs {
    const { readTimeout, brokenPersistence } = this.#pool.limits
    return this.#endless ? ms(Math.min(readTimeout, brokenPersistence)) : readTimeout
  }

  #takeForWhole(exchange: Exchange): void {
    exchange.doubted()
    this.socket.takeEnd()
  }

  #goOn(exchange: Exchange): void {
    if (!exchange.headSeen && this.socket.answerBytes > this.#pool.limits.responseHeadBytesMax) {
      exchange.headTooLarge()
      return
    }
    if (!exchange.paused) this.connection.setTimeout(this.#silenceMax)
  }

  #giveSocket(callback: (...args: [null, net.Socket] | [Error, null]) => void): void {
    // undici asks again when the connection ended before it wrote: the exchange finds another one, undici must not
    if (this.#given || this.socket.destroyed) {
      const error = new OriginGone('the connection ended before the request was sent')
      queueMicrotask(() => callback(error, null))
      return
    }
    this.#given = true
    const socket = this.socket as unknown as net.Socket // it has the members undici's HTTP/1 client uses
    queueMicrotask(() => callback(null, socket)) // not within dispatch: undici would wait for another turn for ever
  }
}

/** Never seen by anybody: the head that goes out is ours. Parsed once. */
const anyOrigin = new URL('http://origin.invalid')

/** undici's own idle timer runs after comm's. */
const backstopMs = 60_000
