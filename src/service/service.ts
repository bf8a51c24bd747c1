import type { Connection } from '../../comm/connection.ts'
import type { Chainer } from '../chainer/chainer.ts'
import type { Proxy } from '../proxy/proxy.ts'
import type { Router } from '../router/router.ts'
import type { SessionLimits } from './census.ts'
import type { Decided, Session } from './session.ts'

/** A named bundle: which proxy speaks, where it may go, how it gets there, and how many at once. */
export interface Service {
  readonly name: string
  readonly proxy: Proxy
  readonly router: Router
  readonly chainer: Chainer
  /** Sessions at once. Zorp's max_instances. */
  readonly limits: SessionLimits
  /** Sessions now, and connections that sessions have taken beside their first. Only the service room writes it. */
  running: number
  /**
   * A connection more for a session that runs: listed, counted for its client and recorded as `svc/mail:4711+1`, `place`
   * being 1, but no session of its own. The caller runs it. Null: a limit of its client or zone says no, the connection
   * is still whoever's it was. Absent: this service's sessions take none.
   */
  take?(first: Session, place: number, connection: Connection, decided: Decided): Session | null
}
