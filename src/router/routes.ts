import {
  type Endpoint,
  type ErrorCode,
  endpoint,
  endpointText,
  type Family,
  type HierarchyCode,
} from '../base/index.ts'
import type { ResolvedName } from '../../comm/resolver.ts'
import type { Peer } from '../peer/peer.ts'
import type { Session } from '../service/session.ts'
import { addressesOf, type Lookup } from './resolve.ts'
import type { Route, RouteAnswer, RouteHint } from './router.ts'

// From targets to routes: which source goes with each, and which targets are none.

export interface RouterOptions {
  readonly name: string
  /** Servers see the client's address, where the policy (RouteHint.forge) agrees. */
  readonly forgeAddress: boolean
  /** Is this one of our own listening endpoints? Never routed to: it would be a loop. */
  readonly isOwn: (target: Endpoint, protocol: 'tcp' | 'udp') => boolean
  /** The port servers see. group, exact and random begin from the client's; a number is that port. */
  readonly forgePort?: ForgePort
  /** Where cache_peers are; null = its sessions never go to one. */
  readonly peerLookup?: Lookup | null
  /** forward_max_tries: more routes than can be tried are not made. */
  readonly routesMax?: number
}

export type ForgePort = 'any' | 'group' | 'exact' | 'random' | number

export const usualRoutesMax = 25

export const refuse = (error: ErrorCode, detail: string): RouteAnswer => ({ ok: false, error, detail })

/** One target, as it is. */
export const routeTo = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  target: Endpoint,
  hierarchy: HierarchyCode,
): RouteAnswer => {
  if (target.port === 0) return refuse('no-route', `${options.name}: no port is known for ${target.address}`)
  if (options.isOwn(target, session.client.protocol)) return refuse('loop', loopText(options, target))
  const forged = options.forgeAddress && hint.forge
  if (forged && clientOf(session, hint).family !== target.family) return refuse('no-route', familyText(options, session, hint))
  return { ok: true, routes: [route(options, session, hint, target, forged, hierarchy)] }
}

/** A name's addresses, in their order. */
export const routesTo = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  addresses: readonly string[],
  port: number,
): RouteAnswer => {
  const forged = options.forgeAddress && hint.forge
  const family = clientOf(session, hint).family
  const routes: Route[] = []
  let own: Endpoint | null = null
  let otherFamily = false
  for (const address of addresses) {
    const target = endpoint(address, port)
    if (options.isOwn(target, session.client.protocol)) own ??= target
    // comm refuses to bind one family and connect the other; Squid's noteIp skips them too
    else if (forged && target.family !== family) otherFamily = true
    else routes.push({ ...route(options, session, hint, target, forged, 'HIER_DIRECT'), sameServer: routes.length > 0 })
    if (routes.length === (options.routesMax ?? usualRoutesMax)) break
  }
  const [first, ...others] = routes
  if (first !== undefined) return { ok: true, routes: [first, ...others] }
  if (own !== null) return refuse('loop', loopText(options, own))
  return refuse('no-route', otherFamily ? familyText(options, session, hint) : `${options.name}: the name has no addresses`)
}

/** Servers each of its own, in their order; ourselves, and those that cannot be reached with the client's address, are left out. */
export const routesToServers = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  targets: readonly Endpoint[],
): RouteAnswer => {
  const forged = options.forgeAddress && hint.forge
  const routes: Route[] = []
  let own: Endpoint | null = null
  for (const target of targets) {
    if (options.isOwn(target, session.client.protocol)) own ??= target
    else if (!forged || target.family === clientOf(session, hint).family) routes.push(route(options, session, hint, target, forged, 'HIER_DIRECT'))
  }
  const [first, ...others] = routes
  if (first !== undefined) return { ok: true, routes: [first, ...others] }
  return own !== null ? refuse('loop', loopText(options, own)) : refuse('no-route', familyText(options, session, hint))
}

/**
 * To a cache_peer, by all addresses it has. The client's address goes there too, unless the line says no-tproxy, and never ours
 * in its place: a peer without an address of the client's family is no way for it then.
 */
