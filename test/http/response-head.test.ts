import { createServer, type Socket } from 'node:net'
import { request } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BadReason, parseResponseHead, type ResponseHead, usualHeadLimits } from '../../src/http/index.ts'
import { bytes } from './reading.ts'
import { changed } from './wires.ts'

// Guards: what a response head may look like, and what follows it: the framing depends on the request's method too.

const answer = (text: string, method = 'GET') => {
  const wire = bytes(text)
  return parseResponseHead(wire, 0, wire.length, usualHeadLimits, method)
}

const head = (text: string, method = 'GET'): ResponseHead => {
  const found = answer(text, method)
  if (found.kind !== 'head') throw new Error(JSON.stringify(found))
  return found.head
}

describe('a response head is read', () => {
  it('with everything it says', () => {
    expect(head('HTTP/1.1 200 Very  OK \xe9\r\nContent-Length: 5\r\nX: y\r\n\r\n')).toMatchObject({
      status: 200, reason: 'Very  OK \xe9', versionMajor: 1, versionMinor: 1, keepAlive: true, tunnel: false,
      framing: { kind: 'length', length: 5 },
    })
  })

  it.each<[string, object]>([
    ['HTTP/1.1 100 \r\n\r\n', { status: 100, reason: '' }],
    ['HTTP/1.1 200\r\n\r\n', { status: 200, reason: '' }],
    ['HTTP/1.0 999 x\r\n\r\n', { status: 999, versionMinor: 0 }],
    ['HTTP/1.1 600 \t\r\n\r\n', { status: 600, reason: '\t' }],
  ])('%j', (text, expected) => expect(head(text)).toMatchObject(expected))

  it.each<[BadReason, string]>([
    ['version', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['version', 'HTTP/1.2 200 OK\r\n\r\n'],
    ['version', 'HTTP/0.9 200 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1  200 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 20x OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 -20 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1\r\n\r\n'],
    ['status-line', 'HTTP/1x1 200 OK\r\n\r\n'],
    ['status-line', 'HTTP/x.1 200 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.x 200 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1x200 OK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 200xOK\r\n\r\n'],
    ['status-line', 'HTTP/1.1 \r\n\r\n'],
    ['status-line', 'http/1.1 200 OK\r\n\r\n'],
    ['status-line', 'ICY 200 OK\r\n\r\n'],
    ['status-line', '<html>\r\n\r\n'],
    ['status-line', ' HTTP/1.1 200 OK\r\n\r\n'],
    ['status-line', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['bare-lf', 'HTTP/1.1 200 OK\n\n'],
    ['bare-cr', 'HTTP/1.1 200 OK\rX: y\r\n\r\n'],
    ['control', 'HTTP/1.1 200 O\0K\r\n\r\n'],
    ['obs-fold', 'HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n'],
    ['field-name-space', 'HTTP/1.1 200 OK\r\nX : y\r\n\r\n'],
    ['length-with-coding', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['length-repeated', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n'],
    ['length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
    ['coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n'],
    ['coding-unsupported', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['coding-1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('refused: %s: %j', (why, text) => {
    expect(answer(text)).toEqual({ kind: 'bad', error: 'bad-response', why })
  })

  it('with the origin to blame when it is too long', () => {
    const text = bytes(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100)}\r\n\r\n`)
    const small = { ...usualHeadLimits, headBytesMax: 100 }
    expect(parseResponseHead(text, 0, text.length, small, 'GET')).toEqual({
      kind: 'bad', error: 'response-head-too-large', why: 'head-too-long',
    })
    expect(parseResponseHead(text, 0, 99, small, 'GET')).toEqual({ kind: 'more' })
  })
})

describe('the content of a response', () => {
  const length = 'Content-Length: 5\r\n'
  const chunked = 'Transfer-Encoding: chunked\r\n'

  it.each<[string, string, string, string, boolean]>([
    // method, status line, fields, framing, keepAlive
    ['GET', '1.1 200', length, 'length', true],
    ['GET', '1.1 200', 'Content-Length: 0\r\n', 'length', true],
    ['GET', '1.1 200', chunked, 'chunked', true],
    ['GET', '1.1 200', '', 'until-close', false],
    ['GET', '1.1 200', 'Connection: keep-alive\r\n', 'until-close', false],
    ['GET', '1.1 200', `${length}Connection: close\r\n`, 'length', false],
    ['GET', '1.0 200', length, 'length', false],
    ['GET', '1.0 200', `${length}Connection: keep-alive\r\n`, 'length', true],
    ['HEAD', '1.1 200', length, 'none', true],
    ['HEAD', '1.1 200', chunked, 'none', true],
    ['HEAD', '1.1 200', '', 'none', true],
    ['GET', '1.1 304', length, 'none', true],
    ['GET', '1.1 304', '', 'none', true],
    ['GET', '1.1 204', '', 'none', true],
    ['GET', '1.1 204', 'Content-Length: 0\r\n', 'none', true],
    ['GET', '1.1 204', length, 'none', false],
    ['GET', '1.1 204', chunked, 'none', false],
    ['GET', '1.1 103', '', 'none', true],
    ['GET', '1.1 103', length, 'none', false],
    ['CONNECT', '1.1 404', length, 'length', true],
  ])('%s, HTTP/%s, %j: %s, persists: %s', (method, line, fields, kind, keepAlive) => {
    const found = head(`HTTP/${line} x\r\n${fields}\r\n`, method)
    expect({ kind: found.framing.kind, keepAlive: found.keepAlive, tunnel: found.tunnel }).toEqual({
      kind, keepAlive, tunnel: false,
    })
  })

  it.each([['GET', 101], ['CONNECT', 200], ['CONNECT', 299]])('%s and %i open a tunnel', (method, status) => {
    expect(head(`HTTP/1.1 ${status} x\r\n${length}\r\n`, method)).toMatchObject({
      tunnel: true, keepAlive: false, framing: { kind: 'none' },
    })
  })
})

describe("Node's client agrees", () => {
  let wire = bytes('')
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {}) // the client may be gone before all is written
    socket.once('data', () => socket.end(wire))
  })
  beforeAll(() => new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve())))
  afterAll(() => new Promise<void>(resolve => server.close(() => resolve())))

  interface Seen {
    readonly status: number
    readonly reason: string
    readonly pairs: readonly string[]
  }

  const nodeReads = (text: string): Promise<Seen | null> => {
    wire = bytes(text)
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    return new Promise(resolve => {
      const asking = request({ port, host: '127.0.0.1', agent: false, maxHeaderSize: 65536 }, response => {
        resolve({ status: response.statusCode ?? 0, reason: response.statusMessage ?? '', pairs: response.rawHeaders })
        response.on('error', () => {}) // the content is not what this is about
        response.destroy()
      })
      asking.on('information', info => {
        resolve({ status: info.statusCode, reason: info.statusMessage, pairs: info.rawHeaders })
        asking.destroy()
      })
      asking.on('upgrade', (response, socket) => {
        resolve({ status: response.statusCode ?? 0, reason: response.statusMessage ?? '', pairs: response.rawHeaders })
        socket.destroy()
      })
      asking.on('error', () => resolve(null))
      asking.end()
    })
  }

  const seeds = [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 404\r\nContent-Length: 0\r\nX-A: \t b  c \r\n\r\n',
    'HTTP/1.0 301 Moved \xe9\r\nLocation: /x\r\n\r\nuntil close',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  ]

  it('about heads and what random changes make of them', async () => {
    await fc.assert(
      fc.asyncProperty(changed(seeds), async text => {
        const ours = answer(text)
        const theirs = await nodeReads(text)
        if (ours.kind !== 'head' || ours.head.status === 100) return // Node swallows 100, and may be laxer than we are
        expect(theirs, JSON.stringify(text)).toEqual({
          status: ours.head.status, reason: ours.head.reason, pairs: ours.head.fields.pairs,
        })
      }),
      { numRuns: 800 },
    )
  })
})
