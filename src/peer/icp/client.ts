import type { Attempt, CloseReason, CommError, Connection, ConnectionReader } from '../../../comm/index.ts'
import { type Clock, elapsed, endpoint, type Endpoint, type MonoMs, ms, type Timer } from '../../base/index.ts'
import type { PeerKind } from '../../conf/index.ts'
import type { Peer } from '../peer.ts'
import { CountIcp } from './counters.ts'
import { icpOpcodes, icpQuery, readIcp, uriBytesMax } from './message.ts'

// Asks peers whether they have a response, each on a socket of its own that is connected to it: what arrives there is from
// it, and in each worker the answers are for its own questions.
//
//   ask ──query──► every target ──► first hit, or all have missed, or the time is over ──► answer

export interface IcpTimes {
  /** icp_query_timeout; 0 = twice what the peers usually take, within the two others. */
  readonly fixedMs: number
  readonly minMs: number
  readonly maxMs: number
}

export interface IcpTarget {
  readonly peer: Peer
  readonly kind: PeerKind
}

export interface IcpFound {
  readonly hit: IcpTarget | null
  /** The parent whose miss came first, by its weight. */
  readonly firstMiss: Peer | null
  readonly timedOut: boolean
}

export interface IcpClientOptions {
  readonly clock: Clock
  readonly dial: (target: Endpoint, source: Endpoint | undefined, done: (error: CommError | null, connection: Connection | null) => void) => Attempt
  readonly times: IcpTimes
  /** udp_outgoing_address; null = the kernel chooses. */
  readonly source: string | null
}

/** Questions at once; more requests go on without asking. */
const questionsMax = 4096

export class IcpClient {
  readonly #options: IcpClientOptions
  readonly #lines = new Map<Peer, PeerLine>()
  readonly #questions = new Map<number, Question>()
  #lastNumber = 0

  constructor(options: IcpClientOptions) {
    this.#options = options
  }

