import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { cacheKey } from '../../src/cache/index.ts'
import { CacheDirRefused, openStores, type Stores } from '../../src/cli/stores.ts'
import { type Config, parseConf } from '../../src/conf/index.ts'
import type { DebugLog } from '../../src/log/index.ts'
import { storedOf } from '../cache/kit.ts'
import { write } from '../contract/store.ts'
import { FakeClock } from '../support/fake-clock.ts'

// What a reload does to the stores of a conf: memory stays, folders come and go without a restart, and one that cannot
// be opened costs its responses only.

const folders: string[] = []
const opened: Stores[] = []

afterEach(async () => {
  for (const stores of opened.splice(0)) await stores.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-stores-'))
  folders.push(folder)
  return folder
}

const confOf = (...lines: readonly string[]): Config => {
  const text = ['http_port 3128', 'http_access allow all', ...lines, ''].join('\n')
  const { config, diagnostics } = parseConf({ file: 'test.conf', text }, { readFile: () => '', glob: () => [], env: {} })
  if (config === null) throw new Error(JSON.stringify(diagnostics))
  return config
}

const said: string[] = []
const log: DebugLog = {
  verbose: false,
  wants: () => true,
  write: (_section, _level, message) => void said.push(message),
  error: (_section, message) => void said.push(`ERROR: ${message}`),
  warning: (_section, message) => void said.push(`WARNING: ${message}`),
  alert: (_section, message) => void said.push(message),
  limited: (_key, _section, _level, message) => void said.push(message),
  configure: () => {},
  rotate: () => {},
  reopen: () => {},
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
}

const open = (...lines: readonly string[]): Stores => {
  said.length = 0
  const stores = openStores(confOf(...lines), new FakeClock(), log)
  opened.push(stores)
  return stores
}

const put = (stores: Stores, n: number, size = 1000): void => {
  const response = storedOf({ uri: `http://a.example/${n}`, response: ['Cache-Control: max-age=60'] })
  if (write(stores.store, response, Buffer.alloc(size, n)) === null) throw new Error('not stored')
}
const found = async (stores: Stores, n: number): Promise<boolean> =>
  (await stores.store.lookup(cacheKey('GET', `http://a.example/${n}`))) !== null
const countsOf = (stores: Stores): Record<string, number> =>
  Object.fromEntries((stores.disk?.dirs ?? []).map(dir => [dir.folder, dir.count]))

test('the first folder may come with a reload; what memory had stays, what comes then is on disk, too', async () => {
  const stores = open('cache_mem 1 MB')
  put(stores, 1)
  const folder = newFolder()
  stores.reload(confOf('cache_mem 1 MB', `cache_dir ufs ${folder} 10`))
  put(stores, 2)
  expect(await found(stores, 1)).toBe(true)
  expect(countsOf(stores)).toEqual({ [folder]: 1 })
  stores.memory.dropAll()
  expect(await found(stores, 2)).toBe(true)
})

test('folders come and go; what lies in one that goes stays there and is found when it comes back', async () => {
  const [a, b, c] = [newFolder(), newFolder(), newFolder()]
  const line = (folder: string) => `cache_dir ufs ${folder} 10`
  const stores = open('cache_mem 0', line(a), line(b), 'store_dir_select_algorithm round-robin')
  for (let n = 0; n < 4; n++) put(stores, n)
  expect(countsOf(stores)).toEqual({ [a]: 2, [b]: 2 })
  stores.reload(confOf('cache_mem 0', line(b), line(c)))
  expect(said).toContain(`cache_dir ${a} is not used any more; what is there stays`)
  expect(countsOf(stores)).toEqual({ [b]: 2, [c]: 0 })
  put(stores, 4)
  expect(countsOf(stores)).toEqual({ [b]: 2, [c]: 1 })
  // it takes a moment to close; a reload then finds it
  await expect.poll(() => {
    stores.reload(confOf('cache_mem 0', line(a), line(b), line(c)))
    return countsOf(stores)
  }).toEqual({ [a]: 2, [b]: 2, [c]: 1 })
  for (let n = 0; n < 5; n++) expect(await found(stores, n)).toBe(true)
  stores.reload(confOf('cache_mem 1 MB'))
  expect(countsOf(stores)).toEqual({})
  put(stores, 9)
  expect(await found(stores, 9)).toBe(true)
  expect(await found(stores, 0)).toBe(false)
})

test('sizes and bounds follow a reload', async () => {
  const folder = newFolder()
  const stores = open('cache_mem 0', `cache_dir ufs ${folder} 10`)
  put(stores, 1)
  stores.reload(confOf('cache_mem 0', `cache_dir ufs ${folder} 20 min-size=2000`))
  expect(stores.disk?.bytesMax).toBe(20 * 1024 * 1024)
  expect(() => put(stores, 2)).toThrow('not stored')
  put(stores, 3, 2000)
  expect(countsOf(stores)).toEqual({ [folder]: 2 })
})

test('one that cannot be opened, or is Squid’s, costs its responses only; at the start Squid’s is refused', async () => {
  const [good, bad, foreign] = [newFolder(), newFolder(), newFolder()]
  writeFileSync(join(bad, 'content'), 'a file where a folder should be')
  writeFileSync(join(foreign, 'swap.state'), 'x')
  const stores = open('cache_mem 0', `cache_dir ufs ${bad} 10`, `cache_dir ufs ${good} 10`)
  expect(countsOf(stores)).toEqual({ [good]: 0 })
  expect(said.filter(line => line.startsWith('ERROR'))).toHaveLength(1)
  put(stores, 1)
  stores.reload(confOf('cache_mem 0', `cache_dir ufs ${foreign} 10`, `cache_dir ufs ${good} 10`))
  expect(countsOf(stores)).toEqual({ [good]: 1 })
  expect(said.at(-1)).toMatch(/holds the cache of Squid .* it is not used/)
  expect(await found(stores, 1)).toBe(true)
  expect(() => open(`cache_dir ufs ${foreign} 10`)).toThrow(CacheDirRefused)
  // and when it is repaired
  rmSync(join(bad, 'content'))
  stores.reload(confOf('cache_mem 0', `cache_dir ufs ${bad} 10`, `cache_dir ufs ${good} 10`))
  expect(countsOf(stores)).toEqual({ [bad]: 0, [good]: 1 })
})
