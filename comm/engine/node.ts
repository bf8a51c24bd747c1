import type net from 'node:net'
import { type Endpoint, endpointText, type MonoMs } from '../../src/base/index.ts'
import type { Connection } from '../connection.ts'
import type { ReceiveOptions } from '../datagram/receive-options.ts'
import { CommError, commError } from '../error.ts'
import { decideGetsockname, direct } from '../nat-lookup/index.ts'
import {
  type Attempt,
  COMM_TPROXY_LCL,
  COMM_TPROXY_REM,
  type ConnectDone,
  type ConnectOptions,
  type Engine,
  type EngineHost,
  type FdEntry,
  type Listener,
  type ListenOptions,
  type Powers,
  type Relay,
  type SocketDone,
} from './engine.ts'
import { type AttemptPlan, NodeAttempt } from './node-attempt.ts'
import { NodeConnection } from './node-connection.ts'
import { NodeDatagrams } from './node-datagrams.ts'
import { peerOf, localOf } from './node-ends.ts'
import { NodeListener } from './node-listener.ts'

// The engine over plain net, where the addon is absent. Everything a proxy needs but the kernel's special powers.
//
// One of them can be lent by the routing table (AnyIP): where `ip route ... local 0.0.0.0/0 dev lo` makes every address
// an own one, a plain wildcard listener accepts for foreign addresses and a plain bind takes one as its source (IPv6
// binds only with net.ipv6.ip_nonlocal_bind=1). getsockname tells the original destination then, as it does for tproxy.

export interface NodeEngineOptions {
  /** The routing table is set up for AnyIP: tproxy flags are allowed and mean a plain listen and bind. */
  readonly anyIp?: boolean
}

export const createNodeEngine = (host: EngineHost, options: NodeEngineOptions = {}): Engine =>
  new NodeEngine(host, options.anyIp ?? false)

class NodeEngine implements Engine {
  readonly name = 'node'
  readonly powers: Powers
  readonly descriptors = null
  readonly #host: EngineHost
  readonly #listeners = new Set<NodeListener>()
  readonly #attempts = new Set<NodeAttempt>()
  readonly #connections = new Set<NodeConnection>()
  readonly #sockets = new Set<HandedOver>()
  readonly #datagrams: NodeDatagrams

