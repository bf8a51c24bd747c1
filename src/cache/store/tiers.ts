import { type Bytes, bytes, type FieldView } from '../../base/index.ts'
import type { CacheKey } from '../key.ts'
import type { Selection } from '../selection.ts'
import type { StoredResponse } from '../stored-response.ts'
import { AskedLately } from './asked-lately.ts'
import type { DiskStore } from './disk/disk-store.ts'
import type { Disks } from './disk/disks.ts'
import type { MemoryStore } from './memory.ts'
import type { Opened, Store, StoreLimits, Variants, Walk } from './store.ts'
import { TieredWriter } from './tiered-writer.ts'

// Memory over a disk. What fits memory is in both, what does not is on disk alone; what is read from disk rises.
//
//   lookup ─► memory ─ found ─► (no more is done, and no promise made)
//                └─ no ─► disk ─ small, or a file that fits ─► memory, too, if it has room or this was asked for lately
//                            └─ larger ─► as it is: it is read while it is delivered
//
// When memory is full, something has to leave it for what rises; so that only rises which was asked for twice within as
// many others as memory holds. What is asked for once would push out what is asked for often; and as all that goes
// through memory it grows old there, so that taking it in costs V8 a major collection every few thousand times.
//
// Memory has all variants of a key or none: otherwise those it lacks would not be found while it has the others.
// So where it could only have some, it has none.
//
// Other processes may have the same disk. Before memory answers, it hears what they have done (disk/sharing.ts).
//
// The disk does not hear of hits in memory. When it is the turn of a response to leave the disk, it asks whether memory
// has it, and then spares it.

export interface TierRules {
  /** memory_cache_mode: what is fetched goes into memory (always, network), and what is read from disk (always, disk). */
  readonly fetched: boolean
  readonly risen: boolean
}

/** Several variants in files rise together only up to so many bytes: only one of them has been asked for. */
const riseTogetherBytesMax = 256 * 1024
/** Memory has not all variants, and must have none. */
const incomplete = -1

interface Rising {
  readonly variants: Promise<Variants | null>
  /** Changed meanwhile: what was read is not what is stored. */
  outdated: boolean
}

export class TieredStore<Disk extends DiskStore | Disks = DiskStore | Disks> implements Store {
  readonly name = 'tiers'
  readonly memory: MemoryStore
  readonly disk: Disk
  rules: TierRules
  /** What is on its way for this key, for all keys if null, is older than a change in another process. */
  outdated: (key: CacheKey | null) => void = () => {}
  readonly #rising = new Map<CacheKey, Rising>()
  readonly #asked = new AskedLately()

