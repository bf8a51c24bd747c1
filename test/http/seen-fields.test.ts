// Guards: a block of fields that was read before comes to the same as when it is read for the first time, is nobody
// else's to change, and is told from every other block whatever their marks are.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RequestHead } from '../../src/http/index.ts'
import { keptTexts, markOf, seenFields } from '../../src/http/seen-fields.ts'
import { bytes, type Read, read, readHead } from './reading.ts'
import { accepted, changed } from './wires.ts'

const plain = (found: Read): unknown =>
  typeof found === 'string' ? found : { ...found, fields: found.fields.pairs, lowers: lowersOf(found) }

const lowersOf = ({ fields }: RequestHead): string[] => Array.from({ length: fields.size }, (_, i) => fields.lowerAt(i))

/** Only looked at: being found makes the slot impatient again, which would be the test's doing. */
const seenNow = (block: string): boolean => keptTexts().includes(block)

const isKept = (block: string): boolean => seenFields(markOf(bytes(block), 0, block.length), block) !== null

const long = (number: number): string =>
  `Host: a${number}.example\r\nUser-Agent: ${'Mozilla/5.0 '.repeat(20)}\r\nCookie: a=${number}; ${'b=c; '.repeat(50)}\r\nX-Odd: ${number}\r\n\r\n`

