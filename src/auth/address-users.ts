import type { MonoMs } from '../base/index.ts'

// authenticate_ip_shortcircuit_ttl: who has proved who he is from an address is taken to be it there for a while, though his
// next request does not say so. For programs that cannot; never where several users share an address.

/** Addresses remembered; the one proved first is forgotten first. */
const addressesMax = 20_000

export class AddressUsers {
  readonly #known = new Map<string, { readonly user: string; readonly until: number }>()

  /** '' = nobody. */
  userOf(address: string, now: MonoMs): string {
    const known = this.#known.get(address)
    if (known === undefined) return ''
    if (known.until > now) return known.user
    this.#known.delete(address)
    return ''
  }

  remember(address: string, user: string, ttlMs: number, now: MonoMs): void {
    this.#known.delete(address)
    this.#known.set(address, { user, until: now + ttlMs })
    if (this.#known.size <= addressesMax) return
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest)
      return
    }
  }
}
