import { variantOf } from './origin.ts'
import type { Asked } from './trace.ts'
import { beganAt, epochAt, illness, staleWindow, thing, type Thing, type World } from './world.ts'

// What a cache of this size that makes no mistake would have answered by itself: the same rules (RFC 9111, least
// recently used goes first), on numbers alone. One request after the other, nothing takes time.

interface Kept {
  epoch: number
  changes: number
  /** Seconds. */
  storedAt: number
  lifetime: number
}

export class IdealCache {
  hits = 0
  asked = 0
  readonly #world: World
  readonly #bytesMax: number
  readonly #entries = new Map<number, Map<string, Kept>>()
  #bytes = 0

  constructor(world: World, bytesMax: number) {
    this.#world = world
    this.#bytesMax = bytesMax
  }

  /** `changes`: of this object, before this request. `seenVersion`: of the client's condition, if it has one. */
  ask(of: Thing, asked: Asked, second: number, changes: number, seenVersion: string | null): void {
    this.asked++
    if (asked.method === 'POST') {
      this.#drop(of)
      return
    }
    const variant = variantOf(of, asked.coding, asked.language)
    const kept = this.#entries.get(of.id)?.get(variant)
    if (kept !== undefined) this.#touch(of.id)
    const staleFor = kept === undefined ? Number.POSITIVE_INFINITY : second - kept.storedAt - kept.lifetime
    const free = kept !== undefined && !asked.reload && of.kind !== 'validated'
    if (free && staleFor < 0) {
      this.hits++
      return
    }
    const well = illness(this.#world, of, second)
    if (free && staleFor < staleWindow(this.#world, of)) this.hits++
    if (well === 'unavailable') return
    const version = epochAt(of, second)
    if (kept !== undefined && of.etag && kept.epoch === version && kept.changes === changes) {
      // a 304: what says nothing lives the longer, the older it has become unchanged
      kept.storedAt = second
      kept.lifetime = lifetimeAt(of, version, second)
      return
    }
    if (asked.method === 'HEAD' || (well === 'breaks-off' && of.bytes > 1000)) return
    if (kept === undefined && seenVersion === `${version}.${changes}`) return // the origin's 304 was for the client
    this.#store(of, variant, { epoch: version, changes, storedAt: second, lifetime: lifetimeAt(of, version, second) })
  }

  #store(of: Thing, variant: string, kept: Kept): void {
    if (of.kind === 'private' || of.kind === 'no-store' || of.vary === 'everything') return
    if (kept.lifetime <= 0 && !of.etag && of.kind !== 'heuristic') return
    let variants = this.#entries.get(of.id)
    if (variants === undefined) this.#entries.set(of.id, (variants = new Map()))
    if (!variants.has(variant)) this.#bytes += bytesOf(of)
    variants.set(variant, kept)
    this.#touch(of.id)
    for (const [id, oldest] of this.#entries) {
      if (this.#bytes <= this.#bytesMax) break
      this.#entries.delete(id)
      this.#bytes -= oldest.size * bytesOf(thing(this.#world, id))
    }
  }

  #touch(id: number): void {
    const variants = this.#entries.get(id)
    if (variants === undefined) return
    this.#entries.delete(id)
    this.#entries.set(id, variants)
  }

  #drop(of: Thing): void {
    this.#bytes -= (this.#entries.get(of.id)?.size ?? 0) * bytesOf(of)
    this.#entries.delete(of.id)
  }
}

/** refresh_pattern . 0 20% 4320 for those that do not say. */
const lifetimeAt = (of: Thing, epoch: number, second: number): number =>
  of.kind === 'heuristic' ? Math.min(3 * 86_400, Math.ceil(0.2 * (second - beganAt(of, epoch)))) : of.lifetime

/** What a stored response takes beside its content. */
const bytesOf = (of: Thing): number => of.bytes + 1500
