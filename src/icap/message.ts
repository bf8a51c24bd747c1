import {
  BodyReader, chunkedContent, type ContentSink, type Fields, noContent, parseRequestHead, parseResponseHead, persists, type RequestHead,
  type ResponseHead, usualHeadLimits,
} from '../http/index.ts'

// What a service says, read as it comes (RFC 3507 4):
//
//   ICAP/1.0 200 OK  fields  empty line      the head, which has the grammar of an HTTP response
//   HTTP heads                               as long as Encapsulated says
//   chunks                                   unless Encapsulated says null-body
//
// A service is the operator's, but what it sends is read as strictly as what an origin sends, with limits on everything.

const headBytesMax = 64 * 1024
const httpHeadBytesMax = 256 * 1024
const limits = { ...usualHeadLimits, headBytesMax: httpHeadBytesMax, lineBytesMax: headBytesMax, hostRequired: false }

export interface IcapHead {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
  readonly keepAlive: boolean
}

export interface Enclosed {
  readonly request: RequestHead | null
  readonly response: ResponseHead | null
  readonly hasBody: boolean
}

export interface ReplySink extends ContentSink {
  /** 100 and the final one. */
  onIcapHead(head: IcapHead): void
  /** Once, after a final head other than 204. */
  onEnclosed(enclosed: Enclosed): void
  onReplyEnd(): void
}

/** Reads what comes on one connection as answer to one request. */
export class ReplyReader {
  readonly #method: string
  readonly #sink: ReplySink
  #held: Buffer = Buffer.alloc(0)
  #phase: 'head' | 'enclosed' | 'body' | 'over' = 'head'
  #sections: Sections | null = null
  #body: BodyReader = new BodyReader(noContent)
  /** What is wrong with it; '' = nothing. */
  failed = ''

  /** `method`: of the HTTP request that is shown. */
  constructor(method: string, sink: ReplySink) {
    this.#method = method
    this.#sink = sink
  }

  /** Something has come. */
  get begun(): boolean {
    return this.#held.length > 0 || this.#phase !== 'head'
  }

  get over(): boolean {
    return this.#phase === 'over'
  }

  feed(slab: Buffer, start: number, end: number): void {
    if (this.#phase === 'body') return this.#feedBody(slab, start, end)
    this.#held = Buffer.concat([this.#held, slab.subarray(start, end)])
    while (this.failed === '' && (this.#phase === 'head' ? this.#readHead() : this.#phase === 'enclosed' && this.#readEnclosed()));
    // more after the end is an answer to nothing
    if (this.#phase === 'over' && this.#held.length > 0) this.failed = 'more than was asked for'
  }

  /** False: more is needed. */
  #readHead(): boolean {
    if (this.#held.length < 9) return false
    if (this.#held.toString('latin1', 0, 9) !== 'ICAP/1.0 ') return this.#fail('this is not ICAP')
    const text = Buffer.from(this.#held.subarray(0, headBytesMax))
    text.write('HTTP/1.1', 'latin1')
    const answer = parseResponseHead(text, 0, text.length, { ...limits, headBytesMax }, 'GET')
    if (answer.kind === 'bad') return this.#fail(`its head: ${answer.why}`)
    if (answer.kind === 'more') return this.#held.length < headBytesMax ? false : this.#fail('its head has no end')
    const { status, reason, fields } = answer.head
    this.#held = this.#held.subarray(answer.end)
    if (status !== 100) {
      const sections = sectionsOf(fields.get('encapsulated') ?? 'null-body=0')
      if (sections === null) return this.#fail('Encapsulated cannot be read')
      this.#sections = sections
      this.#phase = 'enclosed'
    }
    // an ICAP head has no length of its own, and as a response of HTTP it would end with its connection
    this.#sink.onIcapHead({ status, reason, fields, keepAlive: persists(fields, 1) })
    return this.failed === ''
  }

  #readEnclosed(): boolean {
    const sections = this.#sections
    if (sections === null) return false
    if (this.#held.length < sections.bodyAt) return false
    const { request, response, bodyAt, hasBody } = sections
    const requestHead = request < 0 ? null : parseRequestHead(this.#held, request, response > request ? response : bodyAt, limits)
    const responseHead = response < 0 ? null : parseResponseHead(this.#held, response, bodyAt, limits, this.#method)
    for (const answer of [requestHead, responseHead]) {
      if (answer !== null && answer.kind !== 'head') return this.#fail(`an HTTP head in it: ${answer.kind === 'bad' ? answer.why : 'it has no end'}`)
    }
    const rest = Buffer.from(this.#held.subarray(bodyAt))
    this.#held = Buffer.alloc(0)
    this.#phase = 'body'
    this.#body = new BodyReader(hasBody ? chunkedContent : noContent)
    this.#sink.onEnclosed({
      request: requestHead?.kind === 'head' ? requestHead.head : null,
      response: responseHead?.kind === 'head' ? responseHead.head : null,
      hasBody,
    })
    if (this.failed === '') this.#feedBody(rest, 0, rest.length)
    return false
  }

  #feedBody(slab: Buffer, start: number, end: number): void {
    const used = this.#body.feed(slab, start, end, this.#sink)
    const bad = this.#body.failed
    if (bad !== null) this.#fail(`its content: ${bad.why}`)
    else if (this.#body.done) {
      this.#phase = 'over'
      if (used < end) this.failed = 'more than was asked for'
      this.#sink.onReplyEnd()
    }
  }

  #fail(why: string): false {
    this.failed = why
    return false
  }
}

interface Sections {
  /** Where they begin; -1 = there is none. */
  readonly request: number
  readonly response: number
  readonly bodyAt: number
  readonly hasBody: boolean
}

/** RFC 3507 4.4.1: `req-hdr=0, res-hdr=137, res-body=296`, in order, without holes by definition. */
const sectionsOf = (value: string): Sections | null => {
  let [request, response, bodyAt, hasBody, last] = [-1, -1, -1, false, 0]
  for (const part of value.split(',')) {
    const found = /^\s*(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)\s*=\s*(\d{1,7})\s*$/i.exec(part)
    if (found === null || bodyAt >= 0) return null
    const offset = Number(found[2])
    if (offset < last || offset > httpHeadBytesMax) return null
    last = offset
    const name = (found[1] ?? '').toLowerCase()
    if (name === 'req-hdr') request = offset
    else if (name === 'res-hdr') response = offset
    else {
      bodyAt = offset
      hasBody = name !== 'null-body'
    }
  }
  if (bodyAt < 0 || (bodyAt > 0 && request !== 0 && response !== 0)) return null
  return { request, response, bodyAt, hasBody }
}
