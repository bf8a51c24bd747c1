import type { Connection } from '../../../comm/connection.ts'
import type { Clock, DurationMs, Endpoint, Outcome } from '../../base/index.ts'
import type { RouteHint } from '../../router/router.ts'
import type { Session } from '../../service/session.ts'
import type { Proxy } from '../proxy.ts'
import { PlugSession } from './plug-session.ts'

export interface PlugDeps {
  readonly clock: Clock
  readonly relay: Relay
  /** Where the router may go, and in whose name: what the conf says for sessions without a request. */
  readonly hint: (session: Session) => RouteHint
  /** Is a connection with these ends one that we made? A rule without an exemption for us brought it back. */
  readonly isOwnConnection: (from: Endpoint, to: Endpoint) => boolean
  readonly record: (outcome: Outcome) => void
  /** A fault of ours; `where` is the session's path. */
  readonly bug: (where: string, error: unknown) => void
}

export interface RelayStats {
  readonly bytesToA: number
  readonly bytesToB: number
  /** done, idle, reset, error or stopped. */
  readonly why: string
}

export type Relay = (
  a: Connection,
  b: Connection,
  options: { readonly idleTimeoutMs: number; readonly onEnd: (stats: RelayStats) => void },
) => void

export interface PlugOptions {
  /** Nothing moved for so long in either direction; Infinity = for ever. */
  readonly idleTimeout: DurationMs
}

export const createPlugProxy = (deps: PlugDeps, options: PlugOptions): Proxy => ({
  name: 'plug',
  run(session: Session): void {
    new PlugSession(deps, options, session).start()
  },
})
