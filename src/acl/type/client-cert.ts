import type { AccessFacts } from '../access-facts.ts'
import type { AclSource, AclType, Matcher } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

// Whom the certificate of a TLS client names (user_cert), and who signed it (ca_cert): `user_cert CN alice`. The attribute is
// C, O, OU, CN, L, ST, emailAddress or a numeric OID, or DN for the whole name, `/C=DE/CN=alice`. Without values: it has one.

type Whose = 'subject' | 'issuer'

const compile = (source: AclSource, whose: Whose): Matcher => {
  const { argument, at, values } = source.definition
  const attribute = argument?.text ?? ''
  if (!/^(?:[A-Za-z]+|\d+(?:\.\d+)+)$/.test(attribute)) source.report('fatal', at, `${source.definition.type} needs an attribute first`, 'such as CN, O or DN')
  const wanted = new Set(values.map(({ text }) => text))
  return facts => {
    const found = attributesOf(facts, whose, attribute)
    if (found.length === 0) return mismatched
    return wanted.size === 0 || found.some(value => wanted.has(value)) ? matched : mismatched
  }
}

const attributesOf = (facts: AccessFacts, whose: Whose, attribute: string): readonly string[] => {
  const tls = facts.outcome?.clientTls ?? null
  const name = tls?.certificateNames?.[whose] ?? ''
  if (name === '') return []
  if (attribute.toUpperCase() === 'DN') return [`/${name.split('\n').join('/')}`]
  const start = `${(shortNames[attribute] ?? attribute).toLowerCase()}=`
  return name.split('\n').flatMap(line => (line.toLowerCase().startsWith(start) ? [plain(line.slice(start.length))] : []))
}

const shortNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN', '2.5.4.6': 'C', '2.5.4.7': 'L', '2.5.4.8': 'ST', '2.5.4.10': 'O', '2.5.4.11': 'OU',
}

/** RFC 2253 2.4: what would mean something else has a backslash before it; bytes that are no text are two digits. */
const plain = (value: string): string =>
  value.replace(/\\([0-9A-F]{2})|\\(.)/g, (_whole, hex: string | undefined, character: string | undefined) =>
    hex === undefined ? (character ?? '') : String.fromCharCode(Number.parseInt(hex, 16)))

const fact = (facts: AccessFacts, whose: Whose): string =>
  `client certificate ${facts.outcome?.clientTls?.certificateNames?.[whose].replaceAll('\n', ', ') || '-'}`

export const userCert = {
  fact: facts => fact(facts, 'subject'),
  compile: source => compile(source, 'subject'),
} satisfies AclType

export const caCert = {
  fact: facts => fact(facts, 'issuer'),
  compile: source => compile(source, 'issuer'),
} satisfies AclType
