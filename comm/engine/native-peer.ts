import { constants } from 'node:os'
import { addressBytes, datagramHeadBytes, readable } from '../../native/index.ts'
import { type Endpoint, sameEndpoint } from '../../src/base/index.ts'
import type { CloseReason } from '../connection.ts'
import { DatagramConnection, type HeldAccount } from '../datagram/connection.ts'
import { direct, type OriginalDestination, sockaddrToEndpoint } from '../nat-lookup/index.ts'
import { portAt } from '../nat-lookup/sockaddr.ts'
import type { ConnectOptions, FdEntry } from './engine.ts'
import type { NativeEngine } from './native.ts'

// The server side of a UDP session: a socket of its own, connected to the server, with the client's address or one of
// ours. The kernel keeps out what others send there, and tells what routers and the server's host say (ICMP): that ends
// the session.
//
// One gap: a socket with a port we chose (the client's own) may share it with others of the same client. Between bind and
// connect the kernel may give it an answer that belongs to one of those; it is handed over by its sender's address.

export class NativePeer extends DatagramConnection {
  fd: number
  readonly local: Endpoint
  readonly original: OriginalDestination = direct
  readonly #engine: NativeEngine
  readonly #sharesPort: boolean

  constructor(engine: NativeEngine, account: HeldAccount, fd: number, { target, source, note }: ConnectOptions, local: Buffer) {
    super(engine, account, target, note)
    this.#engine = engine
    this.fd = fd
    this.#sharesPort = source !== undefined && source.port !== 0
    // the usual case needs no text made from bytes
    this.local = source === undefined ? (sockaddrToEndpoint(local, 0) ?? target) : { ...source, port: portAt(local, 2) }
  }

  get sharesPort(): boolean {
    return this.#sharesPort
  }

  /** From the engine: a datagram at [start, end) of its slab. */
  arrived(start: number, end: number): void {
    const { datagramSlab, host } = this.#engine
    if (this.#sharesPort) {
      const sender = sockaddrToEndpoint(datagramSlab, start - datagramHeadBytes)
      if (sender !== null && !sameEndpoint(sender, this.peer)) return this.#engine.stray(this, sender, start, end)
    }
    host.counters.bytesRead += end - start
    this.received(datagramSlab, start, end)
  }

  /** From the engine: an ICMP error, or what a send or receive answered. */
  failed(errno: number): void {
    if (errno === EAGAIN || errno === ENOBUFS || errno === EMSGSIZE || errno === EPERM) return // this datagram's, no more
    this.close(reasons.get(errno) ?? 'read-error')
  }

  protected send(a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void {
    this.#engine.sendDatagram(this.fd, null, null, a, b, c)
  }

  protected ask(): void {
    if (this.fd >= 0) this.#engine.native.interest(this.fd, this.isDeferred ? 0 : readable)
  }

  protected leave(): void {
    this.#engine.dropPeer(this)
    this.fd = -1
  }

  entry(): FdEntry {
    const { fd, peer, local, note, bytesRead, bytesWritten } = this
    const ageMs = this.carrier.now() - this.openedAt
    const deadlineMs = this.#engine.deadlineMs(this.readerDeadlineAt)
    return { fd, kind: 'connection', peer, local, note, bytesRead, bytesWritten, ageMs, deadlineMs }
  }
}

const { EAGAIN, ENOBUFS, EMSGSIZE, EPERM, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES, ENOPROTOOPT, EPROTO } = constants.errno

/** What the far side says, in one way or another: nobody is there. */
const reasons: ReadonlyMap<number, CloseReason> = new Map(
  [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES, ENOPROTOOPT, EPROTO].map(errno => [errno, 'peer-reset']),
)

/** Where the addon writes the socket's own address. */
export const localScratch = Buffer.alloc(addressBytes)
