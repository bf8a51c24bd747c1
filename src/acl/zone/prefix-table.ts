import { type AddressWords, maskWord, type Prefix } from '../../base/index.ts'
import type { IpKey } from '../ip-key.ts'
import { radixOrder } from './radix-order.ts'
import { SixTree } from './six-tree.ts'

// Longest prefix by search instead of by walking bits. The tree of prefixes is laid flat: every address at which the
// longest prefix changes begins an interval, and the interval holds that prefix's value.
//
//   10.0.0.0/8    ────────────────────────────────
//   10.1.0.0/16          ───────
//   intervals     |  /8  |  /16 |      /8        |  none ...
//
// In typed arrays, nothing of it for the collector to walk: a million networks take 16 MB at most for IPv4, where first
// addresses and values lie side by side, and about 20 MB for IPv6, where they become a tree (six-tree.ts). Such tables do not
// fit into a processor's cache, so what counts is how many lines of memory a question touches: for IPv4 the leading bits, 16
// where there are many networks, are a number into a small table that tells where to search.

/** Both are the same prefix, after masking; the numbers are those of `add`, in its order from 0 up. */
export interface DoublePrefix {
  readonly first: number
  readonly again: number
}

/** Values are whole numbers from 0 to this. */
export const prefixValueMax = 0x3ffffffe

export class PrefixTableBuilder {
  readonly #four = new Collected(1)
  readonly #six = new Collected(4)
  #count = 0

  /** What `find` answers for addresses whose longest prefix this is. */
  add({ family, words, length }: Pick<Prefix, 'family' | 'words' | 'length'>, value: number): void {
    const collected = family === 4 ? this.#four : this.#six
    collected.add(words, length, value, this.#count++)
  }

  /** Of doubles the first holds. */
  build(): { readonly table: PrefixTable; readonly doubles: readonly DoublePrefix[] } {
    const doubles: DoublePrefix[] = []
    const four = layFlat(this.#four, doubles)
    const six = layFlat(this.#six, doubles)
    return { table: new PrefixTable(four, six), doubles }
  }
}

/** Prefixes of one family, as they came. */
class Collected {
  readonly size: 1 | 4
  words: Uint32Array
  values = new Uint32Array(16)
  lengths = new Uint8Array(16)
  numbers = new Uint32Array(16)
  count = 0

  constructor(size: 1 | 4) {
    this.size = size
    this.words = new Uint32Array(16 * size)
  }

  add(words: AddressWords, length: number, value: number, number: number): void {
    if (this.count === this.lengths.length) this.#grow()
    const at = this.count++
    for (let i = 0; i < this.size; i++) this.words[at * this.size + i] = words[i] ?? 0
    this.lengths[at] = length
    this.numbers[at] = number
    // whether it is a single address is kept in the lowest bit
    this.values[at] = value * 2 + (length === 32 * this.size ? 1 : 0)
  }

  #grow(): void {
    const { words, values, lengths, numbers } = this
    this.words = new Uint32Array(words.length * 2)
    this.words.set(words)
    this.values = new Uint32Array(values.length * 2)
    this.values.set(values)
    this.lengths = new Uint8Array(lengths.length * 2)
    this.lengths.set(lengths)
    this.numbers = new Uint32Array(numbers.length * 2)
    this.numbers.set(numbers)
  }
}

/** No prefix holds the addresses of the interval. */
const none = 0x7fffffff

export class PrefixTable {
  /** First address and value of each interval. */
  readonly #four: Uint32Array
  /** IPv4: number of the first interval that begins at or behind each value of the leading bits. */
  readonly #index: Uint32Array
  /** Leaves the leading bits of an address. */
  readonly #shift: number
  readonly #six: SixTree

  /** First address and value of each interval: 2 words for IPv4, 5 for IPv6. */
  constructor(four: Uint32Array, six: Uint32Array) {
    this.#four = four
    this.#shift = shiftFor(four.length / 2)
    this.#index = indexOf(four, this.#shift)
    this.#six = new SixTree(six)
  }

  /** The value of the longest prefix that holds the address; -1 = none does. */
  find(key: IpKey): number {
    const value = this.#valueOf(key)
    return value === none ? -1 : value >>> 1
  }

  /** Is there a prefix of this one address? */
  hasWhole(key: IpKey): boolean {
    const value = this.#valueOf(key)
    return value !== none && (value & 1) === 1
  }

  #valueOf(key: IpKey): number {
    return key.family === 4 ? this.#valueOfFour(key.a) : key.family === 6 ? this.#six.valueOf(key) : none
  }

  #valueOfFour(address: number): number {
    const intervals = this.#four
    const slot = address >>> this.#shift
    let from = this.#index[slot] as number // the index covers every value of those bits
    let to = this.#index[slot + 1] as number
    while (from < to) {
      const middle = (from + to) >>> 1
      if ((intervals[middle * 2] as number) <= address) from = middle + 1
      else to = middle
    }
    return intervals[from * 2 - 1] as number // the first interval begins at 0: from is 1 at least
  }
}

