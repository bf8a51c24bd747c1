import type { ResolvedName } from '../../comm/resolver.ts'
import type { HierarchyCode } from '../base/index.ts'
import type { Peer } from '../peer/peer.ts'
import type { Session } from '../service/session.ts'
import { addressesOf, type Lookup } from './resolve.ts'
import type { RouteAnswer, RouteHint, Router } from './router.ts'
import { type RouterOptions, refuse, routesTo, routesToPeer, routeTo } from './routes.ts'

// To where the protocol says (Zorp's InbandRouter): a forward or accelerator port. Only the protocol knows the server.

export interface InbandRouterOptions extends RouterOptions {
  readonly lookup: Lookup
}

export const createInbandRouter = (options: InbandRouterOptions): Router => new InbandRouter(options)

class InbandRouter implements Router {
  readonly name: string
  readonly #options: InbandRouterOptions

  constructor(options: InbandRouterOptions) {
    this.name = options.name
    this.#options = options
  }

  routeToPeer(session: Session, hint: RouteHint, peer: Peer, hierarchy: HierarchyCode): RouteAnswer | Promise<RouteAnswer> {
    return routesToPeer(this.#options, session, hint, peer, hierarchy)
  }

  route(session: Session, hint: RouteHint): RouteAnswer | Promise<RouteAnswer> {
    if (hint.pinned) return this.#originalDestination(session, hint)
    if (hint.host === null) return refuse('no-route', `${this.name}: the protocol names no server`)
    return routeByHost(this.#options, session, hint, hint.host, this.#options.lookup)
  }

  #originalDestination(session: Session, hint: RouteHint): RouteAnswer {
    // asked for the original destination where there is none: connecting to our own end would be a loop
    if (session.taken === 'direct') return refuse('no-route', `${this.name}: the client was on its way to nobody else`)
    return routeTo(this.#options, session, hint, session.destination, 'ORIGINAL_DST')
  }
}

/** All addresses of a host, at once where the resolver knows them. */
export const routeByHost = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  host: string,
  lookup: Lookup,
): RouteAnswer | Promise<RouteAnswer> => {
  const port = portOf(session, hint)
  if (port === 0) return refuse('no-route', `${options.name}: the protocol names no port for ${host}`)
  const resolved = addressesOf(host, lookup)
  return resolved instanceof Promise
    ? resolved.then(answer => answered(options, session, hint, host, port, answer))
    : answered(options, session, hint, host, port, resolved)
}

/** Not said: the one the client went to (Zorp); on a plain port that would be ours. */
const portOf = (session: Session, hint: RouteHint): number => {
  if (hint.port !== 0) return hint.port
  return session.taken === 'direct' ? 0 : session.destination.port
}

const answered = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  host: string,
  port: number,
  resolved: ResolvedName,
): RouteAnswer =>
  resolved.ok
    ? routesTo(options, session, hint, resolved.addresses, port)
    : refuse('dns-failed', `${host}: ${resolved.code}`)
