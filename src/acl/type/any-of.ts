import type { AclType } from '../acl.ts'
import { mismatched } from '../match.ts'
import { matchAny, matchTerm } from '../term.ts'
import { readGroup } from '../value/group.ts'

/** One of these ACLs matches; `!` is possible. Asked left to right up to the first that does. */
export const anyOf = {
  fact: () => 'a group',
  compile: source => {
    const terms = readGroup(source).flat()
    return facts => matchAny(terms, facts)
  },
  stopsAt: source => {
    const terms = readGroup(source).flat()
    return facts => (terms.find(term => matchTerm(term, facts) !== mismatched) ?? terms.at(-1))?.acl ?? null
  },
} satisfies AclType
