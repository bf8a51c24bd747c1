import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  chunkEnd, ChunkedDecoder, chunkHead, Fields, lastChunk, parseRequestHead, parseResponseHead, requestHeadText,
  responseHeadText, usualHeadLimits,
} from '../../src/http/index.ts'
import { bytes, converse, read } from './reading.ts'
import { refused } from './refused.ts'
import { accepted, changed, cutsOf } from './wires.ts'

// Guards: TCP cuts a stream anywhere, and what is read from it must not depend on where. What we write, we read.

describe('where the bytes were cut does not matter', () => {
  it('for requests, good and bad', () => {
    const cut = changed(accepted).chain(text => fc.tuple(fc.constant(text), cutsOf(text.length)))
    fc.assert(
      fc.property(cut, ([text, cuts]) => {
        const wire = bytes(text)
        expect(converse(wire, cuts)).toEqual(converse(wire))
      }),
      { numRuns: 3000 },
    )
  })

  it('for everything we refuse: the same reason, byte by byte', () => {
    for (const [why, text] of refused) {
      const wire = bytes(text)
      const cuts = Array.from({ length: wire.length }, (_, i) => i + 1)
      expect(converse(wire, cuts).why, JSON.stringify(text)).toBe(why)
    }
  })

  it('for limits', () => {
    const limits = { ...usualHeadLimits, lineBytesMax: 24, headBytesMax: 48, fieldsMax: 2 }
    const cut = changed(accepted).chain(text => fc.tuple(fc.constant(text), cutsOf(text.length)))
    fc.assert(
      fc.property(cut, ([text, cuts]) => {
        const wire = bytes(text)
        expect(converse(wire, cuts, limits)).toEqual(converse(wire, [], limits))
      }),
      { numRuns: 1000 },
    )
  })

  it('for a head beyond what is tried whole, and none of it is looked at twice', () => {
    const text = `GET / HTTP/1.1\r\nHost: a.example\r\n${'X-Field: some value\r\n'.repeat(150)}X: ${'y'.repeat(30_000)}\r\n\r\n`
    const wire = bytes(text)
    const whole = converse(wire)
    expect(whole.messages).toHaveLength(1)
    let looks = 0
    const counting = new Proxy(wire, {
      get(target, name) {
        if (typeof name === 'string' && name >= '0' && name <= '99999') looks++
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const step = 100
    let scanFrom = 0
    for (let end = step; end < wire.length; end += step) {
      expect(parseRequestHead(counting, 0, end, usualHeadLimits, scanFrom).kind).toBe('more')
      scanFrom = end
    }
    // each call looks at the request line again (16 bytes) and at the new bytes
    expect(looks).toBeLessThan(wire.length * 3)
  })
})

describe('the chunked coding', () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 })
  const trailers = fc.constantFrom(null, Fields.from(['X-Sum', 'abc']), Fields.from(['A', ''].concat(['b', 'x, y'])))

  it('comes back as it was written, however it is cut, and leaves what follows alone', () => {
    const cases = fc.tuple(chunks, trailers, cutsOf(400))
    fc.assert(
      fc.property(cases, ([parts, sent, cuts]) => {
        const coded = Buffer.concat(parts.map(p => Buffer.concat([bytes(chunkHead(p.length)), p, bytes(chunkEnd)])))
        const wire = Buffer.concat([coded, bytes(lastChunk(sent)), bytes('GET / next')])
        const decoder = new ChunkedDecoder()
        const got: Buffer[] = []
        const sink = { onContent: (slab: Buffer, s: number, e: number) => got.push(Buffer.from(slab.subarray(s, e))) }
        let at = 0
        for (const cut of [...cuts, wire.length]) {
          const end = Math.min(cut, wire.length)
          if (!decoder.done && at < end) at = decoder.feed(wire, at, end, sink)
        }
        expect(decoder.failed).toBe(null)
        expect(decoder.done).toBe(true)
        expect(wire.toString('latin1', at)).toBe('GET / next')
        expect(Buffer.concat(got)).toEqual(Buffer.concat(parts))
        expect(decoder.bytes).toBe(Buffer.concat(parts).length)
        expect(decoder.trailers?.pairs ?? []).toEqual(sent?.pairs ?? [])
      }),
      { numRuns: 1000 },
    )
  })
})

describe('what we write is read as it was meant', () => {
  const token = fc.string({ unit: fc.constantFrom(..."abzAZ09!#$%&'*+-.^_`|~"), minLength: 1, maxLength: 12 })
  const visible = fc.constantFrom(...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)), 'é', 'ÿ', '\x80')
  const inner = fc.string({ unit: fc.oneof(visible, fc.constantFrom(' ', '\t')), maxLength: 20 })
  const value = fc.tuple(fc.string({ unit: visible, minLength: 1, maxLength: 3 }), inner, fc.string({ unit: visible, minLength: 1, maxLength: 3 })).map(v => v.join(''))
  const meaningful = ['host', 'content-length', 'transfer-encoding', 'expect', 'connection', 'proxy-connection', 'upgrade']
  const field = fc
    .tuple(token.filter(name => !meaningful.includes(name.toLowerCase())), fc.oneof(fc.constant(''), value))
  const fields = fc.array(field, { maxLength: 8 }).map(list => list.flat())
  const target = fc.string({ unit: fc.constantFrom(...'abz09/?&=%;:@"<>[]{}|^~`\\'), maxLength: 30 }).map(t => `/${t}`)

  it('requests', () => {
    fc.assert(
      fc.property(token.filter(m => m !== 'CONNECT'), target, fields, (method, path, pairs) => {
        const sent = ['Host', 'a.example', ...pairs]
        const text = requestHeadText(method, path, sent)
        const head = read(text)
        expect(head).toMatchObject({ method, target: path, headBytes: text.length })
        if (typeof head === 'object') expect(head.fields.pairs).toEqual(sent)
      }),
      { numRuns: 1000 },
    )
  })

  it('responses', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), inner, fields, (status, reason, pairs) => {
        const text = responseHeadText(status, reason, pairs)
        const answer = parseResponseHead(bytes(text), 0, text.length, usualHeadLimits, 'GET')
        expect(answer).toMatchObject({ kind: 'head', end: text.length, head: { status, reason } })
        if (answer.kind === 'head') expect(answer.head.fields.pairs).toEqual(pairs)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('nothing a peer sends makes a reader throw', () => {
  it('random bytes', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map(b => Buffer.from(b)),
      fc.string({ unit: fc.constantFrom('\r\n', '\r', '\n', ' ', ':', 'GET', '/', 'HTTP/1.1', '0', 'a', ';', '\0'), maxLength: 40 }).map(bytes),
    )
    fc.assert(
      fc.property(noise, wire => {
        converse(wire)
        parseResponseHead(wire, 0, wire.length, usualHeadLimits, 'GET')
        new ChunkedDecoder().feed(wire, 0, wire.length, { onContent: () => {} })
      }),
      { numRuns: 3000 },
    )
  })
})
