import type { Endpoint, Introduction, MonoMs, Watched } from '../../src/base/index.ts'
import { type CloseHandlers, inCloseOrder, withHandler, withoutHandler } from '../close-handlers.ts'
import type { CloseHandler, CloseReason, Connection, ConnectionReader, Tuning } from '../connection.ts'
import type { OriginalDestination } from '../nat-lookup/index.ts'
import type { NativeEngine } from './native.ts'
import { tuneSocket } from './native-tuning.ts'
import { copyMax } from './output.ts'
import { Rest } from './rest.ts'

// A connection carried by the native engine. Idle, it is this object and nothing else: no buffer, no closure, no timer.
//
//   write ──► engine.output (this turn) ──► sendmsg ──┬─ all taken
//                                                     └─ rest ──► waits for writability ──► onDrain
//
// What is told to the reader is told by the engine between its own steps, never from inside a call of the reader's.

/** After this much from one connection in one turn the kernel is asked at once, so that back-pressure is felt. */
const turnBytesMax = 256 * 1024

// ---- states, as bits of `flags`

/** The peer's FIN was read. */
const ended = 1
/** The FIN waits for resumeRead or for a reader. */
const endHeld = 2
const deferred = 4
/** The kernel is not asked for input (deferred, ended, held). */
const paused = 8
/** FIN is wanted after everything written. */
const finWanted = 16
const finishing = 32
const closedNow = 64
/** In the engine's list of connections that have something held for their reader. */
const waking = 128

export class NativeConnection implements Connection, Watched {
  readonly id: number
  fd: number
  peer: Endpoint
  local: Endpoint
  original: OriginalDestination
  introduced: Introduction | null = null
  bytesRead = 0
  note: string
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  /** Seconds of the engine's clock: a small integer, for the fd table. */
  readonly openedAt: number
  readonly engine: NativeEngine
  flags = 0
  reader: ConnectionReader | null = null
  /** Everything handed to `write`, sent or not. */
  #accepted = 0
  #turnBytes = 0
  #turnSerial = 0
  rest: Rest | null = null
  /** Of a file: what the kernel did not take when it was offered last, 1 where it took all; 0 = none is under way. */
  #fileBytes = 0
  /** Input that came while nobody could take it: at most what one turn reads. */
  #held: Buffer | null = null
  #closeHandlers: CloseHandlers = null
  why: CloseReason = 'done'

  constructor(
    engine: NativeEngine,
    id: number,
    fd: number,
    peer: Endpoint,
    local: Endpoint,
    original: OriginalDestination,
    note: string,
    openedAt: number,
  ) {
    this.engine = engine
    this.id = id
    this.fd = fd
    this.peer = peer
    this.local = local
    this.original = original
    this.note = note
    this.openedAt = openedAt
  }

  get protocol(): 'tcp' {
    return 'tcp'
  }

  get copiedMax(): number {
    return copyMax
  }

  get takesPages(): boolean {
    return true
  }

  get closed(): boolean {
    return (this.flags & closedNow) !== 0
  }

  get ended(): boolean {
    return (this.flags & ended) !== 0
  }

  get pending(): number {
    return this.#kept + this.#fileBytes
  }

  get bytesWritten(): number {
    return this.#accepted - this.#kept
  }

