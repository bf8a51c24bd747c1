import type { Connection, ConnectionReader } from '../../../comm/connection.ts'
import type { PairEnds } from '../../../comm/index.ts'
import type { DurationMs, ErrorCode } from '../../base/index.ts'
import { type Fields, type HeadLimits, parseRequestHead, parseResponseHead, type RequestHead, type ResponseHead } from '../../http/index.ts'
import type { IcapMessage, IcapUser } from '../../icap/index.ts'
import { type ProgramDeps, type ProgramUser, StackedProgram, type Verdict } from './program.ts'

// The content of one HTTP message through a program (Zorp's request_stack and response_stack, of raw content). To the http
// proxy it is what an ICAP service is; nothing of the message goes on before the program's first byte or its verdict.
//
//   push ──► fd 0 ── program ── fd 1 ──► content of the message, which may be another now
//                       └── fd 3: SETVERDICT

/** A stack line, as the http proxy uses it. */
export interface ProgramService {
  readonly name: string
  readonly command: string
  readonly timeout: DurationMs
  /** What it does not let pass does not pass. */
  readonly bypass: false
}

export class ContentProgram implements ConnectionReader, ProgramUser {
  readonly #service: ProgramService
  readonly #message: IcapMessage
  readonly #user: IcapUser
  #program: StackedProgram | null = null
  /** Until it has been started, in this turn. */
  #waiting: Buffer[] = []
  #wantsRoom = false
  #inputEnded = false
  #outputEnded = false
  #begun = false
  #over = false

  constructor(service: ProgramService, message: IcapMessage, user: IcapUser) {
    this.#service = service
    this.#message = message
    this.#user = user
    if (!message.hasBody) this.#inputEnded = true
  }

  /** Who begins it hears of it later. */
  start(deps: ProgramDeps, ends: PairEnds): void {
    queueMicrotask(() => {
      if (this.#over) return
      if (!this.#message.hasBody) return this.#unchanged()
      this.#program = StackedProgram.start(deps, this.#options(), ends, this)
      if (this.#program === null) return this.#fail('the program was not started', 'icap-failed')
      this.#program.input.setReader(this)
      this.#program.output.setReader(this)
      this.#program.input.resumeRead()
      this.#program.output.resumeRead()
      for (const piece of this.#waiting.splice(0)) this.#program.input.write(piece)
      if (this.#inputEnded) this.#program.input.shutdownWrite()
      else this.#room()
    })
  }

  #options() {
    const { name, command, timeout } = this.#service
    const { method, requestHead, responseHead } = this.#message
    const environment = {
      GLASSQUID_MESSAGE: responseHead === null ? 'request' : 'response',
      GLASSQUID_METHOD: method,
      GLASSQUID_URI: /^\S+ (\S*)/.exec(requestHead)?.[1] ?? '',
      GLASSQUID_HEAD: responseHead ?? requestHead,
    }
    return { name, command, timeout, environment }
  }

  // ---- from the proxy

  /** Copied. False: stop until onRoom. */
  push(piece: Buffer): boolean {
    if (this.#over) return true
    if (this.#program === null) this.#waiting.push(Buffer.from(piece))
    else if (this.#program.input.closed || this.#program.input.write(piece)) return true
    this.#wantsRoom = true
    return false
  }

  end(): void {
    if (this.#inputEnded) return
    this.#inputEnded = true
    this.#program?.input.shutdownWrite()
  }

  resume(): void {
    this.#program?.output.resumeRead()
  }

  abort(): void {
    this.#over = true
    this.#program?.stop()
  }

  // ---- from the program

  onVerdict(verdict: Verdict, text: string): void {
    if (verdict === 'accept') return
    const reason = `${verdict}${text === '' ? '' : ` (${text})`}`
    this.#fail(reason, verdict === 'error' ? 'icap-failed' : 'denied')
  }

  onSettled(): void {
    if (this.#outputEnded && this.#program?.mayEnd(false) === true) this.#finish()
  }

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.#over || connection !== this.#program?.output) return // on fd 0 it has nothing to say
    this.#program.spoke()
    this.#begin()
    if (!this.#over && !this.#user.onContent(slab.subarray(start, end))) connection.deferRead()
  }

  /** Whether it was the end of the content its exit code tells. */
  onEnd(connection: Connection): void {
    if (connection !== this.#program?.output) return
    this.#outputEnded = true
    this.onSettled()
  }

  onDrain(connection: Connection): void {
    if (connection === this.#program?.input) this.#room()
  }

  onTimeout(): void {}

  /** What it did not read is not missed. One that failed after its first byte is closed by `program`. */
  onClose(connection: Connection): void {
    if (this.#over || connection !== this.#program?.output) return this.#room()
    this.#program.broken(() => this.#fail('the program broke off', 'icap-failed'))
  }

  #room(): void {
    if (!this.#wantsRoom || this.#over) return
    this.#wantsRoom = false
    this.#user.onRoom()
  }

  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    const { requestHead, responseHead, method } = this.#message
    const request = responseHead === null ? requestOf(requestHead) : null
    const response = responseHead === null ? null : responseOf(responseHead, method)
    if (request === null && response === null) return this.#fail('the head of the message cannot be read again', 'icap-failed')
    this.#user.onAdapted({ request, response, hasBody: true })
  }

  #finish(): void {
    if (this.#over) return
    this.#begin()
    if (this.#over) return
    this.#over = true
    this.#program?.stop()
    this.#user.onEndOfService()
  }

  #unchanged(): void {
    this.#over = true
    this.#user.onUnchanged([])
  }

  #fail(why: string, code: ErrorCode): void {
    if (this.#over) return
    this.#over = true
    this.#program?.stop()
    this.#user.onFailure(`stack ${this.#service.name}: ${why}`, null, code)
  }
}

/** They have been read before, within the limits of the port they came by. */
const limits: HeadLimits = { lineBytesMax: 1024 * 1024, headBytesMax: 1024 * 1024, fieldsMax: 10_000, hostRequired: false }

const requestOf = (text: string): RequestHead | null => {
  const bytes = Buffer.from(text, 'latin1')
  const answer = parseRequestHead(bytes, 0, bytes.length, limits)
  return answer.kind === 'head' ? withoutLength(answer.head) : null
}

const responseOf = (text: string, method: string): ResponseHead | null => {
  const bytes = Buffer.from(text, 'latin1')
  const answer = parseResponseHead(bytes, 0, bytes.length, limits, method)
  return answer.kind === 'head' ? withoutLength(answer.head) : null
}

/** How long it is now only its end tells, and sums of what it was would be wrong (RFC 9530). */
const withoutLength = <T extends { readonly fields: Fields }>(head: T): T => {
  for (const name of ['content-length', 'content-md5', 'digest', 'content-digest', 'repr-digest']) head.fields.delete(name)
  return head
}
