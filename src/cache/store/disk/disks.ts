import { type Bytes, bytes, type FieldView } from '../../../base/index.ts'
import type { CacheKey } from '../../key.ts'
import type { Selection } from '../../selection.ts'
import type { StoredResponse } from '../../stored-response.ts'
import type { Opened, Store, StoreLimits, Variants, Walk, Writer } from '../store.ts'
import { ContentFile } from './content-file.ts'
import type { DiskCounters } from './disk-options.ts'
import { DiskStore } from './disk-store.ts'
import type { Foreign } from './sharing.ts'

// Several folders as one store. Where a response goes is chosen when it is stored, among those that take its size and
// are well; so it is looked for in all of them, and what takes the place of another removes that one wherever it is.
// A folder that fails says no for itself, and the others go on.

/** store_dir_select_algorithm */
export type DirChoice =
  | 'least-load' // the one with the largest share of its room free
  | 'round-robin'

export class Disks implements Store {
  readonly name = 'disk'
  choice: DirChoice
  #dirs: readonly DiskStore[]
  #turn = 0
  #usesAbove: (key: CacheKey) => number = () => 0
  #foreign: Foreign | null = null

  constructor(dirs: readonly DiskStore[], choice: DirChoice = 'least-load') {
    this.#dirs = dirs
    this.choice = choice
  }

  get dirs(): readonly DiskStore[] {
    return this.#dirs
  }