  constructor(host: EngineHost, anyIp: boolean) {
    this.#host = host
    this.#datagrams = new NodeDatagrams(host)
    this.powers = { transparent: anyIp, forge: anyIp, natLookup: false, marks: false, splice: false }
  }

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener {
    const missing = this.#missingForListen(options)
    if (missing !== null) throw unsupported('listen on', options.endpoint, missing)
    const listener: NodeListener = new NodeListener(this.#host, options, {
      arrived: socket => this.#accept(socket, options, onConnection),
      gone: () => {
        this.#listeners.delete(listener)
        this.#host.ownEndpoints.remove(listener.endpoint)
      },
    })
    this.#listeners.add(listener)
    this.#host.ownEndpoints.add(listener.endpoint)
    return listener
  }

  receive(options: ReceiveOptions, onFlow: (connection: Connection) => void): Listener {
    const { endpoint, flags, mark, device } = options
    // AnyIP does not help: dgram does not tell where a datagram had been going
    const missing = (flags & COMM_TPROXY_LCL) !== 0 ? 'tproxy receivers' : missingMarks(mark, undefined, device)
    if (missing !== null) throw unsupported('receive on', endpoint, missing)
    return this.#datagrams.receive(options, onFlow)
  }

  connect(options: ConnectOptions, timeoutMs: number, done: ConnectDone): Attempt {
    if (options.protocol === 'udp') return this.#datagrams.connect(options, this.#refusal(options), done)
    return this.#attempt(options, timeoutMs, true, (error, socket, local) => {
      const ends = local === null ? null : { peer: options.target, local, original: direct }
      const connection = socket === null || ends === null ? null : this.#carry(socket, ends, options.note)
      this.#guarded(() => done(error, connection), options.note, () => connection?.resetClose('handler-failed'))
    })
  }

  connectSocket(options: ConnectOptions, timeoutMs: number, done: SocketDone): Attempt {
    return this.#attempt(options, timeoutMs, false, (error, socket, local) => {
      if (socket !== null && local !== null) this.#handOver(socket, options, local)
      this.#guarded(() => done(error, socket, local), options.note, () => socket?.destroy())
    })
  }

  /** Bytes of a net.Socket pass through our memory in any case. */
  relay(): Relay | null {
    return null
  }

  fdTable(): readonly FdEntry[] {
    const now = this.#host.clock.mono()
    const table: FdEntry[] = []
    for (const { fd, endpoint, note, bornAt } of this.#listeners) {
      table.push({ ...blank, fd, kind: 'listener', local: endpoint, note, ageMs: now - bornAt })
    }
    for (const { options, bornAt, deadlineAt } of this.#attempts) {
      const { target, source, note } = options
      const ends = { peer: target, local: source ?? null }
      const deadlineMs = until(deadlineAt, now)
      table.push({ ...blank, ...ends, kind: 'connecting', note, ageMs: now - bornAt, deadlineMs })
    }
    for (const connection of this.#connections) {
      const { fd, peer, local, note, bytesRead, bytesWritten, bornAt } = connection
      const times = { ageMs: now - bornAt, deadlineMs: until(connection.deadlineAt, now) }
      table.push({ fd, kind: 'connection', peer, local, note, bytesRead, bytesWritten, ...times })
    }
    for (const receiver of this.#datagrams.receivers) table.push(...receiver.entries(now))
    for (const peer of this.#datagrams.peers) table.push(peer.entry(now))
    for (const { socket, peer, local, note, bornAt } of this.#sockets) {
      const { bytesRead, bytesWritten } = socket
      table.push({ ...blank, kind: 'socket', peer, local, note, bytesRead, bytesWritten, ageMs: now - bornAt })
    }
    return table
  }

  close(): void {
    for (const listener of this.#listeners) listener.close()
    for (const attempt of this.#attempts) attempt.giveUp()
    for (const connection of this.#connections) connection.close('shutdown')
    this.#datagrams.close()
  }

  #accept(socket: net.Socket, options: ListenOptions, onConnection: (connection: Connection) => void): void {
    const peer = peerOf(socket)
    const local = localOf(socket)
    if (peer === null || local === null) {
      socket.destroy() // the client has left before we came
      return
    }
    this.#host.counters.accepted++
    const original =
      options.natBackend === 'getsockname' ? decideGetsockname(local, this.#host.ownEndpoints.isOwn) : direct
    const connection = this.#carry(socket, { peer, local, original }, options.note)
    this.#guarded(() => onConnection(connection), options.note, () => connection.resetClose('handler-failed'))
  }

  /** What an owner throws is reported once and costs it what it was called for. */
  #guarded(call: () => void, note: string, undo: () => void): void {
    try {
      call()
    } catch (error) {
      this.#host.counters.handlerFailures++
      this.#host.failed(error, note)
      undo()
    }
  }

  #carry(socket: net.Socket, ends: ConstructorParameters<typeof NodeConnection>[2], note: string): NodeConnection {
    const connection = new NodeConnection(this.#host, socket, ends, note, gone => this.#connections.delete(gone))
    this.#connections.add(connection)
    return connection
  }

  #attempt(options: ConnectOptions, timeoutMs: number, ours: boolean, done: AttemptPlan['done']): Attempt {
    const attempt = new NodeAttempt(this.#host, {
      options,
      timeoutMs,
      ours,
      refusal: this.#refusal(options),
      done,
      gone: () => this.#attempts.delete(attempt),
    })
    this.#attempts.add(attempt)
    return attempt
  }

  #handOver(socket: net.Socket, { target, note }: ConnectOptions, local: Endpoint): void {
    const entry = { socket, peer: target, local, note, bornAt: this.#host.clock.mono() }
    this.#sockets.add(entry)
    socket.once('close', () => this.#sockets.delete(entry))
  }

  #missingForListen({ flags, natBackend, mark, device }: ListenOptions): string | null {
    if ((flags & COMM_TPROXY_LCL) !== 0 && !this.powers.transparent) return 'tproxy ports'
    if (natBackend !== 'none' && natBackend !== 'getsockname') return `the NAT look-up (${natBackend})`
    return missingMarks(mark, undefined, device)
  }

  #refusal({ target, source, flags, mark, tos, device }: ConnectOptions): CommError | null {
    const forge = (flags & COMM_TPROXY_REM) !== 0 && !this.powers.forge
    const missing = forge ? 'a foreign source address' : missingMarks(mark, tos, device)
    if (missing !== null) return unsupported('connect to', target, missing)
    if (source === undefined || source.family === target.family) return null
    return commError('EAFNOSUPPORT', 'bind', { doing: 'connect', endpoint: target, source })
  }
}

/** A socket that is somebody else's now: listed, and counted until it closes. */
interface HandedOver {
  readonly socket: net.Socket
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly note: string
  readonly bornAt: MonoMs
}

const missingMarks = (mark?: number, tos?: number, device?: string): string | null => {
  if (mark !== undefined) return 'packet marks'
  if (tos !== undefined) return 'the type of service'
  return device === undefined ? null : 'binding to a device'
}

const unsupported = (doing: string, endpoint: Endpoint, missing: string): CommError =>
  new CommError(
    'ENOTSUP',
    'engine',
    `cannot ${doing} ${endpointText(endpoint)}: ${missing} needs the addon (native/build.sh builds it)`,
  )

const blank = { fd: -1, peer: null, local: null, bytesRead: 0, bytesWritten: 0, deadlineMs: 0 } as const

const until = (deadlineAt: MonoMs, now: MonoMs): number =>
  deadlineAt === 0 ? 0 : Math.max(1, Math.ceil(deadlineAt - now))
