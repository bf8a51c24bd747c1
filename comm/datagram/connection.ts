import type { Endpoint, MonoMs, Watched } from '../../src/base/index.ts'
import { assert, ms } from '../../src/base/index.ts'
import { type CloseHandlers, inCloseOrder, withHandler, withoutHandler } from '../close-handlers.ts'
import type { CloseHandler, CloseReason, Connection, ConnectionReader } from '../connection.ts'
import type { EngineHost } from '../engine/engine.ts'
import type { OriginalDestination } from '../nat-lookup/original-destination.ts'

// Datagrams between two endpoints, in the shape of a Connection, so that services, routers and chainers need not know.
// What is different from TCP:
//
//   onData        one datagram per call, also an empty one (start === end)
//   write         one datagram per call, from all parts; never waits: what the kernel does not take is lost and counted
//   onEnd, FIN    there are none; shutdownWrite does nothing
//   close         the far side is not told

/** What an engine does for its datagram connections. */
export interface DatagramCarrier {
  readonly host: EngineHost
  /** Calls `awake` between the engine's own steps. */
  wake(connection: DatagramConnection): void
  /** Calls `tellClosed` likewise. */
  ended(connection: DatagramConnection): void
  guarded(connection: Connection | null, call: () => void): void
  /** Of this turn, or now. */
  now(): MonoMs
}

/** Bytes of datagrams that wait for a reader, in all connections that share it. */
export interface HeldAccount {
  bytes: number
  readonly bytesMax: number
}

/** A burst that comes while a route is looked up; as much as a usual socket buffer holds of small ones. */
const heldMax = 512

const closedNow = 1
const deferred = 2
const waking = 4

export abstract class DatagramConnection implements Connection {
  readonly id: number
  abstract readonly fd: number
  readonly peer: Endpoint
  abstract readonly local: Endpoint
  abstract readonly original: OriginalDestination
  note: string
  bytesRead = 0
  bytesWritten = 0
  readonly openedAt: MonoMs
  protected readonly carrier: DatagramCarrier
  reader: ConnectionReader | null = null
  #flags = 0
  #held: Buffer[] | null = null
  readonly #account: HeldAccount
  #closeHandlers: CloseHandlers = null
  #deadline: ReaderDeadline | null = null
  #why: CloseReason = 'done'

  constructor(carrier: DatagramCarrier, account: HeldAccount, peer: Endpoint, note: string) {
    this.carrier = carrier
    this.#account = account
    this.id = carrier.host.nextId()
    this.peer = peer
    this.note = note
    this.openedAt = carrier.now()
  }

  get protocol(): 'udp' {
    return 'udp'
  }

  get pending(): number {
    return 0
  }

