import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { CloseReason, Connection, ConnectionReader } from '../../comm/connection.ts'
import { commCounters } from '../../comm/counters.ts'
import {
  COMM_REUSEPORT,
  COMM_TPROXY_LCL,
  COMM_TPROXY_REM,
  type ConnectOptions,
  type Engine,
  type EngineHost,
  type ListenOptions,
  type RelayStats,
} from '../../comm/engine/engine.ts'
import { createNodeEngine, type NodeEngineOptions } from '../../comm/engine/node.ts'
import { CommError } from '../../comm/error.ts'
import { FdBudget } from '../../comm/fd-budget.ts'
import { OwnEndpoints } from '../../comm/own-endpoints.ts'
import { copyRelay } from '../../comm/relay.ts'
import { Deadlines, type Endpoint, endpoint } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Guards what is the node engine's own: how it makes a Connection of a Node socket, what it refuses, what it does where
// Node has no word for it (pausing a listener), and AnyIP. What both engines promise is test/contract/engine.ts. The
// other side of every connection is a plain Node socket, and time is the test's.

interface Made {
  readonly engine: Engine
  readonly host: EngineHost
  readonly clock: FakeClock
  readonly failures: unknown[]
}

const engines: Engine[] = []
const sockets: net.Socket[] = []

const make = (options: NodeEngineOptions = {}, fdMax = 1000): Made => {
  const clock = new FakeClock()
  const counters = commCounters()
  const failures: unknown[] = []
  let id = 0
  const host: EngineHost = {
    clock,
    counters,
    deadlines: new Deadlines(clock),
    budget: new FdBudget(fdMax, clock, counters, () => {}),
    ownEndpoints: new OwnEndpoints(clock),
    nextId: () => ++id,
    failed: error => failures.push(error),
  }
  const engine = createNodeEngine(host, options)
  engines.push(engine)
  return { engine, host, clock, failures }
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

const listenOptions = (over: Partial<ListenOptions> = {}): ListenOptions => ({
  endpoint: endpoint('127.0.0.1', 0),
  flags: 0,
  dualStack: false,
  backlog: 128,
  natBackend: 'none',
  note: 'test port',
  ...over,
})

const connectOptions = (target: Endpoint, over: Partial<ConnectOptions> = {}): ConnectOptions => ({
  target,
  flags: 0,
  note: 'test connect',
  ...over,
})

/** Collects what a connection tells, and lets the test wait for it. */
class Recorder implements ConnectionReader {
  readonly events: string[] = []
  text = ''
  #waiting: { readonly until: () => boolean; readonly resolve: () => void }[] = []
  readonly #hooks: Partial<ConnectionReader>

  constructor(hooks: Partial<ConnectionReader> = {}) {
    this.#hooks = hooks
  }

  onData(c: Connection, slab: Buffer, start: number, end: number): void {
    this.text += slab.toString('latin1', start, end)
    this.#hooks.onData?.(c, slab, start, end)
    this.#tell()
  }
  onEnd(c: Connection): void {
    this.events.push('end')
    this.#hooks.onEnd?.(c)
    this.#tell()
  }
  onDrain(c: Connection): void {
    this.events.push('drain')
    this.#hooks.onDrain?.(c)
    this.#tell()
  }
  onTimeout(c: Connection): void {
    this.events.push('timeout')
    this.#hooks.onTimeout?.(c)
    this.#tell()
  }
  onClose(c: Connection, why: CloseReason): void {
    this.events.push(`close ${why}`)
    this.#hooks.onClose?.(c, why)
    this.#tell()
  }

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push({ until: holds, resolve }))
  }

  closed(): Promise<void> {
    return this.until(() => this.events.some(e => e.startsWith('close')))
  }

  #tell(): void {
    this.#waiting = this.#waiting.filter(waiting => {
      if (!waiting.until()) return true
      waiting.resolve()
      return false
    })
  }
}

