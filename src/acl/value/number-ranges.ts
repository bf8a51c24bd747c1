/** Sorted numbers 0…65535 as a bit per number: port lists. */
export class NumberRanges {
  readonly #bits = new Uint32Array(2048)

  /** `80` or `1025-65535`; what is wrong with it otherwise. */
  add(text: string): 'ok' | 'bad' | 'reversed' {
    const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
    if (found === null) return 'bad'
    const from = Number(found[1])
    const to = Number(found[2] ?? found[1])
    if (from > 65535 || to > 65535) return 'bad'
    if (from > to) return 'reversed'
    for (let n = from; n <= to; n++) this.#bits[n >>> 5] = (this.#bits[n >>> 5] ?? 0) | (1 << (n & 31))
    return 'ok'
  }

  has(n: number): boolean {
    return (((this.#bits[n >>> 5] ?? 0) >>> (n & 31)) & 1) === 1
  }
}
