import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mapShared, native } from '../../../native/index.ts'
import { changesFd } from './kid-descriptors.ts'
import { changesBytes, SharedChanges } from '../../cache/index.ts'

// The memory in which workers write down what they have invalidated: a file without a name, which the supervisor makes
// and every worker inherits as the same descriptor.

/** -1: there is none, and why has been told. */
export const openChangesFile = (workers: number, warn: (text: string) => void): number => {
  if (!native.present) {
    warn('without the addon workers have no memory in common: an unsafe request is known to the others only where there is a cache_dir')
    return -1
  }
  try {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
    try {
      const fd = openSync(join(folder, 'changes'), 'w+', 0o600)
      try {
        ftruncateSync(fd, changesBytes(workers))
        return fd
      } catch (error) {
        closeSync(fd)
        throw error
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  } catch (error) {
    warn(`no file for what workers have in common: ${error instanceof Error ? error.message : String(error)}`)
    return -1
  }
}

/** Null: the supervisor has none. */
export const mapChanges = (number: number, count: number): SharedChanges | null => {
  if (!native.present) return null
  try {
    const mapped = mapShared(native.addon, changesFd, changesBytes(count))
    return typeof mapped === 'number' ? null : new SharedChanges(mapped, number, count)
  } catch {
    return null
  }
}
