import type { ContentReader } from '../../cache/index.ts'

const pieceBytes = 64 * 1024

export interface PiecesOwner {
  /** False: no more until `resume`. */
  onPiece(piece: Buffer): boolean
  /** Last, where all were given. */
  onAll(): void
  /** Last, where they cannot be read. */
  onUnread(): void
}

/** Bytes [from, to) of a content, given piece by piece as fast as they are taken. The reader stays open. */
export class StoredPieces {
  readonly #reader: ContentReader
  readonly #to: number
  readonly #owner: PiecesOwner
  #at: number
  #paused = false
  #reading = false
  #over = false

  constructor(reader: ContentReader, from: number, to: number, owner: PiecesOwner) {
    this.#reader = reader
    this.#at = from
    this.#to = to
    this.#owner = owner
  }

  /** Begins, or goes on. */
  resume(): void {
    this.#paused = false
    if (!this.#reading) this.#next()
  }

  /** Nothing is called after it. */
  stop(): void {
    this.#over = true
  }

  #next(): void {
    if (this.#over || this.#paused) return
    if (this.#at >= this.#to) {
      this.#over = true
      this.#owner.onAll()
      return
    }
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, this.#to - this.#at))
    this.#reading = true
    void this.#reader.read(this.#at, piece).then(count => {
      this.#reading = false
      if (!this.#over) this.#give(piece, count)
    })
  }

  #give(piece: Buffer, count: number): void {
    if (count <= 0) {
      this.#over = true
      this.#owner.onUnread()
      return
    }
    this.#at += count
    if (!this.#owner.onPiece(count === piece.length ? piece : piece.subarray(0, count))) this.#paused = true
    this.#next()
  }
}
