import { symlinkSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, Disks, MemoryStore, openDisk, TieredStore } from '../../src/cache/index.ts'
import { byPrefix } from '../../src/cache/selection.ts'
import { Debts } from '../../src/cache/store/disk/debts.ts'
import type { DiskStore } from '../../src/cache/store/disk/disk-store.ts'
import { signalPath } from '../../src/cache/store/disk/folder.ts'
import { hashOf } from '../../src/cache/store/disk/ledger.ts'
import { openChangeSignal } from '../../src/cli/change-signal.ts'
import { write } from '../contract/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisks, diskLimits, newDisk, newFolder } from './disk-kit.ts'
import { fieldsOf, storedOf } from './kit.ts'

// Contract: what one process has invalidated no other with the same folder finds, also when the index could not be told:
// somebody else has it for longer than a client can wait. Seen with two stores and somebody who holds the index.

const uri = (n: number | string) => `http://a.example/${n}`
const keyOf = (n: number | string) => cacheKey('GET', uri(n))
const fresh = (n: number | string) => storedOf({ uri: uri(n), response: ['Cache-Control: max-age=1000'] })
const content = Buffer.from('content')

const ends: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await closeDisks()
})

const scene = () => {
  const folder = newFolder()
  const clock = new FakeClock()
  const newUser = () => {
    const notice = (text: string): void => expect.fail(text)
    const opened = openDisk({ folder, clock, limits: diskLimits(), openSignal: openChangeSignal, notice })
    if (!opened.ok) throw new Error(opened.message)
    const disk: DiskStore = opened.store
    ends.push(() => disk.close())
    const memory = new MemoryStore({ bytesMax: bytes(1e6), objectBytesMax: bytes(1e5), variantsMax: 4 })
    return new TieredStore(memory, new Disks([disk]))
  }
  const [a, b] = [newUser(), newUser()]
  const signal = openChangeSignal(signalPath(folder))
  if (signal === null || signal.debts === null) throw new Error('no common memory')
  const { debts } = signal
  const other = new DatabaseSync(join(folder, 'index.db'))
  ends.push(() => other.close())
  return {
    folder, clock, a, b, newUser, signal, debts,
    take: () => other.exec('BEGIN IMMEDIATE'),
    leave: () => other.exec('COMMIT'),
    owed: () => debts.filter(slot => slot !== 0n).length,
  }
}

test('what one invalidates while somebody else has the index is found by nobody, and paid as soon as it can be', async () => {
  const { a, b, clock, take, leave, owed } = scene()
  for (const name of ['x', 'y']) {
    write(a, fresh(name), content)
    expect(await b.lookup(keyOf(name))).toHaveLength(1)
  }
  take()
  a.invalidate(keyOf('x'))
  expect(await b.lookup(keyOf('x'))).toBe(null)
  b.memory.dropAll()
  expect(await b.lookup(keyOf('x'))).toBe(null)
  expect(await a.lookup(keyOf('x'))).toBe(null)
  expect(await b.lookup(keyOf('y'))).toHaveLength(1)
  expect(owed()).toBe(1)
  leave()
  clock.advance(3000)
  expect(owed()).toBe(0)
  expect(await b.lookup(keyOf('x'))).toBe(null)
  write(b, fresh('x'), content)
  expect(await a.lookup(keyOf('x'))).toHaveLength(1)
})

test('what is in the memory of another alone leaves it, too', async () => {
  const { a, b, clock, take, leave } = scene()
  write(a, fresh('x'), content)
  expect(await b.lookup(keyOf('x'))).toHaveLength(1)
  take()
  a.invalidate(keyOf('x'))
  leave()
  clock.advance(3000) // nobody has asked for it meanwhile
  expect(await b.lookup(keyOf('x'))).toBe(null)
  expect(b.memory.peek(keyOf('x'))).toBe(null)
})

