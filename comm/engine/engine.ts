import type net from 'node:net'
import type { Clock, Deadlines, Endpoint } from '../../src/base/index.ts'
import type { Bandwidth, Bandwidths } from '../bandwidth.ts'
import type { Connection } from '../connection.ts'
import type { CommCounters } from '../counters.ts'
import type { CommError } from '../error.ts'
import type { FdBudget } from '../fd-budget.ts'
import type { NatBackend } from '../nat-lookup/original-destination.ts'
import type { ReceiveOptions } from '../datagram/receive-options.ts'
import type { OwnEndpoints } from '../own-endpoints.ts'

// What comm needs from an engine. Two fulfil it: native (the addon; all powers) and node (plain net; fewer). One
// contract test, test/contract/engine.ts, runs over both.

/** Powers that may be missing. A caller that needs a missing one gets CommError ENOTSUP with a sentence for the user. */
export interface Powers {
  /** IP_TRANSPARENT listeners (tproxy ports). */
  readonly transparent: boolean
  /** Foreign source addresses on connect. */
  readonly forge: boolean
  /** SO_ORIGINAL_DST and the ioctl back ends. */
  readonly natLookup: boolean
  /** SO_MARK, SO_BINDTODEVICE, TOS. */
  readonly marks: boolean
  /** splice(2) relay. Without it relays copy through user space. */
  readonly splice: boolean
}

/** Lusca's and Squid's flag values, so that traces can be compared. */
export const COMM_NONBLOCKING = 1
export const COMM_NOCLOEXEC = 2
export const COMM_REUSEADDR = 4
export const COMM_DOBIND = 8
/** The listening end may be foreign (IP_TRANSPARENT before bind). */
export const COMM_TPROXY_LCL = 16
/** The source may be foreign: connect with somebody else's address. */
export const COMM_TPROXY_REM = 32
/** SO_REUSEPORT, together with REUSEADDR. */
export const COMM_REUSEPORT = 64

export interface ListenOptions {
  readonly endpoint: Endpoint
  /** COMM_* above. */
  readonly flags: number
  /** IPv6 wildcard listeners also take IPv4 (IPV6_V6ONLY off). */
  readonly dualStack: boolean
  /** 1…65535; the kernel caps it at somaxconn. */
  readonly backlog: number
  readonly natBackend: NatBackend
  readonly mark?: number
  readonly device?: string
  /** The descriptor of a socket that is bound there already. Whoever opened it keeps it. Native engine only. */
  readonly handedIn?: number
  /** Connections are told of when their first bytes are there, or after so many seconds. Ignored where the engine cannot. */
  readonly deferSeconds?: number
  readonly note: string
}

export interface ConnectOptions {
  readonly target: Endpoint
  /** udp: the answer is a socket connected to the target, which proves nothing about the target. */
  readonly protocol?: 'tcp' | 'udp' | undefined
  /** Source address; port 0 = any. With COMM_TPROXY_REM it may be foreign. */
  readonly source?: Endpoint | undefined
  readonly flags: number
  /** SO_MARK, 32 bits. */
  readonly mark?: number | undefined
  /** IP_TOS / IPV6_TCLASS, 0…255. */
  readonly tos?: number | undefined
  readonly device?: string
  /**
   * Bytes will be written as soon as it stands: they carry the last ACK of the handshake, which would be a packet of its
   * own. Without them that ACK is late by 200 ms at most, and a server that speaks first speaks later.
   */
  readonly writesFirst?: boolean
  readonly note: string
}

export interface Listener {
  /** With the port the kernel chose when 0 was asked. */
  readonly endpoint: Endpoint
  readonly fd: number
  /** Accepting pauses (fds run short) and resumes; the backlog waits in the kernel. */
  pause(): void
  resume(): void
  close(): void
}

/** One line of the descriptor table (Lusca's fd_table, squidclient mgr:filedescriptors). */
export interface FdEntry {
  /** -1 where the engine has none to show. */
  readonly fd: number
  readonly kind: 'listener' | 'connection' | 'connecting' | 'socket' | 'relay' | 'plain' | 'receiver'
  readonly peer: Endpoint | null
  readonly local: Endpoint | null
  readonly note: string
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly ageMs: number
  /** Until its deadline; 0 = none set. */
  readonly deadlineMs: number
}

