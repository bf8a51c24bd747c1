import type { TLSSocket } from 'node:tls'
import type { Connection } from '../../../comm/connection.ts'
import type { ClientTls } from '../../base/index.ts'
import { SecureConnection } from '../../tls/index.ts'

// What the record of a request says of TLS with the client.

/** Of a port that shows its own certificate; null = clear text. */
export const clientTls = (connection: Connection): ClientTls | null => {
  if (!(connection instanceof SecureConnection)) return null
  const tls: ClientTls = {
    bumpMode: '', sni: '', helloVersion: '', supportedVersion: '', version: '', cipher: '', certificateSubject: '', certificateIssuer: '',
  }
  tellAgreed(tls, connection.tls)
  const { servername } = connection.tls as { servername?: unknown } // set by node:tls on a server's side; not in its types
  if (typeof servername === 'string') tls.sni = servername
  return tls
}

/** What the handshake has come to. */
export const tellAgreed = (tls: ClientTls, socket: TLSSocket): void => {
  tls.version = (socket.getProtocol() ?? '').replace('TLSv', 'TLS/')
  if (tls.version === 'TLS/1') tls.version = 'TLS/1.0'
  tls.cipher = socket.getCipher()?.name ?? ''
  const certificate = socket.getPeerX509Certificate()
  tls.certificateSubject = onOneLine(certificate?.subject)
  tls.certificateIssuer = onOneLine(certificate?.issuer)
  if (certificate !== undefined) tls.certificateNames = { subject: certificate.subject ?? '', issuer: certificate.issuer ?? '' }
}

/** `/C=DE/CN=x`, as OpenSSL and Squid's log write names. */
export const onOneLine = (name: string | undefined): string => (name === undefined || name === '' ? '' : `/${name.split('\n').join('/')}`)
