import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { readdirSync, statSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { cacheKey, type StoredResponse } from '../../src/cache/index.ts'
import { contentOf, write } from '../contract/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisk, closeDisks, newDisk, newFolder } from './disk-kit.ts'
import { type Case, fieldsOf, storedOf } from './kit.ts'

// A disk store while somebody else has its index: what can wait does, in order, and never for long.

const nobody = fieldsOf()
const uri = (n: number | string) => `http://a.example/${n}`
const keyOf = (n: number | string) => cacheKey('GET', uri(n))
const fresh = (n: number | string, more: Case = {}): StoredResponse =>
  storedOf({ uri: uri(n), ...more, response: ['Cache-Control: max-age=60', ...(more.response ?? [])] })

const scene = () => {
  const folder = newFolder()
  const clock = new FakeClock()
  const store = newDisk({ folder, clock })
  // it has stored before: files are known to the index before they are needed
  write(store, fresh('before', { contentLength: 50_000 }), Buffer.alloc(50_000))
  const other = new DatabaseSync(join(folder, 'index.db'))
  others.push(other)
  return {
    folder, clock, store,
    take: () => other.exec('BEGIN IMMEDIATE'),
    /** And the next try comes. */
    leave: () => (other.exec('COMMIT'), clock.advance(10)),
  }
}
const others: DatabaseSync[] = []

afterEach(async () => {
  for (const other of others.splice(0)) other.close()
  await closeDisks()
})

/** Whether it has an answer by the end of this turn. */
const answered = async (promise: unknown): Promise<boolean> => {
  const nothingYet = {}
  const found = await Promise.race([promise, new Promise(resolve => setImmediate(resolve, nothingYet))])
  return found !== nothingYet
}

describe.each([
  ['small', 1000],
  ['large', 60_000],
])('%s content', (_, size) => {
  const content = Buffer.alloc(size, 'x')

  test('is stored when it can be; who asks meanwhile waits', async () => {
    const { store, take, leave } = scene()
    await store.settled()
    take()
    expect(write(store, fresh(1, { contentLength: size }), content)).not.toBe(null)
    const asked = store.lookup(keyOf(1))
    expect(await answered(asked)).toBe(false)
    expect(await answered(store.lookup(keyOf('before')))).toBe(true)
    // large content has to come to its file first
    await expect.poll(() => (leave(), take(), answered(asked)), { interval: 5 }).toBe(true)
    leave()
    const [found] = (await asked) ?? []
    expect((await contentOf(found)).equals(content)).toBe(true)
    expect(store.count).toBe(2)
  })

  test('that is invalidated meanwhile is not stored, and leaves no file', async () => {
    const { store, folder, clock, take, leave } = scene()
    await store.settled()
    take()
    expect(write(store, fresh(1, { contentLength: size }), content)).not.toBe(null)
    expect(store.invalidate(keyOf(1))).toBe(1)
    leave()
    expect(await store.lookup(keyOf(1))).toBe(null)
    expect(store.count).toBe(1)
    const files = (): number =>
      readdirSync(join(folder, 'content'), { recursive: true, encoding: 'utf8' }).filter(name => statSync(join(folder, 'content', name)).isFile()).length
    await expect.poll(() => (clock.advance(3000), files())).toBe(1)
  })

  test('is given up after five seconds', async () => {
    const { store, clock, take, leave } = scene()
    await store.settled()
    take()
    expect(write(store, fresh(1, { contentLength: size }), content)).not.toBe(null)
    const asked = Promise.resolve(store.lookup(keyOf(1)))
    await expect.poll(() => (clock.advance(1000), answered(asked))).toBe(true)
    expect(await asked).toBe(null)
    expect(store.counters.refused).toBe(1)
    leave()
    expect(write(store, fresh(2, { contentLength: size }), content)).not.toBe(null)
    await store.settled()
    expect(store.count).toBe(2)
  })

  test('of which the newer comes while the older waits: the newer is found', async () => {
    const { store, take, leave } = scene()
    await store.settled()
    take()
    write(store, fresh(1, { contentLength: size }), Buffer.alloc(size, 'a'))
    write(store, fresh(1, { contentLength: size }), Buffer.alloc(size, 'b'))
    const asked = Promise.resolve(store.lookup(keyOf(1)))
    await expect.poll(() => (leave(), take(), answered(asked)), { interval: 5 }).toBe(true)
    leave()
    const found = (await asked) ?? []
    expect(found).toHaveLength(1)
    expect((await contentOf(found[0])).toString('latin1', 0, 1)).toBe('b')
  })
})

describe('changes', () => {
  test('of a stored response wait; one that must not, makes those before it first', async () => {
    const { store, take, leave } = scene()
    write(store, fresh(1), Buffer.from('one'))
    const [old] = (await store.lookup(keyOf(1))) ?? []
    if (old === undefined) throw new Error('it is not stored')
    take()
    const by = fresh(1, { response: ['ETag: "new"'] })
    expect(store.replace(old, by)).toBe(true)
    expect(await answered(store.lookup(keyOf(1)))).toBe(false)
    write(store, fresh(2), Buffer.from('two'))
    others[0]?.exec('COMMIT')
    // no time has passed: nobody has tried again
    expect(store.counters.replaced).toBe(0)
    expect(store.remove(by)).toBe(true)
    expect(store.counters.replaced).toBe(1)
    expect(await store.lookup(keyOf(1))).toBe(null)
    expect((await store.lookup(keyOf(2)))?.length).toBe(1)
    take()
    leave()
  })

  test('that wait when the store is closed are made', async () => {
    const { store, folder, take, leave } = scene()
    await store.settled()
    take()
    write(store, fresh(1), Buffer.from('one'))
    others[0]?.exec('COMMIT')
    await closeDisk(store)
    const again = newDisk({ folder })
    expect((await again.lookup(keyOf(1)))?.length).toBe(1)
    take()
    leave()
  })

  test('are not collected without end', async () => {
    const { store, clock, take, leave } = scene()
    await store.settled()
    take()
    let stored = 0
    while (stored < 5000 && write(store, fresh(stored), Buffer.from('content')) !== null) stored++
    expect(stored).toBe(1024)
    expect(store.open(fresh('more'), nobody)).toEqual({ ok: false, reason: 'busy' })
    leave()
    // our own thread may have it now and then, too
    await expect.poll(() => (clock.advance(10), store.count)).toBe(1 + 1024)
  })
})
