import { type Attempt, CommError, type ConnectDone, type CloseReason, type Connection, type ConnectionReader } from '../../comm/index.ts'
import { parseResponseHead, type ResponseHead, usualHeadLimits } from '../http/index.ts'

// A tunnel through a parent to the server behind it (CONNECT, RFC 9110 9.3.6), so that what is meant for that server alone is
// not read on the way. For whoever dials it is a connection like another, which took a little longer.

/** `head`: the whole CONNECT request. The connection belongs to the attempt until `done`. */
export const askTunnel = (connection: Connection, head: string, timeoutMs: number, done: ConnectDone): Attempt => {
  const asking = new TunnelAsk(connection, done)
  connection.setReader(asking)
  connection.setTimeout(timeoutMs)
  connection.write(head)
  return asking
}

class TunnelAsk implements Attempt, ConnectionReader {
  readonly #connection: Connection
  readonly #done: ConnectDone
  #held: Buffer | null = null
  #over = false

  constructor(connection: Connection, done: ConnectDone) {
    this.#connection = connection
    this.#done = done
  }

  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#connection.close('aborted')
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.#over) return
    const piece = slab.subarray(start, end)
    const bytes = this.#held === null ? piece : Buffer.concat([this.#held, piece])
    this.#held = null
    for (let at = 0; ; ) {
      const answer = parseResponseHead(bytes, at, bytes.length, usualHeadLimits, 'CONNECT')
      if (answer.kind === 'bad') return this.#fail('EPROTO', `answered CONNECT with what is no answer: ${answer.why}`)
      if (answer.kind === 'more') {
        this.#held = Buffer.from(bytes.subarray(at))
        return
      }
      at = answer.end
      if (answer.head.status >= 200) return this.#answered(answer.head, bytes.subarray(at))
    }
  }

  #answered({ status }: ResponseHead, early: Buffer): void {
    if (status >= 300) return this.#fail('ECONNREFUSED', `answered ${status} to CONNECT`)
    this.#over = true
    this.#connection.setTimeout(0)
    // a server of TLS waits for its client to begin; what is there all the same is for whoever comes next
    this.#connection.giveBack(Buffer.from(early))
    this.#done(null, this.#connection)
  }

  #fail(errno: string, what: string): void {
    if (this.#over) return
    this.#over = true
    this.#connection.close('aborted')
    this.#done(new CommError(errno, 'CONNECT', `the parent ${what}`), null)
  }

  onEnd(): void {
    this.#fail('ECONNRESET', 'closed instead of answering CONNECT')
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#fail('ETIMEDOUT', 'did not answer CONNECT in time')
  }

  onClose(_connection: Connection, why: CloseReason): void {
    this.#fail('ECONNRESET', `broke off instead of answering CONNECT (${why})`)
  }
}
