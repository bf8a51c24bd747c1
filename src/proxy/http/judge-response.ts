import type { Decision } from '../../acl/index.ts'
import type { FieldView } from '../../base/index.ts'
import { CountHttp } from './counters.ts'
import type { Transaction } from './transaction.ts'

// http_reply_access and reply_body_max_size: what a client may receive, looked at when the head is known and before
// anything of it is sent. Asked only where the policy judges responses at all.

/** RFC 9110: nothing of the resource is in them (Squid: alwaysAllowResponse). */
const unjudged: ReadonlySet<number> = new Set([100, 101, 102, 204, 304])

/**
 * False: no, and t.failure says why; the step that asked goes to `refuse`. `length`: of the content; -1 = not known, then
 * it is counted while it passes.
 */
export const judgeResponse = (t: Transaction, status: number, fields: FieldView, length: number): boolean | Promise<boolean> => {
  if (unjudged.has(status)) return true
  const facts = t.facts
  facts.responseStatus = status
  facts.responseFields = fields
  const most = t.policy.replySizes.find(line => line.when.holds(facts))?.value ?? Number.POSITIVE_INFINITY
  // a HEAD says how long the content would be and has none
  if (length > most && t.head.method !== 'HEAD') {
    CountHttp.denied++
    t.outcome.result = 'TCP_DENIED_REPLY'
    t.refuse('reply-too-large', `more than ${most} bytes`)
    return false
  }
  t.contentLeft = most
  const list = t.policy.access.reply
  if (list === null) return true
  const decision = list.check(facts)
  return decision instanceof Promise ? decision.then(d => obey(t, d)) : obey(t, decision)
}

const obey = (t: Transaction, decision: Decision): boolean => {
  if (decision.allowed) return true
  CountHttp.denied++
  t.outcome.result = 'TCP_DENIED_REPLY'
  t.outcome.accessLine = decision.text
  t.deny(decision, 'denied', 'the response may not be received here')
  return false
}
