import type { Limit } from './plug-proxy.ts'

// Bandwidth that several sessions have together: one limit per client address, one per zone. A limit lives as long as
// somebody uses it.

interface Shared {
  readonly limit: Limit
  users: number
}

export class SharedLimits {
  readonly #open: (bytesPerSecond: number) => Limit
  readonly #bytesPerSecond: number
  readonly #byKey = new Map<string, Shared>()

  constructor(open: (bytesPerSecond: number) => Limit, bytesPerSecond: number) {
    this.#open = open
    this.#bytesPerSecond = bytesPerSecond
  }

  get size(): number {
    return this.#byKey.size
  }

  /** To be given back. */
  take(key: string): Limit {
    let shared = this.#byKey.get(key)
    if (shared === undefined) {
      shared = { limit: this.#open(this.#bytesPerSecond), users: 0 }
      this.#byKey.set(key, shared)
    }
    shared.users++
    return shared.limit
  }

  giveBack(key: string): void {
    const shared = this.#byKey.get(key)
    if (shared === undefined || --shared.users > 0) return
    this.#byKey.delete(key)
    shared.limit.close()
  }
}
