// A chainer that goes on in the other protocol: clients with datagrams and a server with a stream, and the reverse, with
// the lengths DNS puts before messages in a stream.

import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { endpoint } from '../../src/base/index.ts'
import { type PlainSocket, plainSocket } from '../support/datagram-kit.ts'
import { raw, type Stage, stageOf, until } from './scene.ts'

const sockets: PlainSocket[] = []
const stages: Stage[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close()
  for (const proxy of stages.splice(0)) proxy.clock.advance(70_000)
})

const plain = async (address?: string, answer?: (content: Buffer) => Buffer): Promise<PlainSocket> => {
  const socket = await plainSocket(address, answer)
  sockets.push(socket)
  return socket
}

const through = async (entry: 'receiver' | 'listener', port: number, options: string): Promise<Stage> => {
  const proxy = await stageOf(
    `${entry} 127.0.0.1:0 service=names name=in\nservice names plug router=fixed chainer=other\nrouter fixed directed 127.0.0.1:${port}\nchainer other connect ${options}\n`,
  )
  stages.push(proxy)
  return proxy
}

const framed = (text: string): Buffer => Buffer.concat([Buffer.from([text.length >> 8, text.length & 255]), Buffer.from(text, 'latin1')])

/** The messages of a stream, as they become whole. */
const messages = (socket: net.Socket, each: (text: string) => void): void => {
  let rest = Buffer.alloc(0)
  socket.on('data', (piece: Buffer) => {
    rest = Buffer.concat([rest, piece])
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0)
      each(rest.toString('latin1', 2, end))
      rest = rest.subarray(end)
    }
  })
}

describe('datagrams to a server with a stream', () => {
  it('each is a message with its length, and each message that comes back a datagram', async () => {
    const heard: string[] = []
    const server = await raw(socket =>
      messages(socket, text => {
        heard.push(text)
        const answer = framed(`<${text}>`)
        socket.write(answer.subarray(0, 1)) // in pieces
        setImmediate(() => socket.write(answer.subarray(1)))
      }),
    )
    const proxy = await through('receiver', server.port, 'protocol=tcp framing=dns')
    const client = await plain()
    const at = endpoint('127.0.0.1', proxy.port('in'))
    client.send('one', at)
    await client.has(1)
    client.send('x'.repeat(40_000), at)
    await client.has(2)
    client.send('', at)
    await client.has(3)
    expect(heard).toEqual(['one', 'x'.repeat(40_000), ''])
    expect(client.got.map(({ text }) => text)).toEqual(['<one>', `<${'x'.repeat(40_000)}>`, '<>'])
  })

  it('a server that has ended is asked again by the next datagram, on a connection of its own', async () => {
    let connections = 0
    const server = await raw(socket => {
      connections++
      messages(socket, text => socket.end(framed(`${connections} ${text}`)))
    })
    const proxy = await through('receiver', server.port, 'protocol=tcp framing=dns')
    const client = await plain()
    const at = endpoint('127.0.0.1', proxy.port('in'))
    client.send('a', at)
    await client.has(1)
    await until(() => proxy.machine.sessions === 0, 'the end of the session')
    client.send('b', at)
    await client.has(2)
    expect(client.got.map(({ text }) => text)).toEqual(['1 a', '2 b'])
  })
})

describe('a stream to a server with datagrams', () => {
  it('each message is a datagram without its length, however the stream is cut', async () => {
    const server = await plain('127.0.0.1', content => Buffer.from(`<${content.toString('latin1')}>`, 'latin1'))
    const proxy = await through('listener', server.at.port, 'protocol=udp framing=dns')
    const client = net.connect({ port: proxy.port('in'), host: '127.0.0.1', allowHalfOpen: true })
    const got: string[] = []
    messages(client, text => got.push(text))
    const both = Buffer.concat([framed('one'), framed('two')])
    for (const byte of both) client.write(Buffer.from([byte]))
    await until(() => got.length === 2, 'the answers')
    expect(got).toEqual(['<one>', '<two>'])
    expect(server.got.map(({ text }) => text)).toEqual(['one', 'two'])
    client.end()
    await until(() => proxy.machine.comm.fdTable().some(entry => entry.deadlineMs > 0), 'its waiting for last answers')
    const closed = new Promise(resolve => client.on('close', resolve))
    proxy.clock.advance(11_000)
    await closed
  })
})

it('without framing bytes go over as they are', async () => {
  const heard: string[] = []
  const server = await raw(socket => void socket.on('data', piece => {
    heard.push(String(piece))
    socket.write('answer')
  }))
  const proxy = await through('receiver', server.port, 'protocol=tcp')
  const client = await plain()
  client.send('line\n', endpoint('127.0.0.1', proxy.port('in')))
  await client.has(1)
  expect([heard, client.got[0]?.text]).toEqual([['line\n'], 'answer'])
})
