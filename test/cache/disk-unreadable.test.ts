import { DatabaseSync } from 'node:sqlite'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { cacheKey, type StoredResponse } from '../../src/cache/index.ts'
import { DiskStore } from '../../src/cache/store/disk/disk-store.ts'
import { bootMark, indexPath, ownerMark, prepareFolder } from '../../src/cache/store/disk/folder.ts'
import { hashOf, Ledger, type Row } from '../../src/cache/store/disk/ledger.ts'
import { write } from '../contract/store.ts'
import { closeDisks, diskLimits, newFolder } from './disk-kit.ts'
import { storedOf } from './kit.ts'

// What is invalidated while the index cannot be read (EIO) is not found afterwards, however it was when it could not be
// looked for; everything else goes on.

const uri = (name: string) => `http://a.example/${name}`
const keyOf = (name: string) => cacheKey('GET', uri(name))
const fresh = (name: string): StoredResponse => storedOf({ uri: uri(name), response: ['Cache-Control: max-age=60'], contentLength: 3 })

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
  await closeDisks()
})

const scene = () => {
  const folder = newFolder()
  prepareFolder(folder)
  const unreadable = new Set<number>()
  class FailingLedger extends Ledger {
    override find(hashed: number): Row[] {
      if (unreadable.has(hashed)) throw Object.assign(new Error('disk I/O error'), { errcode: 10 })
      return super.find(hashed)
    }
  }
  const said: string[] = []
  const options = { folder, limits: diskLimits(), clock: systemClock, notice: (text: string) => void said.push(text) }
  const store = new DiskStore(options, () => new FailingLedger(new DatabaseSync(indexPath(folder)), 'lru'), ownerMark(), bootMark())
  ends.push(() => store.close())
  for (const name of ['one', 'two', 'three']) expect(write(store, fresh(name), Buffer.from('abc'))).not.toBe(null)
  return {
    store, said,
    /** Any change will do. */
    change: async (name: string) => {
      const [stored] = (await store.lookup(keyOf(name))) ?? []
      expect(stored !== undefined && store.remove(stored)).toBe(true)
    },
    fail: (name: string) => unreadable.add(hashOf(keyOf(name))),
    mend: () => unreadable.clear(),
  }
}

test('it is not found, and gone with the next change', async () => {
  const { store, said, change, fail, mend } = scene()
  fail('one')
  store.invalidate(keyOf('one'))
  mend()
  expect(store.lookup(keyOf('one'))).toBe(null)
  await change('two')
  expect(store.lookup(keyOf('one'))).toBe(null)
  expect(store.count).toBe(1)
  expect(said.length).toBe(1)
})

test('as long as it cannot be read others are changed, and it is owed', async () => {
  const { store, change, fail, mend } = scene()
  fail('one')
  store.invalidate(keyOf('one'))
  await change('two')
  expect(store.count).toBe(2)
  mend()
  expect(store.lookup(keyOf('one'))).toBe(null)
  await change('three')
  expect(store.count).toBe(0)
})
