// Back-pressure in both directions, and deadlines that rest while it is not the origin's turn. A proxy that does not
// stop reading keeps the difference between a fast origin and a slow client in its memory. Seen by what the origin
// could write before it was stopped, and by how much content was asked for.

import type net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { heard } from '../support/origin.ts'
import { ask, engines, get, Heard, Opened, ok, post, routeTo, turns } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

/** More than the kernel keeps for a connection on any machine (tcp_rmem and tcp_wmem, 6 + 4 MB as a rule). */
const much = 64 * 1024 * 1024
const mayBeUnderWay = 32 * 1024 * 1024
const piece = Buffer.alloc(64 * 1024, 'x')

/** Resolves when nothing has moved for many turns of the loop. */
const standsStill = async (count: () => number): Promise<number> => {
  let last = -1
  for (let still = 0; still < 200; ) {
    await turns(1)
    const now = count()
    still = now === last ? still + 1 : 0
    last = now
  }
  return last
}

/** Writes `bytes` of content as fast as it may. */
const gush = (socket: net.Socket, bytes: number): void => {
  let left = bytes
  const more = () => {
    while (left > 0) {
      left -= piece.length
      if (!socket.write(piece)) return void socket.once('drain', more)
    }
  }
  more()
}

describe.each(engines)('over the %s engine', engine => {
  it('an origin that is faster than the client waits, and nothing is lost', async () => {
    let writer: net.Socket | null = null
    const origin = await opened.origin(async socket => {
      await heard(socket)
      writer = socket
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${much}\r\n\r\n`)
      gush(socket, much)
    })
    const b = opened.bench({ engine })
    const slow = new Heard()
    slow.keep = false
    slow.appetite = 4
    ask(b, routeTo(origin.port), get(), slow)
    await slow.until(() => slow.bytes > 0)
    const stopped = await standsStill(() => writer?.bytesWritten ?? 0)
    expect(stopped).toBeLessThan(mayBeUnderWay)
    expect(slow.appetite).toBe(0)
    slow.appetite = Number.POSITIVE_INFINITY
    slow.fetch?.resume()
    await slow.whole()
    expect(slow.bytes).toBe(much)
    expect(b.pool.idleConnections).toBe(1)
  })

  it('a client that stops after every chunk gets every byte once, in order', async () => {
    const parts = Array.from({ length: 500 }, (_, i) => `${i},`)
    const said = parts.map(part => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
    const origin = await opened.answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${said}0\r\n\r\n${''}`)
    const b = opened.bench({ engine })
    const fussy = new Heard()
    fussy.appetite = 0
    const request = ask(b, routeTo(origin.port), get(), fussy)
    while (!request.over) {
      fussy.fetch?.resume()
      await turns(1)
    }
    expect((await request.whole()).text).toBe(parts.join(''))
    expect(b.pool.idleConnections).toBe(1)
  })

  it('resuming from inside onData goes on at once', async () => {
    const origin = await opened.answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n')
    const eager = new (class extends Heard {
      override onData(chunk: Buffer): boolean {
        super.onData(chunk)
        queueMicrotask(() => this.fetch?.resume())
        return false
      }
    })()
    expect((await ask(opened.bench({ engine }), routeTo(origin.port), get(), eager).whole()).text).toBe('abc')
  })

  it('one response may resume another while it is read: the parser they share is not entered twice', async () => {
    const origin = await opened.answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n')
    const b = opened.bench({ engine })
    const first = new Heard()
    first.appetite = 0
    ask(b, routeTo(origin.port), get(), first)
    await first.until(() => first.bytes === 1)
    first.appetite = Number.POSITIVE_INFINITY
    const second = new (class extends Heard {
      override onData(chunk: Buffer): boolean {
        first.fetch?.resume()
        return super.onData(chunk)
      }
    })()
    ask(b, routeTo(origin.port), get(), second)
    expect((await second.whole()).text).toBe('ab')
    expect((await first.whole()).text).toBe('ab')
  })

  it('a response that is whole here survives a reset that follows it, though the client is slow', async () => {
    const body = 'y'.repeat(200_000)
    const origin = await opened.origin(async socket => {
      await heard(socket)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, () => socket.end())
    })
    const b = opened.bench({ engine })
    const slow = new Heard()
    slow.appetite = 0
    ask(b, routeTo(origin.port), get(), slow)
    while (!slow.over) {
      await turns(3)
      slow.fetch?.resume()
    }
    expect((await slow.whole()).text).toBe(body)
  })

  it('an origin that does not read stops the client', async () => {
    let reader: net.Socket | null = null
    const origin = await opened.origin(async socket => {
      reader = socket
      socket.pause()
    })
    let asked = 0
    const endless: AsyncIterable<Uint8Array> = {
      async *[Symbol.asyncIterator]() {
        for (; asked < much; asked += piece.length) yield piece
      },
    }
    const b = opened.bench({ engine })
    const got = ask(b, routeTo(origin.port), post(endless, { contentLength: much }))
    await got.until(() => got.connected.length === 1)
    const stopped = await standsStill(() => asked)
    expect(stopped).toBeGreaterThan(0)
    expect(stopped).toBeLessThan(mayBeUnderWay)
    let read = 0
    const socket = reader as net.Socket | null
    socket?.on('data', (chunk: Buffer) => {
      read += chunk.length
      if (read >= much) socket.write(ok)
    })
    socket?.resume()
    await got.whole()
    expect(read).toBeGreaterThan(much)
  })

  it('abort ends a response in the middle, and the connection with it', async () => {
    const gone = Promise.withResolvers<void>()
    const origin = await opened.origin(async socket => {
      await heard(socket)
      socket.on('close', () => gone.resolve())
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${much}\r\n\r\n`)
      gush(socket, much)
    })
    const b = opened.bench({ engine })
    const got = ask(b, routeTo(origin.port))
    await got.until(() => got.bytes > 0)
    const events = got.events.length
    got.fetch?.abort()
    await gone.promise
    await turns()
    expect(got.events).toHaveLength(events)
    expect(b.pool.connections).toBe(0)
  })

  it('abort while the content is on its way stops asking for it', async () => {
    const origin = await opened.origin(socket => void socket.resume())
    let stopped = false
    const content: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: async () => {
          stopped = true
          return { done: true as const, value: undefined }
        },
      }),
    }
    const b = opened.bench({ engine })
    const got = ask(b, routeTo(origin.port), post(content))
    await got.until(() => got.connected.length === 1)
    await turns()
    got.fetch?.abort()
    await turns()
    expect([stopped, got.over, b.pool.connections]).toEqual([true, false, 0])
  })

  describe('a silent origin', () => {
    const limits = { readTimeout: ms(60_000), writeTimeout: ms(60_000) }

    it('is given up after read_timeout: before the head', async () => {
      const origin = await opened.origin(async socket => {
        await heard(socket)
        b.clock.advance(61_000)
      })
      const b = opened.bench({ engine, limits })
      const failure = await ask(b, routeTo(origin.port)).failure()
      expect([failure.code, failure.errno]).toEqual(['read-timeout', 'ETIMEDOUT'])
    })

    it('is given up after read_timeout: in the middle of the content', async () => {
      const origin = await opened.answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')
      const b = opened.bench({ engine, limits })
      const got = ask(b, routeTo(origin.port))
      await got.until(() => got.bytes === 3)
      b.clock.advance(61_000)
      expect((await got.failure()).code).toBe('read-timeout')
    })

    it('is not blamed while the client cannot take more', async () => {
      const origin = await opened.answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi')
      const b = opened.bench({ engine, limits })
      const slow = new Heard()
      slow.appetite = 0
      ask(b, routeTo(origin.port), get(), slow)
      await slow.until(() => slow.bytes > 0)
      b.clock.advance(600_000)
      await turns()
      expect(slow.over).toBe(false)
      slow.appetite = Number.POSITIVE_INFINITY
      slow.fetch?.resume()
      await slow.whole()
    })

    it('is not blamed while the client owes content', async () => {
      const origin = await opened.origin(async socket => {
        await heard(socket, 'late')
        socket.write(ok)
      })
      const content = Promise.withResolvers<Uint8Array>()
      const b = opened.bench({ engine, limits })
      const got = ask(
        b,
        routeTo(origin.port),
        post(
          (async function* () {
            yield await content.promise
          })(),
        ),
      )
      await got.until(() => got.connected.length === 1)
      await turns()
      b.clock.advance(600_000)
      await turns()
      expect(got.over).toBe(false)
      content.resolve(Buffer.from('late'))
      await got.whole()
    })

    it('that takes nothing of what we send is given up after write_timeout', async () => {
      const origin = await opened.origin(socket => void socket.pause())
      let asked = 0
      const endless: AsyncIterable<Uint8Array> = {
        async *[Symbol.asyncIterator]() {
          for (; ; asked++) yield piece
        },
      }
      const b = opened.bench({ engine, limits })
      const got = ask(b, routeTo(origin.port), post(endless))
      await got.until(() => got.connected.length === 1)
      await standsStill(() => asked)
      b.clock.advance(61_000)
      expect((await got.failure()).code).toBe('write-error')
    })

    it('that was given up is not asked again', async () => {
      let asked = 0
      const origin = await opened.origin(async socket => {
        while ((await heard(socket).catch(() => null)) !== null) {
          if (++asked === 1) socket.write(ok)
          else b.clock.advance(61_000)
        }
      })
      const b = opened.bench({ engine, limits })
      await ask(b, routeTo(origin.port)).whole()
      expect((await ask(b, routeTo(origin.port)).failure()).code).toBe('read-timeout')
      expect(asked).toBe(2)
    })
  })
})

describe('a handler that throws', () => {
  it.each(['onConnected', 'onHead', 'onData', 'onEnd'] as const)('in %s ends its exchange, and the bug is reported', async at => {
    const origin = await opened.answering()
    const b = opened.bench()
    const got = new Heard()
    got[at] = () => {
      throw new Error('a bug')
    }
    ask(b, routeTo(origin.port), get(), got)
    while (b.bugs.length === 0) await turns(1)
    await turns()
    expect(got.error?.code).toBe(at === 'onEnd' ? undefined : 'internal')
    expect(b.bugs.splice(0)).toEqual([expect.objectContaining({ message: 'a bug' })])
    // after the end nothing is wrong with the connection
    expect(b.pool.connections).toBe(at === 'onEnd' ? 1 : 0)
    expect((await ask(b, routeTo(origin.port)).whole()).text).toBe('hi')
  })
})
