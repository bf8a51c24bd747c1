import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** An ICAP service, or one of a set or chain, has been shown this transaction so far: also one that failed. */
export const adaptationService = {
  fact: facts => {
    const names = facts.outcome?.adaptations?.map(one => one.service) ?? []
    return names.length === 0 ? 'shown to no service' : `shown to ${names.join(', ')}`
  },
  compile: source => {
    const held = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const members = source.adaptations.get(text)
      if (members === undefined) source.report('warning', at, `there is no icap_service, set or chain '${text}'`, 'define it: icap_service ...')
      for (const member of members ?? []) held.add(member)
    }
    return facts => {
      const shown = facts.outcome?.adaptations ?? null
      return shown?.some(one => held.has(one.service)) === true ? matched : mismatched
    }
  },
} satisfies AclType
