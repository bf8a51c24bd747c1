import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { Bandwidths } from '../../comm/bandwidth.ts'
import { commCounters } from '../../comm/counters.ts'
import type { Engine, EngineHost } from '../../comm/engine/engine.ts'
import { createNodeEngine } from '../../comm/engine/node.ts'
import { FdBudget } from '../../comm/fd-budget.ts'
import {
  COMM_REUSEPORT,
  COMM_TPROXY_LCL,
  COMM_TPROXY_REM,
  type Connection,
  type ConnectOptions,
  type ListenOptions,
  type RelayStats,
} from '../../comm/index.ts'
import { OwnEndpoints } from '../../comm/own-endpoints.ts'
import { copyRelay } from '../../comm/relay.ts'
import { Deadlines, type Endpoint, endpoint } from '../../src/base/index.ts'
import { engineContract } from '../contract/engine.ts'
import { limitedRelayContract } from '../contract/limited-relays.ts'
import { connectOptions, listenOptions } from '../support/comm-kit.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Recorder } from '../support/recorder.ts'

// The node engine keeps the contract of all engines. Below it, what is its own: what it refuses, what it plays where
// Node has no word for it (pausing a listener), where a Node socket would behave otherwise than a Connection must, and
// AnyIP. The other side is a plain Node socket there.

describe('node engine', () => engineContract('node'))
describe('limited relays of the node engine', () => limitedRelayContract('node'))

interface Made {
  readonly engine: Engine
  readonly host: EngineHost
}

const engines: Engine[] = []
const sockets: net.Socket[] = []

const make = (fdMax = 1000): Made => {
  const clock = new FakeClock()
  const counters = commCounters()
  let id = 0
  const host: EngineHost = {
    clock,
    counters,
    deadlines: new Deadlines(clock),
    budget: new FdBudget(fdMax, clock, counters, () => {}),
    ownEndpoints: new OwnEndpoints(clock),
    ownReceivers: new OwnEndpoints(clock),
    bandwidths: new Bandwidths(clock),
    nextId: () => ++id,
    failed: error => {
      throw error
    },
  }
  const engine = createNodeEngine(host)
  engines.push(engine)
  return { engine, host }
}

afterEach(async () => {
  for (const engine of engines.splice(0)) engine.close()
  for (const socket of sockets.splice(0)) {
    socket.destroy()
    await closed(socket)
  }
})

/** Not `once`, which takes a reset for a failure of the test. */
const closed = (socket: net.Socket): Promise<void> =>
  new Promise(resolve => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })

const nextTurn = () => new Promise<void>(resolve => setImmediate(resolve))

/** A plain client that half-closes; resets are looked for by `closed`. */
const plainClient = (port: number): net.Socket => {
  const client = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  client.on('error', () => {})
  sockets.push(client)
  return client
}

/** A connection from a plain client to the engine: both ends. */
const accepted = async ({ engine }: Made) => {
  const { promise, resolve } = Promise.withResolvers<Connection>()
  const listener = engine.listen(listenOptions(), resolve)
  const client = plainClient(listener.endpoint.port)
  const connection = await promise
  if (client.connecting) await once(client, 'connect')
  const reader = new Recorder()
  connection.setReader(reader)
  return { listener, client, connection, reader }
}

/** A plain server, for connects. */
const plainServer = async () => {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not a TCP server')
  const connected = new Promise<net.Socket>(resolve => {
    server.once('connection', socket => {
      sockets.push(socket.on('error', () => {}))
      resolve(socket)
    })
  })
  return { at: endpoint('127.0.0.1', address.port), connected, close: () => server.close() }
}

const dial = (engine: Engine, options: ConnectOptions): Promise<Connection> =>
  new Promise((resolve, reject) => {
    engine.connect(options, 0, (error, connection) => (connection === null ? reject(error) : resolve(connection)))
  })

