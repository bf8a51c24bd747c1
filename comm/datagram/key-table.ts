// Keys of a fixed number of 32-bit words → small numbers ("rows"), for what comes with every datagram: no string, no
// object, nothing for the collector. Chained hashing over typed arrays; it doubles when full, so an operation looks at a
// handful of rows whatever the size. The hash comes from outside and must be keyed: who chooses addresses must not be
// able to choose what meets in a chain.
//
//   heads[hash & mask] ──► row ──next──► row ...        words[row * keyWords ...]

const none = -1

export class KeyTable {
  /** Keys in the table. */
  size = 0
  /** Rows looked at so far. */
  steps = 0
  readonly keyWords: number
  #words: Int32Array
  #hashes: Int32Array
  #next: Int32Array
  #heads: Int32Array
  /** First of the free rows, linked by #next. */
  #free: number

  constructor(keyWords: number, rows = 64) {
    this.keyWords = keyWords
    this.#words = new Int32Array(rows * keyWords)
    this.#hashes = new Int32Array(rows)
    this.#next = new Int32Array(rows)
    this.#heads = new Int32Array(rows).fill(none)
    this.#free = 0
    this.#linkFree(0, rows)
  }

  /** The words of all keys: those of a row begin at row * keyWords. Another array after `add`. */
  get words(): Int32Array {
    return this.#words
  }

  /** The row of the key at from[at ...], or -1. */
  find(from: Int32Array, at: number, hash: number): number {
    let row = this.#heads[hash & (this.#heads.length - 1)] ?? none
    while (row !== none) {
      this.steps++
      if (this.#hashes[row] === hash && this.#same(row, from, at)) return row
      row = this.#next[row] ?? none
    }
    return none
  }

  /** The key must not be there yet. Rows that were removed are given again. */
  add(from: Int32Array, at: number, hash: number): number {
    if (this.#free === none) this.#grow()
    const row = this.#free
    this.#free = this.#next[row] ?? none
    const begin = row * this.keyWords
    for (let i = 0; i < this.keyWords; i++) this.#words[begin + i] = from[at + i] ?? 0
    this.#hashes[row] = hash
    this.#put(row)
    this.size++
    return row
  }

  remove(row: number): void {
    const bucket = (this.#hashes[row] ?? 0) & (this.#heads.length - 1)
    const next = this.#next[row] ?? none
    let before = this.#heads[bucket] ?? none
    this.steps++
    if (before === row) this.#heads[bucket] = next
    else {
      for (; before !== none && this.#next[before] !== row; before = this.#next[before] ?? none) this.steps++
      if (before === none) return // was not there
      this.#next[before] = next
    }
    this.#next[row] = this.#free
    this.#free = row
    this.size--
  }

  #same(row: number, from: Int32Array, at: number): boolean {
    const begin = row * this.keyWords
    for (let i = 0; i < this.keyWords; i++) if (this.#words[begin + i] !== from[at + i]) return false
    return true
  }

  #put(row: number): void {
    const bucket = (this.#hashes[row] ?? 0) & (this.#heads.length - 1)
    this.#next[row] = this.#heads[bucket] ?? none
    this.#heads[bucket] = row
  }

  #grow(): void {
    const rows = this.#hashes.length
    const more = (old: Int32Array, length: number): Int32Array => {
      const made = new Int32Array(length)
      made.set(old)
      return made
    }
    this.#words = more(this.#words, 2 * rows * this.keyWords)
    this.#hashes = more(this.#hashes, 2 * rows)
    this.#next = more(this.#next, 2 * rows)
    this.#heads = new Int32Array(2 * rows).fill(none)
    for (let row = 0; row < rows; row++) this.#put(row) // all are taken, or it would not grow
    this.#linkFree(rows, 2 * rows)
  }

  #linkFree(from: number, to: number): void {
    for (let row = from; row < to; row++) this.#next[row] = row + 1 < to ? row + 1 : none
    this.#free = from
  }
}