/** A connection from a Node socket to the engine: both ends. */
const accepted = async (made: Made, over: Partial<ListenOptions> = {}, host = '127.0.0.1') => {
  let arrive: (connection: Connection) => void = () => {}
  const arrival = new Promise<Connection>(resolve => {
    arrive = resolve
  })
  const listener = made.engine.listen(listenOptions(over), connection => arrive(connection))
  const client = net.connect({ host, port: listener.endpoint.port, allowHalfOpen: true })
  client.on('error', () => {}) // resets are looked for by 'close'
  sockets.push(client)
  const connection = await arrival
  if (client.connecting) await once(client, 'connect')
  return { listener, client, connection }
}

const received = (socket: net.Socket): (() => string) => {
  let text = ''
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
  })
  return () => text
}

const dial = (engine: Engine, options: ConnectOptions, timeoutMs = 0): Promise<Connection> =>
  new Promise((resolve, reject) => {
    engine.connect(options, timeoutMs, (error, connection) => (connection === null ? reject(error) : resolve(connection)))
  })

const nextTurn = () => new Promise<void>(resolve => setImmediate(resolve))

/** A plain echo-less server, for connects. */
const server = async (): Promise<{ at: Endpoint; connected: Promise<net.Socket>; close: () => Promise<void> }> => {
  const plain = net.createServer({ allowHalfOpen: true })
  plain.listen(0, '127.0.0.1')
  await once(plain, 'listening')
  const address = plain.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  const connected = once(plain, 'connection').then(([socket]) => {
    sockets.push(socket)
    socket.on('error', () => {})
    return socket as net.Socket
  })
  connected.catch(() => {}) // closed without a client
  return {
    at: endpoint('127.0.0.1', address.port),
    connected,
    close: async () => {
      plain.close()
    },
  }
}

describe('a listener', () => {
  it('has the port the kernel chose, and a descriptor', async () => {
    const { engine, host } = make()
    const listener = engine.listen(listenOptions(), () => {})
    expect(listener.endpoint.port).toBeGreaterThan(0)
    expect(listener.fd).toBeGreaterThan(2)
    expect(host.ownEndpoints.isOwn(listener.endpoint)).toBe(true)
    listener.close()
    listener.close()
    expect(host.ownEndpoints.isOwn(listener.endpoint)).toBe(false)
    expect(host.budget.open).toBe(0)
  })

  it('throws at once when the port is taken, and says so', () => {
    const { engine } = make()
    const taken = engine.listen(listenOptions(), () => {})
    const again = () => engine.listen(listenOptions({ endpoint: taken.endpoint }), () => {})
    expect(again).toThrowError(CommError)
    expect(again).toThrowError(/cannot listen on 127\.0\.0\.1:\d+: the address is in use/)
  })

  it('throws when the address is not ours', () => {
    const { engine } = make()
    expect(() => engine.listen(listenOptions({ endpoint: endpoint('192.0.2.1', 0) }), () => {})).toThrowError(/EADDRNOTAVAIL/)
  })

  it('shares a port when both ask for that', () => {
    const { engine } = make()
    const first = engine.listen(listenOptions({ flags: COMM_REUSEPORT }), () => {})
    const second = engine.listen(listenOptions({ flags: COMM_REUSEPORT, endpoint: first.endpoint }), () => {})
    expect(second.endpoint).toEqual(first.endpoint)
  })

  it('takes IPv4 on an IPv6 wildcard, and tells it as IPv4', async () => {
    const made = make()
    const { connection, client } = await accepted(made, { endpoint: endpoint('::', 0), dualStack: true })
    expect(connection.peer).toEqual(endpoint('127.0.0.1', client.localPort ?? 0))
    expect(connection.local).toEqual(endpoint('127.0.0.1', client.remotePort ?? 0))
  })

  it('leaves IPv4 alone without dualStack', async () => {
    const { engine } = make()
    const listener = engine.listen(listenOptions({ endpoint: endpoint('::', 0) }), () => {})
    const client = net.connect({ host: '127.0.0.1', port: listener.endpoint.port })
    sockets.push(client)
    const [error] = await once(client, 'error')
    expect(error.code).toBe('ECONNREFUSED')
  })

  it('lets connections wait while it is paused', async () => {
    const { engine, host } = make()
    const arrived: Connection[] = []
    let tell: () => void = () => {}
    const listener = engine.listen(listenOptions(), connection => {
      arrived.push(connection)
      tell()
    })
    listener.pause()
    const client = net.connect(listener.endpoint.port, '127.0.0.1')
    sockets.push(client)
    client.write('early')
    await once(client, 'connect')
    while (host.budget.open < 2) await nextTurn() // until Node has accepted it
    expect(arrived).toEqual([])
    const arrival = new Promise<void>(resolve => {
      tell = resolve
    })
    listener.resume()
    expect(arrived).toEqual([])
    await arrival
    const reader = new Recorder()
    arrived[0]?.setReader(reader)
    await reader.until(() => reader.text === 'early')
  })

  it('resets what comes while descriptors run short, and goes on afterwards', async () => {
    // 8 descriptors, 2 of them kept back: the listener and five connections fit
    const { engine, host } = make({}, 8)
    const arrived: Connection[] = []
    const listener = engine.listen(listenOptions(), connection => arrived.push(connection))
    const connect = () => {
      const client = net.connect(listener.endpoint.port, '127.0.0.1')
      client.on('error', () => {}) // looked for by 'close'
      client.resume()
      sockets.push(client)
      return client
    }
    while (!host.budget.paused) {
      const before = host.budget.open
      connect()
      while (host.budget.open === before) await nextTurn()
    }
    const fitted = arrived.length
    expect(fitted).toBe(5)
    await closed(connect())
    expect(arrived.length).toBe(fitted)
    arrived[0]?.close()
    arrived[1]?.close()
    while (host.budget.paused) await nextTurn()
    connect()
    while (arrived.length === fitted) await nextTurn()
    expect(host.counters.acceptPauses).toBe(1)
  })
})