const received = (socket: net.Socket): (() => string) => {
  let text = ''
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
  })
  return () => text
}

describe('what the node engine cannot do', () => {
  it('is refused with a sentence that names it', () => {
    const { engine } = make()
    expect(engine.powers).toEqual({ transparent: false, forge: false, natLookup: false, marks: false, splice: false })
    expect(engine.descriptors).toBeNull()
    const listen = (over: Partial<ListenOptions>) => () => engine.listen(listenOptions(over), () => {})
    expect(listen({ flags: COMM_TPROXY_LCL })).toThrowError(/127.0.0.1:0: tproxy ports needs the addon/)
    expect(listen({ natBackend: 'netfilter' })).toThrowError(/the NAT look-up \(netfilter\) needs the addon/)
    expect(listen({ natBackend: 'pf' })).toThrowError(expect.objectContaining({ code: 'ENOTSUP' }))
    expect(listen({ mark: 1 })).toThrowError(/packet marks/)
    expect(listen({ device: 'lo' })).toThrowError(/binding to a device/)
  })

  it('is refused for connects as well, and never done by half', async () => {
    const { engine, host } = make()
    const { at, close } = await plainServer()
    const refused: readonly Partial<ConnectOptions>[] = [
      { flags: COMM_TPROXY_REM, source: endpoint('127.0.0.9', 0) },
      { mark: 1 },
      { tos: 8 },
      { device: 'lo' },
    ]
    for (const options of refused) {
      await expect(dial(engine, connectOptions(at, options))).rejects.toMatchObject({ code: 'ENOTSUP' })
    }
    await expect(dial(engine, connectOptions(at, { source: endpoint('192.0.2.1', 0) }))).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
      syscall: 'bind',
    })
    expect(host.counters).toMatchObject({ connects: 5, connectFailures: 5 })
    while (host.budget.open > 0) await nextTurn()
    close()
  })
})

describe('a listener of the node engine', () => {
  it('shares a port when both ask for that', () => {
    const { engine } = make()
    const first = engine.listen(listenOptions({ flags: COMM_REUSEPORT }), () => {})
    const second = engine.listen(listenOptions({ flags: COMM_REUSEPORT, endpoint: first.endpoint }), () => {})
    expect(second.endpoint).toEqual(first.endpoint)
    expect(first.fd).toBeGreaterThan(2)
  })

  it('is an endpoint of ours as long as it lives', () => {
    const { engine, host } = make()
    const listener = engine.listen(listenOptions(), () => {})
    expect(host.ownEndpoints.isOwn(listener.endpoint)).toBe(true)
    listener.close()
    expect(host.ownEndpoints.isOwn(listener.endpoint)).toBe(false)
    expect(host.budget.open).toBe(0)
  })

  it('holds a bounded number of connections while it is paused, and resets the rest', async () => {
    const made = make()
    const arrived: Connection[] = []
    const listener = made.engine.listen(listenOptions({ backlog: 128 }), connection => arrived.push(connection))
    listener.pause()
    const clients = Array.from({ length: 70 }, () => plainClient(listener.endpoint.port).resume())
    const gone = clients.map(client => closed(client))
    // 64 wait, 6 are turned away
    let turnedAway = 0
    for (const one of gone) void one.then(() => turnedAway++)
    while (turnedAway < 6) await nextTurn()
    expect(arrived.length).toBe(0)
    listener.resume()
    expect(arrived.length).toBe(0)
    while (arrived.length < 64) await nextTurn()
    expect(turnedAway).toBe(6)
    listener.pause()
    plainClient(listener.endpoint.port)
    while (made.host.budget.open < 66) await nextTurn() // the listener, 64 served, one held
    listener.close()
    while (made.host.budget.open > 64) await nextTurn()
  })

  it('gives the last place away before it turns anybody away', async () => {
    // 8 descriptors, 2 of them kept back: the listener and five connections fit
    const { engine, host } = make(8)
    const arrived: Connection[] = []
    const listener = engine.listen(listenOptions(), connection => arrived.push(connection))
    while (!host.budget.paused) {
      const before = host.budget.open
      plainClient(listener.endpoint.port)
      while (host.budget.open === before) await nextTurn()
    }
    expect(arrived.length).toBe(5)
    await closed(plainClient(listener.endpoint.port).resume())
    expect(arrived.length).toBe(5)
  })
})

