import type { Attempt } from '../../comm/index.ts'
import { type Clock, type DurationMs, type GiveUpSignal, ms, ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { Session } from '../service/session.ts'
import type { ServerSight } from '../tls/index.ts'
import { Beside, type BesideRules } from './beside.ts'
import type { Chained, ChainedDone, Chainer, OriginFetch, OriginHandler, OriginRequest } from './chainer.ts'
import { inOrder, type Plan } from './course.ts'
import { type Dialer, shuttingDown, type Tries } from './dial.ts'
import { onLengths, onMessages } from './framing.ts'
import type { OriginPool } from './origin-pool/pool.ts'
import { allowedRoutes, noServerPolicy, type ServerPolicy } from './server-policy.ts'
import { Walk } from './walk.ts'

// The chainers that connect themselves: what the router found goes through the service's policy (NAT, zones), a plan
// makes a course of what is left, and the course is walked, by a connection of its own or by the origin pool, within
// forward_timeout and forward_max_tries. A target we may not reach, or not with that source address, is one failed try,
// not the end.
//
//   routes ──► policy ──► plan ──► course ──► walk | pool ──► server

export interface ConnectChainerOptions {
  readonly name?: string
  readonly comm: Dialer
  readonly clock: Clock
  /** Shared by all chainers of the process: its limits are for all of them together. */
  readonly pool: OriginPool
  /** Which target is tried when; all, in the router's order, unless told. */
  readonly plan?: Plan
  readonly policy?: ServerPolicy
  /** One try. */
  readonly connectTimeout?: DurationMs
  /** All tries. */
  readonly forwardTimeout?: DurationMs
  /** forward_max_tries. */
  readonly triesMax?: number
  /** connect_retries. */
  readonly connectRetries?: number
  /** SO_RCVBUF of connections to servers; 0 = the system's. */
  readonly receiveBytes?: number
  /** Servers that are silent are asked by the kernel whether they are still there. */
  readonly keepalive?: boolean
  /** Shared by all chainers; without it each has the usual limits for itself. */
  readonly beside?: BesideRules
  /** Towards servers; auto: the client's. */
  readonly protocol?: 'auto' | 'tcp' | 'udp'
  /** Where that is another than the client's: how messages are told apart in a stream. */
  readonly framing?: 'none' | 'dns'
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
  readonly #plan: Plan
  readonly #policy: ServerPolicy

  constructor(options: ConnectChainerOptions) {
    this.name = options.name ?? 'connect'
    this.#options = options
    this.#plan = options.plan ?? inOrder
    this.#policy = options.policy ?? noServerPolicy
    this.#tries = {
      connectTimeout: options.connectTimeout ?? usualTries.connectTimeout,
      forwardTimeout: options.forwardTimeout ?? usualTries.forwardTimeout,
      triesMax: options.triesMax ?? usualTries.triesMax,
      keepalive: options.keepalive ?? false,
      connectRetries: options.connectRetries ?? 0,
      receiveBytes: options.receiveBytes ?? 0,
      beside: options.beside ?? new Beside(options.clock),
    }
  }

  dial(session: Session, routes: readonly Route[], done: ChainedDone): Attempt {
    if (this.#options.pool.closed) return failedSoon(shuttingDown(), done)
    const { routes: allowed, denied } = allowedRoutes(this.#policy, session, routes)
    const protocol = this.#protocolFor(session)
    const walk = new Walk(session, this.#plan(allowed, protocol), denied, this.#options, this.#tries, protocol, this.#framing(session, done))
    walk.start()
    return walk
  }

  connect(session: Session, routes: readonly Route[], signal: GiveUpSignal): Promise<Chained> {
    return promised(done => this.dial(session, routes, done), signal)
  }

  keep({ connection, route }: Chained, sight: ServerSight): void {
    this.#options.pool.adopt(route, connection, sight)
  }

  #protocolFor(session: Session): 'tcp' | 'udp' {
    const { protocol = 'auto' } = this.#options
    return protocol === 'auto' ? session.client.protocol : protocol
  }

  #framing(session: Session, done: ChainedDone): ChainedDone {
    if (this.#options.framing !== 'dns') return done
    return (error, chained) => done(error, chained === null ? null : framed(session, chained))
  }

  fetch(session: Session, routes: readonly Route[], request: OriginRequest, handler: OriginHandler): OriginFetch {
    const { routes: allowed, denied } = allowedRoutes(this.#policy, session, routes)
    return this.#options.pool.fetch(session, this.#plan(allowed, 'tcp'), request, handler, this.#tries, denied)
  }
}

const framed = (session: Session, chained: Chained): Chained => {
  const { connection } = chained
  if (connection.protocol === session.client.protocol) return chained
  return { ...chained, connection: connection.protocol === 'tcp' ? onLengths(connection) : onMessages(connection) }
}

const failedSoon = (error: ProxyError, done: ChainedDone): Attempt => {
  let cancelled = false
  queueMicrotask(() => {
    if (!cancelled) done(error, null)
  })
  return {
    cancel() {
      cancelled = true
    },
  }
}

/** For those who wait: tunnels, and whoever is written with promises. */
export const promised = (dial: (done: ChainedDone) => Attempt, signal: GiveUpSignal): Promise<Chained> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(givenUp())
    const attempt = dial((error, chained) => {
      signal.removeEventListener('abort', aborted)
      if (chained === null) reject(error ?? givenUp())
      else resolve(chained)
    })
    const aborted = (): void => {
      attempt.cancel()
      reject(givenUp())
    }
    signal.addEventListener('abort', aborted, { once: true })
  })

const givenUp = (): ProxyError =>
  new ProxyError('client-aborted', 'nobody waits for the server any more', { side: 'client' })
