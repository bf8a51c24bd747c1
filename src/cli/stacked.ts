import type { Connection } from '../../comm/index.ts'
import type { Chainer } from '../chainer/index.ts'
import type { Proxy } from '../proxy/index.ts'
import type { Route, Router } from '../router/index.ts'
import { noLimits, type Service, type Session, StackedSession } from '../service/index.ts'

/** A proxy inside another one's session, over what that one made of the client's connection. */
export const startInside = (owner: Session, client: Connection, proxy: Proxy): Session => {
  const session = new StackedSession(owner, owner.service, client)
  proxy.run(session)
  return session
}

/**
 * The right proxy of a side stack, in the session of the left one. It goes where the left one was going; who its client
 * is, and how it was taken, is what the left one knows.
 */
export const startStacked = (owner: Session, client: Connection, proxy: Proxy, chainer: Chainer, routes: readonly Route[]): void => {
  const [first, ...others] = routes
  if (first === undefined) return client.resetClose('refused')
  const router: Router = { name: 'side_stack', route: () => ({ ok: true, routes: [first, ...others] }) }
  const service: Service = { name: owner.service.name, proxy, router, chainer, limits: noLimits, running: 1 }
  proxy.run(new StackedSession(owner, service, client))
}