describe('a block of fields', () => {
  it('is kept from the second time on, whatever the request line', () => {
    const block = long(1)
    const first = plain(read(`GET /1 HTTP/1.1\r\n${block}`))
    expect(isKept(block)).toBe(false)
    readHead(`GET /22 HTTP/1.1\r\n${block}`)
    expect(isKept(block)).toBe(true)
    expect(plain(read(`GET /1 HTTP/1.1\r\n${block}`))).toEqual(first)
    expect(readHead(`HEAD /333 HTTP/1.0\r\n${block}`)).toMatchObject({ method: 'HEAD', target: '/333', versionMinor: 0, keepAlive: false })
  })

  it('is no other that differs where marks do not look', () => {
    const one = `Host: b.example\r\nAuthorization: ${'x'.repeat(500)}\r\n\r\n`
    const at = one.length - 30
    const others = ['y', 'z'].flatMap(c => [0, 1, 2].map(more => one.slice(0, at + more) + c + one.slice(at + more + 1)))
    expect(new Set([one, ...others].map(block => markOf(bytes(block), 0, block.length))).size).toBeLessThan(4)
    for (let round = 0; round < 3; round++) {
      for (const block of [one, one, ...others, ...others.flatMap(each => [each, each])]) {
        const value = readHead(`GET / HTTP/1.1\r\n${block}`).fields.get('authorization')
        expect(block).toBe(`Host: b.example\r\nAuthorization: ${value}\r\n\r\n`)
      }
    }
  })

  it('is hardly ever kept where all have the same mark and no two are alike, until one comes again', () => {
    const filler = 'x'.repeat(994)
    const numbered = (i: number): string => `Host: m.example\r\nX: ${filler}${String(i).padStart(6, '0')}\r\n\r\n`
    const blocks = Array.from({ length: 3000 }, (_, i) => numbered(i))
    expect(new Set(blocks.map(block => markOf(bytes(block), 0, block.length))).size).toBe(1)
    let kept = 0
    for (const block of blocks) {
      readHead(`GET / HTTP/1.1\r\n${block}`)
      if (seenNow(block)) kept++
    }
    expect(kept).toBeGreaterThan(0)
    expect(kept).toBeLessThan(15)
    for (let i = 0; i < 1100; i++) readHead(`GET / HTTP/1.1\r\n${numbered(5000)}`)
    expect(seenNow(numbered(5000))).toBe(true)
  })

  it('is changed by one request for that request alone', () => {
    const wire = `GET / HTTP/1.1\r\n${long(2)}`
    for (let i = 0; i < 4; i++) {
      const { fields } = readHead(wire)
      expect(fields.pairs.slice(0, 2)).toEqual(['Host', 'a2.example'])
      expect([fields.size, fields.get('x-odd')]).toEqual([4, '2'])
      fields.set('X-Odd', 'changed')
      fields.set('Host', 'changed')
      fields.append('Authorization', 'secret')
      fields.delete('cookie')
    }
  })

  it("is never another client's, however alike they are, and whatever each makes of its own", () => {
    // clients that take turns; each pair of them differs in one place: a byte, a letter's case, a blank, the order
    const secret = (i: number): string => `${'s'.repeat(300)}${String.fromCharCode(97 + (i % 26))}${'s'.repeat(300)}`
    const blocks = Array.from({ length: 26 }, (_, i) => [
      `Host: e.example\r\nAuthorization: ${secret(i)}\r\nX: y\r\n\r\n`,
      `Host: e.example\r\nauthorization: ${secret(i)}\r\nX: y\r\n\r\n`,
      `Host: e.example\r\nAuthorization:${secret(i)} \r\nX: y\r\n\r\n`,
      `Host: e.example\r\nAuthorization:\t${secret(i)}\r\nX: y\r\n\r\n`,
      `Host: e.example\r\nX: y\r\nAuthorization: ${secret(i)}\r\n\r\n`,
    ]).flat()
    const said = (block: string): string[] =>
      block.split('\r\n').filter(line => line !== '').flatMap(line => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon), line.slice(colon + 1).trim()]
      })
    const expected = blocks.map(said)
    let at = 1
    let found = 0
    for (let turn = 0; turn < 40_000; turn++) {
      at = (Math.imul(at, 1_103_515_245) + 12_345) >>> 0
      // some speak more often than others, so that theirs are kept
      const i = (at >>> 8) % (turn % 3 === 0 ? blocks.length : 6)
      const block = blocks[i] ?? ''
      if (turn % 16 === 0 && seenNow(block)) found++
      const { fields, hostPort } = readHead(`GET / HTTP/1.1\r\n${block}`)
      if (fields.pairs.some((text, n) => text !== expected[i]?.[n]) || fields.size !== 3 || hostPort?.host !== 'e.example') {
        expect(fields.pairs).toEqual(expected[i])
        expect(hostPort).toMatchObject({ host: 'e.example' })
      }
      fields.set('Authorization', 'mine')
      fields.append('X-Forwarded-For', String(turn))
      fields.delete('x')
      fields.pairs.fill('overwritten')
    }
    expect(found).toBeGreaterThan(0)
  })

  it('is refused where the limits of this request are narrower', () => {
    const wire = `GET / HTTP/1.1\r\n${long(3)}`
    for (let i = 0; i < 3; i++) readHead(wire)
    expect(read(wire, { fieldsMax: 3 })).toBe('fields-too-many')
    expect(read(wire, { headBytesMax: wire.length - 1 })).toBe('head-too-long')
    expect(read(wire, { lineBytesMax: 5 })).toBe('line-too-long')
    expect(typeof read(wire, { fieldsMax: 4, headBytesMax: wire.length })).toBe('object')
  })

  it('means what the request line makes of it', () => {
    const block = `Host: c.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: keep-alive, upgrade\r\nUpgrade: x\r\n\r\n`
    for (let i = 0; i < 3; i++) {
      expect(readHead(`POST / HTTP/1.1\r\n${block}`)).toMatchObject({ expectContinue: true, upgrade: 'x', framing: { length: 5 } })
      expect(readHead(`POST / HTTP/1.0\r\n${block}`)).toMatchObject({ expectContinue: false, upgrade: null, keepAlive: true })
      expect(read(`CONNECT c.example:1 HTTP/1.1\r\n${block}`)).toBe('connect-content')
    }
  })

  it('is refused each time if it is refused once', () => {
    const blocks = [
      'Host: d.example\r\nHost: d.example\r\n\r\n', 'Host: d e\r\n\r\n', 'Host: d.example\r\nA b: c\r\n\r\n', 'X: y\r\n\r\n',
      'Host: d.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 'Host: d.example\r\nX: \x01\r\n\r\n',
    ]
    for (const block of blocks) {
      const answers = [0, 1, 2, 3].map(() => read(`GET / HTTP/1.1\r\n${block}`))
      expect(new Set(answers).size, block).toBe(1)
      expect(typeof answers[0], block).toBe('string')
    }
  })

  it('with others behind it in one piece is read as ever', () => {
    const one = `GET /1 HTTP/1.1\r\n${long(4)}`
    for (let i = 0; i < 3; i++) readHead(one)
    for (let i = 0; i < 3; i++) expect(readHead(one + one)).toMatchObject({ headBytes: one.length, target: '/1' })
  })

  it('comes to the same each time, whatever it is', () => {
    const field = fc.tuple(
      fc.constantFrom('Host', 'host', 'HOst', 'Accept', 'x-y', 'X-Y', 'Connection', 'Content-Length', 'Expect', 'Cookie'),
      fc.stringMatching(/^[ -~\t\xa1-\xff]{0,40}$/),
    )
    fc.assert(
      fc.property(fc.array(field, { maxLength: 12 }), fields => {
        const wire = `GET / HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
        const [first, ...later] = [0, 1, 2, 3].map(() => plain(read(wire)))
        for (const each of later) expect(each).toEqual(first)
      }),
      { numRuns: 500 },
    )
  })

  it('and of damaged requests, too', () => {
    fc.assert(
      fc.property(changed(accepted), wire => {
        const [first, ...later] = [0, 1, 2, 3].map(() => plain(read(wire)))
        for (const each of later) expect(each).toEqual(first)
      }),
      { numRuns: 500 },
    )
  })
})
