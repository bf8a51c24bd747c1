import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { readAddresses } from '../value/addresses.ts'

/** The client's address. */
export const src = {
  fact: facts => `client ${facts.client.address}`,
  compile: source => {
    const addresses = readAddresses(source)
    return facts => (addresses.set.has(facts.clientKey) ? matched : mismatched)
  },
} satisfies AclType
