import type { AccessFacts } from '../../acl/index.ts'
import type { HttpPolicy } from './policy.ts'
import type { Transaction } from './transaction.ts'

// store_id_rule: several URIs, one key. What stands here in place of the URI is what responses are stored and found
// under, and what refresh_pattern sees; the origin is asked for the URI. A request whose Host was not verified is left
// out: it must not come near a key that others share.

/** One line: what makes an id of a URI. */
export interface StoreIdRule {
  /** Null: the line is not about this URI. */
  readonly idOf: (uri: string) => string | null
  /** `file:line: ` and the line, for `explain`. */
  readonly text: string
}

/** The first line whose ACLs match and whose pattern does counts. '' = none: the URI itself. */
export const storeIdOf = (rules: HttpPolicy['storeIds'], uri: string, facts: AccessFacts): string => {
  for (const { value, when } of rules) {
    if (!when.holds(facts)) continue
    const id = value.idOf(uri)
    if (id !== null) return id
  }
  return ''
}

/** Sets t.storeId; asked before anything is looked up under a key. */
export const giveStoreId = (t: Transaction): void => {
  const rules = t.policy.storeIds
  if (rules.length === 0 || t.unverified || t.head.method === 'CONNECT') return
  t.storeId = storeIdOf(rules, t.outcome.uri, t.client.facts)
}
