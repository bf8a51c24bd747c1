import type { Attempt, Connection } from '../../comm/index.ts'
import { endpointText, ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { CertificateError, HandshakeFailure, Secured, ServerSight, TlsTarget } from '../tls/index.ts'

// TLS on a connection that has just been made, for who dials. What fails here is a failure of this route: another address of
// the server may do better. What is wrong with a certificate is not: the server is who it is everywhere.

/** One of the two is null; both: the route is to be tried again, for now it would do. */
export type SecureDone = (error: ProxyError | null, secured: Secured | null) => void

/** The connection belongs to the attempt. */
export const secureRoute = (connection: Connection, tls: TlsTarget, route: Route, timeoutMs: number, done: SecureDone): Attempt =>
  tls.client.connect(connection, tls, timeoutMs, (failure, secured) => {
    if (failure === null || failure.kind === 'again') return done(null, secured)
    route.peer?.useless()
    done(handshakeFailure(failure, route), null)
  })

const handshakeFailure = ({ kind, code, message }: HandshakeFailure, { target }: Route): ProxyError =>
  new ProxyError(kind === 'validator' ? 'helper-failed' : 'secure-connect-failed', `${endpointText(target)}: ${message}`, {
    side: 'server',
    retry: 'yes',
    errno: kind === 'timeout' ? 'ETIMEDOUT' : kind === 'ended' ? 'ECONNRESET' : 'EPROTO',
    fault: code,
  })

/** Null: the request may go to that server. */
export const distrust = ({ judge, name }: TlsTarget, sight: ServerSight): ProxyError | null => {
  const error = judge(sight)
  return error === null ? null : certificateFailure(error, name)
}

const certificateFailure = ({ name: fault }: CertificateError, name: string): ProxyError =>
  new ProxyError('secure-connect-failed', `the certificate shown for ${name}: ${fault}`, { side: 'server', errno: 'EPROTO', fault })
