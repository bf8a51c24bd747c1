import type { CloseReason, Connection, ConnectionReader } from '../../../comm/connection.ts'
import type { Attempt, Relay, RelayOptions, RelayStats } from '../../../comm/engine/engine.ts'
import {
  assert, endpointText, type ErrorCode, errorTable, type MonoMs, type Outcome, ProxyError, type ResultCode,
  type Watched,
} from '../../base/index.ts'
import type { Chained } from '../../chainer/chainer.ts'
import type { Route, RouteAnswer } from '../../router/router.ts'
import type { Session, Speaker } from '../../service/session.ts'
import { connectionOutcome } from '../connection-outcome.ts'
import { CountPlug } from './counters.ts'
import { type ProgramUser, Pump, type PumpPath, StackedProgram, type Verdict } from '../stack/index.ts'
import type { Limit, PlugDeps, PlugOptions, PlugStack } from './plug-proxy.ts'

// One client and its server.
//
//   start ──► route ──► chainer ──► relay (or a program between two) ──► both closed ──► record
//               └──────────┴── no ──► the client is reset ──► record
//
// Until the server is there nothing is read from the client: what it sends waits in the kernel, and it cannot make us
// hold more than that.
//
// Ten thousand that run are normal. What is written into the log at the end is put together then.

/** Who is told when a session is over, after its record. */
export interface PlugOwner {
  over(session: Session): void
}

export class PlugSession implements ConnectionReader, Speaker, Watched, RelayOptions {
  readonly #deps: PlugDeps
  readonly #options: PlugOptions
  readonly #session: Session
  readonly #owner: PlugOwner
  readonly #startedMono: MonoMs
  // what the relay is to know
  readonly idleTimeoutMs: number
  readonly oneWay: 'to-a' | 'to-b' | undefined
  readonly limits: readonly Limit[]
  #connecting: Attempt | null = null
  #relaying: Relay | null = null
  /** What a stacked program has to do with it. */
  #stacked: Stacked | null = null
  #over = false
  // for the record
  /** The one that was reached, or would have been tried first. */
  #route: Route | null = null
  #reached: Connection | null = null
  #unanswered: Chained['unanswered']
  #attempts = 0
  #status = 0
  #error: ErrorCode | null = null
  #result: ResultCode = 'TCP_TUNNEL'
  // of stats_interval
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null

  constructor(deps: PlugDeps, options: PlugOptions, session: Session, limits: readonly Limit[], owner: PlugOwner) {
    this.limits = limits
    this.#owner = owner
    this.#deps = deps
    this.#options = options
    this.#session = session
    this.#startedMono = deps.clock.mono()
    this.idleTimeoutMs = Number.isFinite(options.idleTimeout) ? options.idleTimeout : 0
    this.oneWay = options.oneWay === 'no' ? undefined : options.oneWay === 'to_server' ? 'to-b' : 'to-a'
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
    this.#connecting?.cancel()
    this.#connecting = null
    this.#error = why === 'shutdown' ? 'shutting-down' : 'client-aborted'
    this.#end(why, null)
  }

  // --- between ---

  #routed(answer: RouteAnswer): void {
    if (this.#over) return
    if (!answer.ok) return this.#refuse(answer.error, answer.detail)
    this.#route = answer.routes[0]
    this.#connecting = this.#session.service.chainer.dial(this.#session, answer.routes, (error, chained) => this.#dialled(error, chained))
  }

