// The plug with datagrams on the running machine: a receiver line, flows as sessions, and their records. One client's
// burst is one session whatever the timing; answers, silence and refusals of the server end it as they should.

import { afterEach, describe, expect, it } from 'vitest'
import { type PlainSocket, plainSocket } from '../support/datagram-kit.ts'
import { endpoint } from '../../src/base/index.ts'
import { type Stage, stageOf, until } from './scene.ts'

const sockets: PlainSocket[] = []
const stages: Stage[] = []
const staged = async (conf: string): Promise<Stage> => {
  const proxy = await stageOf(conf)
  stages.push(proxy)
  return proxy
}
const plain = async (address?: string, answer?: (content: Buffer) => Buffer): Promise<PlainSocket> => {
  const socket = await plainSocket(address, answer)
  sockets.push(socket)
  return socket
}
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close()
  for (const proxy of stages.splice(0)) proxy.clock.advance(70_000) // flows have no other end
})

const echo = () => plain('127.0.0.1', content => Buffer.from(`<${content.toString('latin1')}>`, 'latin1'))

const plugTo = (port: number, receiver = '', service = ''): string =>
  `receiver 127.0.0.1:0 service=names name=in ${receiver}\nservice names plug router=fixed ${service}\nrouter fixed directed 127.0.0.1:${port}\n`

const failoverTo = (...servers: readonly string[]): string =>
  `receiver 127.0.0.1:0 service=names name=in\nservice names plug router=both chainer=first\nrouter both directed ${servers.join(' ')}\nchainer first failover timeout_state=1h\n`

const at = (proxy: Stage) => endpoint('127.0.0.1', proxy.port('in'))