  constructor(memory: MemoryStore, disk: Disk, rules: TierRules = { fetched: true, risen: true }) {
    this.memory = memory
    this.disk = disk
    this.rules = rules
    disk.usesAbove = key => memory.usesOf(key)
    disk.foreign = {
      changed: key => {
        this.#changed(key)
        memory.drop(key)
      },
      invalidated: key => {
        this.#changed(key)
        memory.invalidate(key)
        this.outdated(key)
      },
      cleared: () => {
        for (const rising of this.#rising.values()) rising.outdated = true
        memory.clear()
        this.outdated(null)
      },
    }
  }

  lookup(key: CacheKey): Variants | null | Promise<Variants | null> {
    this.disk.catchUp(key)
    const found = this.memory.lookup(key)
    if (found !== null) return found
    const rising = this.#rising.get(key)
    if (rising !== undefined && !rising.outdated) return rising.variants
    const below = this.disk.lookup(key)
    return below instanceof Promise ? below.then(variants => this.#rise(key, variants)) : this.#rise(key, below)
  }

  peek(key: CacheKey): Variants | null | Promise<Variants | null> {
    this.disk.catchUp(key)
    return this.memory.peek(key) ?? this.disk.peek(key)
  }

  touch(key: CacheKey): void {
    this.memory.touch(key)
    this.disk.touch(key)
  }

  #rise(key: CacheKey, variants: Variants | null): Variants | null | Promise<Variants | null> {
    if (variants === null || !this.rules.risen) return variants
    let inFiles = 0
    for (const stored of variants) if (stored.content !== null) inFiles += stored.contentLength
    if (!this.memory.hasRoomFor(variants) && !this.#asked.again(key, this.memory.count)) return variants
    if (inFiles === 0) {
      this.#adopt(key, variants)
      return variants
    }
    const max = variants.length === 1 ? this.memory.objectBytesMax : Math.min(riseTogetherBytesMax, this.memory.objectBytesMax)
    if (inFiles > max) return variants
    const rising: Rising = { variants: this.#readAll(variants).then(read => this.#risen(key, read, rising)), outdated: false }
    this.#rising.set(key, rising)
    return rising.variants
  }

  async #readAll(variants: Variants): Promise<StoredResponse[]> {
    const read = await Promise.all(variants.map(stored => (stored.content === null ? stored : this.disk.inMemory(stored))))
    return read.filter(stored => stored !== null)
  }

  #risen(key: CacheKey, read: StoredResponse[], rising: Rising): Variants | null | Promise<Variants | null> {
    this.disk.catchUp(key)
    if (this.#rising.get(key) === rising) this.#rising.delete(key)
    if (rising.outdated) return this.peek(key)
    if (read.length === 0) return null
    this.#adopt(key, read)
    return read
  }

  #adopt(key: CacheKey, variants: Variants): void {
    for (const stored of variants) stored.lone = false
    if (this.memory.adopt(key, variants)) for (const stored of variants) this.disk.tellRisen(stored)
  }

  #changed(key: CacheKey): void {
    if (this.#rising.size === 0) return
    const rising = this.#rising.get(key)
    if (rising !== undefined) rising.outdated = true
  }

  // ---- what comes in

  open(response: StoredResponse, request: FieldView): Opened {
    const opened = this.rules.fetched ? this.memory.open(response, request) : null
    if (opened?.ok === true) return { ok: true, writer: new TieredWriter(this, response, request, opened.writer, null) }
    const below = this.disk.open(response, request)
    // that it is too large for memory says less than why it is not on disk
    return below.ok ? { ok: true, writer: new TieredWriter(this, response, request, null, below.writer) } : below
  }

  put(response: StoredResponse, request: FieldView): boolean {
    const before = this.completeness(response.key)
    const kept = this.rules.fetched && this.memory.put(response, request)
    const written = this.alsoOnDisk(response, request, kept ? before : incomplete)
    return kept || written
  }

  /** Of memory, once it has stored something under the key; to be told to `alsoOnDisk`. */
  completeness(key: CacheKey): number {
    const has = this.memory.peek(key) !== null || !this.disk.has(key)
    return has ? this.memory.counters.variantsRemoved : incomplete
  }

  /** What memory has just stored, or has refused. */
  alsoOnDisk(stored: StoredResponse, request: FieldView, before: number): boolean {
    this.#changed(stored.key)
    const written = this.disk.put(stored, request)
    // what the disk still has is older, and would be found when memory has let go of this one
    if (!written) this.disk.invalidate(stored.key)
    // it lacked variants, or has let some go now to make room
    else if (before !== this.memory.counters.variantsRemoved) this.memory.drop(stored.key)
    return written
  }

  /** The disk has it, and memory could not. */
  onlyOnDisk(key: CacheKey): void {
    this.#changed(key)
    this.memory.drop(key)
  }

  // ---- changes

  replace(old: StoredResponse, by: StoredResponse): boolean {
    this.#changed(old.key)
    const above = this.memory.replace(old, by)
    const below = this.disk.replace(old, by)
    if (above && !below) this.disk.tell(old.key)
    // memory may have read it from disk anew meanwhile
    if (below && !above) this.memory.drop(old.key)
    return above || below
  }

  remove(stored: StoredResponse): boolean {
    this.#changed(stored.key)
    const above = this.memory.remove(stored)
    const below = this.disk.remove(stored)
    if (above && !below) this.disk.tell(stored.key)
    if (below && !above) this.memory.drop(stored.key)
    return above || below
  }

  invalidate(key: CacheKey): number {
    this.#changed(key)
    return Math.max(this.memory.invalidate(key), this.disk.invalidate(key))
  }

  stopWriting(key: CacheKey): number {
    this.#changed(key)
    this.memory.stopWriting(key)
    const below = this.disk.stopWriting(key)
    return this.memory.peek(key) === null ? below : 0
  }

  unfinished(): readonly StoredResponse[] {
    return [...this.memory.unfinished(), ...this.disk.unfinished()]
  }

  /** Disk first: what rises meanwhile is met in memory. */
  walk(selection: Selection): Walk {
    const below = this.disk.walk(selection)
    let above: Walk | null = null
    return {
      next: count => {
        const found = above === null ? below.next(count) : null
        if (found !== null) return found
        above ??= this.memory.walk(selection)
        return above.next(count)
      },
      end: () => {
        below.end()
        above?.end()
      },
    }
  }

  clear(): void {
    for (const rising of this.#rising.values()) rising.outdated = true
    this.memory.clear()
    this.disk.clear()
  }

  /** Of both together. Memory stays as it is; whoever has it may resize it first. */
  resize(limits: StoreLimits): void {
    this.disk.resize({ ...limits, bytesMax: bytes(Math.max(0, limits.bytesMax - this.memory.bytesMax)) })
  }

  get bytes(): Bytes {
    return bytes(this.memory.bytes + this.disk.bytes)
  }

  get bytesMax(): Bytes {
    return bytes(this.memory.bytesMax + this.disk.bytesMax)
  }

  /** At least so many: either may have some that the other has let go. */
  get count(): number {
    return Math.max(this.memory.count, this.disk.count)
  }

  /** Each tier has its own. */
  readonly counters = {}
}
