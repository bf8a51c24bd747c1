// The content of one response as it comes in, in buffers of our own: what we are given is a slice of somebody's read
// buffer, and keeping ten bytes of it would keep all of it. When the length is known, it is one buffer of exactly that
// length; otherwise blocks that double, copied together at the end.

/** One buffer is never larger. A content of more than this is several. */
export const blockBytesMax = 1024 * 1024
const firstBlockBytes = 4096

export class Content {
  /** -1 = unknown. */
  readonly #expected: number
  readonly #blocks: Buffer[] = []
  #filled = 0 // of the last block
  #length = 0
  #allocated = 0

  constructor(expected: number) {
    this.#expected = expected
  }

  get length(): number {
    return this.#length
  }

  /** Bytes of all blocks, filled or not. */
  get allocated(): number {
    return this.#allocated
  }

  /** What `append` of so many bytes would allocate. */
  needs(bytes: number): number {
    const last = this.#blocks.at(-1)
    let missing = bytes - (last === undefined ? 0 : last.length - this.#filled)
    let more = 0
    while (missing > 0) {
      const block = this.#nextBlockBytes(this.#allocated + more, missing)
      more += block
      missing -= block
    }
    return more
  }

  append(chunk: Uint8Array, kept: Buffer[] | undefined): void {
    let at = 0
    while (at < chunk.length) {
      let block = this.#blocks.at(-1)
      if (block === undefined || this.#filled === block.length) {
        // allocUnsafeSlow: memory of its own, not a slice of Node's pool
        block = Buffer.allocUnsafeSlow(this.#nextBlockBytes(this.#allocated, chunk.length - at))
        this.#blocks.push(block)
        this.#allocated += block.length
        this.#filled = 0
      }
      const size = Math.min(chunk.length - at, block.length - this.#filled)
      block.set(size === chunk.length ? chunk : chunk.subarray(at, at + size), this.#filled)
      kept?.push(block.subarray(this.#filled, this.#filled + size))
      this.#filled += size
      this.#length += size
      at += size
    }
  }

  /** The same for a buffer that will not change: it is not copied, if what came before ends with its block. */
  give(buffer: Buffer): void {
    if (this.#filled < (this.#blocks.at(-1)?.length ?? 0)) {
      this.append(buffer, undefined)
      return
    }
    this.#blocks.push(buffer)
    this.#allocated += buffer.length
    this.#length += buffer.length
    this.#filled = buffer.length
  }

  /** What has been appended so far, in pieces. */
  pieces(): readonly Buffer[] {
    const last = this.#blocks.length - 1
    return this.#blocks.map((block, i) => (i === last ? block.subarray(0, this.#filled) : block))
  }

  /** Buffers that are full to the last byte. No more appending. */
  finish(): readonly Buffer[] {
    if (this.#length === 0) return none
    const blocks = this.#blocks
    if (this.#allocated === this.#length) return blocks
    if (this.#length <= blockBytesMax) return [exactCopy(blocks, this.#length)]
    const last = blocks.pop() as Buffer // length > 0
    blocks.push(exactCopy([last], this.#filled))
    return blocks
  }

  #nextBlockBytes(allocated: number, wanted: number): number {
    if (this.#expected >= 0) return Math.min(blockBytesMax, Math.max(this.#expected - allocated, 1))
    return Math.min(blockBytesMax, Math.max(firstBlockBytes, allocated, Math.min(wanted, blockBytesMax)))
  }
}

const none: readonly Buffer[] = []

const exactCopy = (blocks: readonly Buffer[], length: number): Buffer => {
  const whole = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const block of blocks) {
    const size = Math.min(block.length, length - at)
    block.copy(whole, at, 0, size)
    at += size
  }
  return whole
}
