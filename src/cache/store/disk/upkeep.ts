import fs from 'node:fs'
import { type Clock, ms, sleep, type Timer } from '../../../base/index.ts'
import { contentPath } from './content-file.ts'
import type { DiskIndex } from './disk-index.ts'
import { ailmentOf } from './health.ts'
import type { Ledger } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'
import type { OurFiles } from './our-files.ts'
import type { Owed } from './owed.ts'
import type { Removal } from './removal.ts'
import { RollCall } from './roll-call.ts'
import type { SpaceReserve } from './space-reserve.ts'
import type { Uses } from './uses.ts'

// What can wait, two seconds after there is something to do, and again for as long as there is:
//
//   what no change has taken along is written down: files that are gone, uses, what is owed
//   other processes: who is dead is struck off, and what it has left is removed
//   the file of the index gives back pages that are free; the reserve for a full disk is filled again
//   files are made sure of (fdatasync), a minute after they were written: by then they are on the disk, and it costs little
//
// Removal has a rhythm of its own (removal.ts).

const roundMs = 2000
/** Rounds between two looks whether the other processes live. */
const roundsPerRollCall = 3
/** Between two changes that only write down uses. */
const notePauseMs = 5
/** Of what the store may take, free pages may be so many before they are given back. */
const freeShareMax = 0.01
const pageBytes = 4096
const pagesPerShrink = 128
const shrinkPauseMs = 20
const settledMs = 60_000
const syncsPerStep = 32
const syncPauseMs = 50

export interface UpkeepParts {
  readonly clock: Clock
  readonly index: DiskIndex
  readonly files: OurFiles
  readonly opened: OpenFiles
  readonly uses: Uses
  readonly owed: Owed
  readonly removal: Removal
  readonly reserve: SpaceReserve
}

export class Upkeep {
  readonly #folder: string
  readonly #boot: string
  readonly #rollCall: RollCall
  readonly #parts: UpkeepParts
  #rounds = 0
  #round: Timer | null = null
  #noting: Timer | null = null
  #shrinking: Timer | null = null
  #syncing = false
  #stopped = false

  /** `mark`, `boot`: who has the folder open, and in which run of the machine. */
  constructor(folder: string, mark: string, boot: string, parts: UpkeepParts) {
    this.#folder = folder
    this.#boot = boot
    this.#rollCall = new RollCall(mark)
    this.#parts = parts
  }

  /** There is something to do. */
  plan(): void {
    if (this.#stopped) return
    this.#round ??= this.#parts.clock.after(ms(roundMs), () => this.#keepUp(), { unref: true })
  }

  stop(): void {
    this.#stopped = true
    this.#round?.cancel()
    this.#noting?.cancel()
    this.#shrinking?.cancel()
  }

  #keepUp(): void {
    this.#round = null
    const { index, files, uses, owed, reserve } = this.#parts
    if (this.#stopped) return
    index.catchUp()
    const { ledger } = index
    if (ledger === null) return
    if (files.areToForget || uses.areAny || owed.isAny) index.change(() => 0, 0, 'leaves')
    this.#noteUses()
    this.#lookAfterOthers(ledger)
    if (files.areToForget || owed.isAny) this.plan() // another process kept us from noting it
    this.#shrink()
    reserve.keep()
    if (!this.#syncing) void this.#syncSettled()
  }

  /** Those nobody's change has taken along. */
  #noteUses(): void {
    const { clock, index, uses } = this.#parts
    if (!uses.areAny || this.#stopped || !index.health.mayWrite || this.#noting !== null) return
    this.#noting = clock.after(
      ms(notePauseMs),
      () => {
        this.#noting = null
        index.change(() => 0, 0, 'leaves')
        this.#noteUses()
      },
      { unref: true },
    )
  }

  // ---- other processes

  #lookAfterOthers(ledger: Ledger): void {
    const { opened } = this.#parts
    if (ledger.users < 2 && !this.#rollCall.knowsOthers) return
    // nobody has to ask for anything here: the log is read before it is forgotten, and what others removed is let go
    opened.dropUnlinked()
    if (++this.#rounds % roundsPerRollCall === 0) this.#callRoll(ledger)
    this.plan()
  }

  #callRoll(ledger: Ledger): void {
    const { index, files } = this.#parts
    try {
      const dead = this.#rollCall.call(ledger, index.sharing.user)
      if (dead !== null) {
        for (const file of this.#rollCall.orphans(ledger)) files.unlink(file)
        index.change(() => {
          for (const id of dead) ledger.leave(id)
        }, undefined)
      }
      index.payForDead(ledger)
    } catch (error) {
      index.fail(error)
    }
  }

  // ---- the file of the index

  /** Gives free pages back to the file system, as long as there are many. */
  #shrink(): void {
    const { clock, index, removal } = this.#parts
    const { ledger } = index
    if (ledger === null || this.#stopped || this.#shrinking !== null) return
    try {
      removal.measure(ledger)
      if (ledger.space().free <= Math.max(freeShareMax * removal.limits.bytesMax, pagesPerShrink * pageBytes)) return
      index.shrink(ledger, pagesPerShrink)
    } catch (error) {
      if (ailmentOf(error) !== 'contended') {
        index.fail(error)
        return
      }
    }
    this.#shrinking = clock.after(
      ms(shrinkPauseMs),
      () => {
        this.#shrinking = null
        this.#shrink()
      },
      { unref: true },
    )
  }

  // ---- files

  /** As many as there are, without keeping the disk from other work. */
  async #syncSettled(): Promise<void> {
    const { clock } = this.#parts
    this.#syncing = true
    while (!this.#stopped && (await this.#sync(clock.wall() - settledMs)) === syncsPerStep) {
      await sleep(clock, ms(syncPauseMs))
    }
    this.#syncing = false
  }

  /** All of them, for so long. What is not made sure of is believed all the same, unless the machine goes down in the next minute. */
  async syncAll(patienceMs: number): Promise<void> {
    const { clock } = this.#parts
    const enough = clock.mono() + patienceMs
    while ((await this.#sync(Number.MAX_SAFE_INTEGER)) > 0 && clock.mono() < enough);
  }

  /** Makes sure that files written before then are on the disk, and notes it. Answers how many it was sure of. */
  async #sync(before: number): Promise<number> {
    const { clock, index } = this.#parts
    const files: number[] = []
    try {
      const all = index.ledger?.unsynced(this.#boot, syncsPerStep) ?? []
      if (all.length > 0) this.plan()
      // what seems to come from the future was written before the clock was set back
      const now = clock.wall()
      for (const { id, since } of all) if (since <= before || since > now) files.push(id)
    } catch (error) {
      index.fail(error)
    }
    if (files.length === 0) return 0
    for (const file of files) await synced(contentPath(this.#folder, file))
    const note = (ledger: Ledger): number => {
      for (const file of files) ledger.forgetFile(file)
      return files.length
    }
    return index.change(note, 0, this.#stopped ? 'waits' : 'leaves')
  }
}

/** Resolves when the file is on the disk, or is not there. */
const synced = (path: string): Promise<void> =>
  new Promise(resolve => {
    fs.open(path, 'r', (error, fd) => {
      if (error !== null) {
        resolve()
        return
      }
      fs.fdatasync(fd, () => fs.close(fd, () => resolve()))
    })
  })
