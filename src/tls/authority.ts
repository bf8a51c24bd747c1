import { createHash, createPrivateKey, generateKeyPair, type KeyObject, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { partsOf, type CertificateParts, keyUsageBits } from './certificate-parts.ts'
import { commonName, commonNameMax, issue, keyIdOf, type SignHash } from './certificate.ts'
import { pem, pemBlocks, readValues, readValue, oid, oidKey } from './der.ts'

// The CA of a port (tls-cert=, tls-key=): signs what clients are shown. Beside it stands one nobody trusts, made here, whose
// certificates say "the real server's was not to be trusted": clients warn as they would have without us.

/** Signs certificates: a certificate with its private key. */
export interface Signer {
  readonly certificate: X509Certificate
  readonly parts: CertificateParts
  readonly key: KeyObject
  /** PEM that goes with what it signed: itself, unless clients must have it as a root, and those above it. */
  readonly chain: string
}

/** A key for servers. One serves for all certificates of an authority: making one costs more than all the rest. */
export interface LeafKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** PKCS #8. */
  readonly pem: string
}

export type AuthorityAnswer =
  | { readonly ok: true; readonly authority: Authority }
  | { readonly ok: false; readonly reason: string }

/**
 * `certificates`: PEM, the CA's first, then those above it. `key`: PEM, may be the same text. Reasons are for whoever wrote
 * the file names.
 */
export const readAuthority = (certificates: string, key: string, passphrase?: string): AuthorityAnswer => {
  const signer = readSigner(certificates, key, passphrase)
  return typeof signer === 'string' ? { ok: false, reason: signer } : { ok: true, authority: new Authority(signer) }
}

export class Authority {
  readonly trusted: Signer
  #leafKey: Promise<LeafKey> | null = null
  #untrusted: Promise<Signer> | null = null

  constructor(trusted: Signer) {
    this.trusted = trusted
  }

  /** The same for the same CA, whatever file it was read from and how often. */
  get fingerprint(): string {
    return createHash('sha256').update(this.trusted.certificate.raw).update(this.trusted.chain).digest('base64')
  }

  /** Made at the first call; call it early, so that no client waits for it. */
  leafKey(): Promise<LeafKey> {
    this.#leafKey ??= makeKey(this.trusted.key)
    return this.#leafKey
  }

  untrusted(hash: SignHash): Promise<Signer> {
    this.#untrusted ??= makeUntrusted(this.trusted, hash)
    return this.#untrusted
  }
}

const readSigner = (certificates: string, keyText: string, passphrase: string | undefined): Signer | string => {
  const [first, ...above] = pemBlocks(certificates, 'CERTIFICATE')
  if (first === undefined) return 'there is no certificate in it'
  const certificate = readCertificate(first)
  if (certificate === null) return 'its certificate cannot be read'
  const key = readKey(keyText, passphrase)
  if (typeof key === 'string') return key
  if (!keyTypes.has(key.asymmetricKeyType ?? '')) return `a key of type ${key.asymmetricKeyType ?? 'unknown'} cannot sign here`
  if (!certificate.checkPrivateKey(key)) return 'key and certificate do not belong together'
  const parts = partsOf(certificate)
  if (parts === null) return 'its certificate cannot be read'
  if (!certificate.ca) return 'it is not the certificate of a CA (basicConstraints CA:TRUE)'
  const chain = [first, ...above].filter(isNoRoot).map(der => pem(der, 'CERTIFICATE'))
  return { certificate, parts, key, chain: chain.join('') }
}

const keyTypes: ReadonlySet<string> = new Set(['rsa', 'ec', 'ed25519', 'ed448'])

const readKey = (text: string, passphrase: string | undefined): KeyObject | string => {
  try {
    return createPrivateKey({ key: text, format: 'pem', ...(passphrase === undefined ? undefined : { passphrase }) })
  } catch (error) {
    return `the private key cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
}

const readCertificate = (der: Buffer): X509Certificate | null => {
  try {
    return new X509Certificate(der)
  } catch {
    return null // said by whoever asked
  }
}

/** A root is of no use to who does not have it already. */
const isNoRoot = (der: Buffer): boolean => {
  const certificate = readCertificate(der)
  return certificate !== null && certificate.subject !== certificate.issuer
}

// ---- keys

/** Of the same kind as the CA's. RSA: 2048 bits, which is what clients want at least; a larger one costs each handshake. */
const makeKey = async (like: KeyObject): Promise<LeafKey> => {
  const { privateKey, publicKey } = await generated(like)
  return { privateKey, publicKey, pem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

const generate = promisify(generateKeyPair)

const generated = (like: KeyObject): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> => {
  switch (like.asymmetricKeyType) {
    case 'ec':
      return generate('ec', { namedCurve: like.asymmetricKeyDetails?.namedCurve ?? 'prime256v1' })
    case 'ed25519':
      return generate('ed25519')
    case 'ed448':
      return generate('ed448')
    default:
      return generate('rsa', { modulusLength: 2048 })
  }
}

// ---- the one nobody trusts

const makeUntrusted = async ({ certificate, parts, key: like }: Signer, hash: SignHash): Promise<Signer> => {
  const { privateKey, publicKey } = await makeKey(like)
  const subject = commonName(untrustedName(commonNameOf(parts.subject)))
  const der = await issue(
    {
      issuer: subject,
      subject,
      notBefore: new Date(certificate.validFrom),
      notAfter: new Date(certificate.validTo),
      publicKey,
      issuerKeyId: keyIdOf(publicKey.export({ type: 'spki', format: 'der' })),
      isCa: true,
      subjectAltName: null,
      keyUsage: keyUsageBits.keyCertSign,
      extendedKeyUsage: null,
    },
    privateKey,
    hash,
  )
  const made = new X509Certificate(der)
  const madeParts = partsOf(made)
  if (madeParts === null) throw new TypeError('a certificate made here can be read')
  // sent along: whoever looks at the chain sees why
  return { certificate: made, parts: madeParts, key: privateKey, chain: pem(der, 'CERTIFICATE') }
}

/** Squid's words, cut to what a common name may have. */
const untrustedName = (name: string): string => {
  const [before, after] = ['Not trusted by "', '"']
  return `${before}${[...name].slice(0, commonNameMax - before.length - after.length).join('')}${after}`
}

/** The last CN of a name; '' = it has none. */
export const commonNameOf = (name: Buffer): string => {
  let found = ''
  for (const relative of readValues(readValue(name)?.content ?? Buffer.alloc(0))) {
    for (const attribute of readValues(relative.content)) {
      const [type, text] = readValues(attribute.content)
      if (type !== undefined && text !== undefined && oidKey(type.whole) === commonNameOid) found = text.content.toString('utf8')
    }
  }
  return found
}

const commonNameOid = oidKey(oid('2.5.4.3'))
