import type net from 'node:net'
import tls from 'node:tls'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Comm, type Connection, createComm } from '../../comm/index.ts'
import { ms, wallMs, bytes } from '../../src/base/index.ts'
import {
  type HandshakeFailure, handshake, type Secured, SecureConnection, SessionCache, TlsClient, type TlsClientOptions, usualTlsClient,
} from '../../src/tls/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Arrivals, connectMs, connectOptions } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'
import { TestCa, type Made } from '../support/test-ca.ts'
import { engines } from '../chainer/kit.ts'

// A connection with TLS over it keeps the contract of connections (comm/connection.ts): whoever reads and writes need not
// know. The other side is node:tls over its own sockets, or another one of ours; both engines are below.

const ca = new TestCa()
let root: Made
let server: Made
beforeAll(() => {
  root = ca.make({ subject: '/CN=Root', ca: true })
  server = ca.make({ subject: '/CN=server.example', names: 'DNS:server.example', by: root })
})
afterAll(() => ca.remove())

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const sessions = (): SessionCache => new SessionCache({ bytesMax: bytes(1e6), ttl: ms(300_000) }, () => wallMs(Date.now()))

const clientWith = (options: Partial<TlsClientOptions> = {}, kept = sessions()): TlsClient =>
  new TlsClient({ ...usualTlsClient, roots: [root.cert], ...options }, { sessions: kept, issuers: null, validator: null, now: () => wallMs(Date.now()) })

const commOf = (engine: 'node' | 'native', clock = new FakeClock()): Comm => {
  const comm = createComm({ clock, engine })
  closing.push(() => comm.close())
  return comm
}

type Peer = tls.TLSSocket & { readonly seen: () => string }

