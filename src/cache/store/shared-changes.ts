import type { CacheKey } from '../key.ts'

// What workers without a disk in common tell each other: keys that were invalidated, in memory all of them have mapped.
//
//   [0] a number that grows with each change   [n] how far worker n has written   then a ring of bytes for each
//
// Each writes into its own ring alone, the text first and how far it has come after it: who is killed in between has said
// nothing. Who reads compares the number, one load, and only when it is another looks into the rings. Once `tell` has
// returned, no look-up that begins afterwards in any worker misses it.
//
// Who has not looked for a whole ring, which holds thousands of keys, has missed some and is told so.

const ringBytes = 256 * 1024
/** Ring positions count in steps of four bytes and wrap at 2^32 of them. */
const wordsOfRing = ringBytes / 4
/** Stands for a key: all of them. */
const everything = 0xffff_ffff

/** Of the memory. */
export const changesBytes = (workers: number): number => headBytes(workers) + workers * ringBytes

/** A multiple of the page. */
const headBytes = (workers: number): number => Math.ceil(((workers + 1) * 4) / 4096) * 4096

export class SharedChanges {
  readonly #heads: Int32Array
  readonly #rings: readonly Buffer[]
  readonly #own: number
  /** Of each worker, how far it has been read. */
  readonly #seen: number[]
  #number: number

  /** `own` counts from 1. Zeros at first. */
  constructor(memory: ArrayBuffer, own: number, workers: number) {
    this.#heads = new Int32Array(memory, 0, workers + 1)
    this.#rings = Array.from({ length: workers }, (_, i) => Buffer.from(memory, headBytes(workers) + i * ringBytes, ringBytes))
    this.#own = own
    this.#number = Atomics.load(this.#heads, 0)
    this.#seen = this.#rings.map((_, i) => Atomics.load(this.#heads, i + 1))
  }

  /** Null: all keys. */
  tell(key: CacheKey | null): void {
    const text = key === null ? null : Buffer.from(key, 'utf8')
    const words = 1 + Math.ceil((text?.length ?? 0) / 4)
    const fits = text !== null && words < wordsOfRing / 2
    this.#write(fits ? text : null)
    Atomics.add(this.#heads, 0, 1)
  }

  #write(text: Buffer | null): void {
    const ring = this.#rings[this.#own - 1]
    if (ring === undefined) return
    let head = Atomics.load(this.#heads, this.#own)
    const put = (word: number): void => {
      ring.writeUInt32LE(word >>> 0, ((head >>> 0) % wordsOfRing) * 4)
      head = (head + 1) | 0
    }
    put(text === null ? everything : text.length)
    for (let at = 0; text !== null && at < text.length; at += 4) {
      put(text.readUIntLE(at, Math.min(4, text.length - at)))
    }
    Atomics.store(this.#heads, this.#own, head)
  }

  /** Whether others have told something since the last look. A load and a comparison. */
  get isBehind(): boolean {
    return Atomics.load(this.#heads, 0) !== this.#number
  }

  /** What the others have told, in the order of each. */
  catchUp(hear: (key: CacheKey | null) => void): void {
    this.#number = Atomics.load(this.#heads, 0)
    for (const [i, ring] of this.#rings.entries()) if (i !== this.#own - 1) this.#read(i, ring, hear)
  }

  #read(worker: number, ring: Buffer, hear: (key: CacheKey | null) => void): void {
    const head = Atomics.load(this.#heads, worker + 1)
    const from = this.#seen[worker] ?? head
    if (head === from) return
    this.#seen[worker] = head
    const keys = ((head - from) >>> 0) <= wordsOfRing ? keysIn(ring, from, head) : null
    // what has been written meanwhile may have gone over what was being read
    const overtaken = ((Atomics.load(this.#heads, worker + 1) - from) >>> 0) > wordsOfRing / 2
    if (keys === null || overtaken) hear(null)
    else for (const key of keys) hear(key)
  }
}

/** Null: all of them are meant. */
const keysIn = (ring: Buffer, from: number, head: number): CacheKey[] | null => {
  const keys: CacheKey[] = []
  for (let at = from; at !== head; ) {
    const length = ring.readUInt32LE(((at >>> 0) % wordsOfRing) * 4)
    at = (at + 1) | 0
    const words = Math.ceil(length / 4)
    if (length === everything || words > ((head - at) >>> 0)) return null
    const text = Buffer.alloc(words * 4)
    for (let i = 0; i < words; i++, at = (at + 1) | 0) ring.copy(text, i * 4, ((at >>> 0) % wordsOfRing) * 4, (((at >>> 0) % wordsOfRing) + 1) * 4)
    keys.push(text.toString('utf8', 0, length) as CacheKey) // it was written as one
  }
  return keys
}
