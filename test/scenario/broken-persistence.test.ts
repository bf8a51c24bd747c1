// detect_broken_pconn: an origin that keeps a connection whose end alone could be the end of its response. The client has it
// ten seconds after the last byte, on a connection that stays its own, and nothing of it is stored; who has promised no
// connection, or a length, is waited for as ever. Seen at the client, in the record and in the store.

import type net from 'node:net'
import { describe, expect, it } from 'vitest'
import { heard } from '../support/origin.ts'
import type { Wire } from '../support/wire.ts'
import { fetched, get, originConnections, raw, type Stage, stage, until } from './scene.ts'

const on = 'detect_broken_pconn on\n'
const fresh = 'Cache-Control: max-age=600\r\n'

/** Answers each request so, in these pieces, and never ends by itself. */
const keeping = async (...pieces: readonly string[]) => {
  const sockets: net.Socket[] = []
  const { port } = await raw(async socket => {
    sockets.push(socket)
    while ((await heard(socket).catch(() => null)) !== null) {
      for (const piece of pieces) {
        socket.write(piece, 'latin1')
        await new Promise(resolve => setImmediate(resolve))
      }
    }
  })
  const size = pieces.join('').length
  return { port, size, end: () => sockets.splice(0).forEach(socket => socket.end()) }
}

/** What is left of a response whose head has been begun, up to its last chunk. */
const endOfChunks = async (wire: Wire): Promise<string> => {
  let text = ''
  while (!text.endsWith('\r\n0\r\n\r\n')) text += await wire.bytes(1)
  return text
}

/** Ten seconds after all of it has come, as the wheel of deadlines counts them; `ms` more or less. */
const silence = async (proxy: Stage, size: number, ms = 0): Promise<void> => {
  await fetched(proxy, size)
  proxy.clock.advance(11_000 + ms)
}

describe('a response without an end, on a connection that is kept', () => {
  it.each([
    ['HTTP/1.1, which keeps them', [`HTTP/1.1 200 OK\r\n${fresh}\r\nhello`]],
    ['HTTP/1.0 that says so', [`HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${fresh}\r\nhello`]],
    ['a head in pieces', ['HTTP/1.1 200 ', `OK\r\n${fresh}`, '\r\nhe', 'llo']],
  ])('%s: is taken for whole after ten seconds, and not stored', async (_name, pieces) => {
    const origin = await keeping(...pieces)
    const proxy = await stage(on)
    const wire = await proxy.client()
    for (let nth = 0; nth < 2; nth++) {
      wire.send(get(origin.port))
      await silence(proxy, origin.size)
      expect(await wire.response()).toMatchObject({ status: 200, body: 'hello' })
    }
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
    expect(proxy.records.map(r => [r.storeReason, r.error])).toEqual([['incomplete', null], ['incomplete', null]])
    await until(() => originConnections(proxy).length === 0, 'the end of a connection nobody can use')
    expect(proxy.machine.comm.fdTable().filter(entry => entry.kind === 'connection')).toHaveLength(1)
  })

  it('a redirect without content is one, too', async () => {
    const origin = await keeping('HTTP/1.0 302 Found\r\nConnection: keep-alive\r\nLocation: /there\r\n\r\n')
    const proxy = await stage(on)
    const wire = (await proxy.client()).send(get(origin.port))
    await silence(proxy, origin.size)
    expect(await wire.response()).toMatchObject({ status: 302, body: '' })
  })

  it('is waited for while it goes on', async () => {
    const go: (() => void)[] = []
    const { port } = await raw(async socket => {
      await heard(socket)
      socket.write('HTTP/1.1 200 OK\r\n\r\none')
      go.push(() => socket.write(' two'))
    })
    const proxy = await stage(on)
    const wire = (await proxy.client()).send(get(port))
    await silence(proxy, 'HTTP/1.1 200 OK\r\n\r\none'.length, -1000)
    go[0]?.()
    await silence(proxy, 'HTTP/1.1 200 OK\r\n\r\none two'.length, -1000)
    expect(proxy.records).toEqual([])
    proxy.clock.advance(2000)
    expect((await wire.response()).body).toBe('one two')
  })

  it('all who share it have it', async () => {
    const origin = await keeping(`HTTP/1.1 200 OK\r\n${fresh}\r\nhello`)
    const proxy = await stage(`${on}collapsed_forwarding on\n`)
    const wires = [await proxy.client(), await proxy.client()] as const
    wires[0].send(get(origin.port))
    await fetched(proxy, origin.size)
    const head = await wires[0].bytes(15)
    wires[1].send(get(origin.port))
    expect(head).toBe('HTTP/1.1 200 OK')
    expect(await wires[1].bytes(15)).toBe('HTTP/1.1 200 OK')
    await silence(proxy, origin.size)
    for (const wire of wires) expect(await endOfChunks(wire)).toContain('hello')
    await proxy.results(2)
    await proxy.ask(get(origin.port, '/', 'Cache-Control: only-if-cached')).then(({ status }) => expect(status).toBe(504))
  })
})

describe('everything else is waited for', () => {
  it.each([
    ['HTTP/1.0, which keeps nothing', on, `HTTP/1.0 200 OK\r\n${fresh}\r\nhello`],
    ['Connection: close', on, `HTTP/1.1 200 OK\r\nConnection: close\r\n${fresh}\r\nhello`],
    ['what it is off for', '', `HTTP/1.1 200 OK\r\n${fresh}\r\nhello`],
  ])('%s: whole, and stored, when the connection ends', async (_name, conf, answer) => {
    const origin = await keeping(answer)
    const proxy = await stage(conf)
    const wire = (await proxy.client()).send(get(origin.port))
    await silence(proxy, origin.size, 60_000)
    for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
    expect(proxy.records).toEqual([])
    origin.end()
    expect((await wire.response()).body).toBe('hello')
    expect((await proxy.ask(get(origin.port))).body).toBe('hello')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('a length that does not come is still a failure', async () => {
    const origin = await keeping('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello')
    const proxy = await stage(`${on}read_timeout 1 minute\n`)
    const wire = (await proxy.client()).send(get(origin.port))
    await silence(proxy, origin.size, 55_000)
    await expect(wire.response()).rejects.toThrow(/closed before content|reset/)
    expect((await proxy.results(1)).length).toBe(1)
    expect(proxy.records[0]?.error).toBe('read-timeout')
  })
})
