import type { Endpoint } from '../../base/index.ts'
import type { NatPair, NatPolicy, NatUse } from './policy.ts'

// Between router and connect, in Zorp's order (its connectTarget):
//
//   router ──► (source, target) ──► SNAT on that pair ──► new source      both look at the ends as the router gave them:
//                              └──► DNAT on that pair ──► new target      neither sees what the other made of it
//                                                             └──► zone of the new target, limit_target_zones

export interface NatPolicies {
  readonly snat: NatPolicy | null
  readonly dnat: NatPolicy | null
}

/** Null fields of `policies` cost nothing. */
export const noNat: NatPolicies = { snat: null, dnat: null }

export type NatAnswer =
  | { readonly ok: true; readonly target: Endpoint; readonly source: Endpoint | null }
  | { readonly ok: false; readonly detail: string }

/**
 * The ends of the server side connection after both policies. `source` is the router's: null = the kernel chooses; SNAT
 * then looks at the client's address, as if it had been forged, and if it has nothing to say the source stays null.
 * Refused (DENIED_BY_POLICY) where a policy rejects, or where the ends would be of two families.
 */
export const applyNat = (
  policies: NatPolicies,
  session: { readonly client: { readonly peer: Endpoint } },
  target: Endpoint,
  source: Endpoint | null,
): NatAnswer => {
  const { snat, dnat } = policies
  if (snat === null && dnat === null) return { ok: true, target, source }
  const client = session.client.peer
  const local = source ?? { ...client, port: 0 }

  const newTarget = mapped('dnat', dnat, { client, source: local, target, wanted: target.family }, target)
  if (newTarget === null) return rejected('dnat', dnat, target)
  const newSource = mapped('snat', snat, { client, source: local, target, wanted: newTarget.family }, local)
  if (newSource === null) return rejected('snat', snat, local)

  const changed = newSource !== local
  if (!changed && source === null) return { ok: true, target: newTarget, source: null }
  if (newSource.family === newTarget.family) return { ok: true, target: newTarget, source: newSource }
  const detail = `${newTarget.address} cannot be reached from ${newSource.address}: an snat policy has to give an IPv${newTarget.family} address`
  return { ok: false, detail }
}

/** The end itself where nothing changes it, null where it is rejected. */
const mapped = (use: NatUse, policy: NatPolicy | null, pair: NatPair, end: Endpoint): Endpoint | null => {
  const found = policy === null ? 'unchanged' : policy.map(use, pair)
  if (found === 'unchanged') return end
  if (found === 'rejected') return null
  const { address } = found
  return { family: address.includes(':') ? 6 : 4, address, port: found.port === 0 ? end.port : found.port }
}

const rejected = (use: NatUse, policy: NatPolicy | null, end: Endpoint): NatAnswer => ({
  ok: false,
  detail: `nat_policy ${policy?.name ?? ''} (${use}) does not map ${end.address}`,
})
