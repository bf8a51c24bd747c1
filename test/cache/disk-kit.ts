import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { bytes, type Clock, systemClock } from '../../src/base/index.ts'
import type { DiskLimits } from '../../src/cache/store/disk/disk-options.ts'
import { DiskStore } from '../../src/cache/store/disk/disk-store.ts'
import { bootMark, indexPath, ownerMark, prepareFolder } from '../../src/cache/store/disk/folder.ts'
import { Ledger, type Patience } from '../../src/cache/store/disk/ledger.ts'
import type { RemovalPolicy } from '../../src/cache/store/removal-policy.ts'
import { openDisk } from '../../src/cache/store/disk/open-disk.ts'

// Disk stores for tests: each in a folder of its own, all closed and taken away by `closeDisks`.

export const diskLimits = (change: Partial<DiskLimits> = {}): DiskLimits => ({
  bytesMax: bytes(4_000_000),
  objectBytesMax: bytes(1_000_000),
  objectBytesMin: bytes(0),
  variantsMax: 4,
  low: 1,
  high: 1,
  ...change,
})

const stores = new Set<DiskStore>()
const folders: string[] = []

export const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-disk-'))
  folders.push(folder)
  return folder
}

export interface DiskOfTest {
  readonly folder?: string
  readonly limits?: Partial<DiskLimits>
  readonly clock?: Clock
  readonly policy?: RemovalPolicy
  /** Collects what the store says; without it, it must say nothing. */
  readonly said?: string[]
}

export const newDisk = ({ folder = newFolder(), limits = {}, clock = systemClock, policy = 'lru', said }: DiskOfTest = {}): DiskStore => {
  const opened = openDisk({
    folder,
    limits: diskLimits(limits),
    clock,
    policy,
    notice: text => {
      if (said === undefined) throw new Error(`a store that is well said: ${text}`)
      said.push(text)
    },
  })
  if (!opened.ok) throw new Error(opened.message)
  stores.add(opened.store)
  return opened.store
}

export const closeDisk = async (store: DiskStore): Promise<void> => {
  stores.delete(store)
  await store.close()
}

export const closeDisks = async (): Promise<void> => {
  for (const store of stores) await closeDisk(store)
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
}

/** One whose index somebody else has most of the time: of the changes that can wait, every third finds it free. */
export const newBusyDisk = (limits: Partial<DiskLimits>): DiskStore => {
  const folder = newFolder()
  prepareFolder(folder)
  let tries = 0
  class BusyLedger extends Ledger {
    override write<T>(patience: Patience, work: () => T): T {
      if (patience === 'leaves' && ++tries % 3 !== 0) throw Object.assign(new Error('database is locked'), { errcode: 5 })
      return super.write(patience, work)
    }
  }
  const options = { folder, limits: diskLimits(limits), clock: systemClock, notice: (text: string) => void expect.fail(text) }
  const store = new DiskStore(options, () => new BusyLedger(new DatabaseSync(indexPath(folder)), 'lru'), ownerMark(), bootMark())
  stores.add(store)
  return store
}
