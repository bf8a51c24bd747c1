import { closeSync, fstatSync, linkSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { mapShared, native } from '../../native/index.ts'
import type { ChangeSignal } from '../cache/index.ts'

// One number that all processes with a cache_dir see at once: the first four bytes of a page of a file in it; and, from the
// second line of the processor's cache on, what they owe each other. Written out in full before anybody maps it, so that a
// full disk cannot take it away from under us.

const pageBytes = 4096
const debtsAt = 64

/** Null: no addon, or the page cannot be had. The index is asked instead then. */
export const openChangeSignal = (path: string): ChangeSignal | null => {
  if (!native.present) return null
  try {
    const fd = openPage(path)
    const mapped = fstatSync(fd).size >= pageBytes ? mapShared(native.addon, fd, pageBytes) : -1
    closeSync(fd)
    return typeof mapped === 'number' ? null : new MappedSignal(mapped)
  } catch {
    return null // a disk that does not want to: the index says so, too, and to somebody who can tell
  }
}

/** Made whole beside its place, so that nobody ever maps half of it and nobody resets what others count in. */
const openPage = (path: string): number => {
  try {
    return openSync(path, 'r+')
  } catch {
    const beside = `${path}.${process.pid}`
    writeFileSync(beside, Buffer.alloc(pageBytes), { mode: 0o640 })
    try {
      linkSync(beside, path)
    } catch {
      // another process was quicker
    }
    rmSync(beside, { force: true })
    return openSync(path, 'r+')
  }
}

class MappedSignal implements ChangeSignal {
  readonly #cells: Int32Array
  readonly debts: BigInt64Array

  constructor(page: ArrayBuffer) {
    this.#cells = new Int32Array(page, 0, 1)
    this.debts = new BigInt64Array(page, debtsAt)
  }

  current(): number {
    return Atomics.load(this.#cells, 0)
  }

  raise(): number {
    Atomics.add(this.#cells, 0, 1)
    return 1
  }
}
