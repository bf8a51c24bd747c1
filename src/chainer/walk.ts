import type { Attempt, CommError, ConnectDone, Connection } from '../../comm/index.ts'
import { type Clock, type MonoMs, ProxyError, type Timer } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { Session } from '../service/session.ts'
import type { ChainedDone } from './chainer.ts'
import type { Course } from './course.ts'
import type { TlsTarget } from '../tls/index.ts'
import { connectFailure, dialAgain, type Dialer, dialRoute, shuttingDown, type Tries, walkFailure } from './dial.ts'
import { distrust, secureRoute } from './secure.ts'

// One walk over a course for a connection that carries no HTTP of ours.
//
//   next ──► dial ──► connected: handed over
//     ▲       │ failed
//     └───────┘
//
// A server with addresses of both families must not cost connect_timeout when one of them leads nowhere (RFC 8305): when
// a dial has not answered within a quarter of a second and the next target is another address of the same server, that
// one is dialled beside it (beside.ts). Who connects first wins.

export interface WalkParts {
  readonly comm: Dialer
  readonly clock: Clock
}

interface Dialling {
  readonly route: Route
  attempt: Attempt | null
}

export class Walk implements Attempt {
  readonly #session: Session
  readonly #course: Course
  readonly #parts: WalkParts
  readonly #tries: Tries
  readonly #protocol: 'tcp' | 'udp'
  readonly #done: ChainedDone
  #failures: readonly ProxyError[]
  readonly #until: MonoMs
  readonly #dialling: Dialling[] = []
  #beside: Timer | null = null
  /** One was begun beside another. */
  #isBeside = false
  #attempts = 0
  #over = false
  #cancelled = false

  constructor(
    session: Session,
    course: Course,
    denied: readonly ProxyError[],
    parts: WalkParts,
    tries: Tries,
    protocol: 'tcp' | 'udp',
    done: ChainedDone,
  ) {
    this.#session = session
    this.#course = course
    this.#failures = denied
    this.#parts = parts
    this.#tries = tries
    this.#protocol = protocol
    this.#done = done
    this.#until = (parts.clock.mono() + tries.forwardTimeout) as MonoMs
  }

  start(): void {
    this.#next(this.#tries.forwardTimeout)
  }

  cancel(): void {
    this.#cancelled = true
    this.#end()
  }

  #next(left: number): void {
    const { route } = this.#course
    if (route === null || left <= 0 || this.#attempts >= this.#tries.triesMax) {
      if (this.#dialling.length > 0) return // one is still under way
      return this.#failed(walkFailure(this.#failures, route, 'forward_timeout or forward_max_tries ran out'))
    }
    this.#attempts++
    const dialling: Dialling = { route, attempt: null }
    this.#dialling.push(dialling)
    const timeoutMs = Math.min(this.#tries.connectTimeout, left)
    const protocol = this.#protocol
    const { client } = this.#session
    // what the client has said already is the first thing the server gets
    const writesFirst = route.tls !== undefined || (protocol === 'tcp' && client.protocol === 'tcp' && client.inputWaits?.() === true)
    const done = (error: CommError | null, connection: Connection | null): void => this.#answered(dialling, error, connection)
    const dial = (leftMs: number, answered: ConnectDone): Attempt => dialRoute(this.#parts.comm, route, 'tunnel', leftMs, writesFirst, answered, protocol)
    dialling.attempt = dialAgain(this.#parts.clock, this.#tries.connectRetries, timeoutMs, dial, done)
    if (this.#mayDialBeside(route)) this.#beside ??= this.#parts.clock.after(this.#tries.beside.after, () => this.#dialBeside())
  }

  #answered(dialling: Dialling, error: CommError | null, connection: Connection | null): void {
    const { route } = dialling
    this.#dialling.splice(this.#dialling.indexOf(dialling), 1)
    this.#endBeside()
    if (connection !== null) return route.tls === undefined ? this.#connected(route, connection) : this.#secure(dialling, connection, route.tls)
    this.#routeFailed(route, error === null ? shuttingDown() : connectFailure(error, route))
  }

  #routeFailed(route: Route, failure: ProxyError): void {
    this.#failures = [...this.#failures, failure]
    if (this.#course.route === route) this.#course.failed(failure)
    else if (this.#dialling.length > 0) return // the other one goes on, and is the course's present
    this.#cancelBeside()
    this.#next(this.#until - this.#parts.clock.mono())
  }

  #secure(dialling: Dialling, connection: Connection, tls: TlsTarget): void {
    const { route } = dialling
    this.#dialling.push(dialling)
    const left = this.#until - this.#parts.clock.mono()
    const timeoutMs = Math.max(1, Math.min(this.#tries.connectTimeout, left))
    dialling.attempt = secureRoute(connection, tls, route, timeoutMs, (error, secured) => {
      this.#dialling.splice(this.#dialling.indexOf(dialling), 1)
      if (secured === null) return error === null ? this.#next(this.#until - this.#parts.clock.mono()) : this.#routeFailed(route, error)
      const distrusted = distrust(tls, secured.sight)
      if (distrusted === null) return this.#connected(route, secured.connection)
      secured.connection.close('refused')
      this.#failed(distrusted)
    })
  }

  /** The next address of the same server, if that is what comes next. */
  #dialBeside(): void {
    this.#beside = null
    const present = this.#dialling[0]
    if (present === undefined || this.#dialling.length > 1 || this.#course.route !== present.route) return
    if (!this.#tries.beside.begin()) return
    this.#isBeside = true
    this.#course.failed(tooSlow())
    this.#next(this.#until - this.#parts.clock.mono())
  }

  #mayDialBeside({ target }: Route): boolean {
    const next = this.#course.after
    return next?.sameServer === true && next.target.family !== target.family
  }

  #connected(route: Route, connection: Connection): void {
    if (this.#course.route === route) this.#course.reached()
    if (this.#tries.keepalive) connection.keepAlive()
    if (this.#tries.receiveBytes > 0) connection.tune?.({ receiveBytes: this.#tries.receiveBytes })
    const attempts = this.#attempts
    this.#end()
    this.#session.server = connection.peer
    this.#session.serverLocal = connection.local
    const course = this.#course
    const remembers = this.#protocol === 'udp' && course.unanswered !== undefined
    this.#done(null, { connection, route, attempts, unanswered: remembers ? () => course.unanswered?.(route) : undefined })
  }

  /** With no target to try this is known at once, and told later all the same. */
  #failed(error: ProxyError): void {
    this.#end()
    if (this.#attempts > 0) return this.#done(error, null)
    queueMicrotask(() => {
      if (!this.#cancelled) this.#done(error, null)
    })
  }

  #endBeside(): void {
    if (this.#isBeside) this.#tries.beside.ended()
    this.#isBeside = false
  }

  #cancelBeside(): void {
    this.#beside?.cancel()
    this.#beside = null
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#cancelBeside()
    this.#endBeside()
    for (const { attempt } of this.#dialling.splice(0)) attempt?.cancel()
  }
}

/** Not a failure of the target: it may yet win. */
const tooSlow = (): ProxyError => new ProxyError('overload', 'another address of the same server is tried beside it')
