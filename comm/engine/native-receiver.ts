import { datagramHeadBytes, readable } from '../../native/index.ts'
import { type Endpoint, endpoint, endpointText } from '../../src/base/index.ts'
import type { Connection } from '../connection.ts'
import type { Flow } from '../datagram/flow.ts'
import { FlowReceiver } from '../datagram/flow-receiver.ts'
import type { ReceiveOptions } from '../datagram/receive-options.ts'
import { endpointToSockaddr, sockaddrIn6Bytes } from '../nat-lookup/index.ts'
import { COMM_TPROXY_LCL, type FdEntry } from './engine.ts'
import type { NativeEngine } from './native.ts'
import { openReceiver, socketFailure } from './native-sockets.ts'
import type { Source } from './output.ts'

// A receiver and the sockets it answers from. An answer has to come from where the client had sent to:
//
//   the receiver's own address and port       the receiver itself
//   another address, the receiver's port      the receiver, with IP_PKTINFO (foreign ones need IP_TRANSPARENT)
//   another port                              an answering socket bound to that endpoint, one for all its clients
//
// An answering socket is more specific than the receiver: from its bind on the kernel gives it whatever else clients
// send there, and it is read like the receiver. What had come before is still in the receiver's queue, so the new socket
// is not read until that queue has been read up to what it can have held by then: no datagram overtakes another.

/** Of one socket: a queue of n bytes holds no more datagrams than n over this (the kernel counts its own overhead). */
const queuedBytesMin = 512

class AnsweringSocket {
  readonly fd: number
  readonly endpoint: Endpoint
  flows = 0
  bytesRead = 0
  /** The receiver's count of datagrams at which this one may be read; 0 = it is. */
  readAt: number

  constructor(fd: number, at: Endpoint, readAt: number) {
    this.fd = fd
    this.endpoint = at
    this.readAt = readAt
  }
}

/** A socket that takes what is sent to the receiver's port; two where it serves both families. */
interface Port {
  readonly fd: number
  readonly endpoint: Endpoint
}

export class NativeReceiver extends FlowReceiver {
  readonly endpoint: Endpoint
  readonly fd: number
  readonly #engine: NativeEngine
  readonly #ports: readonly Port[]
  readonly #answering = new Map<string, AnsweringSocket>()
  readonly #byFd = new Map<number, AnsweringSocket>()
  /** Answering sockets that are not read yet. */
  #unread: AnsweringSocket[] = []
  readonly #queueMax: number
  /** Datagrams read by the ports so far. */
  #count = 0
  #bytes = 0
  readonly #openedAt: number
  #gone = false

