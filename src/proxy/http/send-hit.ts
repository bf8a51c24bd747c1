import type { AccessFacts, AccessList } from '../../acl/index.ts'
import type { FieldView } from '../../base/index.ts'
import type { StoredResponse, Variants } from '../../cache/index.ts'
import type { Transaction } from './transaction.ts'

// send_hit and store_miss: lists that see the response, of what may be used and of what may be stored. They cannot wait,
// and what cannot be decided is not allowed (Squid).

/** What would be used; of parts the newest, which has the fields of all. */
export const hitDenied = (t: Transaction, list: AccessList, stored: StoredResponse | null, variants: Variants): boolean => {
  const used = stored ?? variants.find(one => one.status === 206) ?? null
  return used !== null && responseDenied(t, list, used.status, used.fields())
}

/** The response the facts knew before is theirs again: another may be judged by http_reply_access. */
export const responseDenied = (t: Transaction, list: AccessList, status: number, fields: FieldView): boolean =>
  denies(list, t.facts, status, fields)

/** What `ask` answers when it sees this response. */
export const withResponse = async <T>(facts: AccessFacts, status: number, fields: FieldView, ask: () => Promise<T>): Promise<T> => {
  facts.responseStatus = status
  facts.responseFields = fields
  try {
    return await ask()
  } finally {
    facts.forgetResponse()
  }
}

export const denies = (list: AccessList, facts: AccessFacts, status: number, fields: FieldView): boolean => {
  const { responseStatus, responseFields } = facts
  facts.responseStatus = status
  facts.responseFields = fields
  const decision = list.checkFast(facts)
  facts.responseStatus = responseStatus
  facts.responseFields = responseFields
  return !decision.allowed
}
