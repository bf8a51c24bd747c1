import type { Endpoint } from '../../src/base/index.ts'
import { broken, direct, isUnfilled, type OwnEndpointTest } from './answer.ts'
import type { OriginalDestination } from './original-destination.ts'

// TPROXY (Linux), divert-to (OpenBSD), fwd (ipfw): nothing is rewritten, so the accepted socket's own end is where the
// client was going. SO_ORIGINAL_DST must not be asked here: without conntrack it knows nothing, and with one-sided
// notrack it answers a reversed entry.

/** `local` is what getsockname said of the accepted socket. */
export const decideGetsockname = (local: Endpoint, isOwnEndpoint: OwnEndpointTest): OriginalDestination => {
  if (isUnfilled(local)) return broken('getsockname answered no usable address')
  return isOwnEndpoint(local) ? direct : { kind: 'tproxy', destination: local }
}
