import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

// Contract: a file system without room stops the storing and nothing else. What is found is whole and right, no call
// throws, what is said can be read, and when there is room again storing goes on. Seen on a tmpfs of a few megabytes in
// a mount namespace of its own.

const program = new URL('full-program.ts', import.meta.url).pathname
const mayMount = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
const cannot = mayMount ? '' : '(skipped: no mount namespaces here)'

describe.skipIf(!mayMount)(`a disk store on a full file system ${cannot}`, () => {
  test.each([3, 4, 12])('of %i MB', size => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-full-'))
    try {
      const script = `mount -t tmpfs -o size=${size}m none ${folder} && exec "$0" "$1" ${folder}`
      const run = spawnSync('unshare', ['-Urm', 'sh', '-c', script, process.execPath, program], { encoding: 'utf8', timeout: 60_000 })
      expect(run.stderr).toBe('')
      expect(run.signal).toBe(null)
      const result = JSON.parse(run.stdout) as Record<string, number> & { wrong: string[]; right: number[]; notices: string[] }
      expect(result.wrong).toEqual([])
      expect(result['first']).toBeGreaterThan(5)
      expect(result['failed']).toBeGreaterThan(0)
      expect(result['afterwards']).toBeGreaterThan(5)
      expect(Math.min(...result.right)).toBeGreaterThan(0)
      expect(result.notices.length).toBeGreaterThan(0)
      for (const notice of result.notices) expect(notice).toMatch(/ENOSPC|disk is full|disk I\/O error|unable to open/)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
