import type { IpKey } from '../ip-key.ts'

// Addresses as sorted ranges that do not touch, in typed arrays: a million networks take 8 MB (IPv6: 32 MB), nothing
// of it for the collector to walk, and a question is one binary search of twenty steps.

export interface IpSet {
  readonly rangesV4: number
  readonly rangesV6: number
  has(key: IpKey): boolean
}

/** Value number `inner` says nothing that number `outer` did not say; or, `whole` false, they share addresses. */
export interface Overlap {
  readonly inner: number
  readonly outer: number
  readonly whole: boolean
}

/** Collects the ranges of an ACL. `value` is the number by which an overlap is told. */
export class IpSetBuilder {
  #starts: Uint32Array<ArrayBuffer>
  #ends: Uint32Array<ArrayBuffer>
  #values: Uint32Array<ArrayBuffer>
  #count = 0
  #words = new Uint32Array(8 * 4)
  #values6 = new Uint32Array(4)
  #count6 = 0

  /** How many IPv4 ranges are to be expected; more is no fault. */
  constructor(ranges = 16) {
    const room = Math.max(ranges, 16)
    this.#starts = new Uint32Array(room)
    this.#ends = new Uint32Array(room)
    this.#values = new Uint32Array(room)
  }

  addV4(start: number, end: number, value: number): void {
    const i = this.#count++
    if (i === this.#starts.length) {
      this.#starts = grown(this.#starts)
      this.#ends = grown(this.#ends)
      this.#values = grown(this.#values)
    }
    this.#starts[i] = start
    this.#ends[i] = end
    this.#values[i] = value
  }

  /** Eight words: first address, last address. */
  addV6(range: Uint32Array, value: number): void {
    const i = this.#count6++
    if (i === this.#values6.length) {
      this.#words = grown(this.#words)
      this.#values6 = grown(this.#values6)
    }
    this.#words.set(range, i * 8)
    this.#values6[i] = value
  }

  /** `onOverlap` is told of each value that shares addresses with one before it in address order, equal ones excepted. */
  build(onOverlap?: (overlap: Overlap) => void): IpSet {
    const v4 = this.#mergeV4(onOverlap)
    const v6 = this.#mergeV6(onOverlap)
    return new RangeSet(v4.starts, v4.ends, v6)
  }

