import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { WallMs } from '../base/index.ts'
import { keyUsageBits, keyUsageOf, partsOf } from './certificate-parts.ts'
import { serverName } from './server-name.ts'

// What a server showed to prove who it is, and all that is wrong with it. OpenSSL tells one error, its last: an expired
// certificate of nobody's would be called expired, and whoever tolerates that (sslproxy_cert_error) would trust nobody's. So
// where it tells one, the chain is walked once more here, and every doubt becomes an error of its own.

/** Squid's and OpenSSL's names: X509_V_ERR_CERT_HAS_EXPIRED, SQUID_X509_V_ERR_DOMAIN_MISMATCH … */
export interface CertificateError {
  readonly name: string
  /** 0 = the server's own certificate, 1 = whoever signed it … */
  readonly depth: number
}

export interface ServerProof {
  /** The server's certificate; null = it showed none. */
  readonly certificate: X509Certificate | null
  readonly errors: readonly CertificateError[]
  /** By a session of before: its certificate was verified then. */
  readonly resumed: boolean
}

export interface Trust {
  /** Certificates chains may end with. */
  readonly roots: readonly X509Certificate[]
  /** Known CAs servers forget to send. */
  readonly intermediates: readonly X509Certificate[]
  /** There are revocation lists. */
  readonly crls: boolean
}

export interface ProofWanted {
  /** Whom the certificate has to name; null = that is not asked. */
  readonly name: string | null
  readonly trust: () => Trust
  readonly now: WallMs
}

export const proofOf = (tls: TLSSocket, { name, trust, now }: ProofWanted): ServerProof => {
  const certificate = tls.getPeerX509Certificate() ?? null
  if (certificate === null) return { certificate, errors: [{ name: 'X509_V_ERR_UNSPECIFIED', depth: 0 }], resumed: false }
  const errors = new Errors()
  const told = tls.authorizationError as Error | string | null | undefined // its types say Error, it is a code
  if (told !== null && told !== undefined) {
    const { depth } = walk(certificate, trust(), now, errors)
    errors.add(`X509_V_ERR_${String(told)}`, depth)
  }
  if (name !== null && !names(certificate, name)) errors.add(domainMismatch, 0)
  return { certificate, errors: errors.list, resumed: false }
}

/** A certificate between it and a root is not here. */
export const missesIssuer = ({ errors }: ServerProof): boolean => errors.some(({ name }) => missing.has(name))

const missing: ReadonlySet<string> = new Set([
  'X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT', 'X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

export const domainMismatch = 'SQUID_X509_V_ERR_DOMAIN_MISMATCH'

/** Is it for this host? RFC 6125; a common name counts where there is no other name, as in Squid. */
export const names = (certificate: X509Certificate, host: string): boolean => {
  const server = serverName(host)
  if (server === null) return false
  if (server.kind === 'dns') return certificate.checkHost(server.text, { subject: 'default' }) !== undefined
  if (certificate.checkIP(server.text) !== undefined) return true
  return certificate.subjectAltName === undefined && commonNames(certificate).includes(server.text)
}

const commonNames = ({ subject }: X509Certificate): string[] =>
  (subject ?? '').split('\n').flatMap(line => (line.startsWith('CN=') ? [line.slice(3)] : []))

class Errors {
  readonly list: CertificateError[] = []

  add(name: string, depth: number): void {
    if (!this.list.some(error => error.name === name)) this.list.push({ name, depth })
  }
}

/** Deeper than any chain in use; OpenSSL's own limit is 100. */
const depthMax = 20

/** From the server's certificate up to a root we know. `depth`: where it ended. */
const walk = (leaf: X509Certificate, trust: Trust, now: WallMs, errors: Errors): { depth: number } => {
  const { isWhole, path } = chainOf(leaf, trust)
  judgeLeaf(leaf, trust, errors)
  for (const [depth, certificate] of path.entries()) {
    judgeDates(certificate, now, depth, errors)
    if (depth > 0) judgeIssuer(certificate, depth, errors)
  }
  const depth = path.length - 1
  const last = path[depth] ?? leaf
  if (isWhole) return { depth }
  if (path.length >= depthMax) errors.add('X509_V_ERR_CERT_CHAIN_TOO_LONG', depth)
  else errors.add(last.checkIssued(last) ? selfSigned(depth) : 'X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY', depth)
  return { depth }
}

/** Who has signed whom, from the server's certificate on. Whole: it ends with one of the roots. Dates and uses are not looked at. */
export const chainOf = (leaf: X509Certificate, trust: Trust): { readonly isWhole: boolean; readonly path: readonly X509Certificate[] } => {
  const roots = new Set(trust.roots.map(({ fingerprint256 }) => fingerprint256))
  const candidates = [...trust.roots, ...sentWith(leaf), ...trust.intermediates]
  const path: X509Certificate[] = []
  for (let next: X509Certificate | undefined = leaf; next !== undefined && path.length < depthMax; ) {
    const certificate: X509Certificate = next
    path.push(certificate)
    if (roots.has(certificate.fingerprint256)) return { isWhole: true, path }
    next = certificate.checkIssued(certificate) ? undefined : candidates.find(each => hasSigned(each, certificate))
  }
  return { isWhole: false, path }
}

const selfSigned = (depth: number): string =>
  depth === 0 ? 'X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT' : 'X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN'

/** What the server sent behind its certificate, as far as each signed the one before. */
const sentWith = (leaf: X509Certificate): X509Certificate[] => {
  const sent: X509Certificate[] = []
  for (let next = leaf.issuerCertificate; next !== undefined && sent.length < depthMax; next = next.issuerCertificate) sent.push(next)
  return sent
}

export const hasSigned = (issuer: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)

const judgeDates = (certificate: X509Certificate, now: WallMs, depth: number, errors: Errors): void => {
  if (now < Date.parse(certificate.validFrom)) errors.add('X509_V_ERR_CERT_NOT_YET_VALID', depth)
  if (now > Date.parse(certificate.validTo)) errors.add('X509_V_ERR_CERT_HAS_EXPIRED', depth)
}

const judgeLeaf = (leaf: X509Certificate, trust: Trust, errors: Errors): void => {
  // Node's keyUsage is the extended one
  const usages = leaf.keyUsage as readonly string[] | undefined // its types leave out that there may be none
  if (usages !== undefined && !usages.some(usage => serverUsages.has(usage))) errors.add('X509_V_ERR_INVALID_PURPOSE', 0)
  // was it revoked? The one error told may stand before that
  if (trust.crls) errors.add('X509_V_ERR_UNABLE_TO_GET_CRL', 0)
}

/** id-kp-serverAuth, anyExtendedKeyUsage. */
const serverUsages: ReadonlySet<string> = new Set(['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'])

const judgeIssuer = (certificate: X509Certificate, depth: number, errors: Errors): void => {
  const parts = partsOf(certificate)
  if (parts === null || !certificate.ca) return errors.add('X509_V_ERR_INVALID_CA', depth)
  if (parts.keyUsage !== null && !(keyUsageOf(parts.keyUsage) & keyUsageBits.keyCertSign)) {
    errors.add('X509_V_ERR_KEYUSAGE_NO_CERTSIGN', depth)
  }
  // CAs between it and the server's certificate
  if (parts.pathLengthMax !== null && depth - 1 > parts.pathLengthMax) errors.add('X509_V_ERR_PATH_LENGTH_EXCEEDED', depth)
  // not looked into here, so not taken for kept
  if (parts.hasNameConstraints) errors.add('X509_V_ERR_PERMITTED_VIOLATION', depth)
}
