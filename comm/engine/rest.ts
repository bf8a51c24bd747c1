// What one connection still has to send after the kernel took only a part: the order is kept, small parts are
// gathered, large ones stay where they are.

const gatherBytes = 16 * 1024

export class Rest {
  readonly parts: Buffer[] = []
  /** Bytes of the first part that are gone already. */
  skip = 0
  bytes = 0
  /** The last part, while it is ours and has room. */
  #open: Buffer | null = null
  #openUsed = 0

  /** `own`: the bytes will change, they must be copied now. */
  add(part: Buffer | string, own: boolean): void {
    const length = part.length
    if (length === 0) return
    this.bytes += length
    if (length > gatherBytes / 2) {
      this.#open = null
      this.parts.push(typeof part === 'string' ? Buffer.from(part, 'latin1') : own ? Buffer.from(part) : part)
      return
    }
    if (this.#open === null || this.#openUsed + length > gatherBytes) {
      this.#open = Buffer.allocUnsafeSlow(gatherBytes)
      this.#openUsed = 0
      this.parts.push(this.#open.subarray(0, 0))
    }
    if (typeof part === 'string') this.#open.write(part, this.#openUsed, length, 'latin1')
    else this.#open.set(part, this.#openUsed)
    this.#openUsed += length
    this.parts[this.parts.length - 1] = this.#open.subarray(0, this.#openUsed)
  }

  /** `sent` bytes from the front are gone. */
  take(sent: number): void {
    this.bytes -= sent
    let left = this.skip + sent
    let whole = 0
    for (const part of this.parts) {
      if (left < part.length) break
      left -= part.length
      whole++
    }
    if (whole === this.parts.length) this.#open = null
    if (whole > 0) this.parts.splice(0, whole)
    this.skip = left
  }
}