  /** Throws CommError. */
  constructor(engine: NativeEngine, options: ReceiveOptions, onFlow: (connection: Connection) => void) {
    super(engine, options, onFlow)
    this.#engine = engine
    this.#openedAt = engine.seconds()
    this.#ports = openPorts(engine, options)
    const [first] = this.#ports
    this.fd = first?.fd ?? -1
    this.endpoint = first?.endpoint ?? options.endpoint
    this.#queueMax = Math.ceil(engine.receiveBufferBytes(this.fd) / queuedBytesMin)
    for (const port of this.#ports) this.#opened(port.fd)
    for (const port of this.#ports) engine.host.ownReceivers.add(port.endpoint)
  }

  #opened(fd: number): void {
    this.#engine.placeReceiver(fd, this)
    this.#engine.host.budget.opened()
  }

  /** From the engine: a datagram at [start, end) of its slab. */
  arrived(fd: number, start: number, end: number): void {
    const { datagramSlab, datagramWords } = this.#engine
    const answering = this.#byFd.get(fd)
    if (answering === undefined) {
      this.#count++
      this.#bytes += end - start
      if (this.#unread.length > 0) this.#readDue()
    } else answering.bytesRead += end - start
    const head = start - datagramHeadBytes
    const at = head >> 2
    this.received(datagramWords, at, datagramWords[at + hashWord] ?? 0, datagramSlab, head, datagramSlab, start, end)
  }

  protected isTaken(destination: Endpoint): boolean {
    return (this.options.flags & COMM_TPROXY_LCL) !== 0 && !this.#engine.host.ownReceivers.isOwn(destination)
  }

  protected override incomingIn(head: Buffer, headAt: number): number {
    return head.readUInt32LE(headAt + interfaceByte)
  }

  // ---- answers

  sendTo(flow: Flow, a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void {
    const way = (flow.way as Way | null) ?? this.#wayOf(flow)
    if (way === null) {
      this.#engine.host.counters.datagramsDropped++
      return
    }
    this.#engine.sendDatagram(way.fd, { words: this.table.words, at: flow.row * this.table.keyWords }, way.from, a, b, c)
  }

  #wayOf(flow: Flow): Way | null {
    const way = this.#openWay(flow.local)
    flow.way = way
    return way
  }

  #openWay(destination: Endpoint): Way | null {
    const port = this.#ports.find(candidate => candidate.endpoint.family === destination.family)
    if (port === undefined) return null
    if (destination.port === port.endpoint.port) {
      return { fd: port.fd, from: destination.address === port.endpoint.address ? null : sourceOf(destination), answering: null }
    }
    const key = endpointText(destination)
    const answering = this.#answering.get(key) ?? this.#openAnswering(key, destination)
    if (answering === null) return null
    answering.flows++
    return { fd: answering.fd, from: null, answering }
  }

  #openAnswering(key: string, destination: Endpoint): AnsweringSocket | null {
    const engine = this.#engine
    if (this.#gone || engine.host.budget.acceptable <= 0) return null
    const fd = openReceiver(engine.native, { ...this.options, endpoint: destination, dualStack: false }, 0)
    if (fd < 0) return null
    const opened = new AnsweringSocket(fd, destination, this.#count + this.#queueMax)
    this.#answering.set(key, opened)
    this.#byFd.set(fd, opened)
    this.#opened(fd)
    const port = this.#ports.find(candidate => candidate.endpoint.family === destination.family)
    if (port === undefined || engine.native.tellDrained(port.fd) !== 0) this.#read(opened)
    else this.#unread.push(opened)
    return opened
  }

  /** From the engine: a port has been read empty. */
  drained(): void {
    const list = this.#unread
    this.#unread = []
    for (const answering of list) this.#read(answering)
  }

  #readDue(): void {
    while (this.#unread[0] !== undefined && this.#count > this.#unread[0].readAt) {
      const due = this.#unread.shift()
      if (due !== undefined) this.#read(due)
    }
  }

  #read(answering: AnsweringSocket): void {
    answering.readAt = 0
    if (this.#byFd.get(answering.fd) === answering) this.#engine.native.interest(answering.fd, readable)
  }

  // ---- the end

  protected forget(flow: Flow): void {
    const answering = (flow.way as Way | null)?.answering ?? null
    if (answering !== null && --answering.flows === 0) this.#closeAnswering(answering)
    if (this.closed && this.flows === 0) this.closeSockets()
  }

  #closeAnswering(answering: AnsweringSocket): void {
    this.#answering.delete(endpointText(answering.endpoint))
    this.#byFd.delete(answering.fd)
    this.#unread = this.#unread.filter(other => other !== answering)
    this.#engine.dropReceiver(answering.fd)
  }

  protected closeSockets(): void {
    if (this.#gone) return
    this.#gone = true
    for (const answering of [...this.#byFd.values()]) this.#closeAnswering(answering)
    for (const port of this.#ports) {
      this.#engine.dropReceiver(port.fd)
      this.#engine.host.ownReceivers.remove(port.endpoint)
    }
    this.#engine.receiverGone(this)
  }

  entries(): FdEntry[] {
    const ageMs = (this.#engine.seconds() - this.#openedAt) * 1000
    const entry = { kind: 'receiver' as const, peer: null, bytesWritten: 0, ageMs, deadlineMs: 0 }
    const { note } = this.options
    return [
      ...this.#ports.map(port => ({ ...entry, fd: port.fd, local: port.endpoint, note, bytesRead: this.#bytes })),
      ...[...this.#byFd.values()].map(other => ({ ...entry, fd: other.fd, local: other.endpoint, note, bytesRead: other.bytesRead })),
    ]
  }
}

/** How an answer leaves. */
interface Way {
  readonly fd: number
  readonly from: Source | null
  readonly answering: AnsweringSocket | null
}

const hashWord = 14
const interfaceByte = 60

const openPorts = (engine: NativeEngine, options: ReceiveOptions): Port[] => {
  const ports: Port[] = []
  let port = options.endpoint.port
  for (const address of options.dualStack && options.endpoint.address === '::' ? ['::', '0.0.0.0'] : [options.endpoint.address]) {
    const at = endpoint(address, port)
    const fd = openReceiver(engine.native, { ...options, endpoint: at }, readable)
    if (fd < 0) {
      for (const opened of ports) engine.native.doom(opened.fd, 0)
      engine.native.closeDoomed()
      throw socketFailure(fd, { doing: 'listen', endpoint: at })
    }
    const local = engine.localOf(fd) ?? at
    port = local.port
    ports.push({ fd, endpoint: local })
  }
  return ports
}

const sourceOf = ({ family, address, port }: Endpoint): Source => {
  const bytes = Buffer.alloc(sockaddrIn6Bytes + 4)
  endpointToSockaddr({ family, address, port }, bytes, 0)
  const from = family === 4 ? 4 : 8
  const words = new Int32Array(4)
  for (let i = 0; i < (family === 4 ? 1 : 4); i++) words[i] = bytes.readInt32LE(from + 4 * i)
  return { family, words }
}
