import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { readAddresses } from '../value/addresses.ts'

/** Our end of the client's connection; for intercepted ones the address it was going to. */
export const localip = {
  fact: facts => `local address ${facts.local.address}`,
  compile: source => {
    const addresses = readAddresses(source)
    return facts => (addresses.set.has(facts.localKey) ? matched : mismatched)
  },
} satisfies AclType
