import {
  type Clock,
  Deadlines,
  type DurationMs,
  declareCounters,
  endpointText,
  ms,
  ProxyError,
  type Timer,
} from '../../base/index.ts'
import type { Attempt, ConnectDone } from '../../../comm/index.ts'
import type { Session } from '../../service/session.ts'
import type { Course } from '../course.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../chainer.ts'
import type { Connection } from '../../../comm/index.ts'
import type { Route } from '../../router/router.ts'
import type { ServerSight, TlsTarget } from '../../tls/index.ts'
import { connectFailure, dialAgain, dialRoute, type Dialer, shuttingDown, type Tries } from '../dial.ts'
import { secureRoute } from '../secure.ts'
import { type ConnectionLimits, type ConnectionPool, OriginConnection } from './connection.ts'
import { Exchange } from './exchange.ts'
import { originKey } from './key.ts'
import { loadParser } from './load-parser.ts'
import { IdleList, Origin } from './origin.ts'

// Connections to origins, kept while they may be needed again.
//
//   key ──► Origin: connections, the idle ones (last used on top), those who wait
//   all ──► IdleList (longest idle first): who goes when somebody else needs the place
//
// Three limits: connections in all, connections per key, requests that wait. Forged pools are many and cold (idle
// sockets × clients), so an idle connection gives way to any request that needs its place.

export interface OriginLimits extends ConnectionLimits {
  /** In all, dials included. */
  readonly connectionsMax: number
  readonly connectionsPerKeyMax: number
  /** Requests without a connection, in all. */
  readonly waitingMax: number
  /** How long content waits for the 100 it was announced with. */
  readonly continueTimeout: DurationMs
}

export const usualOriginLimits: OriginLimits = {
  connectionsMax: 8192,
  connectionsPerKeyMax: 256,
  waitingMax: 8192,
  readTimeout: ms(15 * 60_000),
  brokenPersistence: ms(0),
  writeTimeout: ms(15 * 60_000),
  idleTimeout: ms(60_000),
  keptAgeMax: ms(Number.POSITIVE_INFINITY),
  continueTimeout: ms(1000),
  responseHeadBytesMax: 65_536,
  persistent: true,
}

export interface OriginPoolOptions {
  readonly comm: Dialer
  readonly clock: Clock
  readonly limits?: Partial<OriginLimits>
  /** A handler threw where nobody else can hear it. */
  readonly failed?: (error: unknown, where: string) => void
}

export const createOriginPool = (options: OriginPoolOptions): OriginPool => new OriginPool(options)

const table = {
  fetches: { doc: 'requests given to the origin pool' },
  opened: { doc: 'origin connections opened' },
  openFailures: { doc: 'origin connections that could not be opened', whenItGrows: 'see connectFailures of comm' },
  prepared: { doc: 'origin connections that were opened before anybody needed them (standby= of a cache_peer)' },
  adopted: { doc: 'origin connections that were opened to see who is there, and kept for the request' },
  reused: { doc: 'requests sent on a connection that had been used before' },
  retries: {
    doc: 'requests sent again because a kept connection had ended meanwhile',
    whenItGrows: 'origins close earlier than server_idle_pconn_timeout',
  },
  waited: { doc: 'requests that waited for a connection', whenItGrows: 'an origin is slow, or the limits are small' },
  endsAssumed: {
    doc: 'responses taken for whole because their origin keeps connections that only their end can end (detect_broken_pconn)',
  },
  overloads: {
    doc: 'requests refused because too many were waiting, or waited too long',
    whenItGrows: 'raise the limits of origin connections, or look for the slow origin',
  },
  evicted: { doc: 'idle connections closed because another key needed the place' },
  secured: { doc: 'origin connections with TLS' },
  secureFailures: { doc: 'TLS handshakes with origins that failed', whenItGrows: 'look at tls_outgoing_options and at the error pages' },
  distrusted: { doc: 'requests refused for what is wrong with a certificate', whenItGrows: 'see sslproxy_cert_error and sslproxy_foreign_intermediate_certs' },
  postponed: { doc: 'requests that waited because there was no descriptor', whenItGrows: 'raise LimitNOFILE or ulimit -n' },
} as const

