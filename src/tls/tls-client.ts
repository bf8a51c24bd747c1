import { createHash, X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import type { Attempt, Connection } from '../../comm/index.ts'
import type { WallMs } from '../base/index.ts'
import type { Validator } from './validator.ts'
import { handshake, type HandshakeFailure, type SecureConnection } from './secure-connection.ts'
import { serverName } from './server-name.ts'
import type { Issuers } from './issuers.ts'
import { type CertificateError, missesIssuer, proofOf, type ServerProof, type Trust } from './server-proof.ts'
import { ServerSight } from './server-sight.ts'
import type { SessionCache } from './session-cache.ts'

// TLS towards servers with one set of options: tls_outgoing_options, or those of a cache_peer. The handshake succeeds with
// any certificate; whether what is wrong with it may be tolerated is for the owner of the request to say (ServerProof.errors).

/** Everything in memory: files are read by who reads the conf. */
export interface TlsClientOptions {
  /** PEM of the certificate we show when asked, with its chain, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  /** PEM certificates that are trusted. */
  readonly roots: readonly string[]
  /** Those this system trusts, too (default-ca). */
  readonly systemRoots: boolean
  /** PEM certificates that may complete a chain (sslproxy_foreign_intermediate_certs); not trusted by themselves. */
  readonly intermediates?: readonly string[]
  /** PEM revocation lists; every certificate of a chain is looked up then. */
  readonly crls?: readonly string[]
  readonly ciphers?: string | undefined
  readonly minVersion?: tls.SecureVersion | undefined
  readonly maxVersion?: tls.SecureVersion | undefined
  /** SSL_OP_… bits. */
  readonly secureOptions?: number | undefined
  /** False: DONT_VERIFY_PEER, no certificate is wrong. */
  readonly verifyPeer: boolean
  /** False: DONT_VERIFY_DOMAIN, it may be for anybody. */
  readonly verifyDomain: boolean
  /** False: NO_SESSION_REUSE. */
  readonly reuseSessions: boolean
  readonly alpn: readonly string[]
}

export const usualTlsClient: TlsClientOptions = {
  roots: [],
  systemRoots: false,
  verifyPeer: true,
  verifyDomain: true,
  reuseSessions: true,
  alpn: ['http/1.1'],
}

export interface TlsClientDeps {
  readonly sessions: SessionCache
  /** Has the last word on certificates; null = there is none. */
  readonly validator: Validator | null
  /** Completes chains; null = servers have to send them whole. */
  readonly issuers: Issuers | null
  readonly now: () => WallMs
}

/** How a route is secured. */
export interface TlsTarget {
  readonly client: TlsClient
  /** The request's host, or ssldomain= of a peer: said in the ClientHello, and what the certificate has to name. */
  readonly name: string
  /**
   * Asked for every request, also on a connection that stood before. Answers the first error that is not tolerated: the
   * request fails then. What another request tolerated is nothing to this one.
   */
  readonly judge: (server: ServerSight) => CertificateError | null
  /** tls_key_log: lines in NSS key log format, with their ends. */
  readonly keyLog?: ((line: string) => void) | undefined
}

export interface Secured {
  readonly connection: SecureConnection
  readonly proof: ServerProof
  /** The same and more, for logs and access lists. */
  readonly sight: ServerSight
}

/** One of the two is null. */
export type SecuredDone = (failure: HandshakeFailure | null, secured: Secured | null) => void

export class TlsClient {
  /** Equal for equal options, also across reloads: part of the key of pooled connections and of sessions. */
  readonly id: string
  readonly options: TlsClientOptions
  readonly #deps: TlsClientDeps
  #made: tls.SecureContext | null = null
  #trust: Trust | null = null
  /** Issuers that servers did not send, in PEM, by fingerprint. */
  readonly #learned = new Map<string, string>()

  constructor(options: TlsClientOptions, deps: TlsClientDeps) {
    this.id = createHash('sha256').update(JSON.stringify(options)).digest('base64url').slice(0, 16)
    this.options = options
    this.#deps = deps
  }

  /** Throws where OpenSSL cannot use what is in the options; its message says why. */
  check(): void {
    tls.createSecureContext(contextOptions(this.options, []))
  }

  /** What the first connection would wait for: the system's certificates are read and put into a context. */
  warm(): void {
    void this.#context
  }

  /** At the first connection: the system's certificates are 150 files, which not everybody needs. */
  get #context(): tls.SecureContext {
    this.#made ??= tls.createSecureContext(contextOptions(this.options, [...rootsOf(this.options), ...this.#learned.values()]))
    return this.#made
  }

  /** What must be the same for a connection to be shared. */
  keyFor(name: string): string {
    return `${this.id} ${name.toLowerCase()}`
  }

  /** The connection belongs to the attempt from here on; see `handshake`. */
  connect(inner: Connection, target: Pick<TlsTarget, 'name' | 'keyLog'>, timeoutMs: number, done: SecuredDone): Attempt {
    const { options } = this
    const { name, keyLog } = target
    const server = serverName(name)
    // by our end, too: servers must not learn from a session that one client's address is another's proxy
    const sessionKey = options.reuseSessions ? `${this.keyFor(name)} ${inner.peer.port} ${inner.local.address}` : null
    const kept = sessionKey === null ? undefined : this.#deps.sessions.take(sessionKey)
    const make = (stream: Duplex): tls.TLSSocket => {
      const socket = tls.connect({
        socket: stream,
        secureContext: this.#context,
        rejectUnauthorized: false, // judged below, with every error
        checkServerIdentity: () => undefined,
        ALPNProtocols: [...options.alpn],
        ...(server?.kind === 'dns' ? { servername: server.text } : {}), // RFC 6066 3: no addresses
        ...(kept === undefined ? {} : { session: kept.session }),
      })
      if (keyLog !== undefined) socket.on('keylog', line => keyLog(line.toString('latin1')))
      return socket
    }
    const judged: SecuredDone = (failure, secured) => {
      if (secured === null || this.#deps.validator === null || !options.verifyPeer || secured.proof.resumed) done(failure, secured)
      else completing = this.#validate(secured, name, this.#deps.validator, done)
    }
    const shaking = handshake(inner, make, timeoutMs, (failure, connection) => {
      if (connection === null) return done(failure, null)
      const resumed = kept !== undefined && connection.tls.isSessionReused()
      const proof: ServerProof = resumed
        ? { certificate: kept.certificate, errors: noErrors, resumed }
        : this.#proof(connection.tls, server === null ? name : server.text)
      // a session stands for the verification of before, which a validator has not seen
      const verified = proof.errors.length === 0 && this.#deps.validator === null
      if (sessionKey !== null && verified) this.#keepSessions(connection.tls, sessionKey, proof.certificate)
      const secured = { connection, proof, sight: new ServerSight(connection.tls, proof) }
      completing = missesIssuer(proof) ? this.#complete(secured, judged) : null
      if (completing === null) judged(null, secured)
    })
    let completing: Attempt | null = null
    return { cancel: () => (completing ?? shaking).cancel() }
  }

  /**
   * The chain may be whole with what its certificates say of their issuers. OpenSSL has the last word: with them the handshake
   * is made once more, on another connection. Null: there is nothing to be found.
   */
  #complete(secured: Secured, done: SecuredDone): Attempt | null {
    const { issuers } = this.#deps
    const { connection, proof: { certificate } } = secured
    if (issuers === null || issuers.source === null || certificate === null) return null
    const looking = issuers.complete(certificate, this.#trusted(), connection.peer, found => {
      const learned = found !== null && this.#learn(found)
      if (!learned && !connection.closed) return done(null, secured)
      connection.close('done')
      if (learned) done({ kind: 'again', code: '', message: 'an issuer was found' }, null)
      else done({ kind: 'ended', code: '', message: 'the connection broke while an issuer was looked for' }, null)
    })
    return {
      cancel: () => {
        looking.cancel()
        connection.close('aborted')
      },
    }
  }

  /** What it says of the certificate counts. */
  #validate(secured: Secured, name: string, validator: Validator, done: SecuredDone): Attempt {
    const { connection, proof } = secured
    let cancelled = false
    const what = { name, version: connection.tls.getProtocol() ?? '', cipher: connection.tls.getCipher().name, proof }
    void validator.judge(what).then(errors => {
      if (cancelled) return
      if (errors !== null && !connection.closed) {
        const judgedProof = { ...proof, errors }
        return done(null, { connection, proof: judgedProof, sight: new ServerSight(connection.tls, judgedProof) })
      }
      connection.close('refused')
      if (errors === null) done({ kind: 'validator', code: '', message: 'sslcrtvalidator_program does not answer' }, null)
      else done({ kind: 'ended', code: '', message: 'the connection broke while its certificate was judged' }, null)
    })
    return {
      cancel: () => {
        cancelled = true
        connection.close('aborted')
      },
    }
  }

  /** False: it knew them, and that was not what is wrong. */
  #learn(found: readonly X509Certificate[]): boolean {
    const news = found.filter(({ fingerprint256 }) => !this.#learned.has(fingerprint256))
    if (news.length === 0) return false
    for (const issuer of news) this.#learned.set(issuer.fingerprint256, issuer.toString())
    for (const oldest of this.#learned.keys()) if (this.#learned.size > learnedMax) this.#learned.delete(oldest)
    this.#made = null
    this.#trust = null
    return true
  }

  #proof(socket: tls.TLSSocket, name: string): ServerProof {
    const { verifyPeer, verifyDomain } = this.options
    if (!verifyPeer) {
      return { certificate: socket.getPeerX509Certificate() ?? null, errors: noErrors, resumed: false }
    }
    return proofOf(socket, { name: verifyDomain ? name : null, trust: () => this.#trusted(), now: this.#deps.now() })
  }

  #keepSessions(socket: tls.TLSSocket, key: string, certificate: X509Certificate | null): void {
    if (certificate === null) return
    const { sessions } = this.#deps
    socket.on('session', session => sessions.store(key, { session, certificate }))
    // TLS 1.2: it came within the handshake. TLS 1.3 servers send theirs later.
    const session = socket.getProtocol() === 'TLSv1.3' ? undefined : socket.getSession()
    if (session !== undefined) sessions.store(key, { session, certificate })
  }

  #trusted(): Trust {
    const { intermediates = [], crls = [] } = this.options
    this.#trust ??= {
      roots: rootsOf(this.options).map(pem => new X509Certificate(pem)),
      intermediates: [...intermediates, ...this.#learned.values()].map(pem => new X509Certificate(pem)),
      crls: crls.length > 0,
    }
    return this.#trust
  }
}

