import { type MonoMs, ms, type Watched } from '../src/base/index.ts'
import type { CloseReason, Connection, ConnectionReader } from './connection.ts'
import type { EngineHost, Relay, RelayEnd, RelayOptions } from './engine/engine.ts'
import { leftOf, type Shares, sharesOf, takeFrom } from './relay-limits.ts'

// The relay for engines without splice: each side reads for the other. Back-pressure is where the two meet: while one
// side's output waits, the other is not read.
//
//   a ──onData──► b.write ──false──► a.deferRead ... b.onDrain ──► a.resumeRead
//   a ──onEnd───► b.shutdownWrite
//
// Limits: of a stream what has been read is passed on, and the source is not read until its buckets are filled. A
// datagram cannot wait: where there is not enough for all of it, it is dropped.

export const copyRelay = (a: Connection, b: Connection, options: RelayOptions, host: EngineHost): Relay =>
  new CopyRelay(a, b, options, host)

/** The idle time is checked in so many steps: it ends up to a quarter late. */
const idleSteps = 4

const closeReasonOf: Readonly<Record<RelayEnd, CloseReason>> = {
  done: 'done',
  idle: 'timeout',
  reset: 'peer-reset',
  error: 'read-error',
  stopped: 'aborted',
}

class CopyRelay implements Relay, ConnectionReader, Watched {
  bytesToA = 0
  bytesToB = 0
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly #a: Connection
  readonly #b: Connection
  readonly #options: RelayOptions
  readonly #host: EngineHost
  readonly #shares: Shares
  readonly #limited: boolean
  /** What it sends is thrown away. */
  readonly #unwanted: Connection | null
  readonly #stopFilling: () => void
  #endedA = false
  #endedB = false
  #movedBefore = -1
  #idleSteps = 0
  #why: RelayEnd | null = null
  #closed = 0

  constructor(a: Connection, b: Connection, options: RelayOptions, host: EngineHost) {
    this.#a = a
    this.#b = b
    this.#options = options
    this.#host = host
    this.#shares = sharesOf(options)
    this.#limited = this.#shares.some(({ length }) => length > 0)
    this.#unwanted = options.oneWay === undefined ? null : options.oneWay === 'to-a' ? a : b
    this.#stopFilling = this.#limited ? host.bandwidths.onFilled(this.#filled) : () => {}
    host.counters.relays++
    for (const connection of [a, b]) connection.setTimeout(0)
    a.setReader(this)
    b.setReader(this)
    this.#join(a, b)
    this.#join(b, a)
    this.#watchIdle()
  }

  /** As if this had been going on before: what ended stays ended, what waits holds the other side back. */
  #join(from: Connection, to: Connection): void {
    if (from.ended) this.onEnd(from)
    if (to.pending === 0) return this.#resume(from)
    from.deferRead()
    // what was written in this turn leaves at its end; only if it does not is there an onDrain
    setImmediate(() => this.#resume(from))
  }

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    const to = this.#other(connection)
    if (this.#unwanted === connection) return
    if (this.#limited && !this.#mayPass(connection, end - start)) return
    if (to === this.#a) this.bytesToA += end - start
    else this.bytesToB += end - start
    if (!to.write(slab.subarray(start, end))) connection.deferRead()
  }

  #mayPass(from: Connection, bytes: number): boolean {
    const shares = this.#sharesOf(from)
    const left = leftOf(shares)
    if (from.protocol === 'udp' && left < bytes) {
      this.#host.counters.datagramsDropped++
      return false
    }
    takeFrom(shares, bytes)
    if (from.protocol === 'tcp' && left <= bytes) from.deferRead()
    return true
  }

  /** The buckets have been filled. */
  readonly #filled = (): void => {
    this.#resume(this.#a)
    this.#resume(this.#b)
  }

  /** Reads on, if nothing holds it back. */
  #resume(from: Connection): void {
    if (this.#other(from).pending === 0 && leftOf(this.#sharesOf(from)) > 0) from.resumeRead()
  }

  #sharesOf(from: Connection): Shares[number] {
    return this.#shares[from === this.#a ? 0 : 1]
  }

  onEnd(connection: Connection): void {
    if (connection === this.#a ? this.#endedA : this.#endedB) return
    if (connection === this.#a) this.#endedA = true
    else this.#endedB = true
    this.#other(connection).shutdownWrite()
    if (!this.#endedA || !this.#endedB) return
    this.#why ??= 'done'
    this.#a.closeAfterFlush('done')
    this.#b.closeAfterFlush('done')
  }

  onDrain(connection: Connection): void {
    this.#resume(this.#other(connection))
  }

  onClose(connection: Connection, why: CloseReason): void {
    const quiet = why === 'timeout' && connection.protocol === 'udp' // flows have a time of their own
    this.#end(why === 'peer-reset' ? 'reset' : quiet ? 'idle' : why === 'read-error' || why === 'write-error' ? 'error' : 'stopped')
    if (++this.#closed < 2) return
    this.#stopFilling()
    this.#host.deadlines.forget(this)
    this.#host.counters.relayBytes += this.bytesToA + this.bytesToB
    this.#options.onRelayed({ bytesToA: this.bytesToA, bytesToB: this.bytesToB, why: this.#why ?? 'stopped' })
  }

  onTimeout(): void {} // the deadline is the relay's own

  deadlinePassed(): void {
    const moved = this.#a.bytesRead + this.#a.bytesWritten + this.#b.bytesRead + this.#b.bytesWritten
    this.#idleSteps = moved === this.#movedBefore ? this.#idleSteps + 1 : 0
    this.#movedBefore = moved
    if (this.#idleSteps >= idleSteps) this.#end('idle')
    else this.#watchIdle()
  }

  stop(): void {
    this.#end('stopped')
  }

  #end(why: RelayEnd): void {
    if (this.#why !== null) return
    this.#why = why
    this.#a.resetClose(closeReasonOf[why])
    this.#b.resetClose(closeReasonOf[why])
  }

  #other(connection: Connection): Connection {
    return connection === this.#a ? this.#b : this.#a
  }

  #watchIdle(): void {
    const { idleTimeoutMs } = this.#options
    if (idleTimeoutMs > 0) this.#host.deadlines.set(this, ms(Math.max(1, idleTimeoutMs / idleSteps)))
  }
}