  #dialled(error: ProxyError | null, chained: Chained | null): void {
    this.#connecting = null
    try {
      if (chained !== null) this.#connected(chained)
      else this.#failed(error)
    } catch (bug) {
      this.#broke(bug)
    }
  }

  #connected({ connection, route, attempts, unanswered }: Chained): void {
    if (this.#over) return connection.close('aborted')
    CountPlug.relayed++
    this.#route = route
    this.#reached = connection
    this.#unanswered = unanswered
    this.#attempts = attempts
    this.#status = 200
    const { stack } = this.#options
    if (stack !== null) return this.#throughProgram(stack, connection)
    this.#relaying = this.#deps.relay(this.#session.client, connection, this)
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
      onSettled: () => this.#stacked?.pump?.release(),
    }
    const program = StackedProgram.start(
      this.#deps.programs,
      { ...stack, environment: environmentOf(this.#session, server) },
      { peer: client.peer, local: client.local, original: client.original },
      user,
    )
    if (program === null) {
      server.resetClose('aborted')
      this.#status = 503
      this.#session.verdict = 'DENIED_BY_LIMIT'
      return this.#away('overload', `stack ${stack.name}: the program was not started`)
    }
    const pump = new Pump({
      client,
      server,
      paths: pathsOf(stack.direction, client, server, program),
      idleTimeoutMs: this.idleTimeoutMs,
      mayEnd: from => (from === program.input || from === program.output ? program.mayEnd(stack.direction === 'both') : true),
      onPayload: from => {
        if (from === program.input || from === program.output) program.spoke()
      },
      onEnd: ({ why, by, bytesToClient, bytesToServer }) => {
        const over = (): void => {
          program.stop()
          this.onRelayed({ why, bytesToA: bytesToClient, bytesToB: bytesToServer })
        }
        // the program's own end, and no verdict yet: it knows why
        if (by === program.input || by === program.output) program.broken(over)
        else over()
      },
    })
    this.#stacked = { pump, detail: this.#stacked?.detail ?? '' }
    this.#relaying = pump
    this.#watchStats()
  }

  /** What a program says of the session it is in the middle of. */
  #judged(stack: string, verdict: Verdict, text: string): void {
    if (verdict === 'accept') return
    this.#error = verdict === 'error' ? 'internal' : 'denied'
    this.#status = verdict === 'error' ? 500 : 403
    this.#result = 'TCP_DENIED'
    const pump = this.#stacked?.pump ?? null
    this.#stacked = { pump, detail: `stack ${stack}: ${verdict}${text === '' ? '' : ` (${text})`}` }
    this.#session.verdict = verdict === 'error' ? 'DENIED_BY_UNKNOWN_FAIL' : 'DENIED_BY_POLICY'
    pump?.stop()
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

  /** From the relay, which is started with this as its options: no object and no closure for each. */
  onRelayed(stats: RelayStats): void {
    if (this.#unanswered !== undefined && stats.bytesToA === 0 && this.#nobodyWasThere(stats)) this.#unanswered()
    this.#end(stats.why, stats)
  }

  /** Its host said so, or a protocol of questions and answers was silent. Others may have nothing to say. */
  #nobodyWasThere({ why, bytesToB }: RelayStats): boolean {
    if (why === 'reset' || why === 'error') return true
    return why === 'idle' && bytesToB > 0 && this.#deps.expectsAnswers(this.#reached?.peer.port ?? 0)
  }

  #failed(error: unknown): void {
    if (this.#over) return
    if (!(error instanceof ProxyError)) return this.#broke(error)
    if (error.code === 'denied') return this.#refuse('denied', error.message)
    CountPlug.failed++
    this.#status = errorTable[error.code].status
    this.#session.verdict = 'DENIED_BY_CONNECTION_FAIL'
    this.#away(error.code, error.message)
  }

  /** The policy said no. */
  #refuse(error: ErrorCode, detail: string): void {
    CountPlug.denied++
    this.#status = 403
    this.#result = 'TCP_DENIED'
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
    this.#error = error
    this.#end(detail, null)
    this.#session.client.resetClose('refused')
  }

  #end(why: string, moved: RelayStats | null): void {
    if (this.#over) return
    this.#over = true
    this.#deps.deadlines.forget(this)
    this.#deps.record(this.#outcome(why, moved))
    this.#owner.over(this.#session)
  }

  /** In the access log a plug session is what Squid makes of a tunnel: CONNECT to where the client was going. */
  #outcome(why: string, moved: RelayStats | null): Outcome {
    const session = this.#session
    const detail = this.#stacked?.detail ?? ''
    return {
      ...connectionOutcome(session, this.#startedMono, this.#deps.clock),
      sessionId: `${session.id}/plug`,
      method: 'CONNECT',
      uri: endpointText(session.destination),
      versionMinor: 1,
      requestContentBytes: moved?.bytesToB ?? 0,
      result: this.#result,
      hierarchy: this.#route?.hierarchy ?? 'HIER_NONE',
      error: this.#error,
      errorDetail: detail === '' ? why : detail,
      storeReason: 'tunnel',
      server: this.#reached?.peer ?? null,
      serverLocal: this.#reached?.local ?? null,
      forged: this.#reached !== null && this.#route?.forged === true,
      attempts: this.#attempts,
      serverContentBytes: moved?.bytesToA ?? -1,
      status: this.#status,
      responseBytes: moved?.bytesToA ?? 0,
    }
  }
}

interface Stacked {
  readonly pump: Pump | null
  /** What its program said. */
  readonly detail: string
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
