import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/**
 * What is wrong with the server's certificate: one error while sslproxy_cert_error is asked, else any of those that were
 * found. Names without their X509_V_ERR_ are Squid's, too.
 */
export const sslError = {
  fact: facts => `certificate errors ${namesOf(facts).join(' ') || '-'}`,
  compile: source => {
    const names = new Set<string>()
    for (const { text, at } of source.definition.values) {
      for (const name of text.split(':').filter(part => part !== '')) {
        names.add(name)
        names.add(`X509_V_ERR_${name}`)
        if (!/^(?:X509_V_ERR_|SQUID_)?[A-Z][A-Z0-9_]+$/.test(name)) source.report('fatal', at, `'${name}' is no error of certificates`, 'for example X509_V_ERR_CERT_HAS_EXPIRED')
      }
    }
    return facts => (namesOf(facts).some(name => names.has(name)) ? matched : mismatched)
  },
} satisfies AclType

const namesOf = (facts: AccessFacts): readonly string[] =>
  facts.certificateErrors ?? facts.outcome?.serverTls?.errors.map(error => error.name) ?? []
