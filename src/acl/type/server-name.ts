import type { AccessFacts } from '../access-facts.ts'
import type { AclSource, AclType } from '../acl.ts'
import { type Match, matched, mismatched, unnamed } from '../match.ts'
import { readDomains } from '../value/domains.ts'
import { readPatterns } from '../value/patterns.ts'

/**
 * The name of the TLS server: what the client says in its hello, if that is confirmed; before it, and without it, what its
 * CONNECT or URI says; without both, what the certificate says, once it is seen. 'none' where none is known.
 *
 * Squid lets the certificate's names take the place of the client's as soon as it is seen. A certificate has many
 * names, of which the client wants one: here only who asks for it (--server-provided) is told those.
 */
export const serverName = {
  fact: facts => `server ${namesOf(facts, 'any').join(', ')}`,
  compile: source => {
    const domains = readDomains(source)
    const wanted = wantedOf(source)
    return facts => matchNames(facts, wanted, name => (domains.has(name) ? matched : mismatched))
  },
} satisfies AclType

export const serverNameRegex = {
  fact: facts => `server ${namesOf(facts, 'any').join(', ')}`,
  compile: source => {
    const patterns = readPatterns(source)
    const wanted = wantedOf(source)
    return facts => matchNames(facts, wanted, name => patterns.test(name))
  },
} satisfies AclType

type Wanted = 'any' | 'client' | 'server'

const matchNames = (facts: AccessFacts, wanted: Wanted, matches: (name: string) => Match): Match => {
  for (const name of namesOf(facts, wanted)) {
    const found = matches(name)
    if (found !== mismatched) return found
  }
  return facts.namePending && wanted !== 'server' ? unnamed : mismatched
}

/** Never empty. */
const namesOf = ({ serverName, host, certificateNames }: AccessFacts, wanted: Wanted): readonly string[] => {
  if (wanted !== 'server') {
    if (serverName !== '') return [serverName]
    // an address is no name: what the certificate says of it says more
    if (host !== '' && (wanted === 'client' || certificateNames === null || !isAddress(host))) return [host]
  }
  return wanted === 'client' || certificateNames === null || certificateNames.length === 0 ? none : certificateNames
}

const none: readonly string[] = ['none']

const isAddress = (host: string): boolean => host.includes(':') || /^[\d.]+$/.test(host)

const wantedOf = ({ definition: { flags } }: AclSource): Wanted =>
  flags.includes('--server-provided') ? 'server' : flags.includes('--client-requested') ? 'client' : 'any'