  #mergeV4(onOverlap?: (overlap: Overlap) => void): { starts: Uint32Array; ends: Uint32Array } {
    const widerFirst = (a: number, b: number) => (this.#ends[b] ?? 0) - (this.#ends[a] ?? 0) || a - b
    const order = orderBy(this.#count, i => this.#starts[i] ?? 0, widerFirst)
    const starts = new Uint32Array(this.#count)
    const ends = new Uint32Array(this.#count)
    let last = -1
    let owner = -1 // whose end is the end of the range being built
    for (const i of order) {
      const start = this.#starts[i] ?? 0
      const end = this.#ends[i] ?? 0
      const lastEnd = last < 0 ? -1 : (ends[last] ?? 0)
      if (last < 0 || start > lastEnd + 1) {
        last++
        starts[last] = start
        ends[last] = end
        owner = i
        continue
      }
      if (start <= lastEnd && onOverlap !== undefined) this.#tellV4(i, owner, onOverlap)
      if (end > lastEnd) {
        ends[last] = end
        owner = i
      }
    }
    return { starts: starts.slice(0, last + 1), ends: ends.slice(0, last + 1) }
  }

  #tellV4(inner: number, outer: number, onOverlap: (overlap: Overlap) => void): void {
    const same = this.#starts[inner] === this.#starts[outer] && this.#ends[inner] === this.#ends[outer]
    if (same) return
    onOverlap({
      inner: this.#values[inner] ?? 0,
      outer: this.#values[outer] ?? 0,
      whole: (this.#ends[inner] ?? 0) <= (this.#ends[outer] ?? 0),
    })
  }

  #mergeV6(onOverlap?: (overlap: Overlap) => void): Uint32Array {
    const words = this.#words
    const byRange = (a: number, b: number) =>
      compare(words, a * 8, words, b * 8) || compare(words, b * 8 + 4, words, a * 8 + 4) || a - b
    const order = orderBy(this.#count6, i => words[i * 8] ?? 0, byRange)
    const merged = new Uint32Array(this.#count6 * 8)
    let last = -8
    let owner = -1
    for (const i of order) {
      const overlaps = last >= 0 && compare(words, i * 8, merged, last + 4) <= 0
      if (!overlaps && !(last >= 0 && follows(merged, last + 4, words, i * 8))) {
        last += 8
        merged.set(words.subarray(i * 8, i * 8 + 8), last)
        owner = i
        continue
      }
      const whole = compare(words, i * 8 + 4, merged, last + 4) <= 0
      if (overlaps && onOverlap !== undefined) {
        const same = compare(words, i * 8, words, owner * 8) === 0 && compare(words, i * 8 + 4, words, owner * 8 + 4) === 0
        if (!same) onOverlap({ inner: this.#values6[i] ?? 0, outer: this.#values6[owner] ?? 0, whole })
      }
      if (!whole) {
        merged.set(words.subarray(i * 8 + 4, i * 8 + 8), last + 4)
        owner = i
      }
    }
    return merged.slice(0, last + 8)
  }
}

class RangeSet implements IpSet {
  readonly #starts: Uint32Array
  readonly #ends: Uint32Array
  /** Eight words per range. */
  readonly #v6: Uint32Array

  constructor(starts: Uint32Array, ends: Uint32Array, v6: Uint32Array) {
    this.#starts = starts
    this.#ends = ends
    this.#v6 = v6
  }

  get rangesV4(): number {
    return this.#starts.length
  }

  get rangesV6(): number {
    return this.#v6.length / 8
  }

  has(key: IpKey): boolean {
    return key.family === 4 ? this.#hasV4(key.a) : key.family === 6 && this.#hasV6(key)
  }

  #hasV4(address: number): boolean {
    const starts = this.#starts
    let from = 0
    let to = starts.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if ((starts[middle] as number) <= address) from = middle + 1 // within by the loop
      else to = middle
    }
    return from > 0 && (this.#ends[from - 1] as number) >= address
  }

  #hasV6(key: IpKey): boolean {
    const words = this.#v6
    let from = 0
    let to = words.length >>> 3
    while (from < to) {
      const middle = (from + to) >>> 1
      if (compareKey(words, middle * 8, key) <= 0) from = middle + 1
      else to = middle
    }
    return from > 0 && compareKey(words, (from - 1) * 8 + 4, key) >= 0
  }
}

/**
 * 0…count-1 by first address; equal ones by last address, the wider first. One native sort of (key, number) packed in
 * 64 bits, then `compare` within the runs of one key: with a comparator alone a million would take seconds.
 */
const orderBy = (count: number, key: (i: number) => number, compareRest: (a: number, b: number) => number): Uint32Array => {
  const packed = new Uint32Array(count * 2)
  for (let i = 0; i < count; i++) {
    packed[2 * i + low] = i
    packed[2 * i + high] = key(i)
  }
  new BigUint64Array(packed.buffer).sort()
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = packed[2 * i + low] ?? 0
  for (let from = 0; from < count; ) {
    let to = from + 1
    while (to < count && packed[2 * to + high] === packed[2 * from + high]) to++
    if (to - from > 1) order.subarray(from, to).sort(compareRest)
    from = to
  }
  return order
}

const compareKey = (words: Uint32Array, at: number, key: IpKey): number =>
  (words[at] as number) - key.a ||
  (words[at + 1] as number) - key.b ||
  (words[at + 2] as number) - key.c ||
  (words[at + 3] as number) - key.d

const compare = (x: Uint32Array, at: number, y: Uint32Array, from: number): number => {
  for (let i = 0; i < 4; i++) {
    const difference = (x[at + i] ?? 0) - (y[from + i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Is the address at y the one after the address at x? */
const follows = (x: Uint32Array, at: number, y: Uint32Array, from: number): boolean => {
  let carry = 1
  for (let i = 3; i >= 0; i--) {
    const sum = (x[at + i] ?? 0) + carry
    if (sum % 2 ** 32 !== (y[from + i] ?? 0)) return false
    carry = sum >= 2 ** 32 ? 1 : 0
  }
  return carry === 0
}

const grown = (old: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
  const more = new Uint32Array(old.length * 2)
  more.set(old)
  return more
}

/** Which half of a 64-bit number comes first in memory. */
const low = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1
const high = 1 - low
