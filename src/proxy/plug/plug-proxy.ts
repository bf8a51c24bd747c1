import type { Bandwidth } from '../../../comm/bandwidth.ts'
import type { Connection } from '../../../comm/connection.ts'
import type { Relay as Relaying, RelayOptions } from '../../../comm/engine/engine.ts'
import { type Clock, type Deadlines, type DurationMs, type Endpoint, ms, type Outcome } from '../../base/index.ts'
import type { RouteHint } from '../../router/router.ts'
import type { Session } from '../../service/session.ts'
import type { Proxy } from '../proxy.ts'
import type { ProgramDeps } from '../stack/index.ts'
import { PlugInstance, type Shares } from './plug-instance.ts'
import { Secondaries, type SecondaryPort } from './secondaries.ts'
import { SharedLimits } from './shared-limits.ts'

export interface PlugDeps {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly relay: Relay
  /** comm's: so many bytes a second each way, for all relays that are given it. */
  readonly bandwidth: (bytesPerSecond: number) => Limit
  /** Where the router may go, and in whose name: what the conf says for sessions without a request. */
  readonly hint: (session: Session) => RouteHint
  /** Is a connection with these ends one that we made? A rule without an exemption for us brought it back. */
  readonly isOwnConnection: (from: Endpoint, to: Endpoint) => boolean
  /** Where entries that are asked before its listener are registered; null: the port has gone. */
  readonly portOf: (session: Session) => SecondaryPort | null
  /** Is silence of that port of datagrams a failure? */
  readonly expectsAnswers: (port: number) => boolean
  /** For programs that are stacked. */
  readonly programs: ProgramDeps
  readonly record: (outcome: Outcome) => void
  /** The bytes of a session that runs, every stats_interval. */
  readonly stats: (where: string, bytesToServer: number, bytesToClient: number) => void
  /** A fault of ours; `where` is the session's path. */
  readonly bug: (where: string, error: unknown) => void
}

export type Limit = Bandwidth

/** comm's. */
export type Relay = (a: Connection, b: Connection, options: RelayOptions) => Relaying

/** A stack line with a program. */
export interface PlugStack {
  readonly name: string
  readonly command: string
  readonly direction: 'both' | 'to_server' | 'to_client'
  readonly timeout: DurationMs
}

export interface PlugOptions {
  /** What the bytes go through; null = nothing. */
  readonly stack: PlugStack | null
  /** Nothing moved for so long in either direction; Infinity = for ever. */
  readonly idleTimeout: DurationMs
  readonly oneWay: 'no' | 'to_server' | 'to_client'
  /** Bytes a second each way: of a session, of a client address, of a zone; null = no limit. */
  readonly bandwidth: number | null
  readonly bandwidthPerClient: number | null
  readonly bandwidthPerZone: number | null
  /** Infinity = never. */
  readonly statsInterval: DurationMs
  /** Connections a session takes beside its first; 0 = none. */
  readonly secondarySessions: number
  readonly secondaryMask: number
}

/** A plug that only passes bytes on. */
export const plainPlug: PlugOptions = {
  stack: null,
  idleTimeout: ms(Number.POSITIVE_INFINITY),
  oneWay: 'no',
  bandwidth: null,
  bandwidthPerClient: null,
  bandwidthPerZone: null,
  statsInterval: ms(Number.POSITIVE_INFINITY),
  secondarySessions: 0,
  secondaryMask: 0xf,
}

export const createPlugProxy = (deps: PlugDeps, options: PlugOptions): Proxy => {
  const share = (rate: number | null): SharedLimits | null => (rate === null ? null : new SharedLimits(deps.bandwidth, rate))
  const shares: Shares = { clients: share(options.bandwidthPerClient), zones: share(options.bandwidthPerZone) }
  const { secondarySessions: max, secondaryMask: mask } = options
  const secondaries = max === 0 ? null : new Secondaries({ mask, max }, ({ session }) => deps.portOf(session))
  return {
    name: 'plug',
    run(session: Session): void {
      new PlugInstance(deps, options, shares, secondaries, session).start()
    },
  }
}
