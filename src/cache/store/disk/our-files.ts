import fs from 'node:fs'
import type { Clock } from '../../../base/index.ts'
import { contentPath } from './content-file.ts'
import { fileState, type Ledger } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'

// Files of this store that are not simply in use. The index knows of each before it is made and until it is gone, so that
// none is ever forgotten:
//
//   spare ─► take ─► promise ─► written ─► arrived         in use: the index says so, with the response it belongs to
//                └────────────── unlink ─► forgotten       given up, or removed within a transaction (doom)
//
// Numbers are had in advance, and what becomes of them is written down with the next change: nobody waits for the index to
// begin a file.

const sparesMin = 32
const sparesMax = 96

interface Promised {
  readonly file: number
  readonly more: number
}

export class OurFiles {
  /** Content that may have been lost when the machine went down, or is being taken away before its row. */
  readonly suspects = new Set<number>()
  readonly #folder: string
  readonly #clock: Clock
  readonly #owner: string
  readonly #boot: string
  readonly #opened: OpenFiles
  readonly #noted: () => void
  /** The index knows them, and nobody has made them. */
  #spares: number[] = []
  #wanted = 0
  /** What files that are being written have been promised, and what of that the index does not know yet. */
  readonly #reserved = new Map<number, number>()
  #reservedBytes = 0
  #promised: Promised[] = []
  /** Gone: their rows may go, too. */
  #unlinked: number[] = []
  #unlinking = 0
  #onUnlinked: () => void = () => {}
  /** Of the present transaction. */
  #doomed: { readonly file: number; readonly bytes: number }[] = []
  /** Of files that no response has any more and that are still there. */
  leavingBytes = 0
  #added: number[] = []
  #entered: readonly Promised[] = none

  /** `noted`: there is something to write down. */
  constructor(folder: string, clock: Clock, owner: string, boot: string, opened: OpenFiles, noted: () => void) {
    this.#folder = folder
    this.#clock = clock
    this.#owner = owner
    this.#boot = boot
    this.#opened = opened
    this.#noted = noted
  }

  /** Bytes promised to files that are being written, as the index knows them. */
  get reservedBytes(): number {
    return this.#reservedBytes
  }

  /** Whether rows of files that are gone are still there. */
  get areToForget(): boolean {
    return this.#unlinked.length > 0
  }

  // ---- one after the other

  /** Whether there is a number to `take`; from now on there are some in advance. */
  get hasSpares(): boolean {
    this.#wanted = sparesMax
    return this.#spares.length > 0
  }

  /** Whether any has ever been asked for. */
  get wereWanted(): boolean {
    return this.#wanted > 0
  }

  /** 0: there is none. */
  take(): number {
    return this.#spares.shift() ?? 0
  }

  /** It will be so large, or so much larger. */
  promise(file: number, more: number): void {
    this.#promised.push({ file, more })
  }

  /** It is in use, or gone: the index counts it otherwise. */
  arrived(file: number): void {
    this.#promised = this.#promised.filter(promise => promise.file !== file)
    this.#reservedBytes -= this.#reserved.get(file) ?? 0
    this.#reserved.delete(file)
  }

  /** `bytes`: what counted for it until now. */
  unlink(file: number, bytes = 0): void {
    this.#opened.drop(file)
    this.#unlinking++
    this.leavingBytes += bytes
    fs.unlink(contentPath(this.#folder, file), error => {
      this.#unlinking--
      this.leavingBytes -= bytes
      if (error === null || error.code === 'ENOENT') {
        this.#unlinked.push(file)
        this.suspects.delete(file)
        this.#noted()
      } // else it is tried again at the next start
      if (this.#unlinking === 0) this.#onUnlinked()
    })
  }

  /** It will be unlinked, by the call that is answered: perhaps it is not there yet. */
  leave(file: number): () => void {
    this.#unlinking++
    return () => {
      this.#unlinking--
      this.unlink(file)
    }
  }

  /** Resolves when nothing is being unlinked, nor will be. */
  allUnlinked(): Promise<void> {
    return this.#unlinking === 0 ? Promise.resolve() : new Promise(resolve => (this.#onUnlinked = resolve))
  }

  /** Somebody has emptied the index: it may not know of them any more. */
  dropSpares(): void {
    for (const file of this.#spares.splice(0)) this.unlink(file)
  }

  /** The index is empty, or another. */
  reset(): void {
    this.#reserved.clear()
    this.#reservedBytes = 0
    this.#promised = []
    this.#spares = []
    this.#unlinked = []
    this.suspects.clear()
  }

  // ---- within a transaction

  /** Writes down what has happened since the last one; `more`: numbers are wanted. */
  enter(ledger: Ledger, more: boolean): void {
    this.#doomed = []
    this.#added = []
    this.#entered = this.#promised.slice()
    for (const { file, more: size } of this.#entered) {
      ledger.reserve(file, size)
      this.#reserve(file, size)
    }
    for (const file of this.#unlinked) ledger.forgetFile(file)
    if (!more || this.#spares.length >= Math.min(sparesMin, this.#wanted)) return
    while (this.#spares.length + this.#added.length < this.#wanted) {
      this.#added.push(ledger.newFile(this.#owner, this.#boot, this.#clock.wall(), 0))
    }
  }

  #reserve(file: number, more: number): void {
    this.#reserved.set(file, (this.#reserved.get(file) ?? 0) + more)
    this.#reservedBytes += more
  }

  /** With the response whose content it is: it will be taken away. */
  doom(ledger: Ledger, file: number, bytes: number): void {
    ledger.setFile(file, fileState.doomed, this.#owner, this.#boot, this.#clock.wall())
    this.#doomed.push({ file, bytes })
  }

  /** It is the content of a response from now on. */
  use(ledger: Ledger, file: number): void {
    ledger.setFile(file, fileState.unsynced, this.#owner, this.#boot, this.#clock.wall())
  }

  forgetSpares(ledger: Ledger): void {
    for (const file of this.#spares) ledger.forgetFile(file)
  }

  // ---- its end

  /** Nothing of it has happened. */
  undone(): void {
    for (const { file, more } of this.#entered) this.#reserve(file, -more)
    this.#entered = none
  }

  committed(): void {
    this.#promised.splice(0, this.#entered.length)
    this.#entered = none
    this.#spares.push(...this.#added)
    for (const file of this.#unlinked.splice(0)) this.arrived(file)
    for (const { file, bytes } of this.#doomed.splice(0)) this.unlink(file, bytes)
  }
}

const none: readonly never[] = []
