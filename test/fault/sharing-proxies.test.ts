import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo } from 'node:net'
import { createServer, request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'

// Contract: two whole proxies with one cache_dir answer like one. After a POST through either, neither serves what was
// there before; what one has fetched and written the other does not fetch; killing one at work harms nobody. The origin
// numbers what it hands out, and counts how often it is asked.

const program = new URL('proxy-program.ts', import.meta.url).pathname
const ends: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

interface Origin {
  readonly port: number
  /** By path: what it hands out now, and how often it was asked. */
  readonly version: Map<string, number>
  asked: number
}

const startOrigin = async (): Promise<Origin> => {
  const origin = { port: 0, version: new Map<string, number>(), asked: 0 }
  const server: Server = createServer((message, response) => {
    const path = message.url ?? '/'
    if (message.method === 'POST') {
      origin.version.set(path, (origin.version.get(path) ?? 0) + 1)
      response.end('changed')
      return
    }
    origin.asked++
    const version = origin.version.get(path) ?? 0
    const size = path.includes('large') ? 200_000 : path.includes('middle') ? 20_000 : 500
    response.writeHead(200, { 'Cache-Control': 'max-age=1000', 'X-Version': String(version) })
    response.end(Buffer.alloc(size, `${version};`))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  origin.port = (server.address() as AddressInfo).port // it listens on an address
  return origin
}

class Proxy {
  readonly child: ChildProcess
  port = 0

  constructor(folder: string) {
    // so large that the log of its index, a sixteenth, is not behind on a slow machine: nothing would be taken in then
    this.child = spawn(process.execPath, [program, folder, '256'], { stdio: ['ignore', 'pipe', 'inherit'] })
    ends.push(() => this.kill())
  }

  async ready(): Promise<this> {
    if (this.child.stdout === null) throw new Error('no pipe')
    for await (const line of createInterface({ input: this.child.stdout })) {
      this.port = Number(line)
      break
    }
    return this
  }

  /** The version that came, as head and content say alike. */
  ask(method: 'GET' | 'POST', uri: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.port, method, path: uri, headers, agent: false }, response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          if (response.statusCode === 504) return resolve('none')
          const version = String(response.headers['x-version'])
          const content = Buffer.concat(chunks)
          const right = method === 'POST' || content.equals(Buffer.alloc(content.length, `${version};`))
          resolve(right ? version : `${version} with the content of another`)
        })
      })
      asked.on('error', reject)
      asked.end()
    })
  }

  /** What it answers without asking anybody, once there is something: what another has fetched is being written. */
  async stored(uri: string): Promise<string> {
    for (let i = 0; i < 1000; i++) {
      const version = await this.ask('GET', uri, { 'Cache-Control': 'only-if-cached' })
      if (version !== 'none') return version
    }
    return 'none'
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }
}

test('two proxies with one cache_dir answer like one, also when one is killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-two-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const origin = await startOrigin()
  let a = await new Proxy(folder).ready()
  let b = await new Proxy(folder).ready()
  const uris = ['small', 'middle', 'large'].map(name => `http://127.0.0.1:${origin.port}/${name}`)
  for (let round = 0; round < 30; round++) {
    for (const uri of uris) {
      const version = String(origin.version.get(new URL(uri).pathname) ?? 0)
      expect(await a.ask('GET', uri)).toBe(version)
      expect(await b.stored(uri)).toBe(version)
      expect(await b.ask('GET', uri)).toBe(version)
      expect(await a.ask('GET', uri)).toBe(version)
      await a.ask('POST', uri)
    }
    ;[a, b] = [b, a]
    if (round % 10 !== 9) continue
    // one dies with requests of its own under way, and another takes its place
    const dying = uris.map(uri => a.ask('GET', uri).catch(() => 'broken'))
    await a.kill()
    await Promise.all(dying)
    a = await new Proxy(folder).ready()
  }
  // one fetch for both; what the dying ones fetched may have been stored in time, or not
  expect(origin.asked).toBeGreaterThanOrEqual(90)
  expect(origin.asked).toBeLessThanOrEqual(90 + 9)
})
