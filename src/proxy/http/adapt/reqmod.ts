import { type ErrorCode, ProxyError } from '../../../base/index.ts'
import { endToEndFields, Fields, httpDate, type RequestHead, type ResponseHead, type TargetUri } from '../../../http/index.ts'
import { goElsewhere, targetText } from '../elsewhere.ts'
import { breakOff, connectionLine, contentFraming, endContent, headText, sendHead, writeContent } from '../response.ts'
import type { Next } from '../steps.ts'
import type { ServerSide, Transaction } from '../transaction.ts'
import { ContentQueue } from './content-queue.ts'
import { type Adapted, type AdaptationService, type IcapUser, hearService, mayRetry, messageOf, nextService, type Shown, type Steps } from './plan.ts'

// REQMOD, after http_access: the request is shown to one service after the other. Each may leave it, change it, or answer
// it itself; then the client gets that answer and no server is asked.

/** What is sent to the server in place of the client's content. */
export interface AdaptedContent {
  readonly content: Buffer | AsyncIterable<Uint8Array> | null
  /** undefined = not known. */
  readonly length: number | undefined
}

/** The request as it goes on is in `t`. `goOn`: where it goes then. */
export const adaptRequest = async (t: Transaction, goOn: (t: Transaction) => Next | Promise<Next>): Promise<Next> => {
  const steps = await requestPlan(t)
  if (t.over) return 'done'
  for (const services of steps ?? []) {
    const end = await new Promise<Next | 'next step'>(resolve => new Showing(t, services, resolve).begin())
    if (end !== 'next step') return end
    if (t.over) return 'done'
  }
  return goOn(t)
}

const requestPlan = async (t: Transaction): Promise<Steps | null> => {
  for (const { vector, access, steps } of t.policy.adaptation?.groups ?? []) {
    if (vector !== 'reqmod') continue
    const decision = await access.check(t.facts)
    if (t.over) return null
    if (decision.allowed) return steps
  }
  return null
}

class Showing implements IcapUser, ServerSide {
  readonly #t: Transaction
  readonly #services: readonly AdaptationService[]
  readonly #resolve: (next: Next | 'next step') => void
  readonly #tried = new Set<string>()
  /** The one it is shown to, and how often it was shown to it again. */
  #service: AdaptationService | null = null
  #retries = 0
  #shown: Shown | null = null
  #source: AsyncIterator<Uint8Array> | null = null
  #sourceEnded = true
  #bypass = true
  #pumping = false
  #room: (() => void) | null = null
  /** Changed content, on its way to the server. */
  #queue: ContentQueue | null = null
  /** The service answers the client. */
  #answering = false
  #over = false

  constructor(t: Transaction, services: readonly AdaptationService[], resolve: (next: Next | 'next step') => void) {
    this.#t = t
    this.#services = services
    this.#resolve = resolve
  }

