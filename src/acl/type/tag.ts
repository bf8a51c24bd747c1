import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The tag a helper gave the request. */
export const tag = {
  fact: facts => `tag ${facts.tag || '-'}`,
  compile: source => {
    const held = new Set(source.definition.values.map(value => value.text))
    return facts => (facts.tag !== '' && held.has(facts.tag) ? matched : mismatched)
  },
} satisfies AclType
