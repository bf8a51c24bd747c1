import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** How far the reading of a TLS connection has come (ssl_bump). */
export const atStep = {
  fact: facts => `SslBump${facts.step}`,
  compile: source => {
    const wanted = new Set<number>()
    for (const { text, at } of source.definition.values) {
      const number = steps.get(text.toLowerCase())
      if (number === undefined) source.report('fatal', at, `'${text}' is no step`, 'write SslBump1, SslBump2 or SslBump3')
      else wanted.add(number)
    }
    return facts => (wanted.has(facts.step) ? matched : mismatched)
  },
} satisfies AclType

/** GeneratingCONNECT is when Squid asks a peer for a tunnel, which is no step of the client's connection. */
const steps: ReadonlyMap<string, number> = new Map([['sslbump1', 1], ['sslbump2', 2], ['sslbump3', 3], ['generatingconnect', 0]])
