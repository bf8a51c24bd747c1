import type { Endpoint } from '../../src/base/index.ts'

/**
 * Where an accepted connection had been going, and how it came to us. The answer of clientNatLookup.
 *
 * - nat:    a NAT rule (REDIRECT, DNAT, rdr) sent it here; `destination` is what the client asked for.
 * - tproxy: the kernel gave it to a foreign-bound listener; the socket's local address is the destination.
 * - direct: nobody redirected it: the client connected to one of our own endpoints.
 * - none:   the look-up found no entry (`errno`): not redirected, or conntrack does not know it.
 * - broken: the look-up could not be made, or answered something that cannot be (`why`); never guess on from here.
 */
export type OriginalDestination =
  | { readonly kind: 'nat'; readonly destination: Endpoint }
  | { readonly kind: 'tproxy'; readonly destination: Endpoint }
  | { readonly kind: 'direct' }
  | { readonly kind: 'none'; readonly errno: string }
  | { readonly kind: 'broken'; readonly why: string }

/** How the listener asks. `none`: a plain port, nothing is looked up. */
export type NatBackend = 'none' | 'netfilter' | 'getsockname' | 'pf' | 'ipfilter'
