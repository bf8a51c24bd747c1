import type { CloseReason, Connection } from '../../comm/connection.ts'
import {
  type Clock,
  type CounterTable,
  type DurationMs,
  declareCounters,
  type Endpoint,
  elapsed,
  type WallMs,
  wallMs,
} from '../base/index.ts'
import type { Chainer } from '../chainer/chainer.ts'
import type { Proxy } from '../proxy/proxy.ts'
import type { Router } from '../router/router.ts'
import { type Census, overLimit, ServiceMemory, type SessionLimits } from './census.ts'
import { ClientSession } from './client-session.ts'
import { FurtherSession } from './further-session.ts'
import type { Service } from './service.ts'
import { SessionList } from './session-list.ts'
import type { Decided, Session, Verdict } from './session.ts'

// A service with its sessions.
//
//   connection ──► limits ──► session ──► proxy.run ──► ... ──► the client connection closes ──► end record

export interface ServiceOptions {
  readonly name: string
  readonly proxy: Proxy
  readonly router: Router
  readonly chainer: Chainer
  /** Sessions at once; 0 = no limit. Zorp's max_instances. */
  readonly sessionsMax?: number
  readonly sessionsPerClientMax?: number
  readonly sessionsPerZoneMax?: number
  /** Of all services, and what this name had before; a service without one stands alone. */
  readonly census?: Census
  /** Whether the kernel asks clients that are silent if they are still there. */
  readonly keepalive?: boolean
  readonly clock: Clock
  /** Name of an address's zone. */
  readonly zoneOf?: (address: string) => string | null
  /** Once per session, after its client connection has closed. */
  readonly onEnd?: (record: SessionRecord) => void
  /** A limit said no. */
  readonly onRefused?: (record: SessionRecord, detail: string) => void
  /** The proxy threw: a bug of ours. The session ends with DENIED_BY_UNKNOWN_FAIL. */
  readonly failed?: (error: unknown, where: string) => void
}

/** What is known of a session when it is over. Zorp's summary record. */
export interface SessionRecord {
  readonly id: string
  readonly service: string
  readonly portName: string
  readonly startedAt: WallMs
  readonly duration: DurationMs
  readonly verdict: Verdict
  readonly client: Endpoint
  readonly destination: Endpoint
  readonly protocol: 'tcp' | 'udp'
  readonly taken: Session['taken']
  readonly rule: number | null
  readonly clientZone: string | null
  readonly serverZone: string | null
  readonly server: Endpoint | null
  readonly serverLocal: Endpoint | null
  /** On the client connection. */
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly why: CloseReason
}

/** No session: the connection has been closed. */
export interface Refused {
  readonly refused: Verdict
  readonly detail: string
}

export const createService = (options: ServiceOptions): NamedService => new NamedService(options)

const table = {
  started: { doc: 'sessions started' },
  ended: { doc: 'sessions ended' },
  further: { doc: 'connections taken by sessions that ran already (secondary_sessions)' },
  limited: {
    doc: 'connections refused by a limit on sessions',
    whenItGrows: 'raise the limit, or look who holds so many sessions',
  },
  denied: { doc: 'connections refused since the zone of the client may not use the service (outbound=)' },
  stopped: { doc: 'sessions stopped by the operator' },
  failed: { doc: 'sessions whose proxy threw', whenItGrows: 'a bug of ours: cache_log has the stack' },
} as const satisfies CounterTable

export class NamedService implements Service {
  readonly name: string
  readonly proxy: Proxy
  readonly router: Router
  readonly chainer: Chainer
  readonly limits: SessionLimits
  readonly counters = declareCounters(table)

  readonly #clock: Clock
  readonly #census: Census | null
  readonly #memory: ServiceMemory
  readonly #keepalive: boolean
  readonly #onRefused: ServiceOptions['onRefused'] | null
  readonly #onEnd: ((record: SessionRecord) => void) | null
  readonly #failed: (error: unknown, where: string) => void
  readonly #zoneOf: (address: string) => string | null
  readonly #sessions = new SessionList()

  constructor(options: ServiceOptions) {
    this.name = options.name
    this.proxy = options.proxy
    this.router = options.router
    this.chainer = options.chainer
    this.limits = {
      sessionsMax: options.sessionsMax ?? 0,
      sessionsPerClientMax: options.sessionsPerClientMax ?? 0,
      sessionsPerZoneMax: options.sessionsPerZoneMax ?? 0,
    }
    this.#census = options.census ?? null
    this.#memory = options.census?.memoryOf(options.name) ?? new ServiceMemory()
    this.#keepalive = options.keepalive ?? false
    this.#onRefused = options.onRefused ?? null
    this.#clock = options.clock
    this.#zoneOf = options.zoneOf ?? (() => null)
    this.#onEnd = options.onEnd ?? null
    this.#failed = options.failed ?? (() => {})
  }

  get running(): number {
    return this.#sessions.size
  }

  /** In the order they began. */
  sessions(): Iterable<Session> {
    return this.#sessions.list()
  }

