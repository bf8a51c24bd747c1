import type net from 'node:net'
import { native } from '../native/index.ts'
import { type Clock, Deadlines, type Endpoint } from '../src/base/index.ts'
import { type Bandwidth, Bandwidths, type BandwidthShape } from './bandwidth.ts'
import type { Connection } from './connection.ts'
import type { ReceiveOptions } from './datagram/receive-options.ts'
import { type CommCounters, commCounters } from './counters.ts'
import type {
  Attempt,
  ConnectDone,
  ConnectOptions,
  Descriptors,
  Engine,
  EngineHost,
  FdEntry,
  Listener,
  ListenOptions,
  Powers,
  Relay,
  RelayOptions,
} from './engine/engine.ts'
import { createNativeEngine } from './engine/native.ts'
import { createNodeEngine } from './engine/node.ts'
import { NodeConnection } from './engine/node-connection.ts'
import { CommError, commError } from './error.ts'
import { FollowedInterfaces, type Interfaces, WatchedInterfaces, watchedEveryMs } from './interfaces/index.ts'
import { type ConnectionMarks, createConnectionMarks } from './connection-mark.ts'
import { createExpectSet, type ExpectSet } from './expect-set.ts'
import { FdBudget } from './fd-budget.ts'
import { type HandedIn, handedInFor } from './handed-in.ts'
import { natDoubt } from './nat-proof.ts'
import { OwnConnections } from './own-connections.ts'
import { OwnEndpoints } from './own-endpoints.ts'
import { connectionPair, type PairEnd, type PairEnds } from './pair.ts'
import { copyRelay } from './relay.ts'

// The comm layer: an engine, and around it what both engines share.

export interface CommOptions {
  /** auto: native where the addon loads, else node. Asking for native where there is none throws. */
  readonly engine?: 'native' | 'node' | 'auto'
  readonly clock: Clock
  /** Descriptors this process may have; by default what the system allows it. */
  readonly fdMax?: number
  /** How many of them others in this process hold: logs, Node itself. Nobody is accepted at their expense. */
  readonly fdOthers?: number
  /** Sockets that were bound before we were started; a listener at such an address has that one. */
  readonly handedIn?: readonly HandedIn[]
  /** A callback threw: a bug of ours. Reported once per failure; its connection is closed. */
  readonly onFailure?: (error: unknown, where: string) => void
  /** A sentence for the log, at most one in 15 s: accepting is paused. */
  readonly onWarning?: (text: string) => void
}

export interface Comm {
  readonly engine: 'native' | 'node'
  readonly powers: Powers
  /** Why the native engine is not used, '' when it is. */
  readonly engineNote: string
  readonly counters: CommCounters
  readonly budget: FdBudget
  readonly handedIn: readonly HandedIn[]
  /** Throws CommError. */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener
  /**
   * Datagrams: each new (client, original destination) is told as a connection with protocol udp. Throws CommError.
   */
  receive(options: ReceiveOptions, onFlow: (connection: Connection) => void): Listener
  /** Rejects with CommError; ETIMEDOUT after `timeoutMs`, ECANCELED when `signal` aborts. */
  connect(options: ConnectOptions, timeoutMs: number, signal?: AbortSignal): Promise<Connection>
  /** The same without a promise: `done` comes once and never inside this call, or not at all after cancel. */
  dial(options: ConnectOptions, timeoutMs: number, done: ConnectDone): Attempt
  /** The same as a Node socket, for those who need one. `done` never runs inside this call. */
  connectSocket(options: ConnectOptions, timeoutMs: number, done: SocketDone): Attempt
  /** Takes both connections over and moves bytes until both have ended. Their readers hear nothing more. */
  relay(a: Connection, b: Connection, options: RelayOptions): Relay
  /** A limit that relays may share. Throws CommError ENOBUFS when there are too many. */
  bandwidth(bytesPerSecond: number): Bandwidth
  /** The same with a burst and a beginning of its own. */
  bandwidthOf(shape: BandwidthShape): Bandwidth
  /** Calls `resume` each time the limits have been filled, until the answer is called. */
  onBandwidthFilled(resume: () => void): () => void
  /** Two connections joined in this process: what one writes the other reads. */
  pair(left: PairEnds, right: PairEnds, note: string): readonly [Connection, Connection]
  /** A pipe of a program as a connection. It is owned by comm from here on. */
  adoptPipe(socket: net.Socket, ends: PairEnds, note: string): Connection
  /** Whether an endpoint is one of our listeners at an address of this machine. */
  isOwnEndpoint(e: Endpoint, protocol?: 'tcp' | 'udp'): boolean
  /** An address of this machine. */
  isLocalAddress(address: string): boolean
  /** Whether a connection with these ends is one that we made: a rule has brought it back to us. */
  isOwnConnection(from: Endpoint, to: Endpoint): boolean
  /** Sets of the kernel's rules for related connections. Throws, with a sentence, where there are none for us. */
  openExpectSet(): ExpectSet
  /** Marks of connections as the kernel tracks them. Null, or why not. */
  markConnection(from: Endpoint, to: Endpoint, value: number, mask: number): string | null
  /** The mark, or why it cannot be told. */
  connectionMark(from: Endpoint, to: Endpoint): number | string
  /** This machine's interfaces. Followed from the first time somebody asks. */
  readonly interfaces: Interfaces
  readonly fdTable: () => readonly FdEntry[]
  /** Bare descriptors, Lusca's way. Throws CommError ENOTSUP where the engine has none. */
  readonly descriptors: Descriptors
  /** Listeners, connections, attempts. Owners are told 'shutdown'. */
  close(): void
}

