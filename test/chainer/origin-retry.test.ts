// When a request is sent a second time. RFC 9110 9.2.2 allows it after a kept connection ended before a byte of an
// answer, for what may be repeated. Seen by an origin that keeps a connection for one good answer and then ends it at
// a chosen point of the second exchange, and counts what it was asked.

import type net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { OriginRequest } from '../../src/chainer/index.ts'
import { heard } from '../support/origin.ts'
import { ask, type Bench, engines, get, Opened, ok, post, routeTo, turns } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

/** Good on the first exchange of each connection; what comes after is up to `second`. */
const turncoat = (second: (socket: net.Socket) => void) => {
  const asked: string[] = []
  return opened
    .origin(async socket => {
      asked.push((await heard(socket)).split(' ', 1).join())
      socket.write(ok)
      const again = await heard(socket).catch(() => null)
      if (again === null) return
      asked.push(again.split(' ', 1).join())
      second(socket)
    })
    .then(origin => Object.assign(origin, { asked }))
}

const twice = async (b: Bench, port: number, second: OriginRequest) => {
  await ask(b, routeTo(port)).whole()
  return ask(b, routeTo(port), second)
}

const ends: readonly [string, (socket: net.Socket) => void][] = [
  ['closes', socket => socket.end()],
  ['resets', socket => socket.resetAndDestroy()],
]

