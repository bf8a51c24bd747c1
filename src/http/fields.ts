import type { FieldView } from '../base/index.ts'
import { lowerName } from './field-names.ts'

/**
 * Header or trailer fields: ordered pairs, spelled as received. Names are compared by their lower-case form, which is
 * kept beside them. Messages have a dozen fields, so looking one up is a walk over an array of shared strings.
 */
export class Fields implements FieldView {
  /** name, value, name, value ... Only this class writes it. */
  readonly pairs: string[]
  readonly #lowers: string[]

  /** Takes both arrays over: `lowers[i]` is the lower-case form of `pairs[2 * i]`. */
  constructor(pairs: string[] = [], lowers: string[] = []) {
    this.pairs = pairs
    this.#lowers = lowers
  }

  /** From pairs in order; the array is copied. */
  static from(pairs: readonly string[]): Fields {
    const lowers = new Array<string>(pairs.length >> 1)
    for (let i = 0; i < lowers.length; i++) lowers[i] = lowerName(pairs[2 * i] ?? '')
    return new Fields(pairs.slice(0, lowers.length * 2), lowers)
  }

  get size(): number {
    return this.#lowers.length
  }

  nameAt(i: number): string {
    return this.pairs[2 * i] ?? ''
  }

  lowerAt(i: number): string {
    return this.#lowers[i] ?? ''
  }

  valueAt(i: number): string {
    return this.pairs[2 * i + 1] ?? ''
  }

  /** The index of the next field of that name at or after `from`, or -1. */
  indexOf(lower: string, from = 0): number {
    const lowers = this.#lowers
    for (let i = from; i < lowers.length; i++) if (lowers[i] === lower) return i
    return -1
  }

  /** The value of the first line of that name. */
  get(lower: string): string | undefined {
    const i = this.indexOf(lower)
    return i < 0 ? undefined : this.pairs[2 * i + 1]
  }

  has(lower: string): boolean {
    return this.indexOf(lower) >= 0
  }

  count(lower: string): number {
    let n = 0
    for (let i = this.indexOf(lower); i >= 0; i = this.indexOf(lower, i + 1)) n++
    return n
  }

  all(lower: string): string[] {
    const values: string[] = []
    for (let i = this.indexOf(lower); i >= 0; i = this.indexOf(lower, i + 1)) values.push(this.valueAt(i))
    return values
  }

  /** RFC 9110 5.3: the lines of that name as one list. */
  joined(lower: string): string | undefined {
    const first = this.indexOf(lower)
    if (first < 0) return undefined
    let text = this.valueAt(first)
    for (let i = this.indexOf(lower, first + 1); i >= 0; i = this.indexOf(lower, i + 1)) text += `, ${this.valueAt(i)}`
    return text
  }

  append(name: string, value: string): void {
    this.pairs.push(name, value)
    this.#lowers.push(lowerName(name))
  }

  /** One line of that name, in the place of the first there was (with the name spelled anew), else at the end. */
  set(name: string, value: string): void {
    const lower = lowerName(name)
    const first = this.indexOf(lower)
    if (first < 0) {
      this.append(name, value)
      return
    }
    this.#deleteFrom(first + 1, lower)
    this.pairs[2 * first] = name
    this.pairs[2 * first + 1] = value
  }

  /** Removes all lines of that name; tells whether there was one. */
  delete(lower: string): boolean {
    const first = this.indexOf(lower)
    if (first < 0) return false
    this.#deleteFrom(first, lower)
    return true
  }

  copy(): Fields {
    return new Fields(this.pairs.slice(), this.#lowers.slice())
  }

  #deleteFrom(from: number, lower: string): void {
    const lowers = this.#lowers
    let kept = from
    for (let i = from; i < lowers.length; i++) {
      if (lowers[i] === lower) continue
      if (kept !== i) {
        lowers[kept] = this.lowerAt(i)
        this.pairs[2 * kept] = this.nameAt(i)
        this.pairs[2 * kept + 1] = this.valueAt(i)
      }
      kept++
    }
    lowers.length = kept
    this.pairs.length = 2 * kept
  }
}
