import type { AclType } from '../acl.ts'
import { always, matched, mismatched } from '../match.ts'
import { readAddresses } from '../value/addresses.ts'

/** The client's address. */
export const src = {
  fact: facts => `client ${facts.client.address}`,
  compile: source => {
    const addresses = readAddresses(source)
    if (source.definition.values.some(value => value.text === 'all')) return always
    return facts => (addresses.set.has(facts.clientKey) ? matched : mismatched)
  },
} satisfies AclType