/** No descriptor is to be had: not the fault of this target, and over as soon as somebody leaves. */
const descriptorsGone: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE'])
/** Others in this process hold descriptors too, and do not tell when they give them back. */
const shortMs = ms(250)

export class OriginPool implements ConnectionPool {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly counters = declareCounters(table)
  limits: OriginLimits
  closed = false

  readonly #comm: Dialer
  readonly #failed: (error: unknown, where: string) => void
  readonly #origins = new Map<string, Origin>()
  readonly #idle = new IdleList()
  /** Have somebody waiting, and room under their own limit, but not under the one for all. */
  readonly #starved = new Set<Origin>()
  #connections = 0
  #waiting = 0
  /** The system has no descriptors: one dial at a time finds out whether that still holds. */
  #short: Timer | null = null

  constructor(options: OriginPoolOptions) {
    this.clock = options.clock
    this.deadlines = new Deadlines(options.clock)
    this.limits = { ...usualOriginLimits, ...options.limits }
    this.#comm = options.comm
    this.#failed = options.failed ?? (() => {})
    loadParser()
  }

  /** Open and being opened. */
  get connections(): number {
    return this.#connections
  }

  get idleConnections(): number {
    return this.#idle.size
  }

  get waiting(): number {
    return this.#waiting
  }

  /** Keys in use; each has a connection or somebody waiting. */
  get keys(): number {
    return this.#origins.size
  }

  /** For connections opened from now on; requests that wait go on waiting. */
  configure(limits: Partial<OriginLimits>): void {
    this.limits = { ...this.limits, ...limits }
  }

  /** `denied`: failures of targets the policy left out. */
  fetch(
    session: Session,
    course: Course,
    request: OriginRequest,
    handler: OriginHandler,
    tries: Tries,
    denied: readonly ProxyError[],
  ): OriginFetch {
    this.counters.fetches++
    const exchange = new Exchange(this, session, course, request, handler, tries, denied)
    exchange.start()
    return exchange
  }