export const routesToPeer = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  peer: Peer,
  hierarchy: HierarchyCode,
): RouteAnswer | Promise<RouteAnswer> => {
  const lookup = options.peerLookup ?? null
  if (lookup === null) return refuse('no-route', `${options.name}: has servers of its own`)
  const resolved = addressesOf(peer.line.host, lookup)
  return resolved instanceof Promise
    ? resolved.then(answer => peerAnswer(options, session, hint, peer, hierarchy, answer))
    : peerAnswer(options, session, hint, peer, hierarchy, resolved)
}

const peerAnswer = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  peer: Peer,
  hierarchy: HierarchyCode,
  answer: ResolvedName,
): RouteAnswer => {
  const { host, port, noTproxy } = peer.line
  if (!answer.ok) return refuse('dns-failed', `cache_peer ${peer.name}: ${host}: ${answer.code}`)
  peer.livesAt(answer.addresses)
  const forged = options.forgeAddress && hint.forge && !noTproxy
  const tls = hint.tunnel === undefined ? peerTls(peer, hint) : hint.tls
  const routes: Route[] = []
  for (const address of answer.addresses) {
    const target = endpoint(address, port)
    if (options.isOwn(target, 'tcp')) return refuse('loop', loopText(options, target))
    if (forged && target.family !== clientOf(session, hint).family) continue
    const found = route(options, session, hint, target, forged, hierarchy)
    routes.push({ ...found, ports: undefined, tls, tunnel: hint.tunnel, peer, sameServer: routes.length > 0 })
  }
  const [first, ...others] = routes
  return first === undefined ? refuse('no-route', `cache_peer ${peer.name}: ${familyText(options, session, hint)}`) : { ok: true, routes: [first, ...others] }
}

/** Its own: to the origin behind it the peer speaks. */
const peerTls = ({ tls }: Peer, { judgePeer }: RouteHint): Route['tls'] =>
  tls === null || judgePeer === undefined ? undefined : { ...tls, judge: judgePeer }

/** What the protocol named. */
export const hintText = (hint: RouteHint): string => (hint.port === 0 ? `${hint.host}` : `${hint.host}:${hint.port}`)

/** Whose address servers see where it is forged. */
const clientOf = (session: Session, hint: RouteHint): Endpoint => hint.forgedAs ?? session.client.peer

const route = (
  options: RouterOptions,
  session: Session,
  hint: RouteHint,
  target: Endpoint,
  forged: boolean,
  hierarchy: HierarchyCode,
): Route => {
  const port = sourcePort(options, session)
  return {
    target,
    source: forged ? sourceLike(clientOf(session, hint), port) : ownSource(hint, target.family, port),
    forged,
    ports: port !== 0 && (options.forgePort === 'group' || options.forgePort === 'random') ? options.forgePort : undefined,
    mark: hint.mark,
    tos: hint.tos,
    tls: hint.tls,
    hierarchy,
  }
}

const sourceLike = ({ family, address }: Endpoint, port: number): Endpoint => ({ family, address, port })

/** Zorp's forge_port. group and random: what the chainer begins with. */
const sourcePort = ({ forgePort = 'any' }: RouterOptions, session: Session): number =>
  forgePort === 'any' ? 0 : typeof forgePort === 'number' ? forgePort : session.client.peer.port

/** tcp_outgoing_address; null = the kernel chooses. */
const ownSource = (hint: RouteHint, family: Family, port: number): Endpoint | null => {
  const address = family === 4 ? hint.sourceIPv4 : hint.sourceIPv6
  if (address !== null) return { family, address, port }
  return port === 0 ? null : { family, address: family === 4 ? '0.0.0.0' : '::', port }
}

const loopText = (options: RouterOptions, target: Endpoint): string =>
  `${options.name}: ${endpointText(target)} is this proxy itself`

const familyText = (options: RouterOptions, session: Session, hint: RouteHint): string =>
  `${options.name}: with the client's address as source only IPv${clientOf(session, hint).family} servers can be reached`
