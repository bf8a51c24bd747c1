import type { Connection } from '../../../comm/connection.ts'
import { type Bytes, ProxyError } from '../../base/index.ts'
import { BodyReader, type ContentSink, type Framing } from '../../http/index.ts'
import type { Buckets } from './delay/buckets.ts'
import { leftOf, type Taken, takeFrom } from './delay/pools.ts'

// Content on its way from the client to the origin. The two run at their own speed; between them lies a short queue:
//
//   client ──feed()──► queue ──next()──► origin
//              │ full: deferRead      │ half empty: resumeRead
//
// The slab the bytes come in is reused, so each piece is copied once, here.

export class RequestContent implements AsyncIterable<Uint8Array>, ContentSink {
  readonly #connection: Connection
  readonly #reader: BodyReader
  readonly #bytesMax: Bytes
  /** Above this the client is not read any more; what has come in one go may be as much again. */
  readonly #queuedMax: number
  #queue: Buffer[] = []
  #queued = 0
  #deferred = false
  #failure: ProxyError | null = null
  #discarding = false
  #waiting: { resolve: (r: IteratorResult<Uint8Array>) => void; reject: (e: unknown) => void } | null = null
  /** The client waits for 100 (Continue) before it sends anything. */
  #awaited: boolean
  #asked = false
  #wanted = 0
  #onReached: (() => void) | null = null
  /** delay_client_request_access: what may pass on to whoever reads. */
  #buckets: Buckets | null = null
  #taken: Taken | null = null
  #stopWaiting: (() => void) | null = null

  constructor(connection: Connection, framing: Framing, bytesMax: Bytes, bufferMax: Bytes, awaited: boolean) {
    this.#connection = connection
    this.#awaited = awaited
    this.#reader = new BodyReader(framing)
    this.#bytesMax = bytesMax
    this.#queuedMax = bufferMax / 2
  }

  /** All of it has arrived. */
  get complete(): boolean {
    return this.#reader.done
  }

  get failure(): ProxyError | null {
    return this.#failure
  }

  /** Content bytes so far, without framing. */
  get bytes(): number {
    return this.#reader.bytes
  }

  /** Takes what belongs to this content and answers where the rest begins. */
  feed(slab: Buffer, start: number, end: number): number {
    const next = this.#reader.feed(slab, start, end, this)
    const bad = this.#reader.failed
    if (bad !== null) {
      this.fail(new ProxyError(bad.error, `content: ${bad.why}`, { side: 'client' }))
      return end
    }
    if (this.#reader.bytes > this.#bytesMax) {
      this.fail(new ProxyError('content-too-large', `more than ${this.#bytesMax} bytes`, { side: 'client' }))
      return end
    }
    if (this.#onReached !== null) this.#tellReached()
    if (this.#reader.done) this.#wake()
    else if (this.#queued > this.#queuedMax && !this.#deferred) {
      this.#deferred = true
      this.#connection.deferRead()
    }
    return next
  }

  /** When so much is here, or nothing more comes; more than half of what may wait is not waited for. */
  reached(bytes: number): Promise<void> {
    this.invite()
    this.#wanted = Math.min(bytes, this.#queuedMax)
    return new Promise(resolve => {
      this.#onReached = resolve
      this.#tellReached()
    })
  }

  #tellReached(): void {
    if (this.#onReached === null || (this.#reader.bytes < this.#wanted && !this.#reader.done && this.#failure === null)) return
    this.#onReached()
    this.#onReached = null
  }

  /** The rest is read and thrown away: the answer does not wait for it. */
  discard(): void {
    this.#discarding = true
    this.#atFullSpeed()
    this.#queue = []
    this.#queued = 0
    this.#resume()
  }

  /** From here on no faster than the buckets allow; `taken` is given back when nothing more is read. */
  slow(taken: Taken, buckets: Buckets): void {
    this.#taken = taken
    this.#buckets = buckets
  }

  /** The transaction is over: what is still on its way is, and its buckets are free for others. */
  quicken(): void {
    if (this.#taken === null) return
    this.#atFullSpeed()
    this.#wake()
  }

  /** The client broke off, or sent what cannot be read; whoever reads the content is told. */
  fail(error: ProxyError): void {
    this.#failure ??= error
    this.#atFullSpeed()
    this.#resume()
    this.#tellReached()
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.reject(this.#failure)
  }

  /** The whole content in one piece when it has arrived and nobody has read of it; else null. */
  whole(): Buffer | null {
    if (!this.#reader.done || this.#failure !== null || this.#asked || this.#taken !== null) return null
    const only = this.#queue.length === 1 ? this.#queue[0] : undefined
    return only ?? Buffer.concat(this.#queue, this.#queued)
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.discard()
        return { done: true, value: undefined }
      },
    }
  }

  /** 100 (Continue), where the client waits for it. */
  invite(): void {
    if (!this.#awaited) return
    this.#awaited = false
    // RFC 9110 10.1.1: not needed once content has come
    if (this.#reader.bytes === 0) this.#connection.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    this.#asked = true
    this.invite()
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const chunk = this.#shift()
    if (chunk !== null) return Promise.resolve({ done: false, value: chunk })
    if (this.#finished) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  /** From the reader: content without its framing. */
  onContent(slab: Buffer, start: number, end: number): void {
    if (this.#discarding) return
    this.#queue.push(Buffer.from(slab.subarray(start, end)))
    this.#queued += end - start
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    if (waiting === null) return
    const chunk = this.#shift()
    if (chunk === null && !this.#finished) return
    this.#waiting = null
    waiting.resolve(chunk === null ? { done: true, value: undefined } : { done: false, value: chunk })
  }

  /** Read to its end. */
  get #finished(): boolean {
    if (!this.#reader.done || this.#queue.length > 0) return false
    this.#atFullSpeed()
    return true
  }

  #shift(): Buffer | null {
    const chunk = this.#taken === null ? this.#queue.shift() : this.#shiftSome(this.#taken)
    if (chunk === undefined) return null
    this.#queued -= chunk.length
    if (this.#queued < this.#queuedMax / 2) this.#resume()
    return chunk
  }

  /** As much of the first piece as may pass now; the rest waits for the next filling. */
  #shiftSome({ limits }: Taken): Buffer | undefined {
    const first = this.#queue[0]
    if (first === undefined) return undefined
    const bytes = Math.min(leftOf(limits), first.length)
    if (bytes === 0) {
      this.#stopWaiting ??= this.#buckets?.onFilled(() => this.#filled()) ?? null
      return undefined
    }
    takeFrom(limits, bytes)
    if (bytes === first.length) this.#queue.shift()
    else this.#queue[0] = first.subarray(bytes)
    return first.subarray(0, bytes)
  }

  #filled(): void {
    this.#rest()
    this.#wake()
  }

  #rest(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = null
  }

  #atFullSpeed(): void {
    this.#rest()
    this.#taken?.giveBack()
    this.#taken = null
  }

  #resume(): void {
    if (!this.#deferred) return
    this.#deferred = false
    this.#connection.resumeRead()
  }
}
