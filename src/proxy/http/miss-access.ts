import type { AccessList } from '../../acl/index.ts'
import { CountHttp } from './counters.ts'
import type { Transaction } from './transaction.ts'

/** miss_access, asked before a server is: true = no, and t.failure says so. It is about who is connected (Squid). */
export const missDenied = (t: Transaction, list: AccessList): boolean => {
  const facts = t.facts
  const believed = facts.client
  facts.believe(facts.connected)
  const decision = list.checkFast(facts)
  facts.believe(believed)
  if (decision.allowed) return false
  CountHttp.denied++
  t.outcome.accessLine = decision.text
  t.deny(decision, 'forwarding-denied', '')
  return true
}
