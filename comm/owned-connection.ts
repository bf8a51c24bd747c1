import { type Endpoint, type MonoMs, ms, type Watched } from '../src/base/index.ts'
import { type CloseHandlers, inCloseOrder, withHandler, withoutHandler } from './close-handlers.ts'
import type { CloseHandler, CloseReason, Connection, ConnectionReader } from './connection.ts'
import type { EngineHost } from './engine/engine.ts'
import type { OriginalDestination } from './nat-lookup/original-destination.ts'

// What connections have in common that are made of JavaScript, be it over a socket of Node's or over an inbox: one owner,
// who is called and whose faults cost him his connection; a deadline; and an end that is told once, in a turn of its own.

export abstract class OwnedConnection implements Connection, Watched {
  readonly id: number
  note: string
  closed = false
  deadlineAt = 0 as MonoMs // no deadline
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly bornAt: MonoMs
  protected readonly host: EngineHost
  protected reader: ConnectionReader | null = null
  #handlers: CloseHandlers = null
  #why: CloseReason = 'done'

  constructor(host: EngineHost, note: string) {
    this.id = host.nextId()
    this.note = note
    this.bornAt = host.clock.mono()
    this.host = host
  }

  abstract readonly protocol: 'tcp'
  abstract readonly fd: number
  abstract readonly peer: Endpoint
  abstract readonly local: Endpoint
  abstract readonly original: OriginalDestination
  abstract readonly bytesRead: number
  abstract readonly bytesWritten: number
  abstract readonly pending: number
  abstract readonly ended: boolean
  abstract setReader(reader: ConnectionReader): void
  abstract giveBack(bytes: Buffer): void
  abstract write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean
  abstract deferRead(): void
  abstract resumeRead(): void
  abstract shutdownWrite(): void
  abstract keepAlive(): void
  abstract close(why?: CloseReason): void
  abstract closeAfterFlush(why?: CloseReason): void
  abstract resetClose(why?: CloseReason): void

  setTimeout(delayMs: number): void {
    if (this.closed || delayMs <= 0) this.host.deadlines.clear(this)
    else this.host.deadlines.set(this, ms(delayMs))
  }

  addCloseHandler(handler: CloseHandler): void {
    if (!this.closed) this.#handlers = withHandler(this.#handlers, handler)
  }

  removeCloseHandler(handler: CloseHandler): void {
    this.#handlers = withoutHandler(this.#handlers, handler)
  }

  deadlinePassed(): void {
    this.host.counters.timeouts++
    const { reader } = this
    if (reader === null) this.close('timeout')
    else this.call(() => reader.onTimeout(this))
  }

  /** It is closed now; who has to know hears of it later. */
  protected leave(why: CloseReason): void {
    this.closed = true
    this.#why = why
    this.host.deadlines.forget(this)
    process.nextTick(announceLater, this)
  }

  announceClose(): void {
    const { reader } = this
    const handlers = inCloseOrder(this.#handlers)
    this.reader = null
    this.#handlers = null
    if (reader !== null) this.call(() => reader.onClose(this, this.#why))
    for (const handler of handlers) this.call(() => handler(this, this.#why))
  }

  /** What an owner throws is reported once and costs it its connection. */
  protected call(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.host.counters.handlerFailures++
      this.host.failed(error, this.note)
      this.resetClose('handler-failed')
    }
  }
}

const announceLater = (connection: OwnedConnection): void => connection.announceClose()
