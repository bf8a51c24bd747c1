import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { matchAll, matchTerm, type Term } from '../term.ts'
import { readGroup } from '../value/group.ts'

/** All ACLs of a line match; of several lines, one does. Empty ones match, as in Squid. */
export const allOf = {
  fact: () => 'a group',
  compile: source => {
    const lines = readGroup(source)
    return facts => {
      for (let i = 0; i < lines.length; i++) {
        const found = matchAll(lines[i] as Term[], facts) // within by the loop
        if (found !== mismatched) return found
      }
      return lines.length === 0 ? matched : mismatched
    }
  },
  stopsAt: source => {
    const lines = readGroup(source)
    return facts => {
      let last: Term | null = null
      for (const line of lines) {
        const failed = line.find(term => matchTerm(term, facts) !== matched)
        last = failed ?? line.at(-1) ?? null
        if (failed === undefined) break
      }
      return last?.acl ?? null
    }
  },
} satisfies AclType
