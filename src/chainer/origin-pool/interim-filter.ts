// Takes 100 Continue out of what an origin sends. RFC 9110 15.2: a client must be able to read any number of 1xx before
// the final response, asked for or not; undici closes the connection on a 100 (and on any 101 we did not ask for, which
// is right). Other 1xx go through as they are.
//
// Only the first bytes of an answer are looked at, and an answer that does not begin with `HTTP/1.x 1` passes without a
// copy. An interim head that has not come whole is kept back until it has.

const emptyLine = Buffer.from('\r\n\r\n', 'latin1')
/** `HTTP/1.1 1`: what tells interim from final. */
const needed = 10

export class InterimFilter {
  readonly #bytesMax: number
  #looking = false
  #held: Buffer | null = null
  #continued = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** A request goes out: the next byte begins an answer. */
  begin(): void {
    this.#looking = true
    this.#held = null
    this.#continued = false
  }

  /** Was there a 100 since it was asked last? */
  takeContinued(): boolean {
    const was = this.#continued
    this.#continued = false
    return was
  }

  /** What of it the parser may see now. */
  pass(chunk: Buffer): Buffer | null {
    if (!this.#looking) return chunk
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = null
    if (bytes.length >= needed && bytes[9] !== 0x31) {
      this.#looking = false
      return bytes
    }
    return this.#sift(bytes)
  }

  /** Nothing more will come: whatever was kept back. */
  release(): Buffer | null {
    const held = this.#held
    this.#held = null
    this.#looking = false
    return held
  }

  #sift(bytes: Buffer): Buffer | null {
    let at = 0
    let passed: Buffer | null = null
    for (;;) {
      const left = bytes.length - at
      if (left === 0) return passed
      if (left >= needed && bytes[at + 9] !== 0x31) {
        this.#looking = false
        return join(passed, bytes.subarray(at))
      }
      const end = left < needed ? -1 : bytes.indexOf(emptyLine, at)
      if (end < 0) {
        if (left > this.#bytesMax) {
          this.#looking = false // no head is that long; the parser says what is wrong with it
          return join(passed, bytes.subarray(at))
        }
        this.#held = bytes.subarray(at)
        return passed
      }
      const next = end + emptyLine.length
      // '0' '0': the digits after the 1
      if (bytes[at + 10] === 0x30 && bytes[at + 11] === 0x30) this.#continued = true
      else passed = join(passed, bytes.subarray(at, next))
      at = next
    }
  }
}

const join = (a: Buffer | null, b: Buffer): Buffer => (a === null ? b : Buffer.concat([a, b]))
