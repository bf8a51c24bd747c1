import { type Bytes, type Clock, Deadlines, declareCounters, type DurationMs, elapsed, kib, type MonoMs, ms } from '../base/index.ts'
import type { Fields } from '../http/index.ts'
import { ByKey, type Keyed } from './by-key.ts'
import { Growing, type GrowingLimits, type GrowingSource } from './growing.ts'
import type { CacheKey } from './key.ts'
import type { RequestFacts } from './request-facts.ts'
import { tagsOf } from './tags.ts'

// Fetches under way, and collapsed_forwarding: which of them a request may wait for instead of making its own. At most one fetch of a key has no
// head yet; those that have one are joined by requests their Vary fits, from the first byte on.
//
//   request ── mayCollapse? ── find(key) ── joinable? ──► follow
//                                  └─ none ──► begin(key): its own fetch, which others may join
//
// A key whose response turned out to be for one client only is remembered for a while: its requests go forward side by
// side, not in a queue in which each waits for the head of the one before (Varnish calls it hit-for-miss).

export const collapseCounters = {
  begun: { doc: 'fetches that others could have joined' },
  joined: { doc: 'requests that joined the fetch of another' },
  dissolved: { doc: 'fetches whose response turned out to be for one client only' },
} as const

export interface CollapseLimits extends GrowingLimits {
  /** Fetches at a time that can be joined; beyond that requests go forward each for itself. */
  readonly growingMax: number
  /** How long a key stays remembered as not shareable, and how many are. */
  readonly unshareableMax: DurationMs
  readonly unshareableKeysMax: number
}

export const usualCollapseLimits: CollapseLimits = {
  windowBytesMax: kib(512),
  readAheadBytesMax: kib(16),
  followersMax: 4096,
  waitMax: ms(30_000), // Lusca's collapsed_forwarding_timeout
  holdMax: ms(60_000),
  growingMax: 16384,
  unshareableMax: ms(120_000), // as Varnish
  unshareableKeysMax: 4096,
}

/**
 * A request that would take a response somebody else asked for: a plain GET of the whole, or of a range for which the
 * whole is fetched (`asWhole`).
 */
export const mayCollapse = (method: string, request: RequestFacts | null, asWhole = false): boolean => {
  if (method !== 'GET') return false
  if (request === null) return true
  if ((request.range && !asWhole) || request.forOrigin || request.reload) return false
  const { noStore, onlyIfCached, maxAge, maxStale, minFresh } = request.control
  return !noStore && !onlyIfCached && maxAge === null && maxStale === null && minFresh === null
}

/** Fetches of one key whose heads are still to come, and whose responses may be stored then. */
export class Asking implements Keyed<Asking> {
  readonly key: CacheKey
  nextByKey: Asking | null = null
  formerByKey: Asking | null = null
  /** Kept by Collapse. */
  count = 0
  /** The key was invalidated meanwhile: the responses may be older than the change, however late they come. */
  outdated = false
  /** How many tags had been purged when it began. */
  readonly since: number

  constructor(key: CacheKey, since: number) {
    this.key = key
    this.since = since
  }
}

export class Collapse {
  /** collapsed_forwarding. Switched off, fetches that are joined already go on. */
  on: boolean
  /** collapsed_forwarding_timeout: how long a request waits for the head of another's fetch; of those that begin from now on. */
  waitMax: DurationMs
  /** read_ahead_gap, for fetches that begin from now on. */
  readAheadBytesMax: Bytes
  readonly counters = declareCounters(collapseCounters)
  readonly #limits: CollapseLimits
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #growing = new Map<CacheKey, Growing[]>()
  #count = 0
  readonly #asking = new ByKey<Asking>()
  /** Oldest first; only while something is asked for. */
  readonly #tagPurges: { readonly tag: string; readonly number: number }[] = []
  #tagPurgeCount = 0
  #tagsUnknownUpTo = 0
  /** Oldest first. */
  readonly #unshareable = new Map<CacheKey, MonoMs>()

  constructor(on: boolean, clock: Clock, limits: CollapseLimits = usualCollapseLimits) {
    this.on = on
    this.readAheadBytesMax = limits.readAheadBytesMax
    this.waitMax = limits.waitMax
    this.#limits = limits
    this.#clock = clock
    this.#deadlines = new Deadlines(clock)
  }

  /** Fetches that can be joined, or are still being read. */
  get count(): number {
    return this.#count
  }

  /** A fetch under way that this request may follow, or null. It must pass `mayCollapse`. */
  find(key: CacheKey, request: Fields): Growing | null {
    if (!this.on) return null
    const list = this.#growing.get(key)
    if (list === undefined) return null
    for (const growing of list) {
      if (!growing.joinable(request)) continue
      this.counters.joined++
      return growing
    }
    return null
  }

