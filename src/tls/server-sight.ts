import type { TLSSocket } from 'node:tls'
import type { ServerTls } from '../base/index.ts'
import type { ServerProof } from './server-proof.ts'

/** What a server showed, for logs, pages and access lists. Texts are made when somebody wants them. */
export class ServerSight implements ServerTls {
  readonly version: string
  readonly cipher: string
  readonly proof: ServerProof

  constructor(tls: TLSSocket, proof: ServerProof) {
    const version = tls.getProtocol() ?? ''
    this.version = version === 'TLSv1' ? 'TLS/1.0' : version.replace('TLSv', 'TLS/')
    this.cipher = tls.getCipher()?.name ?? ''
    this.proof = proof
  }

  get errors(): ServerTls['errors'] {
    return this.proof.errors
  }

  get subject(): string {
    return onOneLine(this.proof.certificate?.subject)
  }

  get issuer(): string {
    return onOneLine(this.proof.certificate?.issuer)
  }

  get certificate(): string {
    return this.proof.certificate?.toString() ?? ''
  }

  get sha1(): string {
    return this.proof.certificate?.fingerprint ?? ''
  }
}

/** Node's lines as OpenSSL writes names on one: `/C=DE/CN=x`. */
export const onOneLine = (name: string | undefined): string =>
  name === undefined || name === '' ? '' : `/${name.split('\n').join('/')}`