  get closed(): boolean {
    return (this.#flags & closedNow) !== 0
  }

  get ended(): boolean {
    return false
  }

  get isDeferred(): boolean {
    return (this.#flags & deferred) !== 0
  }

  /** When the reader's deadline is; 0 = none. */
  get readerDeadlineAt(): MonoMs {
    return this.#deadline?.deadlineAt ?? (0 as MonoMs)
  }

  /** Gives one datagram to the engine. */
  protected abstract send(a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void
  /** Leaves the engine's tables. */
  protected abstract leave(): void
  /** Input is wanted, or not any more. */
  protected abstract ask(): void

  // ---- output

  write(a: Buffer | string, b: Buffer | string | null = null, c: Buffer | string | null = null): boolean {
    if (this.#flags & closedNow) return false
    const bytes = a.length + (b === null ? 0 : b.length) + (c === null ? 0 : c.length)
    const { counters } = this.carrier.host
    counters.datagramsSent++
    counters.bytesWritten += bytes
    this.bytesWritten += bytes
    this.send(a, b, c)
    return true
  }

  shutdownWrite(): void {}

  // ---- input

  giveBack(): void {
    assert(false, 'datagrams are not looked at before a service is chosen')
  }

  setReader(reader: ConnectionReader): void {
    this.reader = reader
    if (this.#held !== null) this.#wake()
  }

  received(slab: Buffer, start: number, end: number): void {
    if (this.#flags & closedNow) return
    this.bytesRead += end - start
    const { reader } = this
    if (reader === null || this.#held !== null || this.#flags & deferred) this.#hold(slab, start, end)
    else reader.onData(this, slab, start, end)
  }

  #hold(slab: Buffer, start: number, end: number): void {
    const account = this.#account
    this.#held ??= []
    if (this.#held.length >= heldMax || account.bytes + end - start > account.bytesMax) {
      this.carrier.host.counters.datagramsDropped++
      return
    }
    account.bytes += end - start
    this.#held.push(Buffer.from(slab.subarray(start, end)))
    if (this.reader !== null && !(this.#flags & deferred)) this.#wake()
  }

  deferRead(): void {
    if (this.#flags & (closedNow | deferred)) return
    this.#flags |= deferred
    this.ask()
  }

  resumeRead(): void {
    if (this.#flags & closedNow || !(this.#flags & deferred)) return
    this.#flags &= ~deferred
    if (this.#held !== null) this.#wake()
    this.ask()
  }

  #wake(): void {
    if (this.#flags & waking) return
    this.#flags |= waking
    this.carrier.wake(this)
  }

  /** From the engine: what was held is told now, in order. */
  awake(): void {
    this.#flags &= ~waking
    const list = this.#held
    if (list === null) return
    let told = 0
    while (told < list.length && this.reader !== null && !(this.#flags & (closedNow | deferred))) {
      const datagram = list[told++]
      if (datagram === undefined) break
      this.#account.bytes -= datagram.length
      this.reader.onData(this, datagram, 0, datagram.length)
    }
    if (this.#flags & closedNow) return // dropped by the end
    this.#held = told === list.length ? null : list.slice(told)
  }

  #dropHeld(): void {
    for (const datagram of this.#held ?? []) this.#account.bytes -= datagram.length
    this.#held = null
  }

  // ---- the end

  keepAlive(): void {} // there is nothing to keep

  setTimeout(delayMs: number): void {
    if (this.#flags & closedNow) return
    const { deadlines } = this.carrier.host
    if (delayMs > 0) deadlines.set((this.#deadline ??= new ReaderDeadline(this, this.carrier)), ms(delayMs))
    else if (this.#deadline !== null) deadlines.clear(this.#deadline)
  }

  addCloseHandler(handler: CloseHandler): void {
    if (!(this.#flags & closedNow)) this.#closeHandlers = withHandler(this.#closeHandlers, handler)
  }

  removeCloseHandler(handler: CloseHandler): void {
    this.#closeHandlers = withoutHandler(this.#closeHandlers, handler)
  }

  close(why: CloseReason = 'done'): void {
    if (this.#flags & closedNow) return
    this.#flags |= closedNow
    this.#why = why
    this.#dropHeld()
    const { host } = this.carrier
    if (this.#deadline !== null) host.deadlines.forget(this.#deadline)
    host.counters.connectionsClosed++
    this.leave()
    this.carrier.ended(this)
  }

  closeAfterFlush(why: CloseReason = 'done'): void {
    this.close(why) // what was written in this turn leaves before the descriptor is closed
  }

  resetClose(why: CloseReason = 'aborted'): void {
    this.close(why)
  }

  /** From the engine, once. Each handler is called whatever the others throw. */
  tellClosed(failed: (error: unknown) => void): void {
    const { reader } = this
    const handlers = inCloseOrder(this.#closeHandlers)
    this.#closeHandlers = null
    this.reader = null
    try {
      reader?.onClose(this, this.#why)
    } catch (error) {
      failed(error)
    }
    for (const handler of handlers) {
      try {
        handler(this, this.#why)
      } catch (error) {
        failed(error)
      }
    }
  }
}

/** The reader's deadline. Few ask for one, so it is no part of the connection. */
class ReaderDeadline implements Watched {
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly #connection: DatagramConnection
  readonly #carrier: DatagramCarrier

  constructor(connection: DatagramConnection, carrier: DatagramCarrier) {
    this.#connection = connection
    this.#carrier = carrier
  }

  deadlinePassed(): void {
    const connection = this.#connection
    this.#carrier.host.counters.timeouts++
    if (connection.reader === null) connection.close('timeout')
    else this.#carrier.guarded(connection, () => connection.reader?.onTimeout(connection))
  }
}
