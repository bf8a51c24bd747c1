import type { AclType } from '../acl.ts'
import { mismatched } from '../match.ts'
import { matchTerm, type Term } from '../term.ts'
import { readGroup } from '../value/group.ts'

/** One of these ACLs matches; `!` is possible. Asked left to right up to the first that does. */
export const anyOf = {
  fact: () => 'a group',
  compile: source => {
    const terms = readGroup(source).flat()
    return facts => {
      for (let i = 0; i < terms.length; i++) {
        const found = matchTerm(terms[i] as Term, facts) // within by the loop
        if (found !== mismatched) return found
      }
      return mismatched
    }
  },
  stopsAt: source => {
    const terms = readGroup(source).flat()
    return facts => (terms.find(term => matchTerm(term, facts) !== mismatched) ?? terms.at(-1))?.acl ?? null
  },
} satisfies AclType
