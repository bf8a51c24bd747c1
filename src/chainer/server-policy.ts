import { type Endpoint, ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { Session } from '../service/session.ts'
import { applyNat, type NatPolicies, noNat } from './nat/index.ts'

// What a service says of its servers, between router and connect, in Zorp's order: SNAT and DNAT on the router's ends,
// then the zone of the target as it is after DNAT. A target that is refused is left out; the others are tried.

export interface ServerPolicy {
  readonly nat: NatPolicies
  /** Why a connection to this target, as it is after DNAT, is not allowed; '' when it is. */
  readonly denies: (target: Endpoint) => string
}

export const noServerPolicy: ServerPolicy = { nat: noNat, denies: () => '' }

export interface Allowed {
  readonly routes: readonly Route[]
  /** A failure for each that was left out. */
  readonly denied: readonly ProxyError[]
}

const nobody: readonly ProxyError[] = []

export const allowedRoutes = (policy: ServerPolicy, session: Session, routes: readonly Route[]): Allowed => {
  if (policy === noServerPolicy) return { routes, denied: nobody }
  const allowed: Route[] = []
  const denied: ProxyError[] = []
  for (const route of routes) {
    const found = afterNat(policy.nat, session, route)
    const detail = typeof found === 'string' ? found : policy.denies(found.target)
    if (typeof found !== 'string' && detail === '') allowed.push(found)
    else denied.push(new ProxyError('denied', detail, { side: 'proxy' }))
  }
  return { routes: allowed, denied }
}

/** The route as it leaves, or why it may not. */
const afterNat = (nat: NatPolicies, session: Session, route: Route): Route | string => {
  if (nat.snat === null && nat.dnat === null) return route
  // Zorp: with an SNAT policy the client's address stands in as the source, forged or not, with the port that is wanted
  const source = route.forged ? route.source : clientSource(session, route.source?.port ?? 0)
  const answer = applyNat(nat, session, route.target, nat.snat === null ? route.source : source)
  if (!answer.ok) return answer.detail
  const mapped = answer.source !== null && nat.snat !== null && answer.source !== source
  // it may be anybody's address, and never falls back to ours
  if (mapped) return { ...route, target: answer.target, source: answer.source, forged: true }
  return { ...route, target: answer.target, source: familySource(route, answer.target) }
}

const clientSource = ({ client: { peer } }: Session, port: number): Endpoint => ({ ...peer, port })

/** Our own choice for another family is the kernel's. */
const familySource = ({ source, target }: Route, now: Endpoint): Endpoint | null =>
  source === null || target.family === now.family ? source : null
