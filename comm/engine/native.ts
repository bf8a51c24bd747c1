import type net from 'node:net'
import { constants } from 'node:os'
import {
  type Addon,
  addressBytes,
  control,
  datagramSlotBytes,
  datagramSlots,
  getOption,
  type NativeEngine as NativeCalls,
  readable,
  record,
  setOption,
  writable,
} from '../../native/index.ts'
import { assert, type Endpoint, endpointText, type MonoMs, ms } from '../../src/base/index.ts'
import { type Share, type Shares, sharesOf } from '../relay-limits.ts'
import type { Connection } from '../connection.ts'
import type { DatagramCarrier, DatagramConnection, HeldAccount } from '../datagram/connection.ts'
import type { ReceiveOptions } from '../datagram/receive-options.ts'
import { type CommError, commError, errnoName } from '../error.ts'
import { sockaddrToEndpoint } from '../nat-lookup/index.ts'
import { portAt } from '../nat-lookup/sockaddr.ts'
import type {
  Attempt,
  ConnectDone,
  ConnectOptions,
  Engine,
  EngineHost,
  FdEntry,
  Listener,
  ListenOptions,
  OpenOptions,
  Powers,
  Relay,
  RelayOptions,
  SocketDone,
} from './engine.ts'
import { HandedOverSockets } from './handed-over.ts'
import { NativeConnection } from './native-connection.ts'
import { NativeDescriptors } from './native-descriptors.ts'
import { ConnectionDial, type Dial, SocketDial } from './native-dial.ts'
import { deviceLookup, NativeListener } from './native-listener.ts'
import { NativeRelay } from './native-relay.ts'
import { localScratch, NativePeer } from './native-peer.ts'
import { NativeReceiver } from './native-receiver.ts'
import {
  asksOf, attemptedConnect, attemptedListen, isWildcard, openListener, openPeer, openPlain, socketFailure, startDial,
  takeListener,
} from './native-sockets.ts'
import { type Address, Output, type Source } from './output.ts'

// The engine over the addon.
//
//   addon: epoll, accept4, recv into `slab` ──► onBatch(records) ──► readers ──► write ──► `output`
//                                                                                            │
//   addon: sendmsg per connection, close(2) of what was closed ◄──── when the turn is over ──┘
//
// Outside a turn (a timer, undici) the same is done by one microtask: `schedule`. Descriptors are closed last, so that
// no number is used again while records or commands of the turn still name it.

const slabBytes = 1024 * 1024
const recordsMax = 2048
/** The clock stands still for no more than so many events. */
const heldRecords = 64

const powers: Powers = { transparent: true, forge: true, natLookup: true, marks: true, splice: true }

export const createNativeEngine = (addon: Addon, host: EngineHost): Engine => new NativeEngine(addon, host)

export class NativeEngine implements Engine, DatagramCarrier {
  readonly name = 'native'
  readonly powers = powers
  readonly host: EngineHost
  readonly addon: Addon
  readonly native: NativeCalls
  readonly output: Output
  readonly slab = Buffer.allocUnsafeSlow(slabBytes)
  readonly descriptors: NativeDescriptors
  readonly #records = new Int32Array(4 * recordsMax)
  readonly #control = new Int32Array(control.size)
  /** By descriptor. */
  readonly connections: (NativeConnection | null)[] = []
  readonly #listeners = new Map<number, NativeListener>()
  readonly #dials = new Map<number, Dial>()
  /** By the addon's number. */
  readonly #relays: (NativeRelay | null)[] = []
  /** Who reads a datagram socket, by descriptor. */
  readonly #datagrams: (NativeReceiver | NativePeer | null)[] = []
  readonly #receivers = new Set<NativeReceiver>()
  readonly #held: HeldAccount = { bytes: 0, bytesMax: 16 * 1024 * 1024 }
  /** Peers that share their port with others, by both ends. */
  readonly #sharing = new Map<string, NativePeer>()
  /** With the first datagram socket. */
  #datagramSlab: Buffer | null = null
  datagramWords = new Int32Array(0)
  #turnAt: MonoMs = 0 as MonoMs
  #hasBuckets = false
  readonly #handedOver = new HandedOverSockets()

