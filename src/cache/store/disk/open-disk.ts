import { ailmentOf } from './health.ts'
import type { DiskOptions } from './disk-options.ts'
import { DiskStore } from './disk-store.ts'
import { bootMark, type FolderRefusal, indexPath, messageOf, ownerMark, prepareFolder, removeLeftovers, setAside } from './folder.ts'
import { Ledger } from './ledger.ts'

export type DiskOpened =
  | { readonly ok: true; readonly store: DiskStore }
  /** `foreign`: it is another program's, and must not be touched. `unusable`: whatever the disk says. */
  | { readonly ok: false; readonly reason: FolderRefusal; readonly message: string }

/** The store in a folder, made where it is missing. What a former process left there is found without looking through it. */
export const openDisk = (options: DiskOptions): DiskOpened => {
  const { folder } = options
  const prepared = prepareFolder(folder)
  if (!prepared.ok) return prepared
  // built into Node, but it can be built without
  const sqlite = process.getBuiltinModule('node:sqlite')
  if (sqlite === undefined) return { ok: false, reason: 'unusable', message: 'this Node was built without node:sqlite' }
  const openLedger = (): Ledger => {
    const db = new sqlite.DatabaseSync(indexPath(folder))
    try {
      return new Ledger(db, options.policy ?? 'lru')
    } catch (error) {
      db.close()
      throw error
    }
  }
  const open = (): DiskStore => new DiskStore(options, openLedger, ownerMark(), bootMark())
  removeLeftovers(folder)
  try {
    return { ok: true, store: open() }
  } catch (error) {
    if (ailmentOf(error) !== 'damaged') return unusable(folder, error)
    options.notice(`cache_dir ${folder}: its index is damaged (${messageOf(error)}); it is set aside, and the store starts empty`)
  }
  try {
    setAside(folder, options.limits.bytesMax / 50)
    return { ok: true, store: open() }
  } catch (error) {
    return unusable(folder, error)
  }
}

const unusable = (folder: string, error: unknown): DiskOpened => ({
  ok: false,
  reason: 'unusable',
  message: `${folder} cannot be used: ${messageOf(error)}`,
})
