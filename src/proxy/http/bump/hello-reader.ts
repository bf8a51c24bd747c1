import type { CloseReason, Connection, ConnectionReader } from '../../../../comm/connection.ts'
import { type ClientHello, readClientHello } from '../../../tls/index.ts'

// Reads a client's hello and holds it, until it is known who gets the connection: a relay, or our own end of TLS. Both
// read it again from the beginning.

/** A hello with post-quantum keys has 2 to 3 KB; sixteen records of the largest kind fit nobody's. */
export const helloBytesMax = 64 * 1024
/** Each look begins anew: a client that sends byte by byte shall not cost us the square of what it sends. */
const looksMax = 1024

export type HelloAnswer =
  | Extract<ClientHello, { readonly kind: 'hello' }>
  /** Something else, or a hello that is too long; `bytes` is what came. */
  | { readonly kind: 'other' }
  | { readonly kind: 'timeout' }
  /** A FIN before it was whole, or the connection is gone. */
  | { readonly kind: 'ended' }

export class HelloReader implements ConnectionReader {
  readonly #connection: Connection
  readonly #gone: (why: CloseReason) => void
  #bytes: Buffer
  #looks = 0
  #answered: ((answer: HelloAnswer) => void) | null = null
  #released = false
  #isTls = false

  /** `early`: what was read already. `gone` is told when the connection closes before `release`. */
  constructor(connection: Connection, early: Buffer | null, gone: (why: CloseReason) => void) {
    this.#connection = connection
    this.#bytes = early ?? Buffer.alloc(0)
    this.#gone = gone
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  /** Once. */
  read(timeoutMs: number): Promise<HelloAnswer> {
    return new Promise(resolve => {
      this.#answered = resolve
      if (this.#connection.closed) return this.#answer({ kind: 'ended' })
      this.#connection.setTimeout(timeoutMs)
      this.#connection.setReader(this)
      if (this.#connection.ended) this.#answer({ kind: 'ended' })
      else if (this.#bytes.length > 0) this.#look()
    })
  }

  /** The first so many bytes are with somebody already. */
  forget(count: number): void {
    this.#bytes = this.#bytes.subarray(count)
  }

  /** The connection is the next one's, with all bytes that have come. */
  release(): void {
    this.#released = true
    this.#connection.setTimeout(0)
    this.#connection.giveBack(this.#bytes)
  }

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#bytes = Buffer.concat([this.#bytes, slab.subarray(start, end)])
    if (this.#answered !== null) this.#look()
    // read on while there is room: a connection nobody reads does not tell that its client has left
    else if (this.#bytes.length >= helloBytesMax) connection.deferRead()
  }

  onEnd(connection: Connection): void {
    if (this.#answered !== null) this.#answer({ kind: 'ended' })
    // whoever says nothing more after his hello has left; only what is no TLS may be answered after that
    else if (this.#isTls) connection.close('peer-closed')
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#answer({ kind: 'timeout' })
  }

  onClose(_connection: Connection, why: CloseReason): void {
    if (this.#released) return
    this.#answer({ kind: 'ended' })
    this.#gone(why)
  }

  #look(): void {
    const hello = readClientHello(this.#bytes)
    if (hello.kind === 'hello') this.#answer(hello)
    else if (hello.kind === 'none' || this.#bytes.length >= helloBytesMax || ++this.#looks >= looksMax) this.#answer({ kind: 'other' })
  }

  #answer(answer: HelloAnswer): void {
    const answered = this.#answered
    this.#answered = null
    if (answered === null) return
    this.#connection.setTimeout(0)
    this.#isTls = answer.kind === 'hello'
    answered(answer)
  }
}
