// The wire between the pool and an origin, byte by byte: what undici sends in our name is our head, and what an origin
// may answer arrives whole, in order, and with its own spelling. Seen by an origin that records and says raw bytes.

import { afterEach, describe, expect, it } from 'vitest'
import type { OriginRequest } from '../../src/chainer/index.ts'
import { heard } from '../support/origin.ts'
import { ask, type Bench, type BenchOptions, engines, get, type Heard, Opened, ok, post, routeTo } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

const bench = (options: BenchOptions): Bench => opened.bench(options)

/** Says `answer` to each request on each connection, once the bytes of the request end with `words`. */
const origin = async (answer: string | Buffer, words?: string) => {
  const said: string[] = []
  const made = await opened.origin(async socket => {
    for (;;) {
      const text = await heard(socket, words).catch(() => null)
      if (text === null) return
      said.push(text)
      socket.write(answer)
    }
  })
  return Object.assign(made, { said })
}

describe.each(engines)('over the %s engine', engine => {
  describe('a request', () => {
    const sent = async (request: OriginRequest, words?: string): Promise<string> => {
      const { port, said } = await origin(ok, words)
      await ask(bench({ engine }), routeTo(port), request).whole()
      return said.join('')
    }

    it('leaves with its fields in their order and spelling, Host where it stood', async () => {
      const pairs = ['User-Agent', 'x', 'HOST', 'Origin.Example:8080', 'accept', '*/*', 'X-Twice', '1', 'x-twice', '2']
      expect(await sent(get('/a?b=c%20d', { pairs }))).toBe(
        'GET /a?b=c%20d HTTP/1.1\r\nUser-Agent: x\r\nHOST: Origin.Example:8080\r\naccept: */*\r\nX-Twice: 1\r\n' +
          'x-twice: 2\r\nConnection: keep-alive\r\n\r\n',
      )
    })

    it('carries bytes above ASCII as they came', async () => {
      expect(await sent(get('/', { pairs: ['Host', 'h', 'X', 'caf\u00e9 \u0080\u00ff'] }))).toContain('X: caf\u00e9 \u0080\u00ff\r\n')
    })

    it('may ask for * and use a method nobody knows', async () => {
      expect(await sent(get('*', { method: 'OPTIONS' }))).toMatch(/^OPTIONS \* HTTP\/1\.1\r\nHost: origin\.example\r\n/)
      expect(await sent(get('/', { method: 'M-SEARCH' }))).toMatch(/^M-SEARCH \/ HTTP\/1\.1\r\n/)
    })

    it('with content in one piece has the length it was given, where it stood', async () => {
      const pairs = ['Host', 'h', 'content-LENGTH', '5', 'X', 'y']
      expect(await sent(post(Buffer.from('hello'), { pairs }), 'hello')).toBe(
        'POST / HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 5\r\nX: y\r\nConnection: keep-alive\r\n\r\nhello',
      )
    })

    it('with content in one piece gets a length when it has none', async () => {
      expect(await sent(post(Buffer.from('hello')), 'hello')).toMatch(/\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello$/)
      expect(await sent(post(Buffer.alloc(0)))).toMatch(/\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n$/)
    })

    it('without content gets no length, whatever the method', async () => {
      expect(await sent(post(null))).toBe('POST / HTTP/1.1\r\nHost: origin.example\r\nConnection: keep-alive\r\n\r\n')
    })

    it('with a stream of known length is framed by it', async () => {
      expect(await sent(post(pieces('ab', 'cde'), { contentLength: 5 }), 'cde')).toMatch(
        /\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nabcde$/,
      )
    })

    it('with a stream of unknown length is chunked, and so is an empty one', async () => {
      expect(await sent(post(pieces('ab', 'cde')), '0\r\n\r\n')).toMatch(
        /\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n$/,
      )
      expect(await sent(post(pieces()), '\r\n0\r\n\r\n')).toMatch(/\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n$/)
    })

    it('with a stream sends its head before the first byte of content is there', async () => {
      let give: (chunk: Uint8Array) => void = () => {}
      const first = new Promise<Uint8Array>(resolve => {
        give = resolve
      })
      const seen: string[] = []
      const made = await opened.origin(async socket => {
        seen.push(await heard(socket))
        give(Buffer.from('late'))
        seen.push(await heard(socket, 'late'))
        socket.write(ok)
      })
      const content = (async function* () {
        yield await first
      })()
      await ask(bench({ engine }), routeTo(made.port), post(content, { contentLength: 4 })).whole()
      expect(seen[0]).toMatch(/\r\n\r\n$/)
      expect(seen[1]).toBe('late')
    })

    it('that closes says so: HEAD, and all of them without persistent connections', async () => {
      const { port, said } = await origin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
      await ask(bench({ engine }), routeTo(port), get('/', { method: 'HEAD' })).whole()
      expect(said[0]).toMatch(/\r\nConnection: close\r\n\r\n$/)
      const other = bench({ engine, limits: { persistent: false } })
      const second = await origin(ok)
      await ask(other, routeTo(second.port)).whole()
      await ask(other, routeTo(second.port)).whole()
      expect(second.said[0]).toMatch(/\r\nConnection: close\r\n\r\n$/)
      expect(other.pool.connections).toBe(0)
      expect(other.dials).toHaveLength(2)
    })

    it.each([
      ['a field value with a line break', { pairs: ['Host', 'h', 'X', 'a\r\nY: b'] }],
      ['a field name with a space', { pairs: ['Host', 'h', 'X Y', 'a'] }],
      ['a target with a space', { target: '/a b' }],
      ['a length that is not the content', { content: Buffer.from('abc'), pairs: ['Host', 'h', 'Content-Length', '2'] }],
      ['a length and no content', { pairs: ['Host', 'h', 'Content-Length', '2'] }],
      ['two lengths', { content: Buffer.from('ab'), pairs: ['Content-Length', '2', 'Content-Length', '2'] }],
      ['a coding of its own', { pairs: ['Host', 'h', 'Transfer-Encoding', 'chunked'] }],
      ['fields of another connection', { pairs: ['Host', 'h', 'Connection', 'close'] }],
    ] as const)('is not sent with %s: that would be a bug of ours', async (_what, more) => {
      const { port, said } = await origin(ok)
      const b = bench({ engine })
      const failure = await ask(b, routeTo(port), get('/', more)).failure()
      expect(failure.code).toBe('internal')
      expect(said).toEqual([])
      expect(b.pool.connections).toBe(0)
      expect(b.bugs.splice(0)).toHaveLength(1)
    })
  })

  describe('a response', () => {
    const answered = async (answer: string | Buffer, request = get()): Promise<Heard> => {
      const { port } = await origin(answer)
      return ask(bench({ engine }), routeTo(port), request).whole()
    }

    it('arrives with its reason, and its fields in their order and spelling', async () => {
      const got = await answered(
        'HTTP/1.1 299 Quite Well\r\nDATE: x\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nX-Empty:\r\nX-Spaces: \t a b \t \r\n' +
          'X-Bytes: caf\xe9\r\nContent-Length: 3\r\n\r\nabc',
      )
      expect(got.status).toBe(299)
      expect(got.reason).toBe('Quite Well')
      expect(got.pairs).toEqual([
        ...['DATE', 'x', 'set-cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Empty', '', 'X-Spaces', 'a b'],
        ...['X-Bytes', 'caf\u00c3\u00a9', 'Content-Length', '3'],
      ])
      expect(got.text).toBe('abc')
      expect(got.events).toEqual(['connected', 'head', 'data', 'end'])
    })

    it('arrives whole however it is cut', async () => {
      const whole = 'HTTP/1.1 200 OK\r\nX-Long-Name: some value\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: t\r\n\r\n'
      const made = await opened.origin(async socket => {
        await heard(socket)
        socket.setNoDelay(true)
        for (const byte of whole) await new Promise<void>(done => socket.write(byte, () => setImmediate(done)))
      })
      const got = await ask(bench({ engine }), routeTo(made.port)).whole()
      expect(got.pairs).toEqual(['X-Long-Name', 'some value', 'Transfer-Encoding', 'chunked'])
      expect(got.text).toBe('hello world')
      expect(got.trailers).toEqual(['X-T', 't'])
    })

    it('has no content after HEAD, 204 and 304, whatever the fields say', async () => {
      const head = 'Content-Length: 100\r\n\r\n'
      expect((await answered(`HTTP/1.1 200 OK\r\n${head}`, get('/', { method: 'HEAD' }))).bytes).toBe(0)
      expect((await answered(`HTTP/1.1 304 Not Modified\r\n${head}`)).bytes).toBe(0)
      expect((await answered('HTTP/1.1 204 No Content\r\n\r\n')).bytes).toBe(0)
    })

    it('may end with the connection', async () => {
      const made = await opened.origin(async socket => {
        await heard(socket)
        socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end')
      })
      const b = bench({ engine })
      expect((await ask(b, routeTo(made.port)).whole()).text).toBe('until the end')
      expect(b.pool.connections).toBe(0)
    })

    it('of HTTP/1.0 is kept alive only when it says so', async () => {
      const plain = await origin('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi')
      const kept = await origin('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi')
      const b = bench({ engine })
      for (const { port } of [plain, kept]) {
        for (let i = 0; i < 2; i++) await ask(b, routeTo(port)).whole()
      }
      expect([plain.connections, kept.connections]).toEqual([2, 1])
    })

    it('closes the connection when it says so', async () => {
      const { port } = await origin('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi')
      const b = bench({ engine })
      await ask(b, routeTo(port)).whole()
      expect(b.pool.connections).toBe(0)
    })

    it('may follow interim ones: 100 is ours, the others are told in order', async () => {
      const got = await answered(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Again\r\nX: y\r\n\r\n' +
          `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n${ok}`,
      )
      expect(got.interim).toEqual([
        [102, []],
        [103, ['Link', '</a>', 'Link', '</b>']],
      ])
      expect(got.status).toBe(200)
      expect(got.events).toEqual(['connected', 'interim', 'interim', 'head', 'data', 'end'])
    })

    it('may follow a 100 that comes in pieces', async () => {
      const made = await opened.origin(async socket => {
        await heard(socket)
        socket.setNoDelay(true)
        for (const part of ['HTTP', '/1.1 1', '00 Con', 'tinue\r\n', '\r\nHT', `${ok.slice(2)}`]) {
          await new Promise<void>(done => socket.write(part, () => setImmediate(done)))
        }
      })
      const got = await ask(bench({ engine }), routeTo(made.port)).whole()
      expect(got.status).toBe(200)
      expect(got.interim).toEqual([])
    })
  })

  describe('Expect: 100-continue', () => {
    const expecting = (content: AsyncIterable<Uint8Array>) =>
      post(content, { contentLength: 4, pairs: ['Host', 'h', 'Expect', '100-continue'] })

    it('holds the content back until the origin says 100', async () => {
      const seen: string[] = []
      const made = await opened.origin(async socket => {
        seen.push(await heard(socket))
        seen.push(`asked for: ${asked}`)
        socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        seen.push(await heard(socket, 'body'))
        socket.write(ok)
      })
      let asked = false
      const content = (async function* () {
        asked = true
        yield Buffer.from('body')
      })()
      const got = await ask(bench({ engine }), routeTo(made.port), expecting(content)).whole()
      expect(seen).toEqual([expect.stringContaining('Expect: 100-continue\r\n'), 'asked for: false', 'body'])
      expect(got.status).toBe(200)
    })

    it('never sends it when the origin answers at once, and the connection is not used again', async () => {
      const { port } = await origin('HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n')
      const b = bench({ engine })
      let asked = false
      const content = (async function* () {
        asked = true
        yield Buffer.from('body')
      })()
      const got = await ask(b, routeTo(port), expecting(content)).whole()
      expect([got.status, asked, b.pool.connections]).toEqual([417, false, 0])
    })

    it('sends it all the same after a second of silence', async () => {
      const made = await opened.origin(async socket => {
        await heard(socket)
        b.clock.advance(2000)
        await heard(socket, 'body')
        socket.write(ok)
      })
      const b = bench({ engine })
      const got = await ask(b, routeTo(made.port), expecting(pieces('body'))).whole()
      expect(got.status).toBe(200)
    })
  })

  describe('an origin that does not speak HTTP', () => {
    it.each([
      ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n', 'bad-response'],
      ['a bad version', 'HTTP/7 200 OK\r\n\r\n', 'bad-response'],
      ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi', 'bad-response'],
      ['length and chunked', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'bad-response'],
      ['a protocol nobody asked for', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', 'bad-response'],
      ['a bad field', 'HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n', 'bad-response'],
    ])('%s is %s', async (_what, said, code) => {
      const { port } = await origin(said)
      const b = bench({ engine })
      const failure = await ask(b, routeTo(port)).failure()
      expect(failure.code).toBe(code)
      expect(failure.side).toBe('server')
      expect(b.pool.connections).toBe(0)
    })

    it('bad chunks are an error after the head', async () => {
      const { port } = await origin('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nxx\r\n')
      const got = ask(bench({ engine }), routeTo(port))
      expect((await got.failure()).code).toBe('bad-response')
      expect(got.events).toEqual(['connected', 'head', 'data', 'error'])
    })

    it('a head without end is too large, in one line or many, interim or not', async () => {
      for (const said of [
        `HTTP/1.1 200 OK\r\n${'X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(400)}`,
        `HTTP/1.1 200 ${'O'.repeat(9000)}`,
        'HTTP/1.1 103 Hints\r\n\r\n'.repeat(500),
      ]) {
        const { port } = await origin(said)
        const failure = await ask(bench({ engine, limits: { responseHeadBytesMax: 8192 } }), routeTo(port)).failure()
        expect(failure.code).toBe('response-head-too-large')
      }
    })

    it('what it says between requests closes the connection, and reaches nobody', async () => {
      const made = await opened.origin(async (socket, nth) => {
        await heard(socket)
        socket.write(ok)
        if (nth === 0) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`)
        else return
        socket.on('close', () => gone())
      })
      let gone: () => void = () => {}
      const closed = new Promise<void>(resolve => {
        gone = resolve
      })
      const b = bench({ engine })
      expect((await ask(b, routeTo(made.port)).whole()).text).toBe('hi')
      await closed
      expect((await ask(b, routeTo(made.port)).whole()).text).toBe('hi')
      expect(made.connections).toBe(2)
    })
  })
})

const pieces = async function* (...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}