const outside = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('a plug for datagrams', () => {
  it('passes them both ways and leaves a record when the flow has been quiet', async () => {
    const server = await echo()
    const proxy = await staged(plugTo(server.at.port, 'idle_timeout=20s'))
    const client = await plain()
    client.send('one', at(proxy))
    client.send('', at(proxy))
    await client.has(2)
    expect(client.got).toMatchObject([{ text: '<one>', from: at(proxy) }, { text: '<>', from: at(proxy) }])
    expect(proxy.records).toEqual([])
    await outside()
    proxy.clock.advance(21_000)
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({
      sessionId: 'svc/names:1/plug', portName: 'in', taken: 'direct', result: 'TCP_TUNNEL', status: 200,
      requestContentBytes: 3, responseBytes: 7, server: { port: server.at.port }, client: client.at, error: null, errorDetail: 'idle',
    })
    expect(proxy.machine.sessions).toBe(0)
  })

  it('a burst before the first answer is one session, whole and in order', async () => {
    const server = await plain()
    const proxy = await staged(plugTo(server.at.port))
    const client = await plain()
    const wanted = Array.from({ length: 100 }, (_, i) => `datagram ${i}`)
    for (const text of wanted) client.send(text, at(proxy))
    await server.has(100)
    expect(server.got.map(({ text }) => text)).toEqual(wanted)
    expect(new Set(server.got.map(({ from }) => from.port)).size).toBe(1)
    expect(proxy.machine.sessions).toBe(1)
  })

  it('clients do not hear each other', async () => {
    const server = await echo()
    const proxy = await staged(plugTo(server.at.port))
    const clients = await Promise.all(Array.from({ length: 30 }, () => plain()))
    for (const [i, client] of clients.entries()) for (let n = 0; n < 5; n++) client.send(`${i} ${n}`, at(proxy))
    for (const [i, client] of clients.entries()) {
      await client.has(5)
      expect(client.got.map(({ text }) => text)).toEqual([0, 1, 2, 3, 4].map(n => `<${i} ${n}>`))
    }
    expect(new Set(server.got.map(({ from }) => from.port)).size).toBe(30)
    expect(proxy.machine.sessions).toBe(30)
  })

  it('a session ends when the server’s host says that nobody is there; the next datagram begins another', async () => {
    const gone = await plainSocket()
    gone.close()
    const proxy = await staged(plugTo(gone.at.port))
    const client = await plain()
    client.send('anybody?', at(proxy))
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ errorDetail: 'reset', requestContentBytes: 8, responseBytes: 0 })
    client.send('anybody?', at(proxy))
    await until(() => proxy.records.length === 2, 'the second record')
    expect(proxy.records[1]?.sessionId).toBe('svc/names:2/plug')
  })

  it('failover: whose host says that nobody is there is passed over by the next flow', async () => {
    const gone = await plainSocket()
    gone.close()
    const second = await echo()
    const proxy = await staged(failoverTo(`127.0.0.1:${gone.at.port}`, `127.0.0.1:${second.at.port}`))
    const client = await plain()
    client.send('one', at(proxy))
    await until(() => proxy.records.length === 1, 'the end of the first flow')
    client.send('two', at(proxy))
    await client.has(1)
    const other = await plain()
    other.send('three', at(proxy))
    await other.has(1)
    expect([client.got[0]?.text, other.got[0]?.text]).toEqual(['<two>', '<three>'])
  })

  it('failover: silence is a failure where questions are answered (RADIUS), and none elsewhere', async () => {
    const silent = await plain('127.83.21.7')
    const silentRadius = await plainSocket('127.83.21.7', undefined, 1812)
    sockets.push(silentRadius)
    for (const [first, wanted] of [[silent, ''], [silentRadius, '<again>']] as const) {
      const second = await echo()
      const proxy = await staged(failoverTo(`127.83.21.7:${first.at.port}`, `127.0.0.1:${second.at.port}`))
      const [client, other] = [await plain(), await plain()]
      client.send('one', at(proxy))
      await first.has(1)
      await outside()
      proxy.clock.advance(31_000)
      await until(() => proxy.records.length === 1, 'the end of the first flow')
      other.send('again', at(proxy))
      await (wanted === '' ? first.has(2) : other.has(1))
      expect(other.got.map(({ text }) => text).join('')).toBe(wanted)
    }
  })

  it('limits of the service hold for flows', async () => {
    const server = await echo()
    const proxy = await staged(plugTo(server.at.port, '', 'max_sessions=2'))
    const clients = await Promise.all(Array.from({ length: 3 }, () => plain()))
    for (const client of clients) {
      client.send('x', at(proxy))
      await client.sent()
    }
    const [first, second, third] = clients
    await Promise.all([first?.has(1), second?.has(1)])
    first?.send('y', at(proxy))
    await first?.has(2)
    expect(third?.got).toEqual([])
    expect(proxy.machine.sessions).toBe(2)
  })

  it('a reload gives new flows the new service, and keeps those that run', async () => {
    const [one, two] = [await echo(), await plain('127.0.0.1', () => Buffer.from('two'))]
    const proxy = await staged(plugTo(one.at.port))
    const client = await plain()
    client.send('before', at(proxy))
    await client.has(1)
    proxy.reload(plugTo(two.at.port, 'flows_max=2'))
    client.send('after', at(proxy))
    await client.has(2)
    const other = await plain()
    other.send('new', at(proxy))
    await other.has(1)
    expect([client.got.map(({ text }) => text), other.got.map(({ text }) => text)]).toEqual([['<before>', '<after>'], ['two']])
    const third = await plain()
    third.send('too many', at(proxy))
    await until(() => proxy.machine.comm.counters.flowsRefused === 1, 'the limit of the new conf')
    expect(third.got).toEqual([])
  })

  it('running flows do not hold the process up when it stops', async () => {
    const server = await echo()
    const proxy = await staged(plugTo(server.at.port))
    const client = await plain()
    client.send('x', at(proxy))
    await client.has(1)
    await proxy.stop()
    expect(proxy.records).toHaveLength(1)
  })

  it('the bandwidth of a session drops what is too much', async () => {
    const server = await plain()
    const proxy = await staged(plugTo(server.at.port, '', 'bandwidth=10KB/s'))
    const client = await plain()
    for (let i = 0; i < 5; i++) client.send(Buffer.alloc(1000, 65 + i), at(proxy))
    await server.has(3)
    await until(() => proxy.machine.comm.counters.datagramsDropped === 2, 'the others to be dropped')
    await outside()
    proxy.clock.advance(1000)
    client.send('after a second', at(proxy))
    await server.has(4)
    expect(server.got.map(({ text }) => text[0])).toEqual(['A', 'B', 'C', 'a'])
  })
})
