import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

// Who we are to clients: certificates with their keys, and how TLS is spoken with them. Read once; a reload makes
// another one.

export interface IdentityOptions {
  /** PEM: the certificate, its chain behind it, and its key. */
  readonly certificates: readonly [CertificateText, ...CertificateText[]]
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** SSL_OP_ bits. */
  readonly options: number
  /** '' = the usual ones. */
  readonly cipher: string
  readonly curve: string | null
  readonly dhText: string | null
  /** Null: clients are not asked for a certificate. */
  readonly clients: ClientCertificates | null
  readonly resumes: boolean
  readonly sessionContext: string
}

export interface CertificateText {
  readonly cert: string
  readonly key: string
  readonly passphrase?: string
}

export interface ClientCertificates {
  /** PEM of the CAs; empty: the usual ones. */
  readonly ca: readonly string[]
  readonly crl: readonly string[]
  /** Whoever has none, or a bad one, is refused. */
  readonly needed: boolean
}

export class ServerIdentity {
  readonly clients: ClientCertificates | null
  /** How TLS is spoken, whatever certificate is shown. */
  readonly manner: SecureContextOptions
  readonly #known: readonly Known[]

  /** Throws what OpenSSL says of a certificate or key. */
  constructor(options: IdentityOptions) {
    this.clients = options.clients
    this.manner = mannerOf(options)
    this.#known = options.certificates.map(text => ({
      leaf: new X509Certificate(text.cert),
      context: createSecureContext({ ...this.manner, ...text }),
    }))
  }

  get usual(): SecureContext {
    return (this.#known[0] as Known).context // at least one, by its type
  }

  /** The certificate that has the name, or the first. */
  readonly contextFor = (name: string): SecureContext => {
    return this.#known.find(({ leaf }) => leaf.checkHost(name) !== undefined)?.context ?? this.usual
  }
}

interface Known {
  readonly leaf: X509Certificate
  readonly context: SecureContext
}

/** RFC 8996: earlier versions need what OpenSSL 3 thinks too weak. */
const weak: ReadonlySet<string> = new Set(['TLSv1', 'TLSv1.1'])

const mannerOf = (options: IdentityOptions): SecureContextOptions => {
  const ciphers = options.cipher !== '' ? options.cipher : weak.has(options.minVersion) ? 'DEFAULT:@SECLEVEL=0' : undefined
  const { clients } = options
  return {
    minVersion: options.minVersion,
    secureOptions: options.options | noRenegotiation | (options.resumes ? 0 : noTicket),
    sessionIdContext: options.sessionContext,
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(options.curve === null ? {} : { ecdhCurve: options.curve }),
    ...(options.dhText === null ? {} : { dhparam: options.dhText }),
    ...(clients === null || clients.ca.length === 0 ? {} : { ca: [...clients.ca] }),
    ...(clients === null || clients.crl.length === 0 ? {} : { crl: [...clients.crl] }),
  }
}

/** A client that renegotiates makes us pay for what it pays little for. SSL_OP_NO_RENEGOTIATION, which Node does not name. */
const noRenegotiation = 1 << 30
/** SSL_OP_NO_TICKET. */
const noTicket = 1 << 14
