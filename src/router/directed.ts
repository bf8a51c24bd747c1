import { canonicalAddress, type Endpoint, endpointText } from '../base/index.ts'
import type { Session } from '../service/session.ts'
import { routeByHost } from './inband.ts'
import type { Lookup } from './resolve.ts'
import type { RouteAnswer, RouteHint, Router } from './router.ts'
import { hintText, type RouterOptions, refuse, routesToServers } from './routes.ts'

// To servers the conf names (Zorp's DirectedRouter), wherever the client was going.

export interface DirectedRouterOptions extends RouterOptions {
  /** In the order to try. */
  readonly targets: readonly [Endpoint, ...Endpoint[]]
  /** The protocol may choose the server. Needs `lookup`. */
  readonly overridable?: Lookup | null
}

export const createDirectedRouter = (options: DirectedRouterOptions): Router => new DirectedRouter(options)

class DirectedRouter implements Router {
  readonly name: string
  readonly #options: DirectedRouterOptions

  constructor(options: DirectedRouterOptions) {
    this.name = options.name
    this.#options = options
  }

  route(session: Session, hint: RouteHint): RouteAnswer | Promise<RouteAnswer> {
    const options = this.#options
    if (hint.host !== null && !hint.pinned && !options.targets.some(target => names(hint, target))) {
      const lookup = options.overridable ?? null
      if (lookup !== null) return routeByHost(options, session, hint, hint.host, lookup)
      return refuse('no-route', `${this.name}: the protocol may not choose ${hintText(hint)} instead of ${this.#servers()}`)
    }
    return routesToServers(options, session, hint, options.targets)
  }

  #servers(): string {
    return this.#options.targets.map(endpointText).join(', ')
  }
}

const names = (hint: RouteHint, target: Endpoint): boolean =>
  (hint.port === 0 || hint.port === target.port) && canonicalAddress(hint.host ?? '') === target.address
