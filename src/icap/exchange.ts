import type { Connection, ConnectionReader } from '../../comm/connection.ts'
import type { ErrorCode } from '../base/index.ts'
import { elapsed, type IcapOutcome, type MonoMs, type Outcome } from '../base/index.ts'
import { chunkHead, Fields, fieldLines, type RequestHead, type ResponseHead } from '../http/index.ts'
import { CountIcap } from './counters.ts'
import { type Enclosed, type IcapHead, ReplyReader, type ReplySink } from './message.ts'
import { type IcapOptions, Overloaded, type Service } from './service.ts'

// One message through one service. Content is pushed in and comes out changed, both streaming; what has been pushed is
// kept until the service has said what it wants, but no more than `keptMax`: so much can go on as it was (204, or a
// service that fails).
//
//   push ──► kept ──► preview ──► 100 ──► the rest ──► 200: content out
//                        └──► 204: unchanged          └──► 204, where it was allowed

export interface IcapMessage {
  /** The HTTP request's method. */
  readonly method: string
  readonly requestHead: string
  /** Null: it is a request that is shown. */
  readonly responseHead: string | null
  readonly hasBody: boolean
  /** -1 = not known. */
  readonly bodyBytes: number
  /** Of the path, for Transfer-Ignore. */
  readonly extension: string
  /** X-Client-IP and the like. */
  readonly pairs: readonly string[]
  /** Whose message it is: it hears of the exchange when that is over. */
  readonly outcome: Outcome
}

export interface Adapted {
  readonly request: RequestHead | null
  readonly response: ResponseHead | null
  readonly hasBody: boolean
}

/** What becomes of it; the calls of one exchange never come within `push` or `end`. */
export interface IcapUser {
  /** More may be pushed. */
  onRoom(): void
  /** It stays as it was: what was pushed so far is here, what follows is not pushed any more. */
  onUnchanged(kept: readonly Buffer[]): void
  /** What the service says of its answer, before the answer. */
  onIcapFields(fields: Fields): void
  onAdapted(adapted: Adapted): void
  /** False: stop until `resume`. */
  onContent(piece: Buffer): boolean
  onEndOfService(): void
  /** `kept`: what was pushed, if all of it is here and nothing has come out; else null. `code`: icap-failed unless told. */
  onFailure(why: string, kept: readonly Buffer[] | null, code?: ErrorCode): void
}

/** As Squid: more than that is not kept for a service that might not want it after all. */
const keptMax = 64 * 1024

export class Exchange implements ConnectionReader, ReplySink {
  readonly #service: Service
  readonly #message: IcapMessage
  readonly #user: IcapUser
  #options: IcapOptions | null = null
  #connection: Connection | null = null
  #reader: ReplyReader
  #reused = false
  #kept: Buffer[] | null = []
  #keptBytes = 0
  /** Of the kept pieces, how many have been sent. */
  #sentPieces = 0
  #preview = -1
  #ended = false
  /** head: nothing sent yet. wait: the preview is sent. body: content goes as it comes. done: nothing more goes. */
  #sending: 'head' | 'wait' | 'body' | 'done' = 'head'
  #head: IcapHead | null = null
  #adapted = false
  /** A request, by a response. */
  #answered = false
  #declared = -1
  #received = 0
  #wantsRoom = false
  /** Output to the service waits. */
  #full = false
  #over = false
  #began = 0 as MonoMs
  /** When the connection was there, and what had gone over it before. */
  #connectedAt = 0 as MonoMs
  #sentBefore = 0
  #receivedBefore = 0
  #server: Connection['peer'] | null = null
  #sentFields: Fields | null = null
  #told = false

  constructor(service: Service, message: IcapMessage, user: IcapUser) {
    this.#service = service
    this.#message = message
    this.#user = user
    this.#reader = new ReplyReader(message.method, this)
    if (!message.hasBody) this.#ended = true
  }

