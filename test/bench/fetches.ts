import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { COMM_NONBLOCKING, type Comm, type Connection, type ConnectionReader, createComm } from '../../comm/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { createOriginPool, inOrder, type OriginHandler } from '../../src/chainer/index.ts'
import { parseResponseHead } from '../../src/http/index.ts'
import type { Route } from '../../src/router/index.ts'
import type { Session } from '../../src/service/index.ts'

// What one exchange with an origin costs, by who speaks HTTP: CPU microseconds of this process, loopback included.
//
//   bin/nodex test/bench/fetches.ts [--count 200000]
//
//   raw    comm and our own parser, nothing else: what is left when the client costs nothing
//   pool   src/chainer/origin-pool

const count = Number(process.argv[3] ?? 100_000)
const atOnce = 50
const port = await freePort()
const origin = spawn(process.execPath, [new URL('canned.ts', import.meta.url).pathname, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
await once(origin.stdout, 'data')
const comm = createComm({ clock: systemClock, engine: 'native' })

const measured = async (name: string, one: (next: () => void) => void): Promise<void> => {
  for (const fetches of [count / 4, count]) {
    const before = process.cpuUsage()
    await all(fetches, one)
    const { user, system } = process.cpuUsage(before)
    if (fetches === count) {
      console.log(`${name.padEnd(6)} ${((user + system) / count).toFixed(1)} us (user ${(user / count).toFixed(1)}, system ${(system / count).toFixed(1)})`)
    }
  }
}

const all = (fetches: number, one: (next: () => void) => void): Promise<void> =>
  new Promise(resolve => {
    let begun = 0
    let over = 0
    const next = (): void => {
      if (++over === fetches) resolve()
      else if (begun < fetches) {
        begun++
        one(next)
      }
    }
    for (; begun < atOnce; begun++) one(next)
  })

const request = 'GET /1k HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\nVia: 1.1 bench (glassquid)\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n'
const limits = { headBytesMax: 65_536, lineBytesMax: 65_536, fieldsMax: 500, hostRequired: false }

class Raw implements ConnectionReader {
  readonly connection: Connection
  next: () => void = () => {}
  #left = -1

  constructor(connection: Connection) {
    this.connection = connection
    connection.setReader(this)
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.#left < 0) {
      const answer = parseResponseHead(slab, start, end, limits, 'GET')
      if (answer.kind !== 'head') throw new Error('the canned head comes in one piece')
      this.#left = answer.head.framing.length
      start = answer.end
    }
    this.#left -= end - start
    if (this.#left > 0) return
    this.#left = -1
    free.push(this)
    this.next()
  }

  onEnd(): void {}
  onDrain(): void {}
  onTimeout(): void {}
  onClose(): void {}
}

const target = endpoint('127.0.0.1', port)
const free: Raw[] = await Promise.all(
  Array.from({ length: atOnce }, async () => new Raw(await comm.connect({ target, flags: COMM_NONBLOCKING, note: 'raw' }, 5000))),
)
const raw = (next: () => void): void => {
  const wire = free.pop()
  if (wire === undefined) throw new Error('as many as at once')
  wire.next = next
  wire.connection.write(request)
}

const pooled = (using: Comm) => {
  const pool = createOriginPool({ comm: using, clock: systemClock, failed: error => { throw error } })
  const route: Route = { target, source: null, forged: false, mark: undefined, tos: undefined, hierarchy: 'ORIGINAL_DST' }
  const session = { server: null, serverLocal: null } as unknown as Session // only what the pool writes
  const pairs = ['Host', '127.0.0.1', 'User-Agent', 'bench', 'Accept', '*/*', 'Via', '1.1 bench (glassquid)', 'X-Forwarded-For', '127.0.0.1']
  const tries = { forwardTimeout: 10_000, connectTimeout: 5000, triesMax: 3 } as Parameters<typeof pool.fetch>[4]
  return (next: () => void): void => {
    const handler: OriginHandler = {
      onConnected() {}, onInterim() {}, onHead() {}, onData: () => true, onEnd: next,
      onError(error) { throw error },
    }
    pool.fetch(session, inOrder([route], 'tcp'), { method: 'GET', target: '/1k', pairs, content: null, contentLength: undefined, idempotent: true }, handler, tries, [])
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

await measured('raw', raw)
await measured('pool', pooled(comm))
await measured('raw', raw)
await measured('pool', pooled(comm))
origin.kill()
process.exit(0)
