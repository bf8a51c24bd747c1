import { parseIPv6 } from '../../base/index.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The interface identifier of a client that made its IPv6 address from its Ethernet address (RFC 4291 2.5.1: ff:fe). */
export const eui64 = {
  fact: facts => `client ${facts.client.address}`,
  compile: source => {
    const held = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const octets = text.split(/[:-]/).map(octet => octet.padStart(2, '0').toLowerCase())
      if (octets.length === 8 && octets.every(octet => /^[0-9a-f]{2}$/.test(octet))) held.add(octets.join(''))
      else source.report('fatal', at, `'${text}' is no EUI-64`, 'write 02:00:5e:ff:fe:00:53:01')
    }
    return facts => (held.has(identifierOf(facts.client.address)) ? matched : mismatched)
  },
} satisfies AclType

/** '' = it is not made of an Ethernet address. */
const identifierOf = (address: string): string => {
  const groups = address.includes(':') ? parseIPv6(address) : null
  if (groups === null) return ''
  const [a = 0, b = 0, c = 0, d = 0] = groups.slice(4)
  if ((b & 0xff) !== 0xff || c >>> 8 !== 0xfe) return ''
  return [a, b, c, d].map(group => group.toString(16).padStart(4, '0')).join('')
}
