import { assert, type Endpoint, ProxyError } from '../../base/index.ts'
import { type ContentReader, continues, fieldsTogether, type PartialResponse, SplicedContent, strongValidatorOf } from '../../cache/index.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../../chainer/chainer.ts'
import { type ByteRange, Fields } from '../../http/index.ts'
import type { Route } from '../../router/router.ts'
import { CountHttp } from './counters.ts'
import { type PiecesOwner, StoredPieces } from './stored-pieces.ts'

// A response of which some bytes are stored and the others come from the origin (RFC 9111 3.4, RFC 9110 13.1.5). To
// whoever fetches it looks like an exchange that brought all of it:
//
//   open:     what is stored of it, so that it stays for us whatever becomes of it in the store
//   ask:      Range: bytes=MISSING, If-Range: what we have
//   206 ──►   head of the whole (or of the wanted range), stored bytes before, content of the 206, stored bytes behind
//   200 ──►   as it is: what we have is over
//   else ──►  a 206 of something else, 416: asked once more, as the client did. Errors are passed on.
//
// While stored bytes are read for the client, the origin waits.

export interface Completing {
  /** What the client asked for; null = the whole. */
  readonly wanted: ByteRange | null
  readonly missing: ByteRange
}

type Ask = (request: OriginRequest, handler: OriginHandler) => OriginFetch

type Stage =
  | 'opening' // nothing has been asked yet
  | 'asked' // no head yet
  | 'through' // what comes is passed on as it is
  | 'before' // stored bytes are being given, what comes waits
  | 'missing' // what comes is given
  | 'behind' // all has come; stored bytes are being given
  | 'over'

export class CompletingFetch implements OriginFetch, OriginHandler, PiecesOwner {
  readonly #ask: Ask
  readonly #request: OriginRequest
  readonly #partial: PartialResponse
  readonly #missing: ByteRange
  readonly #wanted: ByteRange
  readonly #ranged: boolean
  readonly #handler: OriginHandler
  /** Null: it has come to its end. */
  #fetch: OriginFetch | null = null
  #stage: Stage = 'opening'
  #reader: ContentReader | null = null
  #pieces: StoredPieces | null = null
  /** What came while stored bytes were on their way: at most one piece, since it waits then. */
  readonly #early: Buffer[] = []
  #attemptsBefore = 0
  /** What the origin said; 0 = nothing yet. */
  originStatus = 0
  /** Bytes of content that came from there. */
  originBytes = 0

  constructor(ask: Ask, request: OriginRequest, partial: PartialResponse, completing: Completing, handler: OriginHandler) {
    this.#ask = ask
    this.#request = request
    this.#partial = partial
    this.#missing = completing.missing
    this.#ranged = completing.wanted !== null
    this.#wanted = completing.wanted ?? { first: 0, last: partial.length - 1 }
    this.#handler = handler
  }

  start(): void {
    const { content } = this.#partial
    const { first, last } = this.#wanted
    new SplicedContent(content.within(first, last, first)).open().then(
      reader => this.#opened(reader),
      error => this.#fail(error instanceof Error ? error.message : ''),
    )
  }

  #opened(reader: ContentReader | null): void {
    if (this.#stage === 'over') reader?.close()
    else if (reader === null) this.#askAsClient() // it has left the store since it was found
    else {
      this.#reader = reader
      this.#stage = 'asked'
      this.#askMissing()
    }
  }

