import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The user name a helper gave. */
export const extUserRegex = {
  fact: facts => `user ${facts.helperUser || '-'}`,
  compile: source => patternMatcher(source, facts => (facts.helperUser === '' ? undefined : facts.helperUser)),
} satisfies AclType
