// nat-lookup: where an accepted connection had been going. Lusca's clientNatLookup as an API of its own.
//
// holds          the back ends (netfilter, getsockname, PF, IPFilter): what is asked, byte for byte, and how answers
//                are judged; Linux socket addresses as bytes
// does not hold  sockets and system calls (they are handed in), what becomes of the connection
// called by      comm's engines, once per accepted connection; intercept's doctor (self-tests)
// calls          base

export { direct, errnoName, type OwnEndpointTest } from './answer.ts'
export {
  decideNetfilter,
  netfilterLength,
  netfilterLevel,
  SO_ORIGINAL_DST,
  SOL_IP,
  SOL_IPV6,
} from './netfilter.ts'
export type { NatBackend, OriginalDestination } from './original-destination.ts'
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
