import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bytes, errnoOf } from '../../src/base/index.ts'
import { openDisk } from '../../src/cache/store/disk/open-disk.ts'
import { fieldsOf } from '../cache/kit.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { check, responseFor, contentFor, keyNumber } from './disk-program.ts'

// full-program.ts FOLDER [limited], on a file system of a few megabytes: stores far more than that, then takes the room away
// altogether (not if `limited`: by whom it is started, files may not grow), then gives it back. Says in JSON what came of it.

const [, , folder = '', limited] = process.argv
const clock = new FakeClock()
const notices: string[] = []
const opened = openDisk({
  folder,
  limits: { bytesMax: bytes(500e6), objectBytesMax: bytes(1e6), objectBytesMin: bytes(0), variantsMax: 4, low: 0.9, high: 0.95 },
  clock,
  notice: text => notices.push(text),
})
if (!opened.ok) throw new Error(opened.message)
const { store } = opened

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}

/** As many as were taken, of so many. Time passes, so that a pause ends and the background has its turns. */
const storeSome = async (count: number): Promise<number> => {
  let taken = 0
  for (let i = 0; i < count; i++) {
    const n = i % 100
    const answer = store.open(responseFor(n, i, i % 2 === 0), fieldsOf())
    if (answer.ok) {
      const content = contentFor(n, i)
      for (let at = 0; at < content.length && answer.writer.append(content.subarray(at, at + 50_000)); at += 50_000);
      if (answer.writer.complete() !== null) taken++
      await store.lookup(keyNumber(n))
    }
    await turns(3)
    clock.advance(700)
  }
  return taken
}

const fill = (): void => {
  for (let size = 65536; size >= 1; size = Math.floor(size / 4)) {
    for (;;) {
      try {
        writeFileSync(join(folder, 'filler'), Buffer.alloc(size), { flag: 'a' })
      } catch (error) {
        if (errnoOf(error) === 'ENOSPC') break
        throw error
      }
    }
  }
}

const first = await storeSome(150)
const afterFirst = await check(store)
if (limited === undefined) fill()
const whileFull = await storeSome(60)
const afterFull = await check(store)
const free = statfsSync(folder).bfree
rmSync(join(folder, 'filler'), { force: true })
clock.advance(120_000)
const afterwards = await storeSome(60)
const last = await check(store)
await store.close()
console.log(
  JSON.stringify({
    first, whileFull, afterwards, free, reserve: existsSync(join(folder, 'reserve')),
    right: [afterFirst.right, afterFull.right, last.right],
    wrong: [...afterFirst.wrong, ...afterFull.wrong, ...last.wrong],
    failed: store.counters.failed, notices,
  }),
)
