import type { Outcome } from '../base/index.ts'
import { parseAbsolute, parseAuthority, defaultPort } from '../http/index.ts'
import { AccessFacts } from './access-facts.ts'

/** The facts of a transaction that is over: for the ACLs of access_log lines, and for asking what a new conf would say. */
export const factsOfOutcome = (outcome: Outcome): AccessFacts => {
  const facts = new AccessFacts(outcome.client, outcome.clientLocal, outcome.portName)
  facts.method = outcome.method
  facts.uri = outcome.uri
  facts.fields = outcome.requestFields
  facts.now = outcome.startedAt
  facts.outcome = outcome
  const claimed = outcome.error === 'unauthenticated' || outcome.error === 'unauthenticated-site'
  facts.user = claimed ? '' : outcome.user
  facts.helperUser = outcome.helperUser
  facts.tag = outcome.tag
  facts.notes = outcome.notes
  facts.responseStatus = outcome.status
  facts.responseFields = outcome.responseFields
  const target = outcome.method === 'CONNECT' ? null : parseAbsolute(outcome.uri)
  if (target !== null) {
    facts.scheme = target.scheme
    facts.host = target.host
    facts.port = target.port === 0 ? defaultPort(target.scheme) : target.port
    facts.urlPath = target.path
    return facts
  }
  const authority = parseAuthority(outcome.uri)
  facts.host = authority?.host ?? ''
  facts.port = authority?.port ?? 0
  return facts
}