describe('a connection of the node engine', () => {
  it('stays until its owner ends it, also when Node has closed the socket after both FINs', async () => {
    const made = make()
    const { connection, client, reader } = await accepted(made)
    const text = received(client)
    client.end('question')
    await reader.ended()
    connection.write('answer')
    connection.shutdownWrite()
    await closed(client)
    expect(text()).toBe('answer')
    while (made.host.budget.open > 1) await nextTurn() // Node has closed it
    expect([connection.closed, reader.told]).toEqual([false, ['end']])
    connection.setTimeout(5000)
    connection.resetClose('refused')
    await reader.closed()
    expect([reader.told, reader.closedBecause]).toEqual([['end', 'close'], 'refused'])
  })

  it('is reset also when much waits, or a FIN is on its way; no descriptor is left', async () => {
    const made = make()
    for (const bytes of [0, 10, 32 * 1024 * 1024]) {
      const { connection, client, listener } = await accepted(made)
      client.pause()
      connection.write(Buffer.alloc(bytes))
      await nextTurn()
      connection.shutdownWrite()
      connection.resetClose()
      client.resume()
      while (made.host.budget.open > 1) await nextTurn()
      listener.close()
    }
  })

  it('throws input away while it flushes before a close, so that the close does not become a reset', async () => {
    const { connection, client, reader } = await accepted(make())
    client.pause()
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    let written = 0
    do {
      written += chunk.length
      connection.write(chunk)
      await nextTurn()
    } while (connection.pending === 0)
    connection.closeAfterFlush('done')
    client.write('ignored')
    let got = 0
    client.on('data', piece => {
      got += piece.length
    })
    client.resume()
    await reader.closed()
    await once(client, 'end')
    expect([got, reader.bytes, reader.closedBecause]).toEqual([written, 0, 'done'])
  })

  it('owes a drain to a reader that finds output pending', async () => {
    const { connection, client } = await accepted(make())
    client.resume()
    connection.write('last word')
    const late = new Recorder()
    connection.setReader(late)
    expect(connection.pending).toBe(9)
    await late.until(() => late.count('drain') > 0)
    expect(connection.pending).toBe(0)
  })
})

describe('a relay over the node engine', () => {
  it('may begin in the turn of the last word to the client', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    const { at, connected, close } = await plainServer()
    const outward = await dial(made.engine, connectOptions(at))
    const origin = await connected
    const toClient = received(client)
    const toOrigin = received(origin)
    const { promise, resolve } = Promise.withResolvers<RelayStats>()
    connection.write('go ahead\n')
    expect(made.engine.relay(connection, outward, { idleTimeoutMs: 0, onRelayed: resolve })).toBeNull()
    copyRelay(connection, outward, { idleTimeoutMs: 0, onRelayed: resolve }, made.host)
    origin.write('welcome')
    client.write('hello')
    while (toClient() !== 'go ahead\nwelcome' || toOrigin() !== 'hello') await nextTurn()
    client.end()
    origin.end()
    expect(await promise).toEqual({ bytesToA: 7, bytesToB: 5, why: 'done' })
    close()
  })

  it('holds little while the one side does not take it, and loses nothing', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    const { at, connected, close } = await plainServer()
    const outward = await dial(made.engine, connectOptions(at))
    const origin = await connected
    const { promise, resolve } = Promise.withResolvers<RelayStats>()
    copyRelay(connection, outward, { idleTimeoutMs: 0, onRelayed: resolve }, made.host)
    const bytes = 32 * 1024 * 1024
    origin.end(Buffer.alloc(bytes, 'x')) // far more than both sockets hold
    while (connection.pending === 0) await nextTurn()
    for (let i = 0; i < 50; i++) {
      await nextTurn()
      expect(connection.pending).toBeLessThan(1024 * 1024)
    }
    let got = 0
    client.on('data', piece => {
      got += piece.length
    })
    client.end()
    expect(await promise).toEqual({ bytesToA: bytes, bytesToB: 0, why: 'done' })
    await once(client, 'end')
    expect(got).toBe(bytes)
    close()
  })
})

