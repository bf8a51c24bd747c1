// Who was asked for not long ago: a place for each of so many keys, taken over by the next one that falls on it. It may
// forget too early, and take one key for another once in four thousand million.

const slotsMin = 256
const slotsMax = 2 ** 18

export class AskedLately {
  #slots = new Int32Array(slotsMin)

  /** Notes the key. Whether it was noted before, with about `window` others since then at most. */
  again(key: string, window: number): boolean {
    if (window > this.#slots.length && this.#slots.length < slotsMax) {
      this.#slots = new Int32Array(Math.min(slotsMax, 2 ** Math.ceil(Math.log2(window))))
    }
    const hashed = hash(key)
    const slot = (hashed ^ (hashed >>> 15)) & (this.#slots.length - 1)
    if (this.#slots[slot] === hashed) return true
    this.#slots[slot] = hashed
    return false
  }
}

/** FNV-1a over 16-bit units; never 0, which is nobody. */
const hash = (text: string): number => {
  let hashed = 0x811c9dc5 | 0
  for (let i = 0; i < text.length; i++) hashed = Math.imul(hashed ^ text.charCodeAt(i), 0x01000193)
  return hashed === 0 ? 1 : hashed
}
