import { CountHttp } from './counters.ts'
import { slowedTunnel, slowedUploads } from './delay/slowed.ts'
import { takeFrom } from './delay/pools.ts'
import { routeHint } from './forward-request.ts'
import { missDenied } from './miss-access.ts'
import { markResponse, tellServerMarks } from './packets.ts'
import { breakOff, sendHead } from './response.ts'
import { isTunnelled } from './peer-request.ts'
import { noWay, peersFor, routesOf, type ServerWay, waysFor } from './server-ways.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'
import { connectThrough, upgrade } from './upgrade.ts'
import type { Chained } from '../../chainer/chainer.ts'
import type { Connection } from '../../../comm/connection.ts'
import type { Route } from '../../router/router.ts'
import { elapsed, type MonoMs, ProxyError } from '../../base/index.ts'

/** CONNECT, and requests that ask for another protocol: a connection to the server, then bytes both ways. */
export const tunnel = async (t: Transaction): Promise<Next> => {
  if (t.policy.access.miss !== null && missDenied(t, t.policy.access.miss)) return 'refuse'
  const peers = peersFor(t)
  if (peers !== null) return tunnelBy(t, await waysFor(t, peers, true), 0, t.client.deps.clock.mono(), noWay())
  const { session } = t.client
  const answer = await session.service.router.route(session, routeHint(t))
  if (t.over) return 'done'
  if (!answer.ok) return t.refuse(answer.error, answer.detail)
  const chained = await connectServer(t, answer.routes)
  if (chained === null) return t.over ? 'done' : 'refuse'
  return t.head.method === 'CONNECT' ? openTunnel(t, chained.connection, null) : upgrade(t, chained.connection, null)
}

/** The way at `at`, and if it leads to nothing the next; `failure` is what is said when there is none. */
const tunnelBy = async (t: Transaction, ways: readonly ServerWay[], at: number, since: MonoMs, failure: ProxyError): Promise<Next> => {
  if (t.over) return 'done'
  const way = ways[at]
  const { triesMax, timeout } = t.policy.forwarding
  if (way === undefined || at >= triesMax || elapsed(since, t.client.deps.clock.mono()) > timeout) {
    t.failure = failure
    return 'refuse'
  }
  const { peer } = way
  const answer = await routesOf(t, way)
  if (t.over) return 'done'
  const next = (why: ProxyError): Promise<Next> => tunnelBy(t, ways, at + 1, since, why)
  if (!answer.ok) return next(new ProxyError(answer.error, answer.detail))
  const chained = await connectServer(t, answer.routes)
  if (chained === null) {
    const why = t.failure ?? failure
    t.failure = null
    return next(why)
  }
  peer?.fetches()
  if (t.head.method !== 'CONNECT') return upgrade(t, chained.connection, peer === null || isTunnelled(t, peer) ? null : peer)
  if (peer === null || peer.line.originServer) return openTunnel(t, chained.connection, null)
  return connectThrough(t, chained.connection, peer, at + 1 < ways.length ? next : null)
}

/** `early`: what came behind the answer of a parent. */
export const openTunnel = (t: Transaction, server: Connection, early: Buffer | null): Promise<Next> => {
  t.outcome.status = 200
  if (t.bumping === null) sendHead(t, 'HTTP/1.1 200 Connection established\r\n\r\n')
  else t.bumping.begin()
  return relay(t, server, early)
}

/** A connection of the client's own, outside the pool; null = the transaction's failure says why, unless it is over. */
export const connectServer = async (t: Transaction, routes: readonly [Route, ...Route[]]): Promise<Chained | null> => {
  const { session } = t.client
  const cancel = new AbortController()
  t.cancel = cancel
  const since = t.client.deps.clock.mono()
  try {
    const chained = await session.service.chainer.connect(session, routes, cancel.signal)
    t.cancel = null
    tellTime(t, since)
    if (t.over) {
      chained.connection.close('aborted')
      return null
    }
    t.outcome.server = chained.route.target
    t.outcome.serverLocal = chained.connection.local
    t.outcome.forged = chained.route.forged
    tellServerMarks(t.outcome, chained.route)
    t.outcome.hierarchy = chained.route.hierarchy
    t.outcome.attempts += chained.attempts
    return chained
  } catch (error) {
    t.cancel = null
    tellTime(t, since)
    if (t.over) return null
    t.failure = error instanceof ProxyError ? error : new ProxyError('connect-failed', 'no connection', { cause: error })
    t.outcome.hierarchy = routes[0].hierarchy
    return null
  }
}

/** Both connections go to the relay; the transaction ends with it. `early`: server bytes that came with its head. */
export const relay = (t: Transaction, server: Connection, early: Buffer | null): Promise<Next> => {
  CountHttp.tunnels++
  t.outcome.result = 'TCP_TUNNEL'
  if (t.policy.packets !== null) markResponse(t, t.policy.packets, t.outcome.hierarchy)
  t.outcome.storeReason = 'tunnel'
  t.keepAlive = false
  const client = t.client.connection
  const clientBytes = t.client.handOver()
  const slow = t.policy.delay === null ? null : slowedTunnel(t)
  const slowUploads = t.policy.delay === null ? null : slowedUploads(t)
  if (clientBytes !== null) {
    server.write(clientBytes)
    takeFrom(slowUploads?.limits ?? [], clientBytes.length)
  }
  if (early !== null) {
    client.write(early)
    takeFrom(slow?.limits ?? [], early.length)
  }
  const since = t.client.deps.clock.mono()
  return new Promise(resolve => {
    t.client.deps.relay(client, server, {
      idleTimeoutMs: t.policy.timeouts.read,
      limits: slow?.limits ?? [],
      limitsOfA: slowUploads?.limits ?? [],
      onRelayed: stats => {
        slow?.giveBack()
        slowUploads?.giveBack()
        tellTime(t, since)
        t.outcome.requestContentBytes = stats.bytesToB + (clientBytes?.length ?? 0)
        t.outcome.responseBytes += stats.bytesToA + (early?.length ?? 0)
        t.outcome.errorDetail = stats.why
        resolve('finish')
      },
    })
  })
}

/** Adds to %<tt. */
const tellTime = (t: Transaction, since: MonoMs): void => {
  const o = t.outcome
  o.serverTotalMs = Math.max(0, o.serverTotalMs) + elapsed(since, t.client.deps.clock.mono())
}

/** The server connection ended before the tunnel stood. */
export const tunnelFailed = (t: Transaction, failure: ProxyError): Next => {
  if (t.over) return 'done'
  if (t.headSent && t.bumping === null) {
    breakOff(t)
    return 'finish'
  }
  t.failure = failure
  return 'refuse'
}