/** An index as large as what it is for: each list of addresses in the conf is a table, and most have a few lines. */
const shiftFor = (count: number): number => (count <= 8 ? 31 : count <= 1024 ? 24 : 16)

const indexOf = (four: Uint32Array, shift: number): Uint32Array => {
  const slots = 2 ** (32 - shift)
  const index = new Uint32Array(slots + 1)
  const count = four.length / 2
  let at = 0
  for (let slot = 0; slot < slots; slot++) {
    // an address of this slot may lie in the interval that began before it: the search ends one before what it finds
    while (at < count && (four[at * 2] ?? 0) >>> shift < slot) at++
    index[slot] = at
  }
  index[slots] = count
  return index
}

const layFlat = ({ size, count, words, values, lengths, numbers }: Collected, doubles: DoublePrefix[]): Uint32Array => {
  // wider ones before those within them: that is the order of (first address, length)
  const order = radixOrder(count, 1 + 2 * size, (item, place) => {
    if (place === 0) return lengths[item] as number
    const word = words[item * size + size - 1 - ((place - 1) >> 1)] as number
    return place % 2 === 1 ? word & 0xffff : word >>> 16
  })
  const intervals = new Intervals(size, count)
  const open: { readonly end: AddressWords; readonly value: number }[] = []
  const closeUpTo = (start: AddressWords | null): void => {
    for (let top = open.at(-1); top !== undefined && (start === null || isBefore(top.end, start)); top = open.at(-1)) {
      open.pop()
      const behind = successor(top.end)
      if (behind !== null) intervals.begin(behind, open.at(-1)?.value ?? none)
    }
  }
  intervals.begin(size === 1 ? [0] : [0, 0, 0, 0], none)
  let before = -1
  for (const item of order) {
    if (before >= 0 && lengths[before] === lengths[item] && sameWords(words, before * size, item * size, size)) {
      doubles.push({ first: numbers[before] ?? 0, again: numbers[item] ?? 0 })
      continue
    }
    before = item
    const start: number[] = []
    for (let i = 0; i < size; i++) start.push(words[item * size + i] ?? 0)
    closeUpTo(start)
    const length = lengths[item] ?? 0
    const value = values[item] ?? 0
    open.push({ end: start.map((word, i) => (word | ~maskWord(length - 32 * i)) >>> 0), value })
    intervals.begin(start, value)
  }
  closeUpTo(null)
  return intervals.done()
}

/** Each as its first address and its value. */
class Intervals {
  readonly #size: 1 | 4
  readonly #words: Uint32Array
  #count = 0

  constructor(size: 1 | 4, prefixes: number) {
    this.#size = size
    this.#words = new Uint32Array((2 * prefixes + 1) * (size + 1))
  }

  /** From `start` on; what began there before lasts for no address. */
  begin(start: AddressWords, value: number): void {
    const width = this.#size + 1
    const words = this.#words
    const last = (this.#count - 1) * width
    const at = last >= 0 && this.#isAt(last, start) ? last : this.#count++ * width
    for (let i = 0; i < start.length; i++) words[at + i] = start[i] ?? 0
    words[at + start.length] = value
    if (at > 0 && words[at - 1] === value) this.#count = at / width
  }

  done(): Uint32Array {
    return this.#words.slice(0, this.#count * (this.#size + 1))
  }

  #isAt(at: number, start: AddressWords): boolean {
    for (let i = 0; i < start.length; i++) if (this.#words[at + i] !== start[i]) return false
    return true
  }
}

const isBefore = (a: AddressWords, b: AddressWords): boolean => {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

const sameWords = (words: Uint32Array, a: number, b: number, size: number): boolean => {
  for (let i = 0; i < size; i++) if (words[a + i] !== words[b + i]) return false
  return true
}

/** The address behind; null = there is none. */
const successor = (address: AddressWords): AddressWords | null => {
  const next = [...address]
  for (let i = next.length - 1; i >= 0; i--) {
    const word = next[i] ?? 0
    if (word !== 0xffffffff) {
      next[i] = word + 1
      return next
    }
    next[i] = 0
  }
  return null
}

