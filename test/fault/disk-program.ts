import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { bytes, errnoOf, systemClock } from '../../src/base/index.ts'
import { cacheKey, type CacheKey, type StoredResponse } from '../../src/cache/index.ts'
import type { DiskStore } from '../../src/cache/store/disk/disk-store.ts'
import { openDisk } from '../../src/cache/store/disk/open-disk.ts'
import { fieldsOf, storedOf } from '../cache/kit.ts'

// A process that uses a disk store until it is killed. Every content is a function of its key and its version, and the
// version stands in the head: whoever finds a response can tell what its bytes must be.
//
//   disk-program.ts FOLDER SEED     looks at all that is there, says what was wrong with it, and then stores, reads,
//                                   replaces and invalidates without end
//
// What it says, a line each, before or after the deed, so that nothing it said is untrue whenever it dies:
//   checked N             responses found at the start, each whole and right
//   wrong …               the opposite
//   storing KEY           from here on the key may be found
//   invalidated KEY       from here on it may not, until it is stored again

export const keyCount = 100
const bytesMax = 5_000_000

export const openStore = (folder: string, notice: (text: string) => void): DiskStore => {
  const opened = openDisk({
    folder,
    limits: {
      bytesMax: bytes(bytesMax), objectBytesMax: bytes(1_000_000), objectBytesMin: bytes(0), variantsMax: 4, low: 0.85, high: 0.9,
    },
    clock: systemClock,
    notice,
  })
  if (!opened.ok) throw new Error(opened.message)
  return opened.store
}

export const keyNumber = (n: number): CacheKey => cacheKey('GET', `http://a.example/${n}`)

/** What the origin says for that key and version. */
export const contentFor = (n: number, version: number): Buffer => {
  const seed = createHash('sha256').update(`${n} ${version}`).digest()
  const kind = seed.readUInt8(0) % 8
  const length = kind < 5 ? seed.readUInt16LE(1) % 20_000 : kind < 7 ? seed.readUInt32LE(1) % 80_000 : seed.readUInt32LE(1) % 800_000
  const content = Buffer.alloc(length, seed)
  for (let at = 0; at + 4 <= length; at += 4096) content.writeUInt32LE(at, at)
  return content
}

export const responseFor = (n: number, version: number, declared: boolean): StoredResponse =>
  storedOf({
    uri: `http://a.example/${n}`,
    response: ['Cache-Control: max-age=1000', `X-Version: ${version}`],
    contentLength: declared ? contentFor(n, version).length : -1,
  })

/** What of the response is not as it was stored; null = nothing. */
export const faultOf = async (n: number, stored: StoredResponse): Promise<string | null> => {
  const version = Number(/X-Version: (\d+)\r\n/.exec(stored.head)?.[1])
  const wanted = contentFor(n, version)
  if (stored.key !== keyNumber(n)) return `it is under ${keyNumber(n)} and says ${stored.key}`
  if (stored.contentLength !== wanted.length) return `version ${version} has ${stored.contentLength} bytes instead of ${wanted.length}`
  const content = await readAll(stored)
  if (content === null) return 'gone' // between the look and the reading: that is allowed
  return content.equals(wanted) ? null : `version ${version} of ${n} has other bytes`
}

const readAll = async (stored: StoredResponse): Promise<Buffer | null> => {
  if (stored.content === null) return Buffer.concat(stored.body)
  const reader = await stored.content.open()
  if (reader === null) return null
  const content = Buffer.alloc(stored.contentLength)
  const count = await reader.read(0, content)
  reader.close()
  return count === content.length ? content : Buffer.alloc(0)
}

/** Looks at everything; answers how many were found right, and what was wrong. */
export const check = async (store: DiskStore): Promise<{ readonly right: number; readonly wrong: string[] }> => {
  let right = 0
  const wrong: string[] = []
  for (let n = 0; n < keyCount; n++) {
    for (const stored of (await store.lookup(keyNumber(n))) ?? []) {
      const fault = await faultOf(n, stored)
      if (fault === null) right++
      else if (fault !== 'gone') wrong.push(fault)
    }
  }
  return { right, wrong }
}

const say = (line: string): void => {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      // the reader is behind
      if (errnoOf(error) !== 'EAGAIN') throw error
    }
  }
}

const main = async (folder: string, seed: number): Promise<void> => {
  const store = openStore(folder, text => say(`wrong notice: ${text}`))
  const { right, wrong } = await check(store)
  for (const fault of wrong) say(`wrong ${fault}`)
  say(`checked ${right}`)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const nobody = fieldsOf()
  const storeOne = async (): Promise<void> => {
    const n = random(keyCount)
    const version = random(1e9)
    say(`storing ${n}`)
    const opened = store.open(responseFor(n, version, random(2) === 0), nobody)
    if (!opened.ok) return
    const { writer } = opened
    const content = contentFor(n, version)
    for (let at = 0; at < content.length; at += 20_000) {
      if (!writer.append(content.subarray(at, at + 20_000))) return
      if (random(20) === 0) await new Promise(resolve => setImmediate(resolve))
      if (random(200) === 0) writer.abandon()
      if (writer.pressed) await new Promise<void>(resolve => { writer.onRelieved = resolve })
    }
    writer.complete()
  }
  const worker = async (): Promise<never> => {
    for (;;) {
      const what = random(10)
      const n = random(keyCount)
      if (what < 6) await storeOne()
      else if (what === 6) {
        store.invalidate(keyNumber(n))
        say(`invalidated ${n}`)
      } else {
        for (const stored of (await store.lookup(keyNumber(n))) ?? []) {
          const fault = await faultOf(n, stored)
          if (fault !== null && fault !== 'gone') say(`wrong ${fault}`)
          if (what === 7) store.replace(stored, responseWith(stored, 'X-Fresh: 1'))
        }
      }
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()])
}

/** As after a 304. */
const responseWith = (stored: StoredResponse, line: string): StoredResponse => {
  const head = stored.head.includes(line) ? stored.head : `${stored.head}${line}\r\n`
  return Object.assign(Object.create(Object.getPrototypeOf(stored) as object), stored, { head }) as StoredResponse
}

const [, program = '', folder, seed] = process.argv
if (program.endsWith('disk-program.ts') && folder !== undefined) await main(folder, Number(seed))
