import { canonicalAddress } from '../../../base/index.ts'
import type { Transaction } from '../transaction.ts'

// Is a server where the client went the one it names? An allowed name with somebody else's address would get anybody
// through a list of names.

/** The name resolves to that address, now or lately. */
export const isAt = async (t: Transaction, name: string, address: string): Promise<boolean> => {
  const { names } = t.client.deps
  const addresses = await addressesOf(t, name)
  return addresses.includes(address) || names.everSeen(name, address)
}

/** Both names lead to one server, as far as their addresses tell. */
export const areAlike = async (t: Transaction, one: string, other: string): Promise<boolean> => {
  const [ours, theirs] = await Promise.all([addressesOf(t, one), addressesOf(t, other)])
  return ours.some(address => theirs.includes(address))
}

const addressesOf = async (t: Transaction, name: string): Promise<readonly string[]> => {
  const literal = canonicalAddress(name)
  if (literal !== null) return [literal]
  const since = t.client.deps.clock.mono()
  const found = t.client.deps.names.lookup(name)
  if (!(found instanceof Promise)) return found.ok ? found.addresses : []
  const resolved = await t.client.deps.namePatience.wait(found)
  t.waitedForNames(since)
  return resolved?.ok ? resolved.addresses : []
}
