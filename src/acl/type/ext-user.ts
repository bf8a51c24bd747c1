import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The user name a helper gave; REQUIRED is any. */
export const extUser = {
  fact: facts => `user ${facts.helperUser || '-'}`,
  compile: source => {
    const { values, flags } = source.definition
    const lower = flags.includes('-i')
    const any = values.some(value => value.text === 'REQUIRED')
    const names = new Set(values.map(value => (lower || value.caseInsensitive ? value.text.toLowerCase() : value.text)))
    return facts => {
      const user = facts.helperUser
      if (user === '') return mismatched
      return any || names.has(user) || (lower && names.has(user.toLowerCase())) ? matched : mismatched
    }
  },
} satisfies AclType
