// What is lent leaves to others what a process, or a user, may have of something: mappings, without which V8 ends the
// process, and pages of pipes, without which sending piece by piece would cost more than the copy.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { noAddon } from './present.ts'

const program = new URL('./lend-program.ts', import.meta.url).pathname

const seenBy = (...words: readonly string[]): unknown => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { encoding: 'latin1', timeout: 60_000 })
  expect(stderr.includes('FATAL'), stderr).toBe(false)
  expect(status, stderr).toBe(0)
  return JSON.parse(stdout)
}

const most = Number(readFileSync('/proc/sys/vm/max_map_count', 'latin1'))
const soft = Number(readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'latin1'))

describe.skipIf(noAddon !== null)(`lent memory ${noAddon ?? ''}`, () => {
  // each block is a page at least: a million of them is not for a test
  it.skipIf(most > 200_000)('takes half of the mappings of a process at most, whatever goes and stays', () => {
    const seen = seenBy('blocks') as { most: number; count: number; kept: number; left: number; again: number }
    expect(seen.count).toBeLessThanOrEqual(most / 2)
    expect(seen.count).toBeGreaterThan(most / 4)
    expect(seen.left).toBeGreaterThan(most / 3)
    expect(seen.kept).toBe(Math.floor(seen.count / 2))
    // those that went may come again, and no more than they
    expect(seen.again).toBeGreaterThan(seen.count / 3)
    expect(seen.again).toBeLessThanOrEqual(seen.count / 2 + 2)
  })

  // as a user whom nobody else is: its pages are all taken
  it.skipIf(process.getuid?.() !== 0 || soft === 0 || soft > 50_000)('is copied where pipes are tiny, until there is a large one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-pipes-'))
    try {
      chmodSync(folder, 0o755)
      const seen = seenBy('pipes', folder, String(1_000_000 + process.pid))
      expect(seen).toEqual({ first: { whole: true, lent: 0 }, later: { whole: true, lent: 100_000 } })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
