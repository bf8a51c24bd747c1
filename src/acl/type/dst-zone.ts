import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import type { IpKey } from '../ip-key.ts'
import { matched, mismatched, unlearned } from '../match.ts'
import { readZones } from './src-zone.ts'

/** One of the server's addresses is in these zones, or in one they administer; pinned requests as in `dst`. */
export const dstZone = {
  fact: (facts: AccessFacts) =>
    facts.pinned ? `original destination ${facts.local.address}` : `addresses of ${facts.host || '-'}`,
  compile: source => {
    const holds = readZones(source)
    const { zones } = source
    return facts => {
      if (facts.pinned) return holds(zones.of(facts.localKey)) ? matched : mismatched
      const found = facts.destinations()
      if (found === null) return unlearned
      for (let i = 0; i < found.count; i++) if (holds(zones.of(found.keys[i] as IpKey))) return matched // count is within
      return mismatched
    }
  },
} satisfies AclType