describe('what the engine cannot do', () => {
  it('is refused with a sentence that names it', () => {
    const { engine } = make()
    expect(engine.powers).toEqual({ transparent: false, forge: false, natLookup: false, marks: false, splice: false })
    const listen = (over: Partial<ListenOptions>) => () => engine.listen(listenOptions(over), () => {})
    expect(listen({ flags: COMM_TPROXY_LCL })).toThrowError(/tproxy ports needs the addon/)
    expect(listen({ natBackend: 'netfilter' })).toThrowError(/the NAT look-up \(netfilter\) needs the addon/)
    expect(listen({ natBackend: 'pf' })).toThrowError(/ENOTSUP|needs the addon/)
    expect(listen({ mark: 1 })).toThrowError(/packet marks/)
    expect(listen({ device: 'lo' })).toThrowError(/binding to a device/)
  })

  it('is refused in a later turn where a callback tells it', async () => {
    const { engine, host } = make()
    const target = endpoint('127.0.0.1', 9)
    const attempts = [
      connectOptions(target, { flags: COMM_TPROXY_REM, source: endpoint('192.0.2.1', 0) }),
      connectOptions(target, { mark: 1 }),
      connectOptions(target, { tos: 8 }),
      connectOptions(target, { device: 'lo' }),
    ]
    for (const options of attempts) {
      await expect(dial(engine, options)).rejects.toMatchObject({ code: 'ENOTSUP' })
    }
    let told = false
    engine.connect(connectOptions(target, { mark: 1 }), 0, () => {
      told = true
    })
    expect(told).toBe(false)
    expect(host.budget.open).toBe(0)
    expect(engine.relay(...twoNobodies)).toBeNull()
    expect(engine.descriptors).toBeNull()
  })

  const twoNobodies = [null, null, { idleTimeoutMs: 0, onEnd() {} }] as unknown as Parameters<Engine['relay']>
})

