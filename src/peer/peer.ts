import { type Clock, type DurationMs, elapsed, type MonoMs, ms, type ProxyError, systemClock } from '../base/index.ts'
import type { CachePeerLine } from '../conf/index.ts'
import type { TlsClient } from '../tls/index.ts'

// One cache_peer and what is known of it. It is up until connect-fail-limit= connections in a row could not be made, and
// down until one can: while it is down it is tried when a request would have gone there, once a second at most (Squid).
//
//   up ──connection failed, again and again──► down ──a probe connects──► up
//    └──silent to ICP for dead_peer_timeout──► silent ──an answer──► up

/** What a peer needs of the rest. */
export interface PeerWorld {
  readonly clock: Clock
  /** Is somebody there? `done` is called once, later. */
  readonly probe: (peer: Peer, done: (failure: string | null) => void) => void
  /** For cache.log, as Squid words it. */
  readonly say: (text: string, important: boolean) => void
}

export interface PeerTimes {
  /** peer_connect_timeout, where the line says nothing. */
  readonly connect: DurationMs
  /** dead_peer_timeout. */
  readonly dead: DurationMs
}

/** How TLS is spoken to a peer. */
export interface PeerTls {
  readonly client: TlsClient
  /** What its certificate has to name. */
  readonly name: string
}

/** What outlives a conf in which the same peer is named again. */
class PeerState {
  /** Where it is, as last resolved. */
  addresses: readonly string[] = []
  /** Connections in a row that could not be made. */
  failedInRow = 0
  /** What cache.log was told last. */
  toldDead = false
  probing = false
  probedAt: MonoMs | null = null
  /** Lusca's monitorurl: what is wrong with its answer; '' = nothing. */
  monitored = ''
  /** Connections open and being opened. */
  connections = 0
  /** Of them: open and without a request. */
  idle = 0
  /** How much of its turn it has had (round-robin). */
  turns = 0
  /** Milliseconds between a query and its answer, on average; 0 = never measured. */
  rtt = 0
  /** When the first query was sent that no answer has followed. */
  silentSince: MonoMs | null = null
  lastQuery: MonoMs | null = null
  lastReply: MonoMs | null = null
  lastFailure: MonoMs | null = null
  /** Requests sent to it. */
  fetches = 0
  /** Answers after which the connection could stay open. */
  kept = 0
  queries = 0
  replies = 0
  /** Answers to nothing that was still asked. */
  ignored = 0
  hits = 0
  misses = 0
  denied = 0
}

/** Squid asks no more than once a second whether a peer is back. */
const probeEvery = ms(1000)

export class Peer {
  readonly line: CachePeerLine
  /** Null: in clear text. */
  readonly tls: PeerTls | null
  readonly #times: PeerTimes
  #world: PeerWorld = nowhere
  #state = new PeerState()

  constructor(line: CachePeerLine, times: PeerTimes, tls: PeerTls | null) {
    this.line = line
    this.tls = tls
    this.#times = times
  }

  /** Its conf holds from now on. `former`: the same peer in the conf before; what was known of it still is. */
  begin(world: PeerWorld, former: Peer | null): void {
    this.#world = world
    if (former !== null) this.#state = former.#state
  }

  get state(): Readonly<PeerState> {
    return this.#state
  }

  get name(): string {
    return this.line.name
  }

  get connectTimeout(): DurationMs {
    return this.line.connectTimeout === null ? this.#times.connect : ms(this.line.connectTimeout * 1000)
  }

  get isConnectable(): boolean {
    return this.#state.failedInRow < this.line.connectFailLimit
  }

  /** It is asked by ICP before it is used. */
  get isQueried(): boolean {
    return this.line.icpPort !== 0 && !this.line.noQuery
  }

