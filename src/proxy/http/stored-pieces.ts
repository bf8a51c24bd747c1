import type { ContentReader, ContentSource } from '../../cache/index.ts'

const pieceBytes = 64 * 1024

export interface PiecesOwner {
  /** False: no more until `resume`. */
  onPiece(piece: Buffer): boolean
  /** Last, where all were given. */
  onAll(): void
  /** Last, where they cannot be read. */
  onUnread(): void
}

/** Bytes [from, to) of a stored content, given piece by piece as fast as they are taken. */
export class StoredPieces {
  readonly #content: ContentSource
  readonly #to: number
  readonly #owner: PiecesOwner
  #reader: ContentReader | null = null
  #at: number
  #paused = false
  #reading = false
  #over = false

  constructor(content: ContentSource, from: number, to: number, owner: PiecesOwner) {
    this.#content = content
    this.#at = from
    this.#to = to
    this.#owner = owner
  }

  start(): void {
    void this.#content.open().then(reader => {
      if (this.#over) reader?.close()
      else if (reader === null) this.#end(() => this.#owner.onUnread())
      else {
        this.#reader = reader
        this.#next()
      }
    })
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (this.#reader !== null && !this.#reading) this.#next()
  }

  /** Nothing is called after it. */
  stop(): void {
    this.#end(() => {})
  }

  #next(): void {
    if (this.#over || this.#paused || this.#reader === null) return
    if (this.#at >= this.#to) {
      this.#end(() => this.#owner.onAll())
      return
    }
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, this.#to - this.#at))
    this.#reading = true
    void this.#reader.read(this.#at, piece).then(count => {
      this.#reading = false
      if (this.#over) return
      if (count <= 0) {
        this.#end(() => this.#owner.onUnread())
        return
      }
      this.#at += count
      if (!this.#owner.onPiece(count === piece.length ? piece : piece.subarray(0, count))) this.#paused = true
      this.#next()
    })
  }

  #end(then: () => void): void {
    if (this.#over) return
    this.#over = true
    this.#reader?.close()
    then()
  }
}