describe('reading', () => {
  it('begins with the reader and loses nothing', async () => {
    const { connection, client } = await accepted(make())
    client.write('before')
    await nextTurn()
    const reader = new Recorder()
    connection.setReader(reader)
    client.write(' after')
    await reader.until(() => reader.text === 'before after')
    expect(connection.bytesRead).toBe(12)
  })

  it('stops by deferRead and tells the end only after resumeRead', async () => {
    const { connection, client } = await accepted(make())
    const reader = new Recorder()
    connection.deferRead()
    connection.setReader(reader)
    client.end('all of it')
    await once(client, 'finish')
    for (let i = 0; i < 10; i++) await nextTurn()
    expect([reader.text, reader.events]).toEqual(['', []])
    connection.resumeRead()
    await reader.until(() => reader.events.length > 0)
    expect([reader.text, reader.events, connection.ended, connection.closed]).toEqual(['all of it', ['end'], true, false])
  })

  it('can be handed to another reader in the middle', async () => {
    const { connection, client } = await accepted(make())
    const second = new Recorder()
    const first = new Recorder({ onData: c => c.setReader(second) })
    connection.setReader(first)
    client.write('one')
    await first.until(() => first.text !== '')
    client.write('two')
    await second.until(() => second.text === 'two')
    expect(first.text).toBe('one')
  })
})

describe('writing', () => {
  it('joins parts and calls of one turn in order, strings as latin1', async () => {
    const { connection, client } = await accepted(make())
    const text = received(client)
    const small = Buffer.from('B')
    expect(connection.write('A\xe9', small, null)).toBe(true)
    small.fill('x') // small buffers are the caller's again at once
    expect(connection.write(Buffer.alloc(0), '', 'C')).toBe(true)
    expect(connection.pending).toBe(4)
    connection.shutdownWrite()
    expect(connection.write('D')).toBe(false)
    await once(client, 'end')
    expect(text()).toBe('A\xe9BC')
    expect([connection.bytesWritten, connection.pending]).toEqual([4, 0])
  })

  it('answers false while output waits, and tells when it has gone', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    const reader = new Recorder()
    connection.setReader(reader)
    client.pause()
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    let written = 0
    do {
      written += chunk.length
      connection.write(chunk)
      await nextTurn()
    } while (connection.pending === 0)
    expect(connection.write('more')).toBe(false)
    expect(connection.bytesWritten + connection.pending).toBe(written + 4)
    for (let i = 0; i < 10; i++) await nextTurn()
    reader.events.length = 0 // of the chunks that went whole
    let got = 0
    client.on('data', piece => {
      got += piece.length
    })
    client.resume()
    await reader.until(() => reader.events.length > 0)
    expect(reader.events).toEqual(['drain'])
    expect(connection.pending).toBe(0)
    expect(connection.write('')).toBe(true)
    while (got < written + 4) await nextTurn()
    expect(made.host.counters.partialWrites).toBeGreaterThan(0)
  })

  it('answers false when one turn brings very much, and drains in another turn', async () => {
    const { connection, client } = await accepted(make())
    const reader = new Recorder()
    connection.setReader(reader)
    client.resume()
    expect(connection.write(Buffer.alloc(100_000))).toBe(false)
    expect(reader.events).toEqual([])
    await reader.until(() => reader.events.length > 0)
    expect(reader.events).toEqual(['drain'])
  })

  it('goes on after the peer has sent FIN, and the connection stays until its owner ends it', async () => {
    const { connection, client } = await accepted(make())
    const reader = new Recorder()
    connection.setReader(reader)
    const text = received(client)
    client.end('question')
    await reader.until(() => reader.events.includes('end'))
    connection.write('answer')
    connection.shutdownWrite()
    await closed(client)
    expect(text()).toBe('answer')
    for (let i = 0; i < 10; i++) await nextTurn()
    expect([connection.closed, reader.events]).toEqual([false, ['end']])
    connection.close()
    await reader.closed()
    expect(reader.events).toEqual(['end', 'close done'])
  })
})

