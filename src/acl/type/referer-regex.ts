import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The Referer field. */
export const refererRegex = {
  fact: facts => `Referer ${facts.fields?.joined('referer') ?? '-'}`,
  compile: source => patternMatcher(source, facts => facts.fields?.joined('referer')),
} satisfies AclType
