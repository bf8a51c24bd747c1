import type { CloseReason, Connection, ConnectionReader } from '../../../comm/connection.ts'
import type { Relay, RelayEnd } from '../../../comm/engine/engine.ts'

// Bytes between more than two connections. Each is read into one other, or into nothing.
//
//   both:       client ──► fd 0    fd 0 ──► client    fd 1 ──► server    server ──► fd 1
//   to_server:  client ──► fd 0    fd 1 ──► server    server ──► client
//
// Back-pressure: who writes faster than the next one takes is not read meanwhile. An end of one is the end of the half of
// the next. It is over when both client and server have nothing more to come.

export interface PumpPath {
  readonly from: Connection
  readonly to: Connection
}

export interface PumpEnd {
  /** Whose end it was; null: of both sides, or ours. */
  readonly by: Connection | null
  readonly why: RelayEnd
  readonly bytesToClient: number
  readonly bytesToServer: number
}

export interface PumpOptions {
  readonly client: Connection
  readonly server: Connection
  readonly paths: readonly PumpPath[]
  /** Nothing moved anywhere; 0 = for ever. */
  readonly idleTimeoutMs: number
  /** Whether the end of this one is the end of what comes from it, and not that of a program that failed. */
  readonly mayEnd: (from: Connection) => boolean
  /** The first bytes for the client or the server that have been through it. */
  readonly onPayload: (from: Connection) => void
  /** Once, when all connections are closed. */
  readonly onEnd: (end: PumpEnd) => void
}

export class Pump implements ConnectionReader, Relay {
  readonly #options: PumpOptions
  readonly #to = new Map<Connection, Connection>()
  readonly #from = new Map<Connection, Connection>()
  readonly #all: ReadonlySet<Connection>
  readonly #ended = new Set<Connection>()
  readonly #held = new Set<Connection>()
  #why: PumpEnd['why'] | null = null
  #by: Connection | null = null
  #open: number
  /** To the client. */
  bytesToA = 0
  /** To the server. */
  bytesToB = 0

  constructor(options: PumpOptions) {
    this.#options = options
    for (const { from, to } of options.paths) {
      this.#to.set(from, to)
      this.#from.set(to, from)
    }
    this.#all = new Set(options.paths.flatMap(({ from, to }) => [from, to]))
    this.#open = this.#all.size
    for (const connection of this.#all) {
      connection.setReader(this)
      if (connection.ended) this.onEnd(connection)
      if (this.#to.get(connection)?.pending === 0 || !this.#to.has(connection)) connection.resumeRead()
    }
    this.#moved()
  }

  /** What `mayEnd` says may have changed. */
  release(): void {
    for (const connection of [...this.#held]) this.onEnd(connection)
  }

  stop(): void {
    this.#end('stopped')
  }

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#moved()
    const to = this.#to.get(connection)
    if (to === undefined) return // whoever says something where nobody listens
    const { client, server, onPayload } = this.#options
    if (to === client) this.bytesToA += end - start
    else if (to === server) this.bytesToB += end - start
    if ((to === client || to === server) && connection !== client && connection !== server) onPayload(connection)
    if (this.#why === null && !to.write(slab.subarray(start, end))) connection.deferRead()
  }

  onEnd(connection: Connection): void {
    if (this.#ended.has(connection)) return
    if (!this.#options.mayEnd(connection)) {
      this.#held.add(connection)
      return
    }
    this.#held.delete(connection)
    this.#ended.add(connection)
    this.#to.get(connection)?.shutdownWrite()
    const { client, server } = this.#options
    for (const side of [client, server]) {
      const last = this.#from.get(side)
      if (last === undefined || !this.#ended.has(last)) return
    }
    this.#finish('done')
  }

  onDrain(connection: Connection): void {
    this.#from.get(connection)?.resumeRead()
  }

  onTimeout(): void {
    if (this.#why !== null) this.#options.client.resetClose('timeout') // it does not take its last bytes
    else this.#end('idle')
  }

  onClose(connection: Connection, why: CloseReason): void {
    if (this.#why === null) this.#by = connection
    this.#end(why === 'peer-reset' ? 'reset' : why === 'read-error' || why === 'write-error' ? 'error' : 'stopped')
    if (--this.#open > 0) return
    this.#options.onEnd({ why: this.#why ?? 'stopped', by: this.#by, bytesToClient: this.bytesToA, bytesToServer: this.bytesToB })
  }

  /** Its deadline is the client connection's. */
  #moved(): void {
    const { client, idleTimeoutMs } = this.#options
    if (idleTimeoutMs > 0) client.setTimeout(idleTimeoutMs)
  }

  #finish(why: 'done'): void {
    if (this.#why !== null) return
    this.#why = why
    const { client, server } = this.#options
    for (const connection of this.#all) {
      if (connection === client || connection === server) connection.closeAfterFlush('done')
      else connection.close('done')
    }
  }

  #end(why: PumpEnd['why']): void {
    if (this.#why !== null) return
    this.#why = why
    for (const connection of this.#all) connection.resetClose(why === 'idle' ? 'timeout' : 'aborted')
  }
}
