import { type ErrorCode, errorTable, type ProxyError, type ResultCode } from '../../base/index.ts'
import { cacheStatusText, Fields } from '../../http/index.ts'
import { CountHttp } from './counters.ts'
import { type ErrorPage, errorPage } from './error-page.ts'
import { judgeResponse } from './judge-response.ts'
import { answerForwardLimit } from './max-forwards.ts'
import { sendWhole } from './response.ts'
import { mayTellWithin } from './bump/tell-within.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

/** These say nothing about how the connection goes on; after the others its framing is in doubt, or it is not wanted. */
const connectionSurvives = new Set<ErrorCode>([
  'denied', 'unauthenticated', 'unauthenticated-site', 'helper-failed', 'forwarding-denied', 'reply-too-large', 'bad-target', 'loop', 'host-conflict', 'unsupported-method', 'no-route', 'dns-failed', 'connect-failed',
  'connect-timeout', 'read-timeout', 'read-error', 'write-error', 'bad-response', 'empty-response', 'only-if-cached',
  'response-head-too-large', 'secure-connect-failed', 'stale-forbidden', 'spoof-failed', 'socket-failed', 'overload', 'expectation-failed',
])

/** An answer of our own. */
export const refuse = (t: Transaction): Next | Promise<Next> => {
  if (t.bumping !== null) return t.bumping.refuse()
  if (t.client.gone) return 'finish'
  if (t.failure === null) return answerForwardLimit(t)
  if (t.client.port.bump !== null && mayTellWithin(t)) return 'bump'
  const failure = t.failure
  const o = t.outcome
  o.error = failure.code
  o.errorDetail = failure.message
  if (failure.code === 'bad-request' || t.parsed === null) CountHttp.broken++
  if (failure.side === 'server' || failure.cause !== undefined) t.client.deps.notices.serverFailure(o.uri, failure)
  // content that is still coming would have to be read to its end to find the next request
  if (!connectionSurvives.has(failure.code) || (t.content !== null && !t.content.complete) || !t.policy.persistentAfterError) t.keepAlive = false
  if (errorTable[failure.code].status === 0 || t.denial?.kind === 'reset') {
    if (t.denial?.kind === 'reset') t.client.connection.resetClose('refused')
    else t.client.connection.close('aborted')
    return 'finish'
  }
  if (o.result === 'NONE_NONE' && t.parsed !== null && failure.side !== 'client') o.result = resultOf(failure, o.method)
  const page = errorPage(t, failure, shown(failure))
  challenge(t, page)
  page.pairs.push('Cache-Status', cacheStatusText(t.policy.cacheName, { detail: failure.code }))
  if (t.policy.xCache !== null) page.pairs.push('X-Cache', `MISS ${t.policy.xCache.from}`, 'X-Cache-Lookup', `NONE ${t.policy.xCache.at}`)
  o.contentType = 'text/html'
  const fields = Fields.from(page.pairs)
  o.responseFields = fields
  const send = (): Next => {
    sendWhole(t, page.status, page.reason, page.pairs, page.content)
    return 'finish'
  }
  // Squid: http_reply_access is about our own pages too, unless they say that something was denied
  if (!t.policy.judgesResponses || t.parsed === null || t.target === null || o.result.startsWith('TCP_DENIED')) return send()
  const verdict = judgeResponse(t, page.status, fields, page.content.length)
  if (verdict === true) return send()
  if (verdict === false) return refuse(t)
  return verdict.then(may => (t.over ? 'done' : may ? send() : refuse(t)))
}

/** RFC 9110 11.7: a line for each challenge. A page of deny_info with another status asks nobody. */
const challenge = (t: Transaction, page: ErrorPage): void => {
  const { users } = t.policy
  if (users === null || (page.status !== 407 && page.status !== 401)) return
  const name = page.status === 407 ? 'Proxy-Authenticate' : 'WWW-Authenticate'
  const stale = t.facts.proof?.state === 'stale'
  if (users.closes(t.facts)) t.keepAlive = false
  for (const text of users.challenges(t.facts, stale, t.client.deps.clock.mono())) page.pairs.push(name, text)
}

const resultOf = (failure: ProxyError, method: string): ResultCode => {
  if (denials.has(failure.code)) return 'TCP_DENIED'
  if (method === 'CONNECT') return 'NONE_NONE' // as Squid: nothing was asked of the server
  return failure.side === 'server' || serverless.has(failure.code) ? 'TCP_MISS' : 'NONE_NONE'
}

const denials = new Set<ErrorCode>(['denied', 'unauthenticated', 'unauthenticated-site', 'loop', 'direct-hit'])
/** A server was wanted, and there was none to ask. */
const serverless = new Set<ErrorCode>(['forwarding-denied', 'no-route', 'dns-failed', 'overload', 'shutting-down', 'only-if-cached', 'internal'])

/** What a refusal says is for the client; what a failure says may hold addresses and is for the log. */
const shown = (failure: ProxyError): string => (failure.side === 'server' || failure.code === 'internal' ? '' : failure.message)
