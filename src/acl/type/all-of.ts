import type { AclType } from '../acl.ts'
import { type Match, matched, mismatched, unnamed } from '../match.ts'
import { matchAll, matchTerm, type Term } from '../term.ts'
import { readGroup } from '../value/group.ts'

/** All ACLs of a line match; of several lines, one does. Empty ones match, as in Squid. */
export const allOf = {
  fact: () => 'a group',
  compile: source => {
    const lines = readGroup(source)
    return facts => {
      let otherwise: Match = lines.length === 0 ? matched : mismatched
      for (let i = 0; i < lines.length; i++) {
        const found = matchAll(lines[i] as Term[], facts) // within by the loop
        if (found === unnamed) otherwise = unnamed
        else if (found !== mismatched) return found
      }
      return otherwise
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
