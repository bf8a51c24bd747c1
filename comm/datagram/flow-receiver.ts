import { randomBytes } from 'node:crypto'
import type { Endpoint } from '../../src/base/index.ts'
import type { Connection } from '../connection.ts'
import type { Listener } from '../engine/engine.ts'
import { sockaddrToEndpoint } from '../nat-lookup/index.ts'
import type { DatagramCarrier, HeldAccount } from './connection.ts'
import { Flow } from './flow.ts'
import { KeyTable } from './key-table.ts'
import type { ReceiveOptions } from './receive-options.ts'

// Which flow a datagram belongs to. Whatever socket of the receiver it came in by, it is looked up by (client, original
// destination); so a burst is one flow, however its datagrams were spread over sockets that opened meanwhile.
//
//   datagram ──► table (client, destination) ──► flow ──► reader
//                   └─ none: limits ──► flow ──► onFlow: the dispatcher ──► a session, or closed
//
// A flood with invented sources fills the table once. Then flows nobody has answered give way to new ones, the oldest
// first and none younger than a second; those that have an answer stay until they are quiet.

const addressWords = 7
/** A flow without an answer may be pushed out when it has been quiet for so long. */
const giveWayMs = 1000
/** Datagrams that wait for a reader, in all flows of one receiver. */
const heldBytesMax = 16 * 1024 * 1024

export abstract class FlowReceiver implements Listener {
  readonly carrier: DatagramCarrier
  readonly options: ReceiveOptions
  readonly held: HeldAccount = { bytes: 0, bytesMax: heldBytesMax }
  abstract readonly endpoint: Endpoint
  abstract readonly fd: number
  readonly #onFlow: (connection: Connection) => void
  /** (client, destination) → row, and what is in the rows. */
  readonly table = new KeyTable(2 * addressWords)
  readonly #flows: (Flow | null)[] = []
  /** Client addresses → row; how many flows each has. */
  readonly #clients = new KeyTable(addressWords)
  readonly #counts: number[] = []
  readonly #seed = randomBytes(4).readInt32LE()
  readonly #client = new Int32Array(addressWords)
  /** Those without an answer, in the order they came. */
  #firstUnanswered: Flow | null = null
  #lastUnanswered: Flow | null = null
  protected closed = false

  constructor(carrier: DatagramCarrier, options: ReceiveOptions, onFlow: (connection: Connection) => void) {
    this.carrier = carrier
    this.options = options
    this.#onFlow = onFlow
  }

  get flows(): number {
    return this.table.size
  }