describe('a relay by copying', () => {
  it('begins in the turn of a last word to the client, and goes on both ways', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    const { at, connected, close } = await server()
    const outward = await dial(made.engine, connectOptions(at))
    const origin = await connected
    const toClient = received(client)
    const toOrigin = received(origin)
    const ended = new Promise<RelayStats>(resolve => {
      connection.write('go ahead\n')
      copyRelay(connection, outward, { idleTimeoutMs: 0, onEnd: resolve }, made.host)
    })
    origin.write('welcome')
    client.write('hello')
    while (toClient() !== 'go ahead\nwelcome' || toOrigin() !== 'hello') await nextTurn()
    client.end()
    origin.end()
    expect(await ended).toEqual({ bytesToA: 7, bytesToB: 5, why: 'done' })
    await close()
  })

  it('holds the one side back while the other does not take it, and loses nothing', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    const { at, connected, close } = await server()
    const outward = await dial(made.engine, connectOptions(at))
    const origin = await connected
    const ended = new Promise<RelayStats>(resolve => {
      copyRelay(connection, outward, { idleTimeoutMs: 0, onEnd: resolve }, made.host)
    })
    const bytes = 32 * 1024 * 1024
    origin.end(Buffer.alloc(bytes, 'x')) // far more than both sockets hold
    let held = 0
    for (let i = 0; i < 200; i++) {
      await nextTurn()
      held = Math.max(held, connection.pending)
    }
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThan(1024 * 1024)
    let got = 0
    client.on('data', piece => {
      got += piece.length
    })
    client.end()
    expect(await ended).toEqual({ bytesToA: bytes, bytesToB: 0, why: 'done' })
    await once(client, 'end')
    expect(got).toBe(bytes)
    await close()
  })
})

