import type { AclType } from '../acl.ts'
import { mismatched, unnamed } from '../match.ts'
import { readPatterns } from '../value/patterns.ts'

/** The whole target URI, escapes decoded; `host:port` for CONNECT. */
export const urlRegex = {
  fact: facts => `URI ${facts.uri || '-'}`,
  compile: source => {
    const patterns = readPatterns(source)
    return facts => {
      const found = patterns.test(facts.decodedUri)
      return found === mismatched && facts.namePending ? unnamed : found
    }
  },
} satisfies AclType
