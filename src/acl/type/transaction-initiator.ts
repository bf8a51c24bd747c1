import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** Who began the transaction: a client, another cache (`icp`), or the cache itself (`internal`) about what it has stored. */
export const transactionInitiator = {
  fact: facts => `begun by ${facts.outcome?.initiator ?? 'client'}`,
  compile: source => {
    let client = false
    let own = false
    let icp = false
    for (const { text, at } of source.definition.values) {
      if (!known.has(text)) source.report('fatal', at, `'${text}' begins no transactions`, `known are ${[...known].join(', ')}`)
      client ||= text === 'client' || text === 'all'
      own ||= text === 'internal' || text === 'all'
      icp ||= text === 'icp' || text === 'all'
    }
    const held = { client, validation: own, icp }
    return facts => (held[facts.outcome?.initiator ?? 'client'] ? matched : mismatched)
  },
} satisfies AclType

/** Squid's; those that nothing here begins never match. */
const known: ReadonlySet<string> = new Set([
  'client', 'peering', 'certificate-fetching', 'cache-digest', 'htcp', 'icp', 'icmp', 'asn', 'ipc', 'adaptation', 'esi',
  'squidclient', 'internal', 'all',
])
