import type { CloseReason, Connection, ConnectionReader } from '../../../../comm/connection.ts'
import { ProxyError } from '../../../base/index.ts'
import type { Chained } from '../../../chainer/chainer.ts'
import { readServerHello, type ServerHello, versionText } from '../../../tls/index.ts'
import { routeHint } from '../forward-request.ts'
import { peersFor, waysFor } from '../server-ways.ts'
import type { ServerSide, Transaction } from '../transaction.ts'
import { connectServer } from '../tunnel.ts'
import { onOneLine } from '../client-tls.ts'

// Step 3 of peek: the client's hello has been passed on as it came, and what the server says to it is looked at, before it
// is decided whether the client gets it.

/** A chain of certificates fits in. */
const answerBytesMax = 64 * 1024

export interface ServerPeeked {
  readonly chained: Chained
  /** What it has said so far. */
  readonly bytes: Buffer
  readonly hello: Extract<ServerHello, { kind: 'hello' }> | null
}

/** Null: t.failure says why, or a parent stands between, which is asked by the tunnel. */
export const peekServer = async (t: Transaction, hello: Buffer): Promise<ServerPeeked | null> => {
  const { session } = t.client
  const peers = peersFor(t)
  if (peers !== null) {
    const [first] = await waysFor(t, peers, true)
    if (first === undefined || first.peer !== null) return null
  }
  const answer = await session.service.router.route(session, routeHint(t))
  if (t.over) return null
  if (!answer.ok) {
    t.refuse(answer.error, answer.detail)
    return null
  }
  const chained = await connectServer(t, answer.routes)
  if (chained === null) return null
  const read = await new AnswerReader(t, chained.connection).read(hello)
  if (read instanceof ProxyError) {
    if (!t.over) t.failure = read
    return null
  }
  const { bytes, hello: said } = read
  if (said?.certificate !== undefined && said.certificate !== null) {
    const { certificate } = said
    t.outcome.serverTls = {
      version: versionText(said.version), cipher: '', subject: onOneLine(certificate.subject), issuer: onOneLine(certificate.issuer),
      certificate: certificate.toString(), sha1: certificate.fingerprint, errors: [],
    }
  }
  return { chained, bytes, hello: said }
}

type Read = Omit<ServerPeeked, 'chained'>

class AnswerReader implements ConnectionReader, ServerSide {
  readonly #t: Transaction
  readonly #server: Connection
  #bytes = Buffer.alloc(0)
  #answered: ((read: Read | ProxyError) => void) | null = null

  constructor(t: Transaction, server: Connection) {
    this.#t = t
    this.#server = server
  }

  /** Once. The connection is closed where it fails. */
  read(hello: Buffer): Promise<Read | ProxyError> {
    return new Promise(resolve => {
      this.#answered = resolve
      this.#t.serverSide = this
      this.#server.setTimeout(this.#t.policy.timeouts.read)
      this.#server.setReader(this)
      this.#server.write(hello)
    })
  }

  onData(server: Connection, slab: Buffer, start: number, end: number): void {
    this.#bytes = Buffer.concat([this.#bytes, slab.subarray(start, end)])
    if (this.#answered === null) return server.deferRead()
    const said = readServerHello(this.#bytes)
    if (said.kind === 'hello') this.#answer({ bytes: this.#bytes, hello: said })
    else if (said.kind === 'none' || this.#bytes.length >= answerBytesMax) this.#answer({ bytes: this.#bytes, hello: null })
  }

  onEnd(): void {
    // an alert, and the end: that is for the client
    if (this.#bytes.length > 0) this.#answer({ bytes: this.#bytes, hello: null })
    else this.#fail('empty-response', 'the server closed when it heard the hello')
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#fail('read-timeout', 'the server does not answer the hello')
  }

  onClose(_server: Connection, why: CloseReason): void {
    this.#fail('read-error', `the server, after the hello: ${why}`)
  }

  drained(): void {}

  clientGone(): void {
    this.#fail('client-aborted', 'the client left')
  }

  #fail(code: 'empty-response' | 'read-timeout' | 'read-error' | 'client-aborted', why: string): void {
    if (this.#answered === null) return
    this.#answer(new ProxyError(code, why, { side: 'server' }))
    this.#server.close('aborted')
  }

  #answer(read: Read | ProxyError): void {
    const answered = this.#answered
    this.#answered = null
    if (answered === null) return
    this.#t.serverSide = null
    this.#server.setTimeout(0)
    if (!(read instanceof ProxyError)) {
      this.#server.deferRead()
      this.#server.giveBack(read.bytes)
    }
    answered(read)
  }
}
