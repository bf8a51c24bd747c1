import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The user part of the target URI. URIs of http that have one are refused (RFC 9110 4.2.4): it is always empty. */
export const urllogin = {
  fact: () => 'no user in the URI',
  compile: source => patternMatcher(source, () => ''),
} satisfies AclType
