import type { CloseReason, Connection, ConnectionReader } from '../../../comm/connection.ts'
import {
  assert, endpointText, type ErrorCode, errorTable, type MonoMs, type Outcome, ProxyError, type Watched,
} from '../../base/index.ts'
import type { Chained } from '../../chainer/chainer.ts'
import type { RouteAnswer } from '../../router/router.ts'
import type { Session, Speaker } from '../../service/session.ts'
import { CountPlug } from './counters.ts'
import type { Relay, RelayStats } from '../../../comm/engine/engine.ts'
import type { Limit, PlugDeps, PlugOptions } from './plug-proxy.ts'

// One client and its server.
//
//   start ──► route ──► chainer ──► relay ──► both closed ──► record
//               └──────────┴── no ──► the client is reset ──► record
//
// Until the server is there nothing is read from the client: what it sends waits in the kernel, and it cannot make us
// hold more than that.

export class PlugSession implements ConnectionReader, Speaker, Watched {
  readonly #deps: PlugDeps
  readonly #options: PlugOptions
  readonly #session: Session
  readonly #outcome: Outcome
  readonly #limits: readonly Limit[]
  readonly #onOver: () => void
  #connecting: AbortController | null = null
  #relaying: Relay | null = null
  #over = false
  // of stats_interval
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null

  /** `onOver` comes once, after the record. */
  constructor(deps: PlugDeps, options: PlugOptions, session: Session, limits: readonly Limit[], onOver: () => void) {
    this.#limits = limits
    this.#onOver = onOver
    this.#deps = deps
    this.#options = options
    this.#session = session
    this.#outcome = newOutcome(deps, session)
  }

