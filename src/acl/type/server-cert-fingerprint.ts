import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** SHA-1 of the server's certificate: `AB:CD:…`, as `openssl x509 -fingerprint` says it. */
export const serverCertFingerprint = {
  fact: facts => `server certificate ${facts.outcome?.serverTls?.sha1 || '-'}`,
  compile: source => {
    const known = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const digits = text.replaceAll(':', '').toUpperCase()
      if (/^[0-9A-F]{40}$/.test(digits)) known.add(digits)
      else source.report('fatal', at, `'${text}' is no SHA-1 fingerprint`, 'as openssl x509 -noout -fingerprint says it')
    }
    return facts => {
      const sha1 = facts.outcome?.serverTls?.sha1 ?? ''
      return sha1 !== '' && known.has(sha1.replaceAll(':', '')) ? matched : mismatched
    }
  },
} satisfies AclType
