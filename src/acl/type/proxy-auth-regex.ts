import type { AclType } from '../acl.ts'
import { matched } from '../match.ts'
import { provenUser } from '../users.ts'
import { readPatterns } from '../value/patterns.ts'

/** The name of a user who has proved it. */
export const proxyAuthRegex = {
  fact: facts => `user ${facts.user || '-'}`,
  compile: source => {
    const patterns = readPatterns(source)
    const { users } = source
    return facts => {
      const found = provenUser(users, facts)
      return found === matched ? patterns.test(facts.user) : found
    }
  },
} satisfies AclType
