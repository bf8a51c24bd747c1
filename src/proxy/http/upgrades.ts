import type { AccessFacts, AccessList } from '../../acl/index.ts'
import { splitList } from '../../http/index.ts'
import type { Transaction } from './transaction.ts'

// RFC 9110 7.8: Upgrade is an offer, and may be ignored. To other versions of HTTP and to TLS it is: the request is answered
// in HTTP/1.1, from the cache where it is there. Anything else (WebSocket above all) needs the bytes relayed, and is offered
// to the server as far as http_upgrade_request_protocols lets it.

export interface UpgradeRules {
  /** `name` or `name/version`, as written. */
  readonly named: ReadonlyMap<string, AccessList>
  /** For protocols without a line. */
  readonly other: AccessList | null
}

/** Sets t.offers; '' = the request goes on as one without an Upgrade. */
export const offerUpgrade = (t: Transaction, upgrade: string): boolean => {
  const protocols = splitList(upgrade)
  if (protocols.some(protocol => /^(?:h2c|HTTP|TLS)(?:\/|$)/i.test(protocol))) return false
  const rules = t.policy.upgrades
  const offered = rules === null ? protocols : protocols.filter(protocol => mayOffer(rules, protocol, t.facts))
  t.offers = rules === null ? upgrade : offered.join(', ')
  return offered.length > 0
}

const mayOffer = ({ named, other }: UpgradeRules, protocol: string, facts: AccessFacts): boolean => {
  const list = named.get(protocol) ?? named.get(protocol.replace(/\/.*$/s, '')) ?? other
  return list !== null && list.checkFast(facts).allowed
}

/** A server may change to what it was offered, and to nothing else. */
export const wasOffered = (t: Transaction, chosen: string): boolean => {
  if (t.policy.upgrades === null) return true
  const offered = new Set(splitList(t.offers).map(nameOf))
  return splitList(chosen).every(protocol => offered.has(nameOf(protocol)))
}

/** Without its version, which servers leave out. */
const nameOf = (protocol: string): string => protocol.replace(/\/.*$/s, '').toLowerCase()
