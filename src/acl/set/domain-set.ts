// Domain names as one hash table over their bytes. `.example.com` means the name and all below it, `example.com` the
// name alone. A host is walked once from its end; at each label boundary the hash of what was walked is looked up. No
// text is cut, nothing is allocated; a million names cost their bytes and about 20 more each, none of it on the heap.

const exact = 1
const below = 2 // the name itself too

export class DomainSet {
  readonly #bytes: Uint8Array
  /** Where name i begins in `#bytes`; one more at the end. */
  readonly #begins: Uint32Array
  readonly #kinds: Uint8Array
  readonly #hashes: Uint32Array
  /** Number of a name plus one; 0 = free. Twice as many as names or more, a power of two. */
  readonly #slots: Uint32Array
  readonly count: number

  constructor(bytes: Uint8Array, begins: Uint32Array, kinds: Uint8Array, hashes: Uint32Array, slots: Uint32Array) {
    this.#bytes = bytes
    this.#begins = begins
    this.#kinds = kinds
    this.#hashes = hashes
    this.#slots = slots
    this.count = kinds.length
  }

  /** Case and one trailing dot do not matter. */
  has(host: string): boolean {
    if (this.count === 0) return false
    let end = host.length
    if (end > 0 && host.charCodeAt(end - 1) === dot) end--
    let hash = hashSeed
    for (let i = end - 1; i >= 0; i--) {
      const code = host.charCodeAt(i)
      if (code === dot && i < end - 1 && this.#find(host, i + 1, end, hash, below)) return true
      hash = mixed(hash, lower(code))
    }
    return end > 0 && this.#find(host, 0, end, hash, exact | below)
  }

  /** Is `host` covered by a shorter name's `.`? For telling which values are not needed. */
  coveredBelow(host: string): boolean {
    const cut = host.indexOf('.')
    return cut >= 0 && this.#hasBelow(host.slice(cut + 1))
  }

  #hasBelow(host: string): boolean {
    let hash = hashSeed
    for (let i = host.length - 1; i >= 0; i--) {
      const code = host.charCodeAt(i)
      if (code === dot && this.#find(host, i + 1, host.length, hash, below)) return true
      hash = mixed(hash, lower(code))
    }
    return this.#find(host, 0, host.length, hash, below)
  }

  #find(host: string, from: number, to: number, hash: number, kinds: number): boolean {
    const mask = this.#slots.length - 1
    for (let slot = spread(hash) & mask; ; slot = (slot + 1) & mask) {
      const i = (this.#slots[slot] as number) - 1 // within by the mask
      if (i < 0) return false
      if (this.#hashes[i] === hash && this.#isAt(i, host, from, to)) return ((this.#kinds[i] as number) & kinds) !== 0
    }
  }

  #isAt(i: number, host: string, from: number, to: number): boolean {
    const begin = this.#begins[i] as number // i is a name's number
    if ((this.#begins[i + 1] as number) - begin !== to - from) return false
    for (let k = from; k < to; k++) if (this.#bytes[begin + k - from] !== lower(host.charCodeAt(k))) return false
    return true
  }
}

export class DomainSetBuilder {
  #bytes: Uint8Array
  #used = 0
  #begins: Uint32Array
  #kinds: Uint8Array
  #hashes: Uint32Array
  #slots: Uint32Array
  #count = 0

  /** How much is to be expected; more is no fault. Arrays that grow leave several times their memory behind. */
  constructor(names = 16, bytes = 256) {
    this.#bytes = new Uint8Array(Math.max(bytes, 16))
    this.#begins = new Uint32Array(Math.max(names, 16) + 1)
    this.#kinds = new Uint8Array(Math.max(names, 16))
    this.#hashes = new Uint32Array(Math.max(names, 16))
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(names, 16) * 2)))
  }

  /**
   * `name` without a leading dot, latin1. Answers what that changed: 'new'; 'same' = it was there already in these
   * words; 'wider' = it was there exactly and is now there with all below; 'covered' = it was there with all below.
   */
  add(name: string, withBelow: boolean): 'new' | 'same' | 'wider' | 'covered' {
    const hash = hashOf(name)
    const slot = this.#slotOf(name, hash)
    const i = (this.#slots[slot] ?? 0) - 1
    if (i >= 0) {
      const kind = this.#kinds[i] ?? 0
      if (withBelow) this.#kinds[i] = below
      if ((kind === below) === withBelow) return 'same'
      return withBelow ? 'wider' : 'covered'
    }
    this.#append(name, hash, withBelow ? below : exact, slot)
    return 'new'
  }

  build(): DomainSet {
    return new DomainSet(
      fitted(this.#bytes, this.#used),
      fitted(this.#begins, this.#count + 1),
      fitted(this.#kinds, this.#count),
      fitted(this.#hashes, this.#count),
      this.#slots,
    )
  }

  #append(name: string, hash: number, kind: number, slot: number): void {
    const i = this.#count++
    if (i === this.#kinds.length) this.#grow()
    while (this.#used + name.length > this.#bytes.length) {
      this.#bytes = copied(this.#bytes, new Uint8Array(this.#bytes.length * 2))
    }
    for (let k = 0; k < name.length; k++) this.#bytes[this.#used + k] = lower(name.charCodeAt(k))
    this.#used += name.length
    this.#begins[i + 1] = this.#used
    this.#kinds[i] = kind
    this.#hashes[i] = hash
    if (this.#slots.length < this.#count * 2) this.#rehash()
    else this.#slots[slot] = i + 1
  }

  #slotOf(name: string, hash: number): number {
    const mask = this.#slots.length - 1
    let slot = spread(hash) & mask
    for (;; slot = (slot + 1) & mask) {
      const i = (this.#slots[slot] ?? 0) - 1
      if (i < 0 || (this.#hashes[i] === hash && this.#isAt(i, name))) return slot
    }
  }

  #isAt(i: number, name: string): boolean {
    const begin = this.#begins[i] ?? 0
    if ((this.#begins[i + 1] ?? 0) - begin !== name.length) return false
    for (let k = 0; k < name.length; k++) if (this.#bytes[begin + k] !== lower(name.charCodeAt(k))) return false
    return true
  }

  #grow(): void {
    const room = this.#kinds.length * 2
    this.#begins = copied(this.#begins, new Uint32Array(room + 1))
    this.#kinds = copied(this.#kinds, new Uint8Array(room))
    this.#hashes = copied(this.#hashes, new Uint32Array(room))
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (let i = 0; i < this.#count; i++) {
      let slot = spread(this.#hashes[i] ?? 0) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = i + 1
    }
    this.#slots = slots
  }
}

const copied = <T extends Uint8Array | Uint32Array>(from: T, to: T): T => {
  to.set(from)
  return to
}

/** A copy where much of it is not used. */
const fitted = <T extends Uint8Array | Uint32Array>(array: T, length: number): T =>
  (length * 8 < array.length * 7 ? array.slice(0, length) : array.subarray(0, length)) as T // of the same type

const dot = 46
const hashSeed = 0x811c9dc5

const mixed = (hash: number, code: number): number => Math.imul(hash ^ code, 0x01000193) >>> 0

/** FNV leaves its last letters in the low bits; the table takes those, so stir once more. */
const spread = (hash: number): number => Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0

/** From the last letter to the first, as `has` walks. */
const hashOf = (name: string): number => {
  let hash = hashSeed
  for (let i = name.length - 1; i >= 0; i--) hash = mixed(hash, lower(name.charCodeAt(i)))
  return hash
}

const lower = (code: number): number => (code >= 65 && code <= 90 ? code + 32 : code)