  start(connection: Connection, portName: string, decided: Decided): Session | Refused {
    const { address } = connection.peer
    const { clientZone } = decided
    if (decided.denied !== undefined) return this.#refuse(connection, portName, decided, 'DENIED_BY_POLICY', decided.denied)
    const detail = this.#overLimit(address, clientZone)
    if (detail !== '') return this.#refuse(connection, portName, decided, 'DENIED_BY_LIMIT', detail)
    if (connection.closed) return { refused: 'DENIED_BY_UNKNOWN_FAIL', detail: 'the connection is closed already' }
    const session = new ClientSession(this, this.#memory.nextSerial(), connection, portName, this.#clock.mono(), decided)
    this.counters.started++
    this.#enter(session, 1)
    this.#run(session)
    return session
  }

  take(first: Session, place: number, connection: Connection, decided: Decided): Session | null {
    const { address } = connection.peer
    if (connection.closed || this.#clientOverLimit(address, decided.clientZone) !== '') return null
    const session = new FurtherSession(first, place, connection, this.#clock.mono(), decided)
    this.counters.further++
    this.#enter(session, 0)
    return session
  }

  /** By the operator. The record of the session says so. */
  stop(session: Session): void {
    if (!(session instanceof ClientSession && session.service === this && session.listed)) return
    this.counters.stopped++
    session.verdict = 'ABORTED_BY_POLICY_ACTION'
    session.client.resetClose('aborted')
  }

  /** No more requests from anybody. Sessions that wait for one end now, the others when they are done. */
  windUp(): void {
    for (const session of this.#sessions.list()) session.speaker?.windUp()
  }

  stopAll(): void {
    for (const session of this.#sessions.list()) this.stop(session)
  }

  #enter(session: ClientSession, sessions: 0 | 1): void {
    const { client, clientZone } = session
    if (this.#keepalive) client.keepAlive()
    this.#sessions.add(session)
    this.#memory.counts.enter(client.peer.address, clientZone, sessions)
    this.#census?.counts.enter(client.peer.address, clientZone, sessions)
    client.addCloseHandler((_connection, why) => this.#closed(session, why, sessions))
  }

  #clientOverLimit(address: string, zone: string | null): string {
    const own = overLimit(this.#memory.counts, { ...this.limits, sessionsMax: 0 }, this.name, address, zone)
    if (own !== '' || this.#census === null) return own
    return overLimit(this.#census.counts, { ...this.#census.limits, sessionsMax: 0 }, 'this proxy', address, zone)
  }

  #overLimit(address: string, zone: string | null): string {
    const own = overLimit(this.#memory.counts, this.limits, this.name, address, zone)
    return own !== '' || this.#census === null ? own : overLimit(this.#census.counts, this.#census.limits, 'this proxy', address, zone)
  }

  #refuse(
    connection: Connection,
    portName: string,
    decided: Decided,
    refused: 'DENIED_BY_POLICY' | 'DENIED_BY_LIMIT',
    detail: string,
  ): Refused {
    if (refused === 'DENIED_BY_LIMIT') this.counters.limited++
    else this.counters.denied++
    if (this.#onRefused !== null) {
      const session = new ClientSession(this, this.#memory.nextSerial(), connection, portName, this.#clock.mono(), decided)
      session.verdict = refused
      this.#onRefused?.(this.#recordOf(session, 'refused'), detail)
    }
    connection.close('refused')
    return { refused, detail }
  }

  #run(session: ClientSession): void {
    try {
      this.proxy.run(session)
    } catch (error) {
      this.counters.failed++
      this.#failed(error, `proxy ${this.proxy.name} of ${session.id}`)
      session.verdict = 'DENIED_BY_UNKNOWN_FAIL'
      session.client.close('handler-failed')
    }
  }

  #closed(session: ClientSession, why: CloseReason, sessions: 0 | 1): void {
    if (!this.#sessions.remove(session)) return
    this.counters.ended += sessions
    const { client: { peer }, clientZone } = session
    this.#memory.counts.leave(peer.address, clientZone, sessions)
    this.#census?.counts.leave(peer.address, clientZone, sessions)
    if (why === 'handler-failed') session.verdict = 'DENIED_BY_UNKNOWN_FAIL'
    this.#onEnd?.(this.#recordOf(session, why))
  }

  #recordOf(session: ClientSession, why: CloseReason): SessionRecord {
    const { client } = session
    const duration = elapsed(session.startedMono, this.#clock.mono())
    return {
      id: session.id,
      service: this.name,
      portName: session.portName,
      // the wall clock may have been set meanwhile; the monotonic one tells how long ago it was
      startedAt: wallMs(this.#clock.wall() - duration),
      duration,
      verdict: session.verdict,
      client: client.peer,
      destination: session.destination,
      protocol: client.protocol,
      taken: session.taken,
      rule: session.rule,
      clientZone: session.clientZone,
      serverZone: session.server === null ? session.serverZone : this.#zoneOf(session.server.address),
      server: session.server,
      serverLocal: session.serverLocal,
      bytesRead: client.bytesRead,
      bytesWritten: client.bytesWritten,
      why,
    }
  }
}
