import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { mapShared, native } from '../../native/index.ts'
import { openChangeSignal } from '../../src/cli/change-signal.ts'

// Memory of a file: seen by all who map it, adds without loss whoever adds, and refuses what it cannot map.

const run = native.present ? test : test.skip

run('two mappings are one memory, and outlive the descriptor; adding from several threads loses nothing', async () => {
  if (!native.present) return
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-map-'))
  const path = join(folder, 'page')
  const source = `
    const { openChangeSignal } = await import(${JSON.stringify(new URL('../../src/cli/change-signal.ts', import.meta.url).href)})
    const signal = openChangeSignal(${JSON.stringify(path)})
    for (let i = 0; i < 100000; i++) signal.raise()`
  const before = openChangeSignal(path)
  const adders = [1, 2, 3].map(() => new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`)))
  await Promise.all(adders.map(adder => new Promise((resolve, reject) => adder.on('exit', resolve).on('error', reject))))
  expect(before?.current()).toBe(300_000)
  expect(openChangeSignal(path)?.current()).toBe(300_000)
  rmSync(folder, { recursive: true })
  expect(before?.raise()).toBe(1)
  expect(before?.current()).toBe(300_001)
})

run('what cannot be mapped is an errno, and a wrong argument an error', () => {
  if (!native.present) return
  const { addon } = native
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-map-'))
  writeFileSync(join(folder, 'page'), Buffer.alloc(4096))
  const readOnly = openSync(join(folder, 'page'), 'r')
  expect(mapShared(addon, readOnly, 4096)).toBe(-13) // EACCES
  closeSync(readOnly)
  expect(mapShared(addon, readOnly, 4096)).toBe(-9) // EBADF
  expect(() => mapShared(addon, -1, 4096)).toThrow(TypeError)
  expect(() => mapShared(addon, 0, 0)).toThrow(RangeError)
  expect(() => mapShared(addon, 0, 2 ** 31)).toThrow(RangeError)
  // cut by somebody: not mapped rather than a SIGBUS later
  writeFileSync(join(folder, 'short'), 'x')
  expect(openChangeSignal(join(folder, 'short'))).toBe(null)
  expect(openChangeSignal(join(folder, 'none', 'page'))).toBe(null)
  rmSync(folder, { recursive: true })
})
