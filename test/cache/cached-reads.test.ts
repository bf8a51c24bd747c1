// Reading a stored file: at once where the system has it in memory, by a thread where not, and by a thread now and then in
// any case, so that one fast client does not keep the others waiting. The reader cannot tell but by what it counts.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { OpenFiles } from '../../src/cache/store/disk/open-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const kib = 1024
const content = Buffer.from(Array.from({ length: 4096 * kib }, (_, i) => (i * 7 + (i >> 8)) & 255))

it.each([
  // of sixteen pieces every fifth is a thread's
  ['all of it is cached', () => true, 13],
  ['none of it is', () => false, 0],
  ['every second piece is', (n: number) => n % 2 === 0, 8],
] as const)('%s: the same bytes come', async (_what, cached, pieces) => {
  const path = join(folder, 'content')
  writeFileSync(path, content)
  let asked = 0
  let atOnce = 0
  const files = new OpenFiles(4, (_fd, into, at) => {
    if (!cached(asked++)) return -11
    atOnce++
    return content.copy(into, 0, at, at + into.length)
  })
  const reader = await files.open(1, path, content.length)
  if (reader instanceof Error) throw reader
  const into = Buffer.alloc(256 * kib)
  for (let at = 0; at < content.length; at += into.length) {
    expect(await reader.read(at, into)).toBe(into.length)
    expect(into.equals(content.subarray(at, at + into.length))).toBe(true)
    into.fill(0)
  }
  expect(atOnce).toBe(pieces)
  // what is short at the end is not taken for all
  expect(await reader.read(content.length - 10, into)).toBe(10)
  reader.close()
  expect(await reader.read(0, into)).toBe(-1)
  files.close()
})
