import type { AclType } from '../acl.ts'
import { matched, mismatched, unlearned, unnamed } from '../match.ts'
import { readDomains } from '../value/domains.ts'

/**
 * The request's host. A numeric host also matches by its name, found by reverse look-up ('none' when it has no name);
 * `-n` forbids that.
 */
export const dstdomain = {
  fact: facts => `host ${facts.host || '-'}`,
  compile: source => {
    const domains = readDomains(source)
    const noLookup = source.definition.flags.includes('-n')
    return facts => {
      if (domains.has(facts.host)) return matched
      if (!looksNumeric(facts.host)) return mismatched
      if (facts.namePending) return unnamed
      if (noLookup) return mismatched
      const name = facts.nameOfNumericHost()
      if (name === null) return unlearned
      return domains.has(name === '' ? 'none' : name) ? matched : mismatched
    }
  },
} satisfies AclType

/** No top-level domain ends in a digit. */
export const looksNumeric = (host: string): boolean => {
  const last = host.charCodeAt(host.length - 1)
  return (last >= 48 && last <= 57) || host.includes(':')
}
