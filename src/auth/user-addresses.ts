import type { MonoMs } from '../base/index.ts'

const usersMax = 50_000
const addressesMax = 1000

/** From which addresses a user comes (max_user_ip). An address is forgotten its time after it was seen last. */
export class UserAddresses {
  readonly #ttlMs: number
  readonly #users = new Map<string, Map<string, MonoMs>>()

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs
  }

  /**
   * Notes the address; true: that makes more than `max`. Strict: this address is forgotten again, so that the others go on;
   * otherwise all are, so that a user who has moved is refused once (Squid).
   */
  tooMany(user: string, address: string, max: number, strict: boolean, now: MonoMs): boolean {
    const seen = this.#of(user)
    for (const [other, at] of seen) if (now - at > this.#ttlMs) seen.delete(other)
    seen.set(address, now)
    if (seen.size <= Math.min(max, addressesMax)) return false
    if (strict) seen.delete(address)
    else seen.clear()
    return true
  }

  #of(user: string): Map<string, MonoMs> {
    const known = this.#users.get(user)
    if (known !== undefined) this.#users.delete(user) // the one seen last stands last
    const seen = known ?? new Map<string, MonoMs>()
    this.#users.set(user, seen)
    if (this.#users.size > usersMax) for (const oldest of this.#users.keys()) {
      this.#users.delete(oldest)
      break
    }
    return seen
  }
}
