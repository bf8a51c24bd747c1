import { type Bytes, bytes, declareCounters, type FieldView } from '../../base/index.ts'
import { ByKey } from '../by-key.ts'
import type { CacheKey } from '../key.ts'
import { takesPlaceOf } from '../parts.ts'
import type { Selection } from '../selection.ts'
import { flag, type StoredResponse } from '../stored-response.ts'
import { Entries } from './entries.ts'
import { MemoryWalk } from './memory-walk.ts'
import { MemoryWriter } from './memory-writer.ts'
import type { RemovalPolicy } from './removal-policy.ts'
import { bytesOf, bytesWithoutContent } from './size.ts'
import type { StoreEvents } from './store-events.ts'
import type { Store, StoreLimits, StoreRefusal, Variants, Walk } from './store.ts'

// Stored responses in this process. One entry is a key with all its variants; a lookup is one look into a Map, and which
// key goes first when there is no room is the removal policy's to say. Writers take their bytes from the same limit while
// they write:
//
//   bytesMax = entries + writers (at most half)

export const memoryCounters = {
  stored: { doc: 'responses stored in memory' },
  replaced: { doc: 'stored responses whose fields a 304 or HEAD has updated' },
  removed: { doc: 'keys removed because memory was full', whenItGrows: 'cache_mem is small for the traffic' },
  variantsRemoved: {
    doc: 'variants removed because their key had too many',
    whenItGrows: 'a site varies on a field that differs in every client (User-Agent, Cookie)',
  },
  invalidated: { doc: 'stored responses invalidated by unsafe requests or purges' },
  refused: {
    doc: 'responses that were storable and did not fit',
    whenItGrows: 'maximum_object_size_in_memory or cache_mem is small for the traffic',
  },
} as const

type MemoryOpened =
  | { readonly ok: true; readonly writer: MemoryWriter }
  | { readonly ok: false; readonly reason: StoreRefusal }

export class MemoryStore implements Store {
  readonly name = 'memory'
  readonly counters = declareCounters(memoryCounters)
  /** Told of what is stored nowhere any more. */
  events: Pick<StoreEvents, 'released'> | null = null
  readonly #entries: Entries
  #limits: StoreLimits
  #writing = 0
  #count = 0
  /** Open ones, so that an invalidation reaches them. */
  readonly #writers = new ByKey<MemoryWriter>()
  readonly #walks = new Set<MemoryWalk>()

  constructor(limits: StoreLimits, policy: RemovalPolicy = 'lru') {
    this.#limits = limits
    this.#entries = new Entries(policy)
  }