  /** Handed to `write`, and not given to the kernel yet. */
  get #kept(): number {
    return (this.rest === null ? 0 : this.rest.bytes) + this.#unsent
  }

  /** The kernel is to tell when there is room again. */
  get awaitsRoom(): boolean {
    return this.rest !== null || this.#fileBytes > 0
  }

  /** Listed in this turn, not given to the kernel yet. */
  get #unsent(): number {
    const { output } = this.engine
    return this.#turnSerial === output.serial && output.waiting ? this.#turnBytes : 0
  }

  introduce(peer: Endpoint, local: Endpoint, original: OriginalDestination, pairs: readonly string[]): void {
    this.introduced = { pairs, local: this.local }
    this.peer = peer
    this.local = local
    this.original = original
  }

  setReader(reader: ConnectionReader): void {
    this.reader = reader
    if (this.#held !== null || this.flags & endHeld) this.#wake()
    else this.askForInput()
  }

  giveBack(bytes: Buffer): void {
    if (this.flags & (closedNow | finishing)) return
    this.reader = null
    if (bytes.length > 0) this.#held = this.#held === null ? bytes : Buffer.concat([bytes, this.#held])
    // a FIN is found again when input is asked for
    this.flags &= ~(ended | endHeld | deferred)
    this.#stopInput()
  }

  // ---- output

  write(a: Buffer | string, b: Buffer | string | null = null, c: Buffer | string | null = null): boolean {
    if (this.flags & (closedNow | finWanted | finishing)) return false
    if (this.rest !== null) {
      this.#later(a)
      if (b !== null) this.#later(b)
      if (c !== null) this.#later(c)
      return false
    }
    let bytes = this.#list(a)
    if (b !== null) bytes += this.#list(b)
    if (c !== null) bytes += this.#list(c)
    this.#accepted += bytes
    const { engine } = this
    engine.host.counters.bytesWritten += bytes
    if (this.#turnSerial === engine.output.serial) this.#turnBytes += bytes
    else {
      this.#turnSerial = engine.output.serial
      this.#turnBytes = bytes
    }
    if (this.#turnBytes >= turnBytesMax) engine.flushInTurn()
    engine.schedule()
    return this.rest === null && (this.flags & closedNow) === 0 // a flush may have found it broken
  }

  sendFile(file: number, at: number, bytes: number, last: boolean): number {
    if (this.flags & (closedNow | finWanted | finishing)) return 0
    const { engine } = this
    if (this.#unsent > 0) engine.flushInTurn()
    if (this.rest !== null || this.closed) return 0
    this.#fileBytes = 0
    const sent = engine.native.sendFile(this.fd, file, at, bytes, last ? 0 : 1)
    engine.schedule() // what is asked of the kernel, or no more, is looked at when the turn is over
    if (sent < 0) {
      if (!engine.isReset(-sent)) return -1
      this.failed(-sent, 'write')
      return 0
    }
    this.#accepted += sent
    engine.host.counters.bytesWritten += sent
    engine.host.counters.bytesFromFiles += sent
    if (!last || sent < bytes) this.#fileBytes = Math.max(1, bytes - sent)
    return sent
  }

  /** Into the engine's list of this turn. */
  #list(part: Buffer | string): number {
    const { engine } = this
    if (this.rest !== null) return this.#keep(part) // a flush on the way left something: order is kept
    const length = engine.output.add(this.fd, part)
    if (length >= 0) return length
    engine.flushInTurn()
    if (this.rest !== null) return this.#keep(part)
    return engine.output.add(this.fd, part)
  }

  #keep(part: Buffer | string): number {
    this.rest ??= new Rest()
    this.rest.add(part, typeof part !== 'string' && this.engine.isSlab(part))
    return part.length
  }

  #later(part: Buffer | string): void {
    this.#keep(part)
    this.#accepted += part.length
    this.engine.host.counters.bytesWritten += part.length
  }

  /** The kernel took only a part of commands [from, to). The engine has asked for writability. */
  leftOver(from: number, to: number, sent: number): void {
    for (const view of this.engine.output.views(from, to, sent)) {
      this.rest ??= new Rest()
      this.rest.add(view, this.engine.isOwnMemory(view))
    }
  }

  /** The kernel takes bytes again. True: everything has gone. */
  sendRest(): boolean {
    const { rest } = this
    this.#fileBytes = 0
    if (rest === null) return true
    for (;;) {
      const count = Math.min(rest.parts.length, 64)
      const asked = rest.bytes
      const sent = this.engine.native.send(this.fd, rest.parts, count, rest.skip)
      if (sent < 0) {
        this.failed(-sent, 'write')
        return false
      }
      rest.take(sent)
      if (rest.bytes === 0) break
      if (sent === 0 || asked === rest.bytes || count < 64) return false // writability is asked for
    }
    this.rest = null
    return true
  }

  shutdownWrite(): void {
    if (this.flags & (closedNow | finWanted | finishing)) return
    this.flags |= finWanted
    if (this.rest !== null) return
    const { engine } = this
    if (!engine.output.addShutdown(this.fd)) {
      engine.flushInTurn()
      if (this.rest === null) engine.output.addShutdown(this.fd)
    }
    engine.schedule()
  }

  /** After the rest has gone: FIN, close, or tell the owner. */
  drained(): void {
    if (this.flags & finishing) return this.close(this.why)
    if (this.flags & finWanted) this.engine.native.shutdown(this.fd)
    this.reader?.onDrain(this)
  }

  // ---- input

  inputWaits(): boolean {
    if (this.flags & closedNow) return false
    return this.#held !== null || this.engine.native.inputWaits(this.fd) > 0
  }

  deferRead(): void {
    if (this.flags & (closedNow | deferred | finishing)) return
    this.flags |= deferred
    this.#stopInput()
  }

  resumeRead(): void {
    if (this.flags & closedNow || !(this.flags & deferred)) return
    this.flags &= ~deferred
    if (this.#held !== null || this.flags & endHeld) this.#wake()
    else this.askForInput()
  }

  #stopInput(): void {
    if (this.flags & paused) return
    this.flags |= paused
    this.engine.ask(this)
  }

  askForInput(): void {
    if (!(this.flags & paused) || this.flags & (closedNow | deferred | ended)) return
    this.flags &= ~paused
    this.engine.ask(this)
  }

  get wantsInput(): boolean {
    return (this.flags & paused) === 0
  }

  /** Bytes have come. The first lines are the path of every request. */
  received(slab: Buffer, start: number, end: number): void {
    this.bytesRead += end - start
    const { reader } = this
    if (reader !== null && (this.flags & (deferred | finishing)) === 0 && this.#held === null) {
      reader.onData(this, slab, start, end)
      return
    }
    if (this.flags & finishing) return // thrown away
    const more = Buffer.from(slab.subarray(start, end))
    this.#held = this.#held === null ? more : Buffer.concat([this.#held, more])
    this.#stopInput()
  }

  /** FIN has come. The engine has stopped asking for input. */
  receivedEnd(): void {
    this.flags |= ended | paused
    if (this.flags & finishing) return
    if (this.reader === null || this.flags & deferred || this.#held !== null) this.flags |= endHeld
    else this.reader.onEnd(this)
  }

  #wake(): void {
    if (this.flags & waking) return
    this.flags |= waking
    this.engine.wake(this)
  }

  /** What was held is told now. */
  awake(): void {
    this.flags &= ~waking
    if (this.flags & (closedNow | deferred | finishing) || this.reader === null) return
    if (this.#held !== null) {
      const held = this.#held
      this.#held = null
      this.reader.onData(this, held, 0, held.length)
      if (this.flags & (closedNow | deferred | finishing)) return
    }
    if (this.flags & endHeld) {
      this.flags &= ~endHeld
      this.reader.onEnd(this)
    } else this.askForInput()
  }

  /** Deferred, but the kernel is not told: a relay is about to ask it for everything itself, or calls `ask`. */
  deferForRelay(): void {
    this.flags |= deferred | paused
  }

  /** New, and not read: the kernel is asked at the end of the turn (`askForInput`), unless a relay takes it first. */
  notReadYet(): void {
    this.flags |= paused
  }

  /** Input nobody has seen yet, for a relay that takes over. */
  takeHeld(): Buffer | null {
    const held = this.#held
    this.#held = null
    return held
  }

  // ---- deadlines

  setTimeout(delayMs: number): void {
    if (this.flags & closedNow) return
    this.engine.setDeadline(this, delayMs)
  }

  tune(tuning: Tuning): boolean {
    return !(this.flags & closedNow) && tuneSocket(this.engine.addon, this.fd, tuning)
  }

  keepAlive(): void {
    if (!(this.flags & closedNow)) this.engine.keepAlive(this.fd)
  }

  deadlinePassed(): void {
    this.engine.timedOut(this)
  }

  // ---- the end

  addCloseHandler(handler: CloseHandler): void {
    if (this.flags & closedNow) return
    this.#closeHandlers = withHandler(this.#closeHandlers, handler)
  }

  removeCloseHandler(handler: CloseHandler): void {
    this.#closeHandlers = withoutHandler(this.#closeHandlers, handler)
  }

  /** What was listed in this turn is tried once; what the kernel does not take is dropped. */
  close(why: CloseReason = 'done'): void {
    if (this.#unsent > 0) this.engine.flushInTurn()
    this.#end(why, false)
  }

  resetClose(why: CloseReason = 'aborted'): void {
    this.#end(why, true)
  }

  closeAfterFlush(why: CloseReason = 'done'): void {
    if (this.flags & (closedNow | finishing)) return
    if (this.pending === 0) return this.close(why)
    this.why = why
    this.flags = (this.flags | finishing) & ~deferred
    this.#held = null
    this.askForInput()
    if (this.rest === null) this.engine.afterFlush(this) // else it ends when the rest has gone
  }

  /** From the engine: what was listed has been offered to the kernel. */
  flushed(): void {
    if (this.rest === null) this.close(this.why)
  }

  /** read(2) or write(2) said so. */
  failed(errno: number, doing: 'read' | 'write'): void {
    const gone = this.engine.isReset(errno)
    this.close(gone ? 'peer-reset' : doing === 'read' ? 'read-error' : 'write-error')
  }

  #end(why: CloseReason, reset: boolean): void {
    if (this.flags & closedNow) return
    this.#accepted -= this.#kept // dropped: never written
    this.#turnBytes = 0
    this.#fileBytes = 0
    this.flags |= closedNow
    this.why = why
    this.rest = null
    this.#held = null
    this.engine.end(this, reset)
    this.fd = -1
  }

  /** The last thing its owner hears. Each handler is called whatever the others throw. */
  tellClosed(failed: (error: unknown) => void): void {
    const { reader } = this
    const handlers = inCloseOrder(this.#closeHandlers)
    this.#closeHandlers = null
    try {
      reader?.onClose(this, this.why)
    } catch (error) {
      failed(error)
    }
    for (const handler of handlers) {
      try {
        handler(this, this.why)
      } catch (error) {
        failed(error)
      }
    }
    this.reader = null
  }

  // ---- relays

  /** A relay moved them without our seeing. */
  countRelayed(read: number, written: number): void {
    this.bytesRead += read
    this.#accepted += written
  }
}
