import type { AccessFacts, AccessList } from '../../acl/index.ts'
import type { Outcome } from '../../base/index.ts'
import { type HelperAnswer, parseReply } from '../../helper/index.ts'
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

/** store_id_program, as the conf has it. */
export interface Identifier {
  /** Null: all requests. */
  readonly access: AccessList | null
  /** Never rejects. */
  readonly ask: (outcome: Outcome) => Promise<HelperAnswer>
  /** Without an answer the request goes on with its URI; otherwise it is neither stored nor answered from what is. */
  readonly bypass: boolean
}

/** Longer ones are no help to anybody. */
const idLengthMax = 8192

/** As giveStoreId, with a program that is asked where no rule says anything. */
export const askStoreId = async (t: Transaction, identifier: Identifier): Promise<void> => {
  giveStoreId(t)
  if (t.storeId !== '' || t.unverified || t.head.method === 'CONNECT') return
  const decision = identifier.access === null ? null : await identifier.access.check(t.facts)
  if (t.over || decision?.allowed === false) return
  const answer = await identifier.ask(t.outcome)
  if (t.over) return
  const id = answer.ok ? storeIdIn(answer.text) : null
  if (id !== null) t.storeId = id
  else if (!identifier.bypass) t.identified = false
}

/** '' = the URI itself; null: that was no answer. */
const storeIdIn = (line: string): string | null => {
  const { result, values, text } = parseReply(line)
  if (result === 'ERR') return ''
  if (result === 'BH') return null
  // before 3.4 the id stood alone
  const id = result === 'OK' ? (values.get('store-id') ?? '') : (text.split(' ', 1)[0] ?? '')
  return id.length <= idLengthMax && !/[\0-\x20\x7f]/.test(id) ? id : null
}

/** Sets t.storeId; asked before anything is looked up under a key. */
export const giveStoreId = (t: Transaction): void => {
  const rules = t.policy.storeIds
  if (rules.length === 0 || t.unverified || t.head.method === 'CONNECT') return
  t.storeId = storeIdOf(rules, t.outcome.uri, t.client.facts)
}