  #askMissing(): void {
    const validator = strongValidatorOf(this.#partial.newest)
    assert(validator !== null, 'parts are completed by what tells two contents apart')
    const fields = Fields.from(this.#request.pairs)
    fields.delete('range')
    fields.delete('if-range')
    fields.append('Range', `bytes=${this.#missing.first}-${this.#missing.last}`)
    fields.append('If-Range', validator)
    this.#fetch = this.#ask({ ...this.#request, pairs: fields.pairs }, this)
  }

  // ---- for the owner

  get attempts(): number {
    return this.#attemptsBefore + (this.#fetch?.attempts ?? 0)
  }

  resume(): void {
    if (this.#stage === 'before' || this.#stage === 'behind') this.#pieces?.resume()
    else this.#fetch?.resume()
  }

  abort(): void {
    this.#end()
    this.#fetch?.abort()
  }

  #end(): void {
    this.#stage = 'over'
    this.#pieces?.stop()
    this.#reader?.close()
    this.#reader = null
  }

  // ---- from the origin

  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void {
    this.#handler.onConnected(server, local, route, reused)
  }

  onInterim(status: number, pairs: readonly string[]): void {
    this.#handler.onInterim(status, pairs)
  }

  onHead(status: number, reason: string, fields: Fields): void {
    this.originStatus = status
    if (this.#stage === 'through' || (status !== 206 && status !== 416)) {
      this.#stage = 'through'
      this.#handler.onHead(status, reason, fields)
      return
    }
    const { newest, length } = this.#partial
    if (status === 416 || !continues(newest, { ...this.#missing, length }, fields)) {
      this.#askAsClient()
      return
    }
    CountHttp.partsCompleted++
    const range = this.#ranged ? { ...this.#wanted, length } : null
    const together = fieldsTogether(newest, fields, range, length)
    this.#stage = this.#missing.first === this.#wanted.first ? 'missing' : 'before'
    if (range === null) this.#handler.onHead(200, 'OK', together)
    else this.#handler.onHead(206, 'Partial Content', together)
    if (this.#stage === 'before') this.#giveStored(this.#wanted.first, this.#missing.first)
  }

  onData(chunk: Buffer): boolean {
    if (this.#stage === 'over') return true
    this.originBytes += chunk.length
    if (this.#stage !== 'before') return this.#handler.onData(chunk)
    this.#early.push(Buffer.from(chunk)) // a part of a read buffer
    return false
  }

  onDoubt(): void {
    if (this.#stage === 'through') this.#handler.onDoubt?.()
    else if (this.#stage !== 'over') this.#fail('the part that was missing has no end')
  }

  onEnd(trailers: readonly string[]): void {
    this.#attemptsBefore = this.attempts
    this.#fetch = null
    if (this.#stage === 'through') {
      this.#end()
      this.#handler.onEnd(trailers)
    } else if (this.#stage === 'missing') this.#afterMissing()
    // 'before': what came early is still to be given
  }

  onError(error: ProxyError): void {
    if (this.#stage === 'over') return
    this.#attemptsBefore = this.attempts
    this.#fetch = null
    this.#end()
    this.#handler.onError(error)
  }

  // ---- from what is stored

  onPiece(piece: Buffer): boolean {
    return this.#handler.onData(piece)
  }

  onAll(): void {
    this.#pieces = null
    if (this.#stage === 'before') this.#toMissing()
    else if (this.#stage === 'behind') this.#all()
  }

  onUnread(): void {
    this.#fail('the stored part could not be read')
  }

  #fail(why: string): void {
    this.abort()
    this.#handler.onError(new ProxyError('read-error', why, { side: 'server' }))
  }

  // ----

  /** What we have is of no use to it: once more, as the client asked. */
  #askAsClient(): void {
    this.#attemptsBefore = this.attempts
    this.#fetch?.abort()
    this.#stage = 'through'
    this.#fetch = this.#ask(this.#request, this)
  }

  #giveStored(from: number, to: number): void {
    assert(this.#reader !== null, 'what is stored is open from before the question until the end')
    this.#pieces = new StoredPieces(this.#reader, from, to, this)
    this.#pieces.resume()
  }

  #toMissing(): void {
    this.#stage = 'missing'
    let goOn = true
    for (const piece of this.#early.splice(0)) goOn = this.#handler.onData(piece) && goOn
    if (this.#stage !== 'missing') return
    if (this.#fetch === null) this.#afterMissing()
    else if (goOn) this.#fetch.resume()
  }

  #afterMissing(): void {
    if (this.#missing.last === this.#wanted.last) {
      this.#all()
      return
    }
    this.#stage = 'behind'
    this.#giveStored(this.#missing.last + 1, this.#wanted.last + 1)
  }

  #all(): void {
    this.#end()
    this.#handler.onEnd([])
  }
}
