import net from 'node:net'
import { once } from 'node:events'
import tls from 'node:tls'
import { afterAll, afterEach, expect, test } from 'vitest'
import { bytes, ms, wallMs } from '../../src/base/index.ts'
import { SessionCache, TlsClient, type TlsTarget, usualTlsClient } from '../../src/tls/index.ts'
import { ask, engines, get, Heard, Opened, routeTo, turns } from '../chainer/kit.ts'
import { TestCa } from '../support/test-ca.ts'

// Connections with TLS that break at every byte: in the handshake, between answers, within records, with FIN or RST, by the
// origin or by who asked. Every exchange ends once, an answer that is told as whole is whole, and nothing stays open.

const ca = new TestCa()
const root = ca.make({ subject: '/CN=Root', ca: true })
const made = ca.make({ subject: '/CN=x', names: 'DNS:x', by: root })
afterAll(() => ca.remove())

const opened = new Opened()
afterEach(() => opened.closeAll())

const content = 'abcdefghij'.repeat(2000)
/** Without a length: only the end of the connection says that it is whole. */
const endless = `HTTP/1.1 200 OK\r\n\r\n${content}`
const measured = `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`

/** Numbers that are the same every time. */
const dice = (seed: number) => (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 0x1_0000_0000
}

const secureOrigin = async (): Promise<number> => {
  const server = tls.createServer({ cert: made.cert, key: made.key }, socket => {
    socket.on('error', () => {})
    socket.on('data', (request: Buffer) => {
      if (request.includes('/endless')) socket.end(endless)
      else socket.write(measured)
    })
  })
  server.on('tlsClientError', () => {})
  return listening(server)
}

/** Passes bytes on until it has seen so many of the server's, and then cuts. */
const cuttingFront = async (behind: number, cut: () => { readonly after: number; readonly how: 'fin' | 'reset' }): Promise<number> => {
  const server = net.createServer({ allowHalfOpen: true }, client => {
    const { after, how } = cut()
    const origin = net.connect(behind, '127.0.0.1')
    let left = after
    for (const socket of [client, origin]) socket.on('error', () => {})
    client.on('close', () => origin.destroy())
    client.pipe(origin)
    origin.on('data', (piece: Buffer) => {
      if (left <= 0) return
      client.write(piece.subarray(0, left))
      left -= piece.length
      if (left > 0) return
      if (how === 'fin') client.end()
      else client.resetAndDestroy()
    })
    origin.on('end', () => client.end())
  })
  return listening(server)
}

const listening = async (server: net.Server): Promise<number> => {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.later(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const target = (): TlsTarget => ({
  name: 'x',
  judge: ({ errors: [first] }) => first ?? null,
  client: new TlsClient(
    { ...usualTlsClient, roots: [root.cert] },
    { issuers: null, validator: null, now: () => wallMs(Date.now()), sessions: new SessionCache({ bytesMax: bytes(1e6), ttl: ms(60_000) }, () => wallMs(Date.now())) },
  ),
})

test.each(engines)('over the %s engine', async engine => {
  const bench = opened.bench({ engine })
  const random = dice(4711)
  const origin = await secureOrigin()
  const lengths = [1, 5, 6, 100, 700, 1200, 1500, 2000, 5000, 10_000, 17_000, 19_000, 21_000, 22_000, 40_000, 1_000_000]
  const port = await cuttingFront(origin, () => ({
    after: (lengths[Math.floor(random() * lengths.length)] ?? 1) + Math.floor(random() * 40),
    how: random() < 0.5 ? 'fin' : 'reset',
  }))
  const tlsTarget = target()
  const seen = { whole: 0, broken: 0, gone: 0 }
  const one = async (): Promise<void> => {
    const isEndless = random() < 0.3
    const heard = ask(bench, routeTo(port, { tls: tlsTarget }), get(isEndless ? '/endless' : '/measured'), new Heard())
    if (random() < 0.15) {
      await turns(Math.floor(random() * 8))
      if (!heard.over) {
        heard.fetch?.abort()
        seen.gone++
        return
      }
    }
    await heard.until(() => heard.over)
    if (heard.error !== null) {
      expect(['secure-connect-failed', 'read-error', 'empty-response', 'write-error', 'connect-failed']).toContain(heard.error.code)
      seen.broken++
      return
    }
    expect([heard.status, heard.text === content]).toEqual([200, true])
    seen.whole++
  }
  for (let round = 0; round < 15; round++) await Promise.all(Array.from({ length: 20 }, one))
  expect(Math.min(seen.whole, seen.broken, seen.gone)).toBeGreaterThan(5)
  bench.pool.closeIdle()
  for (let i = 0; i < 200 && bench.pool.connections > 0; i++) await turns(5)
  expect([bench.pool.connections, bench.pool.waiting, bench.pool.keys]).toEqual([0, 0, 0])
  for (let i = 0; i < 200 && left(bench.comm) > 0; i++) await turns(5)
  expect(left(bench.comm)).toBe(0)
})

const left = (comm: { fdTable(): readonly { readonly kind: string }[] }): number => comm.fdTable().filter(({ kind }) => kind === 'connection').length
