import fs from 'node:fs'
import { contentPath } from './content-file.ts'
import { messageOf, someContents } from './folder.ts'
import type { Ledger } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'

// Room for the ledger to be changed at all when the disk is full: that a response is removed has to be written down, too.

/** Given up when the disk is full. */
const reserveBytes = 1024 * 1024
/** Where it is a larger part of the store, there is none. */
const shareMax = 1 / 64
/** Files that go at once when the disk is so full that this cannot be written down. */
const filesPerDrop = 8
const rowsPerDrop = 32

const pathOf = (folder: string): string => `${folder}/reserve`

/** `kept`: the disk has taken it. */
export const keepReserve = (folder: string, storeBytes: number, kept: () => void): void => {
  const path = pathOf(folder)
  if (storeBytes * shareMax < reserveBytes || fs.existsSync(path)) return
  fs.writeFile(path, Buffer.alloc(reserveBytes), error => {
    if (error === null) kept()
    else fs.rm(path, { force: true }, () => {}) // then without
  })
}

export const giveUpReserve = (folder: string): void => fs.rmSync(pathOf(folder), { force: true })

export interface DropOptions {
  readonly folder: string
  readonly ledger: Ledger | null
  readonly opened: OpenFiles
  /** Those that are not to be believed until their rows follow. */
  readonly suspects: Set<number>
}

/**
 * Not even that a response is removed can be written down: the write-ahead log has no room to grow, and none to be moved
 * into the index. So files go before their rows. Answers what keeps it from making room; null: some was made.
 */
export const dropUnlisted = ({ folder, ledger, opened, suspects }: DropOptions): string | null => {
  try {
    const oldest = (ledger?.front(rowsPerDrop) ?? []).flatMap(({ file }) => (file === null ? [] : [file]))
    const files = (oldest.length > 0 ? oldest : someContents(folder)).filter(file => !suspects.has(file))
    for (const file of files.slice(0, filesPerDrop)) {
      suspects.add(file)
      opened.drop(file)
      fs.rmSync(contentPath(folder, file), { force: true })
    }
    return null
  } catch (error) {
    return messageOf(error)
  }
}
