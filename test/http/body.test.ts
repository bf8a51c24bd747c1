import { describe, expect, it } from 'vitest'
import {
  type BadReason, BodyReader, ChunkedDecoder, type ChunkedLimits, chunkedContent, chunkHead, lastChunk, lengthContent,
  noContent, untilClose, usualChunkedLimits,
} from '../../src/http/index.ts'
import { bytes, converse } from './reading.ts'

// Guards: where the content of a message ends. One byte more or less is the next request's beginning.

interface Decoded {
  readonly content: string
  readonly rest: string
  readonly why: BadReason | null
  readonly done: boolean
  readonly trailers: readonly string[]
}

const decode = (text: string, limits: Partial<ChunkedLimits> = {}): Decoded => {
  const decoder = new ChunkedDecoder({ ...usualChunkedLimits, ...limits })
  const wire = bytes(text)
  let content = ''
  const sink = { onContent: (slab: Buffer, s: number, e: number) => (content += slab.toString('latin1', s, e)) }
  const used = decoder.feed(wire, 0, wire.length, sink)
  return {
    content,
    rest: text.slice(used),
    why: decoder.failed?.why ?? null,
    done: decoder.done,
    trailers: decoder.trailers?.pairs ?? [],
  }
}

describe('the chunked coding is read', () => {
  it.each<[string, string, string]>([
    ['0\r\n\r\n', '', ''],
    ['5\r\nhello\r\n0\r\n\r\n', 'hello', ''],
    ['5\r\nhello\r\n0\r\n\r\nGET', 'hello', 'GET'],
    ['1\r\na\r\n2\r\nbc\r\n0\r\n\r\n\r\n', 'abc', '\r\n'],
    ['00005\r\nhello\r\n000\r\n\r\n', 'hello', ''],
    ['0000000000005\r\nhello\r\n0\r\n\r\n', 'hello', ''],
    ['aA\r\n' + 'x'.repeat(170) + '\r\n0\r\n\r\n', 'x'.repeat(170), ''],
    ['2\r\n\r\n\r\n0\r\n\r\n', '\r\n', ''],
    ['5;a\r\nhello\r\n0;b=c\r\n\r\n', 'hello', ''],
    ['5;a=b;c="d\\"\\\\ e;\t\xe9";f\r\nhello\r\n0\r\n\r\n', 'hello', ''],
  ])('%j', (text, content, rest) => {
    expect(decode(text)).toEqual({ content, rest, why: null, done: true, trailers: [] })
  })

  it.each<[BadReason, string]>([
    ['chunk-size', '\r\n'],
    ['chunk-size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '+5\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '-5\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '5h\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '5,5\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', '5_0\r\n'],
    ['chunk-size', '5\0\r\n'],
    ['chunk-size', ';a\r\nhello\r\n0\r\n\r\n'],
    ['chunk-size', 'g\r\n'],
    ['chunk-size', '"5"\r\n'],
    ['chunk-size', '\xb5\r\n'],
    ['chunk-size-overflow', '00000000000005\r\nhello\r\n'],
    ['chunk-size-overflow', '10000000000000\r\n'],
    ['chunk-size-overflow', 'fffffffffffffffff\r\n'],
    ['chunk-size-overflow', '100000000000000005\r\nhello\r\n'],
    ['bare-lf', '5\nhello\r\n0\r\n\r\n'],
    ['bare-lf', '5;a\nhello\r\n0\r\n\r\n'],
    ['bare-lf', '5;a=b\nhello\r\n0\r\n\r\n'],
    ['bare-cr', '5\rhello\r\n0\r\n\r\n'],
    ['bare-cr', '5\r\r\nhello\r\n0\r\n\r\n'],
    ['bare-cr', '5;a\rhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;;a\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5; a\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a =b\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a= b\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a=\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;=b\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a="b\r\nhello"\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a="b"c\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a="\\\n"\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a=b"c"\r\nhello\r\n0\r\n\r\n'],
    ['chunk-extension', '5;a\0\r\nhello\r\n0\r\n\r\n'],
    ['chunk-end', '5\r\nhelloX\r\n0\r\n\r\n'],
    ['chunk-end', '5\r\nhello0\r\n\r\n'],
    ['chunk-end', '5\r\nhello\n0\r\n\r\n'],
    ['chunk-end', '5\r\nhello\rX0\r\n\r\n'],
    ['chunk-end', '4\r\nhello\r\n0\r\n\r\n'],
    ['bare-lf', '0\r\n\n'],
    ['bare-lf', '0\r\nX: y\n\r\n'],
    ['bare-cr', '0\r\n\rX: y\r\n\r\n'],
    ['control', '0\r\nX: \0\r\n\r\n'],
    ['field-name', '0\r\nX\r\n\r\n'],
    ['field-name-space', '0\r\nX : y\r\n\r\n'],
    ['field-name-space', '0\r\n X: y\r\n\r\n'],
    ['obs-fold', '0\r\nX: y\r\n z\r\n\r\n'],
    ['trailer-framing', '0\r\nContent-Length: 5\r\n\r\n'],
    ['trailer-framing', '0\r\nX: y\r\ntransfer-ENCODING: chunked\r\n\r\n'],
    ['trailer-framing', '0\r\nConnection: close\r\n\r\n'],
    ['trailer-framing', '0\r\nUpgrade: h2c\r\n\r\n'],
  ])('refused: %s: %j', (why, text) => {
    expect(decode(text)).toMatchObject({ why, done: false })
  })

  it('with the trailers that may be passed on', () => {
    const text = '0\r\nX-Sum: a\r\nHost: evil\r\nAuthorization: x\r\nSet-Cookie: y\r\nCache-Control: no-store\r\nx-sum: b\r\n\r\nGET'
    expect(decode(text)).toEqual({ content: '', rest: 'GET', why: null, done: true, trailers: ['X-Sum', 'a', 'x-sum', 'b'] })
    expect(decode('0\r\nAge: 1\r\n\r\n')).toMatchObject({ done: true, trailers: [] })
  })

  it('within its limits, to the byte', () => {
    const extended = '1;abc\r\nx\r\n1;de\r\ny\r\n0\r\n\r\n' // 4 + 3 bytes of extensions
    expect(decode(extended, { extensionBytesMax: 7 }).done).toBe(true)
    expect(decode(extended, { extensionBytesMax: 6 }).why).toBe('chunk-extensions-too-long')
    const trailed = '0\r\nA: 1\r\nB: 2\r\n\r\n' // 14 bytes of trailer section
    expect(decode(trailed, { trailerBytesMax: 14, trailersMax: 2 }).done).toBe(true)
    expect(decode(trailed, { trailerBytesMax: 13 }).why).toBe('trailers-too-long')
    expect(decode(trailed, { trailersMax: 1 }).why).toBe('trailers-too-long')
    expect(decode(`0\r\nA: ${'x'.repeat(20_000)}`)).toMatchObject({ why: 'trailers-too-long' })
    expect(decode(`1;${'x'.repeat(20_000)}`)).toMatchObject({ why: 'chunk-extensions-too-long' })
  })

  it('and nothing more once it is done or broken', () => {
    const decoder = new ChunkedDecoder()
    const none = { onContent: () => expect.unreachable() }
    expect(decoder.feed(bytes('0\r\n\r\n'), 0, 5, none)).toBe(5)
    expect(decoder.feed(bytes('1\r\nx'), 0, 4, none)).toBe(0)
    const broken = new ChunkedDecoder()
    expect(broken.feed(bytes('x'), 0, 1, none)).toBe(0)
    expect(broken.feed(bytes('1\r\nx'), 0, 4, none)).toBe(0)
    expect(broken.failed).toEqual({ kind: 'bad', error: 'bad-request', why: 'chunk-size' })
  })
})

