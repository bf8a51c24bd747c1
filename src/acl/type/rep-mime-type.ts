import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The response's Content-Type; a response without one has an empty one, as in Squid. */
export const repMimeType = {
  fact: facts => `response of type ${facts.responseFields?.get('content-type') ?? '-'}`,
  compile: source =>
    patternMatcher(source, facts => (facts.responseFields === null ? undefined : (facts.responseFields.get('content-type') ?? ''))),
} satisfies AclType
