import { type SecureContext, TLSSocket } from 'node:tls'
import type { Attempt, Connection } from '../../comm/index.ts'
import { handshake, type HandshakeDone, type HandshakeFailure } from './secure-connection.ts'
import type { ClientCertificates } from './server-identity.ts'

// The server's side of a handshake, with a client of ours.

/** What to show, and what to ask for. */
export interface Shown {
  readonly usual: SecureContext
  /** Null: the same whatever name the client says. */
  readonly contextFor: ((name: string) => SecureContext) | null
  readonly clients: ClientCertificates | null
  /** The secrets of its session, lines of an NSS key log; absent: nobody wants them. */
  readonly keyLog?: ((line: string) => void) | undefined
}

/** As `handshake`. HTTP/1.1 is the only protocol that is spoken inside. */
export const acceptTls = (connection: Connection, { usual, contextFor, clients, keyLog }: Shown, timeoutMs: number, done: HandshakeDone): Attempt =>
  handshake(
    connection,
    stream => {
      const socket = new TLSSocket(stream, {
        isServer: true,
        secureContext: usual,
        ALPNProtocols: ['http/1.1'],
        requestCert: clients !== null,
        // OpenSSL refuses who has none; what is wrong with one is looked at when the handshake is done
        rejectUnauthorized: clients?.needed === true,
        ...(contextFor === null ? {} : { SNICallback: (name, found) => found(null, contextFor(name)) }),
      })
      if (keyLog !== undefined) socket.on('keylog', (line: Buffer) => keyLog(line.toString('latin1')))
      return socket
    },
    timeoutMs,
    clients === null ? done : trusted(clients.needed, done),
  )

/** A certificate that is wrong is refused where none is needed, too: ACLs believe what is in it. */
const trusted =
  (needed: boolean, done: HandshakeDone): HandshakeDone =>
  (failure, secure) => {
    if (secure === null) return done(failure, secure)
    const anonymous = !needed && secure.tls.getPeerX509Certificate() === undefined
    const fault = anonymous ? null : clientFault(secure.tls)
    if (fault === null) return done(failure, secure)
    secure.close('refused')
    done(fault, null)
  }

/**
 * What OpenSSL found in the client's certificate. tls.Server asks the socket's handle so; it gives no connection back that
 * was made over a stream of ours together with that stream, and the handle has no public name. Until there is a public
 * verifyError of a server's TLSSocket.
 */
const clientFault = (socket: TLSSocket): HandshakeFailure | null => {
  const { _handle: handle } = socket as unknown as { _handle?: { verifyError?: () => (Error & { code?: string }) | null | undefined } }
  if (typeof handle?.verifyError !== 'function') return { kind: 'tls', code: '', message: 'this version of Node does not tell what is wrong with certificates of clients' }
  const error = handle.verifyError()
  return error === null || error === undefined ? null : { kind: 'tls', code: error.code ?? '', message: `the client's certificate: ${error.message}` }
}
