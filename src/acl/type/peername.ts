import type { AclType } from '../acl.ts'
import { mismatched } from '../match.ts'
import { readPatterns } from '../value/patterns.ts'

/** The cache_peer a request goes to. There are no peers yet, so none has been chosen and nothing matches. */
export const peername = {
  fact: () => 'no peer',
  compile: () => () => mismatched,
} satisfies AclType

export const peernameRegex = {
  fact: () => 'no peer',
  compile: source => {
    readPatterns(source)
    return () => mismatched
  },
} satisfies AclType
