import { constants } from 'node:os'
import type { Endpoint } from '../../src/base/index.ts'
import { errnoName } from '../error.ts'
import { broken, isUnfilled, natOrDirect, none, type OwnEndpointTest } from './answer.ts'
import type { OriginalDestination } from './original-destination.ts'
import { AF_INET, AF_INET6, sockaddrFamily, sockaddrIn6Bytes, sockaddrInBytes, sockaddrToEndpoint } from './sockaddr.ts'

// Linux: conntrack remembers where a REDIRECTed or DNATed connection was going; SO_ORIGINAL_DST asks it.
//
// The level follows the family that is on the wire, not that of the socket: an IPv4 client on a `::` listener has an
// AF_INET6 socket, and asked there by SOL_IPV6 the kernel knows nothing (ENOENT).

export const SO_ORIGINAL_DST = 80
export const SOL_IP = 0
export const SOL_IPV6 = 41

/** `local` with v4-mapped addresses already normalised, as every Endpoint is. */
export const netfilterLevel = (local: Endpoint): number => (local.family === 4 ? SOL_IP : SOL_IPV6)
export const netfilterLength = (local: Endpoint): number => (local.family === 4 ? sockaddrInBytes : sockaddrIn6Bytes)

// ENOENT: no entry (conntrack off, notrack, another zone). ENOPROTOOPT: nf_conntrack is not loaded, or this is no TCP.
const { ENOENT, ENOPROTOOPT } = constants.errno

/**
 * Judges what getsockopt(SO_ORIGINAL_DST) gave: `length` as it came back, or the negative errno. The kernel leaves a
 * length larger than the structure as it was, so it tells that enough is there, and nothing about the end.
 */
export const decideNetfilter = (
  sockaddrBytes: Uint8Array,
  offset: number,
  length: number,
  local: Endpoint,
  isOwnEndpoint: OwnEndpointTest,
): OriginalDestination => {
  if (length < 0) {
    if (length === -ENOENT || length === -ENOPROTOOPT) return none(-length)
    return broken(`SO_ORIGINAL_DST failed with ${errnoName(-length)}`)
  }
  if (length < netfilterLength(local)) return broken(`SO_ORIGINAL_DST answered ${length} bytes`)
  const family = sockaddrFamily(sockaddrBytes, offset)
  if (family !== (local.family === 4 ? AF_INET : AF_INET6)) {
    return broken(`SO_ORIGINAL_DST answered address family ${family} for an IPv${local.family} connection`)
  }
  const original = sockaddrToEndpoint(sockaddrBytes, offset)
  if (original === null || original.family !== local.family || isUnfilled(original)) {
    return broken('SO_ORIGINAL_DST answered no usable address')
  }
  return natOrDirect(original, local, isOwnEndpoint)
}
