import { addressBlockBytes, addressBytes, command, control } from '../../native/index.ts'

// What is to be sent, listed for one native call at the end of the turn.
//
//   slab      small parts of all connections, one after the other
//   commands  [op, fd, x, y] ...: a stretch of the slab, a large buffer by reference, a FIN, or a datagram
//
// Neighbouring stretches of one connection are one command, so that head and small content leave as one piece.

/** A part up to this is copied: cheaper than another iovec and what the native side must ask of a Buffer. */
export const copyMax = 16 * 1024
const slabBytes = 512 * 1024
const commandsMax = 2048
/** A string longer than this becomes a Buffer, so that the slab stays free for others. */
const stringMax = 64 * 1024

type Part = Buffer | string

/** A sockaddr: seven words of `words` from `at` on. */
export interface Address {
  readonly words: Int32Array
  readonly at: number
}

/** An address of ours. */
export interface Source {
  readonly family: 4 | 6
  readonly words: Int32Array
}

export class Output {
  readonly slab = Buffer.allocUnsafeSlow(slabBytes)
  readonly #words = new Int32Array(this.slab.buffer, 0, slabBytes >> 2)
  readonly commands = new Int32Array(4 * commandsMax)
  /** What the kernel did not take whole: [fd, bytes taken or -errno, first command, last + 1] ... */
  readonly results = new Int32Array(4 * commandsMax)
  readonly control: Int32Array
  readonly references: (Buffer | null)[] = []
  /** Grows with every flush; tells a connection whether its bytes of "this turn" are still here. */
  serial = 0
  #used = 0

  constructor(shared: Int32Array) {
    this.control = shared
  }

  get waiting(): boolean {
    return this.control[control.commands] !== 0
  }

  /** Lists `part` for `fd`; answers its length, or -1 when there is no room: flush, and add again. */
  add(fd: number, part: Buffer | string): number {
    const length = part.length
    if (length === 0) return 0
    const count = this.#begin()
    if (count === commandsMax) return -1
    if (typeof part === 'string') {
      if (length > stringMax) return this.#addReference(count, fd, Buffer.from(part, 'latin1'))
      if (this.#used + length > slabBytes) return -1
      this.slab.write(part, this.#used, length, 'latin1')
    } else {
      if (length > copyMax) return this.#addReference(count, fd, part)
      if (this.#used + length > slabBytes) return -1
      this.slab.set(part, this.#used)
    }
    this.#addStretch(count, fd, length)
    return length
  }

  /**
   * One datagram of `length` bytes in all. `to`: the row of a table with the peer's address, for sockets that are not
   * connected; `from`: our address, for sockets that have more than one. False: no room; flush, and add again.
   */
  addDatagram(fd: number, to: Address | null, from: Source | null, a: Part, b: Part | null, c: Part | null, length: number): boolean {
    const count = this.#begin()
    if (count + 2 > commandsMax || this.#used + addressBlockBytes + 4 + length > slabBytes) return false
    if (to !== null) this.#put(count, command.datagramTo, fd, this.#addAddress(to, from), 0)
    const at = to === null ? count : count + 1
    const begin = this.#used
    this.#copy(a)
    if (b !== null) this.#copy(b)
    if (c !== null) this.#copy(c)
    this.#put(at, command.datagram, fd, begin, length)
    return true
  }

  #copy(part: Part): void {
    if (typeof part === 'string') this.slab.write(part, this.#used, part.length, 'latin1')
    else this.slab.set(part, this.#used)
    this.#used += part.length
  }

  /** The same for one that lies in the datagram slab of this turn. */
  passDatagram(fd: number, to: Address | null, from: Source | null, start: number, length: number): boolean {
    const count = this.#begin()
    if (count + 2 > commandsMax || this.#used + addressBlockBytes + 4 > slabBytes) return false
    if (to !== null) this.#put(count, command.datagramTo, fd, this.#addAddress(to, from), 0)
    this.#put(to === null ? count : count + 1, command.datagramIn, fd, start, length)
    return true
  }

  /** Answers where it begins. */
  #addAddress({ words, at }: Address, from: Source | null): number {
    const begin = (this.#used + 3) >> 2
    for (let i = 0; i < addressBytes / 4; i++) this.#words[begin + i] = words[at + i] ?? 0
    const source = begin + addressBytes / 4
    this.#words[source] = from === null ? 0 : from.family
    if (from !== null) for (let i = 0; i < 4; i++) this.#words[source + 1 + i] = from.words[i] ?? 0
    this.#used = 4 * begin + addressBlockBytes
    return 4 * begin
  }

  /** FIN after what was listed before. False: no room. */
  addShutdown(fd: number): boolean {
    const count = this.#begin()
    if (count === commandsMax) return false
    this.#put(count, command.shutdown, fd, 0, 0)
    return true
  }

  /** The views of commands [from, to), without their first `skip` bytes. Valid until the next `add`. */
  views(from: number, to: number, skip: number): Buffer[] {
    const found: Buffer[] = []
    for (let i = from; i < to; i++) {
      const length = this.commands[4 * i + 3] ?? 0
      if (skip >= length) {
        skip -= length
        continue
      }
      const x = this.commands[4 * i + 2] ?? 0
      const isStretch = this.commands[4 * i] === command.slab
      const view = isStretch ? this.slab.subarray(x, x + length) : this.references[x]
      if (view) found.push(skip === 0 ? view : view.subarray(skip))
      skip = 0
    }
    return found
  }

  #begin(): number {
    const count = this.control[control.commands] ?? 0
    if (count === 0) {
      this.serial++
      this.#used = 0
      if (this.references.length > 0) this.references.length = 0
    }
    return count
  }

  #addStretch(count: number, fd: number, length: number): void {
    const last = 4 * (count - 1)
    if (count > 0 && this.commands[last + 1] === fd && this.commands[last] === command.slab) {
      this.commands[last + 3] = (this.commands[last + 3] ?? 0) + length // stretches follow one another without gaps
    } else this.#put(count, command.slab, fd, this.#used, length)
    this.#used += length
  }

  #addReference(count: number, fd: number, part: Buffer): number {
    const index = this.references.length
    this.references.push(part)
    this.control[control.references] = index + 1
    this.#put(count, command.reference, fd, index, part.length)
    return part.length
  }

  #put(count: number, op: number, fd: number, x: number, y: number): void {
    const at = 4 * count
    this.commands[at] = op
    this.commands[at + 1] = fd
    this.commands[at + 2] = x
    this.commands[at + 3] = y
    this.control[control.commands] = count + 1
  }
}
