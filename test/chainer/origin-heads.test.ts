// An answer whose head comes whole is read by our parser, one that comes in pieces by undici's. Contract: nobody can tell
// which it was, and what ours does not take for plain is left to undici. Seen by saying each answer in both ways, over a
// connection without a kernel, and comparing everything that is told.

import { describe, expect, it } from 'vitest'
import type { Connection } from '../../comm/index.ts'
import { createConnectChainer, createOriginPool } from '../../src/chainer/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { anySession, get, Heard, routeTo, turns } from './kit.ts'
import { Wire } from './wire.ts'

/** Everything that is told of an answer said in these pieces. */
const told = async (method: string, pieces: readonly string[], ending: 'stays' | 'fin') => {
  const wire = new Wire()
  const bugs: unknown[] = []
  const comm = {
    dial: (_options: unknown, _timeoutMs: number, done: (error: null, connection: Connection) => void) => {
      queueMicrotask(() => done(null, wire.self))
      return { cancel() {} }
    },
  }
  const clock = new FakeClock()
  const pool = createOriginPool({ comm, clock, failed: error => bugs.push(error) })
  const chainer = createConnectChainer({ comm, clock, pool })
  const got = new Heard()
  got.fetch = chainer.fetch(anySession(), [routeTo(80)], get('/', { method }), got)
  while (wire.written === '') await turns(1)
  for (const piece of pieces) wire.say(piece)
  if (ending === 'fin') wire.fin()
  for (let still = 0; still < 5; still++) {
    if (wire.pump()) still = 0
    await turns(1)
  }
  const { status, reason, pairs, text, ended, error, trailers, interim } = got
  const result = { status, reason, pairs, text, ended, code: error?.code, trailers, interim, kept: pool.idleConnections, bugs }
  got.fetch.abort()
  pool.close()
  return result
}

/** Within the status: too little for us. undici drops what of a reason phrase came before a cut, so not there. */
const cutAt = 10

const answers: readonly (readonly [string, string, string])[] = [
  ['a plain one', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'GET'],
  ['fields spelled and ordered as they like', 'HTTP/1.1 200 Fine\r\nx-B: 1\r\nX-a:2\r\nX-B:   3  \r\ncontent-LENGTH: 2\r\nX-E:\r\n\r\nhi', 'GET'],
  ['no content', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'GET'],
  ['204', 'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n', 'GET'],
  ['204 that announces content', 'HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n', 'GET'],
  ['304', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', 'GET'],
  ['no reason phrase', 'HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nx', 'GET'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx', 'GET'],
  ['HTTP/1.0 that stays', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx', 'GET'],
  ['one that closes', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx', 'GET'],
  ['how long it is kept', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 1\r\n\r\nx', 'GET'],
  ['not kept for a second', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 1\r\n\r\nx', 'GET'],
  ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: t\r\n\r\n', 'GET'],
  ['length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n', 'GET'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi', 'GET'],
  ['no length at all', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\nhi', 'GET'],
  ['an interim one first', 'HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi', 'GET'],
  ['more than was announced', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and then some', 'GET'],
  ['a second answer', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'GET'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi', 'GET'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi', 'GET'],
  ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nhi', 'GET'],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n', 'GET'],
  ['an answer to HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n', 'HEAD'],
]

describe.each(['stays', 'fin'] as const)('whole or in pieces, when the connection %s then:', ending => {
  it.each(answers)('%s', async (_what, answer, method) => {
    expect(await told(method, [answer], ending)).toEqual(await told(method, [answer.slice(0, cutAt), answer.slice(cutAt)], ending))
  })
})

/** RFC 9112 6.3: it ends with its head whatever it says. undici closes after one that says something. */
it('a connection survives a 304 with the length of what it is about', async () => {
  const answer = 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 700\r\n\r\n'
  expect(await told('GET', [answer], 'stays')).toMatchObject({ status: 304, text: '', ended: true, kept: 1 })
})

it('a plain answer is read by our parser: its content is a view of the read buffer', async () => {
  const wire = new Wire()
  const comm = {
    dial: (_options: unknown, _timeoutMs: number, done: (error: null, connection: Connection) => void) => {
      queueMicrotask(() => done(null, wire.self))
      return { cancel() {} }
    },
  }
  const clock = new FakeClock()
  const pool = createOriginPool({ comm, clock })
  const seen: ArrayBufferLike[] = []
  const got = new (class extends Heard {
    override onData(chunk: Buffer): boolean {
      seen.push(chunk.buffer)
      return super.onData(chunk)
    }
  })()
  createConnectChainer({ comm, clock, pool }).fetch(anySession(), [routeTo(80)], get(), got)
  while (wire.written === '') await turns(1)
  wire.say('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
  wire.say('world')
  while (wire.pump()) await turns(1)
  expect(got.text).toBe('helloworld')
  expect(seen).toEqual([wire.slab.buffer, wire.slab.buffer])
  expect(seen[0]).toBe(wire.slab.buffer)
  pool.close()
})
