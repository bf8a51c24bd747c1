import type { AclType } from '../acl.ts'
import { matched, mismatched, unlearned, unnamed } from '../match.ts'
import { readPatterns } from '../value/patterns.ts'
import { looksNumeric } from './dstdomain.ts'

/** The request's host by regex; numeric hosts by their name as well, as dstdomain. */
export const dstdomRegex = {
  fact: facts => `host ${facts.host || '-'}`,
  compile: source => {
    const patterns = readPatterns(source)
    const noLookup = source.definition.flags.includes('-n')
    return facts => {
      // patterns are written for URIs, where IPv6 stands in brackets
      const found = patterns.test(facts.host.includes(':') ? `[${facts.host}]` : facts.host)
      if (found !== mismatched) return found
      if (!looksNumeric(facts.host)) return mismatched
      if (facts.namePending) return unnamed
      if (noLookup) return mismatched
      const name = facts.nameOfNumericHost()
      if (name === null) return unlearned
      return patterns.test(name === '' ? 'none' : name) === matched ? matched : mismatched
    }
  },
} satisfies AclType
