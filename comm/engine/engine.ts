import type { Endpoint } from '../../src/base/index.ts'
import type { NatBackend } from '../nat-lookup/original-destination.ts'

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
  readonly note: string
}

export interface ConnectOptions {
  readonly target: Endpoint
  /** Source address; port 0 = any. With COMM_TPROXY_REM it may be foreign. */
  readonly source?: Endpoint
  readonly flags: number
  /** SO_MARK, 32 bits. */
  readonly mark?: number
  /** IP_TOS / IPV6_TCLASS, 0…255. */
  readonly tos?: number
  readonly device?: string
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
