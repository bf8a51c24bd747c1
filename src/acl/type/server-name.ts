import type { AccessFacts } from '../access-facts.ts'
import type { AclSource, AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { readDomains } from '../value/domains.ts'
import { readPatterns } from '../value/patterns.ts'

/**
 * The name of the TLS server: what the client says in its hello, then what its CONNECT or URI says; 'none' where neither
 * is known. What a server's certificate says is known only once TLS is read.
 */
export const serverName = {
  fact: facts => `server ${facts.host || 'none'}`,
  compile: source => {
    const domains = readDomains(source)
    const known = clientMayName(source)
    return facts => (domains.has(known ? nameOf(facts) : 'none') ? matched : mismatched)
  },
} satisfies AclType

export const serverNameRegex = {
  fact: facts => `server ${facts.host || 'none'}`,
  compile: source => {
    const patterns = readPatterns(source)
    const known = clientMayName(source)
    return facts => patterns.test(known ? nameOf(facts) : 'none')
  },
} satisfies AclType

const nameOf = (facts: AccessFacts): string => facts.host || 'none'

/** --server-provided: only the certificate counts. */
const clientMayName = (source: AclSource): boolean => !source.definition.flags.includes('--server-provided')
