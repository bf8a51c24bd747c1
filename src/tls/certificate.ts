import { createHash, type KeyObject, sign } from 'node:crypto'
import { keyUsageBits } from './certificate-parts.ts'
import { bitString, contextTag, integer, oid, sequence, tags, time, value } from './der.ts'
import { addressBytes, type ServerName } from './server-name.ts'

// One X.509 version 3 certificate (RFC 5280) from what it is to say. Everything that is taken over from another certificate
// comes as DER; what is made here is the frame, the identifiers of the keys, and the signature.

export interface CertificatePlan {
  /** Names as DER. */
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  readonly publicKey: KeyObject
  /** Of whoever signs; null = unknown. */
  readonly issuerKeyId: Buffer | null
  readonly isCa: boolean
  /** The value of the extension. */
  readonly subjectAltName: Buffer | null
  /** Bits; 0 = nothing is said of it. */
  readonly keyUsage: number
  readonly extendedKeyUsage: Buffer | null
}

/** Hashes of sslproxy_cert_sign_hash. Ed25519 and Ed448 have their own. */
export const signHashes = ['sha256', 'sha384', 'sha512', 'sha1'] as const
export type SignHash = (typeof signHashes)[number]

/** DER of the certificate. The signature is made in Node's thread pool: one by RSA-4096 takes milliseconds. */
export const issue = async (plan: CertificatePlan, signer: KeyObject, hash: SignHash): Promise<Buffer> => {
  const algorithm = algorithmOf(signer, hash)
  const tbs = toBeSigned(plan, algorithm.identifier)
  const signature = await signed(algorithm.hash, tbs, signer)
  return sequence(tbs, algorithm.identifier, bitString(signature))
}

const signed = (hash: string | null, data: Buffer, key: KeyObject): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    sign(hash, data, key, (error, signature) => {
      if (error === null) resolve(signature)
      else reject(error)
    })
  })

const toBeSigned = (plan: CertificatePlan, algorithm: Buffer): Buffer => {
  const spki = plan.publicKey.export({ type: 'spki', format: 'der' })
  const body = [
    algorithm,
    plan.issuer,
    sequence(time(plan.notBefore), time(plan.notAfter)),
    plan.subject,
    spki,
    value(contextTag(3, true), sequence(...extensionsOf(plan, spki))),
  ]
  return sequence(version3, integer(serialOf(plan, body)), ...body)
}

/**
 * The same certificate has the same number, another one another: browsers refuse two certificates of one issuer under one
 * number. Everything that differs is in the hash, the key too, which is another one in every process. 127 bits: at most 20
 * bytes (RFC 5280 4.1.2.2), and not negative.
 */
const serialOf = ({ issuerKeyId }: CertificatePlan, body: readonly Buffer[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of body) hash.update(part)
  if (issuerKeyId !== null) hash.update(issuerKeyId)
  const serial = hash.digest().subarray(0, 16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  return serial
}

const extensionsOf = (plan: CertificatePlan, spki: Buffer): Buffer[] => {
  const extensions = [
    extension('2.5.29.19', true, sequence(...(plan.isCa ? [yes] : []))),
    extension('2.5.29.14', false, value(tags.octetString, keyIdOf(spki))),
  ]
  if (plan.keyUsage !== 0) {
    extensions.push(extension('2.5.29.15', true, bitString(Buffer.from([plan.keyUsage]), unusedBits(plan.keyUsage))))
  }
  if (plan.issuerKeyId !== null) {
    extensions.push(extension('2.5.29.35', false, sequence(value(contextTag(0, false), plan.issuerKeyId))))
  }
  if (plan.extendedKeyUsage !== null) extensions.push(extension('2.5.29.37', false, plan.extendedKeyUsage))
  // RFC 5280 4.2.1.6: it is critical where there is no other name
  const nameless = plan.subject.equals(noName)
  if (plan.subjectAltName !== null) extensions.push(extension('2.5.29.17', nameless, plan.subjectAltName))
  return extensions
}

const extension = (id: string, critical: boolean, content: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [yes] : []), value(tags.octetString, content))

/** RFC 5280 4.2.1.2, way (1): SHA-1 of the key's bits. */
export const keyIdOf = (spki: Buffer): Buffer => createHash('sha1').update(spkiBits(spki)).digest()

/** What is within the BIT STRING, which is last and has its length where DER says. */
const spkiBits = (spki: Buffer): Buffer => {
  const outer = contentStart(spki, 0)
  const algorithmEnd = contentStart(spki, outer.start)
  const bits = contentStart(spki, algorithmEnd.end)
  return spki.subarray(bits.start + 1, bits.end)
}

const contentStart = (der: Buffer, at: number): { start: number; end: number } => {
  const first = der[at + 1] ?? 0
  const count = first < 0x80 ? 0 : first & 0x7f
  const length = count === 0 ? first : der.readUIntBE(at + 2, count)
  return { start: at + 2 + count, end: at + 2 + count + length }
}

const unusedBits = (usage: number): number => Math.clz32(usage & -usage) ^ 31

// ---- what goes into a plan

/** CN=… and nothing else; no name at all where it would be longer than 64 characters (X.520's ub-common-name). */
export const commonName = (name: string): Buffer =>
  [...name].length > commonNameMax || name === ''
    ? noName
    : sequence(value(tags.set, sequence(oid('2.5.4.3'), value(tags.utf8String, Buffer.from(name, 'utf8')))))

export const commonNameMax = 64
export const noName = sequence()

/** subjectAltName with one name. */
export const altNameOf = ({ kind, text }: ServerName): Buffer => {
  const address = kind === 'ip' ? addressBytes(text) : null
  return sequence(
    address === null
      ? value(contextTag(2, false), Buffer.from(text, 'latin1'))
      : value(contextTag(7, false), address),
  )
}

/** extendedKeyUsage: id-kp-serverAuth. */
export const serverAuth = sequence(oid('1.3.6.1.5.5.7.3.1'))

/** For a key that a TLS server has. */
export const serverKeyUsage = (key: KeyObject): number =>
  key.asymmetricKeyType === 'rsa'
    ? keyUsageBits.digitalSignature | keyUsageBits.keyEncipherment
    : keyUsageBits.digitalSignature

interface SignAlgorithm {
  readonly identifier: Buffer
  readonly hash: string | null
}

const algorithmOf = (key: KeyObject, hash: SignHash): SignAlgorithm => {
  const type = key.asymmetricKeyType
  // RFC 4055 5: parameters of RSA's are NULL; RFC 5758 3.2, RFC 8410 3: the others have none
  if (type === 'rsa') return { identifier: sequence(oid(rsaAlgorithms[hash]), value(tags.null)), hash }
  if (type === 'ec') return { identifier: sequence(oid(ecAlgorithms[hash])), hash }
  return { identifier: sequence(oid(type === 'ed448' ? '1.3.101.113' : '1.3.101.112')), hash: null }
}

const rsaAlgorithms: Readonly<Record<SignHash, string>> = {
  sha1: '1.2.840.113549.1.1.5',
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
}

const ecAlgorithms: Readonly<Record<SignHash, string>> = {
  sha1: '1.2.840.10045.4.1',
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
}

const version3 = value(contextTag(0, true), integer(Buffer.from([2])))
const yes = value(tags.boolean, Buffer.from([0xff]))
