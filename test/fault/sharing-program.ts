import { bytes, systemClock } from '../../src/base/index.ts'
import {
  cacheKey, type CacheKey, Collapse, Disks, MemoryStore, openDisk, purgeSelected, type StoredResponse, TieredStore,
} from '../../src/cache/index.ts'
import { byPrefix } from '../../src/cache/selection.ts'
import { openChangeSignal } from '../../src/cli/change-signal.ts'
import { contentOf, write } from '../contract/store.ts'
import { fieldsOf, storedOf } from '../cache/kit.ts'

// A process with memory over a folder that others have open, too. It does what it is told, a line at a time, and answers
// each with a line; between them it may be told to be busy. Contents say their version, and so do heads.
//
//   sharing-program.ts FOLDER BYTES [ask]     `ask`: no common memory, the index is asked instead

const [, , folder = '', size = '0', ask] = process.argv

const opened = openDisk({
  folder,
  limits: { bytesMax: bytes(Number(size)), objectBytesMax: bytes(1e6), objectBytesMin: bytes(0), variantsMax: 4, low: 0.9, high: 0.95 },
  clock: systemClock,
  notice: text => console.log(`notice ${text}`),
  ...(ask === undefined ? { openSignal: openChangeSignal } : {}),
})
if (!opened.ok) throw new Error(opened.message)
const disk = opened.store
const tiers = new TieredStore(new MemoryStore({ bytesMax: bytes(4e6), objectBytesMax: bytes(1e5), variantsMax: 4 }), new Disks([disk]))
const outdated: string[] = []
tiers.outdated = key => void outdated.push(key ?? 'all')

const keyOf = (name: string): CacheKey => cacheKey('GET', `http://a.example/${name}`)
const responseFor = (name: string, version: string, length = -1): StoredResponse =>
  storedOf({ uri: `http://a.example/${name}`, response: ['Cache-Control: max-age=1000', `X-Version: ${version}`], contentLength: length })
const contentFor = (version: string, length: number): Buffer => Buffer.alloc(length, `${version};`)
const versionOf = (stored: StoredResponse): string => /X-Version: (\w+)/.exec(stored.head)?.[1] ?? '?'

const found = async (name: string): Promise<string> => {
  const [stored] = (await tiers.lookup(keyOf(name))) ?? []
  if (stored === undefined) return 'nothing'
  const version = versionOf(stored)
  // removed by another process since the look-up: a proxy asks the origin then
  const content = stored.content === null ? Buffer.concat(stored.body) : await contentOf(stored).catch(() => null)
  if (content === null) return 'nothing'
  return content.equals(contentFor(version, content.length)) ? version : `${version} with the content of another`
}

type Writer = Extract<ReturnType<TieredStore['open']>, { ok: true }>['writer']
const writers = new Map<string, { readonly writer: Writer; readonly version: string; readonly length: number }>()

const deeds: Readonly<Record<string, (...words: string[]) => string | Promise<string>>> = {
  put: async (name = '', version = '', length = '100') => {
    const stored = write(tiers, responseFor(name, version), contentFor(version, Number(length)))
    await disk.settled()
    return stored === null ? 'refused' : 'stored'
  },
  get: (name = '') => found(name),
  /** In memory alone: no promise. */
  hot: (name = '') => String(!(tiers.memory.peek(keyOf(name)) === null)),
  drop: () => (tiers.memory.dropAll(), 'dropped'),
  open: (name = '', version = '', length = '100') => {
    const answer = tiers.open(responseFor(name, version, Number(length)), fieldsOf())
    if (!answer.ok) return answer.reason
    writers.set(name, { writer: answer.writer, version, length: Number(length) })
    return 'open'
  },
  finish: async (name = '') => {
    const known = writers.get(name)
    if (known === undefined) return 'unknown'
    known.writer.append(contentFor(known.version, known.length))
    const stored = known.writer.complete()
    await disk.settled()
    return stored === null ? (known.writer.refusal ?? '?') : 'stored'
  },
  replace: async (name = '', version = '') => {
    const [stored] = (await tiers.lookup(keyOf(name))) ?? []
    if (stored === undefined) return 'nothing'
    const by = Object.assign(Object.create(Object.getPrototypeOf(stored) as object), stored, {
      head: stored.head.replace('\r\nX-Version', `\r\nX-Fresh: ${version}\r\nX-Version`),
    }) as StoredResponse
    return String(tiers.replace(stored, by))
  },
  fresh: async (name = '') => {
    const [stored] = (await tiers.lookup(keyOf(name))) ?? []
    return stored === undefined ? 'nothing' : (/X-Fresh: (\w+)/.exec(stored.head)?.[1] ?? 'no')
  },
  invalidate: (name = '') => String(tiers.invalidate(keyOf(name))),
  purge: async (prefix = '') => {
    const parts = { store: tiers, collapse: new Collapse(false, systemClock), clock: systemClock }
    return String(await purgeSelected(parts, byPrefix(`http://a.example/${prefix}`), () => true))
  },
  clear: () => (tiers.clear(), 'cleared'),
  outdated: () => outdated.splice(0).join(' ') || 'none',
  sums: () => JSON.stringify({ bytes: disk.bytes, max: disk.bytesMax, count: disk.count, ...disk.counters }),
  /** Stores, reads, invalidates for so long, and tells what was wrong. */
  busy: async (seconds = '1', seed = '1', keys = '400', most = '200000') => {
    const until = systemClock.mono() + Number(seconds) * 1000
    let state = Number(seed)
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    const wrong: string[] = []
    let deedsDone = 0
    while (systemClock.mono() < until) {
      const name = `busy-${random(Number(keys))}`
      const what = random(10)
      if (what < 2) write(tiers, responseFor(name, `v${random(1e6)}`), contentFor('', 0))
      else if (what < 6) {
        const version = `w${random(1e6)}`
        write(tiers, responseFor(name, version), contentFor(version, random(10) === 0 ? random(Number(most)) : random(30_000)))
      } else if (what === 6) tiers.invalidate(keyOf(name))
      else {
        const answer = await found(name)
        if (answer.includes('content')) wrong.push(answer)
      }
      deedsDone++
      if (deedsDone % 8 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await disk.settled()
    return wrong.length > 0 ? `wrong ${wrong[0]}` : `well ${deedsDone}`
  },
  close: async () => {
    await disk.close()
    return 'closed'
  },
}

console.log('ready')
let rest = ''
process.stdin.setEncoding('utf8')
for await (const chunk of process.stdin) {
  rest += chunk as string // the encoding is set
  const lines = rest.split('\n')
  rest = lines.pop() ?? ''
  for (const line of lines) {
    const [word = '', ...words] = line.split(' ')
    console.log((await deeds[word]?.(...words)) ?? `no such deed: ${word}`)
  }
}
