import type { ResolvedName } from '../../comm/resolver.ts'
import { canonicalAddress } from '../base/index.ts'

/** comm's resolver: at once for literals, hosts and what is cached; never rejects. */
export type Lookup = (name: string) => ResolvedName | Promise<ResolvedName>

/** The addresses of a host: itself when it is one (`192.0.2.1`, `[2001:db8::1]`), else what the name stands for. */
export const addressesOf = (host: string, lookup: Lookup): ResolvedName | Promise<ResolvedName> => {
  const literal = canonicalAddress(host)
  return literal === null ? lookup(host) : { ok: true, addresses: [literal], expiresAt: forEver }
}

const forEver = Number.POSITIVE_INFINITY as Extract<ResolvedName, { ok: true }>['expiresAt']
