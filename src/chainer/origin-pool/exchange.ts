import type { Dispatcher } from 'undici'
import type { Attempt } from '../../../comm/index.ts'
import { assert, type MonoMs, ProxyError, type Watched } from '../../base/index.ts'
import { Fields, type ResponseHead } from '../../http/index.ts'
import type { Route } from '../../router/router.ts'
import type { Session } from '../../service/session.ts'
import type { ServerSight } from '../../tls/index.ts'
import type { Course } from '../course.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../chainer.ts'
import { type Tries, walkFailure } from '../dial.ts'
import type { OriginConnection } from './connection.ts'
import { ContentSource, type ContentUser } from './content.ts'
import { distrust } from '../secure.ts'
import { exchangeFailure, headOverflow } from './failure.ts'
import { type OutgoingHead, outgoingHead } from './head.ts'
import { noPairs, reasonText, textPairs } from './pairs.ts'
import type { OriginPool } from './pool.ts'
import { parserBusy } from './socket.ts'

// One request with its response, over as many connections as it takes to get one.
//
//   next route ──► idle connection, dial, or a place in the line ──► carried ──► head ──► content ──► end
//       ▲                    │ dial failed                              │ the connection had been used, and ended before
//       └────────────────────┘                                          │ a byte of an answer (RFC 9110 9.2.2)
//       ▲                                                               ▼
//       └──────────────────────── the same route, a fresh connection ───┘

export class Exchange implements OriginFetch, Watched, ContentUser, Dispatcher.DispatchHandler {
  attempts = 0
  /** The whole response has been read; undici may still be deciding whether the connection can be kept. */
  responseRead = false
  headSeen = false
  /** The handler cannot take more for now. */
  paused = false
  /** Content is on its way from the client through us. */
  sending = false

  // kept by the pool: the dial in progress, and the place in the line
  dial: Attempt | null = null
  waitsFor: string | null = null
  waitsBehind: Exchange | null = null
  waitsBefore: Exchange | null = null
  // kept by the wheel
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null

  readonly #pool: OriginPool
  readonly #session: Session
  readonly #course: Course
  readonly #request: OriginRequest
  readonly #handler: OriginHandler
  readonly #tries: Tries
  readonly #until: MonoMs
  #freshOnly = false
  #failures: ProxyError[] | null = null
  #connection: OriginConnection | null = null
  #reused = false
  #head: OutgoingHead | null = null
  #content: ContentSource | null = null
  #controller: Dispatcher.DispatchController | null = null
  #sent = false
  #contentAsked = false
  #tooLarge = false
  /** undici is not shown this answer. */
  #readByUs = false
  #trailers: readonly string[] = noPairs
  #starting = false
  #over = false

  constructor(
    pool: OriginPool,
    session: Session,
    course: Course,
    request: OriginRequest,
    handler: OriginHandler,
    tries: Tries,
    denied: readonly ProxyError[],
  ) {
    this.#pool = pool
    this.#session = session
    this.#course = course
    this.#request = request
    this.#handler = handler
    this.#tries = tries
    if (denied.length > 0) this.#failures = [...denied]
    this.#until = (pool.clock.mono() + tries.forwardTimeout) as MonoMs
  }

  start(): void {
    this.#starting = true
    this.#next()
    this.#starting = false
  }

  // --- for the owner ---

