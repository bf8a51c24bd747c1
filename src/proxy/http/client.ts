import type { CloseReason, Connection, ConnectionReader } from '../../../comm/connection.ts'
import { AccessFacts } from '../../acl/index.ts'
import { type ClientTls, type DurationMs, type ErrorCode, type MonoMs, type Outcome, ProxyError } from '../../base/index.ts'
import { type HeadLimits, parseRequestHead, type RequestHead } from '../../http/index.ts'
import type { Session, Speaker } from '../../service/session.ts'
import { clientTls } from './client-tls.ts'
import type { ClientTie } from './connection-auth.ts'
import { standInFor } from './bump/stand-in.ts'
import { isOther } from './bump/unknown-protocol.ts'
import { tellBroken } from './broken-head.ts'
import { CountHttp } from './counters.ts'
import { MeteredConnection } from './delay/metered.ts'
import { poolFor, type Taken } from './delay/pools.ts'
import type { HttpDeps } from './deps.ts'
import type { PacketState } from './packets.ts'
import type { HttpPolicy, HttpPort } from './policy.ts'
import { RequestContent } from './request-content.ts'
import { runSteps } from './steps.ts'
import { Transaction } from './transaction.ts'

// The client's side of a session: bytes in, requests out, one after the other.
//
//          ┌────────────── next request ◄──────────────┐
//   head ──┴─► transaction in work ──► response written ┴─► idle, or lingering and closed
//
// While a transaction is in work further bytes are its content, or a pipelined request that waits in `held`. It waits
// there too while responses wait in our memory: whoever asks for much and takes nothing is not asked what else he wants.

/** Bytes of pipelined requests that may wait; more stay in the kernel. */
const heldMax = 64 * 1024
/** After an answer that ends the connection, input is still read so that the answer is not lost in a reset. */
const lingerMs = 2000
const lingerBytesMax = 1024 * 1024

type Phase =
  | 'start' // nothing of a first request yet
  | 'head' // part of a head has come
  | 'busy' // a transaction is in work
  | 'idle' // between requests
  | 'lingering' // the last answer is written
  | 'gone' // closed, or handed over to a relay

export class HttpClient implements ConnectionReader, Speaker {
  readonly deps: HttpDeps
  readonly port: HttpPort
  readonly session: Session
  readonly connection: Connection
  readonly bornAt: MonoMs
  /** Null: it speaks in clear text. */
  readonly tls: ClientTls | null
  /** The Host text whose address was verified last on this connection, and until when. */
  verifiedHost = ''
  verifiedUntil = 0
  /** Its Ethernet address; '' = not known, or nobody wants it. */
  hardware = ''
  /** To a server connection on which it has proved who it is; null = none. */
  tie: ClientTie | null = null
  /** What its socket has been set to; null = nothing. */
  packets: PacketState | null = null
  #facts: AccessFacts | null = null
  #sessionId = ''
  readonly #metered: MeteredConnection | null
  #phase: Phase = 'start'
  #held: Buffer | null = null
  #heldBytes = 0
  #scanned = 0
  #deferred = false
  #consuming = false
  #windingUp = false
  /** Output waits in our memory; onDrain is owed. */
  #full = false
  /** What waited at the last deadline; -1 = nothing. */
  #waited = -1
  #discarded = 0
  #transaction: Transaction | null = null

  constructor(deps: HttpDeps, port: HttpPort, session: Session) {
    this.deps = deps
    this.port = port
    this.session = session
    this.#metered = metered(this)
    this.connection = this.#metered ?? session.client
    this.bornAt = deps.clock.mono()
    this.tls = port.inside === null ? clientTls(session.client) : port.inside.tls
    session.speaker = this
    if (this.policy.tellsHardware) this.#learnHardware()
    if (port.tuning !== null) session.client.tune?.(port.tuning)
    this.connection.setReader(this)
    this.connection.setTimeout(this.policy.timeouts.requestStart)
    CountHttp.connections++
  }