/** More than that many servers' issuers are not remembered; each costs a context its memory. */
const learnedMax = 128

const noErrors: ServerProof['errors'] = []

const rootsOf = ({ roots, systemRoots }: TlsClientOptions): readonly string[] => (systemRoots ? [...systemTrust(), ...roots] : roots)

/** What OpenSSL here trusts (SSL_CERT_FILE, SSL_CERT_DIR); Mozilla's list, which comes with Node, on a system without. */
const systemTrust = (): readonly string[] => {
  trusted ??= [...new Set(tls.getCACertificates('system'))]
  if (trusted.length === 0) trusted = tls.getCACertificates('bundled')
  return trusted
}
let trusted: readonly string[] | null = null

const contextOptions = (options: TlsClientOptions, roots: readonly string[]): tls.SecureContextOptions => {
  const { cert, key, passphrase, intermediates = [], crls = [], ciphers, minVersion, maxVersion, secureOptions } = options
  return {
    // without X509_V_FLAG_PARTIAL_CHAIN an intermediate among them leads to a root, and is none
    ca: [...roots, ...intermediates],
    allowPartialTrustChain: false,
    minVersion: minVersion ?? 'TLSv1',
    maxVersion: maxVersion ?? 'TLSv1.3',
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(crls.length === 0 ? {} : { crl: [...crls] }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(secureOptions === undefined ? {} : { secureOptions }),
  }
}
