import { elapsed, type Endpoint, type HierarchyCode, type MonoMs, ProxyError } from '../../base/index.ts'
import type { Peer } from '../../peer/peer.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../../chainer/chainer.ts'
import type { Fields } from '../../http/index.ts'
import type { PeerAnswer, PeerQuestion, PeerRouter } from '../../router/index.ts'
import type { Route, RouteAnswer, RouteHint } from '../../router/router.ts'
import { tiedRoutes } from './connection-auth.ts'
import { requestThere, routeHint } from './forward-request.ts'
import { connectText, isTunnelled, onlyIfCached, peerRequest } from './peer-request.ts'
import { judgeFor } from './server-tls.ts'
import type { Transaction } from './transaction.ts'

// Where there are cache_peers: the ways a request may take, tried one after the other. Each is looked up when its turn
// comes, so that a proxy behind others never needs a name of the world outside.
//
//   chosen ──► way ──► routes ──► chainer.fetch ──► head
//                ▲                    │ failed, or 502 / 504 of a proxy: the next way, if the request can be sent again
//                └────────────────────┘

/** A peer, or (null) the origin. */
export interface ServerWay {
  readonly peer: Peer | null
  readonly code: HierarchyCode
}

/** Null: this request's session has servers of its own, or may go nowhere but to where its client went. */
export const peersFor = (t: Transaction): PeerRouter | null => {
  const { peers } = t.policy
  if (peers === null || t.client.port.pinned || t.client.session.service.router.routeToPeer === undefined) return null
  return peers
}

/** In the order to try; none = it may not be sent anywhere. */
export const waysFor = (t: Transaction, peers: PeerRouter, freshOnly: boolean): readonly ServerWay[] | Promise<readonly ServerWay[]> => {
  const chosen = peers.choose(questionOf(t, freshOnly))
  return chosen instanceof Promise ? chosen.then(answer => taken(t, answer)) : taken(t, chosen)
}

/** An unconfirmed Host leads to the original destination and nowhere else (CVE-2009-0801), and to it not if peers are a must. */
const taken = (t: Transaction, { ways, timedOut }: PeerAnswer): readonly ServerWay[] => {
  t.outcome.icpTimedOut = timedOut
  return t.unverified ? ways.filter(way => way.peer === null) : ways
}

const questionOf = (t: Transaction, freshOnly: boolean): PeerQuestion => {
  const { head, target } = t
  return {
    facts: t.facts,
    method: head.method,
    uri: t.outcome.uri,
    scheme: target?.scheme === 'tunnel' ? '' : (target?.scheme ?? ''),
    host: target?.host ?? '',
    port: t.targetPort,
    path: target?.path ?? '',
    hierarchical: !t.unverified && isHierarchical(head.method, t.fields) && head.upgrade === null,
    neverDirect: t.client.port.accel?.allowDirect === false,
    freshOnly,
    user: t.outcome.user,
  }
}

/** Squid: what another cache could help with. */
export const isHierarchical = (method: string, fields: Fields): boolean =>
  !fields.has('authorization') && (method === 'GET' || method === 'TRACE')

/** What leads there; the record knows where it was tried. */
export const routesOf = (t: Transaction, way: ServerWay): RouteAnswer | Promise<RouteAnswer> => {
  const { session } = t.client
  const { router } = session.service
  t.outcome.peer = way.peer?.name ?? '' // tcp_outgoing_* may go by it
  const found =
    way.peer === null || router.routeToPeer === undefined
      ? router.route(session, routeHint(t))
      : router.routeToPeer(session, peerHint(t, way.peer), way.peer, way.code)
  if (!(found instanceof Promise)) return noted(t, way, found)
  const asked = t.client.deps.clock.mono()
  return found.then(answer => {
    t.waitedForNames(asked)
    return noted(t, way, answer)
  })
}

const peerHint = (t: Transaction, peer: Peer): RouteHint => ({
  ...routeHint(t),
  judgePeer: peer.tls === null ? undefined : judgeFor(t),
  tunnel: isTunnelled(t, peer) ? connectText(t, peer) : undefined,
})

const noted = (t: Transaction, { peer }: ServerWay, answer: RouteAnswer): RouteAnswer => {
  if (!answer.ok) return answer
  const [first] = answer.routes
  t.peer = peer
  t.outcome.hierarchy = first.hierarchy
  t.outcome.server = first.target
  return answer
}

export const noWay = (): ProxyError => new ProxyError('no-route', 'no cache_peer that may be used is up, and the origin may not be asked')

/** Squid's reforward: another server may do better. */
const anotherMayDo: ReadonlySet<number> = new Set([502, 504])

/** retry_on_error. */
const retried: ReadonlySet<number> = new Set([403, 500, 501, 502, 503, 504])