describe('the chunked coding is written', () => {
  it('as it is read', () => {
    expect(chunkHead(1)).toBe('1\r\n')
    expect(chunkHead(0xabcdef)).toBe('abcdef\r\n')
    expect(lastChunk()).toBe('0\r\n\r\n')
  })
})

describe('the content of a message', () => {
  const feed = (reader: BodyReader, text: string): [string, string] => {
    let content = ''
    const wire = bytes(text)
    const sink = { onContent: (slab: Buffer, s: number, e: number) => (content += slab.toString('latin1', s, e)) }
    const rest = text.slice(reader.feed(wire, 0, wire.length, sink))
    return [content, rest]
  }

  it('none: nothing is taken', () => {
    const reader = new BodyReader(noContent)
    expect(reader.done).toBe(true)
    expect(feed(reader, 'GET')).toEqual(['', 'GET'])
    expect(new BodyReader(lengthContent(0)).done).toBe(true)
  })

  it('of a known length, in pieces', () => {
    const reader = new BodyReader(lengthContent(5))
    expect([feed(reader, 'he'), reader.done, reader.bytes]).toEqual([['he', ''], false, 2])
    expect([feed(reader, 'lloGET'), reader.done, reader.bytes]).toEqual([['llo', 'GET'], true, 5])
    expect(feed(reader, 'GET')).toEqual(['', 'GET'])
    expect(reader.end()).toBe(true)
  })

  it('chunked, with what the decoder says of it', () => {
    const reader = new BodyReader(chunkedContent)
    expect([feed(reader, '5\r\nhe'), reader.done]).toEqual([['he', ''], false])
    expect(reader.end()).toBe(false)
    expect([feed(reader, 'llo\r\n0\r\nX: y\r\n\r\nGET'), reader.done, reader.bytes]).toEqual([['llo', 'GET'], true, 5])
    expect(reader.trailers?.pairs).toEqual(['X', 'y'])
    const broken = new BodyReader(chunkedContent)
    feed(broken, 'z')
    expect([broken.failed?.why, broken.done, broken.end()]).toEqual(['chunk-size', false, false])
  })

  it('until the sender closes', () => {
    const reader = new BodyReader(untilClose)
    expect([feed(reader, 'all of it'), reader.done]).toEqual([['all of it', ''], false])
    expect([reader.end(), reader.done, reader.bytes]).toEqual([true, true, 9])
  })

  it('cut short: closing does not complete it', () => {
    const reader = new BodyReader(lengthContent(5))
    feed(reader, 'hel')
    expect(reader.end()).toBe(false)
  })
})

describe('requests one behind the other', () => {
  it('are told apart however their content is framed', () => {
    const host = 'Host: a\r\n'
    const { messages, why, open } = converse(
      bytes(
        `POST /1 HTTP/1.1\r\n${host}Content-Length: 27\r\n\r\nGET /evil HTTP/1.1\r\nX: y\r\n\r` +
          `PUT /2 HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1b\r\nGET /evil HTTP/1.1\r\nX: y\r\n\r\r\n0\r\n\r\n` +
          `GET /3 HTTP/1.1\r\n${host}\r\n\r\nGET /4 HTTP/1.1\r\n${host}Connection: close\r\n\r\nGET /5`,
      ),
    )
    expect(messages.map(m => m.head.target)).toEqual(['/1', '/2', '/3', '/4'])
    expect({ why, open }).toEqual({ why: null, open: false })
  })
})
