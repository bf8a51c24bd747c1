import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Comm, type CommOptions, type Connection, createComm, type Listener, type ReceiveOptions } from '../../comm/index.ts'
import { type Endpoint, endpoint, systemClock } from '../../src/base/index.ts'
import { connectMs, connectOptions, pattern } from '../support/comm-kit.ts'
import { DatagramRecorder, type PlainSocket, plainSocket, quiet, receiveOptions } from '../support/datagram-kit.ts'
import { FakeClock } from '../support/fake-clock.ts'

// What both engines promise of datagrams (comm/datagram/): one flow per client and destination whatever the timing,
// datagrams whole, in order and once, limits that hold, and nothing left behind. Over loopback, against plain sockets.

export const datagramContract = (engine: 'native' | 'node'): void => {
  const comms: Comm[] = []
  const sockets: PlainSocket[] = []
  let failures: unknown[]

  const make = (options: Partial<CommOptions> = {}): Comm => {
    const comm = createComm({ engine, clock: systemClock, onFailure: error => failures.push(error), onWarning: () => {}, ...options })
    comms.push(comm)
    return comm
  }

  const plain = async (address?: string, answer?: (content: Buffer) => Buffer): Promise<PlainSocket> => {
    const socket = await plainSocket(address, answer)
    sockets.push(socket)
    return socket
  }

  beforeEach(() => {
    failures = []
  })

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close()
    for (const comm of comms.splice(0)) {
      comm.close()
      await outside()
      await outside()
      expect(comm.fdTable(), 'everything is closed with the comm').toEqual([])
      expect(comm.budget.open, 'no descriptor is counted any more').toBe(0)
    }
    expect(failures, 'callbacks that failed').toEqual([])
  })

  interface Received {
    readonly receiver: Listener
    readonly flows: Connection[]
    readonly readers: DatagramRecorder[]
    /** Resolves when there are so many flows. */
    flow(count: number): Promise<void>
  }

  /** A receiver whose flows have recorders; `later` leaves them without. */
  const receive = (comm: Comm, some: Partial<ReceiveOptions> = {}, later = false, onFlow: (flow: Connection) => void = () => {}): Received => {
    const flows: Connection[] = []
    const readers: DatagramRecorder[] = []
    let waiting: (() => void)[] = []
    const receiver = comm.receive(receiveOptions(some), flow => {
      flows.push(flow)
      const reader = new DatagramRecorder()
      readers.push(reader)
      if (!later) flow.setReader(reader)
      const list = waiting
      waiting = []
      for (const look of list) look()
      onFlow(flow)
    })
    const flow = (count: number): Promise<void> =>
      new Promise(resolve => {
        const look = () => {
          if (flows.length >= count) resolve()
          else waiting.push(look)
        }
        look()
      })
    return { receiver, flows, readers, flow }
  }

  /** Not in a turn of the engine: the clock may be moved. */
  const outside = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

  const at = <T>(list: readonly T[], index: number): T => {
    const found = list[index]
    if (found === undefined) throw new Error(`there is no number ${index}`)
    return found
  }

  /** A second socket's datagram has come: so has everything sent before it on loopback. */
  const turned = async (received: Received): Promise<void> => {
    for (const socket of sockets) await socket.sent()
    const marker = await plain()
    marker.send('marker', received.receiver.endpoint)
    for (let count = 1; !received.flows.some(flow => flow.peer.port === marker.at.port); count = received.flows.length + 1) {
      await received.flow(count)
    }
    await outside()
  }

  describe('flows', () => {
    it('a datagram opens a flow that names both ends', async () => {
      const comm = make()
      const received = receive(comm)
      const client = await plain()
      client.send('hello', received.receiver.endpoint)
      await received.flow(1)
      const flow = at(received.flows, 0)
      await at(received.readers, 0).hasDatagrams(1)
      expect([flow.protocol, flow.peer, flow.local, flow.original]).toEqual([
        'udp', client.at, received.receiver.endpoint, { kind: 'direct' },
      ])
      flow.write('wel', Buffer.from('co'), 'me')
      await client.has(1)
      expect(client.got).toMatchObject([{ text: 'welcome', from: received.receiver.endpoint }])
      expect([flow.bytesRead, flow.bytesWritten]).toEqual([5, 7])
    })

    it('a burst before anybody reads is one flow, whole and in order', async () => {
      const comm = make()
      const received = receive(comm, {}, true)
      const client = await plain()
      const wanted = Array.from({ length: 100 }, (_, i) => `datagram ${i}`)
      for (const text of wanted) client.send(text, received.receiver.endpoint)
      await turned(received)
      expect(received.flows.map(flow => flow.peer).filter(peer => peer.port === client.at.port)).toHaveLength(1)
      const reader = at(received.readers, 0)
      at(received.flows, 0).setReader(reader)
      await reader.hasDatagrams(100)
      expect(reader.texts).toEqual(wanted)
    })

    it('what comes while held datagrams wait does not overtake them', async () => {
      const comm = make()
      const received = receive(comm, {}, true)
      const client = await plain()
      client.send('one', received.receiver.endpoint)
      await received.flow(1)
      const reader = at(received.readers, 0)
      at(received.flows, 0).setReader(reader)
      client.send('two', received.receiver.endpoint)
      client.send('three', received.receiver.endpoint)
      await reader.hasDatagrams(3)
      expect(reader.texts).toEqual(['one', 'two', 'three'])
    })

    it('clients are kept apart, and answered each', async () => {
      const comm = make()
      const received = receive(comm, {}, false)
      const clients = await Promise.all(Array.from({ length: 20 }, () => plain()))
      for (const [i, client] of clients.entries()) client.send(`from ${i}`, received.receiver.endpoint)
      await received.flow(20)
      for (const [i, flow] of received.flows.entries()) {
        await at(received.readers, i).hasDatagrams(1)
        flow.write(`to ${flow.peer.port}`)
      }
      for (const client of clients) {
        await client.has(1)
        expect(client.got.map(({ text }) => text)).toEqual([`to ${client.at.port}`])
      }
    })

    it('both families of a receiver on every address are served', async () => {
      const comm = make()
      const received = receive(comm, { endpoint: endpoint('::', 0), dualStack: true })
      const { port } = received.receiver.endpoint
      const four = await plain('127.0.0.1')
      const six = await plain('::1')
      four.send('four', endpoint('127.0.0.1', port))
      six.send('six', endpoint('::1', port))
      await received.flow(2)
      for (const flow of received.flows) flow.write(flow.peer.address)
      await Promise.all([four.has(1), six.has(1)])
      expect([four.got[0]?.text, six.got[0]?.text]).toEqual(['127.0.0.1', '::1'])
      expect([four.got[0]?.from.port, six.got[0]?.from.port]).toEqual([port, port])
    })

    it('a port that is taken is refused', () => {
      const comm = make()
      const { receiver } = receive(comm)
      expect(() => make().listen).toBeTypeOf('function')
      const free = make().receive(receiveOptions(), () => {})
      expect(free.endpoint.port).not.toBe(receiver.endpoint.port)
      expect(() => comm.receive(receiveOptions({ endpoint: endpoint('192.0.2.1', 0) }), () => {})).toThrow(/EADDRNOTAVAIL/)
    })
  })

  describe('datagrams', () => {
    const sizes = [0, 1, 512, 1472, 1473, 9000, 65_507]

    it.each(sizes)('of %i bytes go through both ways', async size => {
      const comm = make()
      const received = receive(comm, { bufferBytes: 1024 * 1024 })
      const client = await plain()
      const sent = pattern(size)
      client.send(sent, received.receiver.endpoint)
      await received.flow(1)
      const reader = at(received.readers, 0)
      await reader.hasDatagrams(1)
      expect(reader.datagrams).toHaveLength(1)
      expect(at(reader.datagrams, 0).equals(sent)).toBe(true)
      at(received.flows, 0).write(sent)
      await client.has(1)
      expect(at(client.got, 0).bytes.equals(sent)).toBe(true)
    })

    it('are written on from the callback as they are, many in a turn', async () => {
      const comm = make()
      const received = receive(comm, { bufferBytes: 1024 * 1024 }, true, flow => {
        flow.setReader(
          new DatagramRecorder({ onData: (connection, bytes) => void connection.write(bytes) }, { keep: false }),
        )
      })
      const client = await plain()
      const wanted = Array.from({ length: 100 }, (_, i) => `${i}:`.padEnd(i * 7, 'x'))
      for (const text of wanted) client.send(text, received.receiver.endpoint)
      await client.has(100)
      expect(client.got.map(({ text }) => text)).toEqual(wanted)
    })

    it('too large ones are dropped and counted', async () => {
      const comm = make()
      const received = receive(comm)
      const client = await plain()
      client.send('x', received.receiver.endpoint)
      await received.flow(1)
      at(received.flows, 0).write(Buffer.alloc(65_508))
      at(received.flows, 0).write('after')
      await client.has(1)
      expect(client.got.map(({ text }) => text)).toEqual(['after'])
      expect(comm.counters.datagramsDropped).toBe(1)
    })

    it('wait while reading is deferred, and come in order afterwards', async () => {
      const comm = make()
      const received = receive(comm)
      const client = await plain()
      client.send('first', received.receiver.endpoint)
      await received.flow(1)
      const flow = at(received.flows, 0)
      const reader = at(received.readers, 0)
      await reader.hasDatagrams(1)
      flow.deferRead()
      client.send('second', received.receiver.endpoint)
      client.send('third', received.receiver.endpoint)
      await turned(received)
      expect(reader.texts).toEqual(['first'])
      flow.resumeRead()
      await reader.hasDatagrams(3)
      expect(reader.texts).toEqual(['first', 'second', 'third'])
    })

    it('that nobody takes are limited in number', async () => {
      const comm = make()
      const received = receive(comm, { bufferBytes: 4 * 1024 * 1024 }, true)
      const client = await plain()
      for (let i = 0; i < 6; i++) {
        for (let n = 0; n < 100; n++) client.send(`${i * 100 + n}`, received.receiver.endpoint)
        await turned(received)
      }
      const reader = at(received.readers, 0)
      at(received.flows, 0).setReader(reader)
      await reader.hasDatagrams(512)
      expect(reader.texts).toEqual(Array.from({ length: 512 }, (_, i) => `${i}`))
      expect(comm.counters.datagramsDropped).toBe(88)
    })
  })

  describe('peers', () => {
    const connect = (comm: Comm, target: Endpoint, some: object = {}): Promise<Connection> =>
      comm.connect(connectOptions(target, { protocol: 'udp', ...some }), connectMs)

    it('exchange datagrams with their target and with nobody else', async () => {
      const comm = make()
      const server = await plain()
      const other = await plain()
      const peer = await connect(comm, server.at)
      const reader = new DatagramRecorder()
      peer.setReader(reader)
      peer.write('')
      peer.write('ask')
      await server.has(2)
      expect(server.got.map(({ text, from }) => [text, from.port])).toEqual([['', peer.local.port], ['ask', peer.local.port]])
      other.send('I am somebody else', peer.local)
      server.send('', peer.local)
      server.send('answer', peer.local)
      await reader.hasDatagrams(2)
      expect(reader.texts).toEqual(['', 'answer'])
      expect([peer.protocol, peer.peer, peer.local.address]).toEqual(['udp', server.at, '127.0.0.1'])
    })

    it('take a source address', async () => {
      const comm = make()
      const server = await plain()
      const peer = await connect(comm, server.at, { source: endpoint('127.0.0.77', 0) })
      peer.write('x')
      await server.has(1)
      expect(server.got[0]?.from).toEqual(peer.local)
      expect(peer.local.address).toBe('127.0.0.77')
    })

    it('end when the host says that nobody listens there', async () => {
      const comm = make()
      const gone = await plainSocket()
      const { at: target } = gone
      gone.close()
      const peer = await connect(comm, target)
      const reader = new DatagramRecorder()
      peer.setReader(reader)
      peer.write('anybody?')
      await reader.closed()
      expect(reader.closedBecause).toBe('peer-reset')
    })

    it('cannot be had with an address that is not ours', async () => {
      const comm = make()
      const server = await plain()
      await expect(connect(comm, server.at, { source: endpoint('192.0.2.1', 0) })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
      await expect(connect(comm, server.at, { source: endpoint('::1', 0) })).rejects.toMatchObject({ code: 'EAFNOSUPPORT' })
    })

    it('are not told of after the attempt was given up', async () => {
      const comm = make()
      const server = await plain()
      let told = 0
      comm.dial(connectOptions(server.at, { protocol: 'udp' }), connectMs, () => told++).cancel()
      await connect(comm, server.at)
      expect(told).toBe(0)
    })

    it('are relayed to flows, datagram by datagram', async () => {
      const comm = make()
      const server = await plain('127.0.0.1', content => Buffer.from(`<${content.toString('latin1')}>`, 'latin1'))
      const received = receive(comm, { bufferBytes: 1024 * 1024 }, true, flow => {
        comm.dial(connectOptions(server.at, { protocol: 'udp' }), connectMs, (error, peer) => {
          if (peer === null) throw error ?? new Error('no peer')
          comm.relay(flow, peer, { idleTimeoutMs: 0, onRelayed: () => {} })
        })
      })
      const client = await plain()
      const wanted = ['', 'a', pattern(60_000).toString('latin1'), ...Array.from({ length: 100 }, (_, i) => `${i}`)]
      for (const [i, text] of wanted.entries()) {
        client.send(Buffer.from(text, 'latin1'), received.receiver.endpoint)
        if (i === 2) await client.has(3) // the large one fills a usual socket's buffer
      }
      await client.has(wanted.length)
      expect(client.got.map(({ text }) => text)).toEqual(wanted.map(text => `<${text}>`))
      expect(received.flows).toHaveLength(1)
    })
  })

  describe('limits', () => {
    it('one client has so many flows and no more; others are served', async () => {
      const comm = make()
      const received = receive(comm, { flowsPerClientMax: 2 })
      const clients = [await plain(), await plain(), await plain()]
      for (const client of clients) client.send('x', received.receiver.endpoint)
      const other = await plain('127.0.0.2')
      other.send('y', received.receiver.endpoint)
      await received.flow(3)
      expect(received.flows.map(({ peer }) => peer.address)).toEqual(['127.0.0.1', '127.0.0.1', '127.0.0.2'])
      expect(comm.counters.flowsRefused).toBe(1)
      at(received.flows, 0).close()
      at(clients, 2).send('again', received.receiver.endpoint)
      await received.flow(4)
      expect(at(received.flows, 3).peer).toEqual(at(clients, 2).at)
    })

    it('a full table takes no more, until flows without an answer are a second old and give way', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const received = receive(comm, { flowsMax: 3 })
      const clients = await Promise.all(Array.from({ length: 6 }, () => plain()))
      for (const client of clients.slice(0, 3)) {
        client.send('x', received.receiver.endpoint)
      }
      await received.flow(3)
      at(received.flows, 0).write('answered')
      at(clients, 3).send('one too many', received.receiver.endpoint)
      await at(clients, 0).has(1)
      await outside()
      clock.advance(1001)
      at(clients, 4).send('pushes one out', received.receiver.endpoint)
      await received.flow(4)
      expect(comm.counters.flowsRefused).toBe(1)
      expect(at(received.flows, 3).peer).toEqual(at(clients, 4).at)
      expect(received.flows.map(flow => flow.closed)).toEqual([false, true, false, false])
      expect(comm.counters.flowsPushedOut).toBe(1)
    })

    it('a flood of invented clients leaves those with answers alone, and the table as large as allowed', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const received = receive(comm, { flowsMax: 50, bufferBytes: 4 * 1024 * 1024 })
      const good = await plain()
      good.send('x', received.receiver.endpoint)
      await received.flow(1)
      at(received.flows, 0).write('answer')
      const flooders = await Promise.all(Array.from({ length: 40 }, (_, i) => plain(`127.0.1.${i + 1}`)))
      for (let round = 0; round < 5; round++) {
        const before = received.flows.length
        for (const flooder of flooders) flooder.send('flood', received.receiver.endpoint)
        if (round === 0) await received.flow(before + 40)
        await outside()
        clock.advance(1100)
      }
      good.send('y', received.receiver.endpoint)
      await at(received.readers, 0).hasDatagrams(2)
      expect(at(received.flows, 0).closed).toBe(false)
      expect(received.flows.filter(flow => !flow.closed).length).toBeLessThanOrEqual(50)
    })
  })

  describe('quiet times', () => {
    const times = { idleMs: 60_000, unansweredMs: 30_000, answeredMs: 1000 }

    it.each([
      { what: 'a flow nobody answers', answers: 0, questions: 1, stays: 29_000, ends: 31_000 },
      { what: 'a flow with every answer', answers: 1, questions: 1, stays: 900, ends: 1600 },
      { what: 'a flow that waits for another answer', answers: 1, questions: 2, stays: 59_000, ends: 61_000 },
    ])('$what ends in its time', async ({ answers, questions, stays, ends }) => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const received = receive(comm, { timesOf: () => times })
      const client = await plain()
      for (let i = 0; i < questions; i++) client.send('q', received.receiver.endpoint)
      await received.flow(1)
      const reader = at(received.readers, 0)
      await reader.hasDatagrams(questions)
      for (let i = 0; i < answers; i++) at(received.flows, 0).write('a')
      await outside()
      clock.advance(stays)
      expect(at(received.flows, 0).closed).toBe(false)
      await outside()
      clock.advance(ends - stays)
      await reader.closed()
      expect(reader.closedBecause).toBe('timeout')
    })

    it('a datagram either way begins the time anew', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const received = receive(comm, { timesOf: () => quiet })
      const client = await plain()
      client.send('q', received.receiver.endpoint)
      await received.flow(1)
      const flow = at(received.flows, 0)
      flow.write('a')
      await outside()
      clock.advance(50_000)
      flow.write('b')
      await outside()
      clock.advance(50_000)
      expect(flow.closed).toBe(false)
      const reader = at(received.readers, 0)
      client.send('q', received.receiver.endpoint)
      await reader.hasDatagrams(2)
      await outside()
      clock.advance(50_000)
      expect(flow.closed).toBe(false)
      await outside()
      clock.advance(12_000)
      expect(flow.closed).toBe(true)
    })

    it('the reader may have a deadline of its own beside them', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const received = receive(comm)
      const client = await plain()
      client.send('q', received.receiver.endpoint)
      await received.flow(1)
      at(received.flows, 0).setTimeout(5000)
      await outside()
      clock.advance(6000)
      const reader = at(received.readers, 0)
      expect(reader.told).toEqual(['timeout'])
      expect(at(received.flows, 0).closed).toBe(false)
    })
  })

  describe('the end', () => {
    it('after a flow was closed the next datagram opens another', async () => {
      const comm = make()
      const received = receive(comm)
      const client = await plain()
      client.send('one', received.receiver.endpoint)
      await received.flow(1)
      at(received.flows, 0).close()
      await at(received.readers, 0).closed()
      expect(at(received.flows, 0).write('late')).toBe(false)
      client.send('two', received.receiver.endpoint)
      await received.flow(2)
      await at(received.readers, 1).hasDatagrams(1)
      expect(at(received.readers, 1).texts).toEqual(['two'])
    })

    it('what was written before the close goes out', async () => {
      const comm = make()
      const received = receive(comm, {}, true, flow => {
        flow.write('last words')
        flow.close('refused')
      })
      const client = await plain()
      client.send('x', received.receiver.endpoint)
      await client.has(1)
      expect(client.got.map(({ text }) => text)).toEqual(['last words'])
      await received.flow(1)
    })

    it('a closed receiver opens no new flows; those that run go on', async () => {
      const comm = make()
      const received = receive(comm)
      const client = await plain()
      const late = await plain()
      client.send('one', received.receiver.endpoint)
      await received.flow(1)
      received.receiver.close()
      late.send('too late', received.receiver.endpoint)
      client.send('two', received.receiver.endpoint)
      const reader = at(received.readers, 0)
      await reader.hasDatagrams(2)
      at(received.flows, 0).write('still here')
      await client.has(1)
      expect(received.flows).toHaveLength(1)
      at(received.flows, 0).close()
      await reader.closed()
      await outside()
      await outside()
      expect(comm.fdTable()).toEqual([])
    })

    it('a callback that throws costs its flow, and is reported once', async () => {
      const comm = make()
      const received = receive(comm, {}, true, () => {
        throw new Error('a bug of the test')
      })
      const client = await plain()
      client.send('x', received.receiver.endpoint)
      await received.flow(1)
      await outside()
      expect(at(received.flows, 0).closed).toBe(true)
      expect(failures.map(error => (error as Error).message)).toEqual(['a bug of the test'])
      failures = []
    })

    it('the comm closes flows and peers with shutdown', async () => {
      const comm = make()
      const server = await plain()
      const peer = await comm.connect(connectOptions(server.at, { protocol: 'udp' }), connectMs)
      const reader = new DatagramRecorder()
      peer.setReader(reader)
      const received = receive(comm)
      server.send('x', received.receiver.endpoint)
      await received.flow(1)
      comm.close()
      await Promise.all([reader.closed(), at(received.readers, 0).closed()])
      expect([reader.closedBecause, at(received.readers, 0).closedBecause]).toEqual(['shutdown', 'shutdown'])
    })
  })
}
