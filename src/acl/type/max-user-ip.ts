import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { provenUser } from '../users.ts'

/** The user comes from more than so many addresses; `-s`: further ones do not get in, otherwise all are forgotten then. */
export const maxUserIp = {
  fact: facts => `addresses of user ${facts.user || '-'}`,
  compile: source => {
    const { definition, users } = source
    const value = definition.values[0]
    const max = Number(value?.text)
    const strict = definition.flags.includes('-s')
    if (value !== undefined && !(Number.isInteger(max) && max > 0)) {
      source.report('error', value.at, `max_user_ip: expecting a number above 0, got '${value.text}'`)
    }
    return facts => {
      const found = provenUser(users, facts)
      if (found !== matched) return found
      return users?.tooManyAddresses(facts, max, strict) ? matched : mismatched
    }
  },
} satisfies AclType