export class WaysFetch implements OriginFetch, OriginHandler {
  readonly #t: Transaction
  readonly #ways: readonly ServerWay[]
  readonly #request: OriginRequest
  readonly #handler: OriginHandler
  readonly #since: MonoMs
  /** The way that is tried; those before it have failed. */
  #at = -1
  #fetch: OriginFetch | null = null
  #attemptsBefore = 0
  /** The client's content has been asked for: it comes once. */
  #contentAsked = false
  /** A connection carries the request: it may have been read. */
  #sent = false
  #headSeen = false
  #over = false

  constructor(t: Transaction, ways: readonly ServerWay[], request: OriginRequest, handler: OriginHandler) {
    this.#t = t
    this.#ways = ways
    this.#request = { ...request, content: this.#watched(request.content) }
    this.#handler = handler
    this.#since = t.client.deps.clock.mono()
  }

  start(): this {
    this.#next(noWay())
    return this
  }

  // ---- for the owner

  get attempts(): number {
    return this.#attemptsBefore + (this.#fetch?.attempts ?? 0)
  }

  resume(): void {
    this.#fetch?.resume()
  }

  abort(): void {
    this.#over = true
    this.#fetch?.abort()
  }

  // ---- from the server

  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void {
    this.#sent = true
    route.peer?.fetches()
    this.#handler.onConnected(server, local, route, reused)
  }

  onInterim(status: number, pairs: readonly string[]): void {
    this.#handler.onInterim(status, pairs)
  }

  onHead(status: number, reason: string, fields: Fields): void {
    if (fields.get('connection')?.toLowerCase() !== 'close') this.#ways[this.#at]?.peer?.kept()
    const mayRetry = this.#t.policy.retryOnError ? retried.has(status) : anotherMayDo.has(status) && this.#ways[this.#at]?.peer !== null
    if (mayRetry && this.#mayGoOn && !this.#contentAsked) {
      this.#fetch?.abort()
      this.#next(new ProxyError('bad-response', `${this.#t.outcome.peer} answered ${status}`, { side: 'server' }))
      return
    }
    this.#headSeen = true
    this.#handler.onHead(status, reason, fields)
  }

  onData(chunk: Buffer): boolean {
    return this.#headSeen ? this.#handler.onData(chunk) : true
  }

  onDoubt(): void {
    if (this.#headSeen) this.#handler.onDoubt?.()
  }

  onEnd(trailers: readonly string[]): void {
    if (this.#headSeen) this.#handler.onEnd(trailers)
  }

  onError(error: ProxyError): void {
    const again = !this.#headSeen && !this.#contentAsked && (!this.#sent || this.#request.idempotent)
    if (again && error.side === 'server' && this.#mayGoOn) this.#next(error)
    else this.#fail(error)
  }

  // ---- between

  get #mayGoOn(): boolean {
    const { triesMax, timeout } = this.#t.policy.forwarding
    if (this.#over || this.#at + 1 >= this.#ways.length || this.attempts >= triesMax) return false
    return elapsed(this.#since, this.#t.client.deps.clock.mono()) < timeout
  }

  /** `failure` is what is told when there is none. Never within the caller's own call: he is not ready for an answer. */
  #next(failure: ProxyError): void {
    this.#attemptsBefore = this.attempts
    this.#fetch = null
    this.#sent = false
    const way = this.#ways[++this.#at]
    if (way === undefined) {
      queueMicrotask(() => this.#fail(failure))
      return
    }
    const answer = routesOf(this.#t, way)
    if (answer instanceof Promise) {
      answer.then(
        known => this.#go(way, known),
        error => this.#fail(new ProxyError('internal', 'a way to a server', { cause: error })),
      )
    } else this.#go(way, answer)
  }

  #go(way: ServerWay, answer: RouteAnswer): void {
    if (this.#over) return
    if (!answer.ok) return this.#next(new ProxyError(answer.error, answer.detail))
    const { session } = this.#t.client
    this.#fetch = session.service.chainer.fetch(session, tiedRoutes(this.#t, answer.routes), this.#requestFor(way), this)
  }

  #requestFor({ peer, code }: ServerWay): OriginRequest {
    const there = requestThere(this.#t, this.#request)
    if (peer === null || isTunnelled(this.#t, peer)) return there
    const request = peerRequest(this.#t, peer, there)
    const isSibling = code === 'SIBLING_HIT' && !peer.line.allowMiss
    return isSibling ? { ...request, pairs: onlyIfCached(request.pairs) } : request
  }

  #fail(error: ProxyError): void {
    if (this.#over) return
    this.#over = true
    this.#handler.onError(error)
  }

  #watched(content: OriginRequest['content']): OriginRequest['content'] {
    if (content === null || Buffer.isBuffer(content)) return content
    return {
      [Symbol.asyncIterator]: () => {
        this.#contentAsked = true
        return content[Symbol.asyncIterator]()
      },
    }
  }
}
