import type { IpKey } from '../ip-key.ts'

// The intervals of IPv6. Addresses crowd together in few places (all of the internet is in 2000::/3, a provider's networks
// differ in a few bits), so no fixed number of leading bits leads near. The tree looks at one word of the address after
// the other:
//
//   node     the values one word has among the addresses that have the words before it in common, from min to max, cut into
//            slots of equal width
//   slot     the few values in it, one by one; where they are many, a node below that looks at the same word more closely
//   value    what holds from there on; where addresses differ in the words behind, for this very value the node below
//
// One array: a node has its slots and their values beside it, so that a question touches few lines of memory. A value is
// eight bytes, whatever the length of an address.

/** Words of an interval: first address, value. */
const width = 5

/** Values of a slot that are looked at one by one, and how many there should be: eight of them are one line of memory. */
const lookedAtMax = 32
const perSlot = 16

/** Words of a node before its slots: word × 32 + width of a slot as a shift; min; max; what holds before and behind; its end. */
const headWords = 6

/** In a slot and in a value: the rest is the place of a node. */
const nodeBit = 0x80000000

/** The first interval begins with the first address: nothing is before it. */
const none = 0

export class SixTree {
  readonly #nodes: Uint32Array

  /** Intervals in the order of their first addresses, of which the first is ::. Their values are less than 2 ** 31. */
  constructor(intervals: Uint32Array) {
    this.#nodes = new Growing(intervals).done()
  }

  /** The value of the interval that holds the address. */
  valueOf(key: IpKey): number {
    const nodes = this.#nodes
    for (let node = 0; ; ) {
      const what = nodes[node] as number // a node has its head
      const word = wordOf(key, what >>> 5)
      const min = nodes[node + 1] as number
      if (word < min) return nodes[node + 3] as number
      if (word > (nodes[node + 2] as number)) return nodes[node + 4] as number
      const slot = node + headWords + ((word - min) >>> what) * 2 // a shift takes five bits of it
      let at = nodes[slot] as number
      if (at >= nodeBit) {
        node = at - nodeBit
        continue
      }
      let value = nodes[slot + 1] as number
      const end = nodes[node + 5] as number
      // those of the next slots are behind the word
      while (at < end && (nodes[at] as number) <= word) {
        value = nodes[at + 1] as number
        at += 2
      }
      if (value < nodeBit) return value
      if (nodes[at - 2] !== word) return nodes[value - nodeBit + 4] as number
      node = value - nodeBit
    }
  }
}

class Growing {
  readonly #intervals: Uint32Array
  #nodes = new Uint32Array(256)
  #used = 0

  constructor(intervals: Uint32Array) {
    this.#intervals = intervals
    this.#node(this.#valuesIn(0, intervals.length / width, 0), 0, none)
  }

  done(): Uint32Array {
    return this.#nodes.slice(0, this.#used)
  }

  /** For the values of a word among addresses that have the words before it in common. Answers the node's place. */
  #node(values: Values, word: number, before: number): number {
    const { starts, to } = values
    const [min, max] = [this.#wordAt(starts[0] ?? 0, word), this.#wordAt(to - 1, word)]
    const shift = shiftFor(max - min, starts.length)
    const slots = ((max - min) >>> shift) + 1
    const node = this.#take(headWords + slots * 2)
    this.#nodes.set([word * 32 + shift, min, max, before, this.#valueAt(to - 1)], node)
    // nodes below lie behind the values: what a question looks at together lies together
    const below: Below[] = []
    for (let slot = 0, at = 0; slot < slots; slot++) {
      const first = at
      while (at < starts.length && (this.#wordAt(starts[at] ?? 0, word) - min) >>> shift === slot) at++
      const place = node + headWords + slot * 2
      const here = { starts: starts.slice(first, at), to: starts[at] ?? to }
      const beforeHere = first === 0 ? before : this.#valueAt((starts[first] ?? to) - 1)
      const isMany = here.starts.length > lookedAtMax
      if (isMany) below.push({ place, values: here, word, before: beforeHere })
      const entries = isMany ? 0 : this.#entries(here, word, beforeHere, below)
      this.#nodes.set([entries, beforeHere], place)
    }
    this.#nodes[node + 5] = this.#used
    for (const { place, values: those, word: next, before: held } of below) {
      const made = this.#node(those, next, held)
      this.#nodes[place] = nodeBit + made // the array may have grown meanwhile
    }
    return node
  }

  #entries({ starts, to }: Values, word: number, before: number, below: Below[]): number {
    const place = this.#take(starts.length * 2)
    starts.forEach((start, i) => {
      const end = starts[i + 1] ?? to
      const entry = place + i * 2
      this.#nodes[entry] = this.#wordAt(start, word)
      this.#nodes[entry + 1] = this.#valueAt(start)
      if (end - start === 1 && this.#isPlain(start, word)) return
      below.push({
        place: entry + 1,
        values: this.#valuesIn(start, end, word + 1),
        word: word + 1,
        before: i === 0 ? before : this.#valueAt(start - 1),
      })
    })
    return place
  }

  /** Whose words before `word` are the same. */
  #valuesIn(from: number, to: number, word: number): Values {
    const starts: number[] = []
    for (let at = from; at < to; at++) if (at === from || this.#wordAt(at, word) !== this.#wordAt(at - 1, word)) starts.push(at)
    return { starts, to }
  }

  /** Nothing behind the word but zeros: it begins with the first address that has the word. */
  #isPlain(at: number, word: number): boolean {
    for (let next = word + 1; next < width - 1; next++) if (this.#wordAt(at, next) !== 0) return false
    return true
  }

  #wordAt(at: number, word: number): number {
    return this.#intervals[at * width + word] as number // within by the callers
  }

  #valueAt(at: number): number {
    return this.#intervals[at * width + width - 1] as number
  }

  #take(words: number): number {
    const place = this.#used
    this.#used += words
    if (this.#used > this.#nodes.length) {
      const more = new Uint32Array(Math.max(this.#used, this.#nodes.length * 2))
      more.set(this.#nodes)
      this.#nodes = more
    }
    return place
  }
}

/** The intervals at which a word has another value than before, and the end of the last one. */
interface Values {
  readonly starts: readonly number[]
  readonly to: number
}

/** A node that is still to be made, and where its place is to be written. */
interface Below {
  readonly place: number
  readonly values: Values
  readonly word: number
  readonly before: number
}

/** Two at least, where there are two values. */
const shiftFor = (span: number, count: number): number => {
  let shift = 0
  while (shift < 31 && span >>> shift > count / perSlot && span >>> (shift + 1) > 0) shift++
  return shift
}

const wordOf = (key: IpKey, word: number): number => (word === 0 ? key.a : word === 1 ? key.b : word === 2 ? key.c : key.d)
