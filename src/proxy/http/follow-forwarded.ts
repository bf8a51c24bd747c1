import type { AccessList, Decision } from '../../acl/index.ts'
import { canonicalAddress, type Endpoint } from '../../base/index.ts'
import type { Transaction } from './transaction.ts'

// follow_x_forwarded_for: who is connected may be a proxy that says for whom it asks. As long as the list lets the one we
// know say so, the next entry of X-Forwarded-For, from its end, is taken for the client; then he is asked about.

/** Proxies in a row. A longer field is somebody playing. */
const followedMax = 64

/** Settles who the client is, for access lists and for the record. The facts of the request have been told. */
export const followForwarded = (t: Transaction, list: AccessList): void | Promise<void> => {
  const field = t.fields.joined('x-forwarded-for')
  if (field === undefined) return
  const entries = field.split(/[,\s]+/).filter(entry => entry !== '')
  return follow(t, list, entries, 0)
}

const follow = (t: Transaction, list: AccessList, entries: string[], followed: number): void | Promise<void> => {
  const facts = t.facts
  for (let n = followed; n < followedMax; n++) {
    const decision = list.check(facts)
    if (decision instanceof Promise) {
      return decision.then(known => {
        if (!t.over && step(t, known, entries)) return follow(t, list, entries, n + 1)
        return settle(t)
      })
    }
    if (!step(t, decision, entries)) break
  }
  settle(t)
}

/** False: nobody further is believed. */
const step = (t: Transaction, decision: Decision, entries: string[]): boolean => {
  const entry = decision.allowed ? entries.pop() : undefined
  const address = entry === undefined ? null : canonicalAddress(entry.replace(/^\[(.*)\]$/, '$1'))
  if (address === null) return false
  const client: Endpoint = { family: address.includes(':') ? 6 : 4, address, port: t.facts.connected.port }
  t.facts.believe(client)
  return true
}

const settle = (t: Transaction): void => {
  const facts = t.facts
  if (facts.client !== facts.connected) t.indirect = facts.client
  if (t.policy.logByIndirectClient) t.outcome.client = facts.client
  if (!t.policy.aclsByIndirectClient) facts.believe(facts.connected)
}
