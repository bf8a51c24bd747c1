import { randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import { type Endpoint, endpoint, errnoOf, type MonoMs } from '../../src/base/index.ts'
import type { CloseReason, Connection } from '../connection.ts'
import { type DatagramCarrier, DatagramConnection, type HeldAccount } from '../datagram/connection.ts'
import type { Flow } from '../datagram/flow.ts'
import { FlowReceiver } from '../datagram/flow-receiver.ts'
import type { ReceiveOptions } from '../datagram/receive-options.ts'
import { type CommError, commError } from '../error.ts'
import { direct, endpointToSockaddr, type OriginalDestination } from '../nat-lookup/index.ts'
import type { ConnectOptions, EngineHost, FdEntry } from './engine.ts'

// Datagrams over node:dgram: no original destination but the socket's own address, no foreign addresses, a system call
// per datagram. An answer leaves from the receiving socket, by whatever address the kernel chooses on a wildcard.

/** A socket that is bound, or connected, when this returns. Throws CommError. */
const openSocket = (
  at: { readonly family: 4 | 6; readonly address: string; readonly port: number } | null,
  family: 4 | 6,
  bufferBytes: number,
  doing: 'listen' | 'connect',
): dgram.Socket => {
  const socket = dgram.createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    ...(family === 6 ? { ipv6Only: true } : {}),
    reuseAddr: doing === 'listen',
    // addresses only: called at once, so the whole of bind is done when it returns
    lookup: (host, _options, found) => found(null, host, family),
  })
  const failures: unknown[] = []
  const failed = (error: unknown): void => void failures.push(error)
  socket.on('error', failed)
  if (at !== null) socket.bind({ address: at.address, port: at.port, exclusive: true })
  const [first] = failures
  socket.removeListener('error', failed)
  if (first !== undefined) {
    throw commError(errnoOf(first), 'bind', at === null ? { doing } : { doing, endpoint: endpoint(at.address, at.port) })
  }
  if (bufferBytes > 0) {
    try {
      socket.setRecvBufferSize(bufferBytes)
    } catch {
      // a wish
    }
  }
  return socket
}

const headBytes = 56

/** What comm's engine over node does for datagram connections: the same calls as the native one's. */
export class NodeDatagrams implements DatagramCarrier {
  readonly host: EngineHost
  readonly peers = new Set<NodePeer>()
  readonly receivers = new Set<NodeReceiver>()
  readonly held: HeldAccount = { bytes: 0, bytesMax: 16 * 1024 * 1024 }

  constructor(host: EngineHost) {
    this.host = host
  }

  wake(connection: DatagramConnection): void {
    process.nextTick(() => this.guarded(connection, () => connection.awake()))
  }

  ended(connection: DatagramConnection): void {
    process.nextTick(() => connection.tellClosed(error => this.failed(error, connection.note)))
  }

  guarded(connection: Connection | null, call: () => void): void {
    try {
      call()
    } catch (error) {
      this.failed(error, connection?.note ?? 'comm')
      connection?.resetClose('handler-failed')
    }
  }

  failed(error: unknown, note: string): void {
    this.host.counters.handlerFailures++
    this.host.failed(error, note)
  }

  now(): MonoMs {
    return this.host.clock.mono()
  }

  receive(options: ReceiveOptions, onFlow: (connection: Connection) => void): NodeReceiver {
    const receiver = new NodeReceiver(this, options, onFlow)
    this.receivers.add(receiver)
    return receiver
  }

  /** `done` comes in a later turn; not at all when it was cancelled. */
  connect(options: ConnectOptions, refusal: CommError | null, done: (error: CommError | null, peer: NodePeer | null) => void): { cancel(): void } {
    this.host.counters.connects++
    let over = false
    const tell = (error: CommError | null, peer: NodePeer | null): void => {
      if (error !== null) this.host.counters.connectFailures++
      this.guarded(peer, () => done(error, peer))
    }
    process.nextTick(() => {
      if (over) return
      if (refusal !== null) return tell(refusal, null)
      NodePeer.open(this, options, (error, peer) => {
        if (!over) tell(error, peer)
        else peer?.close('aborted')
      })
    })
    return {
      cancel() {
        over = true
      },
    }
  }

  close(): void {
    for (const receiver of [...this.receivers]) receiver.shutDown()
    for (const peer of [...this.peers]) peer.close('shutdown')
  }
}

export class NodeReceiver extends FlowReceiver {
  readonly endpoint: Endpoint
  readonly fd = -1
  readonly #datagrams: NodeDatagrams
  readonly #sockets: { readonly socket: dgram.Socket; readonly endpoint: Endpoint }[] = []
  readonly #bornAt: MonoMs
  readonly #head = Buffer.alloc(headBytes)
  readonly #words = new Int32Array(this.#head.buffer, this.#head.byteOffset, headBytes / 4)
  readonly #seed = randomBytes(4).readInt32LE()
  #bytes = 0
  #gone = false

