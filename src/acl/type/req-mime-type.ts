import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The request's Content-Type; a request without one has an empty one, as in Squid. */
export const reqMimeType = {
  fact: facts => `request of type ${facts.fields?.get('content-type') ?? '-'}`,
  compile: source => patternMatcher(source, facts => (facts.fields === null ? undefined : (facts.fields.get('content-type') ?? ''))),
} satisfies AclType