  #learnHardware(): void {
    const found = this.deps.accessClients?.hardwareOf(this.session.client.peer.address) ?? ''
    if (typeof found === 'string') this.hardware = found
    else void found.then(hardware => {
      this.hardware = hardware
    }, () => {}) // not known, then
  }

  get policy(): HttpPolicy {
    return this.deps.policy.current
  }

  /** Filled per request, reused for the connection: the client's address is converted once. */
  get facts(): AccessFacts {
    if (this.#facts === null) {
      this.#facts = new AccessFacts(this.session.client.peer, this.session.destination, this.session.portName)
      this.#facts.names = this.deps.accessNames
      this.#facts.clients = this.deps.accessClients
      const { mode, inside } = this.port
      this.#facts.encrypted = this.tls !== null
      this.#facts.introduced = (this.session.client.introduced ?? null) !== null
      this.#facts.inherit(inside?.user ?? '')
      this.#facts.credentials = inside !== null ? null : mode === 'forward' ? 'proxy-authorization' : mode === 'accel' ? 'authorization' : null
    }
    return this.#facts
  }

  /** The session's path, which is built when somebody asks; here each record of the connection does. */
  get sessionId(): string {
    if (this.#sessionId === '') this.#sessionId = this.session.id
    return this.#sessionId
  }

  /** The record of the request in work. */
  get current(): Outcome | null {
    return this.#transaction?.outcome ?? null
  }

  /** What is written from here on belongs to a response with these limits; null = the client's own. */
  meter(response: Taken | null): void {
    this.#metered?.meter(response)
  }

  get gone(): boolean {
    return this.#phase === 'gone'
  }

  /** A request that stands for the whole connection: its bytes are not ours to read. Once, before any have come. */
  connect(head: RequestHead): void {
    const transaction = new Transaction(this, head)
    this.#transaction = transaction
    this.#phase = 'busy'
    const { connect } = head
    transaction.target = { scheme: 'tunnel', host: connect?.host ?? '', port: connect?.port ?? 0, path: '' }
    transaction.outcome.uri = head.target
    runSteps(transaction, 'bump')
  }

  // ---- bytes from the client

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    switch (this.#phase) {
      case 'lingering':
        this.#discarded += end - start
        if (this.#discarded > lingerBytesMax) this.connection.close('done')
        return
      case 'gone':
        return
      case 'busy': {
        const rest = this.#transaction?.content?.feed(slab, start, end) ?? start
        if (rest < end) this.#hold(slab, rest, end)
        this.#contentMoved()
        return
      }
    }
    if (this.#held === null) {
      this.#consume(slab, start, end)
      return
    }
    this.#hold(slab, start, end)
    if (!this.#full) this.#consumeHeld()
  }

  /** As Connection.write. What has to wait makes the next request wait. */
  write(a: Buffer | string, b: Buffer | string | null = null, c: Buffer | string | null = null): boolean {
    if (this.connection.write(a, b, c)) return true
    this.#full = true
    return false
  }

  /** The request after this one, when its bytes are here already. Called when a transaction that had to wait is over. */
  next(transaction: Transaction): void {
    if (transaction !== this.#transaction) return
    this.#transaction = null
    if (this.#phase === 'gone') return
    if (!transaction.keepAlive) {
      if (this.#mayStillSend(transaction)) this.#linger()
      else this.#end()
      return
    }
    this.#phase = 'idle'
    if (this.#consuming) return // the loop in #consume goes on
    this.#goOn()
  }

  windUp(): void {
    this.#lastOne('shutdown')
  }

  #lastOne(why: CloseReason): void {
    this.#windingUp = true
    if (this.#phase === 'start' || this.#phase === 'idle') this.#leave(why)
    else if (this.#transaction !== null) this.#transaction.keepAlive = false
  }

  /** The connection belongs to a relay from here on; answers bytes that came early. */
  handOver(): Buffer | null {
    this.tie?.end()
    const early = this.#held === null ? null : Buffer.from(this.#held.subarray(0, this.#heldBytes))
    this.#drop()
    this.#phase = 'gone'
    this.#transaction = null
    this.session.speaker = null
    this.connection.setTimeout(0)
    return early
  }

  /** The server connection has gone, and what was proved on it: whoever is idle hears of it, others with their response. */
  tieLost(tie: ClientTie): void {
    if (tie !== this.tie) return
    this.tie = null
    tie.ended = true
    this.#lastOne('peer-closed')
  }

  /** A deadline on the present transaction, restarted by progress. */
  limit(delay: DurationMs): void {
    this.connection.setTimeout(delay)
  }

  // ---- the other events of a connection

  onEnd(): void {
    if (this.#phase === 'busy' && this.#transaction !== null) {
      const content = this.#transaction.content
      if (content !== null && !content.complete) {
        content.fail(new ProxyError('client-aborted', 'the client closed within its content', { side: 'client' }))
        this.#transaction.abort('client-aborted')
        // of another protocol all may have been said: its server is to hear that
      } else if (!this.policy.halfClosedClients && this.#transaction.bumping === null) this.#transaction.abort('client-aborted')
      return
    }
    if (this.#phase === 'head') this.#refuseBroken('bad-request', 'the connection ended within a request head')
    else if (this.#held !== null && this.policy.halfClosedClients) return // #rest ends it when all are answered
    else this.#leave(this.#phase === 'lingering' ? 'done' : 'peer-closed')
  }

  onDrain(): void {
    this.#full = false
    this.#waited = -1
    if (this.#phase === 'lingering') this.connection.setTimeout(lingerMs)
    else if (this.#transaction !== null) this.#transaction.drained()
    else if (this.#phase === 'idle') this.#goOn()
  }

  onTimeout(connection: Connection): void {
    switch (this.#phase) {
      case 'start':
      case 'idle':
      case 'lingering':
        if (this.#stillTakes()) connection.setTimeout(this.policy.timeouts.write)
        else connection.close(this.#phase === 'lingering' ? 'done' : 'timeout')
        return
      case 'head':
        this.#refuseBroken('request-timeout', 'the request head was not complete in time')
        return
      case 'busy':
        this.#transaction?.stalled()
        return
      case 'gone':
        return
    }
  }

  onClose(_connection: Connection, why: CloseReason): void {
    const transaction = this.#transaction
    this.#transaction = null
    this.#phase = 'gone'
    this.#drop()
    this.tie?.end()
    this.#facts?.link?.handshake?.end()
    if (transaction === null) return
    transaction.content?.fail(new ProxyError('client-aborted', why, { side: 'client' }))
    transaction.clientClosed(why)
  }

  // ---- reading requests

  #consume(bytes: Buffer, start: number, end: number): void {
    this.#consuming = true
    let at = start
    while (at < end && this.#transaction === null && !this.#full && this.#phase !== 'lingering' && this.#phase !== 'gone') {
      const answer = parseRequestHead(bytes, at, end, this.#limits(), at + this.#scanned)
      this.#scanned = 0
      if (answer.kind === 'more') {
        this.#waitForHead(bytes, at, end)
        this.#consuming = false
        return
      }
      if (answer.kind === 'bad') {
        if (this.#mayTunnel(bytes, at, end)) {
          this.#consuming = false
          this.#hold(bytes, at, end)
          this.connect(standInFor(this.session.destination, this.policy))
          return
        }
        this.#refuseBroken(answer.error, answer.why, bytes.subarray(at, end))
        break
      }
      at = this.#begin(new Transaction(this, answer.head), bytes, answer.end, end)
    }
    this.#consuming = false
    if (this.#phase === 'gone' || this.#phase === 'lingering') return
    if (at < end) this.#hold(bytes, at, end)
    if (this.#transaction === null) this.#rest()
  }

  /** Runs the steps of one request; answers where the bytes after its content begin. */
  #begin(transaction: Transaction, bytes: Buffer, at: number, end: number): number {
    this.#transaction = transaction
    this.#phase = 'busy'
    if (this.#windingUp) transaction.keepAlive = false
    const framing = transaction.head.framing
    let rest = at
    if (framing.kind !== 'none') {
      transaction.content = new RequestContent(
        this.connection,
        framing,
        this.policy.limits.requestContentMax,
        this.policy.limits.requestBufferMax,
        transaction.head.expectContinue,
      )
      transaction.limit(transaction.policy.timeouts.read)
      rest = transaction.content.feed(bytes, at, end)
    }
    runSteps(transaction, 'receive')
    return rest
  }

  #limits(): HeadLimits {
    const policy = this.policy
    return this.port.mode === 'forward' ? policy.limits.forwardHead : policy.limits.interceptedHead
  }

  #waitForHead(bytes: Buffer, at: number, end: number): void {
    if (this.#phase !== 'head') {
      this.#phase = 'head'
      this.connection.setTimeout(this.policy.timeouts.request)
    }
    this.#scanned = end - at
    this.#hold(bytes, at, end)
  }

  /** After a response: the requests that are here already, or rest. */
  #goOn(): void {
    if (this.#full || this.#held === null) {
      this.#rest()
      return
    }
    this.#consumeHeld()
    if (this.#deferred && this.#heldBytes <= heldMax) {
      this.#deferred = false
      this.connection.resumeRead()
    }
  }

  #consumeHeld(): void {
    const held = this.#held
    if (held === null) return
    const bytes = this.#heldBytes
    this.#held = null
    this.#heldBytes = 0
    this.#consume(held, 0, bytes)
  }

  /** Copies what must outlast the slab; grows by doubling, so that a head sent byte by byte costs no more than its size. */
  #hold(bytes: Buffer, start: number, end: number): void {
    const more = end - start
    const held = this.#held
    if (held === null) {
      this.#held = Buffer.from(bytes.subarray(start, end))
      this.#heldBytes = more
    } else {
      if (held.length - this.#heldBytes < more) {
        this.#held = Buffer.allocUnsafeSlow(Math.max(2 * held.length, this.#heldBytes + more))
        held.copy(this.#held, 0, 0, this.#heldBytes)
      }
      bytes.copy(this.#held ?? held, this.#heldBytes, start, end)
      this.#heldBytes += more
    }
    if (this.#phase !== 'head' && this.#heldBytes > heldMax && !this.#deferred) {
      this.#deferred = true
      this.connection.deferRead()
    }
  }

  #drop(): void {
    this.#held = null
    this.#heldBytes = 0
    this.#scanned = 0
  }

  #contentMoved(): void {
    const transaction = this.#transaction
    const content = transaction?.content
    if (transaction === null || content === null || content === undefined) return
    if (content.failure !== null) transaction.contentFailed(content.failure)
    else transaction.limit(transaction.policy.timeouts.read)
  }

  /** on_unsupported_protocol: an intercepted connection that has begun with something else than HTTP. */
  #mayTunnel(bytes: Buffer, at: number, end: number): boolean {
    const { policy, port } = this
    if (policy.unsupported.length === 0 || port.inside !== null || (port.mode !== 'intercept' && port.mode !== 'tproxy')) return false
    if (this.connection.bytesRead !== end - at || !isOther(bytes, at, end)) return false
    return policy.unsupported.find(line => line.when.holds(this.facts))?.value === 'tunnel'
  }

  // ---- ends

  /** Between requests: nothing is kept but the connection itself. */
  #rest(): void {
    this.#phase = 'idle'
    if (this.#facts !== null) forget(this.#facts)
    if (this.connection.ended && this.#held === null) {
      this.#leave('peer-closed')
      return
    }
    const lifetime = this.policy.timeouts.lifetime - (this.deps.clock.mono() - this.bornAt)
    if (this.#full) this.#waited = this.connection.pending
    if (lifetime <= 0) this.#linger()
    else this.connection.setTimeout(Math.min(this.#full ? this.policy.timeouts.write : this.policy.timeouts.idle, lifetime))
  }

  /** A request that could not be read is answered and ends the connection. */
  #refuseBroken(error: ErrorCode, why: string, bytes: Buffer | null = this.#held?.subarray(0, this.#heldBytes) ?? null): void {
    if (this.policy.tellsRefusedHeads) this.deps.notices.refusedHead(this.connection.peer, this.session.portName, why)
    const transaction = new Transaction(this, null)
    if (bytes !== null) tellBroken(transaction.outcome, bytes)
    transaction.failure = new ProxyError(error, why, { side: 'client' })
    this.#transaction = transaction
    this.#phase = 'busy'
    this.#drop()
    runSteps(transaction, 'refuse')
  }

  /** RFC 9112 9.6: who has said "close" sends nothing more, and need not be listened to until he has gone. */
  #mayStillSend(transaction: Transaction): boolean {
    return transaction.parsed === null || transaction.parsed.keepAlive || transaction.content !== null || this.#held !== null
  }

  #end(): void {
    this.#phase = 'lingering'
    this.#leave('done')
  }

  #linger(): void {
    this.#phase = 'lingering'
    this.#drop()
    if (this.connection.ended) {
      this.#leave('done')
      return
    }
    this.connection.shutdownWrite()
    if (this.#deferred) {
      this.#deferred = false
      this.connection.resumeRead()
    }
    this.connection.setTimeout(lingerMs)
  }

  /** Nothing more is expected of the client; what was answered is still his. */
  #leave(why: CloseReason): void {
    this.connection.setTimeout(this.policy.timeouts.write)
    this.connection.closeAfterFlush(why)
  }

  /** At a deadline: output waits, and not all of what waited at the last one. */
  #stillTakes(): boolean {
    const { pending } = this.connection
    const moves = pending > 0 && pending !== this.#waited
    this.#waited = pending
    return moves
  }
}

/** client_delay_pools, response_delay_pool, delay_client_reply_access: null = its output is not limited. */
const metered = ({ policy, port, deps, session, facts }: HttpClient): MeteredConnection | null => {
  const { delay } = policy
  if (delay === null || delay.client.length + delay.response.length + delay.replies.length === 0) return null
  const who = { address: session.client.peer.address, user: '', tag: '' }
  // of a bumped connection the bytes that are seen on the wire are counted, by whoever has bumped it
  const own = port.inside !== null ? null : (poolFor(delay.client, facts)?.take(who, deps.buckets) ?? null)
  return own === null && delay.response.length + delay.replies.length === 0 ? null : new MeteredConnection(session.client, deps.buckets, own)
}

/** What it knows of the last request are pieces of that request's head; they would keep all of it in memory. */
const forget = (facts: AccessFacts): void => {
  facts.method = ''
  facts.uri = ''
  facts.host = ''
  facts.urlPath = ''
  facts.fields = null
  facts.outcome = null
  facts.notes = null
  facts.forgetResponse()
}
