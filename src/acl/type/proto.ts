import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The scheme of the target URI; NONE = it has none (CONNECT). */
export const proto = {
  fact: facts => `protocol ${facts.scheme === '' ? 'NONE' : facts.scheme}`,
  compile: source => {
    const schemes = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const scheme = text.toLowerCase()
      if (known.has(scheme)) schemes.add(none.has(scheme) ? '' : scheme)
      else source.report('warning', at, `Ignoring unknown protocol '${text}' in the ACL named '${source.definition.name}'`)
    }
    return facts => (schemes.has(facts.scheme) ? matched : mismatched)
  },
} satisfies AclType

const none: ReadonlySet<string> = new Set(['none', 'authority_form'])

const known: ReadonlySet<string> = new Set([
  'none', 'authority_form', 'http', 'https', 'ftp', 'urn', 'whois', 'gopher', 'wais', 'cache_object', 'icp', 'htcp',
  'coap', 'coaps', 'icy', 'tls', 'ssl', 'unknown', 'ws', 'wss',
])
