// The plug on the running machine: bytes both ways untouched, a half-closed side still gets what the other says, a
// server that cannot be had is told by a reset, and the record of each session. Services are exchanged by a reload, and
// nobody's connection is dropped for it.

import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { raw, type Stage, stageOf, until } from './scene.ts'

const plugTo = (port: number, options = ''): string =>
  `listener 127.0.0.1:0 service=mail name=in\nservice mail plug router=fixed ${options}\nrouter fixed directed 127.0.0.1:${port}\n`

const dial = async (proxy: Stage): Promise<net.Socket> => {
  const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  socket.on('error', () => {})
  return socket
}

const whole = async (socket: net.Socket): Promise<string> => {
  let text = ''
  for await (const piece of socket) text += String(piece)
  return text
}

/** Resolves with the code of its error, '' when it ended well. */
const closed = (socket: net.Socket): Promise<string> =>
  new Promise(resolve => {
    let found = ''
    socket.on('error', error => {
      found = 'code' in error ? String(error.code) : error.message
    })
    socket.resume().on('close', () => resolve(found))
  })

const says = (text: string) => raw(socket => void socket.resume().on('end', () => socket.end()).write(text))

const echo = () => raw(socket => void socket.pipe(socket))

describe('a plug', () => {
  it('passes bytes both ways, ends each half by itself, and leaves a record', async () => {
    const server = await echo()
    const proxy = await stageOf(plugTo(server.port))
    const client = await dial(proxy)
    client.end('one two three')
    expect(await whole(client)).toBe('one two three')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({
      sessionId: 'svc/mail:1/plug', portName: 'in', taken: 'direct', method: 'CONNECT', result: 'TCP_TUNNEL', status: 200,
      hierarchy: 'HIER_DIRECT', requestContentBytes: 13, responseBytes: 13, server: { port: server.port }, error: null,
    })
  })

  it('waits for a server before it reads: what the client said first is not lost', async () => {
    const server = await raw(socket => {
      socket.write('hello ')
      socket.pipe(socket)
    })
    const proxy = await stageOf(plugTo(server.port))
    const client = await dial(proxy)
    const sent = 'x'.repeat(300_000)
    client.end(sent)
    expect(await whole(client)).toBe(`hello ${sent}`)
  })

  it('resets a client whose server cannot be had', async () => {
    const nobody = await echo()
    await nobody.close()
    const proxy = await stageOf(plugTo(nobody.port))
    expect(await closed(net.connect({ port: proxy.port('in'), host: '127.0.0.1' }))).toBe('ECONNRESET')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ status: 503, error: 'connect-failed' })
  })

  it('without the client’s own destination has nowhere to go', async () => {
    const proxy = await stageOf('listener 127.0.0.1:0 service=mail name=in\nservice mail plug\n')
    expect(await closed(net.connect({ port: proxy.port('in'), host: '127.0.0.1' }))).toBe('ECONNRESET')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ result: 'TCP_DENIED', status: 403, error: 'loop' })
  })

  it('ends a session in which nothing moves, after its idle_timeout', async () => {
    const server = await echo()
    const proxy = await stageOf(plugTo(server.port, 'idle_timeout=10s'))
    const client = await dial(proxy)
    client.write('x')
    await once(client, 'data')
    const ended = closed(client)
    for (let i = 0; i < 6; i++) proxy.clock.advance(2500)
    expect(await ended).toBe('ECONNRESET')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ errorDetail: 'idle', status: 200 })
  })
})

describe('deny', () => {
  it.each([['reset', 'ECONNRESET'], ['close', '']])('kind=%s', async (kind, code) => {
    const proxy = await stageOf(`listener 127.0.0.1:0 service=nobody name=in\nservice nobody deny kind=${kind}\n`)
    const client = net.connect({ port: proxy.port('in'), host: '127.0.0.1' })
    expect(await closed(client)).toBe(code)
  })
})

describe('a reload', () => {
  it('gives the next connection the new service; those that stand stay with theirs, and the listener is the same', async () => {
    const [one, two] = [await says('one'), await says('two')]
    const proxy = await stageOf(plugTo(one.port))
    const port = proxy.port('in')
    const standing = await dial(proxy)
    expect(String((await once(standing, 'data'))[0])).toBe('one')
    proxy.reload(plugTo(two.port))
    expect(proxy.port('in')).toBe(port)
    const next = await dial(proxy)
    expect(String((await once(next, 'data'))[0])).toBe('two')
    standing.write('still')
    expect(proxy.machine.sessions).toBe(2)
    standing.destroy()
    next.destroy()
  })

  it('that cannot be had changes nothing', async () => {
    const server = await echo()
    const proxy = await stageOf(plugTo(server.port))
    const taken = net.createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const busy = typeof address === 'object' && address !== null ? address.port : 0
    expect(() => proxy.reload(`listener 127.0.0.1:${busy} service=x\nservice x deny\n`)).toThrow(/in use/)
    taken.close()
    const client = await dial(proxy)
    client.end('as before')
    expect(await whole(client)).toBe('as before')
  })
})
