import type { CacheKey } from './key.ts'

// Things that live for one exchange and are looked for by key: open writers, fetches without an answer. Not a Map: V8
// chains each table a Map has outgrown to the next, and once the oldest has grown old everything that ever was in one
// survives the young collections. Here the links are in the items, and the table never grows.

export interface Keyed<T> {
  readonly key: CacheKey
  /** Of its bucket; kept by ByKey. */
  nextByKey: T | null
  formerByKey: T | null
}

/** A number below `count`, a power of two. URLs differ most at their ends. */
export const bucketOf = (key: CacheKey, count: number): number => {
  let hash = key.length
  for (let at = Math.max(0, key.length - 12); at < key.length; at++) hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0
  return (hash ^ (hash >>> 15)) & (count - 1)
}

const bucketCount = 1024

export class ByKey<T extends Keyed<T>> {
  readonly #buckets: (T | null)[] = new Array<T | null>(bucketCount).fill(null)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(item: T): void {
    const bucket = bucketOf(item.key, bucketCount)
    const head = this.#buckets[bucket] ?? null
    item.nextByKey = head
    item.formerByKey = null
    if (head !== null) head.formerByKey = item
    this.#buckets[bucket] = item
    this.#count++
  }

  /** Of what was added, once. */
  delete(item: T): void {
    if (item.formerByKey !== null) item.formerByKey.nextByKey = item.nextByKey
    else this.#buckets[bucketOf(item.key, bucketCount)] = item.nextByKey
    if (item.nextByKey !== null) item.nextByKey.formerByKey = item.formerByKey
    item.nextByKey = item.formerByKey = null
    this.#count--
  }

  /** The one added last; null: none. */
  first(key: CacheKey): T | null {
    return withKey(this.#buckets[bucketOf(key, bucketCount)] ?? null, key)
  }

  /** The next one of the same key. Ask before the present one is deleted. */
  next(item: T): T | null {
    return withKey(item.nextByKey, item.key)
  }

  /** As they are now: deleting while looking at them is fine. */
  all(): T[] {
    const all: T[] = []
    for (const head of this.#buckets) for (let item = head; item !== null; item = item.nextByKey) all.push(item)
    return all
  }
}

const withKey = <T extends Keyed<T>>(from: T | null, key: CacheKey): T | null => {
  for (let item = from; item !== null; item = item.nextByKey) if (item.key === key) return item
  return null
}
