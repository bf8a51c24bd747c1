import type { ByteRange } from '../../http/index.ts'

/** The bytes of a range, out of a content that comes by whole. */
export class ContentCut {
  #skip: number
  #left: number

  constructor({ first, last }: ByteRange) {
    this.#skip = first
    this.#left = last - first + 1
  }

  /** All of the range has come by. */
  get over(): boolean {
    return this.#left === 0
  }

  /** What of the next piece is in the range. */
  of(piece: Buffer): Buffer {
    const start = Math.min(this.#skip, piece.length)
    this.#skip -= start
    const part = piece.subarray(start, start + this.#left)
    this.#left -= part.length
    return part
  }
}