  /** `wanted` idle connections for whoever comes; what is missing is opened. A dial that fails is not repeated by itself. */
  prepare(route: Route, wanted: number, timeoutMs: number): void {
    if (this.closed || !this.limits.persistent) return
    const key = originKey(route)
    const origin = this.#origins.get(key) ?? new Origin(key, null, route.peer)
    while (origin.idle.length + origin.preparing < wanted && this.#connections < this.limits.connectionsMax && this.#short === null) {
      this.#origins.set(key, origin)
      origin.connections++
      origin.preparing++
      this.#connections++
      const ready = (connection: Connection | null, sight: ServerSight | null): void => {
        origin.preparing--
        if (connection === null) return this.#freed(origin)
        this.counters.prepared++
        this.idle(new OriginConnection(origin, connection, sight, this))
      }
      const { tls } = route
      dialRoute(this.#comm, route, 'origin', timeoutMs, tls !== undefined, (_error, connection) => {
        if (connection === null || tls === undefined) return ready(connection, null)
        secureRoute(connection, tls, route, timeoutMs, (_failure, secured) => ready(secured?.connection ?? null, secured?.sight ?? null))
      })
    }
  }

  /** A connection made by somebody else, on which nothing has been said: idle from now on, if there is room for it. */
  adopt(route: Route, connection: Connection, sight: ServerSight): void {
    const key = originKey(route)
    const origin = this.#origins.get(key) ?? new Origin(key, route.tie ?? null, route.peer)
    if (this.closed || connection.closed || !this.#hasRoom(origin)) return connection.close('done')
    this.counters.adopted++
    this.#origins.set(key, origin)
    origin.connections++
    this.#connections++
    this.idle(new OriginConnection(origin, connection, sight, this))
  }

  closeIdle(): void {
    while (this.#idle.longest !== null) this.#idle.longest.close()
  }

  /** Nothing new is begun and nothing is kept; what runs goes on to its end. */
  close(): void {
    this.closed = true
    this.closeIdle()
    for (const origin of this.#origins.values()) {
      for (let first = origin.waiting.first; first !== null; first = origin.waiting.first) {
        this.#leaveLine(origin, first)
        first.fail(shuttingDown())
      }
    }
    this.#starved.clear()
    this.#short?.cancel()
    this.#short = null
  }

  failed(error: unknown, where: string): void {
    this.#failed(error, where)
  }

  // --- for exchanges ---

  connectionFor(exchange: Exchange): void {
    if (this.closed) return exchange.fail(shuttingDown())
    const key = originKey(exchange.route)
    const origin = this.#origins.get(key) ?? new Origin(key, exchange.route.tie ?? null, exchange.route.peer)
    const idle = exchange.mayReuse ? origin.takeIdle() : undefined
    if (idle !== undefined) {
      this.#idle.remove(idle)
      this.counters.reused++
      exchange.carriedBy(idle, true)
    } else if (this.#hasRoom(origin)) this.#dial(origin, exchange)
    else this.#wait(origin, exchange)
  }

  /** It needs nothing any more: neither its dial nor its place in the line. */
  forget(exchange: Exchange): void {
    if (exchange.dial !== null) {
      exchange.dial.cancel()
      exchange.dial = null
      const origin = this.#origins.get(originKey(exchange.route))
      if (origin !== undefined) this.#freed(origin)
    }
    if (exchange.waitsFor === null) return
    const origin = this.#origins.get(exchange.waitsFor)
    if (origin === undefined) return
    this.#leaveLine(origin, exchange)
    this.#dropIfEmpty(origin)
  }

  // --- for connections ---

  idle(connection: OriginConnection): void {
    const idleMs = connection.idleMsMax
    if (this.closed || !this.limits.persistent || idleMs <= 0) return connection.close()
    const { origin } = connection
    const first = origin.waiting.first
    if (first !== null && first.mayReuse) {
      this.#leaveLine(origin, first)
      this.counters.reused++
      return first.carriedBy(connection, true)
    }
    const { tie } = origin
    if (tie !== null) {
      if (tie.ended) return connection.close()
      tie.release = () => origin.closeIdle()
    }
    connection.connection.setTimeout(Math.max(1, idleMs))
    origin.rests(connection)
    this.#idle.add(connection)
    // whoever waits for a fresh one, here or elsewhere, gets this one's place
    if (first !== null || this.#starved.size > 0) connection.close()
  }

  gone(connection: OriginConnection): void {
    if (connection.origin.removeIdle(connection)) {
      this.#idle.remove(connection)
      connection.origin.tie?.lost()
    }
    this.#freed(connection.origin)
  }

  // --- between ---

  #hasRoom(origin: Origin): boolean {
    const { connectionsMax, connectionsPerKeyMax } = this.limits
    if (origin.connections >= connectionsPerKeyMax) {
      // a request that needs a fresh connection: the idle one that waited longest makes room
      const idle = origin.idle[0]
      if (idle === undefined) return false
      idle.close()
      return origin.connections < connectionsPerKeyMax
    }
    if (this.#connections < connectionsMax && this.#short === null) return true
    if (this.#idle.longest === null) return false
    this.counters.evicted++
    this.#idle.longest.close()
    return this.#connections < connectionsMax
  }

  #dial(origin: Origin, exchange: Exchange): void {
    const { route } = exchange
    this.#origins.set(origin.key, origin) // new, or forgotten a moment ago with its last idle connection
    origin.connections++
    this.#connections++
    exchange.dialled()
    const { tls } = route
    const writesFirst = tls !== undefined || exchange.writesFirst
    const dial = (timeoutMs: number, done: ConnectDone): Attempt => dialRoute(this.#comm, route, 'origin', timeoutMs, writesFirst, done)
    exchange.dial = dialAgain(this.clock, exchange.connectRetries, exchange.dialTimeoutMs, dial, (error, connection) => {
      exchange.dial = null
      if (connection !== null) {
        this.counters.opened++
        if (this.#short !== null) this.#serveStarved()
        if (tls === undefined) exchange.carriedBy(new OriginConnection(origin, connection, null, this), false)
        else this.#secure(origin, exchange, connection, tls)
        return
      }
      this.counters.openFailures++
      if (error !== null && descriptorsGone.has(error.code) && this.#mayPostpone) return this.#postpone(origin, exchange)
      this.#freed(origin)
      if (error !== null) exchange.routeFailed(connectFailure(error, route))
    })
  }

  #secure(origin: Origin, exchange: Exchange, connection: Connection, tls: TlsTarget): void {
    const { route } = exchange
    exchange.dial = secureRoute(connection, tls, route, exchange.dialTimeoutMs, (error, secured) => {
      exchange.dial = null
      if (secured !== null) {
        this.counters.secured++
        exchange.carriedBy(new OriginConnection(origin, secured.connection, secured.sight, this), false)
        return
      }
      this.#freed(origin)
      if (error === null) return exchange.routeAgain()
      this.counters.secureFailures++
      exchange.routeFailed(error)
    })
  }

  /** There is another connection whose end it can wait for, and a place in the line. */
  get #mayPostpone(): boolean {
    return this.#connections > 1 && this.#waiting < this.limits.waitingMax
  }

  /** It has not failed: it waits like others until a connection of ours ends, and is tried again in any case. */
  #postpone(origin: Origin, exchange: Exchange): void {
    this.counters.postponed++
    origin.connections--
    this.#connections--
    this.#wait(origin, exchange)
    this.#short ??= this.clock.after(shortMs, this.#lookAgain, { unref: true })
    this.#idle.longest?.close()
  }

  readonly #lookAgain = (): void => {
    this.#short = null
    if (this.#starved.size === 0) return
    this.#short = this.clock.after(shortMs, this.#lookAgain, { unref: true })
    this.#serveStarved()
  }

  #wait(origin: Origin, exchange: Exchange): void {
    if (this.#waiting >= this.limits.waitingMax) {
      this.counters.overloads++
      const to = endpointText(exchange.route.target)
      return exchange.fail(new ProxyError('overload', `too many requests wait for connections; this one for ${to}`))
    }
    this.#origins.set(origin.key, origin)
    this.counters.waited++
    this.#waiting++
    exchange.waitsFor = origin.key
    origin.waiting.add(exchange)
    if (origin.connections < this.limits.connectionsPerKeyMax) this.#starved.add(origin)
    this.deadlines.set(exchange, ms(exchange.waitTimeoutMs))
  }

  #leaveLine(origin: Origin, exchange: Exchange): void {
    origin.waiting.remove(exchange)
    exchange.waitsFor = null
    this.deadlines.forget(exchange)
    this.#waiting--
    if (origin.waiting.first === null) this.#starved.delete(origin)
  }

  /** One connection fewer at this origin: somebody who waits may open one, whoever has waited longest in the whole. */
  #freed(origin: Origin): void {
    origin.connections--
    this.#connections--
    if (origin.waiting.first !== null) this.#starved.add(origin)
    this.#serveStarved()
    this.#dropIfEmpty(origin)
  }

  #serveStarved(): void {
    while (this.#connections < this.limits.connectionsMax) {
      const next = this.#starved.values().next()
      if (next.done === true) return
      this.#serve(next.value)
      if (this.#short !== null) return // one descriptor was freed, or one was to be had
    }
  }

  /** A dial for the first in its line; the others take their turn behind the other keys. */
  #serve(origin: Origin): void {
    this.#starved.delete(origin)
    const first = origin.waiting.first
    if (first === null || origin.connections >= this.limits.connectionsPerKeyMax) return
    this.#leaveLine(origin, first)
    this.#dial(origin, first)
    const { connectionsPerKeyMax } = this.limits
    if (origin.waiting.first !== null && origin.connections < connectionsPerKeyMax) this.#starved.add(origin)
  }

  #dropIfEmpty(origin: Origin): void {
    if (origin.empty) this.#origins.delete(origin.key)
  }
}
