import type { X509Certificate } from 'node:crypto'
import { contextTag, type DerValue, oid, oidKey, readValue, readValues, tags } from './der.ts'

// What is taken over from a certificate that is there already, as the DER it came in: nothing is decoded and made again that
// can be copied.
//
//   Certificate { TBSCertificate { [0] version, serial, signature, issuer, validity, subject, key, [3] extensions }, … }

export interface CertificateParts {
  /** Names, whole. */
  readonly issuer: Buffer
  readonly subject: Buffer
  /** SubjectPublicKeyInfo, whole. */
  readonly publicKey: Buffer
  /** Values of extensions (what is within their OCTET STRING); null = absent. */
  readonly subjectAltName: Buffer | null
  readonly keyUsage: Buffer | null
  readonly extendedKeyUsage: Buffer | null
  /** The key identifier itself. */
  readonly subjectKeyId: Buffer | null
  readonly isCa: boolean
  /** basicConstraints: how many CAs may stand between; null = no limit. */
  readonly pathLengthMax: number | null
  readonly hasNameConstraints: boolean
}

/** Null where the bytes are no certificate; what OpenSSL has read always is one. */
export const partsOf = (certificate: X509Certificate): CertificateParts | null => readParts(certificate.raw)

export const readParts = (der: Buffer): CertificateParts | null => {
  const outer = readValue(der)
  const tbs = outer === null ? null : readValue(outer.content)
  if (tbs === null || tbs.tag !== tags.sequence) return null
  const fields = readValues(tbs.content)
  if (fields[0]?.tag === contextTag(0, true)) fields.shift() // version
  const [, , issuer, , subject, publicKey] = fields
  if (issuer === undefined || subject === undefined || publicKey === undefined) return null
  const extensions = extensionsOf(fields.find(field => field.tag === contextTag(3, true)))
  const constraints = readConstraints(extensions.get(known.basicConstraints))
  const keyId = extensions.get(known.subjectKeyId)
  return {
    issuer: issuer.whole,
    subject: subject.whole,
    publicKey: publicKey.whole,
    subjectAltName: extensions.get(known.subjectAltName) ?? null,
    keyUsage: extensions.get(known.keyUsage) ?? null,
    extendedKeyUsage: extensions.get(known.extendedKeyUsage) ?? null,
    subjectKeyId: keyId === undefined ? null : (readValue(keyId)?.content ?? null),
    isCa: constraints.isCa,
    pathLengthMax: constraints.pathLengthMax,
    hasNameConstraints: extensions.has(known.nameConstraints),
  }
}

/** Bits of KeyUsage that matter here (RFC 5280 4.2.1.3), counted from the left of the first byte. */
export const keyUsageBits = { digitalSignature: 0x80, keyEncipherment: 0x20, keyAgreement: 0x08, keyCertSign: 0x04 } as const

/** The first byte of a KeyUsage value; 0 where it cannot be read. */
export const keyUsageOf = (extension: Buffer): number => readValue(extension)?.content[1] ?? 0

const key = (dotted: string): string => oidKey(oid(dotted))

const known = {
  subjectKeyId: key('2.5.29.14'),
  keyUsage: key('2.5.29.15'),
  subjectAltName: key('2.5.29.17'),
  basicConstraints: key('2.5.29.19'),
  nameConstraints: key('2.5.29.30'),
  extendedKeyUsage: key('2.5.29.37'),
}

const extensionsOf = (field: DerValue | undefined): Map<string, Buffer> => {
  const found = new Map<string, Buffer>()
  const list = field === undefined ? null : readValue(field.content)
  for (const extension of readValues(list?.content ?? empty)) {
    const [id, ...rest] = readValues(extension.content)
    const octets = rest.at(-1) // `critical` may stand before it
    if (id !== undefined && octets?.tag === tags.octetString) found.set(oidKey(id.whole), octets.content)
  }
  return found
}

const readConstraints = (extension: Buffer | undefined): Pick<CertificateParts, 'isCa' | 'pathLengthMax'> => {
  const [ca, length] = readValues(readValue(extension ?? empty)?.content ?? empty)
  const isCa = ca?.tag === tags.boolean && ca.content[0] !== 0
  return { isCa, pathLengthMax: isCa && length !== undefined ? (length.content.at(-1) ?? null) : null }
}

const empty = Buffer.alloc(0)
