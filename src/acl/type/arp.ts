import type { AclType } from '../acl.ts'
import { matched, mismatched, unlearned } from '../match.ts'

/** The Ethernet address of a client on a network of ours; everybody behind a router has none. */
export const arp = {
  fact: facts => `client ${facts.client.address} at ${facts.clientHardware() || '-'}`,
  compile: source => {
    const held = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const octets = text.split(/[:-]/).map(octet => octet.padStart(2, '0').toLowerCase())
      if (octets.length === 6 && octets.every(octet => /^[0-9a-f]{2}$/.test(octet))) held.add(octets.join(':'))
      else source.report('fatal', at, `'${text}' is no Ethernet address`, 'write aa:bb:cc:dd:ee:ff')
    }
    return facts => {
      const address = facts.clientHardware()
      return address === null ? unlearned : held.has(address) ? matched : mismatched
    }
  },
} satisfies AclType
