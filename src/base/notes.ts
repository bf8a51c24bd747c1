// What conf and helpers say of a request beside yes and no: names with values, for the log, for ACLs, for other helpers.

/** A helper that goes on and on must not fill our memory. */
const notesMax = 128
const charsMax = 4096

/** In the order they were made; a name may have several values. */
export class Notes {
  /** name, value, name, value ... */
  readonly pairs: string[] = []

  /** Behind what the name has. */
  add(name: string, value: string): void {
    if (this.pairs.length < 2 * notesMax) this.pairs.push(name, value.length > charsMax ? value.slice(0, charsMax) : value)
  }

  /** Instead of what the name has. */
  set(name: string, value: string): void {
    this.remove(name)
    this.add(name, value)
  }

  remove(name: string): void {
    const { pairs } = this
    for (let i = pairs.length - 2; i >= 0; i -= 2) if (pairs[i] === name) pairs.splice(i, 2)
  }

  /** Pairs, as a helper answered them: a name's former values go, all its new ones come. */
  take(pairs: readonly string[]): void {
    for (let i = 0; i + 1 < pairs.length; i += 2) this.remove(pairs[i] as string) // i + 1 < length
    for (let i = 0; i + 1 < pairs.length; i += 2) this.add(pairs[i] as string, pairs[i + 1] as string)
  }

  valuesOf(name: string): string[] {
    const values: string[] = []
    for (let i = 0; i + 1 < this.pairs.length; i += 2) if (this.pairs[i] === name) values.push(this.pairs[i + 1] as string)
    return values
  }

  copy(): Notes {
    const copy = new Notes()
    copy.pairs.push(...this.pairs)
    return copy
  }
}