test('what another was fetching is not stored', async () => {
  const { a, b, take, leave } = scene()
  const opened = b.disk.open(fresh('x'), fieldsOf())
  if (!opened.ok) throw new Error(opened.reason)
  opened.writer.append(content)
  take()
  a.invalidate(keyOf('x'))
  leave()
  expect(opened.writer.complete()).toBe(null)
  expect(opened.writer.refusal).toBe('invalidated')
})

test('a purge of many reaches what others have in memory', async () => {
  const { a, b, clock, take, leave, owed } = scene()
  write(b.memory, fresh('x'), content)
  take()
  a.walk(byPrefix(uri(''))).end()
  expect(await b.lookup(keyOf('x'))).toBe(null)
  write(b.memory, fresh('x'), content)
  leave()
  clock.advance(3000)
  expect(owed()).toBe(0)
  expect(await b.lookup(keyOf('x'))).toBe(null)
})

test('more than there is room for: nothing is found until all is paid', async () => {
  const { a, b, clock, take, leave, owed } = scene()
  write(a, fresh('y'), content)
  expect(await b.lookup(keyOf('y'))).toHaveLength(1)
  take()
  for (let n = 0; n < 600; n++) a.invalidate(keyOf(n))
  expect(await b.lookup(keyOf('y'))).toBe(null)
  leave()
  clock.advance(3000)
  expect(owed()).toBe(0)
  write(b, fresh('y'), content)
  expect(await a.lookup(keyOf('y'))).toHaveLength(1)
})

test.each(['as the others go on', 'as another starts'])('what somebody owed who was killed is paid %s', async when => {
  const { a, b, clock, newUser, signal, debts, owed } = scene()
  write(a, fresh('x'), content)
  expect(await b.lookup(keyOf('x'))).toHaveLength(1)
  expect(new Debts(debts).owe(5000, hashOf(keyOf('x')))).toBe(true)
  signal.raise()
  expect(await b.lookup(keyOf('x'))).toBe(null)
  if (when === 'as another starts') newUser()
  else clock.advance(10_000)
  expect(owed()).toBe(0)
  expect(b.disk.has(keyOf('x'))).toBe(false)
  expect(await b.lookup(keyOf('x'))).toBe(null)
  write(b, fresh('x'), content)
  expect(await a.lookup(keyOf('x'))).toHaveLength(1)
})

test('a client waits for the index once, not each that comes after it', () => {
  const { a, take, leave } = scene()
  for (let n = 0; n < 100; n++) write(a, fresh(n), content)
  take()
  const began = performance.now()
  for (let n = 0; n < 100; n++) a.invalidate(keyOf(n))
  // each would take 200 ms
  expect(performance.now() - began).toBeLessThan(100 * 200 * 0.75)
  leave()
})

test('where a newer one could not be stored, the older is not found either', async () => {
  const { a, clock, take, leave } = scene()
  write(a, fresh('x'), content)
  take()
  write(a.disk, fresh('x'), Buffer.from('newer'))
  // without a pause it would be taken all the same
  for (let i = 0; i < 6; i++) clock.advance(1000)
  leave()
  a.memory.dropAll()
  expect(await a.lookup(keyOf('x'))).toBe(null)
})

test('a folder that cannot be emptied keeps nobody waiting, and the others hear of it', async () => {
  const folder = newFolder()
  const clock = new FakeClock()
  const said: string[] = []
  const store = newDisk({ folder, clock, said })
  write(store, fresh('x'), content)
  const other = new DatabaseSync(join(folder, 'index.db'))
  ends.push(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  store.clear()
  write(store, fresh('y'), content)
  const asked = store.lookup(keyOf('y'))
  // as on a full disk
  rmSync(join(folder, 'content'), { recursive: true })
  symlinkSync('nowhere', join(folder, 'content'))
  other.exec('COMMIT')
  clock.advance(10)
  const found = await asked
  expect(found).toHaveLength(1)
  expect(said).toHaveLength(1)
  rmSync(join(folder, 'content'))
})
