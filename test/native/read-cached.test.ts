// preadv2 with RWF_NOWAIT: what the page cache has is read, what it has not is refused instead of waited for.

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { native } from '../../native/index.ts'

const { EAGAIN, EBADF, EOPNOTSUPP } = constants.errno
const folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
const open: number[] = []
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd)
  rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(!native.present)(`readCached ${native.present ? '' : native.why}`, () => {
  it('reads what has just been written, from any place; 0 at the end; errors as minus errno', () => {
    if (!native.present) return
    const { readCached } = native.addon
    const file = join(folder, 'content')
    writeFileSync(file, 'hello, world')
    const fd = openSync(file, 'r')
    open.push(fd)
    const into = Buffer.alloc(5)
    const read = readCached(fd, into, 7)
    if (read === -EOPNOTSUPP) return // a file system that cannot tell
    // written a moment ago: if it is not there any more, that is what it must say
    expect([5, -EAGAIN]).toContain(read)
    if (read === 5) expect(into.toString()).toBe('world')
    expect(readCached(fd, into, 12)).toBe(0)
    expect(readCached(fd, into, 2 ** 40)).toBe(0)
    expect(readCached(1_000_000, into, 0)).toBe(-EBADF)
    expect(() => readCached(fd, into, 'x' as unknown as number)).toThrow(TypeError)
  })
})
