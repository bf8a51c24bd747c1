import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The User-Agent field. */
export const browser = {
  fact: facts => `User-Agent ${facts.fields?.joined('user-agent') ?? '-'}`,
  compile: source => patternMatcher(source, facts => facts.fields?.joined('user-agent')),
} satisfies AclType