describe('a connect of the node engine', () => {
  it('is told that it was given up when the engine closes', async () => {
    const { engine, host } = make()
    const { at, close } = await plainServer()
    const failed = expect(dial(engine, connectOptions(at))).rejects.toMatchObject({ code: 'ECANCELED' })
    expect(engine.fdTable()).toMatchObject([{ kind: 'connecting', peer: at }])
    engine.close()
    await failed
    while (host.budget.open > 0) await nextTurn()
    expect(engine.fdTable()).toEqual([])
    close()
  })

  it('counts a socket it has handed over until that closes', async () => {
    const { engine, host } = make()
    const { at, connected, close } = await plainServer()
    const { promise, resolve, reject } = Promise.withResolvers<{ socket: net.Socket; local: Endpoint }>()
    engine.connectSocket(connectOptions(at), 0, (error, socket, local) => {
      if (socket === null || local === null) reject(error)
      else resolve({ socket, local })
    })
    const { socket, local } = await promise
    sockets.push(socket)
    const origin = await connected
    expect(local.port).toBe(origin.remotePort)
    expect(engine.fdTable()).toMatchObject([{ kind: 'socket', peer: at, local }])
    expect(host.budget.open).toBe(1)
    const text = received(socket)
    origin.end('hello')
    await closed(socket) // as any Node socket: it ends its side by itself
    expect(text()).toBe('hello')
    while (host.budget.open > 0) await nextTurn()
    expect(engine.fdTable()).toEqual([])
    close()
  })
})

// ---- AnyIP: a network of its own, where the routing table makes foreign addresses local

const anyIpScript = fileURLToPath(new URL('../support/any-ip.ts', import.meta.url))
const inOwnNetwork = (command: string) => spawnSync('unshare', ['-Urn', 'sh', '-ec', command], { encoding: 'utf8' })
const noNetwork = inOwnNetwork('ip link set lo up && ip route add local 203.0.113.0/24 dev lo').status !== 0
if (noNetwork) console.warn('SKIPPED, AnyIP: no network namespace of our own (unshare -Urn, iproute2)')

describe.skipIf(noNetwork)(`AnyIP${noNetwork ? ' (no network namespaces here)' : ''}`, () => {
  it('takes connections to foreign addresses and forges sources, for IPv4 and IPv6', () => {
    const ran = inOwnNetwork(`
      ip link set lo up
      ip route add local 203.0.113.0/24 dev lo
      ip route add local 198.51.100.0/24 dev lo
      ip -6 route add local 2001:db8:1::/64 dev lo
      ip -6 route add local 2001:db8:2::/64 dev lo
      echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind
      exec "${process.execPath}" "${anyIpScript}"
    `)
    expect(ran.stderr).toBe('')
    expect(JSON.parse(ran.stdout)).toEqual({
      powers: { transparent: true, forge: true, natLookup: false, marks: false, splice: false },
      four: { original: { kind: 'tproxy', destination: '203.0.113.10' }, peer: '198.51.100.7', samePort: true },
      six: { original: { kind: 'tproxy', destination: '2001:db8:1::10' }, peer: '2001:db8:2::7', samePort: true },
      own: { original: { kind: 'direct' }, peer: '198.51.100.7', samePort: true },
    })
  })
})
