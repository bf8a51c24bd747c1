import { assert, type Endpoint } from '../src/base/index.ts'
import type { CloseReason, ConnectionReader } from './connection.ts'
import type { EngineHost } from './engine/engine.ts'
import type { OriginalDestination } from './nat-lookup/original-destination.ts'
import { OwnedConnection } from './owned-connection.ts'

// Two connections joined in this process: what one writes the other reads. For a proxy that speaks to another one as if
// it were its server. They keep the contract of comm/connection.ts; the kernel's buffers are an inbox of each.
//
//   left.write ──copy──► right's inbox ──later turn──► right's reader        and the other way round
//
// Back-pressure: an inbox that is full answers the writer false, and onDrain comes when it is empty.

export interface PairEnds {
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly original: OriginalDestination
}

/** What one end holds for the other at most before it says stop; one write more may come on top. */
const inboxBytesMax = 64 * 1024
/** Told in one go; others have their turn in between. */
const turnBytesMax = 256 * 1024

/** `gone` hears of each end when it is closed. */
export const connectionPair = (
  host: EngineHost,
  left: PairEnds,
  right: PairEnds,
  note: string,
  gone: (end: PairEnd) => void,
): readonly [PairEnd, PairEnd] => {
  const ends = [new PairEnd(host, left, note, gone), new PairEnd(host, right, note, gone)] as const
  ends[0].other = ends[1]
  ends[1].other = ends[0]
  return ends
}

export class PairEnd extends OwnedConnection {
  readonly fd = -1
  readonly protocol = 'tcp'
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly original: OriginalDestination
  bytesRead = 0
  bytesWritten = 0
  ended = false
  /** Set by connectionPair, before anybody has seen either. */
  other: PairEnd = this
  readonly #gone: (end: PairEnd) => void
  #inbox: Buffer[] = []
  #inboxBytes = 0
  /** The other end's FIN lies behind what is in the inbox. */
  #endHeld = false
  #deferred = false
  #finSent = false
  #owesDrain = false
  #drainDue = false
  #leaving: CloseReason | null = null
  #scheduled = false

  constructor(host: EngineHost, ends: PairEnds, note: string, gone: (end: PairEnd) => void) {
    super(host, note)
    this.peer = ends.peer
    this.local = ends.local
    this.original = ends.original
    this.#gone = gone
  }

  get pending(): number {
    return this.closed || this.other.closed ? 0 : this.other.#inboxBytes
  }

  giveBack(): void {
    assert(false, 'ends of a pair are made for a proxy that is known: nobody looks at them first')
  }

  setReader(reader: ConnectionReader): void {
    this.reader = reader
    if (this.pending > 0) this.#owesDrain = true
    this.#schedule()
  }

  write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean {
    if (this.closed || this.#finSent || this.#leaving !== null) return false
    const { other } = this
    if (other.closed) {
      this.leave('peer-reset')
      return false
    }
    other.#take(this, a)
    if (b) other.#take(this, b)
    if (c) other.#take(this, c)
    if (other.#inboxBytes >= inboxBytesMax) this.#owesDrain = true
    return !this.#owesDrain
  }

  deferRead(): void {
    this.#deferred = true
  }

  resumeRead(): void {
    this.#deferred = false
    this.#schedule()
  }

  shutdownWrite(): void {
    if (this.closed || this.#finSent || this.#leaving !== null) return
    this.#finSent = true
    this.other.#hearEnd()
  }

  keepAlive(): void {} // it is here

  /** What was written lies in the other's inbox already. */
  close(why: CloseReason = 'done'): void {
    if (this.closed) return
    this.leave(why)
    this.other.#hearEnd()
  }

  closeAfterFlush(why: CloseReason = 'done'): void {
    if (this.closed || this.#leaving !== null) return
    if (this.pending === 0) return this.close(why)
    this.#leaving = why
    this.other.#hearEnd()
    this.#schedule()
  }

  resetClose(why: CloseReason = 'aborted'): void {
    if (this.closed) return
    this.leave(why)
    if (!this.other.closed) this.other.leave('peer-reset')
  }

  // --- from the other end ---

  #take(from: PairEnd, part: Buffer | string): void {
    if (part.length === 0) return
    const bytes = typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part)
    from.bytesWritten += bytes.length
    this.#inbox.push(bytes)
    this.#inboxBytes += bytes.length
    this.#schedule()
  }

  #hearEnd(): void {
    if (this.#endHeld) return
    this.#endHeld = true
    this.#schedule()
  }

  // --- the turn ---

  #schedule(): void {
    if (this.#scheduled || this.closed) return
    this.#scheduled = true
    setImmediate(turnLater, this)
  }

  turn(): void {
    this.#scheduled = false
    if (this.closed) return
    if (this.#drainDue) this.#drain()
    if (this.#leaving !== null) this.#dropInbox()
    else this.#deliver()
    this.#emptied()
  }

  #drain(): void {
    this.#drainDue = false
    this.#owesDrain = false
    const { reader } = this
    if (reader !== null && this.#leaving === null) this.call(() => reader.onDrain(this))
  }

  #deliver(): void {
    for (let told = 0; told < turnBytesMax; ) {
      const { reader } = this
      if (reader === null || this.#deferred || this.closed) return
      const bytes = this.#inbox.shift()
      if (bytes === undefined) break
      told += bytes.length
      this.#inboxBytes -= bytes.length
      this.bytesRead += bytes.length
      this.call(() => reader.onData(this, bytes, 0, bytes.length))
    }
    if (this.closed) return
    if (this.#inbox.length > 0) return this.#schedule()
    const { reader } = this
    if (!this.#endHeld || this.ended || reader === null || this.#deferred) return
    this.ended = true
    this.call(() => reader.onEnd(this))
  }

  #dropInbox(): void {
    this.#inbox = []
    this.#inboxBytes = 0
  }

  /** Whoever waits for the inbox to be empty. */
  #emptied(): void {
    const { other } = this
    if (this.#inboxBytes > 0 || other.closed) return
    if (other.#leaving !== null) other.close(other.#leaving)
    else if (other.#owesDrain) {
      other.#drainDue = true
      other.#schedule()
    }
  }

  // --- the end ---

  protected override leave(why: CloseReason): void {
    super.leave(why)
    this.#dropInbox()
    this.#gone(this)
    // what the other had written is read by nobody any more; when it writes again it learns that
    this.#emptied()
  }
}

const turnLater = (end: PairEnd): void => end.turn()
