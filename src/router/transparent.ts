import { canonicalAddress, type Endpoint, endpointText, type HierarchyCode } from '../base/index.ts'
import type { Peer } from '../peer/peer.ts'
import type { Session } from '../service/session.ts'
import { routeByHost } from './inband.ts'
import type { Lookup } from './resolve.ts'
import type { RouteAnswer, RouteHint, Router } from './router.ts'
import { hintText, type RouterOptions, refuse, routesToPeer, routeTo } from './routes.ts'

// To where the client was going (Zorp's TransparentRouter). What the protocol says about the server counts only if
// `overridable`; otherwise a hint that names another server is refused: Zorp ignored it and connected elsewhere than
// the proxy believed.

export interface TransparentRouterOptions extends RouterOptions {
  /** Replaces the port of the original destination; 0 = as it was. */
  readonly forcedPort?: number
  /** The protocol may choose the server (a verified Host with client_dst_passthru off). Needs `lookup`. */
  readonly overridable?: Lookup | null
}

export const createTransparentRouter = (options: TransparentRouterOptions): Router => new TransparentRouter(options)

class TransparentRouter implements Router {
  readonly name: string
  readonly #options: TransparentRouterOptions

  constructor(options: TransparentRouterOptions) {
    this.name = options.name
    this.#options = options
  }

  routeToPeer(session: Session, hint: RouteHint, peer: Peer, hierarchy: HierarchyCode): RouteAnswer | Promise<RouteAnswer> {
    return routesToPeer(this.#options, session, hint, peer, hierarchy)
  }

  route(session: Session, hint: RouteHint): RouteAnswer | Promise<RouteAnswer> {
    const options = this.#options
    const { destination } = session
    if (hint.host !== null && !hint.pinned && !names(hint, destination)) {
      const lookup = options.overridable ?? null
      if (lookup !== null) return routeByHost(options, session, hint, hint.host, lookup)
      const server = endpointText(destination)
      return refuse('no-route', `${this.name}: the protocol may not choose ${hintText(hint)} instead of ${server}`)
    }
    // nobody redirected it: its destination is our own endpoint
    if (session.taken === 'direct') return refuse('loop', `${this.name}: the client connected to this proxy itself`)
    const port = options.forcedPort ?? 0
    const target = port === 0 ? destination : { ...destination, port }
    return routeTo(options, session, hint, target, 'ORIGINAL_DST')
  }
}

/** The hint says the same as the original destination. */
const names = (hint: RouteHint, destination: Endpoint): boolean =>
  (hint.port === 0 || hint.port === destination.port) && canonicalAddress(hint.host ?? '') === destination.address
