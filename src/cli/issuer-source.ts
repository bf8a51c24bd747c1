import type { Attempt, Comm, Connection, ConnectionReader } from '../../comm/index.ts'
import { canonicalAddress, type Endpoint, endpoint } from '../base/index.ts'
import { BodyReader, type HeadLimits, parseAbsolute, parseResponseHead } from '../http/index.ts'
import type { Lookup } from '../router/index.ts'
import { addressesOf } from '../router/index.ts'
import type { IssuerSource } from '../tls/index.ts'

// Where the certificates of issuers come from: one plain GET. The URI comes from the server that is to be verified, so it may
// not lead us where it could not go itself: to port 80 only, neither to this machine nor, from outside, into private
// networks; nothing of the answer but a certificate is used, and nobody is told of the rest.

export interface IssuerSourceParts {
  readonly comm: Comm
  readonly lookup: Lookup
}

/** In all, for one certificate. */
const fetchMs = 10_000
/** Certificates of CAs have some 2 KB. */
const answerBytesMax = 64 * 1024
const headLimits: HeadLimits = { lineBytesMax: 8192, headBytesMax: 16_384, fieldsMax: 100, hostRequired: false }

export const issuerSource = ({ comm, lookup }: IssuerSourceParts): IssuerSource => ({
  fetch(uri, from, done) {
    const fetching = new Fetching(comm, done)
    void fetching.start(uri, from, lookup)
    return fetching
  },
})

class Fetching implements Attempt, ConnectionReader {
  readonly #comm: Comm
  readonly #done: (content: Buffer | null) => void
  #dial: Attempt | null = null
  #connection: Connection | null = null
  #bytes = Buffer.alloc(0)
  #over = false

  constructor(comm: Comm, done: (content: Buffer | null) => void) {
    this.#comm = comm
    this.#done = done
  }

  async start(uri: string, from: Endpoint, lookup: Lookup): Promise<void> {
    const target = parseAbsolute(uri)
    if (target === null || (target.port !== 0 && target.port !== 80)) return queueMicrotask(() => this.#end(null))
    const answer = await addressesOf(target.host, lookup)
    const address = answer.ok ? answer.addresses.find(each => mayBeAsked(each, from) && !this.#comm.isOwnEndpoint(endpoint(each, 80), 'tcp')) : undefined
    if (this.#over) return
    if (address === undefined) return this.#end(null)
    this.#dial = this.#comm.dial({ target: endpoint(address, 80), flags: 0, note: 'issuer' }, fetchMs, (_error, connection) => {
      this.#dial = null
      if (connection === null) return this.#end(null)
      this.#connection = connection
      connection.setReader(this)
      connection.setTimeout(fetchMs)
      connection.write(`GET ${target.path} HTTP/1.1\r\nHost: ${target.host}\r\nConnection: close\r\nAccept: application/pkix-cert\r\n\r\n`)
    })
  }

  cancel(): void {
    this.#over = true
    this.#dial?.cancel()
    this.#connection?.close('aborted')
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#bytes = Buffer.concat([this.#bytes, slab.subarray(start, end)])
    if (this.#bytes.length > answerBytesMax) this.#end(null)
    else this.#read(false)
  }

  onEnd(): void {
    this.#read(true)
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#end(null)
  }

  onClose(): void {
    this.#end(null)
  }

  /** The whole answer once more each time: it is small. */
  #read(ended: boolean): void {
    const head = parseResponseHead(this.#bytes, 0, this.#bytes.length, headLimits, 'GET')
    if (head.kind === 'head' && head.head.status === 200) {
      const parts: Buffer[] = []
      const body = new BodyReader(head.head.framing)
      body.feed(this.#bytes, head.end, this.#bytes.length, { onContent: (slab, start, end) => void parts.push(slab.subarray(start, end)) })
      const isWhole = body.done || (ended && head.head.framing.kind === 'until-close')
      if (isWhole) return this.#end(Buffer.concat(parts))
    } else if (head.kind !== 'more') return this.#end(null)
    if (ended) this.#end(null)
  }

  #end(content: Buffer | null): void {
    if (this.#over) return
    this.#over = true
    this.#connection?.close('done')
    this.#done(content)
  }
}

/** What is private may send to what is private. */
const mayBeAsked = (address: string, from: Endpoint): boolean => {
  const kind = kindOf(address)
  return kind === 'public' || (kind === 'private' && kindOf(from.address) !== 'public')
}

const kindOf = (address: string): 'public' | 'private' | 'local' => {
  const plain = canonicalAddress(address) ?? address
  if (/^(?:127\.|0\.|169\.254\.|::1?$|::ffff:|fe[89ab][0-9a-f]:)/.test(plain)) return 'local'
  return /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd][0-9a-f]{2}:)/.test(plain) ? 'private' : 'public'
}
