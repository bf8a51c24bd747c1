import type net from 'node:net'
import { type Endpoint, type Introduction, errnoOf } from '../../src/base/index.ts'
import type { CloseReason, ConnectionReader } from '../connection.ts'
import type { OriginalDestination } from '../nat-lookup/original-destination.ts'
import { OwnedConnection } from '../owned-connection.ts'
import type { EngineHost } from './engine.ts'

// A Connection over net.Socket. What differs from a Node stream, and is made here:
//
//   one owner       a reader that can be replaced instead of listeners; onClose last and exactly once
//   no nesting      what a callback causes (a close, a drain) is told after it has returned
//   one turn        what is written in one turn leaves in one writev at its end
//   half-close      the connection stays until its owner ends it, also when both sides have sent FIN

/** Buffers up to this are copied, so that the owner may use them again at once. */
const copyMax = 8 * 1024
/** After this much in one turn the kernel is asked at once, so that back-pressure is felt. */
const turnMax = 256 * 1024

export class NodeConnection extends OwnedConnection {
  /** Node shows none. */
  readonly fd = -1
  peer: Endpoint
  local: Endpoint
  original: OriginalDestination
  introduced: Introduction | null = null
  bytesRead = 0
  ended = false

  readonly #socket: net.Socket
  readonly #isPipe: boolean
  /** Takes it out of the engine's table. */
  readonly #gone: (connection: NodeConnection) => void
  #deferred = false
  /** Given back, and not told to anybody since. */
  #returned: Buffer | null = null
  #endReturned = false
  /** Everything write was given. */
  #written = 0
  /** What of it the kernel had not taken when the socket was closed. */
  #dropped = 0
  #corked = false
  /** Output waits in our memory: onDrain is owed. */
  #waiting = false
  #finSent = false
  /** closeAfterFlush was asked for. */
  #leaving: CloseReason | null = null

