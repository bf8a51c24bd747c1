// Contract: of two stores with one folder each takes away what it began and did not finish, also when the other's change
// is heard of in the middle of that; and what one has left behind that is gone, the other does, without a restart. Seen
// in the index (rows of files that are not simply in use) and in the folder.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey } from '../../src/cache/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { closeDisk, closeDisks, newDisk, newFolder } from './disk-kit.ts'
import { fieldsOf, storedOf } from './kit.ts'

afterEach(closeDisks)

const key = cacheKey('GET', 'http://a.example/x')
const response = (contentLength = -1) => storedOf({ uri: 'http://a.example/x', response: ['Cache-Control: max-age=1000'], contentLength })

const indexOf = <T>(folder: string, ask: (db: DatabaseSync) => T): T => {
  const db = new DatabaseSync(join(folder, 'index.db'))
  try {
    return ask(db)
  } finally {
    db.close()
  }
}

/** Rows of files that are not in use (nothing was promised those that are still to be made), and files. */
const leftIn = (folder: string): { readonly rows: number; readonly files: number } => ({
  rows: indexOf(folder, db => db.prepare('SELECT id FROM file WHERE state = 2 OR (state = 0 AND bytes > 0)').all().length),
  files: readdirSync(join(folder, 'content'), { recursive: true, encoding: 'utf8' }).filter(name =>
    statSync(join(folder, 'content', name), { throwIfNoEntry: false })?.isFile(),
  ).length,
})

test.each([
  ['as its file is made', -1],
  ['as room is made for it', 1_000_000],
])('what one writes and the other invalidates, which is heard %s, leaves nothing and holds no room', async (_, bytesTaken) => {
  const folder = newFolder()
  const clock = new FakeClock()
  const limits = { bytesMax: bytes(1_200_000), objectBytesMax: bytes(500_000) }
  const ours = newDisk({ folder, clock, limits })
  const theirs = newDisk({ folder, clock, limits })
  if (bytesTaken > 0) {
    // full, so that the next bytes need a change in the index
    for (let i = 0; i < 100; i++) {
      const filler = storedOf({ uri: `http://a.example/filler-${i}`, response: ['Cache-Control: max-age=1000'], contentLength: 12_000 })
      const opened = theirs.open(filler, fieldsOf())
      if (opened.ok) (opened.writer.append(Buffer.alloc(12_000)), opened.writer.complete())
    }
    ours.catchUp()
  }
  const opened = ours.open(response(), fieldsOf())
  if (!opened.ok) throw new Error(opened.reason)
  expect(opened.writer.append(Buffer.alloc(10_000, 'a'))).toBe(true)
  theirs.invalidate(key)
  // the first change in the index since
  expect(opened.writer.append(Buffer.alloc(30_000, 'b'))).toBe(false)
  expect(opened.writer.refusal).toBe('invalidated')
  opened.writer.abandon()
  await expect.poll(() => (clock.advance(2500), leftIn(folder)), { timeout: 5000 }).toEqual({ rows: 0, files: 0 })
  // nothing is held for it either: as much can be written as in the beginning
  const before = indexOf(folder, db => Number(db.prepare('SELECT small + large + reserved AS sum FROM total').get()?.['sum']))
  expect(ours.bytes).toBe(before)
})

test('what one had not taken away when it was closed, the other does', async () => {
  const folder = newFolder()
  const clock = new FakeClock()
  const ours = newDisk({ folder, clock })
  const theirs = newDisk({ folder, clock })
  const opened = theirs.open(response(100_000), fieldsOf())
  if (!opened.ok) throw new Error(opened.reason)
  opened.writer.append(Buffer.alloc(100_000))
  expect(opened.writer.complete()).not.toBe(null)
  await theirs.settled()
  theirs.invalidate(key)
  await closeDisk(theirs)
  ours.catchUp()
  await expect.poll(() => (clock.advance(2500), leftIn(folder)), { timeout: 5000 }).toEqual({ rows: 0, files: 0 })
})