  /** The fetch this request is about to make, for others to join; null if nobody may. */
  begin(key: CacheKey, source: GrowingSource): Growing | null {
    if (!this.on || this.#count >= this.#limits.growingMax || this.#isUnshareable(key)) return null
    const growing = new Growing(source, { ...this.#limits, readAheadBytesMax: this.readAheadBytesMax, waitMax: this.waitMax }, this.#deadlines, over => this.#forget(key, over))
    const list = this.#growing.get(key)
    if (list === undefined) this.#growing.set(key, [growing])
    else list.push(growing)
    this.#count++
    this.counters.begun++
    return growing
  }

  /** The response may not be stored: sends off who waits, and remembers. */
  dissolve(key: CacheKey, growing: Growing): void {
    this.counters.dissolved++
    this.#unshareable.delete(key)
    this.#unshareable.set(key, this.#clock.mono())
    if (this.#unshareable.size > this.#limits.unshareableKeysMax) {
      for (const oldest of this.#unshareable.keys()) {
        this.#unshareable.delete(oldest)
        break
      }
    }
    growing.dissolve('not-shareable')
  }

  /** Keys of which a response is on its way that may be stored. */
  get askingCount(): number {
    return this.#asking.count
  }

  /** A fetch begins whose response may be stored, be it shared or not. `answered` ends this. */
  asking(key: CacheKey): Asking {
    let asking = this.#asking.first(key)
    // what was asked for before a purge is not what was asked for after it
    if (asking === null || asking.since !== this.#tagPurgeCount) {
      asking = new Asking(key, this.#tagPurgeCount)
      this.#asking.add(asking)
    }
    asking.count++
    return asking
  }

  /** Its head has come, or never will. From the head on the store sees to what invalidates it. */
  answered(asking: Asking): void {
    if (--asking.count === 0 && !asking.outdated) this.#asking.delete(asking)
    if (this.#asking.count === 0) this.#tagPurges.length = 0
  }

  /** What is under way may be older than a change: nobody joins it any more, and it is not stored (RFC 9111 4.4). */
  invalidate(key: CacheKey): void {
    for (const growing of this.#growing.get(key) ?? none) growing.close()
    for (let asking = this.#asking.first(key); asking !== null; asking = this.#asking.first(key)) {
      asking.outdated = true
      this.#asking.delete(asking)
    }
  }

  /** Keys that are being fetched. */
  keys(): readonly CacheKey[] {
    return [...this.#growing.keys(), ...this.#asking.all().map(asking => asking.key)]
  }

  /** Responses with this tag that are on their way are not stored; what they are called is known when their heads come. */
  purgedTag(tag: string): void {
    for (const list of [...this.#growing.values()]) {
      for (const growing of [...list]) {
        // without a head it may be anything: whoever comes now is not to be given what was asked for before
        if (growing.response === null || growing.response.tags.includes(tag)) growing.close()
      }
    }
    if (this.#asking.count === 0) return
    this.#tagPurges.push({ tag, number: ++this.#tagPurgeCount })
    if (this.#tagPurges.length > tagPurgesMax) this.#tagsUnknownUpTo = this.#tagPurges.shift()?.number ?? 0
  }

  /** The response whose head has come may be older than a change. */
  isOutdated(asking: Asking, fields: Fields): boolean {
    if (asking.outdated) return true
    if (asking.since === this.#tagPurgeCount) return false
    if (asking.since < this.#tagsUnknownUpTo) return true
    const tags = tagsOf(fields) ?? none
    return this.#tagPurges.some(({ tag, number }) => number > asking.since && tags.includes(tag))
  }

  invalidateAll(): void {
    for (const key of this.keys()) this.invalidate(key)
  }

  stop(): void {
    this.#deadlines.stop()
  }

  #isUnshareable(key: CacheKey): boolean {
    const since = this.#unshareable.get(key)
    if (since === undefined) return false
    if (elapsed(since, this.#clock.mono()) < this.#limits.unshareableMax) return true
    this.#unshareable.delete(key)
    return false
  }

  #forget(key: CacheKey, over: Growing): void {
    const list = this.#growing.get(key)
    const at = list?.indexOf(over) ?? -1
    if (list === undefined || at < 0) return
    this.#count--
    if (list.length === 1) this.#growing.delete(key)
    else list.splice(at, 1)
  }
}

const none: readonly never[] = []
/** While one answer is waited for; before them, whatever has come is taken for purged. */
const tagPurgesMax = 1024