  /** Others from now on. Those that are not among them are the caller's to close. */
  use(dirs: readonly DiskStore[]): void {
    this.#dirs = dirs
    this.usesAbove = this.#usesAbove
    if (this.#foreign !== null) this.foreign = this.#foreign
  }

  set usesAbove(usesAbove: (key: CacheKey) => number) {
    this.#usesAbove = usesAbove
    for (const dir of this.#dirs) dir.usesAbove = usesAbove
  }

  set foreign(foreign: Foreign) {
    this.#foreign = foreign
    for (const dir of this.#dirs) dir.foreign = foreign
  }

  catchUp(key: CacheKey): void {
    const dirs = this.#dirs
    for (let i = 0; i < dirs.length; i++) (dirs[i] as DiskStore).catchUp(key) // i < length
  }

  tell(key: CacheKey): void {
    for (const dir of this.#dirs) dir.tell(key)
  }

  lookup(key: CacheKey): Variants | null | Promise<Variants | null> {
    return this.#found(dir => dir.lookup(key))
  }

  peek(key: CacheKey): Variants | null | Promise<Variants | null> {
    return this.#found(dir => dir.peek(key))
  }

  #found(look: (dir: DiskStore) => Variants | null | Promise<Variants | null>): Variants | null | Promise<Variants | null> {
    let found: Variants | null = null
    let promised: Promise<Variants | null>[] | null = null
    for (const dir of this.#dirs) {
      const here = look(dir)
      if (here instanceof Promise) (promised ??= []).push(here)
      else found = together(found, here)
    }
    if (promised === null) return found
    return Promise.all(promised).then(others => others.reduce(together, found))
  }

  touch(key: CacheKey): void {
    for (const dir of this.#dirs) if (this.#dirs.length === 1 || dir.has(key)) dir.touch(key)
  }

  has(key: CacheKey): boolean {
    return this.#dirs.some(dir => dir.has(key))
  }

  inMemory(stored: StoredResponse): Promise<StoredResponse | null> {
    const dir = this.#dirs.find(each => each.holds(stored))
    return dir === undefined ? Promise.resolve(null) : dir.inMemory(stored)
  }

  /** A tier above has taken it in. */
  tellRisen(stored: StoredResponse): void {
    for (const dir of this.#dirs) if (dir.holds(stored)) dir.tellRisen(stored)
  }

  open(response: StoredResponse, request: FieldView): Opened {
    let opened: Opened = { ok: false, reason: 'switched-off' }
    for (const dir of this.#inOrder(response)) {
      opened = dir.open(response, request)
      if (!opened.ok) continue
      return this.#dirs.length === 1 ? opened : { ok: true, writer: new DirWriter(opened.writer, stored => this.#supersede(dir, stored, request)) }
    }
    return opened
  }

  put(response: StoredResponse, request: FieldView): boolean {
    for (const dir of this.#inOrder(response)) {
      if (!dir.put(response, request)) continue
      this.#supersede(dir, response, request)
      return true
    }
    return false
  }

  /** The first choice first; those that would refuse it last, to say why. */
  #inOrder(response: StoredResponse): readonly DiskStore[] {
    const dirs = this.#dirs
    if (dirs.length < 2) return dirs
    const { content } = response
    // another name for a file can only be made beside it
    if (content instanceof ContentFile) return dirs.toSorted((a, b) => Number(b.owns(content)) - Number(a.owns(content)))
    const turn = this.#turn++
    const ranked = dirs.map((dir, i) => ({
      dir,
      refuses: Number(dir.refusalOf(response) !== null),
      // while its length is not known: where it may become longest
      shortness: response.contentLength < 0 ? -dir.objectBytesMax : 0,
      rank: this.choice === 'round-robin' ? (i + dirs.length - (turn % dirs.length)) % dirs.length : dir.load,
    }))
    ranked.sort((a, b) => a.refuses - b.refuses || a.shortness - b.shortness || a.rank - b.rank)
    return ranked.map(({ dir }) => dir)
  }

  #supersede(home: DiskStore, by: StoredResponse, request: FieldView): void {
    for (const dir of this.#dirs) if (dir !== home) dir.supersede(by, request)
  }

  replace(old: StoredResponse, by: StoredResponse): boolean {
    return this.#dirs.some(dir => dir.replace(old, by))
  }

  remove(stored: StoredResponse): boolean {
    return this.#dirs.some(dir => dir.remove(stored))
  }

  invalidate(key: CacheKey): number {
    return this.#dirs.reduce((count, dir) => count + dir.invalidate(key), 0)
  }

  stopWriting(key: CacheKey): number {
    return this.#dirs.reduce((count, dir) => count + dir.stopWriting(key), 0)
  }

  unfinished(): readonly StoredResponse[] {
    return this.#dirs.flatMap(dir => dir.unfinished())
  }

  /** One after the other. */
  walk(selection: Selection): Walk {
    const walks = this.#dirs.map(dir => dir.walk(selection))
    return {
      next: count => {
        for (let walk = walks[0]; walk !== undefined; walk = walks[0]) {
          const found = walk.next(count)
          if (found !== null) return found
          walks.shift()
        }
        return null
      },
      end: () => {
        for (const walk of walks.splice(0)) walk.end()
      },
    }
  }

  clear(): void {
    for (const dir of this.#dirs) dir.clear()
  }

  /** Of all together; each keeps its share. */
  resize(limits: StoreLimits): void {
    const before = this.bytesMax
    for (const dir of this.#dirs) {
      const share = before > 0 ? dir.bytesMax / before : 1 / this.#dirs.length
      dir.resize({ ...limits, bytesMax: bytes(Math.floor(limits.bytesMax * share)) })
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#dirs.map(dir => dir.settled()))
  }

  async close(): Promise<void> {
    await Promise.all(this.#dirs.map(dir => dir.close()))
  }

  get bytes(): Bytes {
    return bytes(this.#dirs.reduce((sum, dir) => sum + dir.bytes, 0))
  }

  get bytesMax(): Bytes {
    return bytes(this.#dirs.reduce((sum, dir) => sum + dir.bytesMax, 0))
  }

  get count(): number {
    return this.#dirs.reduce((sum, dir) => sum + dir.count, 0)
  }

  /** The sums over all folders. */
  get counters(): DiskCounters {
    const sums = { ...noneYet }
    for (const dir of this.#dirs) for (const name of names) sums[name] += dir.counters[name]
    return sums
  }
}

const noneYet: DiskCounters = {
  stored: 0, replaced: 0, removed: 0, variantsRemoved: 0, invalidated: 0, refused: 0, damaged: 0, failed: 0,
}
const names = Object.keys(noneYet) as (keyof DiskCounters)[] // keys of just that record

const together = (a: Variants | null, b: Variants | null): Variants | null => {
  if (a === null || b === null) return a ?? b
  return [...a, ...b].sort((one, other) => other.date - one.date)
}

/** A writer in one folder, of which the others hear when it is complete. */
class DirWriter implements Writer {
  readonly #writer: Writer
  readonly #completed: (stored: StoredResponse) => void

  constructor(writer: Writer, completed: (stored: StoredResponse) => void) {
    this.#writer = writer
    this.#completed = completed
  }

  get response(): StoredResponse {
    return this.#writer.response
  }

  get bytes(): number {
    return this.#writer.bytes
  }

  get refusal(): Writer['refusal'] {
    return this.#writer.refusal
  }

  get pressed(): boolean {
    return this.#writer.pressed
  }

  get onRelieved(): Writer['onRelieved'] {
    return this.#writer.onRelieved
  }

  set onRelieved(call: Writer['onRelieved']) {
    this.#writer.onRelieved = call
  }

  get source(): Writer['source'] {
    return this.#writer.source
  }

  get readable(): number {
    return this.#writer.readable
  }

  append(chunk: Uint8Array, kept?: Buffer[]): boolean {
    return this.#writer.append(chunk, kept)
  }

  complete(): StoredResponse | null {
    return this.completeAs(this.response)
  }

  completeAs(response: StoredResponse): StoredResponse | null {
    const stored = this.#writer.completeAs(response)
    if (stored !== null) this.#completed(stored)
    return stored
  }

  abandon(): void {
    this.#writer.abandon()
  }
}
