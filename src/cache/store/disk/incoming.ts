import type { FieldView } from '../../../base/index.ts'
import { ByKey } from '../../by-key.ts'
import type { CacheKey } from '../../key.ts'
import { takesPlaceOf } from '../../parts.ts'
import type { StoredResponse } from '../../stored-response.ts'
import type { DiskWriter } from './disk-writer.ts'
import { type ChangeRow, changeKind, hashOf } from './ledger.ts'

// Responses on their way into the store, and who waits for them:
//
//   add ─► content comes ─► finishing: all has come, and its last bytes, or the index, are still to be written ─► ended
//                                └─ arrival ─► whoever looks for its key goes on when it is there, or is not to be
//
// To everybody else what is complete is stored: it is found, replaced and invalidated like what is. An update of what is
// stored already is finishing, too, as long as it waits for the index. What is older than an invalidation never arrives.

export class Incoming {
  readonly #writers = new ByKey<DiskWriter>()
  /** Of each key, how many are complete and not to be found yet. */
  readonly #finishing = new Map<CacheKey, number>()
  readonly #askers = new Map<CacheKey, (() => void)[]>()
  #bytes = 0

  /** Of the store's limit, what they hold. */
  get bytes(): number {
    return this.#bytes
  }

  add(writer: DiskWriter): void {
    this.#writers.add(writer)
  }

  /** So many bytes more of the limit are theirs. */
  hold(more: number): void {
    this.#bytes += more
  }

  /** It is in the index, or never will be. */
  ended(writer: DiskWriter): void {
    this.#bytes -= writer.charged
    this.#writers.delete(writer)
    if (writer.stored !== null) this.finished(writer.key)
  }

  /** The responses themselves, as far as they are known. */
  get responses(): readonly StoredResponse[] {
    return this.#writers.all().map(writer => writer.stored ?? writer.response)
  }

  /** Who brings this one; null: it is not complete, or not on its way. */
  writerOf(stored: StoredResponse): DiskWriter | null {
    for (let writer = this.#writers.first(stored.key); writer !== null; writer = this.#writers.next(writer)) {
      if (writer.stored === stored) return writer
    }
    return null
  }

  #of(key: CacheKey): DiskWriter[] {
    const all: DiskWriter[] = []
    for (let writer = this.#writers.first(key); writer !== null; writer = this.#writers.next(writer)) all.push(writer)
    return all
  }

  // ---- complete

  /** All of its content has come. `place`: its own among all that is stored. */
  complete(writer: DiskWriter, place: number): void {
    if (writer.stored !== null) this.supersede(writer.stored, writer.request)
    writer.completedAt = place
    this.finishing(writer.key)
  }

  /** Something that takes the place of this is complete, or stored elsewhere: what was complete before does not arrive. */
  supersede(by: StoredResponse, request: FieldView): void {
    if (!this.#finishing.has(by.key)) return
    for (const writer of this.#of(by.key)) {
      if (writer.completedAt > 0 && writer.stored !== null && takesPlaceOf(by, writer.stored, request)) writer.invalidate()
    }
  }

  finishing(key: CacheKey): void {
    this.#finishing.set(key, (this.#finishing.get(key) ?? 0) + 1)
  }

  finished(key: CacheKey): void {
    const count = (this.#finishing.get(key) ?? 1) - 1
    if (count > 0) this.#finishing.set(key, count)
    else {
      this.#finishing.delete(key)
      const askers = this.#askers.get(key) ?? []
      this.#askers.delete(key)
      for (const resolve of askers) resolve()
    }
  }

  /** Whether something of the key is complete and not to be found yet. */
  isFinishing(key: CacheKey): boolean {
    return this.#finishing.size > 0 && this.#finishing.has(key)
  }

  /** Resolves when nothing of a key that is finishing is on its way any more. */
  arrival(key: CacheKey): Promise<void> {
    return new Promise(resolve => {
      const askers = this.#askers.get(key)
      if (askers === undefined) this.#askers.set(key, [resolve])
      else askers.push(resolve)
    })
  }

  /** The same of all keys. */
  async settled(): Promise<void> {
    await Promise.all([...this.#finishing.keys()].map(key => this.arrival(key)))
  }

  // ---- never to arrive

  /** They are older than a change of this key. Answers how many were complete. */
  stop(key: CacheKey): number {
    let complete = 0
    for (const writer of this.#of(key)) {
      if (writer.stored !== null) complete++
      writer.invalidate()
    }
    return complete
  }

  stopAll(): void {
    for (const writer of this.#writers.all()) writer.invalidate()
  }

  /** Within a transaction: other processes' invalidations are newer than what is being written. Null: any may be. */
  outdate(rows: readonly ChangeRow[] | null): void {
    if (rows === null) for (const writer of this.#writers.all()) writer.outdated = true
    else
      for (const { kind, key } of rows) {
        if (kind === changeKind.changed) continue
        const writers = kind === changeKind.cleared ? this.#writers.all() : this.#of(key as CacheKey) // as logged
        for (const writer of writers) writer.outdated = true
      }
  }

  /** The same of those whose key's hash is one of these. */
  outdateIf(outdated: (hash: number) => boolean): void {
    for (const writer of this.#writers.all()) if (outdated(hashOf(writer.key))) writer.outdated = true
  }

  /** Nothing more comes; what is complete arrives. */
  abandon(): void {
    for (const writer of this.#writers.all()) writer.abandon()
  }

  /** The disk has no room to spare for files. */
  giveUpFiles(): void {
    for (const writer of this.#writers.all()) if (writer.file !== 0) writer.giveUp()
  }
}