  start(): void {
    const { client, destination, service } = this.#session
    CountPlug.sessions++
    this.#session.speaker = this
    client.setReader(this)
    client.deferRead()
    if (this.#deps.isOwnConnection(client.peer, destination)) {
      CountPlug.loops++
      return this.#refuse('loop', 'a rule brings the connections of this proxy back to it')
    }
    const answer = service.router.route(this.#session, this.#deps.hint(this.#session))
    if (answer instanceof Promise) answer.then(later => this.#routed(later)).catch(error => this.#broke(error))
    else this.#routed(answer)
  }

  // --- from the client, until the relay takes over ---

  onData(): void {
    assert(false, 'nothing is read before the relay')
  }

  onEnd(): void {} // the relay finds it ended, and passes that on

  onDrain(): void {}

  onTimeout(): void {}

  onClose(_client: Connection, why: CloseReason): void {
    if (this.#over || this.#relaying !== null) return
    this.#connecting?.abort()
    this.#outcome.error = why === 'shutdown' ? 'shutting-down' : 'client-aborted'
    this.#end(why)
  }

  // --- between ---

  #routed(answer: RouteAnswer): void {
    if (this.#over) return
    if (!answer.ok) return this.#refuse(answer.error, answer.detail)
    const connecting = new AbortController()
    this.#connecting = connecting
    this.#outcome.hierarchy = answer.routes[0].hierarchy
    this.#session.service.chainer.connect(this.#session, answer.routes, connecting.signal).then(
      chained => this.#connected(chained),
      error => this.#failed(error),
    ).catch(error => this.#broke(error))
  }

  #connected({ connection, route, attempts }: Chained): void {
    this.#connecting = null
    if (this.#over) return connection.close('aborted')
    CountPlug.relayed++
    const outcome = this.#outcome
    outcome.server = connection.peer
    outcome.serverLocal = connection.local
    outcome.forged = route.forged
    outcome.hierarchy = route.hierarchy
    outcome.attempts = attempts
    outcome.status = 200
    const { idleTimeout, oneWay } = this.#options
    this.#relaying = this.#deps.relay(this.#session.client, connection, {
      idleTimeoutMs: Number.isFinite(idleTimeout) ? idleTimeout : 0,
      ...(oneWay === 'no' ? undefined : { oneWay: oneWay === 'to_server' ? 'to-b' : 'to-a' }),
      ...(this.#limits.length === 0 ? undefined : { limits: this.#limits }),
      onEnd: stats => this.#relayed(stats),
    })
    this.#watchStats()
  }

  // --- while it runs ---

  #watchStats(): void {
    const { statsInterval } = this.#options
    if (Number.isFinite(statsInterval)) this.#deps.deadlines.set(this, statsInterval)
  }

  deadlinePassed(): void {
    if (this.#over || this.#relaying === null) return
    const { bytesToA, bytesToB } = this.#relaying
    this.#deps.stats(`${this.#session.id}/plug`, bytesToB, bytesToA)
    this.#watchStats()
  }

  /** Datagrams promise nothing, and a flow would hold the process up until it has been quiet for long enough. */
  windUp(): void {
    if (this.#session.client.protocol === 'udp') this.#session.client.close('shutdown')
  }

  // --- the end ---

  #relayed(stats: RelayStats): void {
    this.#outcome.requestContentBytes = stats.bytesToB
    this.#outcome.responseBytes = stats.bytesToA
    this.#outcome.serverContentBytes = stats.bytesToA
    this.#end(stats.why)
  }

  #failed(error: unknown): void {
    this.#connecting = null
    if (this.#over) return
    if (!(error instanceof ProxyError)) return this.#broke(error)
    if (error.code === 'denied') return this.#refuse('denied', error.message)
    CountPlug.failed++
    this.#outcome.status = errorTable[error.code].status
    this.#session.verdict = 'DENIED_BY_CONNECTION_FAIL'
    this.#away(error.code, error.message)
  }

  /** The policy said no. */
  #refuse(error: ErrorCode, detail: string): void {
    CountPlug.denied++
    this.#outcome.status = 403
    this.#outcome.result = 'TCP_DENIED'
    this.#session.verdict = 'DENIED_BY_POLICY'
    this.#away(error, detail)
  }

  #broke(error: unknown): void {
    this.#deps.bug(`${this.#session.id}/plug`, error)
    if (this.#over) return
    this.#session.verdict = 'DENIED_BY_UNKNOWN_FAIL'
    this.#away('internal', 'a step failed')
  }

  /** The client learns it by a reset: a connection that was opened and ended well would look like an empty answer. */
  #away(error: ErrorCode, detail: string): void {
    this.#outcome.error = error
    this.#end(detail)
    this.#session.client.resetClose('refused')
  }

  #end(detail: string): void {
    if (this.#over) return
    this.#over = true
    this.#deps.deadlines.forget(this)
    this.#outcome.errorDetail = detail
    this.#outcome.endedMono = this.#deps.clock.mono()
    this.#outcome.sessionId = `${this.#session.id}/plug`
    this.#deps.record(this.#outcome)
    this.#onOver()
  }
}

/** In the access log a plug session is what Squid makes of a tunnel: CONNECT to where the client was going. */
const newOutcome = ({ clock }: PlugDeps, session: Session): Outcome => ({
  startedAt: clock.wall(),
  initiator: 'client',
  startedMono: clock.mono(),
  endedMono: 0 as MonoMs, // set at the end
  client: session.client.peer,
  clientLocal: session.destination,
  portName: session.portName,
  taken: session.taken,
  sessionId: '',
  method: 'CONNECT',
  uri: endpointText(session.destination),
  versionMinor: 1,
  requestFields: null,
  requestHeadBytes: 0,
  requestContentBytes: 0,
  result: 'TCP_TUNNEL',
  collapsed: false,
  hierarchy: 'HIER_NONE',
  error: null,
  errorDetail: '',
  accessLine: '',
  reuseReason: '',
  storeReason: '',
  server: null,
  serverLocal: null,
  forged: false,
  serverStatus: 0,
  attempts: 0,
  serverContentBytes: -1,
  serverResponseMs: -1,
  serverTotalMs: -1,
  dnsMs: -1,
  status: 0,
  responseFields: null,
  contentType: '',
  responseBytes: 0,
  responseHeadBytes: 0,
})
