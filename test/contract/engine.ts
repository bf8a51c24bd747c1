import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Comm, CommError, type CommOptions, type Connection, createComm } from '../../comm/index.ts'
import { native } from '../../native/index.ts'
import { Bug, endpoint, systemClock } from '../../src/base/index.ts'
import { Arrivals, connectMs, connectOptions, connectPair, listenOptions, pattern } from '../support/comm-kit.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Recorder } from '../support/recorder.ts'

// What every engine promises (comm/connection.ts, comm/engine/engine.ts). Both are held to it by the same tests, over
// loopback. After each test nothing may be open, and no callback may have failed that the test did not expect to.

export const engineContract = (engine: 'native' | 'node'): void => {
  const comms: Comm[] = []
  let failures: unknown[]
  let warnings: string[]

  const make = (options: Partial<CommOptions> = {}): Comm => {
    const comm = createComm({
      engine,
      clock: systemClock,
      onFailure: error => failures.push(error),
      onWarning: text => warnings.push(text),
      ...options,
    })
    comms.push(comm)
    return comm
  }

  beforeEach(() => {
    failures = []
    warnings = []
  })

  afterEach(() => {
    for (const comm of comms.splice(0)) {
      comm.close()
      expect(comm.fdTable(), 'everything is closed with the comm').toEqual([])
    }
    expect(failures, 'callbacks that failed').toEqual([])
  })

  const expectFailures = (...messages: string[]): void => {
    expect(failures.map(error => (error as Error).message)).toEqual(messages)
    failures = []
  }

  describe('ends', () => {
    it('both sides name the same two endpoints', async () => {
      const { client, server } = await connectPair(make())
      expect(client.local).toEqual(server.peer)
      expect(client.peer).toEqual(server.local)
      expect(client.original).toEqual({ kind: 'direct' })
      expect(server.original).toEqual({ kind: 'direct' })
      expect(client.id).not.toBe(server.id)
    })

    it('a listener tells the port the kernel chose', () => {
      const { endpoint: at } = make().listen(listenOptions(), () => {})
      expect(at.address).toBe('127.0.0.1')
      expect(at.port).toBeGreaterThan(0)
    })

    it('IPv4 clients of a dual-stack listener have IPv4 addresses', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm, { endpoint: endpoint('::', 0), dualStack: true })
      const arriving = arrivals.next()
      const target = endpoint('127.0.0.1', arrivals.listener.endpoint.port)
      const client = await comm.connect(connectOptions(target), connectMs)
      const server = await arriving
      expect(server.peer).toEqual(client.local)
      expect(server.local).toEqual(target)
    })

    it('an IPv6 listener without dual stack takes no IPv4', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm, { endpoint: endpoint('::', 0) })
      const { port } = arrivals.listener.endpoint
      await expect(comm.connect(connectOptions(endpoint('127.0.0.1', port)), connectMs)).rejects.toMatchObject({
        errno: 'ECONNREFUSED',
      })
      const client = await comm.connect(connectOptions(endpoint('::1', port)), connectMs)
      expect((await arrivals.next()).peer).toEqual(client.local)
      expect(client.peer).toEqual(endpoint('::1', port))
    })

    it('a source address and port are taken', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const source = endpoint('127.0.0.77', 0)
      await comm.connect(connectOptions(arrivals.listener.endpoint, { source }), connectMs)
      expect((await arrivals.next()).peer.address).toBe('127.0.0.77')
    })
  })

  describe('bytes', () => {
    it('what is written arrives, in order, strings as latin1', async () => {
      const { client, serverSaw } = await connectPair(make())
      expect(client.write('GET / ', Buffer.from('HTTP/1.1\r\n'), '\xff\x80')).toBe(true)
      client.write('')
      client.write('end')
      await serverSaw.has(21)
      expect(serverSaw.text).toBe('GET / HTTP/1.1\r\n\xff\x80end')
    })

    it('large and small parts of several connections are not mixed up', async () => {
      const comm = make()
      const one = await connectPair(comm)
      const two = await connectPair(comm)
      const large = pattern(100_000)
      one.client.write('a', large, 'b')
      two.client.write('c', large, 'd')
      one.client.write('e')
      two.client.write(large, 'f')
      await one.serverSaw.has(100_003)
      await two.serverSaw.has(200_003)
      expect(one.serverSaw.received.equals(Buffer.concat([Buffer.from('a'), large, Buffer.from('be')]))).toBe(true)
      const expected = Buffer.concat([Buffer.from('c'), large, Buffer.from('d'), large, Buffer.from('f')])
      expect(two.serverSaw.received.equals(expected)).toBe(true)
    })

    it('a small buffer may be used again at once', async () => {
      const { client, serverSaw } = await connectPair(make())
      const buffer = Buffer.from('first ')
      client.write(buffer)
      buffer.write('SECOND')
      client.write(buffer)
      await serverSaw.has(12)
      expect(serverSaw.text).toBe('first SECOND')
    })

    it('many small writes of one turn arrive whole', async () => {
      const { client, serverSaw } = await connectPair(make())
      let expected = ''
      for (let i = 0; i < 20_000; i++) {
        const line = `line ${i}\n`
        expected += line
        client.write(line)
      }
      await serverSaw.has(expected.length)
      expect(serverSaw.text === expected).toBe(true)
    })

    it('a very long string arrives whole', async () => {
      const { client, serverSaw } = await connectPair(make())
      const text = pattern(3_000_000).toString('latin1')
      client.write('<', text, '>')
      await serverSaw.has(text.length + 2)
      expect(serverSaw.text === `<${text}>`).toBe(true)
    })

    it('input written back within the callback is not spoilt by later input', async () => {
      const echo = new Recorder({ onData: (connection, bytes) => void connection.write(bytes) }, { keep: false })
      const { client, clientSaw } = await connectPair(make(), new Recorder(), echo)
      const sent = pattern(4_000_000)
      client.write(sent)
      await clientSaw.has(sent.length)
      expect(clientSaw.received.equals(sent)).toBe(true)
    })

    it('bytes are counted on the connection and in all', async () => {
      const comm = make()
      const before = { ...comm.counters }
      const { client, server, serverSaw, clientSaw } = await connectPair(comm)
      client.write('ask')
      await serverSaw.has(3)
      server.write('answer')
      await clientSaw.has(6)
      expect([client.bytesWritten, client.bytesRead]).toEqual([3, 6])
      expect([server.bytesWritten, server.bytesRead]).toEqual([6, 3])
      expect(comm.counters.bytesRead - before.bytesRead).toBe(9)
      expect(comm.counters.bytesWritten - before.bytesWritten).toBe(9)
      expect(comm.counters.accepted).toBe(1)
      expect(comm.counters.connects).toBe(1)
    })

    it('bytes that come before there is a reader wait for it, and so does the FIN', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const client = await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
      const other = await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
      const [server, otherServer] = [await arrivals.next(), await arrivals.next()]
      client.write('early')
      client.shutdownWrite()
      // the other pair proves that the loop has turned with the early bytes in the kernel
      const otherSaw = new Recorder()
      otherServer.setReader(otherSaw)
      other.write('x')
      await otherSaw.has(1)
      const saw = new Recorder()
      server.setReader(saw)
      expect(saw.bytes, 'not within setReader').toBe(0)
      await saw.ended()
      expect(saw.text).toBe('early')
    })

    it('what a reader gives back the next one is told of first, FIN included', async () => {
      const { client, server } = await connectPair(make())
      const looker = new Recorder({ onEnd: connection => connection.giveBack(looker.received) })
      server.setReader(looker)
      client.write('one ')
      await looker.has(4)
      client.write('two')
      client.shutdownWrite()
      await looker.ended()
      const saw = new Recorder()
      server.setReader(saw)
      expect(saw.bytes, 'not within setReader').toBe(0)
      await saw.ended()
      expect(saw.text).toBe('one two')
      expect(saw.count('end')).toBe(1)
      expect(looker.text, 'nothing more for the first').toBe('one two')
    })

    it('what was given back is not told while reading is deferred, and what follows comes behind it', async () => {
      const { client, server } = await connectPair(make())
      const looker = new Recorder({ onData: connection => connection.giveBack(looker.received) })
      server.setReader(looker)
      client.write('one ')
      await looker.has(4)
      const saw = new Recorder()
      server.setReader(saw)
      server.deferRead()
      client.write('two')
      await new Promise(setImmediate)
      await new Promise(setImmediate)
      expect(saw.bytes).toBe(0)
      server.resumeRead()
      await saw.has(7)
      expect(saw.text).toBe('one two')
    })

    it('a relay takes what was given back along, and the FIN behind it', async () => {
      const comm = make()
      const { client, server } = await connectPair(comm)
      const far = await connectPair(comm)
      const looker = new Recorder({ onEnd: connection => connection.giveBack(looker.received) })
      server.setReader(looker)
      client.write('early')
      client.shutdownWrite()
      await looker.ended()
      comm.relay(server, far.client, { idleTimeoutMs: 0, onRelayed: () => {} })
      await far.serverSaw.ended()
      expect(far.serverSaw.text).toBe('early')
      far.server.close()
    })

    it('a second reader gets what comes after it was set', async () => {
      const { client, server, serverSaw } = await connectPair(make())
      client.write('one')
      await serverSaw.has(3)
      const second = new Recorder()
      server.setReader(second)
      client.write('two')
      await second.has(3)
      expect([serverSaw.text, second.text]).toEqual(['one', 'two'])
      client.close()
      await second.ended()
      expect(serverSaw.told).toEqual([])
    })
  })

  describe('back-pressure', () => {
    it('a writer that heeds write and onDrain holds little in memory', async () => {
      const total = 32 * 1024 * 1024
      const piece = pattern(64 * 1024)
      let left = total
      let pendingMax = 0
      const pour = (connection: Connection): void => {
        let more = true
        while (more && left > 0) {
          left -= piece.length
          more = connection.write(piece)
          pendingMax = Math.max(pendingMax, connection.pending)
        }
      }
      const writer = new Recorder({ onDrain: pour })
      const reader = new Recorder({}, { keep: false })
      const { client } = await connectPair(make(), writer, reader)
      pour(client)
      await reader.has(total)
      expect(reader.bytes).toBe(total)
      expect(writer.count('drain')).toBeGreaterThan(0)
      expect(pendingMax).toBeLessThan(4 * 1024 * 1024)
      expect(client.bytesWritten).toBe(total)
    })

    it('a reader that defers is told nothing until it resumes, and loses nothing', async () => {
      const sent = pattern(6_000_000)
      let deferred = false
      const reader: Recorder = new Recorder({
        onData: connection => {
          expect(deferred, 'told while deferred').toBe(false)
          deferred = true
          connection.deferRead()
          setImmediate(() => {
            deferred = false
            connection.resumeRead()
          })
        },
      })
      const { client } = await connectPair(make(), new Recorder(), reader)
      client.write(sent)
      client.shutdownWrite()
      await reader.ended()
      expect(reader.received.equals(sent)).toBe(true)
    })

    it('a deferred connection does not learn of the FIN before it resumes', async () => {
      const comm = make()
      const { client, server, serverSaw } = await connectPair(comm)
      server.deferRead()
      client.write('last words')
      client.close()
      const probe = await connectPair(comm) // the loop turns
      probe.client.write('x')
      await probe.serverSaw.has(1)
      expect(serverSaw.bytes).toBe(0)
      expect(serverSaw.told).toEqual([])
      server.resumeRead()
      await serverSaw.ended()
      expect(serverSaw.text).toBe('last words')
    })

    it('a connection deferred by another one in the same turn is not told', async () => {
      // both have input waiting when the turn begins; whichever is served first defers the other
      const comm = make()
      const arrivals = new Arrivals(comm)
      const clients = [
        await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs),
        await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs),
      ]
      const servers = [await arrivals.next(), await arrivals.next()]
      let held: Connection | null = null
      const saw = servers.map(
        (_, i) =>
          new Recorder({
            onData: connection => {
              expect(connection, 'told while deferred').not.toBe(held)
              if (held !== null) return
              held = servers[1 - i] ?? null
              held?.deferRead()
            },
          }),
      )
      servers.forEach((server, i) => server.setReader(saw[i] ?? new Recorder()))
      for (const client of clients) client.write('now')
      await Promise.race(saw.map(one => one.has(3)))
      const other = held as Connection | null
      held = null
      other?.resumeRead()
      await Promise.all(saw.map(one => one.has(3)))
      expect(saw.map(one => one.text)).toEqual(['now', 'now'])
    })

    it('pending tells what waits, and bytesWritten what has gone', async () => {
      const { client, server, serverSaw } = await connectPair(make(), new Recorder(), new Recorder({}, { keep: false }))
      server.deferRead()
      const sent = pattern(16 * 1024 * 1024)
      client.write(sent)
      await new Promise(setImmediate)
      expect(client.pending).toBeGreaterThan(0)
      expect(client.pending + client.bytesWritten).toBe(sent.length)
      expect(client.write('x')).toBe(false)
      server.resumeRead()
      await serverSaw.has(sent.length + 1)
      expect(client.pending).toBe(0)
    })
  })

  describe('half-closed connections', () => {
    it('the peer may have sent FIN, and still be answered', async () => {
      const { client, server, clientSaw, serverSaw } = await connectPair(make())
      client.write('question')
      client.shutdownWrite()
      await serverSaw.ended()
      expect(serverSaw.text).toBe('question')
      expect([server.ended, client.ended]).toEqual([true, false])
      server.write('answer')
      await clientSaw.has(6)
      server.shutdownWrite()
      await clientSaw.ended()
      expect(clientSaw.told).toEqual(['end'])
      expect([client.closed, server.closed]).toEqual([false, false])
    })

    it('FIN comes after everything written before it', async () => {
      const { client, serverSaw } = await connectPair(make())
      const sent = pattern(8_000_000)
      client.write(sent)
      client.shutdownWrite()
      expect(client.write('too late')).toBe(false)
      await serverSaw.ended()
      expect(serverSaw.received.equals(sent)).toBe(true)
    })

    it('a reset after FIN is noticed', async () => {
      const { client, server, serverSaw } = await connectPair(make())
      client.shutdownWrite()
      await serverSaw.ended()
      client.resetClose()
      server.write('into the void')
      await serverSaw.closed()
      expect(serverSaw.closedBecause).toBe('peer-reset')
    })
  })

  describe('the end', () => {
    it('close sends FIN; both owners hear of it once', async () => {
      const { client, server, clientSaw, serverSaw } = await connectPair(make())
      client.close()
      expect(client.closed).toBe(true)
      expect(clientSaw.told, 'not within close').toEqual([])
      await clientSaw.closed()
      expect(clientSaw.closedBecause).toBe('done')
      await serverSaw.ended()
      server.close('peer-closed')
      server.close('aborted')
      server.resetClose()
      await serverSaw.closed()
      expect(serverSaw.closedBecause).toBe('peer-closed')
      expect(client.fd).toBe(-1)
      expect([clientSaw.told, serverSaw.told]).toEqual([['close'], ['end', 'close']])
    })

    it('what was written in the same turn is still sent by close', async () => {
      const { client, serverSaw } = await connectPair(make())
      client.write('bye')
      client.close()
      await serverSaw.ended()
      expect(serverSaw.text).toBe('bye')
    })

    it('resetClose resets', async () => {
      const { client, clientSaw, serverSaw } = await connectPair(make())
      client.resetClose('refused')
      await Promise.all([clientSaw.closed(), serverSaw.closed()])
      expect(clientSaw.closedBecause).toBe('refused')
      expect(serverSaw.closedBecause).toBe('peer-reset')
      expect(serverSaw.told).toEqual(['close'])
    })

    it.skipIf(engine === 'node')('a reset is noticed while reading is deferred (Node does not look then)', async () => {
      const { client, server, serverSaw } = await connectPair(make())
      server.deferRead()
      client.resetClose()
      await serverSaw.closed()
      expect(serverSaw.closedBecause).toBe('peer-reset')
    })

    it('closeAfterFlush sends everything, throws input away, and closes', async () => {
      const { client, clientSaw, serverSaw } = await connectPair(make(), new Recorder(), new Recorder({}, { keep: true }))
      const sent = pattern(8_000_000)
      client.write(sent)
      client.closeAfterFlush('refused')
      expect(client.closed).toBe(false)
      expect(client.write('too late')).toBe(false)
      await Promise.all([serverSaw.ended(), clientSaw.closed()])
      expect(serverSaw.received.equals(sent)).toBe(true)
      expect(clientSaw.closedBecause).toBe('refused')
      expect(clientSaw.told.at(-1)).toBe('close')
      expect(clientSaw.count('close')).toBe(1)
    })

    it('closeAfterFlush with nothing to flush closes', async () => {
      const { client, clientSaw } = await connectPair(make())
      client.closeAfterFlush()
      await clientSaw.closed()
      expect(clientSaw.told).toEqual(['close'])
    })

    it('close handlers run after onClose, the last one first', async () => {
      const order: string[] = []
      const saw: Recorder = new Recorder({ onClose: () => void order.push('reader') })
      const { client } = await connectPair(make(), saw)
      const removed = () => order.push('removed')
      const first = (_: Connection, why: string) => order.push(`first ${why}`)
      client.addCloseHandler(first)
      client.addCloseHandler(removed)
      client.addCloseHandler(() => order.push('second'))
      expect(() => client.addCloseHandler(first)).toThrow(Bug)
      client.removeCloseHandler(removed)
      client.close('timeout')
      await saw.closed()
      await new Promise(setImmediate)
      expect(order).toEqual(['reader', 'second', 'first timeout'])
    })

    it.each(['close', 'resetClose', 'closeAfterFlush'] as const)('%s is allowed inside every callback', async how => {
      const comm = make()
      const ending = (connection: Connection): void => {
        connection[how]()
        connection[how]()
      }
      const inData = new Recorder({ onData: ending })
      const one = await connectPair(comm, new Recorder(), inData)
      one.client.write('x')
      await inData.closed()
      expect(inData.told).toEqual(['close'])

      const inEnd = new Recorder({ onEnd: ending })
      const two = await connectPair(comm, new Recorder(), inEnd)
      two.client.shutdownWrite()
      await inEnd.closed()
      expect(inEnd.told).toEqual(['end', 'close'])

      const inDrain = new Recorder({ onDrain: ending })
      const three = await connectPair(comm, inDrain, new Recorder({}, { keep: false }))
      three.client.write(pattern(16 * 1024 * 1024))
      await inDrain.closed()
      expect(inDrain.told).toEqual(['drain', 'close'])

      const inClose = new Recorder({ onClose: ending })
      const four = await connectPair(comm, inClose)
      four.client.close()
      await inClose.closed()
      expect(inClose.told).toEqual(['close'])
    })

    it('a close inside a callback is told after the callback', async () => {
      let inside = false
      const saw: Recorder = new Recorder({
        onData: connection => {
          inside = true
          connection.close()
          expect(saw.told).toEqual([])
          inside = false
        },
        onClose: () => expect(inside).toBe(false),
      })
      const { client } = await connectPair(make(), new Recorder(), saw)
      client.write('x')
      await saw.closed()
    })

    it('a connection may close others, served or not yet served in the same turn', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const clients: Connection[] = []
      for (let i = 0; i < 8; i++) clients.push(await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs))
      const servers: Connection[] = []
      for (let i = 0; i < 8; i++) servers.push(await arrivals.next())
      const saw = servers.map(
        () =>
          new Recorder({
            onData: () => {
              for (const server of servers) server.close('refused')
            },
          }),
      )
      servers.forEach((server, i) => server.setReader(saw[i] ?? new Recorder()))
      for (const client of clients) client.write('all at once')
      await Promise.all(saw.map(one => one.closed()))
      expect(saw.filter(one => one.bytes > 0).length).toBe(1)
      for (const one of saw) expect(one.told).toEqual(['close'])
    })

    it('nothing happens to a closed connection', async () => {
      const { client, clientSaw, serverSaw } = await connectPair(make())
      client.close()
      expect(client.write('x', Buffer.from('y'))).toBe(false)
      client.deferRead()
      client.resumeRead()
      client.shutdownWrite()
      client.setTimeout(1)
      client.closeAfterFlush()
      client.setTimeout(0)
      await Promise.all([clientSaw.closed(), serverSaw.ended()])
      expect(serverSaw.bytes).toBe(0)
      expect([client.pending, client.bytesWritten]).toEqual([0, 0])
    })

    it('a new connection is not told what belonged to a closed one', async () => {
      // descriptors are reused at once: what is left of the old connection must not reach its successor
      const comm = make()
      for (let i = 0; i < 50; i++) {
        const { client, server, serverSaw, clientSaw } = await connectPair(comm)
        client.write(`round ${i}`)
        server.write('unread')
        await serverSaw.has(7)
        server.close()
        client.close()
        await clientSaw.closed()
        expect(serverSaw.text).toBe(`round ${i}`)
        expect(clientSaw.told.filter(word => word === 'close').length).toBe(1)
      }
    })

    it('closing the comm tells everybody', async () => {
      const comm = make()
      const { clientSaw, serverSaw } = await connectPair(comm)
      const arrivals = new Arrivals(comm)
      comm.close()
      comm.close()
      await Promise.all([clientSaw.closed(), serverSaw.closed()])
      expect([clientSaw.closedBecause, serverSaw.closedBecause]).toEqual(['shutdown', 'shutdown'])
      await expect(
        make().connect(connectOptions(arrivals.listener.endpoint), connectMs),
      ).rejects.toMatchObject({ errno: 'ECONNREFUSED' })
    })
  })

  describe('a comm that is closed', () => {
    it('inside a callback: everybody is told, and nothing is done after that', async () => {
      const comm = make()
      const closing = new Recorder({ onData: () => comm.close() })
      const { client, clientSaw } = await connectPair(comm, new Recorder(), closing)
      const other = await connectPair(comm)
      client.write('x')
      await Promise.all([closing.closed(), clientSaw.closed(), other.clientSaw.closed(), other.serverSaw.closed()])
      expect(comm.fdTable()).toEqual([])
    })

    it('connects and listens no more, and says so', async () => {
      const comm = make()
      const arrivals = new Arrivals(make())
      const hanging = comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
      comm.close()
      await expect(hanging).rejects.toMatchObject({ errno: 'ECANCELED' })
      await expect(comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)).rejects.toMatchObject({
        errno: 'ECANCELED',
      })
      expect(() => comm.listen(listenOptions(), () => {})).toThrow(CommError)
    })
  })

  describe('callbacks that throw', () => {
    const thrower = (): never => {
      throw new Error('of the test')
    }

    it.each(['onData', 'onEnd', 'onDrain', 'onTimeout'] as const)('in %s: reported once, the connection is closed', async which => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const saw = new Recorder({ [which]: thrower })
      const { client, server } = await connectPair(comm, new Recorder({}, { keep: false }), saw)
      if (which === 'onData') client.write('x')
      if (which === 'onEnd') client.shutdownWrite()
      if (which === 'onDrain') server.write(pattern(16 * 1024 * 1024))
      if (which === 'onTimeout') {
        server.setTimeout(1000)
        clock.advance(2000)
      }
      await saw.closed()
      expect(saw.closedBecause).toBe('handler-failed')
      expect(comm.counters.handlerFailures).toBe(1)
      expectFailures('of the test')
    })

    it('in onClose and in close handlers: the others are still called', async () => {
      const order: string[] = []
      const saw = new Recorder({ onClose: thrower })
      const { client } = await connectPair(make(), saw)
      client.addCloseHandler(() => order.push('first'))
      client.addCloseHandler(thrower)
      client.addCloseHandler(() => order.push('third'))
      client.close()
      await saw.closed()
      await new Promise(setImmediate)
      expect(order).toEqual(['third', 'first'])
      expectFailures('of the test', 'of the test')
    })

    it('when a connection arrives: it is closed, the next one is served', async () => {
      const comm = make()
      let bad = true
      const saw = new Recorder()
      const listener = comm.listen(listenOptions(), connection => {
        if (bad) {
          bad = false
          thrower()
        }
        connection.setReader(saw)
      })
      const first = await comm.connect(connectOptions(listener.endpoint), connectMs).catch(() => null)
      const firstSaw = new Recorder()
      first?.setReader(firstSaw) // null: the reset was faster than our looking
      if (first !== null) await firstSaw.closed()
      expect(firstSaw.closedBecause ?? 'peer-reset').toBe('peer-reset')
      const second = await comm.connect(connectOptions(listener.endpoint), connectMs)
      second.write('served')
      await saw.has(6)
      expectFailures('of the test')
    })

    it('one of many in a turn: the others are served', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const clients: Connection[] = []
      for (let i = 0; i < 10; i++) clients.push(await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs))
      const saw: Recorder[] = []
      for (let i = 0; i < 10; i++) {
        const server = await arrivals.next()
        const one = new Recorder(i % 2 === 0 ? { onData: thrower } : {})
        server.setReader(one)
        saw.push(one)
      }
      for (const client of clients) client.write('x')
      await Promise.all(saw.map((one, i) => (i % 2 === 0 ? one.closed() : one.has(1))))
      expect(saw.map(one => one.closedBecause)).toEqual(saw.map((_, i) => (i % 2 === 0 ? 'handler-failed' : null)))
      expect(failures.length).toBe(5)
      failures = []
    })
  })

  describe('deadlines', () => {
    it('pass once, not early, and the reader decides', async () => {
      const clock = new FakeClock()
      const { client, clientSaw, serverSaw } = await connectPair(make({ clock }))
      client.setTimeout(10_000)
      clock.advance(9_999)
      expect(clientSaw.told).toEqual([])
      clock.advance(1_000)
      expect(clientSaw.told).toEqual(['timeout'])
      clock.advance(60_000)
      expect(clientSaw.told).toEqual(['timeout'])
      client.write('still open')
      await serverSaw.has(10)
    })

    it('are replaced and cleared', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const { client, clientSaw, server, serverSaw } = await connectPair(comm)
      client.setTimeout(5_000)
      server.setTimeout(5_000)
      clock.advance(3_000)
      client.setTimeout(10_000)
      server.setTimeout(0)
      clock.advance(5_000)
      expect(clientSaw.told).toEqual([])
      clock.advance(6_000)
      expect(clientSaw.told).toEqual(['timeout'])
      expect(serverSaw.told).toEqual([])
      expect(comm.counters.timeouts).toBe(1)
    })

    it('a connection nobody reads is closed', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const arrivals = new Arrivals(comm)
      const client = await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
      const server = await arrivals.next()
      const why = new Promise(done => server.addCloseHandler((_, reason) => done(reason)))
      server.setTimeout(1_000)
      clock.advance(2_000)
      expect(await why).toBe('timeout')
      client.close()
    })

    it('a closed connection has none', async () => {
      const clock = new FakeClock()
      const { client, clientSaw } = await connectPair(make({ clock }))
      client.setTimeout(1_000)
      client.close()
      await clientSaw.closed()
      clock.advance(5_000)
      expect(clientSaw.told).toEqual(['close'])
    })
  })

  describe('connecting', () => {
    const nobody = async (comm: Comm) => {
      const listener = comm.listen(listenOptions(), () => {})
      listener.close()
      await new Promise(setImmediate)
      return listener.endpoint
    }

    it('to nobody is refused, with the endpoint in the message', async () => {
      const comm = make()
      const target = await nobody(comm)
      const error = await comm.connect(connectOptions(target), connectMs).then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(CommError)
      expect(error).toMatchObject({ errno: 'ECONNREFUSED', code: 'ECONNREFUSED', syscall: 'connect' })
      expect((error as CommError).message).toContain(`127.0.0.1:${target.port}`)
      expect(comm.counters.connectFailures).toBe(1)
    })

    it('done is not called inside the call, whatever happens', async () => {
      const comm = make()
      const target = await nobody(comm)
      for (const options of [connectOptions(target), connectOptions(target, { source: endpoint('::1', 0) })]) {
        let inside = true
        await new Promise<void>(done => {
          comm.connectSocket(options, connectMs, error => {
            expect(inside).toBe(false)
            expect(error).toBeInstanceOf(CommError)
            done()
          })
          inside = false
        })
      }
    })

    it.skipIf(!native.present)('to a host that says nothing ends after the timeout', async () => {
      // a full backlog: the kernel drops further SYNs
      const deaf = make({ engine: 'native' })
      const full = deaf.listen(listenOptions({ backlog: 1 }), () => {})
      full.pause()
      const stop = new AbortController()
      const fill = () => deaf.connect(connectOptions(full.endpoint), 0, stop.signal).catch((error: unknown) => error)
      const fillers = [fill(), fill(), fill()]
      await new Promise(setImmediate)
      const clock = new FakeClock()
      const comm = make({ clock })
      const tries = [1, 2, 3, 4].map(() =>
        comm.connect(connectOptions(full.endpoint), 5_000).then(
          connection => connection,
          (error: unknown) => error as CommError,
        ),
      )
      await new Promise(setImmediate)
      await new Promise(setImmediate)
      clock.advance(6_000)
      const last = await tries.at(-1)
      expect(last).toMatchObject({ errno: 'ETIMEDOUT' })
      expect(comm.counters.connectTimeouts).toBeGreaterThan(0)
      await Promise.all(tries)
      stop.abort()
      await Promise.all(fillers)
    })

    it('ends with the signal', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const control = new AbortController()
      const connecting = comm.connect(connectOptions(arrivals.listener.endpoint), connectMs, control.signal)
      control.abort()
      await expect(connecting).rejects.toMatchObject({ errno: 'ECANCELED' })
      await expect(
        comm.connect(connectOptions(arrivals.listener.endpoint), connectMs, AbortSignal.abort()),
      ).rejects.toMatchObject({ errno: 'ECANCELED' })
      expect(comm.fdTable().filter(entry => entry.kind !== 'listener' && entry.note === 'test connection')).toEqual([])
    })

    it('a cancelled attempt tells nothing', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const attempt = comm.connectSocket(connectOptions(arrivals.listener.endpoint), connectMs, () => {
        throw new Error('cancelled attempts are silent')
      })
      attempt.cancel()
      attempt.cancel()
      const { client, serverSaw } = await connectPair(comm)
      client.write('x')
      await serverSaw.has(1)
    })

    it('gives a Node socket to those who want one', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      const { promise, resolve, reject } = Promise.withResolvers<import('node:net').Socket>()
      comm.connectSocket(connectOptions(arrivals.listener.endpoint, { note: 'for undici' }), connectMs, (error, socket, local) => {
        if (socket === null) return reject(error)
        expect(local).toMatchObject({ family: 4, address: '127.0.0.1' })
        resolve(socket)
      })
      const socket = await promise
      const server = await arrivals.next()
      const saw = new Recorder({ onData: connection => void connection.write('pong') })
      server.setReader(saw)
      const answer = new Promise<string>(done => socket.once('data', bytes => done(String(bytes))))
      socket.write('ping')
      expect(await answer).toBe('pong')
      expect(comm.fdTable().find(entry => entry.note === 'for undici')).toMatchObject({ kind: 'socket', bytesWritten: 4 })
      const gone = new Promise(done => socket.once('close', done))
      socket.destroy()
      await gone
      await saw.ended()
      expect(comm.fdTable().find(entry => entry.note === 'for undici')).toBeUndefined()
    })

    it('done that throws costs the connection, and is reported', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      comm.connectSocket(connectOptions(arrivals.listener.endpoint), connectMs, () => {
        throw new Error('of the test')
      })
      const saw = new Recorder()
      ;(await arrivals.next()).setReader(saw)
      await saw.until(() => saw.told.length > 0)
      expectFailures('of the test')
    })
  })

  describe('listening', () => {
    it('where another listens fails with a sentence that names the endpoint', () => {
      const comm = make()
      const { endpoint: taken } = comm.listen(listenOptions(), () => {})
      expect(() => comm.listen(listenOptions({ endpoint: taken }), () => {})).toThrow(
        expect.objectContaining({ errno: 'EADDRINUSE', message: expect.stringContaining(`127.0.0.1:${taken.port}`) }),
      )
    })

    it('on an address of nobody here fails', () => {
      expect(() => make().listen(listenOptions({ endpoint: endpoint('192.0.2.1', 0) }), () => {})).toThrow(
        expect.objectContaining({ errno: 'EADDRNOTAVAIL' }),
      )
    })

    it('a closed listener takes nobody', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      arrivals.listener.close()
      arrivals.listener.close()
      await new Promise(setImmediate)
      await expect(comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)).rejects.toMatchObject({
        errno: 'ECONNREFUSED',
      })
    })

    it('a paused listener lets clients wait and takes them when it resumes', async () => {
      const comm = make()
      const arrivals = new Arrivals(comm)
      arrivals.listener.pause()
      const client = await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
      client.write('patient')
      const other = await connectPair(comm)
      other.client.write('x')
      await other.serverSaw.has(1)
      expect(arrivals.all.length).toBe(0)
      arrivals.listener.resume()
      const saw = new Recorder()
      ;(await arrivals.next()).setReader(saw)
      await saw.has(7)
    })

    it('stops accepting when descriptors run short, says so once, and goes on later', async () => {
      // clients in another comm: their descriptors are not counted here
      const clients = make()
      const comm = make({ fdMax: 16 }) // 4 in reserve
      const arrivals = new Arrivals(comm)
      let waiting = 30
      // who is turned away comes again; with the native engine nobody is, they wait in the backlog
      const patient = async (): Promise<void> => {
        const saw = new Recorder()
        const client = await clients.connect(connectOptions(arrivals.listener.endpoint), connectMs).catch(() => null)
        client?.setReader(saw)
        if (client !== null) await saw.until(() => saw.told.length > 0)
        client?.close()
        if (client === null || saw.closedBecause === 'peer-reset') {
          if (engine === 'native') throw new Error('turned away')
          return patient()
        }
        waiting--
      }
      const all = Promise.all(Array.from({ length: 30 }, patient))
      while (!comm.budget.paused) await new Promise(setImmediate)
      await new Promise(setImmediate)
      expect(arrivals.all.length).toBeLessThanOrEqual(12)
      expect(warnings.length).toBe(1)
      expect(comm.counters.acceptPauses).toBe(1)
      // each that goes makes room for one who waits
      let served = 0
      for (; waiting > 0; served++) {
        const server = await Promise.race([arrivals.next(), all])
        if (server instanceof Array) break
        server.close()
      }
      await all
      expect(served).toBe(30)
      expect(comm.budget.open).toBeLessThanOrEqual(2)
      expect(warnings.length).toBe(1)
    })
  })

  describe('the descriptor table', () => {
    it('shows who holds what', async () => {
      const clock = new FakeClock()
      const comm = make({ clock })
      const { client, server, serverSaw } = await connectPair(comm)
      const { listener } = new Arrivals(comm, { note: 'http_port' })
      client.note = 'to origin'
      client.write('12345')
      await serverSaw.has(5)
      client.setTimeout(30_000)
      clock.advance(10_000)
      const table = comm.fdTable()
      expect(table.length).toBe(3)
      expect(table.find(entry => entry.kind === 'listener')).toMatchObject({ local: listener.endpoint, peer: null })
      const mine = table.find(entry => entry.note === 'to origin')
      expect(mine).toMatchObject({ kind: 'connection', peer: client.peer, local: client.local, bytesWritten: 5 })
      expect(mine?.ageMs).toBeGreaterThanOrEqual(9_000)
      expect(mine?.deadlineMs).toBe(20_000)
      expect(table.find(entry => entry.peer?.port === server.peer.port)).toMatchObject({ bytesRead: 5, deadlineMs: 0 })
      client.close()
      await serverSaw.ended()
      expect(comm.fdTable().length).toBe(2)
    })
  })

  describe('relays', () => {
    const relayed = async (comm: Comm, idleTimeoutMs = 0) => {
      const left = await connectPair(comm)
      const right = await connectPair(comm)
      const { promise: end, resolve } = Promise.withResolvers<import('../../comm/index.ts').RelayStats>()
      const relay = comm.relay(left.server, right.client, { idleTimeoutMs, onRelayed: resolve })
      return { relay, end, left, right, a: left.client, b: right.server, aSaw: left.clientSaw, bSaw: right.serverSaw }
    }

    it('carry both ways, pass FIN on, and end when both sides have', async () => {
      const { end, a, b, aSaw, bSaw, left, right } = await relayed(make())
      const up = pattern(3_000_000)
      const down = pattern(5_000_001)
      a.write(up)
      a.shutdownWrite()
      await bSaw.ended()
      expect(bSaw.received.equals(up)).toBe(true)
      expect(aSaw.told).not.toContain('end')
      b.write(down)
      b.shutdownWrite()
      await aSaw.ended()
      expect(aSaw.received.equals(down)).toBe(true)
      expect(await end).toEqual({ bytesToA: down.length, bytesToB: up.length, why: 'done' })
      expect([left.server.closed, right.client.closed]).toEqual([true, true])
      expect([left.server.bytesRead, left.server.bytesWritten]).toEqual([up.length, down.length])
    })

    it('first send what was waiting, and what nobody had read', async () => {
      const comm = make()
      const left = await connectPair(comm)
      const right = await connectPair(comm)
      const waiting = pattern(6_000_000)
      left.client.deferRead()
      left.server.write(waiting)
      left.server.deferRead()
      left.client.write('unread')
      const probe = await connectPair(comm) // the loop turns
      probe.client.write('x')
      await probe.serverSaw.has(1)
      const { promise: end, resolve } = Promise.withResolvers()
      comm.relay(left.server, right.client, { idleTimeoutMs: 0, onRelayed: resolve })
      right.server.write('after')
      left.client.resumeRead()
      await left.clientSaw.has(waiting.length + 5)
      await right.serverSaw.has(6)
      expect(left.clientSaw.received.equals(Buffer.concat([waiting, Buffer.from('after')]))).toBe(true)
      expect(right.serverSaw.text).toBe('unread')
      left.client.close()
      right.server.close()
      await end
    })

    it('run the close handlers of both', async () => {
      const { end, left, right, a, b } = await relayed(make())
      const closed: string[] = []
      left.server.addCloseHandler((_, why) => closed.push(`left ${why}`))
      right.client.addCloseHandler((_, why) => closed.push(`right ${why}`))
      a.close()
      b.close()
      await end
      expect(closed.toSorted()).toEqual(['left done', 'right done'])
    })

    it('pass a reset on', async () => {
      const { end, a, bSaw } = await relayed(make())
      a.write('x')
      await bSaw.has(1)
      a.resetClose()
      await bSaw.closed()
      expect(bSaw.closedBecause).toBe('peer-reset')
      expect((await end).why).toBe('reset')
    })

    it('end when nothing moves, not before', async () => {
      const clock = new FakeClock()
      const { end, a, aSaw, bSaw, relay } = await relayed(make({ clock }), 8_000)
      for (let i = 1; i <= 5; i++) {
        clock.advance(7_000)
        a.write('x')
        await bSaw.has(i)
      }
      expect(relay.bytesToB).toBe(5)
      clock.advance(7_000)
      expect(aSaw.told).toEqual([])
      clock.advance(7_000)
      expect(await end).toEqual({ bytesToA: 0, bytesToB: 5, why: 'idle' })
      await aSaw.closed()
    })

    it('can be stopped', async () => {
      const { end, relay, aSaw, bSaw } = await relayed(make())
      relay.stop()
      relay.stop()
      expect((await end).why).toBe('stopped')
      await Promise.all([aSaw.closed(), bSaw.closed()])
    })

    it('end when somebody closes one of the two', async () => {
      const { end, left, bSaw, aSaw } = await relayed(make())
      left.server.close('timeout')
      expect((await end).why).toBe('stopped')
      await Promise.all([bSaw.until(() => bSaw.told.length > 0), aSaw.until(() => aSaw.told.length > 0)])
    })

    it('of connections that have ended already end at once', async () => {
      const comm = make()
      const left = await connectPair(comm)
      const right = await connectPair(comm)
      left.client.write('tail')
      left.client.shutdownWrite()
      right.server.shutdownWrite()
      await left.serverSaw.ended()
      await right.clientSaw.ended()
      const { promise: end, resolve } = Promise.withResolvers()
      comm.relay(left.server, right.client, { idleTimeoutMs: 0, onRelayed: resolve })
      expect(await end).toMatchObject({ why: 'done' })
      await Promise.all([left.clientSaw.ended(), right.serverSaw.ended()])
    })
  })

}
