import type { Attempt, CloseReason, CommError, Connection, ConnectionReader } from '../../comm/index.ts'
import { type DurationMs, type Endpoint, ms } from '../base/index.ts'
import { BodyReader, type ContentSink, parseAbsolute, parseResponseHead, requestHeadText, usualHeadLimits } from '../http/index.ts'
import type { CachePeerLine } from '../conf/index.ts'

// monitorurl= (Lusca): a page is asked of the peer now and then, and the peer is up as long as it comes, in the size it should
// have. What a connection that can be made does not tell, this does: that the proxy at its end works.

export type DialPeer = (target: Endpoint, timeout: DurationMs, done: (error: CommError | null, connection: Connection | null) => void) => Attempt

/** `done` once, unless cancelled: '' = all is well, else what is wrong. */
export const askMonitorUrl = (line: CachePeerLine, target: Endpoint, dial: DialPeer, done: (fault: string) => void): Attempt => {
  const asking = new MonitorAsk(line, done)
  asking.start(target, dial)
  return asking
}

class MonitorAsk implements Attempt, ConnectionReader, ContentSink {
  readonly #line: CachePeerLine
  readonly #done: (fault: string) => void
  #attempt: Attempt | null = null
  #connection: Connection | null = null
  #held: Buffer | null = null
  #body: BodyReader | null = null
  #bytes = 0
  #over = false

  constructor(line: CachePeerLine, done: (fault: string) => void) {
    this.#line = line
    this.#done = done
  }

  start(target: Endpoint, dial: DialPeer): void {
    const timeout = ms(this.#line.monitorTimeout * 1000)
    this.#attempt = dial(target, timeout, (error, connection) => {
      this.#attempt = null
      if (connection === null) return this.#end(error?.message ?? 'no connection')
      this.#connection = connection
      connection.setReader(this)
      connection.setTimeout(timeout)
      connection.write(this.#request())
    })
  }

  cancel(): void {
    this.#over = true
    this.#attempt?.cancel()
    this.#connection?.resetClose('done')
  }

  #request(): string {
    const { monitorUrl, originServer } = this.#line
    const uri = parseAbsolute(monitorUrl)
    const host = /^[a-z]+:\/\/([^/?#]*)/i.exec(monitorUrl)?.[1] ?? ''
    return requestHeadText('GET', originServer && uri !== null ? uri.path : monitorUrl, ['Host', host, 'Cache-Control', 'no-cache', 'Connection', 'close'])
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.#over) return
    if (this.#body !== null) return this.#pass(slab, start, end)
    const piece = slab.subarray(start, end)
    const bytes = this.#held === null ? piece : Buffer.concat([this.#held, piece])
    this.#held = null
    for (let at = 0; ; ) {
      const answer = parseResponseHead(bytes, at, bytes.length, usualHeadLimits, 'GET')
      if (answer.kind === 'bad') return this.#end(`answers with what is no HTTP: ${answer.why}`)
      if (answer.kind === 'more') {
        this.#held = Buffer.from(bytes.subarray(at))
        return
      }
      at = answer.end
      const { status, framing } = answer.head
      if (status < 200) continue
      if (status !== 200) return this.#end(`answers ${status}`)
      this.#body = new BodyReader(framing)
      return this.#pass(bytes, at, bytes.length)
    }
  }

  onContent(_slab: Buffer, start: number, end: number): void {
    this.#bytes += end - start
  }

  #pass(bytes: Buffer, start: number, end: number): void {
    const body = this.#body
    if (body === null) return
    body.feed(bytes, start, end, this)
    const most = this.#line.monitorSize?.max ?? Number.POSITIVE_INFINITY
    if (body.failed !== null) this.#end(`its content is broken: ${body.failed.why}`)
    else if (this.#bytes > most) this.#end(`answers with more than ${most} bytes`)
    else if (body.done) this.#whole()
  }

  #whole(): void {
    const least = this.#line.monitorSize?.min ?? 0
    this.#end(this.#bytes < least ? `answers with ${this.#bytes} bytes, less than ${least}` : '')
  }

  onEnd(): void {
    if (this.#body?.end() === true) this.#whole()
    else this.#end('closes before its answer is whole')
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#end('does not answer in time')
  }

  onClose(_connection: Connection, why: CloseReason): void {
    this.#end(`breaks off (${why})`)
  }

  #end(fault: string): void {
    if (this.#over) return
    this.#over = true
    this.#connection?.resetClose('done')
    this.#done(fault)
  }
}
