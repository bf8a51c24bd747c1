import { type Endpoint, sameEndpoint } from '../../src/base/index.ts'
import { errnoName } from '../error.ts'
import type { OriginalDestination } from './original-destination.ts'

// The answers all back ends share, and the one rule they share: what comes back must be another endpoint than ours.

/** Whether `e` is where this process listens: one of its listeners, reached by an address of this machine. */
export type OwnEndpointTest = (e: Endpoint) => boolean

export const direct: OriginalDestination = { kind: 'direct' }

export const broken = (why: string): OriginalDestination => ({ kind: 'broken', why })

/** One object per errno: a port that is scanned makes one of these per connection. */
const noEntries = new Map<number, OriginalDestination>()

export const none = (errno: number): OriginalDestination => {
  const known = noEntries.get(errno)
  if (known !== undefined) return known
  const answer: OriginalDestination = { kind: 'none', errno: errnoName(errno) }
  noEntries.set(errno, answer)
  return answer
}

/**
 * A look-up that worked. With conntrack on, a connection nobody redirected answers with the listener itself: followed,
 * that would be a connection to ourselves, so it is `direct`. Address *and* port count: a redirect that changes only
 * the port is one.
 */
export const natOrDirect = (original: Endpoint, local: Endpoint, isOwnEndpoint: OwnEndpointTest): OriginalDestination =>
  sameEndpoint(original, local) || isOwnEndpoint(original) ? direct : { kind: 'nat', destination: original }

/** Nobody connects to port 0 or to the unspecified address: such an answer was never filled in. */
export const isUnfilled = (e: Endpoint): boolean => e.port === 0 || e.address === '0.0.0.0' || e.address === '::'