  resume(): void {
    if (!this.paused || this.#over) return
    this.paused = false
    const connection = this.#connection
    const controller = this.#controller
    if (connection === null || controller === null) return
    if (parserBusy()) queueMicrotask(() => this.#resumeLater(connection, controller))
    else connection.resumeReading(() => controller.resume())
  }

  abort(): void {
    if (this.#over) return
    this.#close()
    this.#pool.forget(this)
    this.#connection?.drop('given up')
  }

  // --- from the pool ---

  get route(): Route {
    const { route } = this.#course
    assert(route !== null, 'a connection is asked for while there is a route')
    return route
  }

  /** The request is whole: nothing keeps its first bytes from leaving when a connection stands. */
  get writesFirst(): boolean {
    const { content } = this.#request
    return content === null || Buffer.isBuffer(content)
  }

  /**
   * May it take a connection that was used before? One that could not be sent again gets a connection of its own, since
   * the origin may be closing the kept one at this moment (Squid's server_pconn_for_nonretriable).
   */
  get mayReuse(): boolean {
    const { content, idempotent, keptWillDo } = this.#request
    if (this.route.tie !== undefined) return !this.#freshOnly // elsewhere the request would mean nothing
    return !this.#freshOnly && (keptWillDo === true || (idempotent && (content === null || Buffer.isBuffer(content))))
  }

  /** For one dial: what is left of forward_timeout, but no more than connect_timeout. */
  get dialTimeoutMs(): number {
    return Math.max(1, Math.min(this.#tries.connectTimeout, this.#until - this.#pool.clock.mono()))
  }

  get connectRetries(): number {
    return this.#tries.connectRetries
  }

  get waitTimeoutMs(): number {
    return Math.max(1, this.#until - this.#pool.clock.mono())
  }

  carriedBy(connection: OriginConnection, reused: boolean): void {
    if (reused) this.attempts++
    this.#connection = connection
    this.#reused = reused
    const { peer, local } = connection.connection
    this.#session.server = peer
    this.#session.serverLocal = local
    this.#sent = false
    const distrusted = connection.sight === null ? null : this.#distrusted(connection.sight)
    if (distrusted !== null) return this.#refuse(connection, distrusted)
    if (!reused) {
      this.#course.reached()
      const { keepalive, receiveBytes } = this.#tries
      if (keepalive) connection.connection.keepAlive()
      if (receiveBytes > 0) connection.connection.tune?.({ receiveBytes })
    }
    try {
      this.#head = outgoingHead(this.#request, connection.closesAfter(this.#request.method))
      this.#handler.onConnected(peer, local, this.route, reused)
    } catch (error) {
      connection.drop('its request cannot be sent')
      this.#pool.failed(error, 'a request to an origin')
      this.fail(new ProxyError('internal', 'the request cannot be sent', { cause: error }))
      return
    }
    if (this.#over) return connection.drop('given up')
    connection.carry(this, this.#dispatchOptions(this.#head))
  }

  dialled(): void {
    this.attempts++
  }

  /** This route will not do; the next may. */
  routeFailed(error: ProxyError): void {
    this.#failures ??= []
    this.#failures.push(error)
    this.#course.failed(error)
    this.#freshOnly = false
    this.#next()
  }

  /** What was wrong has been put right: the same route. */
  routeAgain(): void {
    if (!this.#over) this.#next()
  }

  fail(error: ProxyError): void {
    if (this.#over) return
    this.#close()
    if (this.#starting) queueMicrotask(() => this.#tell(error))
    else this.#tell(error)
  }

  // --- from the connection ---

  continued(): void {
    this.#content?.open()
  }

  headRead(head: ResponseHead): void {
    this.headSeen = true
    this.#readByUs = true
    if (this.#over) return
    try {
      this.#handler.onHead(head.status, head.reason, head.fields)
    } catch (error) {
      this.#connection?.threw(error)
    }
  }

  contentRead(piece: Buffer): void {
    try {
      if (this.#over || this.#handler.onData(piece) || this.#over) return
    } catch (error) {
      this.#connection?.threw(error)
      return
    }
    this.paused = true
    this.#connection?.pauseReading()
  }

  /** What has come is taken for all there is. */
  doubted(): void {
    this.#pool.counters.endsAssumed++
    if (!this.#over) this.#handler.onDoubt?.()
  }

  headTooLarge(): void {
    this.#tooLarge = true
    this.#connection?.drop('its head has no end')
  }

  /** The parser's turn is over and the connection free: the owner may start its next request from here. */
  finish(): void {
    if (this.#over) return
    this.#close()
    try {
      this.#handler.onEnd(this.#trailers)
    } catch (error) {
      this.#pool.failed(error, 'onEnd of an origin handler')
    }
  }

  // --- from the wheel ---

  deadlinePassed(): void {
    if (this.waitsFor === null) {
      // RFC 9110 10.1.1: a client does not wait for a 100 indefinitely
      this.#content?.open()
      return
    }
    this.#pool.forget(this)
    this.fail(new ProxyError('overload', `no connection to ${this.waitsFor} became free within forward_timeout`))
  }

  // --- from the content ---

  contentAsked(): void {
    this.#contentAsked = true
    this.sending = true
    this.#connection?.rest()
  }

  // --- from undici ---

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const connection = this.#connection
    const head = this.#head
    assert(connection !== null && head !== null, 'a request is written on a connection, with a head')
    this.#controller = controller
    this.#sent = true
    connection.begin(head, this.#content !== null, this.#request.method)
    if (this.#content !== null && head.expectsContinue) {
      this.#pool.deadlines.set(this, this.#pool.limits.continueTimeout)
    }
  }

  onRequestSent(): void {
    // undici writes nothing behind content whose length it was told; an empty one it still has to begin
    if (this.#request.extraLine === true && this.#head?.framing === 'length' && knownLength(this.#request) > 0) this.#connection?.socket.addLine()
    if (!this.sending) return
    this.sending = false
    this.#connection?.await()
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _fields: unknown, reason?: string): void {
    if (this.#over || this.#readByUs) return
    const pairs = textPairs(controller.rawHeaders)
    if (status < 200) {
      this.#handler.onInterim(status, pairs)
      return
    }
    this.headSeen = true
    const fields = Fields.from(pairs)
    if (untilClose(this.#request.method, status, fields)) this.#connection?.headWithoutEnd(fields)
    this.#handler.onHead(status, reasonText(reason ?? ''), fields)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // its parser, resumed with nothing to read, says so by an empty piece; "stop" for that would be for ever
    if (chunk.length === 0 || this.#over || this.#handler.onData(chunk) || this.#over) return
    this.paused = true
    controller.pause()
    this.#connection?.pauseReading()
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#trailers = textPairs(controller.rawTrailers)
    this.responseRead = true
  }

  onResponseError(_controller: unknown, error: Error): void {
    const connection = this.#connection
    if (this.#over || connection === null) return
    this.#connection = null
    connection.exchange = null
    const failure = this.#tooLarge ? headOverflow() : exchangeFailure(error, connection, this)
    const neverSent = !this.#sent && connection.isGone
    const again = this.#reused && (neverSent || this.#mayBeSentAgain(connection))
    // undici does not close it in every case, and the origin may be in the middle of something
    if (!connection.isGone) connection.drop('its exchange failed')
    if (failure.code === 'internal') this.#pool.failed(error, 'an exchange with an origin')
    if (again) this.#onceMore(failure)
    else if (neverSent) this.routeFailed(failure)
    else this.fail(failure)
  }

  // --- between ---

  #distrusted(sight: ServerSight): ProxyError | null {
    const { tls } = this.route
    return tls === undefined ? null : distrust(tls, sight)
  }

  /** Nothing of the request has left, and nothing will. Others may tolerate what is wrong with that server. */
  #refuse(connection: OriginConnection, error: ProxyError): void {
    this.#pool.counters.distrusted++
    this.#connection = null
    connection.close()
    this.fail(error)
  }

  #next(): void {
    if (this.#course.route === null || this.attempts >= this.#tries.triesMax) return this.#giveUp()
    if (this.#pool.clock.mono() >= this.#until) return this.#giveUp()
    this.#pool.connectionFor(this)
  }

  #giveUp(): void {
    this.fail(walkFailure(this.#failures ?? [], this.#course.route, 'forward_timeout or forward_max_tries ran out'))
  }

  /** RFC 9110 9.2.2; and an answer, however short, is an answer. */
  #mayBeSentAgain(connection: OriginConnection): boolean {
    return (
      this.#reused &&
      this.#request.idempotent &&
      !this.#contentAsked &&
      !this.headSeen &&
      connection.socket.peerLeft !== null &&
      connection.socket.answerBytes === 0
    )
  }

  #onceMore(failure: ProxyError): void {
    this.#pool.counters.retries++
    this.#failures ??= []
    this.#failures.push(failure)
    this.#freshOnly = true
    this.#controller = null
    this.#next()
  }

  #dispatchOptions(head: OutgoingHead): Dispatcher.DispatchOptions {
    const { method, content, contentLength } = this.#request
    const streamed = content !== null && !Buffer.isBuffer(content)
    this.#content = streamed ? new ContentSource(content, this, head.expectsContinue) : null
    const options: Dispatcher.DispatchOptions = {
      path: '/',
      method,
      // undici pumps an iterable, whatever its types say of bodies
      body: (this.#content ?? content) as Buffer | null,
      headers: streamed && contentLength !== undefined ? ['content-length', String(contentLength)] : null,
    }
    if (!this.#pool.limits.persistent) options.reset = true
    return options
  }

  #resumeLater(connection: OriginConnection, controller: Dispatcher.DispatchController): void {
    if (this.#over || this.paused) return
    connection.resumeReading(() => controller.resume())
  }

  #tell(error: ProxyError): void {
    try {
      this.#handler.onError(error)
    } catch (thrown) {
      this.#pool.failed(thrown, 'onError of an origin handler')
    }
  }

  #close(): void {
    this.#over = true
    this.#content?.stop()
    if (this.deadlineTurn !== 0) this.#pool.deadlines.forget(this)
  }
}

const knownLength = ({ content, contentLength }: OriginRequest): number => (Buffer.isBuffer(content) ? content.length : (contentLength ?? 0))

/** RFC 9112 6.3, the last case. */
const untilClose = (method: string, status: number, fields: Fields): boolean =>
  method !== 'HEAD' && status !== 204 && status !== 304 && !fields.has('content-length') && !fields.has('transfer-encoding')
