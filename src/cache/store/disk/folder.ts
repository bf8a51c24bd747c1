import fs from 'node:fs'
import os from 'node:os'
import { dirname, join } from 'node:path'
import { errnoOf, systemClock } from '../../../base/index.ts'
import { contentFolder } from './content-file.ts'

// The folder of a disk store:
//
//   index.db, index.db-wal, index.db-shm    the ledger
//   content/00 … ff                         large contents
//   index.db.damaged                        an index that could not be used, for whoever wants to know why
//   removed-…                               contents of such an index, on their way out
//   changes                                 a page of memory that processes have in common (sharing.ts)
//
// Nothing else in it is touched.

export const signalPath = (folder: string): string => join(folder, 'changes')
export const indexPath = (folder: string): string => join(folder, 'index.db')

export type FolderRefusal =
  | 'foreign' // another program's cache
  | 'unusable'

export type Prepared =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: FolderRefusal; readonly message: string }

/** Files by which other caches are known. */
const foreignFiles = ['swap.state', 'swap.state.new', 'rock']

/** Makes the folder where it is missing, and looks whose it is. */
export const prepareFolder = (folder: string): Prepared => {
  try {
    for (const name of foreignFiles) {
      if (!fs.existsSync(join(folder, name))) continue
      const message = `${folder} holds the cache of Squid (${name}): name another folder, or empty this one`
      return { ok: false, reason: 'foreign', message }
    }
    makeFolder(contentFolder(folder))
    fs.accessSync(folder, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
    return { ok: true }
  } catch (error) {
    return { ok: false, reason: 'unusable', message: `${folder} cannot be used: ${messageOf(error)}` }
  }
}

/**
 * With those above it. Node's `recursive` tries for ever where a folder is there and says ENOENT to everything that is to
 * be made in it, as /proc does.
 */
const makeFolder = (path: string): void => {
  try {
    fs.mkdirSync(path, { mode: 0o750 })
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'EEXIST' && fs.statSync(path).isDirectory()) return
    if (code !== 'ENOENT' || fs.existsSync(dirname(path))) throw error
    makeFolder(dirname(path))
    fs.mkdirSync(path, { mode: 0o750 })
  }
}

/** Another file under the same name has another; 0 = there is none. */
export const inodeOf = (path: string): number => fs.statSync(path, { throwIfNoEntry: false })?.ino ?? 0

/** What the index says it has cannot be believed: it starts anew. The index is kept if it is small. */
export const setAside = (folder: string, keptBytesMax: number): void => {
  const index = indexPath(folder)
  fs.rmSync(`${index}-wal`, { force: true })
  fs.rmSync(`${index}-shm`, { force: true })
  const size = fs.statSync(index, { throwIfNoEntry: false })?.size ?? 0
  if (size > keptBytesMax) fs.rmSync(index, { force: true })
  else if (size > 0) fs.renameSync(index, `${index}.damaged`)
  dropContents(folder)
}

/** No content is in use any more. They go in the background. */
export const dropContents = (folder: string): void => {
  const contents = contentFolder(folder)
  if (fs.existsSync(contents)) fs.renameSync(contents, fs.mkdtempSync(join(folder, 'removed-')))
  makeFolder(contents)
  removeLeftovers(folder)
}

/** Numbers of some files of large contents, those written first before others; none: there is no such file. */
export const someContents = (folder: string): readonly number[] => {
  const contents = contentFolder(folder)
  for (const name of fs.readdirSync(contents)) {
    const files = fs.readdirSync(join(contents, name)).map(Number).filter(Number.isSafeInteger)
    if (files.length > 0) return files.sort((a, b) => a - b)
  }
  return []
}

/** What a process that was killed had not quite removed. */
export const removeLeftovers = (folder: string): void => {
  fs.readdir(folder, (_error, names) => {
    for (const name of names ?? []) {
      // nobody waits for it, and what stays is seen at the next start
      if (name.startsWith('removed-')) fs.rm(join(folder, name), { recursive: true, force: true }, () => {})
    }
  })
}

/** This run of the machine: after it went down, what was written last may not be on the disk. */
export const bootMark = (): string => {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    // another system: the minute it started in, which two looks may round differently; then a little is fetched anew
    return `up ${Math.round((systemClock.wall() / 1000 - os.uptime()) / 60)}`
  }
}

/** Stores this process has open. */
const openMarks = new Set<string>()
let marks = 0

/** This process, also told from a later one that was given the same number, and this store of its. */
export const ownerMark = (): string => {
  const mark = `${process.pid}.${startOf(process.pid)}/${++marks}`
  openMarks.add(mark)
  return mark
}

/** The store is closed: what it may have left is anybody's. */
export const forgetOwner = (mark: string): void => void openMarks.delete(mark)

export const ownerLives = (owner: string): boolean => {
  const [started = ''] = owner.split('/')
  const pid = Number.parseInt(owner, 10)
  if (pid === process.pid) return openMarks.has(owner)
  try {
    process.kill(pid, 0)
  } catch (error) {
    // somebody else's process lives too; whether it is the one meant, its start tells
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  return started === `${pid}.${startOf(pid)}`
}

/** When the process started, in ticks since boot; '' where the system does not tell, and of one that only waits to be buried. */
const startOf = (pid: number): string => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? '' : (fields[19] ?? '')
  } catch {
    return ''
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
