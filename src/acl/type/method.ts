import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The request method. Methods know case; `get` in a conf means GET, as in Squid with relaxed_header_parser on. */
export const method = {
  fact: facts => `method ${facts.method}`,
  compile: source => {
    const methods = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const upper = text.toUpperCase()
      methods.add(known.has(upper) ? upper : text)
      if (known.has(upper) && upper !== text) source.report('note', at, `method '${text}' is read as ${upper}`)
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) source.report('fatal', at, `'${text}' cannot be a method`)
    }
    return facts => (methods.has(facts.method) ? matched : mismatched)
  },
} satisfies AclType

/** Those Squid knows by name: RFC 9110, 5789, WebDAV and its relatives, and PURGE. */
const known: ReadonlySet<string> = new Set([
  'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'PURGE', 'PRI',
  'PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK', 'SEARCH', 'BIND', 'REBIND', 'UNBIND', 'ACL',
  'REPORT', 'CHECKOUT', 'CHECKIN', 'UNCHECKOUT', 'VERSION-CONTROL', 'MKWORKSPACE', 'UPDATE', 'LABEL', 'MERGE',
  'BASELINE-CONTROL', 'MKACTIVITY', 'MKCALENDAR', 'MKREDIRECTREF', 'UPDATEREDIRECTREF', 'ORDERPATCH', 'LINK', 'UNLINK',
])
