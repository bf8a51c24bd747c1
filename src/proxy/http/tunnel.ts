import { CountHttp } from './counters.ts'
import { slowedTunnel } from './delay/slowed.ts'
import { routeHint } from './forward-request.ts'
import { missDenied } from './miss-access.ts'
import { breakOff, sendHead } from './response.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'
import { upgrade } from './upgrade.ts'
import type { Chained } from '../../chainer/chainer.ts'
import type { Connection } from '../../../comm/connection.ts'
import { ProxyError } from '../../base/index.ts'

/** CONNECT, and requests that ask for another protocol: a connection to the server, then bytes both ways. */
export const tunnel = async (t: Transaction): Promise<Next> => {
  if (t.policy.access.miss !== null && missDenied(t, t.policy.access.miss)) return 'refuse'
  const chained = await connectServer(t)
  if (chained === null) return t.over ? 'done' : 'refuse'
  if (t.head.method !== 'CONNECT') return upgrade(t, chained.connection)
  t.outcome.status = 200
  sendHead(t, 'HTTP/1.1 200 Connection established\r\n\r\n')
  return relay(t, chained.connection, null)
}

/** A connection of the client's own, outside the pool. */
const connectServer = async (t: Transaction): Promise<Chained | null> => {
  const { session } = t.client
  const cancel = new AbortController()
  t.cancel = cancel
  const answer = await session.service.router.route(session, routeHint(t))
  if (t.over) return null
  if (!answer.ok) {
    t.refuse(answer.error, answer.detail)
    return null
  }
  try {
    const chained = await session.service.chainer.connect(session, answer.routes, cancel.signal)
    t.cancel = null
    if (t.over) {
      chained.connection.close('aborted')
      return null
    }
    t.outcome.server = chained.route.target
    t.outcome.serverLocal = chained.connection.local
    t.outcome.forged = chained.route.forged
    t.outcome.hierarchy = chained.route.hierarchy
    t.outcome.attempts = chained.attempts
    return chained
  } catch (error) {
    t.cancel = null
    if (t.over) return null
    t.failure = error instanceof ProxyError ? error : new ProxyError('connect-failed', 'no connection', { cause: error })
    t.outcome.hierarchy = answer.routes[0].hierarchy
    return null
  }
}

/** Both connections go to the relay; the transaction ends with it. `early`: server bytes that came with its head. */
export const relay = (t: Transaction, server: Connection, early: Buffer | null): Promise<Next> => {
  CountHttp.tunnels++
  t.outcome.result = 'TCP_TUNNEL'
  t.outcome.storeReason = 'tunnel'
  t.keepAlive = false
  const client = t.client.connection
  const clientBytes = t.client.handOver()
  if (clientBytes !== null) server.write(clientBytes)
  if (early !== null) client.write(early)
  const slow = t.policy.delay === null ? null : slowedTunnel(t)
  return new Promise(resolve => {
    t.client.deps.relay(client, server, {
      idleTimeoutMs: t.policy.timeouts.read,
      limits: slow?.limits ?? [],
      onRelayed: stats => {
        slow?.giveBack()
        t.outcome.requestContentBytes = stats.bytesToB + (clientBytes?.length ?? 0)
        t.outcome.responseBytes += stats.bytesToA + (early?.length ?? 0)
        t.outcome.errorDetail = stats.why
        resolve('finish')
      },
    })
  })
}

/** The server connection ended before the tunnel stood. */
export const tunnelFailed = (t: Transaction, failure: ProxyError): Next => {
  if (t.over) return 'done'
  if (t.headSent) {
    breakOff(t)
    return 'finish'
  }
  t.failure = failure
  return 'refuse'
}
