import type { Attempt } from '../../comm/index.ts'
import { type Clock, type DurationMs, type MonoMs, ms, ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { Session } from '../service/session.ts'
import type { Chained, Chainer, OriginFetch, OriginHandler, OriginRequest } from './chainer.ts'
import { connectFailure, connectOptions, type Dialer, shuttingDown, type Tries, walkFailure } from './dial.ts'
import type { OriginPool } from './origin-pool/pool.ts'

// Zorp's ConnectChainer with Squid's walk: every route is tried in order until one answers, within forward_timeout and
// forward_max_tries. A target we may not reach, or not with that source address, is one failed try, not the end.

export interface ConnectChainerOptions {
  readonly name?: string
  readonly comm: Dialer
  readonly clock: Clock
  /** Shared by all chainers of the process: its limits are for all of them together. */
  readonly pool: OriginPool
  /** One try. */
  readonly connectTimeout?: DurationMs
  /** All tries. */
  readonly forwardTimeout?: DurationMs
  /** forward_max_tries. */
  readonly triesMax?: number
}

export const usualTries = {
  connectTimeout: ms(60_000),
  forwardTimeout: ms(240_000),
  triesMax: 25,
} as const

export const createConnectChainer = (options: ConnectChainerOptions): Chainer => new ConnectChainer(options)

class ConnectChainer implements Chainer {
  readonly name: string
  readonly #options: ConnectChainerOptions
  readonly #tries: Tries

  constructor(options: ConnectChainerOptions) {
    this.name = options.name ?? 'connect'
    this.#options = options
    this.#tries = {
      connectTimeout: options.connectTimeout ?? usualTries.connectTimeout,
      forwardTimeout: options.forwardTimeout ?? usualTries.forwardTimeout,
      triesMax: options.triesMax ?? usualTries.triesMax,
    }
  }

  connect(session: Session, routes: readonly Route[], signal: AbortSignal): Promise<Chained> {
    if (this.#options.pool.closed) return Promise.reject(shuttingDown())
    return new Promise((resolve, reject) => {
      new Walk(session, routes, this.#options, this.#tries, resolve, reject).start(signal)
    })
  }

  fetch(session: Session, routes: readonly Route[], request: OriginRequest, handler: OriginHandler): OriginFetch {
    return this.#options.pool.fetch(session, routes, request, handler, this.#tries)
  }
}

/** One walk over the routes for a connection that carries no HTTP of ours. */
class Walk {
  readonly #session: Session
  readonly #routes: readonly Route[]
  readonly #options: ConnectChainerOptions
  readonly #tries: Tries
  readonly #resolve: (chained: Chained) => void
  readonly #reject: (error: ProxyError) => void
  readonly #failures: ProxyError[] = []
  readonly #until: MonoMs
  #signal: AbortSignal | null = null
  #attempt: Attempt | null = null
  #attempts = 0

  constructor(
    session: Session,
    routes: readonly Route[],
    options: ConnectChainerOptions,
    tries: Tries,
    resolve: (chained: Chained) => void,
    reject: (error: ProxyError) => void,
  ) {
    this.#session = session
    this.#routes = routes
    this.#options = options
    this.#tries = tries
    this.#resolve = resolve
    this.#reject = reject
    this.#until = (options.clock.mono() + tries.forwardTimeout) as MonoMs
  }

  start(signal: AbortSignal): void {
    if (signal.aborted) return this.#reject(givenUp())
    this.#signal = signal
    signal.addEventListener('abort', this.#aborted, { once: true })
    this.#next()
  }

  readonly #aborted = (): void => {
    this.#attempt?.cancel()
    this.#reject(givenUp())
  }

  #next(): void {
    const route = this.#routes[this.#attempts]
    const left = this.#until - this.#options.clock.mono()
    if (route === undefined || left <= 0 || this.#attempts >= this.#tries.triesMax) {
      this.#signal?.removeEventListener('abort', this.#aborted)
      this.#reject(walkFailure(this.#failures, this.#routes, 'forward_timeout or forward_max_tries ran out'))
      return
    }
    this.#attempts++
    const timeoutMs = Math.min(this.#tries.connectTimeout, left)
    this.#attempt = this.#options.comm.dial(connectOptions(route, 'tunnel'), timeoutMs, (error, connection) => {
      if (connection === null) {
        if (error !== null) this.#failures.push(connectFailure(error, route))
        return this.#next()
      }
      this.#signal?.removeEventListener('abort', this.#aborted)
      this.#session.server = connection.peer
      this.#session.serverLocal = connection.local
      this.#resolve({ connection, route, attempts: this.#attempts })
    })
  }
}

const givenUp = (): ProxyError =>
  new ProxyError('client-aborted', 'nobody waits for the server any more', { side: 'client' })
