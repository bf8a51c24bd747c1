import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** How far the reading of a TLS connection has come. What is not read is at its first step, as in Squid. */
export const atStep = {
  fact: () => 'SslBump1',
  compile: source => {
    let first = false
    for (const { text, at } of source.definition.values) {
      const step = text.toLowerCase()
      if (!steps.has(step)) source.report('fatal', at, `'${text}' is no step`, 'write SslBump1, SslBump2 or SslBump3')
      first ||= step === 'sslbump1'
    }
    return () => (first ? matched : mismatched)
  },
} satisfies AclType

const steps: ReadonlySet<string> = new Set(['sslbump1', 'sslbump2', 'sslbump3', 'generatingconnect'])
