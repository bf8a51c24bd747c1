import type { AclType } from '../acl.ts'
import { mismatched } from '../match.ts'
import { readPatterns } from '../value/patterns.ts'

/**
 * The user part of the target URI. URIs of http that have one are refused (RFC 9110 4.2.4), and where there is none nothing
 * matches, not even `^$` (Squid).
 */
export const urllogin = {
  fact: () => 'no user in the URI',
  compile: source => {
    readPatterns(source)
    return () => mismatched
  },
} satisfies AclType
