import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { check, keyCount, keyNumber, openStore } from './disk-program.ts'

// Contract: whenever a process with a disk store is killed, the next one finds every response whole and right, or not at
// all; what was invalidated stays invalidated; no file is left that nobody knows of. Seen by letting processes store
// with all their might, killing them at a moment of no meaning, and looking at every byte afterwards.

const program = new URL('disk-program.ts', import.meta.url).pathname
const kills = 200
const scratch: string[] = []

afterEach(() => {
  for (const folder of scratch.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const newFolder = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `glassquid-${name}-`))
  scratch.push(folder)
  return folder
}

/** One store and the processes that use it, one after the other. */
const lane = async (count: number, firstSeed: number, env: NodeJS.ProcessEnv): Promise<void> => {
  const folder = newFolder('kill')
  const wrong: string[] = []
  /** May not be found. */
  const invalidated = new Set<number>()
  let found = 0
  for (let i = 0; i < count; i++) {
    const child = spawn(process.execPath, [program, folder, String(firstSeed + i)], { stdio: ['ignore', 'pipe', 'inherit'], env })
    const closed = once(child, 'close')
    // after so many deeds, wherever it is in the next one
    const last = 2 + ((i * 7919) % 61)
    let said = 0
    for await (const line of createInterface({ input: child.stdout })) {
      const [word, rest = ''] = line.split(/ (.*)/s)
      if (word === 'wrong') wrong.push(rest)
      if (word === 'checked') found += Number(rest)
      if (word === 'storing') invalidated.delete(Number(rest))
      if (word === 'invalidated') invalidated.add(Number(rest))
      if (++said === last) child.kill('SIGKILL')
    }
    await closed
    expect(child.signalCode).toBe('SIGKILL')
    expect(wrong).toEqual([])
  }
  expect(found).toBeGreaterThan(count)
  await checkAfterwards(folder, invalidated)
}

const checkAfterwards = async (folder: string, invalidated: ReadonlySet<number>): Promise<void> => {
  const notices: string[] = []
  const store = openStore(folder, text => notices.push(text))
  expect((await check(store)).wrong).toEqual([])
  for (const n of invalidated) expect(await store.peek(keyNumber(n)), `key ${n} was invalidated`).toBe(null)
  let inFiles = 0
  for (let n = 0; n < keyCount; n++) {
    for (const stored of (await store.peek(keyNumber(n))) ?? []) if (stored.content !== null) inFiles++
  }
  await store.close()
  expect(notices).toEqual([])
  const files = readdirSync(join(folder, 'content'), { recursive: true, encoding: 'utf8' }).filter(name =>
    statSync(join(folder, 'content', name)).isFile(),
  )
  expect(files, 'no file that nobody knows of').toHaveLength(inFiles)
}

test(`${kills} kills during load: every response is whole or gone`, { timeout: 180_000 }, async () => {
  // most of a child's life would be reading its sources; one that ends by itself leaves them compiled
  const env = { ...process.env, NODE_COMPILE_CACHE: newFolder('compiled') }
  expect(spawnSync(process.execPath, [program], { env, timeout: 60_000 }).status).toBe(0)
  await Promise.all([lane(kills / 2, 1, env), lane(kills / 2, 1001, env)])
})
