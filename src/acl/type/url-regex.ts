import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The whole target URI, escapes decoded; `host:port` for CONNECT. */
export const urlRegex = {
  fact: facts => `URI ${facts.uri || '-'}`,
  compile: source => patternMatcher(source, facts => facts.decodedUri),
} satisfies AclType