export type SocketDone = (error: CommError | null, socket: net.Socket | null, local: Endpoint | null) => void

export const createComm = (options: CommOptions): Comm => {
  const counters = commCounters()
  const { clock, handedIn = [] } = options
  const warn = options.onWarning ?? (text => process.emitWarning(text))
  const budget = new FdBudget(options.fdMax ?? descriptorLimit(), clock, counters, warn, options.fdOthers ?? 0)
  const deadlines = new Deadlines(clock)
  const report = options.onFailure ?? reportFailure
  let lastId = 0
  const host: EngineHost = {
    clock,
    deadlines,
    budget,
    ownEndpoints: new OwnEndpoints(clock),
    ownReceivers: new OwnEndpoints(clock),
    counters,
    bandwidths: new Bandwidths(clock),
    nextId: () => ++lastId,
    failed(error, where) {
      // what the reporter throws is nobody's to catch; the engine must go on with the rest of its turn first
      try {
        report(error, where)
      } catch (worse) {
        process.nextTick(() => {
          throw worse
        })
      }
    },
  }
  const ownConnections = new OwnConnections(host.ownEndpoints.isLocal)
  const { engine, note } = createEngine(options.engine ?? 'auto', host)
  let closed = false
  /** Ends of pairs and pipes: no engine has them. */
  const inProcess = new Set<PairEnd | NodeConnection>()
  let interfaces: Interfaces | null = null
  let connectionMarks: ConnectionMarks | null = null
  const openMarks = (): ConnectionMarks | string => {
    if (engine.name !== 'native' || !native.present) return native.present ? 'the node engine does not speak netlink' : native.why
    try {
      return (connectionMarks ??= createConnectionMarks(native.addon))
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
  return {
    engine: engine.name,
    powers: engine.powers,
    engineNote: note,
    counters,
    budget,
    handedIn,
    listen(wanted, onConnection) {
      if (closed) throw commError('ECANCELED', 'listen', { doing: 'listen', endpoint: wanted.endpoint })
      const socket = handedInFor(handedIn, wanted)
      const listener = engine.listen(socket === null ? wanted : { ...wanted, handedIn: socket.fd }, onConnection)
      const doubt = native.present ? natDoubt(native.addon, wanted.natBackend, listener) : ''
      if (doubt !== '') warn(doubt)
      return listener
    },
    receive(wanted, onFlow) {
      if (closed) throw commError('ECANCELED', 'listen', { doing: 'listen', endpoint: wanted.endpoint })
      return engine.receive(wanted, onFlow)
    },
    connect: (wanted, timeoutMs, signal) =>
      closed ? Promise.reject(canceled(wanted)) : connect(engine, ownConnections, wanted, timeoutMs, signal),
    dial(wanted, timeoutMs, done) {
      if (!closed) return engine.connect(wanted, timeoutMs, ownConnections.watching(wanted, done))
      process.nextTick(done, canceled(wanted), null)
      return { cancel() {} }
    },
    connectSocket(wanted, timeoutMs, done) {
      if (!closed) return engine.connectSocket(wanted, timeoutMs, done)
      process.nextTick(done, canceled(wanted), null, null)
      return { cancel() {} }
    },
    bandwidth: bytesPerSecond => host.bandwidths.open(bytesPerSecond),
    bandwidthOf: shape => host.bandwidths.openShaped(shape),
    onBandwidthFilled: resume => host.bandwidths.onFilled(resume),
    pair(left, right, note) {
      const ends = connectionPair(host, left, right, note, end => void inProcess.delete(end))
      for (const end of ends) inProcess.add(end)
      return ends
    },
    adoptPipe(socket, ends, note) {
      socket.allowHalfOpen = true // Node makes the pipes of programs without, and ends our half with theirs
      const connection = new NodeConnection(host, socket, ends, note, gone => void inProcess.delete(gone), true)
      inProcess.add(connection)
      return connection
    },
    relay: (a, b, wanted) => engine.relay(a, b, wanted) ?? copyRelay(a, b, wanted, host),
    isOwnEndpoint: (e, protocol) => (protocol === 'udp' ? host.ownReceivers : host.ownEndpoints).isOwn(e),
    isLocalAddress: host.ownEndpoints.isLocal,
    isOwnConnection: (from, to) => ownConnections.has(from, to),
    openExpectSet() {
      if (engine.name === 'native' && native.present) return createExpectSet(native.addon)
      throw new CommError('ENOTSUP', 'socket', native.present ? 'the node engine does not speak netlink' : native.why)
    },
    markConnection(from, to, value, mask) {
      const marks = openMarks()
      return typeof marks === 'string' ? marks : marks.set(from, to, value, mask)
    },
    connectionMark(from, to) {
      const marks = openMarks()
      return typeof marks === 'string' ? marks : marks.get(from, to)
    },
    get interfaces() {
      interfaces ??= followInterfaces(engine, host, warn)
      return interfaces
    },
    fdTable: () => [...engine.fdTable(), ...Array.from(inProcess, entry => inProcessEntry(entry, clock))],
    get descriptors() {
      if (engine.descriptors === null) throw new CommError('ENOTSUP', 'open', `the ${engine.name} engine has no bare descriptors`)
      return engine.descriptors
    },
    close() {
      interfaces?.close()
      connectionMarks?.close()
      closed = true // first: what owners do when they are told must not begin anything
      engine.close()
      for (const connection of inProcess) connection.close('shutdown')
      deadlines.stop()
      host.bandwidths.stop()
      budget.stop()
    },
  }
}

/** Where the kernel cannot be listened to, they are looked at. */
const followInterfaces = (engine: Engine, host: EngineHost, warn: (text: string) => void): Interfaces => {
  const interfaces = listenToInterfaces(engine, host, warn) ?? new WatchedInterfaces(host.clock, host.failed)
  interfaces.onChange(() => host.ownEndpoints.forget())
  return interfaces
}

const listenToInterfaces = ({ descriptors }: Engine, { failed }: EngineHost, warn: (text: string) => void): Interfaces | null => {
  if (descriptors === null || !native.present) return null
  try {
    return new FollowedInterfaces(native.addon, descriptors, failed)
  } catch (error) {
    warn(`${error instanceof Error ? error.message : String(error)}; interfaces are looked at every ${watchedEveryMs / 1000} s instead (systemd: RestrictAddressFamilies= must allow AF_NETLINK)`)
    return null
  }
}

const inProcessEntry = (connection: PairEnd | NodeConnection, clock: Clock): FdEntry => ({
  fd: connection.fd,
  kind: 'plain',
  peer: connection.peer,
  local: connection.local,
  note: connection.note,
  bytesRead: connection.bytesRead,
  bytesWritten: connection.bytesWritten,
  ageMs: clock.mono() - connection.bornAt,
  deadlineMs: connection.deadlineAt === 0 ? 0 : Math.max(0, connection.deadlineAt - clock.mono()),
})

const canceled = ({ target }: ConnectOptions): CommError =>
  commError('ECANCELED', 'connect', { doing: 'connect', endpoint: target })

const createEngine = (wanted: 'native' | 'node' | 'auto', host: EngineHost): { engine: Engine; note: string } => {
  if (wanted !== 'node') {
    if (native.present) return { engine: createNativeEngine(native.addon, host), note: '' }
    if (wanted === 'native') throw new CommError('ENOTSUP', 'dlopen', native.why)
  }
  return { engine: createNodeEngine(host), note: native.present ? 'the node engine was asked for' : native.why }
}

/** Node raises its soft limit to the hard one at start. 1024 is what every Unix gives at least. */
const descriptorLimit = (): number => (native.present ? native.addon.descriptorLimit() : 0) || 1024

const reportFailure = (error: unknown, where: string): void => {
  process.emitWarning(`a callback failed (${where}): ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
}

const connect = (
  engine: Engine,
  ownConnections: OwnConnections,
  options: ConnectOptions,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Connection> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(canceled(options))
      return
    }
    const onAbort = () => {
      attempt.cancel()
      reject(canceled(options))
    }
    const done = ownConnections.watching(options, (error, connection) => {
      signal?.removeEventListener('abort', onAbort)
      if (connection !== null) resolve(connection)
      else reject(error ?? canceled(options))
    })
    const attempt = engine.connect(options, timeoutMs, done)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