  get bytes(): Bytes {
    return bytes(this.#entries.bytes + this.#writing)
  }

  get bytesMax(): Bytes {
    return this.#limits.bytesMax
  }

  /** Content of more than this is not kept. */
  get objectBytesMax(): number {
    return Math.min(this.#limits.objectBytesMax, this.#limits.bytesMax / 2)
  }

  get count(): number {
    return this.#count
  }

  /** Keys in use, for the manager. */
  get keyCount(): number {
    return this.#entries.count
  }

  lookup(key: CacheKey): Variants | null {
    return this.#entries.use(key)
  }

  peek(key: CacheKey): Variants | null {
    return this.#entries.peek(key)
  }

  touch(key: CacheKey): void {
    this.#entries.use(key)
  }

  /** Since it came here, that included; 0 = it is not here. */
  usesOf(key: CacheKey): number {
    return this.#entries.usesOf(key)
  }

  open(response: StoredResponse, request: FieldView): MemoryOpened {
    const refusal = this.#refusalOf(response)
    if (refusal !== null) {
      this.counters.refused++
      return { ok: false, reason: refusal }
    }
    const writer = new MemoryWriter(response, request, this.#contentBytesMax(response), this.#room)
    this.#writing += writer.charged
    this.#writers.add(writer)
    this.#makeRoom(0)
    return { ok: true, writer }
  }

  put(response: StoredResponse, request: FieldView): boolean {
    if (response.content !== null) return false // it is not in memory, and should not be
    let content = 0
    for (const buffer of response.body) content += buffer.length
    if (content > this.#contentBytesMax(response)) {
      this.counters.refused++
      return false
    }
    const kept = [response]
    for (const other of this.#entries.peek(response.key) ?? none) {
      if (!takesPlaceOf(response, other, request)) kept.push(other)
      else this.events?.released(other, -1)
    }
    this.#set(response.key, this.#withinLimits(byDate(kept), response))
    this.counters.stored++
    return true
  }

  replace(old: StoredResponse, by: StoredResponse): boolean {
    const variants = this.#entries.peek(old.key) ?? none
    if (!variants.includes(old)) return false
    const kept = byDate(variants.map(stored => (stored === old ? by : stored)))
    this.#set(old.key, this.#withinLimits(kept, by))
    this.counters.replaced++
    return true
  }

  remove(stored: StoredResponse): boolean {
    const variants = this.#entries.peek(stored.key) ?? none
    if (!variants.includes(stored)) return false
    this.#set(stored.key, variants.filter(other => other !== stored))
    this.events?.released(stored, -1)
    return true
  }

  invalidate(key: CacheKey): number {
    this.stopWriting(key)
    if (this.events !== null) for (const stored of this.#entries.peek(key) ?? none) this.events.released(stored, -1)
    const count = this.#forget(key)
    this.counters.invalidated += count
    return count
  }

  /** All variants of a key as a store below has them. False: they are too large. */
  adopt(key: CacheKey, variants: Variants): boolean {
    let sum = 0
    for (const stored of variants) {
      if (stored.content !== null || stored.contentLength > this.#contentBytesMax(stored)) return false
      sum += bytesOf(stored)
    }
    if (sum > this.#limits.bytesMax / 2) return false
    this.#set(key, variants)
    return true
  }

  /** Without letting others go. Content in files counts as if it were in memory. */
  hasRoomFor(variants: Variants): boolean {
    let sum = this.#entries.bytes + this.#writing
    for (const stored of variants) sum += bytesOf(stored) + (stored.content === null ? 0 : stored.contentLength)
    return sum <= this.#limits.bytesMax
  }

  /** Not here any more, but elsewhere. */
  drop(key: CacheKey): void {
    this.#forget(key)
  }

  stopWriting(key: CacheKey): number {
    for (let writer = this.#writers.first(key); writer !== null; ) {
      const next = this.#writers.next(writer)
      writer.invalidate()
      writer = next
    }
    return 0
  }

  unfinished(): readonly StoredResponse[] {
    return this.#writers.all().map(writer => writer.response)
  }

  walk(selection: Selection): Walk {
    const walk = new MemoryWalk(this.#entries, selection, () => this.#walks.delete(walk))
    this.#walks.add(walk)
    return walk
  }

  clear(): void {
    for (const writer of this.#writers.all()) writer.invalidate()
    this.dropAll()
  }

  /** As `drop`, of all; what is being written goes on. */
  dropAll(): void {
    this.#entries.clear()
    this.#count = 0
  }

  resize(limits: StoreLimits): void {
    this.#limits = limits
    for (const key of this.#entries.keys()) {
      const variants = this.#entries.peek(key) ?? none
      const [newest] = variants
      if (newest === undefined) continue
      const within = this.#withinLimits(variants, newest)
      if (within.length < variants.length) this.#set(key, within)
    }
    this.#makeRoom(0)
  }

  usePolicy(policy: RemovalPolicy): void {
    this.#entries.changePolicy(policy)
  }

  /** What writers may do to the store. */
  readonly #room = {
    mayCharge: (more: number): boolean => this.#writing + more <= this.#limits.bytesMax / 2,
    charge: (more: number): void => {
      this.#writing += more
      this.#makeRoom(0)
    },
    finish: (writer: MemoryWriter, whole: StoredResponse | null): boolean => {
      this.#writing -= writer.charged
      this.#writers.delete(writer)
      if (whole === null) {
        if (writer.refusal === 'too-large' || writer.refusal === 'busy') this.counters.refused++
        return false
      }
      return this.put(whole, writer.request)
    },
  }

  #refusalOf(response: StoredResponse): StoreRefusal | null {
    if (this.#limits.bytesMax <= 0) return 'switched-off'
    const content = response.has(flag.headOnly) ? 0 : Math.max(0, response.contentLength)
    if (content > this.#contentBytesMax(response)) return 'too-large'
    return this.#writing + bytesOf(response) > this.#limits.bytesMax / 2 ? 'busy' : null
  }

  /**
   * How much content of this response may be stored. With its head it may take half the store at most, so that no
   * single one ever empties it; negative = not even the head fits.
   */
  #contentBytesMax(response: StoredResponse): number {
    return Math.min(this.#limits.objectBytesMax, Math.floor(this.#limits.bytesMax / 2) - bytesWithoutContent(response))
  }

  /** Drops variants until their number and the bytes of the key are within limits; `kept` is the last to go. */
  #withinLimits(variants: Variants, kept: StoredResponse): Variants {
    let sum = 0
    for (const stored of variants) sum += bytesOf(stored)
    const within = variants.slice()
    while (within.length > this.#limits.variantsMax || sum > this.#limits.bytesMax / 2) {
      const last = within.findLastIndex(stored => stored !== kept)
      if (last < 0) break
      sum -= bytesOf(within[last] as StoredResponse) // last is an index of it
      within.splice(last, 1)
      this.counters.variantsRemoved++
    }
    return within
  }

  #set(key: CacheKey, variants: Variants): void {
    const uses = this.#entries.usesOf(key)
    this.#forget(key)
    if (variants.length === 0) return
    let size = 0
    for (const stored of variants) size += bytesOf(stored)
    if (size > this.#limits.bytesMax) return
    this.#makeRoom(size) // before it is there: it must not be the one that goes
    const entry = this.#entries.add(key, variants, size, uses)
    for (const walk of this.#walks) walk.moved(key, entry)
    this.#count += variants.length
  }

  /** Answers how many variants there were. */
  #forget(key: CacheKey): number {
    const count = this.#entries.delete(key)?.length ?? 0
    this.#count -= count
    return count
  }

  #makeRoom(more: number): void {
    while (this.#entries.bytes + this.#writing + more > this.#limits.bytesMax && this.#entries.count > 0) {
      const gone = this.#entries.deleteFirst()
      this.#count -= gone.length
      if (this.events !== null) for (const stored of gone) this.events.released(stored, -1)
      this.counters.removed++
    }
  }
}

const none: Variants = []

/** RFC 9111 4: of several that fit, the most recent by Date. Stable: of equal ones the first stays first. */
const byDate = (variants: readonly StoredResponse[]): Variants => {
  if (variants.length < 2) return variants
  return variants.toSorted((a, b) => b.date - a.date)
}