  get isSilent(): boolean {
    const { silentSince } = this.#state
    return this.isQueried && silentSince !== null && elapsed(silentSince, this.#world.clock.mono()) > this.#times.dead
  }

  /** Every so often it is asked by ICP whether or not it is there. */
  get isDueForQuery(): boolean {
    const { lastQuery } = this.#state
    return lastQuery === null || elapsed(lastQuery, this.#world.clock.mono()) > this.#times.dead
  }

  askedWithin(pastMs: number): boolean {
    const { lastQuery } = this.#state
    return lastQuery !== null && elapsed(lastQuery, this.#world.clock.mono()) < pastMs
  }

  get isUp(): boolean {
    return this.isConnectable && this.#state.monitored === '' && !this.isSilent
  }

  get hasRoom(): boolean {
    const { connections, idle } = this.#state
    return this.line.connectionsMax === 0 || connections < this.line.connectionsMax || idle > 0
  }

  /** As a request sees it. One that cannot be connected to is probed, so that later requests find it again. */
  get isUsable(): boolean {
    if (!this.isConnectable) this.probe()
    return this.isUp && this.hasRoom
  }

  /** Looks whether somebody is there, unless that is being done or was just now. */
  probe(): void {
    const state = this.#state
    const now = this.#world.clock.mono()
    if (state.probing || (state.probedAt !== null && elapsed(state.probedAt, now) < probeEvery)) return
    state.probing = true
    state.probedAt = now
    this.#world.probe(this, failure => {
      state.probing = false
      if (failure === null) this.reached()
      else this.#notThere(this.line.connectFailLimit)
    })
  }

  /** Its turn was used up by so much. */
  took(turns: number): void {
    this.#state.turns += turns
  }

  beginTurnsAnew(): void {
    this.#state.turns = 0
  }

  livesAt(addresses: readonly string[]): void {
    this.#state.addresses = addresses
  }

  fetches(): void {
    this.#state.fetches++
  }

  kept(): void {
    this.#state.kept++
  }

  // ---- told by whoever connects to it: dialled, then failed, or reached and at the end ended

  dialled(): void {
    this.#state.connections++
  }

  reached(): void {
    this.#state.failedInRow = 0
    this.#tellAlive()
  }

  failed(error: ProxyError): void {
    this.ended()
    if (peerFaults.has(error.code)) this.#failedOnce()
  }

  /** It was reached, and neither TLS nor a tunnel came of that: as good as no connection (Squid). */
  useless(): void {
    this.#failedOnce()
  }

  ended(): void {
    this.#state.connections--
  }

  /** A connection has become idle (1), or is so no more (-1). */
  rests(change: 1 | -1): void {
    this.#state.idle += change
  }

  // ---- told by ICP

  queried(answerExpected: boolean): void {
    const state = this.#state
    state.queries++
    state.lastQuery = this.#world.clock.mono()
    state.silentSince ??= state.lastQuery
    if (!answerExpected) this.#tellDead()
  }

  answered(what: 'hits' | 'misses' | 'denied' | null): void {
    const state = this.#state
    state.replies++
    if (what !== null) state[what]++
    state.lastReply = this.#world.clock.mono()
    state.silentSince = null
    this.#tellAlive()
  }

  ignored(): void {
    this.#state.ignored++
  }

  /** Squid's running average, over so many answers at most. */
  measured(tookMs: number): void {
    if (tookMs < 1 || tookMs > 10_000) return
    const state = this.#state
    const over = Math.min(Math.max(1, state.replies), this.line.weightedRoundRobin ? 25 : 50)
    state.rtt = Math.floor((state.rtt * (over - 1) + tookMs) / over)
  }

  // ---- told by monitorurl=

  /** '' = its answer was good. */
  monitored(fault: string): void {
    this.#state.monitored = fault
    if (fault === '') this.#tellAlive()
    else this.#tellDead()
  }

  #failedOnce(): void {
    this.#world.say(`TCP connection to ${this.line.host}/${this.line.port} failed`, false)
    this.#notThere(this.#state.failedInRow + 1)
  }

  #notThere(failedInRow: number): void {
    this.#state.lastFailure = this.#world.clock.mono()
    this.#state.failedInRow = Math.max(this.#state.failedInRow, failedInRow)
    if (!this.isConnectable) this.#tellDead()
  }

  #tellDead(): void {
    if (this.#state.toldDead) return
    this.#state.toldDead = true
    this.#world.say(`Detected DEAD ${this.kindName}: ${this.name}`, true)
  }

  #tellAlive(): void {
    if (!this.#state.toldDead || !this.isUp) return
    this.#state.toldDead = false
    this.#world.say(`Detected REVIVED ${this.kindName}: ${this.name}`, true)
  }

  get kindName(): 'Parent' | 'Sibling' {
    return this.line.kind === 'parent' ? 'Parent' : 'Sibling'
  }
}

/** Of a conf that is only looked at. */
const nowhere: PeerWorld = { clock: systemClock, probe: () => {}, say: () => {} }

/** What says something about the peer, and not about us. */
const peerFaults: ReadonlySet<string> = new Set(['connect-failed', 'connect-timeout'])