  // what is to be told to owners between the engine's own steps
  #ended: (NativeConnection | DatagramConnection)[] = []
  #waking: (NativeConnection | DatagramConnection)[] = []
  #flushing: { flushed(): void }[] = []
  /** Connected in this turn: read from its end on. */
  #fresh: NativeConnection[] = []
  /** Datagram sockets to be closed after the next flush. */
  #dropping: number[] = []
  #calls: (() => void)[] = []
  #scheduled = false
  #closed = false

  constructor(addon: Addon, host: EngineHost) {
    this.addon = addon
    this.host = host
    this.output = new Output(this.#control)
    this.descriptors = new NativeDescriptors(this)
    const made = addon.createEngine(
      this.slab,
      this.output.slab,
      this.#records,
      this.output.commands,
      this.output.results,
      this.#control,
      this.output.references,
      count => this.#onBatch(count),
      count => this.#onFlushed(count),
    )
    if (typeof made === 'number') {
      throw commError(errnoName(-made), 'epoll_create1', { doing: 'open' })
    }
    this.native = made
    this.#allowAccepts()
  }

  // ---- the turn

  #onBatch(count: number): void {
    const { clock, counters } = this.host
    counters.batches++
    const lent = this.#control[control.lent] as number // within
    if (lent !== 0) this.#countLent(lent)
    clock.hold()
    try {
      this.#turnAt = clock.mono()
      this.#allowAccepts()
      this.#hearRecords(count)
    } finally {
      clock.release() // whatever happens: a clock that stood still for good would end every deadline
    }
    this.#afterwards()
    this.#allowAccepts()
  }

