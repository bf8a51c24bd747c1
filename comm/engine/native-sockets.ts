import { askLocal, askOriginal, failedStep, type NativeEngine as NativeCalls, socketBits } from '../../native/index.ts'
import type { Endpoint } from '../../src/base/index.ts'
import { type Attempted, type CommError, commError, errnoName } from '../error.ts'
import { endpointToSockaddr, sockaddrIn6Bytes, sockaddrInBytes } from '../nat-lookup/index.ts'
import type { ReceiveOptions } from '../datagram/receive-options.ts'
import {
  COMM_DOBIND,
  COMM_REUSEADDR,
  COMM_TPROXY_LCL,
  COMM_TPROXY_REM,
  type ConnectOptions,
  type ListenOptions,
  type OpenOptions,
} from './engine.ts'

// What is wanted of a socket, as the addon takes it. Answers are descriptors, or negative: see socketFailure.

/** One address each, written anew for every call: the addon has done with them when it returns. */
const here = { 4: Buffer.alloc(sockaddrInBytes), 6: Buffer.alloc(sockaddrIn6Bytes) }
const there = { 4: Buffer.alloc(sockaddrInBytes), 6: Buffer.alloc(sockaddrIn6Bytes) }

const sockaddr = (place: typeof here, e: Endpoint): Buffer => {
  endpointToSockaddr(e, place[e.family], 0)
  return place[e.family]
}

export const isWildcard = ({ address }: Endpoint): boolean => address === '0.0.0.0' || address === '::'

export const openListener = (native: NativeCalls, options: ListenOptions, asks: number): number =>
  native.listen(
    options.endpoint.family,
    (options.flags & ~COMM_TPROXY_REM) | socketBits.noDelay | (options.dualStack ? socketBits.dualStack : 0),
    sockaddr(here, options.endpoint),
    options.mark ?? -1,
    -1,
    options.device ?? null,
    options.backlog,
    asks,
  )

/** The same of a socket that was opened and bound by somebody else. */
export const takeListener = (native: NativeCalls, options: ListenOptions, from: number, asks: number): number =>
  native.takeListener(
    from,
    options.endpoint.family,
    (options.flags & COMM_TPROXY_LCL) | socketBits.noDelay,
    options.backlog,
    asks,
  )

/** What the addon asks the kernel about each accepted connection; 0: all of them have the same local end, ours. */
export const asksOf = (options: ListenOptions): number => {
  const asksBackend = options.natBackend === 'netfilter' ? askOriginal : 0
  const mayDiffer = isWildcard(options.endpoint) || (options.flags & COMM_TPROXY_LCL) !== 0 || options.natBackend !== 'none'
  return asksBackend | (mayDiffer ? askLocal : 0)
}

export const startDial = (native: NativeCalls, options: ConnectOptions): number =>
  native.dial(
    options.target.family,
    (options.flags & ~COMM_TPROXY_LCL) | socketBits.noDelay | bindBits(options.source) | (options.writesFirst ? socketBits.writesFirst : 0),
    options.source === undefined ? null : sockaddr(here, options.source),
    options.mark ?? -1,
    options.tos ?? -1,
    options.device ?? null,
    sockaddr(there, options.target),
  )

/** A port of our choice must be free of TIME_WAIT; any port is chosen by connect, where it need not be unique alone. */
const bindBits = (source: Endpoint | undefined): number =>
  source === undefined ? 0 : source.port === 0 ? socketBits.bindNoPort : COMM_REUSEADDR

export const openPlain = (native: NativeCalls, options: OpenOptions): number => {
  const { endpoint } = options
  const bound = !isWildcard(endpoint) || endpoint.port !== 0 || (options.flags & COMM_DOBIND) !== 0
  return native.open(
    endpoint.family,
    options.flags | (options.type === 'udp' ? socketBits.datagram : socketBits.noDelay),
    bound ? sockaddr(here, endpoint) : null,
    options.mark ?? -1,
    options.tos ?? -1,
    options.device ?? null,
  )
}

/** `mask` 0: it is not read yet. */
export const openReceiver = (
  native: NativeCalls,
  { endpoint, flags, mark, device, bufferBytes }: ReceiveOptions,
  mask: number,
): number =>
  native.receive(
    endpoint.family,
    (flags & ~COMM_TPROXY_REM) | COMM_REUSEADDR,
    sockaddr(here, endpoint),
    mark ?? -1,
    -1,
    device ?? null,
    bufferBytes,
    mask,
  )

/** Its own address is written to `local`. */
export const openPeer = (native: NativeCalls, options: ConnectOptions, local: Buffer): number =>
  native.peer(
    options.target.family,
    // a port of our choice may be one that other peers of ours have, towards other servers
    (options.flags & ~COMM_TPROXY_LCL) | (options.source !== undefined && options.source.port !== 0 ? COMM_REUSEADDR : 0),
    options.source === undefined ? null : sockaddr(here, options.source),
    options.mark ?? -1,
    options.tos ?? -1,
    options.device ?? null,
    sockaddr(there, options.target),
    local,
  )

export const socketFailure = (answer: number, attempted: Attempted): CommError => {
  const { syscall, errno } = failedStep(answer)
  return commError(errnoName(errno), syscall, attempted)
}

export const attemptedConnect = ({ target, source, device }: ConnectOptions): Attempted => ({
  doing: 'connect',
  endpoint: target,
  ...(source === undefined ? {} : { source }),
  ...(device === undefined ? {} : { device }),
})

export const attemptedListen = ({ endpoint, device }: ListenOptions): Attempted => ({
  doing: 'listen',
  endpoint,
  ...(device === undefined ? {} : { device }),
})