/** What comm hands to the engine it makes. */
export interface EngineHost {
  readonly clock: Clock
  /** One wheel for all connections and attempts. */
  readonly deadlines: Deadlines
  /** Who may still open a descriptor; pauses and resumes accepting. */
  readonly budget: FdBudget
  /** Whether an endpoint is one of our own listeners reached by an address of this machine. */
  readonly ownEndpoints: OwnEndpoints
  /** The same for receivers of datagrams. */
  readonly ownReceivers: OwnEndpoints
  readonly counters: CommCounters
  readonly bandwidths: Bandwidths
  nextId(): number
  /** An owner's callback threw. The engine reports it once and closes what it was called for. */
  failed(error: unknown, where: string): void
}

export type ConnectDone = (error: CommError | null, connection: Connection | null) => void
export type SocketDone = (error: CommError | null, socket: net.Socket | null, local: Endpoint | null) => void

/** A connect in progress. */
export interface Attempt {
  /** `done` is not called afterwards. Harmless when it has been. */
  cancel(): void
}

export interface RelayStats {
  readonly bytesToA: number
  readonly bytesToB: number
  readonly why: RelayEnd
}

/** done: both sides ended; idle: nothing moved for idleTimeoutMs; stopped: by us. */
export type RelayEnd = 'done' | 'idle' | 'reset' | 'error' | 'stopped'

export interface RelayOptions {
  /** 0 = for ever. */
  readonly idleTimeoutMs: number
  /** What the other side sends is thrown away; its end is passed on. */
  readonly oneWay?: 'to-a' | 'to-b' | undefined
  /** The poorest decides. They stay their owner's. */
  readonly limits?: readonly Bandwidth[]
  /** Further ones of what a sends: it takes the tokens that what b sends takes (relay-limits.ts). */
  readonly limitsOfA?: readonly Bandwidth[]
  /** Once; both connections are closed by then. */
  onRelayed(stats: RelayStats): void
}

export interface Relay {
  /** So far. */
  readonly bytesToA: number
  readonly bytesToB: number
  /** Resets both. */
  stop(): void
}

/**
 * Callbacks never run inside the call that asked for them: `done` of a connect comes in a later turn, also for errors
 * found at once.
 */
export interface Engine {
  readonly name: 'native' | 'node'
  readonly powers: Powers
  /** Throws CommError. */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener
  /** Datagrams; `onFlow` hears of each new (client, destination) as if it were a connection. Throws CommError. */
  receive(options: ReceiveOptions, onFlow: (connection: Connection) => void): Listener
  connect(options: ConnectOptions, timeoutMs: number, done: ConnectDone): Attempt
  /** The connected descriptor as a Node socket of its own. */
  connectSocket(options: ConnectOptions, timeoutMs: number, done: SocketDone): Attempt
  /** Takes both over where the kernel can move the bytes; null: it cannot, comm copies. */
  relay(a: Connection, b: Connection, options: RelayOptions): Relay | null
  /** Lusca's calls on bare descriptors; null where the engine has none. */
  readonly descriptors: Descriptors | null
  fdTable(): readonly FdEntry[]
  /** Everything; connections get 'shutdown'. */
  close(): void
}

export const COMM_SELECT_READ = 1
export const COMM_SELECT_WRITE = 2

export interface OpenOptions {
  readonly type: 'tcp' | 'udp'
  /** Bound to it when an address or port is given, or COMM_DOBIND is set. */
  readonly endpoint: Endpoint
  readonly flags: number
  readonly mark?: number
  readonly tos?: number
  readonly device?: string
  readonly note: string
}

/** Bare descriptors in Lusca's manner: for what is no TCP stream of ours. */
export interface Descriptors {
  open(options: OpenOptions): number
  /** A descriptor that was opened elsewhere is one of these from here on. */
  adopt(fd: number, note: string): void
  /** One shot: armed anew by its owner. null disarms. A ready descriptor is reported in a later turn. */
  setSelect(fd: number, which: number, ready: ((fd: number) => void) | null): void
  /** Replaces the deadline; 0 clears it. Without a handler the descriptor is closed when it passes. */
  setTimeout(fd: number, delayMs: number, passed: ((fd: number) => void) | null): void
  addCloseHandler(fd: number, handler: (fd: number) => void): void
  deferRead(fd: number): void
  resumeRead(fd: number): void
  close(fd: number): void
  resetClose(fd: number): void
}
