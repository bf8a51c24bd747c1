import type { AclType } from '../acl.ts'
import { matched, mismatched, unlearned } from '../match.ts'
import { readDomains } from '../value/domains.ts'

/** The client's name by reverse look-up; one that has none is called 'none'. Whoever rules the address rules its name. */
export const srcdomain = {
  fact: facts => `client ${facts.client.address}, named ${facts.clientName() || '-'}`,
  compile: source => {
    const domains = readDomains(source)
    return facts => {
      const name = facts.clientName()
      if (name === null) return unlearned
      return domains.has(name === '' ? 'none' : name) ? matched : mismatched
    }
  },
} satisfies AclType
