import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** Every connection of the transaction so far was TLS: the client's, and the server's where there has been one. */
export const connectionsEncrypted = {
  fact: facts => (facts.encrypted ? 'encrypted' : 'clear text'),
  compile: () => facts => {
    if (!facts.encrypted) return mismatched
    const outcome = facts.outcome
    return outcome !== null && outcome.server !== null && facts.scheme === 'http' ? mismatched : matched
  },
} satisfies AclType
