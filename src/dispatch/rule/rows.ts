// Sets of rules, by position, that can be intersected quickly though most of them are nearly empty. A row keeps the
// words that are not zero; which ones they are stands in a mask, with the place of the first of them behind it.
//
//   words   0 0 a 0 0 b 0 ...      row   mask 0b100100   at ─┐
//                                  pool  ... a b ...  ◄──────┘

/** A row of a RowPool. */
export type Row = number

/** No rule. */
export const emptyRow: Row = 0

export class RowPool {
  /** Words of 32 positions. */
  readonly words: number
  /** Words of 32 such words. */
  readonly masks: number
  #rows: Uint32Array<ArrayBuffer>
  #rowCount = 0
  #pool = new Uint32Array(256)
  #poolCount = 0

  constructor(positions: number) {
    this.words = Math.max(1, Math.ceil(positions / 32))
    this.masks = Math.ceil(this.words / 32)
    this.#rows = new Uint32Array(this.masks * 2 * 16)
    this.add(new Uint32Array(this.words))
  }

  add(bits: Uint32Array): Row {
    const width = this.masks * 2
    if ((this.#rowCount + 1) * width > this.#rows.length) this.#rows = doubled(this.#rows)
    const row = this.#rowCount++
    for (let m = 0; m < this.masks; m++) {
      let mask = 0
      this.#rows[row * width + m * 2 + 1] = this.#poolCount
      for (let w = m * 32; w < Math.min(m * 32 + 32, this.words); w++) {
        const word = bits[w] ?? 0
        if (word === 0) continue
        mask |= 1 << (w & 31)
        if (this.#poolCount === this.#pool.length) this.#pool = doubled(this.#pool)
        this.#pool[this.#poolCount++] = word
      }
      this.#rows[row * width + m * 2] = mask
    }
    return row
  }

  /** Which of the 32 words behind `m` × 32 are not zero. */
  mask(row: Row, m: number): number {
    return this.#rows[(row * this.masks + m) * 2] as number // rows are made by add
  }

  /** Word `w`. */
  word(row: Row, w: number): number {
    const at = (row * this.masks + (w >>> 5)) * 2
    const mask = this.#rows[at] as number
    const bit = 1 << (w & 31)
    if ((mask & bit) === 0) return 0
    return this.#pool[(this.#rows[at + 1] as number) + ones(mask & (bit - 1))] as number
  }
}

/** Bits that are set. */
const ones = (word: number): number => {
  let n = word - ((word >>> 1) & 0x55555555)
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333)
  return (((n + (n >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}

const doubled = (old: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
  const more = new Uint32Array(old.length * 2)
  more.set(old)
  return more
}

export const setBit = (bits: Uint32Array, position: number): void => {
  bits[position >>> 5] = (bits[position >>> 5] ?? 0) | (1 << (position & 31))
}

export const clearBit = (bits: Uint32Array, position: number): void => {
  bits[position >>> 5] = (bits[position >>> 5] ?? 0) & ~(1 << (position & 31))
}