  begin(): void {
    const { content } = contentOf(this.#t)
    if (content !== null) {
      this.#source = (Buffer.isBuffer(content) ? once(content) : content)[Symbol.asyncIterator]()
      this.#sourceEnded = false
    }
    this.#t.serverSide = this
    this.#show([])
  }

  #show(kept: readonly Buffer[], again: AdaptationService | null = null): void {
    const service = again ?? nextService(this.#t, this.#services, this.#tried)
    if (service === undefined) return
    this.#tried.add(service.name)
    this.#service = service
    this.#bypass = service.bypass
    const { length } = contentOf(this.#t)
    const shown = this.#t.client.deps.icap.show(service, messageOf(this.#t, null, this.#source !== null, length ?? -1), this, this.#t.client.connection)
    this.#shown = shown
    let goOn = true
    for (const piece of kept) goOn = shown.push(piece)
    if (this.#sourceEnded) shown.end()
    else if (goOn && !this.#pumping) void this.#pump()
  }

  async #pump(): Promise<void> {
    const source = this.#source
    this.#pumping = true
    try {
      while (source !== null && this.#shown !== null && (!this.#over || this.#queue !== null)) {
        const { done, value } = await source.next()
        if (done === true) {
          this.#sourceEnded = true
          this.#shown?.end()
          break
        }
        const piece = Buffer.from(value)
        if (this.#shown === null) {
          this.#late = piece
          break
        }
        if (!this.#shown.push(piece)) await new Promise<void>(resolve => (this.#room = resolve))
      }
    } catch (error) {
      // the client's content failed, which the transaction has been told
      this.#shown?.abort()
      this.#queue?.fail(error instanceof ProxyError ? error : new ProxyError('client-aborted', 'its content ended', { side: 'client' }))
    }
    this.#pumping = false
    this.#rested?.()
  }

  /** A piece that was waited for while the service decided. */
  #late: Buffer | null = null
  #rested: (() => void) | null = null

  // ---- from the transaction

  drained(): void {
    if (this.#answering) this.#shown?.resume()
  }

  clientGone(): void {
    this.#over = true
    this.#shown?.abort()
    this.#room?.()
    this.#queue?.fail(new ProxyError('client-aborted', 'the client left', { side: 'client' }))
    this.#resolve('done')
  }

  // ---- from the service

  onRoom(): void {
    const room = this.#room
    this.#room = null
    if (room !== null) room()
    else if (!this.#pumping && !this.#sourceEnded) void this.#pump()
  }

  onUnchanged(kept: readonly Buffer[]): void {
    this.#shown = null
    this.#room?.()
    if (this.#source !== null) {
      const { length } = contentOf(this.#t)
      this.#t.adaptedContent = this.#sourceEnded
        ? { content: Buffer.concat(kept), length: undefined }
        : { content: this.#rest(kept), length }
    }
    this.#leave('next step')
  }

  /** What was shown, and what the client still sends. */
  async *#rest(kept: readonly Buffer[]): AsyncGenerator<Uint8Array> {
    yield* kept
    if (this.#pumping) await new Promise<void>(resolve => (this.#rested = resolve))
    if (this.#late !== null) yield this.#late
    const source = this.#source
    if (source === null) return
    while (!this.#sourceEnded) {
      const { done, value } = await source.next()
      if (done === true) return
      yield value
    }
  }

  onIcapFields(fields: Fields): void {
    hearService(this.#t, fields)
  }

  onAdapted({ request, response, hasBody }: Adapted): void {
    const t = this.#t
    if (this.#over) return
    if (response !== null) return this.#answer(response, hasBody)
    if (request === null) return
    if (!takeRequest(t, request)) return this.#refuse('the service made a request of it that cannot be sent')
    if (hasBody) {
      this.#queue = new ContentQueue(
        () => this.#shown?.resume(),
        () => this.#served(),
      )
      const length = request.fields.get('content-length')
      t.adaptedContent = { content: this.#queue, length: length === undefined ? undefined : Number(length) }
      // the rest of it comes while the request is on its way; a client that leaves is heard of by the fetch
      this.#leave('next step')
    } else t.adaptedContent = { content: null, length: undefined }
  }

  /** The server wants no more of it. */
  #served(): void {
    this.#shown?.abort()
    this.#shown = null
    this.#room?.()
  }

  #answer(response: ResponseHead, hasBody: boolean): void {
    const t = this.#t
    this.#answering = true
    const sent = endToEndFields(response.fields)
    if (!hasBody) sent.delete('content-length')
    if (!hasBody && t.head.method !== 'HEAD') sent.append('Content-Length', '0')
    if (!sent.has('date')) sent.append('Date', httpDate(t.client.deps.clock.wall()))
    // what the client has not sent yet is not waited for
    if (t.content !== null && !t.content.complete) t.keepAlive = false
    t.framing = contentFraming(t, response.status, sent.has('content-length'))
    t.outcome.status = response.status
    if (response.status >= 400) {
      t.outcome.error = 'denied'
      t.outcome.errorDetail = 'an ICAP service answered the request'
    }
    t.outcome.responseFields = response.fields
    t.outcome.contentType = response.fields.get('content-type') ?? ''
    const framing = t.framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
    sendHead(t, `${headText(response.status, response.reason, sent.pairs)}${t.policy.responseViaLine}${framing}${connectionLine(t)}\r\n`)
    t.limit(t.policy.timeouts.write)
  }

  onContent(piece: Buffer): boolean {
    if (this.#answering) return writeContent(this.#t, piece)
    return this.#queue === null || this.#queue.push(piece)
  }

  onEndOfService(): void {
    if (this.#answering) {
      endContent(this.#t, [])
      this.#leave('finish')
    } else if (this.#queue !== null) this.#queue.end()
    else this.#leave('next step')
  }

  onFailure(why: string, kept: readonly Buffer[] | null, code: ErrorCode = 'icap-failed'): void {
    if (kept !== null && !this.#over) {
      if (mayRetry(this.#t, this.#service, this.#retries)) {
        this.#retries++
        return this.#show(kept, this.#service)
      }
      if (nextService(this.#t, this.#services, this.#tried) !== undefined) return this.#show(kept)
      if (this.#bypass) {
        this.#t.client.deps.icap.bypassed(why)
        return this.onUnchanged(kept)
      }
    }
    this.#refuse(why, code)
  }

  #refuse(why: string, code: ErrorCode = 'icap-failed'): void {
    const failure = new ProxyError(code, why, { side: 'proxy' })
    if (this.#queue !== null) return this.#queue.fail(failure)
    if (this.#over) return
    this.#shown?.abort()
    if (this.#answering) {
      this.#t.outcome.error = code
      this.#t.outcome.errorDetail = why
      breakOff(this.#t)
      return this.#leave('finish')
    }
    this.#t.failure = failure
    this.#t.keepAlive = this.#t.keepAlive && (this.#t.content === null || this.#t.content.complete)
    this.#leave('refuse')
  }

  #leave(next: Next | 'next step'): void {
    if (this.#over) return
    this.#over = true
    this.#room?.()
    if (this.#t.serverSide === this) this.#t.serverSide = null
    this.#resolve(this.#t.over ? 'done' : next)
  }
}

/** What of content goes on: the client's, or what a service has made of it. */
export const contentOf = (t: Transaction): AdaptedContent => {
  if (t.adaptedContent !== null) return t.adaptedContent
  if (t.content === null) return { content: null, length: undefined }
  return {
    content: t.content.whole() ?? t.content,
    length: t.head.framing.kind === 'length' ? t.head.framing.length : undefined,
  }
}

async function* once(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content
}

/** False: it cannot be sent. */
const takeRequest = (t: Transaction, request: RequestHead): boolean => {
  const before = t.head
  const target = targetOf(t, request)
  if (target === null || (request.method === 'CONNECT') !== (before.method === 'CONNECT')) return false
  const { keepAlive, framing, form, expectContinue, upgrade, versionMinor } = before
  t.replaceRequest({ ...request, fields: Fields.from(request.fields.pairs), keepAlive, framing, form, expectContinue, upgrade, versionMinor })
  const { facts } = t
  facts.method = request.method
  facts.fields = t.fields
  if (targetText(target) !== t.outcome.uri) goElsewhere(t, target, 'whole')
  return true
}

const targetOf = (t: Transaction, request: RequestHead): TargetUri | null => {
  if (request.connect !== null) return { scheme: 'tunnel', host: request.connect.host, port: request.connect.port, path: '' }
  if (request.absolute !== null) return request.absolute
  return t.target === null || request.form !== 'origin' ? null : { ...t.target, path: request.target }
}
