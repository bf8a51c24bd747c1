import { constants } from 'node:os'
import type { MonoMs, Watched } from '../../src/base/index.ts'
import type { CloseReason, Connection, ConnectionReader } from '../connection.ts'
import type { Relay, RelayEnd, RelayOptions } from './engine.ts'
import type { NativeEngine } from './native.ts'
import type { NativeConnection } from './native-connection.ts'
import { type Shares, takeFrom } from '../relay-limits.ts'

// Two connections given to the kernel. First what we still hold is sent (output that waits, input nobody has read);
// then the addon splices, and nothing happens here until it is over.

/** The idle time is checked in so many steps: it ends up to a quarter late. */
const idleSteps = 4

const closeReasonOf: Readonly<Record<RelayEnd, CloseReason>> = {
  done: 'done',
  idle: 'timeout',
  reset: 'peer-reset',
  error: 'read-error',
  stopped: 'aborted',
}

export class NativeRelay implements Relay, ConnectionReader, Watched {
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly #engine: NativeEngine
  readonly #a: NativeConnection
  readonly #b: NativeConnection
  readonly #options: RelayOptions
  readonly #shares: Shares
  /** The addon's number; -1 while it has not started, and when it is over. */
  #id = -1
  /** As the addon told last. */
  #toA = 0
  #toB = 0
  readonly #earlyToA: number
  readonly #earlyToB: number
  #movedBefore = 0
  #idleSteps = 0
  #over = false

  constructor(engine: NativeEngine, a: NativeConnection, b: NativeConnection, options: RelayOptions, shares: Shares) {
    this.#engine = engine
    this.#a = a
    this.#b = b
    this.#options = options
    this.#shares = shares
    engine.host.counters.relays++
    this.#earlyToB = this.#takeOver(a, b)
    this.#earlyToA = this.#takeOver(b, a)
    this.#watchIdle()
    engine.afterFlush(this)
  }

  #takeOver(from: NativeConnection, to: NativeConnection): number {
    from.setTimeout(0)
    from.deferForRelay()
    const held = from.takeHeld()
    from.setReader(this)
    if (held === null || this.#options.oneWay === (from === this.#a ? 'to-a' : 'to-b')) return 0
    to.write(held)
    takeFrom(this.#shares[from === this.#a ? 0 : 1], held.length)
    return held.length
  }

  get bytesToA(): number {
    this.#count()
    return this.#earlyToA + this.#toA
  }

  get bytesToB(): number {
    this.#count()
    return this.#earlyToB + this.#toB
  }

  readFrom(connection: NativeConnection): number {
    this.#count()
    return connection === this.#a ? this.#toB : this.#toA
  }

  writtenTo(connection: NativeConnection): number {
    this.#count()
    return connection === this.#a ? this.#toA : this.#toB
  }

  #count(): void {
    if (this.#id < 0) return
    this.#engine.native.relayBytes(this.#id, counts)
    this.#toA = counts[0] ?? 0
    this.#toB = counts[1] ?? 0
  }

  // ---- before the start

  /** From the engine, when what was listed has been sent. */
  flushed(): void {
    this.#startIfDrained()
    if (this.#id >= 0 || this.#over) return
    // not yet: what is still to be sent goes first, and nothing is read meanwhile
    this.#engine.ask(this.#a)
    this.#engine.ask(this.#b)
  }

  onDrain(): void {
    this.#startIfDrained()
  }

  #startIfDrained(): void {
    const { native } = this.#engine
    if (this.#over || this.#id >= 0 || this.#a.pending > 0 || this.#b.pending > 0) return
    if (this.#a.closed || this.#b.closed) return this.#finish('stopped', true)
    const { oneWay } = this.#options
    const flags = (this.#a.ended ? 1 : 0) | (this.#b.ended ? 2 : 0) | (oneWay === 'to-a' ? 4 : 0) | (oneWay === 'to-b' ? 8 : 0)
    const id = native.relay(this.#a.fd, this.#b.fd, flags, this.#engine.placesOf(this.#shares))
    if (id < 0) return this.#finish('error', true)
    this.#id = id
    this.#engine.relayStarted(id, this)
  }

  // ---- the end

  /** From the engine: the addon has given both descriptors up. */
  finished(errno: number): void {
    this.#finish(errno === 0 ? 'done' : resets.has(errno) ? 'reset' : 'error', errno !== 0)
  }

  stop(): void {
    this.#finish('stopped', true)
  }

  /** Somebody closed one of them; or a side was reset before the start. */
  onClose(connection: Connection, why: CloseReason): void {
    this.#finish(why === 'peer-reset' ? 'reset' : 'stopped', true)
    void connection
  }

  #finish(why: RelayEnd, reset: boolean): void {
    if (this.#over) return
    this.#over = true
    const engine = this.#engine
    this.#count()
    engine.host.deadlines.forget(this)
    if (this.#id >= 0) {
      engine.native.relayEnd(this.#id, reset ? 1 : 0)
      engine.relayForgotten(this.#id)
      this.#id = -1
    }
    this.#a.countRelayed(this.#toB, this.#toA)
    this.#b.countRelayed(this.#toA, this.#toB)
    engine.host.counters.relayBytes += this.#toA + this.#toB
    for (const connection of [this.#a, this.#b]) {
      if (reset) connection.resetClose(closeReasonOf[why])
      else connection.close(closeReasonOf[why])
    }
    const stats = { bytesToA: this.bytesToA, bytesToB: this.bytesToB, why }
    engine.later(() => this.#options.onRelayed(stats))
  }

  // ---- idle time

  #watchIdle(): void {
    const { idleTimeoutMs } = this.#options
    if (idleTimeoutMs > 0) this.#engine.setDeadline(this, Math.max(1, idleTimeoutMs / idleSteps))
  }

  deadlinePassed(): void {
    const moved = this.bytesToA + this.bytesToB + this.#a.bytesWritten + this.#b.bytesWritten
    this.#idleSteps = moved === this.#movedBefore ? this.#idleSteps + 1 : 0
    this.#movedBefore = moved
    if (this.#idleSteps >= idleSteps) this.#finish('idle', true)
    else this.#watchIdle()
  }

  // ---- not called: reading is deferred, and the deadline is the relay's own

  onData(): void {}
  onEnd(): void {}
  onTimeout(): void {}
}

/** The addon's answers, read at once: a typed array for each relay would be the largest thing it holds. */
const counts = new Float64Array(2)

const resets: ReadonlySet<number> = new Set([constants.errno.ECONNRESET, constants.errno.EPIPE])
