import type { CloseReason, Connection, ConnectionReader } from '../../../comm/connection.ts'
import {
  assert, endpointText, type ErrorCode, errorTable, GiveUp, type MonoMs, type Outcome, ProxyError, type Watched,
} from '../../base/index.ts'
import type { Chained } from '../../chainer/chainer.ts'
import type { RouteAnswer } from '../../router/router.ts'
import type { Session, Speaker } from '../../service/session.ts'
import { CountPlug } from './counters.ts'
import type { Relay, RelayStats } from '../../../comm/engine/engine.ts'
import { type ProgramUser, Pump, type PumpPath, StackedProgram, type Verdict } from '../stack/index.ts'
import type { Limit, PlugDeps, PlugOptions, PlugStack } from './plug-proxy.ts'

// One client and its server.
//
//   start ──► route ──► chainer ──► relay (or a program between two) ──► both closed ──► record
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
  #connecting: GiveUp | null = null
  #relaying: Relay | null = null
  #pump: Pump | null = null
  /** What a stacked program said. */
  #detail = ''
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
    const connecting = new GiveUp()
    this.#connecting = connecting
    this.#outcome.hierarchy = answer.routes[0].hierarchy
    this.#session.service.chainer.connect(this.#session, answer.routes, connecting).then(
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
    const { idleTimeout, oneWay, stack } = this.#options
    if (stack !== null) return this.#throughProgram(stack, connection)
    this.#relaying = this.#deps.relay(this.#session.client, connection, {
      idleTimeoutMs: Number.isFinite(idleTimeout) ? idleTimeout : 0,
      ...(oneWay === 'no' ? undefined : { oneWay: oneWay === 'to_server' ? 'to-b' : 'to-a' }),
      ...(this.#limits.length === 0 ? undefined : { limits: this.#limits }),
      onEnd: stats => this.#relayed(stats),
    })
    this.#watchStats()
  }

  #throughProgram(stack: PlugStack, server: Connection): void {
    const { client } = this.#session
    if (client.protocol === 'udp' || server.protocol === 'udp') {
      server.close('aborted')
      return this.#refuse('no-route', `stack ${stack.name}: a program is for streams, not for datagrams`)
    }
    const user: ProgramUser = {
      onVerdict: (verdict, text) => this.#judged(stack.name, verdict, text),
      onSettled: () => this.#pump?.release(),
    }
    const program = StackedProgram.start(
      this.#deps.programs,
      { ...stack, environment: environmentOf(this.#session, server) },
      { peer: client.peer, local: client.local, original: client.original },
      user,
    )
    if (program === null) {
      server.resetClose('aborted')
      this.#outcome.status = 503
      this.#session.verdict = 'DENIED_BY_LIMIT'
      return this.#away('overload', `stack ${stack.name}: the program was not started`)
    }
    const pump = new Pump({
      client,
      server,
      paths: pathsOf(stack.direction, client, server, program),
      idleTimeoutMs: Number.isFinite(this.#options.idleTimeout) ? this.#options.idleTimeout : 0,
      mayEnd: from => (from === program.input || from === program.output ? program.mayEnd(stack.direction === 'both') : true),
      onPayload: from => {
        if (from === program.input || from === program.output) program.spoke()
      },
      onEnd: ({ why, by, bytesToClient, bytesToServer }) => {
        const over = (): void => {
          program.stop()
          this.#relayed({ why, bytesToA: bytesToClient, bytesToB: bytesToServer })
        }
        // the program's own end, and no verdict yet: it knows why
        if (by === program.input || by === program.output) program.broken(over)
        else over()
      },
    })
    this.#pump = pump
    this.#relaying = pump
    this.#watchStats()
  }

  /** What a program says of the session it is in the middle of. */
  #judged(stack: string, verdict: Verdict, text: string): void {
    if (verdict === 'accept') return
    const outcome = this.#outcome
    outcome.error = verdict === 'error' ? 'internal' : 'denied'
    outcome.status = verdict === 'error' ? 500 : 403
    outcome.result = 'TCP_DENIED'
    this.#detail = `stack ${stack}: ${verdict}${text === '' ? '' : ` (${text})`}`
    this.#session.verdict = verdict === 'error' ? 'DENIED_BY_UNKNOWN_FAIL' : 'DENIED_BY_POLICY'
    this.#pump?.stop()
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

  moved(): { fromClient: number; toClient: number } | null {
    return this.#relaying === null ? null : { fromClient: this.#relaying.bytesToB, toClient: this.#relaying.bytesToA }
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
    this.#outcome.errorDetail = this.#detail === '' ? detail : this.#detail
    this.#outcome.endedMono = this.#deps.clock.mono()
    this.#outcome.sessionId = `${this.#session.id}/plug`
    this.#deps.record(this.#outcome)
    this.#onOver()
  }
}

const pathsOf = (
  direction: PlugStack['direction'],
  client: Connection,
  server: Connection,
  { input, output }: StackedProgram,
): readonly PumpPath[] => {
  switch (direction) {
    case 'both':
      return [
        { from: client, to: input },
        { from: input, to: client },
        { from: output, to: server },
        { from: server, to: output },
      ]
    case 'to_server':
      return [
        { from: client, to: input },
        { from: output, to: server },
        { from: server, to: client },
      ]
    case 'to_client':
      return [
        { from: server, to: input },
        { from: output, to: client },
        { from: client, to: server },
      ]
  }
}

/** What a program may know of the session. */
const environmentOf = (session: Session, server: Connection): Readonly<Record<string, string>> => ({
  GLASSQUID_SESSION: session.id,
  GLASSQUID_SERVICE: session.service.name,
  GLASSQUID_CLIENT: endpointText(session.client.peer),
  GLASSQUID_DESTINATION: endpointText(session.destination),
  GLASSQUID_SERVER: endpointText(server.peer),
})

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