/** A server of Node's; `next` answers its end of each connection. */
const nodeServer = async (options: tls.TlsOptions = {}): Promise<{ port: number; next: () => Promise<Peer> }> => {
  const listening = tls.createServer({ cert: server.cert, key: server.key, allowHalfOpen: true, ...options })
  const sockets = new Set<net.Socket>()
  listening.on('connection', (socket: net.Socket) => sockets.add(socket))
  const waiting: Promise<Peer>[] = []
  let arrived: ((peer: Peer) => void)[] = []
  const expectOne = (): void => void waiting.push(new Promise(go => arrived.push(go)))
  listening.on('secureConnection', socket => {
    let text = ''
    socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')))
    socket.on('error', () => {})
    arrived.shift()?.(Object.assign(socket, { seen: () => text }))
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  closing.push(async () => {
    for (const socket of sockets) socket.destroy()
    listening.close()
    await once(listening, 'close')
  })
  for (let i = 0; i < 4; i++) expectOne()
  const address = listening.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { port, next: () => waiting.shift() ?? Promise.reject(new Error('no more')) }
}

const dial = (comm: Comm, port: number): Promise<Connection> =>
  comm.connect(connectOptions({ family: 4, address: '127.0.0.1', port }), connectMs)

const securedOver = (inner: Connection, client = clientWith(), name = 'server.example'): Promise<Secured | HandshakeFailure> =>
  new Promise((go, stop) => {
    client.connect(inner, { name }, 10_000, (failure, secured) => {
      const answer = secured ?? failure
      if (answer === null) stop(new Error('neither'))
      else go(answer)
    })
  })

const securedTo = async (comm: Comm, port: number, client?: TlsClient, name?: string): Promise<Secured> => {
  const answer = await securedOver(await dial(comm, port), client, name)
  if ('kind' in answer) throw new Error(`${answer.kind} ${answer.code} ${answer.message}`)
  return answer
}

describe.each(engines)('over the %s engine', engine => {
  test('what is written comes out, both ways, and the ends of both directions are told', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection, proof } = await securedTo(comm, port)
    expect(proof).toMatchObject({ errors: [], resumed: false })
    expect(connection.tls.alpnProtocol).toBe(false) // that server knows of none
    const saw = new Recorder()
    connection.setReader(saw)
    const peer = await next()
    connection.write('head ', Buffer.from('middle '), 'tail')
    await once(peer, 'data')
    expect(peer.seen()).toBe('head middle tail')
    peer.write('answer')
    await saw.has(6)
    expect([saw.text, connection.bytesRead, connection.bytesWritten]).toEqual(['answer', 6, 16])
    peer.end('last')
    await saw.ended()
    expect([saw.text, connection.ended, connection.closed]).toEqual(['answerlast', true, false])
    connection.write(' more')
    connection.shutdownWrite()
    await once(peer, 'end')
    expect(peer.seen()).toBe('head middle tail more')
    connection.close()
    await saw.closed()
    expect(saw.closedBecause).toBe('done')
  })

  test('megabytes go both ways at once, while each side is held back now and then', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const total = 6 << 20
    const piece = Buffer.alloc(100_000, 'abcdefghij')
    let sent = 0
    const fill = (): void => {
      while (sent < total) {
        const part = piece.subarray(0, Math.min(piece.length, total - sent))
        sent += part.length
        if (!connection.write(part)) return
      }
    }
    let held = 0
    const saw = new Recorder(
      {
        onDrain: fill,
        onData: () => {
          if (++held % 10 !== 0) return
          connection.deferRead()
          setImmediate(() => connection.resumeRead())
        },
      },
      { keep: false },
    )
    connection.setReader(saw)
    const peer = await next()
    let got = 0
    const all = new Promise<void>(go => peer.on('data', (part: Buffer) => (got += part.length) === total && go()))
    fill()
    expect(connection.pending).toBeGreaterThan(0)
    peer.write(Buffer.alloc(total, 'x'))
    await Promise.all([all, saw.has(total)])
    expect([got, saw.bytes]).toEqual([total, total])
    await saw.until(() => connection.pending === 0)
  })

  test('what is written in the turn of a close leaves, and close_notify behind it', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const saw = new Recorder()
    connection.setReader(saw)
    const peer = await next()
    const ended = once(peer, 'end') // Node says 'end' for both; what came before it is all there
    connection.write('one ')
    connection.write('two ')
    connection.write('three')
    connection.close('done')
    expect([connection.closed, connection.write('four')]).toEqual([true, false])
    await Promise.all([ended, saw.closed()])
    expect(peer.seen()).toBe('one two three')
    expect(saw.told).toEqual(['close'])
  })

  test('closeAfterFlush waits for a peer that reads slowly', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const saw = new Recorder()
    connection.setReader(saw)
    const peer = await next()
    peer.pause()
    const total = 8 << 20
    expect(connection.write(Buffer.alloc(total, 'y'))).toBe(false)
    connection.closeAfterFlush('done')
    let got = 0
    peer.on('data', (part: Buffer) => (got += part.length))
    peer.resume()
    await Promise.all([once(peer, 'end'), saw.closed()])
    expect([got, saw.closedBecause]).toEqual([total, 'done'])
  })

  test('a FIN without close_notify is a stream cut off, not an end', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const saw = new Recorder()
    connection.setReader(saw)
    const peer = await next()
    peer.write('half of')
    await saw.has(7)
    cutOff(peer)
    await saw.closed()
    expect([saw.text, saw.told, saw.closedBecause]).toEqual(['half of', ['close'], 'peer-reset'])
  })

  test('a reader that gives back what it looked at leaves it to the next, with what comes then', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const first = new Recorder({
      onData: (_connection, view) => connection.giveBack(Buffer.from(view)),
    })
    connection.setReader(first)
    const peer = await next()
    peer.write('looked at')
    await first.has(9)
    peer.end(' and more')
    const second = new Recorder()
    connection.setReader(second)
    await second.ended()
    expect(second.text).toBe('looked at and more')
    expect(connection.closed).toBe(false)
  })

  test('a reader that throws loses its connection, and the bug is told', async () => {
    const comm = commOf(engine)
    const { port, next } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const bugs: unknown[] = []
    const before = SecureConnection.readerFailed
    SecureConnection.readerFailed = error => void bugs.push(error)
    closing.push(() => (SecureConnection.readerFailed = before))
    const thrown = new Error('a bug')
    const saw = new Recorder({
      onData() {
        throw thrown
      },
    })
    connection.setReader(saw)
    const peer = await next()
    peer.write('x')
    await saw.closed()
    expect([saw.closedBecause, bugs]).toEqual(['handler-failed', [thrown]])
  })

  test('deadlines are those of the connection below', async () => {
    const clock = new FakeClock()
    const comm = commOf(engine, clock)
    const { port } = await nodeServer()
    const { connection } = await securedTo(comm, port)
    const saw = new Recorder()
    connection.setReader(saw)
    connection.setTimeout(5000)
    clock.advance(6000)
    await saw.until(() => saw.told.includes('timeout'))
    connection.resetClose()
    await saw.closed()
    expect(saw.told).toEqual(['timeout', 'close'])
  })

  test('both ends are ours: a server behind a connection that was looked at before', async () => {
    const comm = commOf(engine)
    const arrivals = new Arrivals(comm)
    const arriving = arrivals.next()
    const client = comm.connect(connectOptions(arrivals.listener.endpoint), connectMs).then(inner => securedOver(inner))
    const inner = await arriving
    const peek = new Recorder({ onData: (connection, view) => connection.giveBack(Buffer.from(view)) })
    inner.setReader(peek)
    await peek.has(1) // a ClientHello, or its first part
    const secureContext = tls.createSecureContext({ cert: server.cert, key: server.key })
    const accepted = await new Promise<SecureConnection>((go, stop) => {
      const make = (stream: import('node:stream').Duplex): tls.TLSSocket => new tls.TLSSocket(stream, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
      handshake(inner, make, 10_000, (failure, secure) => (secure === null ? stop(new Error(failure?.message)) : go(secure)))
    })
    const secured = await client
    if ('kind' in secured) throw new Error(secured.message)
    expect(secured.connection.tls.alpnProtocol).toBe('http/1.1')
    const [a, b] = [new Recorder(), new Recorder()]
    accepted.setReader(a)
    secured.connection.setReader(b)
    secured.connection.write('to server')
    accepted.write('to client')
    await Promise.all([a.has(9), b.has(9)])
    expect([a.text, b.text]).toEqual(['to server', 'to client'])
    secured.connection.close()
    await a.ended()
    accepted.close()
    await a.closed()
    arrivals.listener.close()
  })
})

/** FIN below TLS. */
const cutOff = (peer: tls.TLSSocket): void => {
  const raw: unknown = (peer as unknown as { _parent: unknown })._parent
  if (raw instanceof Object && 'end' in raw && typeof raw.end === 'function') raw.end()
  else throw new Error('Node hides the socket below in another place now')
}
