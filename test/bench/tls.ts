import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { type Comm, createComm } from '../../comm/index.ts'
import { bytes, endpoint, ms, systemClock } from '../../src/base/index.ts'
import { createOriginPool, inOrder, type OriginHandler, type OriginPool } from '../../src/chainer/index.ts'
import type { Route } from '../../src/router/index.ts'
import type { Session } from '../../src/service/index.ts'
import { Mint, noAdaptation, readAuthority, SessionCache, TlsClient, type TlsTarget, usualTlsClient } from '../../src/tls/index.ts'
import { TestCa } from '../support/test-ca.ts'

// What TLS towards origins costs, and certificates for clients: CPU microseconds of this process, loopback included.
//
//   bin/nodex test/bench/tls.ts [--count 20000]
//
//   clear     an exchange of 1 KB on kept connections, without TLS (the same origin pool)
//   kept      the same with TLS
//   resumed   a connection for each exchange, sessions kept
//   full      a connection for each exchange, no session
//   leaf      a certificate by name: made, with its context

const count = Number(process.argv[3] ?? 20_000)
const ca = new TestCa()
const root = ca.make({ subject: '/CN=Bench', ca: true, key: 'rsa' })
const leaf = ca.make({ subject: '/CN=localhost', names: 'DNS:localhost', by: root, key: 'ec' })
const [cert, key] = [ca.write('o.pem', leaf.cert), ca.write('o.key', leaf.key)]

const started = async (script: string, ...more: readonly string[]) => {
  const port = await freePort()
  const child = spawn(process.execPath, [new URL(script, import.meta.url).pathname, String(port), ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return { port, child }
}

const measured = async (name: string, many: number, one: (next: () => void) => void, atOnce = 50): Promise<void> => {
  for (const rounds of [Math.ceil(many / 4), many]) {
    const before = process.cpuUsage()
    await all(rounds, atOnce, one)
    const { user, system } = process.cpuUsage(before)
    if (rounds === many) console.log(`${name.padEnd(8)} ${((user + system) / many).toFixed(1)} us (user ${(user / many).toFixed(1)}, system ${(system / many).toFixed(1)})`)
  }
}

const all = (rounds: number, atOnce: number, one: (next: () => void) => void): Promise<void> =>
  new Promise(resolve => {
    let begun = 0
    let over = 0
    const next = (): void => {
      if (++over === rounds) resolve()
      else if (begun++ < rounds) one(next)
    }
    for (; begun < Math.min(atOnce, rounds); begun++) one(next)
  })

const fetching = (pool: OriginPool, port: number, tls: TlsTarget | undefined) => {
  const route: Route = { target: endpoint('127.0.0.1', port), source: null, forged: false, mark: undefined, tos: undefined, hierarchy: 'HIER_DIRECT', tls }
  const session = { server: null, serverLocal: null } as unknown as Session // only what the pool writes
  const tries = { forwardTimeout: ms(10_000), connectTimeout: ms(5000), triesMax: 3, keepalive: false } as Parameters<typeof pool.fetch>[4]
  return (next: () => void): void => {
    const handler: OriginHandler = { onConnected() {}, onInterim() {}, onHead() {}, onData: () => true, onEnd: next, onError(error) { throw error } }
    pool.fetch(session, inOrder([route], 'tcp'), { method: 'GET', target: '/1k', pairs: ['Host', 'localhost'], content: null, contentLength: undefined, idempotent: true }, handler, tries, [])
  }
}

const poolOf = (comm: Comm, persistent: boolean): OriginPool =>
  createOriginPool({ comm, clock: systemClock, limits: { persistent }, failed: error => { throw error } })

const targetWith = (reuseSessions: boolean): TlsTarget => ({
  name: 'localhost',
  judge: ({ errors: [first] }) => first ?? null,
  client: new TlsClient(
    { ...usualTlsClient, roots: [root.cert], reuseSessions },
    { issuers: null, validator: null, now: () => systemClock.wall(), sessions: new SessionCache({ bytesMax: bytes(1e7), ttl: ms(300_000) }, () => systemClock.wall()) },
  ),
})

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

const clear = await started('canned.ts')
const secure = await started('tls-canned.ts', cert, key)
const comm = createComm({ clock: systemClock, engine: 'native' })
await measured('clear', count, fetching(poolOf(comm, true), clear.port, undefined))
await measured('kept', count, fetching(poolOf(comm, true), secure.port, targetWith(true)))
await measured('resumed', Math.ceil(count / 10), fetching(poolOf(comm, false), secure.port, targetWith(true)), 8)
await measured('full', Math.ceil(count / 10), fetching(poolOf(comm, false), secure.port, targetWith(false)), 8)

const authority = readAuthority(root.cert, root.key)
if (!authority.ok) throw new Error(authority.reason)
const mint = new Mint({ authority: authority.authority, bytesMax: 0, hash: 'sha256', now: () => systemClock.wall() })
let number = 0
await measured('leaf', Math.ceil(count / 20), next => {
  void Promise.resolve(mint.leaf({ name: `host${number++}.example`, like: null, sign: 'signTrusted', adapt: noAdaptation })).then(next)
})
clear.child.kill()
secure.child.kill()
ca.remove()
process.exit(0)
