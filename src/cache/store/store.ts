import type { Bytes, FieldView } from '../../base/index.ts'
import type { ContentSource } from '../content-source.ts'
import type { CacheKey } from '../key.ts'
import type { Selection } from '../selection.ts'
import type { StoredResponse } from '../stored-response.ts'

// What every store does, wherever it keeps its bytes. A store knows keys, variants, sizes and order of use; it knows
// no clock and none of RFC 9111. One test file is run over all stores: test/contract/store.ts.
//
//   key ──► variants, newest Date first ──► StoredResponse (head, facts, content)
//
// - Stored responses never change. `replace` puts another in the place of one; whoever still sends the old one keeps
//   its buffers, or reads on in what he has opened, also after it was removed.
// - A response is found only when it is whole: a writer that is abandoned, outgrows its limit or comes up short
//   leaves nothing, and until its end what was stored before stays. Whoever looks for what a disk is just finishing
//   gets a promise, not a no.
// - What was opened before its key was invalidated is never stored (RFC 9111 4.4: it may be older than the change).
// - Bytes count as they are: content, head, keys and what the objects themselves take, writers included. `bytes` never
//   exceeds `bytesMax`, but for a while after `resize` has lowered it by much: nothing is removed in large steps.
// - A store whose disk fails says no to what is new and goes on with the rest. No call throws for it.

/** Newest Date first; never empty. Read only. */
export type Variants = readonly StoredResponse[]

export const storeRefusals = {
  'switched-off': 'the store has no room at all (cache_mem 0)',
  'too-large': 'larger than one object may be (maximum_object_size, maximum_object_size_in_memory, or half the store)',
  'too-small': 'smaller than what is written to disk (minimum_object_size)',
  'busy': 'responses being written take all the room they may: half the store',
  'disk-failed': 'the disk said no: full, broken, or no descriptor left. Storing pauses for a while',
  'disk-slow': 'the disk took too long to write it',
  'incomplete': 'less or more content came than Content-Length says, or nobody said that this was all (detect_broken_pconn)',
  'invalidated': 'its key was invalidated, or the store cleared, while it was being written',
  'abandoned': 'whoever wrote it gave it up',
} as const

export type StoreRefusal = keyof typeof storeRefusals

export type Opened =
  | { readonly ok: true; readonly writer: Writer }
  | { readonly ok: false; readonly reason: StoreRefusal }

export interface Store {
  readonly name: string
  /** What is stored under the key; counts as a use. Memory answers at once, a disk may promise. */
  lookup(key: CacheKey): Variants | null | Promise<Variants | null>
  /** The same without counting as a use. */
  peek(key: CacheKey): Variants | null | Promise<Variants | null>
  /** A use that happened elsewhere: a tier above answered. */
  touch(key: CacheKey): void
  /** For the content of `response`, which was asked for with `request`. */
  open(response: StoredResponse, request: FieldView): Opened
  /** A response whose content is there already. It takes the place of others as `takesPlaceOf` (parts.ts) says. */
  put(response: StoredResponse, request: FieldView): boolean
  /** The same content with other fields. False if `old` is not stored any more: nothing changes then. */
  replace(old: StoredResponse, by: StoredResponse): boolean
  /** One variant; false if it is not stored any more. */
  remove(stored: StoredResponse): boolean
  /** All variants of the key, and all that is being written under it. Answers how many variants there were. */
  invalidate(key: CacheKey): number
  /**
   * What is being written under the key is given up; what is stored stays. Answers how many of them were complete
   * already, and could be found.
   */
  stopWriting(key: CacheKey): number
  /** Heads of what is being written. */
  unfinished(): readonly StoredResponse[]
  /** A walk through all that is stored. It sees whatever stays stored while it goes on. */
  walk(selection: Selection): Walk
  clear(): void
  /** New limits (reload of the conf); removes what is too much: memory at once, a disk in small steps. */
  resize(limits: StoreLimits): void
  readonly bytes: Bytes
  readonly bytesMax: Bytes
  /** Stored responses, variants counted each. */
  readonly count: number
  /** Each with its doc where it is declared; for the manager. */
  readonly counters: Readonly<Record<string, number>>
}

export interface Walk {
  /** Looks at about so many entries; the keys among them that are meant, some perhaps twice. Null: it is over. */
  next(count: number): readonly CacheKey[] | null
  /** Must be called where it is left before its end. */
  end(): void
}

export interface StoreLimits {
  readonly bytesMax: Bytes
  readonly objectBytesMax: Bytes
  /** Variants of one key; beyond that the one used longest ago goes. */
  readonly variantsMax: number
}

/** Takes the content of one response. `complete` or `abandon` ends it; after that all calls are ignored. */
export interface Writer {
  /** Head and facts, without content. */
  readonly response: StoredResponse
  /** Content bytes so far. */
  readonly bytes: number
  /** Why it is over without having been completed; null while it goes on, or when it was. */
  readonly refusal: StoreRefusal | null
  /**
   * Copies the chunk. `kept`: the copies are appended to it, for those who read along; they stay valid whatever
   * becomes of the writer. False: it is over (see `refusal`), nothing of the chunk was kept.
   */
  append(chunk: Uint8Array, kept?: Buffer[]): boolean
  /** More waits for the disk than should: give no more until `onRelieved`. Never in memory. */
  readonly pressed: boolean
  /** Set by whoever gives. Called once the press is over, be it that the writer is. */
  onRelieved: (() => void) | null
  /** Where content [0, readable) can be read meanwhile, by those who could not keep up; null: only what was kept is. */
  readonly source: ContentSource | null
  readonly readable: number
  /** Makes it findable. Null if it is over, or is not whole (`refusal` says why). */
  complete(): StoredResponse | null
  /** No more comes: what has come is stored as `part`, whose length is `bytes`. Null as above. */
  completeAs(part: StoredResponse): StoredResponse | null
  abandon(): void
}
