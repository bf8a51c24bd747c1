import type { Decision } from '../../../acl/index.ts'
import { endpointText } from '../../../base/index.ts'
import { tellFacts } from '../admit.ts'
import { CountHttp } from '../counters.ts'
import type { Transaction } from '../transaction.ts'

/** later: a line is about a name the client has yet to say. */
export type Admission = 'allowed' | 'later' | 'refused'

/** http_access for a CONNECT that stands for an intercepted connection. Refused: t.failure says why. */
export const admitConnect = async (t: Transaction): Promise<Admission> => {
  const { client, target, outcome, policy } = t
  if (target === null || !isWelcome(t)) return 'refused'
  const { facts } = client
  tellFacts(facts, 'CONNECT', target, outcome.uri, t.targetPort, t.fields, outcome.startedAt)
  facts.outcome = outcome
  facts.pinned = t.unverified || policy.clientDstPassthru
  const decision: Decision = await policy.access.http.check(facts)
  outcome.accessLine = decision.text
  if (decision.allowed) return 'allowed'
  if (decision.unnamed) return 'later'
  CountHttp.denied++
  outcome.result = 'TCP_DENIED'
  t.denyClient(decision)
  return 'refused'
}

/** As every intercepted request: it came by a rule, and not from us. */
const isWelcome = (t: Transaction): boolean => {
  const { client: { session, deps, connection } } = t
  if (session.taken === 'direct') {
    CountHttp.directHits++
    deps.notices.directHit(session.client.peer, session.portName)
    t.refuse('direct-hit', 'a browser reaches it by the firewall rule of the gateway, not by its address')
    return false
  }
  if (!deps.isOwnConnection(connection.peer, session.destination)) return true
  CountHttp.loops++
  deps.notices.loop(connection.peer, endpointText(session.destination))
  t.refuse('loop', 'a rule brings the connections of this proxy back to it')
  return false
}
