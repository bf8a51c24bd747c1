import { crc32 } from 'node:zlib'
import type { CacheKey } from '../../key.ts'
import { StoredResponse } from '../../stored-response.ts'
import type { Variants } from '../store.ts'
import { ContentFile, contentPath } from './content-file.ts'
import type { DiskIndex } from './disk-index.ts'
import { hashOf, type Ledger, type Row, type WholeRow } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'
import { decodeRecord, keyOfRecord } from './record.ts'

// What the index says, as stored responses, and which row of it each of them is:
//
//   key ─► hash ─► rows ─► those of this key ─► record ─┬─ content beside it: checked, and in memory
//                                                      └─ in a file: ContentFile, read when it is delivered
//
// Every record, and content that lies beside it, is checked against what was written. What is not as it was written is not
// found, and the store is told, as it is when a file turns out to be gone or cut.

/** What looking up needs of its store. */
export interface LookupsOwner {
  /** It was asked for. `rank`: the lowest of its variants'. */
  used(ledger: Ledger, key: CacheKey, rank: number): void
  /** Rows that are not what was written. */
  damaged(rows: readonly Row[]): void
  /** Its file is gone, or cut. */
  lost(stored: StoredResponse): void
}

export class Lookups {
  readonly #folder: string
  readonly #index: DiskIndex
  readonly #opened: OpenFiles
  /** Files that are not to be believed. */
  readonly #suspects: ReadonlySet<number>
  readonly #owner: LookupsOwner
  /** Which response of the ledger an object in memory is. */
  readonly #serials = new WeakMap<StoredResponse, number>()

  constructor(folder: string, index: DiskIndex, opened: OpenFiles, suspects: ReadonlySet<number>, owner: LookupsOwner) {
    this.#folder = folder
    this.#index = index
    this.#opened = opened
    this.#suspects = suspects
    this.#owner = owner
  }

  // ---- responses

  /** The newest first. `used`: for a client, and not out of curiosity. */
  find(key: CacheKey, used: boolean): Variants | null {
    const { ledger } = this.#index
    if (ledger === null) return null
    const found: StoredResponse[] = []
    const damaged: Row[] = []
    let lowest = Number.POSITIVE_INFINITY
    try {
      for (const row of ledger.findWhole(hashOf(key))) {
        if (keyOfRecord(row.record) !== key) continue
        const stored = this.#storedOf(row)
        if (stored === null) damaged.push(row)
        else found.push(stored)
        lowest = Math.min(lowest, row.rank)
      }
    } catch (error) {
      this.#index.fail(error)
      return null
    }
    if (damaged.length > 0) this.#owner.damaged(damaged)
    if (found.length === 0) return null
    if (used) this.#owner.used(ledger, key, lowest)
    return found.length === 1 ? found : found.sort((a, b) => b.date - a.date)
  }

  /** Null: it is not what had been written. */
  #storedOf(row: WholeRow): StoredResponse | null {
    const record = decodeRecord(row.record)
    if (record === null) return null
    let stored: StoredResponse
    if (row.file !== null) {
      if (this.#suspects.has(row.file)) return null
      stored = new StoredResponse(record.facts, [], this.contentFile(row.file, record.bytes, () => stored))
    } else {
      const body = row.body ?? nothing
      if (body.length !== record.bytes || crc32(body) !== record.crc) return null
      stored = new StoredResponse(record.facts, body.length === 0 ? [] : [body])
      stored.lone = true
    }
    stored.fromDisk = true
    this.#serials.set(stored, record.serial)
    return stored
  }

  /** `stored`: whose content it is; null before that is known. */
  contentFile(file: number, length: number, stored: () => StoredResponse | null): ContentFile {
    return new ContentFile(file, contentPath(this.#folder, file), length, this.#opened, error => {
      if ('code' in error && error.code !== 'ENOENT') {
        this.#index.fail(error)
        return
      }
      // gone, or cut: somebody has been there; what is in use otherwise was removed by the ledger before
      const known = stored()
      if (known !== null) this.#owner.lost(known)
    })
  }

  /** The same response with its content in memory; null: it is gone, or cannot be read now. */
  async inMemory(stored: StoredResponse): Promise<StoredResponse | null> {
    const reader = await stored.content?.open()
    if (reader === undefined || reader === null) return null
    const body = Buffer.allocUnsafeSlow(stored.contentLength)
    let at = 0
    while (at < body.length) {
      const count = await reader.read(at, at === 0 ? body : body.subarray(at))
      if (count <= 0) break
      at += count
    }
    reader.close()
    if (at < body.length) return null
    const risen = new StoredResponse(stored, [body])
    risen.fromDisk = true
    const serial = this.#serials.get(stored)
    if (serial !== undefined) this.#serials.set(risen, serial)
    return risen
  }

  // ---- which row each is

  /** The serial of a response this store has handed out or taken in; undefined: it is none of them. */
  serialOf(stored: StoredResponse): number | undefined {
    return this.#serials.get(stored)
  }

  identify(stored: StoredResponse, serial: number): void {
    this.#serials.set(stored, serial)
  }
}

const nothing = Buffer.alloc(0)