  start(): void {
    CountIcap.messages++
    this.#began = this.#service.icap.clock.mono()
    queueMicrotask(() => void this.#start(false)) // who began it knows it by then
  }

  async #start(fresh: boolean): Promise<void> {
    try {
      if (!this.#service.up) throw new Resting('it rests')
      this.#options = await this.#service.ready()
      if (this.#over) return
      if (this.#options.ignored.has(this.#message.extension)) return this.#unchanged()
      const connection = await this.#service.connection(fresh)
      if (this.#over) return this.#service.release(connection, true)
      this.#reused = connection.bytesWritten > 0
      this.#connection = connection
      this.#connectedAt = this.#service.icap.clock.mono()
      this.#sentBefore = connection.bytesWritten
      this.#receivedBefore = connection.bytesRead
      this.#server = connection.peer
      connection.setReader(this)
      connection.setTimeout(this.#service.icap.settings.ioTimeout)
      this.#send()
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error), !(error instanceof Overloaded || error instanceof Resting))
    }
  }

  // ---- from the user

  /** Copied. False: stop until onRoom. */
  push(piece: Buffer): boolean {
    if (this.#over || this.#sending === 'done') return true
    const own = Buffer.from(piece)
    if (this.#kept !== null) {
      this.#kept.push(own)
      this.#keptBytes += own.length
      this.#send()
    } else this.#writeChunk(own)
    const full = this.#kept !== null && this.#sending !== 'body' ? this.#keptBytes >= keptMax : this.#full
    if (full) this.#wantsRoom = true
    return !full
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#kept !== null) this.#send()
    else this.#writeEnd()
  }

  resume(): void {
    this.#connection?.resumeRead()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#tell('ICAP_GONE', this.#connection)
    this.#connection?.close('aborted')
  }

  // ---- to the service

  #send(): void {
    if (this.#connection === null || this.#kept === null) return
    if (this.#sending === 'head') {
      this.#preview = this.#previewBytes()
      if (this.#preview >= 0 && this.#keptBytes < this.#preview && !this.#ended) return // until it is there
      this.#writeHead()
    }
    if (this.#sending !== 'body') return
    for (; this.#sentPieces < this.#kept.length; this.#sentPieces++) this.#writeChunk(this.#kept[this.#sentPieces] ?? nothing)
    if (this.#keptBytes > keptMax) this.#kept = null
    if (this.#ended) this.#writeEnd()
  }

  /** -1 = none. */
  #previewBytes(): number {
    const { settings } = this.#service.icap
    const offered = this.#options?.previewBytes ?? -1
    if (!settings.previewEnabled || offered < 0 || !this.#message.hasBody) return -1
    return Math.min(offered, keptMax, settings.previewBytes >= 0 ? settings.previewBytes : keptMax)
  }

  #writeHead(): void {
    const { requestHead, responseHead, hasBody, bodyBytes, pairs } = this.#message
    const isRequest = responseHead === null
    const enclosed = isRequest ? requestHead : `${requestHead}${responseHead}`
    const places = isRequest ? 'req-hdr=0' : `req-hdr=0, res-hdr=${requestHead.length}`
    const body = !hasBody ? 'null-body' : isRequest ? 'req-body' : 'res-body'
    // outside of a preview only what is kept to its end may come back as it was
    const may204 = this.#options?.allow204 === true && (!hasBody || (bodyBytes >= 0 && bodyBytes <= keptMax))
    const lines = [
      `${isRequest ? 'REQMOD' : 'RESPMOD'} ${this.#service.config.uri} ICAP/1.0`,
      `Host: ${this.#service.authority}`,
      `Date: ${new Date(this.#service.icap.clock.wall()).toUTCString()}`,
      `Encapsulated: ${places}, ${body}=${enclosed.length}`,
      ...(this.#preview >= 0 ? [`Preview: ${this.#preview}`] : []),
      ...(may204 ? ['Allow: 204'] : []),
      ...(this.#service.icap.settings.persistent ? [] : ['Connection: close']),
    ]
    this.#sentFields = Fields.from([...lines.slice(1).flatMap(line => line.split(/: (.*)/s, 2)), ...pairs])
    this.#connection?.write(`${lines.join('\r\n')}\r\n${fieldLines(pairs)}\r\n${enclosed}`)
    if (!hasBody) this.#sending = 'done'
    else if (this.#preview < 0) this.#sending = 'body'
    else this.#writePreview()
  }

  /** RFC 3507 4.5 */
  #writePreview(): void {
    const kept = this.#kept ?? []
    let left = this.#preview
    for (; this.#sentPieces < kept.length && left > 0; this.#sentPieces++) {
      const piece = kept[this.#sentPieces] ?? nothing
      if (piece.length > left) kept.splice(this.#sentPieces, 1, piece.subarray(0, left), piece.subarray(left))
      const part = kept[this.#sentPieces] ?? nothing
      this.#writeChunk(part)
      left -= part.length
    }
    const whole = this.#ended && this.#sentPieces === kept.length
    this.#connection?.write(whole ? '0; ieof\r\n\r\n' : '0\r\n\r\n')
    this.#sending = whole ? 'done' : 'wait'
  }

  #writeChunk(piece: Buffer): void {
    const connection = this.#connection
    if (piece.length > 0 && connection !== null) this.#full = !connection.write(chunkHead(piece.length), piece, '\r\n')
  }

  #writeEnd(): void {
    if (this.#sending !== 'body') return
    this.#sending = 'done'
    this.#connection?.write('0\r\n\r\n')
  }

  // ---- from the connection

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.#over) return
    connection.setTimeout(this.#service.icap.settings.ioTimeout)
    this.#reader.feed(slab, start, end)
    if (this.#reader.failed !== '' && !this.#over) this.#broken(this.#reader.failed)
  }

  onDrain(): void {
    this.#full = false
    this.#room()
  }

  onEnd(): void {
    this.#broken('it closed')
  }

  /** While it waits for us it may be silent. */
  onTimeout(connection: Connection): void {
    const { ioTimeout } = this.#service.icap.settings
    if (connection.pending === 0 && this.#sending === 'body' && !this.#ended) connection.setTimeout(ioTimeout)
    else this.#broken('it was silent for icap_io_timeout')
  }

  onClose(): void {
    this.#connection = null
    this.#service.gone()
    if (!this.#over) this.#broken('the connection broke')
  }

  // ---- from the reader

  onIcapHead(head: IcapHead): void {
    if (head.status === 100) {
      if (this.#sending !== 'wait') return this.#broken('100 was not asked for')
      this.#sending = 'body'
      this.#send()
      this.#room()
      return
    }
    this.#head = head
    this.#user.onIcapFields(head.fields)
    if (head.status !== 200 && head.status !== 204) this.#broken(`it answered ${head.status} ${head.reason}`)
    else if (head.status === 204 && this.#kept === null) this.#broken('204 was not allowed any more')
  }

  onEnclosed({ request, response, hasBody }: Enclosed): void {
    if (this.#over || this.#head?.status !== 200) return
    if (request === null && response === null) return this.#broken('200 without a message')
    if (this.#message.responseHead !== null && response === null) return this.#broken('a request where a response belongs')
    this.#adapted = true
    this.#answered = this.#message.responseHead === null && response !== null
    this.#kept = null
    // after a preview it wants no more; without one it may go on reading
    if (this.#sending === 'wait') this.#sending = 'done'
    const length = (response ?? request)?.fields.get('content-length')
    this.#declared = length === undefined || !hasBody ? -1 : Number(length)
    CountIcap.adapted++
    this.#user.onAdapted({ request: response === null ? request : null, response, hasBody })
    this.#room()
  }

  onContent(slab: Buffer, start: number, end: number): void {
    if (this.#over || !this.#adapted) return
    this.#received += end - start
    if (this.#declared >= 0 && this.#received > this.#declared) return this.#broken('more content than its Content-Length says')
    if (!this.#user.onContent(slab.subarray(start, end))) this.#connection?.deferRead()
  }

  onReplyEnd(): void {
    if (this.#over) return
    if (this.#head?.status === 204) return this.#unchanged()
    if (this.#declared >= 0 && this.#received < this.#declared) return this.#broken('less content than its Content-Length says')
    this.#finish(this.#answered ? 'ICAP_SAT' : 'ICAP_MOD')
    this.#user.onEndOfService()
  }

  // ---- ends

  #unchanged(): void {
    const kept = this.#kept ?? []
    CountIcap.unchanged++
    this.#finish('ICAP_ECHO')
    this.#user.onUnchanged(kept)
  }

  #finish(outcome: IcapOutcome): void {
    this.#over = true
    const connection = this.#connection
    this.#connection = null
    this.#tell(outcome, connection)
    this.#service.worked(this.#head?.fields.get('istag'))
    if (connection === null) return
    // what it was still to be sent would be taken for the next request; after a preview nothing more is due
    const sentAll = this.#sending === 'done' || this.#sending === 'wait'
    if (sentAll) connection.resumeRead()
    if (sentAll) this.#service.release(connection, this.#head?.keepAlive ?? false)
    else connection.close('done')
  }

  /** Once for each time it was shown. */
  #tell(outcome: IcapOutcome, connection: Connection | null): void {
    if (this.#told) return
    this.#told = true
    const { icap, config, name } = this.#service
    const now = icap.clock.mono()
    const record = {
      service: name, uri: config.uri, method: this.#message.responseHead === null ? ('REQMOD' as const) : ('RESPMOD' as const), outcome,
      status: this.#head?.status ?? 0,
      bytesSent: connection === null ? 0 : connection.bytesWritten - this.#sentBefore,
      bytesReceived: connection === null ? 0 : connection.bytesRead - this.#receivedBefore,
      contentBytes: this.#adapted ? this.#received : -1,
      tookMs: elapsed(this.#began, now),
      withServiceMs: this.#server === null ? 0 : elapsed(this.#connectedAt, now),
      server: this.#server,
      requestFields: this.#sentFields,
      responseFields: this.#head?.fields ?? null,
    }
    const { outcome: of } = this.#message
    of.adaptations ??= []
    of.adaptations.push(record)
    icap.ended(record, of)
  }

  #room(): void {
    if (!this.#wantsRoom || this.#over) return
    if (this.#kept !== null && this.#sending !== 'body' && this.#sending !== 'done') return
    if (this.#full) return
    this.#wantsRoom = false
    this.#user.onRoom()
  }

  #broken(why: string): void {
    if (this.#over) return
    const connection = this.#connection
    this.#connection = null
    // it had closed the connection before it had our request
    const again = this.#reused && !this.#reader.begun && this.#kept !== null
    if (again) this.#tell('ICAP_ERR_RACE', connection)
    else this.#tell('ICAP_ERR_OTHER', connection)
    connection?.setReader(new Leaving(this.#service))
    connection?.close('aborted')
    if (!again) return this.#fail(why, true)
    this.#reader = new ReplyReader(this.#message.method, this)
    this.#told = false
    this.#began = this.#service.icap.clock.mono()
    this.#sentPieces = 0
    this.#full = false
    this.#sending = 'head'
    void this.#start(true)
  }

  #fail(why: string, counts: boolean): void {
    if (this.#over) return
    this.#over = true
    this.#tell('ICAP_ERR_OTHER', this.#connection)
    if (counts) this.#service.failed(why)
    this.#user.onFailure(`ICAP service ${this.#service.name}: ${why}`, this.#adapted ? null : this.#kept)
  }
}

class Resting extends Error {}

/** Its exchange is over. */
class Leaving implements ConnectionReader {
  readonly #service: Service

  constructor(service: Service) {
    this.#service = service
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}
  onTimeout(): void {}
  onClose(): void {
    this.#service.gone()
  }
}

const nothing = Buffer.alloc(0)