  /** Throws CommError. */
  constructor(datagrams: NodeDatagrams, options: ReceiveOptions, onFlow: (connection: Connection) => void) {
    super(datagrams, options, onFlow)
    this.#datagrams = datagrams
    this.#bornAt = datagrams.now()
    let { port } = options.endpoint
    for (const address of options.dualStack && options.endpoint.address === '::' ? ['::', '0.0.0.0'] : [options.endpoint.address]) {
      try {
        port = this.#open(endpoint(address, port), options.bufferBytes)
      } catch (error) {
        for (const { socket } of this.#sockets) socket.close()
        throw error
      }
    }
    this.endpoint = this.#sockets[0]?.endpoint ?? options.endpoint
    for (const each of this.#sockets) {
      datagrams.host.ownReceivers.add(each.endpoint)
      datagrams.host.budget.opened()
    }
  }

  #open(at: Endpoint, bufferBytes: number): number {
    const socket = openSocket(at, at.family, bufferBytes, 'listen')
    const local = endpoint(at.address, socket.address().port)
    this.#sockets.push({ socket, endpoint: local })
    socket.on('error', () => {}) // of one datagram, and nobody's in particular
    socket.on('message', (datagram, { address, port }) => this.#arrived(local, endpoint(address, port), datagram))
    return local.port
  }

  #arrived(local: Endpoint, client: Endpoint, datagram: Buffer): void {
    this.#bytes += datagram.length
    this.#head.fill(0)
    endpointToSockaddr(client, this.#head, 0)
    endpointToSockaddr(local, this.#head, headBytes / 2)
    let hash = this.#seed
    for (const word of this.#words) {
      hash = Math.imul(hash ^ word, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    this.received(this.#words, 0, hash, this.#head, 0, datagram, 0, datagram.length)
  }

  protected isTaken(): boolean {
    return false
  }

  sendTo(flow: Flow, a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void {
    const from = this.#sockets.find(each => each.endpoint.family === flow.local.family)
    from?.socket.send(joined(a, b, c), flow.peer.port, flow.peer.address, error => {
      if (error !== null) this.carrier.host.counters.datagramsDropped++
    })
  }

  protected forget(): void {
    if (this.closed && this.flows === 0) this.closeSockets()
  }

  protected closeSockets(): void {
    if (this.#gone) return
    this.#gone = true
    for (const { socket, endpoint: at } of this.#sockets) {
      socket.close()
      this.#datagrams.host.ownReceivers.remove(at)
      this.#datagrams.host.budget.closed()
    }
    this.#datagrams.receivers.delete(this)
  }

  entries(now: MonoMs): FdEntry[] {
    const { note } = this.options
    return this.#sockets.map(each => ({
      fd: -1, kind: 'receiver', peer: null, local: each.endpoint, note,
      bytesRead: this.#bytes, bytesWritten: 0, ageMs: now - this.#bornAt, deadlineMs: 0,
    }))
  }
}

export class NodePeer extends DatagramConnection {
  readonly fd = -1
  readonly local: Endpoint
  readonly original: OriginalDestination = direct
  readonly #datagrams: NodeDatagrams
  readonly #socket: dgram.Socket

  static open(datagrams: NodeDatagrams, options: ConnectOptions, done: (error: CommError | null, peer: NodePeer | null) => void): void {
    const { target, source } = options
    const failed = (error: unknown): void =>
      done(commError(errnoOf(error), 'connect', { doing: 'connect', endpoint: target, ...(source === undefined ? {} : { source }) }), null)
    try {
      const socket = openSocket(source ?? null, target.family, 0, 'connect')
      socket.once('error', failed)
      socket.connect(target.port, target.address, () => {
        socket.removeListener('error', failed)
        done(null, new NodePeer(datagrams, options, socket))
      })
    } catch (error) {
      failed(error)
    }
  }

  constructor(datagrams: NodeDatagrams, options: ConnectOptions, socket: dgram.Socket) {
    super(datagrams, datagrams.held, options.target, options.note)
    this.#datagrams = datagrams
    this.#socket = socket
    const { address, port } = socket.address()
    this.local = endpoint(address, port)
    datagrams.peers.add(this)
    datagrams.host.budget.opened()
    socket.on('error', error => this.#failed(error))
    socket.on('message', datagram => {
      datagrams.host.counters.bytesRead += datagram.length
      datagrams.guarded(this, () => this.received(datagram, 0, datagram.length))
    })
  }

  #failed(error: unknown): void {
    this.close(reasons[errnoOf(error)] ?? 'read-error')
  }

  protected send(a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void {
    this.#socket.send(joined(a, b, c), error => {
      if (error === null) return
      this.carrier.host.counters.datagramsDropped++
      const why = reasons[errnoOf(error)]
      if (why !== undefined) this.close(why)
    })
  }

  protected ask(): void {} // what comes meanwhile is held, up to its share

  protected leave(): void {
    this.#datagrams.peers.delete(this)
    // after what was given to it in this turn
    setImmediate(() => {
      this.#socket.close()
      this.#datagrams.host.budget.closed()
    })
  }

  entry(now: MonoMs): FdEntry {
    const { fd, peer, local, note, bytesRead, bytesWritten } = this
    return { fd, kind: 'connection', peer, local, note, bytesRead, bytesWritten, ageMs: now - this.openedAt, deadlineMs: 0 }
  }
}

/** A copy: Node sends later, and the parts may be used again at once. */
const joined = (a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): Buffer => {
  const parts: Buffer[] = []
  for (const part of [a, b, c]) if (part !== null) parts.push(typeof part === 'string' ? Buffer.from(part, 'latin1') : part)
  return Buffer.concat(parts)
}

const reasons: Readonly<Record<string, CloseReason>> = {
  ECONNREFUSED: 'peer-reset',
  EHOSTUNREACH: 'peer-reset',
  ENETUNREACH: 'peer-reset',
}
