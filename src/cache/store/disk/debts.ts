// Invalidations the index could not be told of: somebody else had it for too long, or the disk would not take them. They
// stand in memory all processes with the folder have in common, so that none of them answers with what they are about:
//
//   A: the index is not to be had ─► owe K ─► raise ─► answers its client
//   B: next look-up of K: somebody owes it ─► K leaves memory, and is not found on disk
//   A: the index takes it ─► raise ─► paid
//
// A slot holds one number, taken and given back in one step: whose it is, and the hash of the key. Of who died without
// paying, another does.

/** A slot stands for all keys. */
export const everything = -1

/** hash, or `everything`; `user`: among those who share the index. */
export interface Debt {
  readonly slot: bigint
  readonly hash: number
  readonly user: number
}

const hashBits = 48n
const hashMask = (1n << hashBits) - 1n
const userBits = 13n
const userMask = (1n << userBits) - 1n
const everythingBit = 1n << (hashBits + userBits)
const takenBit = everythingBit << 1n
/** At the end of the slots, for who owes everything: one for each process is enough. */
const slotsOfEverything = 32

export class Debts {
  readonly #slots: BigInt64Array
  /** Our own, by hash. */
  readonly #own = new Map<number, bigint>()

  constructor(slots: BigInt64Array) {
    this.#slots = slots
  }

  /** Others see it from the next `raise` on. False: there is no slot for it. */
  owe(user: number, hash: number): boolean {
    if (this.#own.has(hash)) return true
    const whose = takenBit | ((BigInt(user) & userMask) << hashBits)
    const slot = whose | (hash === everything ? everythingBit : BigInt(hash) & hashMask)
    const behind = this.#slots.length - slotsOfEverything
    const [from, to] = hash === everything ? [behind, this.#slots.length] : [0, behind]
    for (let i = from; i < to; i++) {
      if (Atomics.compareExchange(this.#slots, i, 0n, slot) !== 0n) continue
      this.#own.set(hash, slot)
      return true
    }
    return false
  }

  /** The index has them, or they are over otherwise. */
  paid(hash: number): void {
    const slot = this.#own.get(hash)
    if (slot === undefined) return
    this.#own.delete(hash)
    this.clear([slot])
  }

  allPaid(): void {
    if (this.#own.size === 0) return
    const slots = [...this.#own.values()]
    this.#own.clear()
    this.clear(slots)
  }

  clear(slots: readonly bigint[]): void {
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = Atomics.load(this.#slots, i)
      if (slot !== 0n && slots.includes(slot)) Atomics.compareExchange(this.#slots, i, slot, 0n)
    }
  }

  /** What others owe. */
  ofOthers(): Debt[] {
    const debts: Debt[] = []
    const own = new Set(this.#own.values())
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = Atomics.load(this.#slots, i)
      if (slot === 0n || own.has(slot)) continue
      const hash = (slot & everythingBit) !== 0n ? everything : Number(slot & hashMask)
      debts.push({ slot, hash, user: Number((slot >> hashBits) & userMask) })
    }
    return debts
  }
}

/** As it stands in a slot. */
export const userInSlot = (user: number): number => user & Number(userMask)