describe('the end', () => {
  it('is told once, after the call that caused it, then to close handlers, the last added first', async () => {
    const { connection } = await accepted(make())
    const order: string[] = []
    const reader = new Recorder({ onClose: () => order.push('reader') })
    connection.setReader(reader)
    connection.addCloseHandler(() => order.push('first'))
    const removed = () => order.push('removed')
    connection.addCloseHandler(removed)
    connection.addCloseHandler((_, why) => order.push(`last ${why}`))
    expect(() => connection.addCloseHandler(removed)).toThrow()
    connection.removeCloseHandler(removed)
    connection.close('refused')
    connection.close('done')
    expect([order, connection.closed, connection.fd]).toEqual([[], true, -1])
    await reader.closed()
    expect(order).toEqual(['reader', 'last refused', 'first'])
    expect(reader.events).toEqual(['close refused'])
    expect(connection.write('late')).toBe(false)
  })

  it('may come inside onData; nothing is told after it but onClose', async () => {
    const { connection, client } = await accepted(make())
    const reader = new Recorder({
      onData: c => {
        c.write('bye')
        c.close()
      },
    })
    connection.setReader(reader)
    const text = received(client)
    client.write('x')
    await reader.closed()
    await once(client, 'end')
    expect(text()).toBe('bye')
    expect(reader.events).toEqual(['close done'])
  })

  it('comes after the flush when that is asked, while input is thrown away', async () => {
    const { connection, client } = await accepted(make())
    const reader = new Recorder()
    connection.setReader(reader)
    client.pause()
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    let written = 0
    do {
      written += chunk.length
      connection.write(chunk)
      await nextTurn()
    } while (connection.pending === 0)
    for (let i = 0; i < 10; i++) await nextTurn()
    reader.events.length = 0 // drains of the chunks that went whole
    connection.closeAfterFlush('done')
    expect([connection.write('no'), connection.closed]).toEqual([false, false])
    client.write('ignored')
    let got = 0
    client.on('data', piece => {
      got += piece.length
    })
    client.resume()
    await reader.closed()
    await once(client, 'end')
    expect([got, reader.text, reader.events]).toEqual([written, '', ['close done']])
  })

  it('is a reset when that is asked, and drops what waits', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    const reader = new Recorder()
    connection.setReader(reader)
    const errors: string[] = []
    client.on('error', error => errors.push('code' in error ? String(error.code) : ''))
    client.resume()
    connection.write(Buffer.alloc(10))
    connection.resetClose()
    await closed(client)
    await reader.closed()
    expect([errors, reader.events]).toEqual([['ECONNRESET'], ['close aborted']])
    while (made.host.budget.open > 1) await nextTurn()
  })

  it('is a reset also when much waits, or a FIN is on its way; no descriptor is left', async () => {
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

  it('is told when the peer resets', async () => {
    const { connection, client } = await accepted(make())
    const reader = new Recorder()
    connection.setReader(reader)
    client.resetAndDestroy()
    await reader.closed()
    expect(reader.events).toEqual(['close peer-reset'])
  })

  it('comes to all of them with the engine', async () => {
    const made = make()
    const { connection } = await accepted(made)
    const reader = new Recorder()
    connection.setReader(reader)
    made.engine.close()
    await reader.closed()
    expect(reader.events).toEqual(['close shutdown'])
    while (made.host.budget.open > 0) await nextTurn()
    expect(made.engine.fdTable()).toEqual([])
  })

  it('costs a callback that throws its connection, and nobody else anything', async () => {
    const made = make()
    const { connection, client, listener } = await accepted(made)
    const bug = new Error('a bug')
    const reader = new Recorder({
      onData: () => {
        throw bug
      },
    })
    connection.setReader(reader)
    let handled = false
    connection.addCloseHandler(() => {
      throw bug
    })
    connection.addCloseHandler(() => {
      handled = true
    })
    client.write('x')
    await reader.closed()
    expect(reader.events).toEqual(['close handler-failed'])
    expect(handled).toBe(true)
    expect(made.failures).toEqual([bug, bug])
    expect(made.host.counters.handlerFailures).toBe(2)
    const other = net.connect(listener.endpoint.port, '127.0.0.1')
    sockets.push(other)
    await once(other, 'connect')
  })
})

describe('deadlines', () => {
  it('pass once, and leave the connection to its reader', async () => {
    const made = make()
    const { connection } = await accepted(made)
    const reader = new Recorder()
    connection.setReader(reader)
    connection.setTimeout(1000)
    connection.setTimeout(5000)
    made.clock.advance(4999)
    expect(reader.events).toEqual([])
    made.clock.advance(1000)
    expect([reader.events, connection.closed]).toEqual([['timeout'], false])
    made.clock.advance(60_000)
    expect(reader.events).toEqual(['timeout'])
    connection.setTimeout(1000)
    connection.setTimeout(0)
    made.clock.advance(60_000)
    expect(reader.events).toEqual(['timeout'])
  })

  it('close a connection nobody reads', async () => {
    const made = make()
    const { connection, client } = await accepted(made)
    client.resume()
    const reasons: CloseReason[] = []
    connection.addCloseHandler((_, why) => reasons.push(why))
    connection.setTimeout(1000)
    made.clock.advance(2000)
    await once(client, 'end')
    expect([connection.closed, reasons]).toEqual([true, ['timeout']])
    made.clock.advance(60_000)
    expect(made.host.deadlines.watched).toBe(0)
  })
})

describe('connecting', () => {
  it('tells both ends, and uses the source it was given', async () => {
    const { engine } = make()
    const { at, connected, close } = await server()
    const connection = await dial(engine, connectOptions(at, { source: endpoint('127.0.0.7', 0) }))
    const origin = await connected
    expect([origin.remoteAddress, origin.remotePort]).toEqual(['127.0.0.7', connection.local.port])
    expect([connection.peer, connection.local.address, connection.original]).toEqual([at, '127.0.0.7', { kind: 'direct' }])
    const reader = new Recorder()
    connection.setReader(reader)
    origin.end('hello')
    await reader.until(() => reader.events.includes('end'))
    expect(reader.text).toBe('hello')
    await close()
  })

  it('fails with the word of the kernel and a sentence', async () => {
    const { engine, host } = make()
    const { at, close } = await server()
    await close()
    await expect(dial(engine, connectOptions(at))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: expect.stringContaining('nobody listens there'),
    })
    await expect(dial(engine, connectOptions(at, { source: endpoint('192.0.2.1', 0) }))).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
      syscall: 'bind',
    })
    await expect(dial(engine, connectOptions(at, { source: endpoint('::1', 0) }))).rejects.toMatchObject({ code: 'EAFNOSUPPORT' })
    expect(host.counters).toMatchObject({ connects: 3, connectFailures: 3, connectTimeouts: 0 })
    while (host.budget.open > 0) await nextTurn()
    expect(engine.fdTable()).toEqual([])
  })

  it('ends at its deadline', async () => {
    const { engine, clock, host } = make()
    const { at } = await server()
    const failed = expect(dial(engine, connectOptions(at), 1000)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    clock.advance(2000) // before the loop turns: the handshake cannot have been seen
    await failed
    expect(host.counters.connectTimeouts).toBe(1)
  })

  it('can be cancelled, and tells nothing then', async () => {
    const { engine, host } = make()
    const { at, close } = await server()
    let told = 0
    const attempt = engine.connect(connectOptions(at), 0, () => told++)
    expect(engine.fdTable()).toMatchObject([{ kind: 'connecting', peer: at }])
    attempt.cancel()
    attempt.cancel()
    while (host.budget.open > 0) await nextTurn()
    expect([told, engine.fdTable()]).toEqual([0, []])
    await close()
  })

  it('is given up when the engine closes', async () => {
    const { engine } = make()
    const { at, close } = await server()
    const failed = expect(dial(engine, connectOptions(at))).rejects.toMatchObject({ code: 'ECANCELED' })
    engine.close()
    await failed
    await close()
  })

  it('gives a Node socket to whoever wants one, and counts it until it closes', async () => {
    const { engine, host } = make()
    const { at, connected, close } = await server()
    const { socket, local } = await new Promise<{ socket: net.Socket; local: Endpoint }>((resolve, reject) => {
      engine.connectSocket(connectOptions(at), 0, (error, socket, local) => {
        if (socket === null || local === null) reject(error)
        else resolve({ socket, local })
      })
    })
    sockets.push(socket)
    const origin = await connected
    expect(local.port).toBe(origin.remotePort)
    expect(engine.fdTable()).toMatchObject([{ kind: 'socket', peer: at, local }])
    const text = received(socket)
    origin.end('hello')
    await closed(socket)
    expect(text()).toBe('hello')
    while (host.budget.open > 0) await nextTurn()
    expect(engine.fdTable()).toEqual([])
    await close()
  })

  it('costs a callback that throws what it was given', async () => {
    const { engine, failures, host } = make()
    const { at, connected, close } = await server()
    const bug = new Error('a bug')
    engine.connect(connectOptions(at), 0, () => {
      throw bug
    })
    const origin = await connected
    origin.resume()
    await closed(origin)
    expect(failures).toEqual([bug])
    while (host.budget.open > 0) await nextTurn()
    await close()
  })
})

describe('the table', () => {
  it('shows listeners and connections with their bytes, ages and deadlines', async () => {
    const made = make()
    const { connection, client, listener } = await accepted(made)
    const reader = new Recorder()
    connection.setReader(reader)
    client.write('12345')
    await reader.until(() => reader.text.length === 5)
    connection.write('123')
    await once(client, 'data')
    made.clock.advance(100)
    connection.note = 'renamed'
    connection.setTimeout(5000)
    made.clock.advance(100)
    const table = made.engine.fdTable()
    expect(table).toMatchObject([
      { kind: 'listener', fd: listener.fd, local: listener.endpoint, note: 'test port', ageMs: 200, deadlineMs: 0 },
      { kind: 'connection', fd: -1, peer: connection.peer, note: 'renamed', bytesRead: 5, bytesWritten: 3, ageMs: 200, deadlineMs: 4900 },
    ])
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
