import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { provenUser } from '../users.ts'

/** The name of a user who has proved it; REQUIRED is any. */
export const proxyAuth = {
  fact: facts => `user ${facts.user || '-'}`,
  compile: source => {
    const exact = new Set<string>()
    const lower = new Set<string>()
    let any = false
    for (const { text, caseInsensitive } of source.definition.values) {
      if (text === 'REQUIRED') any = true
      else if (caseInsensitive || source.definition.flags.includes('-i')) lower.add(text.toLowerCase())
      else exact.add(text)
    }
    const { users } = source
    if (users === null) {
      const hint = 'auth_param basic program ... stands above'
      source.report('error', source.definition.at, `ACL '${source.definition.name}' needs users, and no auth_param says how they prove who they are`, hint)
    }
    return facts => {
      const found = provenUser(users, facts)
      if (found !== matched || any) return found
      return exact.has(facts.user) || (lower.size > 0 && lower.has(facts.user.toLowerCase())) ? matched : mismatched
    }
  },
} satisfies AclType