  constructor(
    host: EngineHost,
    socket: net.Socket,
    ends: { readonly peer: Endpoint; readonly local: Endpoint; readonly original: OriginalDestination },
    note: string,
    gone: (connection: NodeConnection) => void,
    isPipe = false,
  ) {
    super(host, note)
    this.peer = ends.peer
    this.local = ends.local
    this.original = ends.original
    this.#socket = socket
    this.#gone = gone
    this.#isPipe = isPipe
    socket.on('data', (chunk: Buffer) => this.#data(chunk))
    socket.on('end', () => this.#end())
    socket.on('error', error => this.#broke(error))
    // 'close' is for the budget alone (see the engine): a socket Node closed by itself has had both FINs, and its owner
    // still holds the connection
  }

  get protocol(): 'tcp' {
    return 'tcp'
  }

  get pending(): number {
    return this.closed ? 0 : this.#socket.writableLength
  }

  get bytesWritten(): number {
    return this.#written - (this.closed ? this.#dropped : this.#socket.writableLength)
  }

  introduce(peer: Endpoint, local: Endpoint, original: OriginalDestination, pairs: readonly string[]): void {
    this.introduced = { pairs, local: this.local }
    this.peer = peer
    this.local = local
    this.original = original
  }

  setReader(reader: ConnectionReader): void {
    this.reader = reader
    if (this.pending > 0) this.#waiting = true // whoever comes now and finds output pending is told when it has gone
    this.#goOn()
  }

  giveBack(bytes: Buffer): void {
    if (this.closed || this.#leaving !== null) return
    this.reader = null
    this.#deferred = false
    this.#socket.pause()
    // an ended stream takes nothing back, so it is kept here
    if (bytes.length > 0) this.#returned = this.#returned === null ? bytes : Buffer.concat([bytes, this.#returned])
    if (!this.ended) return
    this.ended = false
    this.#endReturned = true
  }

  /** What was given back comes first, and never from inside a call of the reader's. */
  #goOn(): void {
    if (this.#deferred || this.reader === null) return
    if (this.#returned === null && !this.#endReturned) this.#socket.resume()
    else process.nextTick(tellReturned, this)
  }

  tellReturned(): void {
    const { reader } = this
    if (this.closed || this.#deferred || reader === null || this.#leaving !== null) return
    const returned = this.#returned
    this.#returned = null
    if (returned !== null) {
      this.call(() => reader.onData(this, returned, 0, returned.length))
      return this.#goOn()
    }
    if (!this.#endReturned) return
    this.#endReturned = false
    this.#end()
  }

  write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean {
    if (this.closed || this.#finSent || this.#leaving !== null) return false
    this.#add(a)
    if (b) this.#add(b)
    if (c) this.#add(c)
    if (!this.#waiting && this.#socket.writableLength >= turnMax) this.flushTurn()
    return !this.#waiting
  }

  deferRead(): void {
    this.#deferred = true
    this.#socket.pause()
  }

  resumeRead(): void {
    this.#deferred = false
    this.#goOn()
  }

  shutdownWrite(): void {
    if (this.closed || this.#finSent || this.#leaving !== null) return
    this.#finSent = true
    this.#socket.end()
  }

  keepAlive(): void {
    if (!this.closed) this.#socket.setKeepAlive(true)
  }

  close(why: CloseReason = 'done'): void {
    if (this.closed) return
    this.#flush() // what was written in this turn is tried once; what the kernel does not take is dropped
    this.leave(why)
    this.#socket.destroy()
  }

  closeAfterFlush(why: CloseReason = 'done'): void {
    if (this.closed || this.#leaving !== null) return
    this.#flush()
    if (this.#socket.writableLength === 0) {
      this.close(why)
      return
    }
    this.#leaving = why
    this.#socket.resume() // read and thrown away: a full receive buffer would turn our close into a reset
  }

  resetClose(why: CloseReason = 'aborted'): void {
    if (this.closed) return
    this.leave(why)
    const socket = this.#socket
    if (this.#isPipe) {
      socket.destroy() // only TCP has resets
      return
    }
    // while the FIN of shutdownWrite is being sent a reset is refused (EINVAL), and Node 26 leaks the descriptor then
    if (this.#finSent && !socket.writableFinished && socket.writableLength === 0) {
      socket.once('finish', () => socket.resetAndDestroy())
    } else socket.resetAndDestroy()
  }

  // ---- what the socket tells

  #data(chunk: Buffer): void {
    if (this.closed) return
    this.bytesRead += chunk.length
    this.host.counters.bytesRead += chunk.length
    const { reader } = this
    if (reader === null || this.#leaving !== null) return
    this.call(() => reader.onData(this, chunk, 0, chunk.length))
  }

  #end(): void {
    if (this.closed) return
    const { reader } = this
    if (this.#returned !== null || (reader === null && this.#leaving === null)) {
      this.#endReturned = true // it comes behind what was given back
      return
    }
    this.ended = true
    if (reader !== null && this.#leaving === null) this.call(() => reader.onEnd(this))
  }

  #broke(error: Error): void {
    if (this.closed) return
    this.leave(reasonOf(error)) // Node destroys the socket after this event
  }

  // ---- output

  #add(part: Buffer | string): void {
    if (part.length === 0) return
    this.#written += part.length
    this.host.counters.bytesWritten += part.length
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(flushLater, this)
    }
    if (typeof part === 'string') this.#socket.write(part, 'latin1', this.#taken)
    // beside a native engine a pipe is written views of its slab, which lasts for a turn
    else this.#socket.write(part.length <= copyMax || this.#isPipe ? Buffer.from(part) : part, this.#taken)
  }

  /** The end of the turn. */
  flushTurn(): void {
    if (this.closed || !this.#corked) return
    this.#flush()
    if (this.#socket.writableLength === 0) return
    this.#waiting = true
    this.host.counters.partialWrites++
  }

  #flush(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }

  /** Called by the socket, never inside a write of ours, for every part the kernel took. */
  readonly #taken = (error?: Error | null): void => {
    if (error || this.closed || this.#socket.writableLength > 0) return
    if (this.#leaving !== null) this.close(this.#leaving)
    else if (this.#waiting) {
      this.#waiting = false
      const { reader } = this
      if (reader !== null) this.call(() => reader.onDrain(this))
    }
  }

  // ---- the end

  protected override leave(why: CloseReason): void {
    this.#dropped = this.#socket.writableLength
    super.leave(why)
    this.host.counters.connectionsClosed++
    this.#gone(this)
  }
}

// one function for all connections: a turn of ten thousand writes queues ten thousand ticks, not closures
const tellReturned = (connection: NodeConnection): void => connection.tellReturned()

const flushLater = (connection: NodeConnection): void => connection.flushTurn()

const reasonOf = (error: Error): CloseReason => {
  const errno = errnoOf(error)
  if (errno === 'ECONNRESET' || errno === 'EPIPE') return 'peer-reset'
  return 'syscall' in error && error.syscall === 'read' ? 'read-error' : 'write-error'
}
