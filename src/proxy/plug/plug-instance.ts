import type { Connection } from '../../../comm/connection.ts'
import type { Decided, Session } from '../../service/session.ts'
import type { Limit, PlugDeps, PlugOptions } from './plug-proxy.ts'
import { type PlugOwner, PlugSession } from './plug-session.ts'
import type { Secondaries } from './secondaries.ts'
import type { SharedLimits } from './shared-limits.ts'

// Zorp's proxy instance: a session with what its connections share, which is its bandwidth, and the further connections
// it takes. It lives until the last of them has ended, the first one or another.

/** Limits that instances of one service share; null = none. */
export interface Shares {
  readonly clients: SharedLimits | null
  readonly zones: SharedLimits | null
}

export class PlugInstance implements PlugOwner {
  readonly session: Session
  readonly #deps: PlugDeps
  readonly #options: PlugOptions
  readonly #shares: Shares
  readonly #secondaries: Secondaries | null
  readonly #own: Limit | null
  /** Connections beside the first, now and ever. */
  secondary = 0
  #numbered = 0
  #running = 0

  constructor(deps: PlugDeps, options: PlugOptions, shares: Shares, secondaries: Secondaries | null, session: Session) {
    this.session = session
    this.#deps = deps
    this.#options = options
    this.#shares = shares
    this.#secondaries = secondaries
    this.#own = options.bandwidth === null ? null : deps.bandwidth(options.bandwidth)
  }

  start(): void {
    this.#secondaries?.add(this)
    this.#run(this.session)
  }

  /** One more. The table has seen that it is alike, and that there is room. False: it may not be. */
  take(client: Connection, decided: Decided): boolean {
    const session = this.session.service.take?.(this.session, this.#numbered + 1, client, decided) ?? null
    if (session === null) return false
    this.#numbered++
    this.secondary++
    this.#run(session)
    return true
  }

  #run(session: Session): void {
    this.#running++
    new PlugSession(this.#deps, this.#options, session, this.#limitsOf(session), this).start()
  }

  /** From a session of ours, once. */
  over(session: Session): void {
    const { clients, zones } = this.#shares
    clients?.giveBack(session.client.peer.address)
    zones?.giveBack(session.clientZone ?? '')
    if (session !== this.session) this.secondary--
    if (--this.#running === 0) this.#end()
  }

  #limitsOf({ client, clientZone }: Session): readonly Limit[] {
    const { clients, zones } = this.#shares
    if (clients === null && zones === null && this.#own === null) return unlimited
    const limits: Limit[] = this.#own === null ? [] : [this.#own]
    if (clients !== null) limits.push(clients.take(client.peer.address))
    if (zones !== null) limits.push(zones.take(clientZone ?? ''))
    return limits
  }

  #end(): void {
    this.#secondaries?.remove(this)
    this.#own?.close()
  }
}

const unlimited: readonly Limit[] = []