  /** Null: nobody was asked, or no answer is to be expected. */
  ask(uri: string, targets: readonly IcpTarget[]): Promise<IcpFound> | null {
    if (uri.length > uriBytesMax || this.#questions.size >= questionsMax) return null
    this.#lastNumber = (this.#lastNumber + 1) >>> 0 || 1
    const number = this.#lastNumber
    const query = icpQuery(uri, number)
    const expected: IcpTarget[] = []
    for (const target of targets) {
      const awaited = target.peer.isUp
      if (!this.#lineOf(target.peer).send(query)) continue
      target.peer.queried(awaited)
      CountIcp.queriesSent++
      CountIcp.bytesSent += query.length
      CountIcp.queryBytesSent += query.length
      if (awaited) expected.push(target)
    }
    if (expected.length === 0) return null
    return new Promise(resolve => {
      const question = new Question(this.#options.clock, targets, expected.length, found => {
        this.#questions.delete(number)
        if (found.timedOut) CountIcp.timeouts++
        if (found.hit !== null || found.firstMiss !== null) CountIcp.timesUsed++
        resolve(found)
      })
      this.#questions.set(number, question)
      question.endAfter(this.#timeFor(expected))
    })
  }

  close(): void {
    for (const line of this.#lines.values()) line.close()
    this.#lines.clear()
    for (const question of [...this.#questions.values()]) question.end(true)
  }

  #lineOf(peer: Peer): PeerLine {
    const known = this.#lines.get(peer)
    if (known !== undefined) return known
    const line = new PeerLine(peer, this.#options, bytes => this.#heard(peer, bytes))
    this.#lines.set(peer, line)
    return line
  }

  #heard(peer: Peer, bytes: Buffer): void {
    CountIcp.bytesReceived += bytes.length
    const message = readIcp(bytes)
    if (message === null || message.opcode === icpOpcodes.query) {
      CountIcp.unreadable++
      return
    }
    CountIcp.repliesReceived++
    const { opcode } = message
    peer.answered(opcode === icpOpcodes.hit ? 'hits' : opcode === icpOpcodes.miss ? 'misses' : opcode === icpOpcodes.denied ? 'denied' : null)
    const question = this.#questions.get(message.requestNumber)
    if (question === undefined) peer.ignored()
    else question.answered(peer, opcode)
  }

  /** Squid's: parents' times count where there are any. */
  #timeFor(expected: readonly IcpTarget[]): number {
    const { fixedMs, minMs, maxMs } = this.#options.times
    if (fixedMs > 0) return fixedMs
    const parents = expected.filter(({ kind }) => kind === 'parent')
    const counted = parents.length > 0 ? parents : expected
    const twice = (2 * counted.reduce((sum, { peer }) => sum + usualMs(peer), 0)) / counted.length
    return Math.max(minMs, maxMs > 0 ? Math.min(maxMs, twice) : twice)
  }
}

/** Squid takes 0 for what was never measured, and does not wait for anybody's first answer. */
const usualMs = ({ state: { rtt, replies } }: Peer): number => (replies === 0 ? unmeasuredMs : rtt)
const unmeasuredMs = 100

/** One URI that peers are asked about. */
class Question {
  readonly #clock: Clock
  readonly #targets: readonly IcpTarget[]
  readonly #done: (found: IcpFound) => void
  readonly #since: MonoMs
  #awaited: number
  #firstMiss: Peer | null = null
  #firstMissMs = 0
  #timer: Timer | null = null
  #over = false

  constructor(clock: Clock, targets: readonly IcpTarget[], awaited: number, done: (found: IcpFound) => void) {
    this.#clock = clock
    this.#targets = targets
    this.#awaited = awaited
    this.#done = done
    this.#since = clock.mono()
  }

  endAfter(timeMs: number): void {
    this.#timer = this.#clock.after(ms(timeMs), () => this.end(true))
  }

  answered(peer: Peer, opcode: number): void {
    const target = this.#targets.find(one => one.peer === peer)
    if (target === undefined) return peer.ignored()
    const took = elapsed(this.#since, this.#clock.mono())
    peer.measured(Math.round(took))
    this.#awaited--
    if (opcode === icpOpcodes.hit) {
      this.#finish({ hit: target, firstMiss: null, timedOut: false })
      return
    }
    if (opcode === icpOpcodes.miss && target.kind === 'parent' && !peer.line.closestOnly) this.#missed(peer, took)
    if (opcode === icpOpcodes.denied || opcode === icpOpcodes.error) peer.ignored()
    if (this.#awaited <= 0) this.end(false)
  }

  end(timedOut: boolean): void {
    this.#finish({ hit: null, firstMiss: this.#firstMiss, timedOut })
  }

  #missed(peer: Peer, took: number): void {
    const weighted = Math.max(1, (took - peer.line.baseTime) / peer.line.weight)
    if (this.#firstMiss !== null && weighted >= this.#firstMissMs) return
    this.#firstMiss = peer
    this.#firstMissMs = weighted
  }

  #finish(found: IcpFound): void {
    if (this.#over) return
    this.#over = true
    this.#timer?.cancel()
    this.#done(found)
  }
}

/** Queries that wait for a socket, which takes a turn of the event loop. */
const waitingMax = 256

/** The socket to one peer. */
class PeerLine implements ConnectionReader {
  readonly #peer: Peer
  readonly #options: IcpClientOptions
  readonly #heard: (bytes: Buffer) => void
  #connection: Connection | null = null
  #attempt: Attempt | null = null
  readonly #waiting: Buffer[] = []

  constructor(peer: Peer, options: IcpClientOptions, heard: (bytes: Buffer) => void) {
    this.#peer = peer
    this.#options = options
    this.#heard = heard
  }

  /** False: it is not known where the peer is. */
  send(query: Buffer): boolean {
    const [address] = this.#peer.state.addresses
    if (this.#connection !== null) {
      if (address === this.#connection.peer.address) {
        this.#connection.write(query)
        return true
      }
      this.#connection.close('done') // it has moved
      this.#connection = null
    }
    if (address === undefined) this.#peer.probe() // which begins with its name
    if (address === undefined || this.#waiting.length >= waitingMax) return false
    this.#waiting.push(query)
    if (this.#attempt !== null) return true
    const target = endpoint(address, this.#peer.line.icpPort)
    const { source } = this.#options
    const from = source === null ? undefined : endpoint(source, 0)
    this.#attempt = this.#options.dial(target, from?.family === target.family ? from : undefined, (_error, connection) => {
      this.#attempt = null
      this.#connection = connection
      const queries = this.#waiting.splice(0)
      if (connection === null) return // they are not answered, which is what is made of it
      connection.setReader(this)
      for (const one of queries) connection.write(one)
    })
    return true
  }

  close(): void {
    this.#attempt?.cancel()
    this.#attempt = null
    this.#connection?.close('done')
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#heard(slab.subarray(start, end))
  }

  onEnd(): void {}

  onDrain(): void {}

  onTimeout(): void {}

  /** Nobody listens at its port, for instance: the next query tries again. */
  onClose(connection: Connection, _why: CloseReason): void {
    if (this.#connection === connection) this.#connection = null
  }
}
