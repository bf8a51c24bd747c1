// nat-lookup: where an accepted connection had been going. Lusca's clientNatLookup as an API of its own.
//
// holds          the back ends (netfilter, getsockname, PF, IPFilter): what is asked, byte for byte, and how answers
//                are judged; their devices; their self-tests; Linux socket addresses as bytes
// does not hold  sockets and system calls (handed in as Kernel), what becomes of the connection
// called by      comm and its engines, once per accepted connection; intercept's doctor (self-tests)
// calls          base

export { direct, type OwnEndpointTest } from './answer.ts'
export type { IpfVersion } from './ipfilter.ts'
export type { Access, Files, Kernel, Pointer } from './kernel.ts'
export {
  type Accepted,
  createNatLookup,
  type NatLookup,
  type NatLookupOptions,
  type SelfTest,
  usualBackend,
} from './lookup.ts'
export {
  decideNetfilter,
  netfilterLength,
  netfilterLevel,
  SO_ORIGINAL_DST,
  SOL_IP,
  SOL_IPV6,
} from './netfilter.ts'
export type { NatBackend, OriginalDestination } from './original-destination.ts'
export type { PfSystem } from './pf.ts'
export {
  AF_INET,
  AF_INET6,
  endpointToSockaddr,
  sockaddrFamily,
  sockaddrIn6Bytes,
  sockaddrInBytes,
  sockaddrToEndpoint,
} from './sockaddr.ts'
export { decideGetsockname } from './tproxy.ts'
