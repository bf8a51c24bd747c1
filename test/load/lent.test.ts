// Hundreds of clients at any pace, content that is asked for often, too much of it for memory, and now and then another in
// its place: whatever was lent, let go of, and written over by others since, each client gets the bytes of the version that
// the head of its response names.

import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { native } from '../../native/index.ts'
import { collectGarbage } from '../../src/cli/collect-garbage.ts'
import { origin, stage } from '../scenario/scene.ts'

const paths = 90
const clientCount = 200
const requestsEach = 6

/** The same sequence of numbers each time. */
const numbers = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
  return (seed >>> 8) % below
}

/** Few different ones, so that memory that went soon serves another. */
const lengthOf = (path: number): number => 33_000 + (path % 7) * 74_321

/** Every word is different from those of any other path and version. */
const contentOf = (path: number, version: number): Buffer => {
  const words = new Uint32Array(Math.ceil(lengthOf(path) / 4))
  const from = (path * 1000 + version) * 200_000
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(from + i, 2_654_435_761)
  return Buffer.from(words.buffer, 0, lengthOf(path))
}

const contents = new Map<string, Buffer>()
const contentNamed = (name: string): Buffer => {
  const known = contents.get(name)
  if (known !== undefined) return known
  const [path = 0, version = 0] = name.split('.').map(Number)
  const made = contentOf(path, version)
  contents.set(name, made)
  return made
}

const sockets: net.Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  contents.clear()
})

/** One connection: asks, and compares as it comes. */
class Reader {
  readonly socket: net.Socket
  wrong: string | null = null
  #head = ''
  #expected: Buffer | null = null
  #at = 0
  #done: () => void = () => {}

  constructor(port: number) {
    this.socket = net.connect(port, '127.0.0.1')
    sockets.push(this.socket)
    this.socket.on('data', (bytes: Buffer) => this.#came(bytes))
    this.socket.on('error', error => this.#fail(String(error)))
  }

  ask(text: string): Promise<void> {
    return new Promise(done => {
      this.#done = done
      this.socket.write(text)
    })
  }

  #came(bytes: Buffer): void {
    if (this.#expected === null) {
      this.#head += bytes.toString('latin1')
      const end = this.#head.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = this.#head
      this.#head = ''
      const name = /\r\nX-Name: (\S+)/.exec(head)?.[1]
      if (name === undefined) return this.#fail(head)
      const [, first, last] = /\r\nContent-Range: bytes (\d+)-(\d+)/.exec(head) ?? []
      const whole = contentNamed(name)
      this.#expected = first === undefined ? whole : whole.subarray(Number(first), Number(last) + 1)
      this.#at = 0
      bytes = Buffer.from(head.slice(end + 4), 'latin1')
    }
    const { length } = bytes
    const expected = this.#expected.subarray(this.#at, this.#at + length)
    if (!bytes.equals(expected)) return this.#fail(`other bytes in what came as ${this.#at}..${this.#at + length}`)
    this.#at += length
    if (this.#at < this.#expected.length) return
    this.#expected = null
    this.#done()
  }

  #fail(why: string): void {
    this.wrong ??= why
    this.socket.destroy()
    this.#done()
  }
}

/** Waits for 150 more requests to be finished, or until everybody waits. */
class Others {
  count = 0
  #running = clientCount
  #waiting: { readonly until: number; readonly go: () => void }[] = []

  served(): Promise<void> {
    return new Promise(go => {
      this.#waiting.push({ until: this.count + 150, go })
      this.#look()
    })
  }

  finished(): void {
    this.count++
    this.#look()
  }

  left(): void {
    this.#running--
    this.#look()
  }

  #look(): void {
    const all = this.#waiting.length === this.#running
    const ready = this.#waiting.filter(({ until }) => all || until <= this.count)
    if (ready.length === 0) return
    this.#waiting = this.#waiting.filter(each => !ready.includes(each))
    for (const { go } of ready) go()
  }
}

test.skipIf(!native.present)('each of hundreds of clients gets what it asked for, whatever becomes of the memory it is sent from', async () => {
  const proxy = await stage('cache_mem 10 MB\nmaximum_object_size_in_memory 1 MB\nrefresh_pattern . 10000 100% 10000 reload-into-ims\n')
  const versions = new Array<number>(paths).fill(0)
  const server = await origin((request, response) => {
    const path = Number(request.url?.slice(1))
    if (request.headers['cache-control'] === 'no-cache') versions[path] = (versions[path] ?? 0) + 1
    const name = `${path}.${versions[path]}`
    const content = contentNamed(name)
    response.writeHead(200, { 'Cache-Control': 'max-age=100000', 'X-Name': name, 'Content-Length': content.length })
    response.end(content)
  })
  const asked = (path: number, ...lines: readonly string[]): string =>
    `GET http://127.0.0.1:${server.port}/${path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
  const random = numbers(20_001)
  const others = new Others()
  const readers: Reader[] = []
  const begin = async (nth: number): Promise<void> => {
    const reader = new Reader(proxy.port('web'))
    readers.push(reader)
    const { socket } = reader
    const popular = nth % 12
    for (let i = 0; i < requestsEach && reader.wrong === null; i++) {
      const path = random(4) === 0 ? random(paths) : popular + random(4)
      const kind = random(12)
      const last = lengthOf(path) - 1
      const range = kind === 0 ? [`Range: bytes=${random(last >> 1)}-${last - random(last >> 1)}`] : []
      if (kind === 1) range.push('Cache-Control: no-cache')
      const pace = random(4)
      const whole = reader.ask(asked(path, ...range))
      if (pace === 0) {
        // all that the kernel takes of it is there, and no one reads: until others have had theirs
        socket.pause()
        await others.served()
        if (random(8) === 0) {
          socket.resetAndDestroy()
          return others.left()
        }
        socket.resume()
      } else if (pace === 1) {
        const slowly = (): void => {
          socket.pause()
          setImmediate(() => socket.resume())
        }
        socket.on('data', slowly)
        await whole
        socket.off('data', slowly)
        socket.resume()
      }
      await whole
      others.finished()
    }
    others.left()
  }
  let over = false
  const collecting = (async () => {
    for (let seen = 0; !over; ) {
      await new Promise(setImmediate)
      if (others.count < seen + 75) continue
      seen = others.count
      collectGarbage()
    }
  })()
  await Promise.all(Array.from({ length: clientCount }, (_, nth) => begin(nth)))
  over = true
  await collecting
  expect(readers.map(({ wrong }) => wrong).filter(wrong => wrong !== null)).toEqual([])
  const { counters } = proxy.machine.comm
  expect(counters.bytesLent).toBeGreaterThan(counters.bytesWritten / 10)
}, 90_000)