describe.each(engines)('over the %s engine', engine => {
  describe.each(ends)('a kept connection whose origin %s', (_how, end) => {
    it('before a byte of an answer: a GET is sent again, on a fresh connection', async () => {
      const origin = await turncoat(end)
      const b = opened.bench({ engine })
      const got = await (await twice(b, origin.port, get())).whole()
      expect(got.text).toBe('hi')
      expect(got.connected.map(c => c.reused)).toEqual([true, false])
      expect(got.fetch?.attempts).toBe(2)
      expect(origin.asked).toEqual(['GET', 'GET', 'GET'])
      expect(b.pool.counters.retries).toBe(1)
    })

    it('after a byte: it is not', async () => {
      const origin = await turncoat(socket => socket.write('H', () => end(socket)))
      const b = opened.bench({ engine })
      const got = await twice(b, origin.port, get())
      expect((await got.failure()).code).toBe('read-error')
      expect(got.events).toEqual(['connected', 'error'])
      expect(origin.asked).toEqual(['GET', 'GET'])
    })

    it('after a 100: it is not, for that is an answer too', async () => {
      const origin = await turncoat(socket => socket.write('HTTP/1.1 100 Continue\r\n\r\n', () => end(socket)))
      const got = await twice(opened.bench({ engine }), origin.port, get())
      expect((await got.failure()).code).toBe('read-error')
    })

    it('in the middle of the head: it is not', async () => {
      const origin = await turncoat(socket => socket.write('HTTP/1.1 200 OK\r\nContent-', () => end(socket)))
      expect((await (await twice(opened.bench({ engine }), origin.port, get())).failure()).code).toBe('read-error')
      expect(origin.asked).toHaveLength(2)
    })

    it.each<readonly [string, string]>([
      ['content of known length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
      ['content of known length on a connection to be closed', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhalf'],
      ...(_how === 'resets' ? [['what only the end delimits', 'HTTP/1.1 200 OK\r\n\r\nhalf'] as const] : []),
      ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
      ['chunks on a connection to be closed', 'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ])('in the middle of %s: the head was told, then the failure', async (_what, half) => {
      const origin = await turncoat(socket => socket.write(half, () => end(socket)))
      const got = await twice(opened.bench({ engine }), origin.port, get())
      expect((await got.failure()).code).toBe('read-error')
      expect(got.events).toEqual(['connected', 'head', 'data', 'error'])
      expect(origin.asked).toHaveLength(2)
    })

    it('while it is idle: it is forgotten, and nobody notices', async () => {
      let endIt: () => void = () => {}
      const origin = await opened.origin(async (socket, nth) => {
        while ((await heard(socket).catch(() => null)) !== null) {
          socket.write(ok)
          if (nth === 0) endIt = () => end(socket)
        }
      })
      const b = opened.bench({ engine })
      await ask(b, routeTo(origin.port)).whole()
      expect(b.pool.idleConnections).toBe(1)
      endIt()
      while (b.pool.idleConnections > 0) await turns(1)
      const got = await ask(b, routeTo(origin.port)).whole()
      expect(got.connected.map(c => c.reused)).toEqual([false])
      expect(b.pool.counters.retries).toBe(0)
    })

    it('a fresh one that ends without a byte is an empty or broken answer, and no second try', async () => {
      const origin = await opened.origin(async socket => {
        await heard(socket)
        end(socket)
      })
      const b = opened.bench({ engine })
      const failure = await ask(b, routeTo(origin.port)).failure()
      expect(failure.code).toBe(_how === 'closes' ? 'empty-response' : 'read-error')
      expect(failure.retry).toBe('no')
      expect(origin.connections).toBe(1)
      expect(b.pool.connections).toBe(0)
      expect(b.pool.keys).toBe(0)
    })

    it('the second try is the last', async () => {
      const origin = await opened.origin(async (socket, nth) => {
        await heard(socket)
        if (nth > 0) return end(socket)
        socket.write(ok)
        await heard(socket)
        end(socket)
      })
      const b = opened.bench({ engine })
      const got = await twice(b, origin.port, get())
      await got.failure()
      expect(got.connected.map(c => c.reused)).toEqual([true, false])
      expect(origin.connections).toBe(2)
    })

    it('one stale connection is enough: the second try does not take another kept one', async () => {
      const origin = await turncoat(end)
      const b = opened.bench({ engine })
      await Promise.all([ask(b, routeTo(origin.port)).whole(), ask(b, routeTo(origin.port)).whole()])
      expect(b.pool.idleConnections).toBe(2)
      const got = await ask(b, routeTo(origin.port)).whole()
      expect(got.connected.map(c => c.reused)).toEqual([true, false])
    })
  })

  it.each([
    ['cannot be repeated', post(Buffer.from('x'))],
    ['has streamed content', post(stream('x'), { idempotent: true, method: 'PUT' })],
  ])('a request that %s never meets a kept connection', async (_what, request) => {
    const asked: string[] = []
    const origin = await opened.origin(async socket => {
      const text = await heard(socket)
      asked.push(text)
      if (text.startsWith('GET')) socket.write(ok)
      else socket.write(ok)
    })
    const b = opened.bench({ engine })
    const got = await (await twice(b, origin.port, request)).whole()
    expect(got.connected.map(c => c.reused)).toEqual([false])
    expect(origin.connections).toBe(2)
  })

  it('content that breaks off ends the request with the reason the client side gave', async () => {
    const origin = await opened.origin(() => {})
    const b = opened.bench({ engine })
    const content = (async function* () {
      yield Buffer.from('half')
      throw new Error('the client went away')
    })()
    const failure = await ask(b, routeTo(origin.port), post(content, { contentLength: 8 })).failure()
    expect([failure.code, failure.side]).toEqual(['client-aborted', 'client'])
    expect(b.pool.connections).toBe(0)
  })

  it.each([
    ['shorter', 'abc'],
    ['longer', 'abcdef'],
  ])('content %s than announced never ends as a request', async (_what, text) => {
    let bytes = ''
    const closed = Promise.withResolvers<void>()
    const origin = await opened.origin(socket => {
      socket.on('data', chunk => {
        bytes += chunk.toString('latin1')
      })
      socket.on('close', () => closed.resolve())
    })
    const failure = await ask(opened.bench({ engine }), routeTo(origin.port), post(stream(text), { contentLength: 5 })).failure()
    expect(failure.code).toBe('client-aborted')
    await closed.promise
    expect(bytes.split('\r\n\r\n')[1]?.length ?? 0).toBeLessThan(5)
  })

  it('an answer that comes before the content was sent is the answer; the connection goes', async () => {
    const origin = await opened.origin(async socket => {
      await heard(socket)
      socket.write('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n')
    })
    let stopped = false
    const content: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}), // a client that says nothing more
        return: async () => {
          stopped = true
          return { done: true as const, value: undefined }
        },
      }),
    }
    const b = opened.bench({ engine })
    const got = await ask(b, routeTo(origin.port), post(content, { contentLength: 5 })).whole()
    expect(got.status).toBe(413)
    expect(stopped).toBe(true)
    expect(b.pool.connections).toBe(0)
  })
})

async function* stream(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}