  #countLent(bytes: number): void {
    this.host.counters.bytesLent += bytes
    this.#control[control.lent] = 0
  }

  #hearRecords(count: number): void {
    const { clock } = this.host
    for (let i = 0; i < count; ) {
      // one try for many records: it is entered again only after something was thrown
      try {
        for (; i < count; i++) {
          if (i % heldRecords === heldRecords - 1) clock.hold()
          this.#onRecord(i)
          if (this.#ended.length > 0) this.#tellClosed()
        }
      } catch (error) {
        this.#recordFailed(i++, error)
      }
    }
  }

  #onRecord(i: number): void {
    const records = this.#records
    const fd = records[4 * i + 1] as number // within: the addon counted them
    const a = records[4 * i + 2] as number
    const b = records[4 * i + 3] as number
    switch (records[4 * i]) {
      case record.data: {
        const connection = this.connections[fd]
        if (connection === null || connection === undefined) return
        this.host.counters.bytesRead += b - a
        connection.received(this.slab, a, b)
        return
      }
      case record.end:
        this.connections[fd]?.receivedEnd()
        return
      case record.error:
        this.connections[fd]?.failed(a, 'read')
        return
      case record.writable:
        this.#onWritable(fd)
        return
      case record.accepted:
        this.#onAccepted(fd, a, b)
        return
      case record.acceptError:
        this.#onAcceptError(a)
        return
      case record.connected:
        this.#onConnected(fd, a, b)
        return
      case record.ready:
        this.descriptors.ready(fd, a)
        return
      case record.relayed:
        this.#relays[fd]?.finished(a)
        return
      case record.datagram: {
        const reader = this.#datagrams[fd]
        if (reader instanceof NativePeer) reader.arrived(a, b)
        else reader?.arrived(fd, a, b)
        return
      }
      case record.datagramError: {
        const reader = this.#datagrams[fd]
        if (reader instanceof NativePeer) reader.failed(a)
        return
      }
      case record.drained: {
        const reader = this.#datagrams[fd]
        if (reader instanceof NativeReceiver) reader.drained()
        return
      }
    }
  }

  #onWritable(fd: number): void {
    const connection = this.connections[fd]
    if (connection === null || connection === undefined) return
    const hadRest = connection.rest !== null
    if (connection.sendRest()) connection.drained()
    // nobody has offered more of a file: the kernel would go on telling
    if (!hadRest && !connection.awaitsRoom) this.ask(connection)
  }

  #recordFailed(i: number, error: unknown): void {
    const fd = this.#records[4 * i + 1] ?? -1
    const kind = this.#records[4 * i]
    const connection = this.connections[fd]
    this.host.counters.handlerFailures++
    this.host.failed(error, connection?.note ?? 'comm')
    if (kind !== record.relayed) connection?.resetClose('handler-failed')
  }

  /** Promises of the turn have run, everything listed was sent: what did not go whole, and what waits for that. */
  #onFlushed(failed: number): void {
    this.#readResults(failed)
    this.#closeDropped()
    this.#tellFlushed()
    this.#readFresh()
    this.#afterwards()
    this.#allowAccepts()
  }

  #readResults(failed: number): void {
    const { results } = this.output
    for (let i = 0; i < failed; i++) {
      if (this.#datagrams[results[4 * i] as number] && this.#readDatagramResult(i)) continue
      const connection = this.connections[results[4 * i] as number] // within: `failed` of them were written
      if (connection === null || connection === undefined) continue
      const sent = results[4 * i + 1] as number
      if (sent < 0) connection.failed(-sent, 'write')
      else {
        this.host.counters.partialWrites++
        connection.leftOver(results[4 * i + 2] as number, results[4 * i + 3] as number, sent)
      }
    }
  }

  /** False: the descriptor has become a connection's. */
  #readDatagramResult(i: number): boolean {
    const { results } = this.output
    const reader = this.#datagrams[results[4 * i] as number]
    this.host.counters.datagramsDropped += results[4 * i + 3] as number
    if (reader instanceof NativePeer) reader.failed(-(results[4 * i + 1] as number))
    return true
  }

  #readFresh(): void {
    if (this.#fresh.length === 0) return
    const list = this.#fresh
    this.#fresh = []
    for (const connection of list) connection.askForInput()
  }

  #tellFlushed(): void {
    if (this.#flushing.length === 0) return
    const list = this.#flushing
    this.#flushing = []
    for (const waiting of list) waiting.flushed()
  }

  /** Tells owners what happened to their connections while others were served. Ends with nothing left to tell. */
  #afterwards(): void {
    while (this.#ended.length > 0 || this.#waking.length > 0 || this.#calls.length > 0) {
      if (this.#ended.length > 0) this.#tellClosed()
      const waking = this.#waking
      if (waking.length > 0) {
        this.#waking = []
        for (const connection of waking) this.guarded(connection, () => connection.awake())
      }
      const calls = this.#calls
      if (calls.length > 0) {
        this.#calls = []
        for (const call of calls) this.guarded(null, call)
      }
    }
    this.#control[control.wantsFlushed] = this.#flushing.length > 0 || this.#dropping.length > 0 || this.#fresh.length > 0 ? 1 : 0
  }

  #tellClosed(): void {
    const list = this.#ended
    this.#ended = []
    for (const connection of list) connection.tellClosed(error => this.#handlerFailed(error, connection.note))
  }

  #handlerFailed(error: unknown, note: string): void {
    this.host.counters.handlerFailures++
    this.host.failed(error, note)
  }

  /** Calls an owner. What it throws is reported once and costs it its connection. */
  guarded(connection: Connection | null, call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#handlerFailed(error, connection?.note ?? 'comm')
      connection?.resetClose('handler-failed')
    }
  }

  // ---- outside a turn

  /** Sees to it that what is listed is sent: by the turn, or by a microtask. */
  schedule(): void {
    if (this.#scheduled || this.#control[control.inTurn] !== 0) return
    this.#scheduled = true
    settled.then(this.#settle)
  }

  readonly #settle = (): void => {
    if (this.#control[control.inTurn] === 0) this.settleNow()
    this.#scheduled = false
  }

  settleNow(): void {
    if (this.#closed) return this.#afterwards()
    this.#scheduled = true // no microtask for what is done right here
    try {
      // two rounds as a rule; a hundred is a callback that writes in a circle, and the loop must go on
      for (let round = 0; round < 100; round++) {
        this.#onFlushed(this.output.waiting ? this.native.flush() : 0)
        if (!this.output.waiting && this.#control[control.wantsFlushed] === 0) break
      }
      this.native.closeDoomed()
    } finally {
      this.#scheduled = false // whatever happens: else nothing would be sent any more outside of a turn
    }
    if (this.output.waiting) setImmediate(() => this.settleNow())
  }

  /** The list is full, or one connection has written very much: it goes now. Owners are told later. */
  flushInTurn(): void {
    this.#readResults(this.native.flush())
  }

  later(call: () => void): void {
    this.#calls.push(call)
    this.#wantFlushed()
  }

  readLater(connection: NativeConnection): void {
    connection.notReadYet()
    this.#fresh.push(connection)
    this.#wantFlushed()
  }

  wake(connection: NativeConnection | DatagramConnection): void {
    this.#waking.push(connection)
    this.#wantFlushed()
  }

  /** `flushed` is called when what is listed now has been offered to the kernel. */
  afterFlush(waiting: { flushed(): void }): void {
    this.#flushing.push(waiting)
    this.#wantFlushed()
  }

  #wantFlushed(): void {
    this.#control[control.wantsFlushed] = 1
    this.schedule()
  }

  // ---- what connections ask

  isSlab(part: Buffer): boolean {
    return part.buffer === this.slab.buffer
  }

  isOwnMemory(part: Buffer): boolean {
    return part.buffer === this.slab.buffer || part.buffer === this.output.slab.buffer
  }

  isReset(errno: number): boolean {
    return errno === ECONNRESET || errno === EPIPE
  }

  /** Tells the kernel what the connection waits for. */
  ask(connection: NativeConnection): void {
    if (connection.fd < 0) return
    const mask = (connection.wantsInput ? readable : 0) | (connection.awaitsRoom ? writable : 0)
    this.native.interest(connection.fd, mask)
  }

  setDeadline(connection: NativeConnection | Dial | NativeRelay, delayMs: number): void {
    if (delayMs > 0) this.host.deadlines.set(connection, ms(delayMs))
    else this.host.deadlines.clear(connection)
  }

  timedOut(connection: NativeConnection): void {
    this.host.counters.timeouts++
    if (connection.reader === null) connection.close('timeout')
    else this.guarded(connection, () => connection.reader?.onTimeout(connection))
  }

  // ---- datagrams

  get datagramSlab(): Buffer {
    if (this.#datagramSlab !== null) return this.#datagramSlab
    const made = Buffer.allocUnsafeSlow(datagramSlots * datagramSlotBytes)
    const failed = this.native.useDatagrams(made)
    if (failed < 0) throw commError(errnoName(-failed), 'getrandom', { doing: 'open' })
    this.#datagramSlab = made
    this.datagramWords = new Int32Array(made.buffer, made.byteOffset, made.length >> 2)
    return made
  }

  /** Of this turn, or now. */
  now(): MonoMs {
    return this.#control[control.inTurn] === 0 ? this.host.clock.mono() : this.#turnAt
  }

  receive(options: ReceiveOptions, onFlow: (connection: Connection) => void): Listener {
    assert(this.datagramSlab.length > 0, 'there is a slab before there are sockets')
    const receiver = new NativeReceiver(this, options, onFlow)
    this.#receivers.add(receiver)
    return receiver
  }

  receiverGone(receiver: NativeReceiver): void {
    this.#receivers.delete(receiver)
  }

  receiveBufferBytes(fd: number): number {
    return getOption(this.addon, fd, SOL_SOCKET, SO_RCVBUF)
  }

  keepAlive(fd: number): void {
    setOption(this.addon, fd, SOL_SOCKET, SO_KEEPALIVE, 1)
  }

  placeReceiver(fd: number, reader: NativeReceiver | NativePeer): void {
    while (this.#datagrams.length <= fd) this.#datagrams.push(null) // stays an array without holes
    this.#datagrams[fd] = reader
  }

  /** Closed when what is listed for it has been sent; nothing is read from it any more. */
  dropReceiver(fd: number): void {
    this.#datagrams[fd] = null
    this.#dropping.push(fd)
    this.#wantFlushed()
  }

  #closeDropped(): void {
    if (this.#dropping.length === 0) return
    const list = this.#dropping
    this.#dropping = []
    for (const fd of list) this.native.doom(fd, 0)
    this.host.budget.closed(list.length)
  }

  #connectPeer(options: ConnectOptions, done: ConnectDone): Attempt {
    assert(this.datagramSlab.length > 0, 'there is a slab before there are sockets')
    let over = false
    this.later(() => {
      if (over) return
      over = true
      const answer = this.#openPeer(options)
      this.guarded(answer instanceof NativePeer ? answer : null, () =>
        answer instanceof NativePeer ? done(null, answer) : done(answer, null),
      )
    })
    return {
      cancel() {
        over = true
      },
    }
  }

  #openPeer(options: ConnectOptions): NativePeer | CommError {
    const { target, source } = options
    if (this.#closed) return commError('ECANCELED', 'connect', attemptedConnect(options))
    const fits = source === undefined || source.family === target.family
    const fd = fits ? openPeer(this.native, options, localScratch) : 0
    if (!fits || fd < 0) {
      this.host.counters.connectFailures++
      return fits ? socketFailure(fd, attemptedConnect(options)) : commError('EAFNOSUPPORT', 'bind', attemptedConnect(options))
    }
    const peer = new NativePeer(this, this.#held, fd, options, localScratch)
    this.host.budget.opened()
    this.placeReceiver(fd, peer)
    if (peer.sharesPort) {
      const ends = bothEnds(peer.local, peer.peer)
      // the kernel allows it (SO_REUSEADDR), and would give all answers to one of the two
      if (this.#sharing.has(ends)) {
        this.dropReceiver(fd)
        return commError('EADDRINUSE', 'connect', attemptedConnect(options))
      }
      this.#sharing.set(ends, peer)
    }
    return peer
  }

  dropPeer(peer: NativePeer): void {
    if (peer.sharesPort) this.#sharing.delete(bothEnds(peer.local, peer.peer))
    this.dropReceiver(peer.fd)
  }

  /** A datagram that came to one peer while it was another's (native-peer.ts). */
  stray(peer: NativePeer, sender: Endpoint, start: number, end: number): void {
    const owner = this.#sharing.get(bothEnds(peer.local, sender))
    if (owner === undefined) this.host.counters.datagramsDropped++
    else owner.received(this.datagramSlab, start, end)
  }

  sendDatagram(
    fd: number,
    to: Address | null,
    from: Source | null,
    a: Buffer | string,
    b: Buffer | string | null,
    c: Buffer | string | null,
  ): void {
    const { output } = this
    if (typeof a !== 'string' && b === null && c === null && a.buffer === this.#datagramSlab?.buffer) {
      // as it lies there, for the slab is read into again only after the flush
      if (!output.passDatagram(fd, to, from, a.byteOffset, a.length)) {
        this.flushInTurn()
        output.passDatagram(fd, to, from, a.byteOffset, a.length)
      }
      return this.schedule()
    }
    const length = a.length + (b === null ? 0 : b.length) + (c === null ? 0 : c.length)
    if (length > datagramMax) {
      this.host.counters.datagramsDropped++
      return
    }
    if (!output.addDatagram(fd, to, from, a, b, c, length)) {
      this.flushInTurn()
      output.addDatagram(fd, to, from, a, b, c, length)
    }
    this.schedule()
  }

  /** From datagram connections: what is to be told of them. */
  ended(connection: DatagramConnection): void {
    this.#ended.push(connection)
    this.#wantFlushed()
  }

  end(connection: NativeConnection, reset: boolean): void {
    const { fd } = connection
    this.connections[fd] = null
    this.host.deadlines.forget(connection)
    this.native.doom(fd, reset ? 1 : 0)
    this.host.budget.closed()
    this.host.counters.connectionsClosed++
    this.#ended.push(connection)
    this.#wantFlushed()
  }

  // ---- listening and accepting

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener {
    const { endpoint: asked } = options
    const asks = asksOf(options)
    const fd = options.handedIn === undefined ? openListener(this.native, options, asks) : takeListener(this.native, options, options.handedIn, asks)
    if (fd < 0) throw socketFailure(fd, attemptedListen(options))
    if (options.deferSeconds !== undefined) setOption(this.addon, fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options.deferSeconds)
    const endpoint = this.localOf(fd) ?? asked
    const listener = new NativeListener(this, fd, endpoint, options, asks === 0, deviceLookup(this.addon, options, this.host.ownEndpoints.isOwn), onConnection)
    this.#listeners.set(fd, listener)
    this.host.ownEndpoints.add(endpoint)
    this.host.budget.opened()
    this.host.budget.add(listener)
    return listener
  }

  closeListener(listener: NativeListener): void {
    this.#listeners.delete(listener.fd)
    this.host.budget.remove(listener)
    this.host.ownEndpoints.remove(listener.endpoint)
    this.native.doom(listener.fd, 0)
    this.host.budget.closed()
    this.#wantFlushed()
  }

  #allowAccepts(): void {
    this.#control[control.acceptable] = this.host.budget.acceptable
  }

  #onAccepted(fd: number, listenerFd: number, at: number): void {
    const listener = this.#listeners.get(listenerFd)
    if (listener === undefined || this.#closed) {
      this.native.doom(fd, 0) // its listener was closed earlier in this turn
      return
    }
    this.host.counters.accepted++
    this.host.budget.opened()
    listener.accepted(fd, this.slab, at)
  }

  /** Errno 0: the addon's share of the budget was used up; it has a new one since this batch began. */
  #onAcceptError(errno: number): void {
    if (errno !== 0) this.host.budget.acceptFailed(errnoName(errno))
  }

  // ---- connecting

  connect(options: ConnectOptions, timeoutMs: number, done: ConnectDone): Attempt {
    if (options.protocol === 'udp') {
      this.host.counters.connects++
      return this.#connectPeer(options, done)
    }
    return this.#dial(new ConnectionDial(this, options, done), options, timeoutMs)
  }

  connectSocket(options: ConnectOptions, timeoutMs: number, done: SocketDone): Attempt {
    return this.#dial(new SocketDial(this, options, done), options, timeoutMs)
  }

  #dial(dial: Dial, options: ConnectOptions, timeoutMs: number): Attempt {
    this.host.counters.connects++
    const { target, source } = options
    if (source !== undefined && source.family !== target.family) {
      dial.failLater(commError('EAFNOSUPPORT', 'bind', { doing: 'connect', endpoint: target, source }))
      return dial
    }
    const fd = startDial(this.native, options)
    if (fd < 0) {
      dial.failLater(socketFailure(fd, attemptedConnect(options)))
      return dial
    }
    dial.fd = fd
    this.#dials.set(fd, dial)
    this.host.budget.opened()
    this.setDeadline(dial, timeoutMs)
    return dial
  }

  #onConnected(fd: number, errno: number, at: number): void {
    const dial = this.#dials.get(fd)
    if (dial === undefined) return // given up earlier in this turn
    const local = errno === 0 ? localEnd(dial.options, this.slab, at) : null
    if (local === null) {
      this.forgetDial(dial)
      dial.fail(commError(errnoName(errno), 'connect', attemptedConnect(dial.options)))
      return
    }
    this.#dials.delete(fd)
    this.host.deadlines.forget(dial)
    dial.connected(local)
  }

  /** A dial that came to nothing: its descriptor is closed. */
  forgetDial(dial: Dial): void {
    if (dial.fd < 0) return
    this.#dials.delete(dial.fd)
    this.host.deadlines.forget(dial)
    this.native.doom(dial.fd, 1)
    this.host.budget.closed()
    dial.fd = -1
    this.#wantFlushed()
  }

  openPlain(options: OpenOptions): number {
    const fd = openPlain(this.native, options)
    if (fd < 0) throw socketFailure(fd, { doing: 'open', endpoint: options.endpoint })
    this.host.budget.opened()
    return fd
  }

  // ---- connections

  /** In seconds: a small integer, for the fd table. */
  seconds(): number {
    return Math.floor(this.host.clock.mono() / 1000)
  }

  /** The same, of what begins in this turn: the clock has been asked. */
  turnSeconds(): number {
    return Math.floor(this.now() / 1000)
  }

  localOf(fd: number): Endpoint | null {
    const address = Buffer.alloc(addressBytes)
    return this.addon.getsockname(fd, address) < 0 ? null : sockaddrToEndpoint(address, 0)
  }

  /** Node has the descriptor now; it counts until Node closes it. */
  handOver(fd: number, socket: net.Socket, options: ConnectOptions, local: Endpoint): void {
    this.#handedOver.add(socket, { fd, options, local, openedAt: this.seconds() }, () => this.host.budget.closed())
  }

  place(connection: NativeConnection): void {
    const { fd } = connection
    while (this.connections.length <= fd) this.connections.push(null) // stays an array without holes
    this.connections[fd] = connection
  }

  // ---- relays

  relay(a: Connection, b: Connection, options: RelayOptions): Relay | null {
    if (!(a instanceof NativeConnection && b instanceof NativeConnection)) return null
    if (a.engine !== this || b.engine !== this) return null
    assert(a !== b, 'a connection is not relayed to itself')
    const shares = sharesOf(options)
    // what has more of them is copied, which at its rates is no work
    if (shares.some(({ length }) => length > limitsPerWay)) return null
    return new NativeRelay(this, a, b, options, shares)
  }

  /** As the addon takes them; written anew for every call. */
  placesOf([ofA, ofB]: Shares): Int32Array {
    if (ofA.length + ofB.length > 0 && !this.#hasBuckets) {
      this.#hasBuckets = true
      this.native.relayBuckets(this.host.bandwidths.tokens)
      this.host.bandwidths.onFilled(() => this.native.relayResume())
    }
    for (let i = 0; i < limitsPerWay; i++) {
      places[i] = placeOf(ofA[i])
      places[limitsPerWay + i] = placeOf(ofB[i])
    }
    return places
  }

  relayStarted(id: number, relay: NativeRelay): void {
    while (this.#relays.length <= id) this.#relays.push(null) // stays an array without holes
    this.#relays[id] = relay
  }

  relayForgotten(id: number): void {
    this.#relays[id] = null
  }

  // ---- all of it

  fdTable(): readonly FdEntry[] {
    const table: FdEntry[] = []
    for (const listener of this.#listeners.values()) table.push(listener.entry())
    for (const dial of this.#dials.values()) table.push(dial.entry())
    const now = this.seconds()
    for (const receiver of this.#receivers) table.push(...receiver.entries())
    for (const reader of this.#datagrams) if (reader instanceof NativePeer) table.push(reader.entry())
    for (const connection of this.connections) if (connection !== null) table.push(this.#entry(connection, now))
    table.push(...this.#handedOver.entries(now), ...this.descriptors.entries())
    return table.sort((x, y) => x.fd - y.fd)
  }

  #entry(connection: NativeConnection, now: number): FdEntry {
    const relay = connection.reader instanceof NativeRelay ? connection.reader : null
    return {
      fd: connection.fd,
      kind: relay === null ? 'connection' : 'relay',
      peer: connection.peer,
      local: connection.local,
      note: connection.note,
      bytesRead: connection.bytesRead + (relay?.readFrom(connection) ?? 0),
      bytesWritten: connection.bytesWritten + (relay?.writtenTo(connection) ?? 0),
      ageMs: (now - connection.openedAt) * 1000,
      deadlineMs: this.deadlineMs(connection.deadlineAt),
    }
  }

  deadlineMs(at: number): number {
    return at === 0 ? 0 : Math.max(1, Math.ceil(at - this.host.clock.mono()))
  }

  close(): void {
    if (this.#closed) return
    for (const listener of this.#listeners.values()) listener.close()
    for (const dial of this.#dials.values()) dial.giveUp()
    for (const relay of this.#relays) relay?.stop()
    for (const connection of this.connections) connection?.close('shutdown')
    for (const receiver of this.#receivers) receiver.shutDown()
    for (const reader of this.#datagrams) if (reader instanceof NativePeer) reader.close('shutdown')
    this.descriptors.closeAll()
    this.#handedOver.destroyAll()
    if (this.#control[control.inTurn] === 0) this.settleNow()
    else this.#onFlushed(this.native.flush())
    this.#closed = true
    this.native.close()
  }
}

const { ECONNRESET, EPIPE } = constants.errno
/** As many as the addon asks (kLimitsPerWay). */
const limitsPerWay = 4
const places = new Int32Array(2 * limitsPerWay)
const placeOf = (share: Share | undefined): number => (share === undefined ? -1 : share.of.tokensAt(share.way))
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_KEEPALIVE = 9
const IPPROTO_TCP = 6
const TCP_DEFER_ACCEPT = 9
/** What UDP over IPv6 can carry; IPv4 carries 20 bytes less. */
const datagramMax = 65_527

/** Our end of a connection as the addon found it at `at`. Where we chose the address no text is made from bytes. */
const localEnd = ({ source }: ConnectOptions, slab: Buffer, at: number): Endpoint | null =>
  source === undefined || isWildcard(source)
    ? sockaddrToEndpoint(slab, at)
    : { family: source.family, address: source.address, port: portAt(slab, at + 2) }

const bothEnds = (local: Endpoint, peer: Endpoint): string => `${endpointText(local)} ${endpointText(peer)}`
const settled = Promise.resolve()
