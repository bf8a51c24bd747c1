import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** Path and query of the target URI, escapes decoded. CONNECT has none. */
export const urlpathRegex = {
  fact: facts => `path ${facts.urlPath || '-'}`,
  compile: source => patternMatcher(source, facts => (facts.urlPath === '' ? undefined : facts.decodedPath)),
} satisfies AclType
