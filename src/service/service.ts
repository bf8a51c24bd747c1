import type { Chainer } from '../chainer/chainer.ts'
import type { Proxy } from '../proxy/proxy.ts'
import type { Router } from '../router/router.ts'
import type { SessionLimits } from './census.ts'

/** A named bundle: which proxy speaks, where it may go, how it gets there, and how many at once. */
export interface Service {
  readonly name: string
  readonly proxy: Proxy
  readonly router: Router
  readonly chainer: Chainer
  /** Sessions at once. Zorp's max_instances. */
  readonly limits: SessionLimits
  /** Sessions now. Only the service room writes it. */
  running: number
}
