import fs from 'node:fs'
import { type Clock, ms, type Timer } from '../../../base/index.ts'
import { contentPath } from './content-file.ts'
import type { DiskIndex } from './disk-index.ts'
import { messageOf, someContents } from './folder.ts'
import type { Incoming } from './incoming.ts'
import type { OpenFiles } from './open-files.ts'
import type { OurFiles } from './our-files.ts'
import type { Removal } from './removal.ts'

// A disk full of ourselves. That a response is removed has to be written down, too, and the index has no room to grow. So some
// is kept in reserve, and when the disk is full:
//
//   the reserve is given up, and content that is being written, which would take it ─► half a second ─► a step of removal
//                                                    └─ not even that can be written down: files go before their rows

/** Given up when the disk is full. */
const reserveBytes = 1024 * 1024
/** Where it is a larger part of the store, there is none. */
const shareMax = 1 / 64
/** After a full disk, until room is made, and between tries. */
const pauseMs = 500
/** Of what the store takes, this much stays. */
const stayingShare = 0.98
/** Files that go at once when the disk is so full that this cannot be written down. */
const filesPerDrop = 8
const rowsPerDrop = 32

export interface ReserveParts {
  readonly clock: Clock
  readonly index: DiskIndex
  readonly files: OurFiles
  readonly opened: OpenFiles
  readonly incoming: Incoming
  readonly removal: Removal
}

export class SpaceReserve {
  readonly #folder: string
  readonly #notice: (text: string) => void
  readonly #parts: ReserveParts
  #making: Timer | null = null
  #stopped = false

  constructor(folder: string, notice: (text: string) => void, parts: ReserveParts) {
    this.#folder = folder
    this.#notice = notice
    this.#parts = parts
  }

  /** Where there is none, and the disk takes it again. */
  keep(): void {
    const { index, removal } = this.#parts
    const path = this.#path
    if (!index.health.mayWrite || removal.limits.bytesMax * shareMax < reserveBytes || fs.existsSync(path)) return
    fs.writeFile(path, Buffer.alloc(reserveBytes), error => {
      if (error === null) index.health.succeed()
      else fs.rm(path, { force: true }, () => {}) // then without
    })
  }

  get #path(): string {
    return `${this.#folder}/reserve`
  }

  /** The disk is full. */
  makeSpace(): void {
    // removing writes too, and a full disk may refuse that as well: not again at once
    if (this.#making !== null || this.#stopped) return
    const { clock, index, incoming, removal } = this.#parts
    fs.rmSync(this.#path, { force: true })
    // what becomes free is for the ledger: content that is on its way would take it first
    incoming.giveUpFiles()
    const low = removal.taken * stayingShare
    this.#making = clock.after(
      ms(pauseMs),
      () => {
        this.#making = null
        if (index.change(ledger => removal.removeOldest(ledger, low), -1) < 0) this.#dropUnlisted()
      },
      { unref: true },
    )
  }

  /**
   * Not even that a response is removed can be written down: the write-ahead log has no room to grow, and none to be moved
   * into the index. So files go before their rows, which are not believed until they follow.
   */
  #dropUnlisted(): void {
    const { index, files, opened } = this.#parts
    try {
      const oldest = (index.ledger?.front(rowsPerDrop) ?? []).flatMap(({ file }) => (file === null ? [] : [file]))
      const candidates = (oldest.length > 0 ? oldest : someContents(this.#folder)).filter(file => !files.suspects.has(file))
      for (const file of candidates.slice(0, filesPerDrop)) {
        files.suspects.add(file)
        opened.drop(file)
        fs.rmSync(contentPath(this.#folder, file), { force: true })
      }
    } catch (error) {
      this.#notice(`cache_dir ${this.#folder}: ${messageOf(error)}; it has no room, and none can be made`)
    }
  }

  stop(): void {
    this.#stopped = true
    this.#making?.cancel()
  }
}