  /** An answer to the flow's client, from its destination's address. */
  abstract sendTo(flow: Flow, a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void
  /** Whether a datagram to it was brought here by a rule. */
  protected abstract isTaken(destination: Endpoint): boolean
  /** The index of the interface a datagram came in by, from its head; 0 = not told. */
  protected incomingIn(_head: Buffer, _headAt: number): number {
    return 0
  }

  protected abstract closeSockets(): void
  /** The flow's share of what answers need is given back. */
  protected abstract forget(flow: Flow): void

  pause(): void {}
  resume(): void {}

  /** A datagram. `words` holds both addresses from word `at` on; `slab` and `words` may be the same memory. */
  received(words: Int32Array, at: number, hash: number, head: Buffer, headAt: number, slab: Buffer, start: number, end: number): void {
    const { counters } = this.carrier.host
    counters.datagramsReceived++
    counters.bytesRead += end - start
    const row = this.table.find(words, at, hash)
    const flow = row >= 0 ? this.#flows[row] : this.#begin(words, at, hash, head, headAt)
    if (flow === null || flow === undefined) counters.datagramsDropped++
    else flow.arrived(slab, start, end)
  }

  // ---- a new flow

  #begin(words: Int32Array, at: number, hash: number, head: Buffer, headAt: number): Flow | null {
    const { host } = this.carrier
    const client = sockaddrToEndpoint(head, headAt)
    const destination = sockaddrToEndpoint(head, headAt + 4 * addressWords)
    if (this.closed || client === null || destination === null || client.port === 0) return null
    const clientHash = this.#clientHash(words, at)
    const clientRow = this.#clients.find(this.#client, 0, clientHash)
    if (clientRow >= 0 && (this.#counts[clientRow] ?? 0) >= this.options.flowsPerClientMax) {
      host.counters.flowsRefused++
      return null
    }
    if ((this.table.size >= this.options.flowsMax || host.budget.acceptable <= 1) && !this.#giveWay()) {
      host.counters.flowsRefused++
      return null
    }
    host.counters.flows++
    const flow = this.#add(client, destination, words, at, hash, clientHash)
    flow.incoming = this.incomingIn(head, headAt)
    this.carrier.guarded(flow, () => this.#onFlow(flow))
    return flow
  }

  #add(client: Endpoint, destination: Endpoint, words: Int32Array, at: number, hash: number, clientHash: number): Flow {
    const present = this.#clients.find(this.#client, 0, clientHash) // asked again: what gave way may have been the last
    const counted = present >= 0 ? present : this.#clients.add(this.#client, 0, clientHash)
    this.#counts[counted] = (present >= 0 ? (this.#counts[counted] ?? 0) : 0) + 1
    const row = this.table.add(words, at, hash)
    const times = this.options.timesOf(destination)
    const flow = new Flow(this, client, destination, this.isTaken(destination), row, counted, times)
    this.#flows[row] = flow
    flow.listed = true
    flow.before = this.#lastUnanswered
    if (this.#lastUnanswered === null) this.#firstUnanswered = flow
    else this.#lastUnanswered.behind = flow
    this.#lastUnanswered = flow
    return flow
  }

  /** The oldest flow without an answer goes. False: there is none that may. */
  #giveWay(): boolean {
    const oldest = this.#firstUnanswered
    const { host } = this.carrier
    if (oldest === null || this.carrier.now() - oldest.movedAt < giveWayMs) return false
    host.counters.flowsPushedOut++
    oldest.close('refused')
    return true
  }

  /** Of the address without its port. The table of clients is no one's to probe, so a seeded mix does. */
  #clientHash(words: Int32Array, at: number): number {
    let hash = this.#seed
    for (let i = 0; i < addressWords; i++) {
      const word = i === 0 ? (words[at] ?? 0) & familyMask : (words[at + i] ?? 0)
      this.#client[i] = word
      hash = Math.imul(hash ^ word, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash
  }

  // ---- the end of a flow

  /** Its first answer. */
  answered(flow: Flow): void {
    if (!flow.listed) return
    flow.listed = false
    if (flow.before === null) this.#firstUnanswered = flow.behind
    else flow.before.behind = flow.behind
    if (flow.behind === null) this.#lastUnanswered = flow.before
    else flow.behind.before = flow.before
    flow.before = null
    flow.behind = null
  }

  left(flow: Flow): void {
    this.answered(flow)
    this.table.remove(flow.row)
    this.#flows[flow.row] = null
    const count = (this.#counts[flow.clientRow] ?? 0) - 1
    this.#counts[flow.clientRow] = count
    if (count === 0) this.#clients.remove(flow.clientRow)
    this.forget(flow)
  }

  /** Flows that are running go on; there are no new ones. The sockets stay as long as any flow needs them. */
  close(): void {
    if (this.closed) return
    this.closed = true
    if (this.table.size === 0) this.closeSockets()
  }

  /** The engine closes: flows too. */
  shutDown(): void {
    this.closed = true
    for (const flow of this.#flows) flow?.close('shutdown')
    this.closeSockets()
  }
}

/** The family of a sockaddr is its first half word in memory; the other is the port. */
const familyMask = new Int32Array(new Uint8Array([0xff, 0xff, 0, 0]).buffer)[0] ?? 0
