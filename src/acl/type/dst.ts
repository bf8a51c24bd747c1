import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import type { IpKey } from '../ip-key.ts'
import { type Match, matched, mismatched, unlearned } from '../match.ts'
import type { IpSet } from '../set/ip-set.ts'
import { readAddresses } from '../value/addresses.ts'

/**
 * The server's address: one of those the request's host has. A pinned request goes to the original destination, so
 * that one counts (Squid with client_dst_passthru on). `-n`: no DNS, numeric hosts only.
 */
export const dst = {
  fact: facts => (facts.pinned ? `original destination ${facts.local.address}` : `addresses of ${facts.host || '-'}`),
  compile: source => {
    const addresses = readAddresses(source)
    const numericOnly = source.definition.flags.includes('-n')
    return facts => {
      if (facts.pinned) return addresses.set.has(facts.localKey) ? matched : mismatched
      if (numericOnly && !isNumeric(facts.host)) return mismatched
      return matchAny(addresses.set, facts)
    }
  },
} satisfies AclType

const matchAny = (set: IpSet, facts: AccessFacts): Match => {
  const found = facts.destinations()
  if (found === null) return unlearned
  for (let i = 0; i < found.count; i++) if (set.has(found.keys[i] as IpKey)) return matched // count is within
  return mismatched
}

/** A host that needs no DNS: IPv6, or only digits and dots. */
const isNumeric = (host: string): boolean => {
  if (host.includes(':')) return true
  const last = host.charCodeAt(host.length - 1)
  return last >= 48 && last <= 57 && !/[^0-9.]/.test(host)
}
