import net from 'node:net'
import { once } from 'node:events'
import { Fields, parseResponseHead, BodyReader, usualHeadLimits } from '../../src/http/index.ts'

// A client that says exactly the bytes it is told, and reads responses one by one as they stand on the wire.

export interface WireResponse {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
  readonly body: string
  /** 1xx that came before. */
  readonly interim: readonly number[]
}

export class Wire {
  readonly socket: net.Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #error: Error | null = null
  #wake: (() => void) | null = null

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake?.()
    })
    socket.on('error', error => {
      this.#error = error
    })
    socket.on('close', () => {
      this.#ended = true
      this.#wake?.()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#wake?.()
    })
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<Wire> {
    const socket = net.connect({ port, host, allowHalfOpen: true })
    await once(socket, 'connect')
    return new Wire(socket)
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
    return this
  }

  end(): this {
    this.socket.end()
    return this
  }

  /** The next final response. Throws what went wrong when there is none. */
  async response(method = 'GET'): Promise<WireResponse> {
    const interim: number[] = []
    for (;;) {
      const answer = parseResponseHead(this.#bytes, 0, this.#bytes.length, usualHeadLimits, method)
      if (answer.kind === 'bad') throw new Error(`not a response: ${answer.why}: ${this.#bytes.toString('latin1').slice(0, 200)}`)
      if (answer.kind === 'head' && answer.head.status < 200 && answer.head.status !== 101) {
        interim.push(answer.head.status)
        this.#bytes = this.#bytes.subarray(answer.end)
        continue
      }
      if (answer.kind === 'head') {
        this.#bytes = this.#bytes.subarray(answer.end)
        const body = answer.head.tunnel ? '' : await this.#content(new BodyReader(answer.head.framing))
        return { status: answer.head.status, reason: answer.head.reason, fields: answer.head.fields, body, interim }
      }
      await this.#more('a response head')
    }
  }

  async #content(reader: BodyReader): Promise<string> {
    const parts: Buffer[] = []
    const sink = { onContent: (slab: Buffer, start: number, end: number) => void parts.push(Buffer.from(slab.subarray(start, end))) }
    for (;;) {
      const used = reader.feed(this.#bytes, 0, this.#bytes.length, sink)
      this.#bytes = this.#bytes.subarray(used)
      if (reader.failed !== null) throw new Error(`broken content: ${reader.failed.why}`)
      if (reader.done) break
      if (this.#ended && this.#error === null && reader.end()) break // a reset ends nothing well
      await this.#more(`content after ${reader.bytes} bytes`)
    }
    return Buffer.concat(parts).toString('latin1')
  }

  /** Bytes outside of HTTP: exactly so many. */
  async bytes(count: number): Promise<string> {
    while (this.#bytes.length < count) await this.#more(`${count} bytes`)
    const taken = this.#bytes.subarray(0, count).toString('latin1')
    this.#bytes = this.#bytes.subarray(count)
    return taken
  }

  /** Resolves when the other side has closed; answers what it had still sent. */
  async closed(): Promise<string> {
    while (!this.#ended) await this.#more('the end')
    return this.#bytes.toString('latin1')
  }

  get reset(): boolean {
    return this.#error !== null && 'code' in this.#error && this.#error.code === 'ECONNRESET'
  }

  close(): void {
    this.socket.destroy()
  }

  async #more(what: string): Promise<void> {
    if (this.#ended) throw new Error(`closed before ${what} (${this.#error?.message ?? 'FIN'}), had ${this.#bytes.length} bytes`)
    await new Promise<void>(resolve => {
      this.#wake = resolve
    })
    this.#wake = null
  }
}

/** One exchange on a connection of its own. */
export const ask = async (port: number, request: string, method = 'GET'): Promise<WireResponse> => {
  const wire = await Wire.connect(port)
  try {
    return await wire.send(request).response(method)
  } finally {
    wire.close()
  }
}
