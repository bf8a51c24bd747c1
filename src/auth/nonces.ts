import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { MonoMs } from '../base/index.ts'

// A nonce carries its age and our signature, so that one nobody uses costs no memory: a flood of requests without
// credentials leaves nothing behind. Only of those used with a right password is kept which counts were seen.

const usedMax = 50_000
/** Counts that may overtake each other: a client sends on several connections at a time. */
const windowBits = 31

interface Use {
  /** The highest count seen, and which of those below it were. */
  highest: number
  seen: number
}

export interface NonceLimits {
  readonly ageMsMax: number
  readonly countMax: number
  /** Counts must come without a gap. */
  readonly strict: boolean
  /** Off: a nonce may be used again with the same count. */
  readonly counted: boolean
}

export class Nonces {
  readonly #key = randomBytes(32)
  readonly #used = new Map<string, Use>()

  make(now: MonoMs): string {
    const begin = Buffer.alloc(16)
    begin.writeDoubleBE(now, 0)
    randomBytes(8).copy(begin, 8)
    return Buffer.concat([begin, this.#signature(begin)]).toString('base64url')
  }

  /** Is it one of ours, and young enough? */
  isFresh(nonce: string, now: MonoMs, limits: NonceLimits): boolean {
    if (!/^[A-Za-z0-9_-]{43}$/.test(nonce)) return false
    const bytes = Buffer.from(nonce, 'base64url')
    const begin = bytes.subarray(0, 16)
    if (!timingSafeEqual(bytes.subarray(16), this.#signature(begin))) return false
    const age = now - begin.readDoubleBE(0)
    return age >= 0 && age < limits.ageMsMax
  }

  /** Notes the use; only after the password was found right. False: that count has been seen, or there were too many. */
  use(nonce: string, count: number, limits: NonceLimits): boolean {
    if (count > limits.countMax) return false
    if (!limits.counted) return true
    const use = this.#used.get(nonce)
    if (use === undefined) {
      if (limits.strict && count !== 1) return false
      this.#remember(nonce, { highest: count, seen: 1 })
      return true
    }
    const step = count - use.highest
    if (limits.strict && step !== 1) return false
    if (step > 0) {
      use.seen = step >= windowBits ? 1 : ((use.seen << step) | 1) & 0x7fffffff
      use.highest = count
      return true
    }
    const bit = 1 << -step
    if (-step >= windowBits || (use.seen & bit) !== 0) return false
    use.seen |= bit
    return true
  }

  /** Whoever is pushed out is asked again with a new nonce: its old one must not begin from nothing. */
  #remember(nonce: string, use: Use): void {
    this.#used.set(nonce, use)
    if (this.#used.size <= usedMax) return
    for (const oldest of this.#used.keys()) {
      this.#used.delete(oldest)
      this.#forgotten = Math.max(this.#forgotten, bornAt(oldest))
      return
    }
  }

  /** Nonces born up to here may have been used without our knowing. */
  #forgotten = -1

  /** Was it used and forgotten, for all we know? */
  mayBeForgotten(nonce: string): boolean {
    return !this.#used.has(nonce) && bornAt(nonce) <= this.#forgotten
  }

  /** What is too old to be used any more. */
  sweep(now: MonoMs, limits: NonceLimits): void {
    for (const nonce of this.#used.keys()) if (now - bornAt(nonce) >= limits.ageMsMax) this.#used.delete(nonce)
  }

  #signature(begin: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(begin).digest().subarray(0, 16)
  }
}

const bornAt = (nonce: string): number => Buffer.from(nonce, 'base64url').readDoubleBE(0)
