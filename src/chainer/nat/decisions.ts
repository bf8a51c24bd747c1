import type { Mapped } from './policy.ts'

/**
 * What was decided, so that it stays decided. Two generations: when the young one is full it becomes the old one and the
 * old one is forgotten; what is used again moves back among the young. Zorp's NAT cache, bounded as there.
 */
export class Decisions {
  readonly #generationMax: number
  #young = new Map<string, Mapped>()
  #old = new Map<string, Mapped>()

  constructor(generationMax = usualGenerationMax) {
    this.#generationMax = generationMax
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): Mapped | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, mapped: Mapped): void {
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, mapped)
  }
}

/** Zorp had 1000; 64 bytes and a key each, 5 MB when both are full. */
export const usualGenerationMax = 16_384
