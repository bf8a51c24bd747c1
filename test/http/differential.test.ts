import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mayBeTrailer } from '../../src/http/index.ts'
import { type Oracle, startOracle } from './llhttp.ts'
import { bytes, converse } from './reading.ts'
import { refused } from './refused.ts'

// Guards: whatever we accept, Node's own parser (llhttp) accepts and reads in the same way, and what it refuses we
// refuse. We may refuse more. Where we accept more, the reason is listed here, or this fails.

const knownDifferences: Readonly<Record<string, string>> = {
  HPE_INVALID_METHOD: 'llhttp knows a fixed list of methods; RFC 9110 9.1 lets any token be one, and a proxy passes it on',
}

let oracle: Oracle
beforeAll(async () => {
  oracle = await startOracle()
})
afterAll(() => oracle.close())

const agree = async (text: string): Promise<void> => {
  const wire = bytes(text)
  const ours = converse(wire)
  const theirs = await oracle.read(wire)
  const known = theirs.error in knownDifferences
  for (const [i, message] of ours.messages.entries()) {
    const seen = theirs.messages[i]
    if (seen === undefined && known) return
    expect(seen && { ...seen, trailers: passing(seen.trailers) }, `message ${i} of ${JSON.stringify(text)}: ${theirs.error}`).toEqual({
      method: message.head.method,
      target: message.head.target,
      pairs: message.head.fields.pairs,
      content: message.content,
      trailers: message.trailers,
    })
  }
  if (theirs.error !== '' && !known) {
    expect(ours.why !== null || ours.open, `${JSON.stringify(text)}: Node says ${theirs.error}`).toBe(true)
  }
}

/** We drop trailers that must not be there; Node shows them. */
const passing = (pairs: readonly string[]): string[] =>
  pairs.filter((_, i) => mayBeTrailer((pairs[i - (i % 2)] ?? '').toLowerCase()))

const host = 'Host: a.example\r\n'

const accepted = [
  `GET / HTTP/1.1\r\n${host}\r\n`,
  `GET /a?b=c%20d HTTP/1.0\r\n\r\n`,
  `GET http://b.example/x HTTP/1.1\r\n${host}\r\n`,
  `OPTIONS * HTTP/1.1\r\n${host}\r\n`,
  `CONNECT b.example:443 HTTP/1.1\r\n${host}\r\nnot http`,
  `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`,
  `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n${host}\r\n`,
  `PUT / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y;z="q;\\"r"\r\n0123456789\r\n0\r\n\r\n`,
  `PUT / HTTP/1.1\r\n${host}Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\nGET /2 HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\nGET /never HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}A:  x  y\t \r\nB:\r\nC: \xe9\xff\r\n\r\n`,
  `GET /!"$%&'()*+,-./:;<=>?@[\\]^_\`{|}~ HTTP/1.1\r\n${host}\r\n`,
  `\r\n\r\nGET / HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}!#$%&'*+-.^_\`|~09azAZ: x\r\n\r\n`,
  `DELETE / HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n${host}\r\n`,
  `POST / HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx`,
  `M-SEARCH / HTTP/1.1\r\n${host}\r\n`,
]

describe('Node agrees', () => {
  it.each(accepted)('and reads the same from %j', async text => {
    expect(converse(bytes(text)).messages.length).toBeGreaterThan(0)
    await agree(text)
    expect((await oracle.read(bytes(text))).messages.length).toBeGreaterThan(0)
  })

  it('with every byte in every place of a small request', async () => {
    const places = ['GE?T / HTTP/1.1', 'GET /?? HTTP/1.1', 'GET / HTTP/1?1', 'GET / HTTP/1.1?', 'GET /?HTTP/1.1']
    for (let c = 0; c < 256; c++) {
      const byte = String.fromCharCode(c)
      for (const place of places) await agree(`${place.replace('?', byte)}\r\n${host}\r\n`)
      for (const line of ['X?: y', 'X:?y', 'X: y?z', 'X: y?', 'X?y: z', '?X: y', '?']) {
        await agree(`GET / HTTP/1.1\r\n${host}${line.replace('?', byte)}\r\n\r\n`)
      }
      for (const size of ['1?', '?1', '1;?', '1;x?', '1;x=?', '1;x="?"', '1;x="\\?"', '1;x="y"?']) {
        await agree(`PUT / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n${size.replace('?', byte)}\r\nz\r\n0\r\n\r\n`)
      }
      await agree(`PUT / HTTP/1.1\r\n${host}Content-Length: 1?\r\n\r\n0123456789abcdef`.replace('?', byte))
      await agree(`PUT / HTTP/1.1\r\n${host}Transfer-Encoding: chunked?\r\n\r\n0\r\n\r\n`.replace('?', byte))
      await agree(`PUT / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nz?\r\n0\r\n\r\n`.replace('?', byte))
      await agree(`PUT / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y?\r\n\r\n`.replace('?', byte))
    }
  })

  it('on everything that we refuse, or is more lenient', async () => {
    for (const [, text] of refused) await agree(text)
  })

  it('on what random changes make of requests', async () => {
    const interesting = ['\r', '\n', '\r\n', ' ', '\t', '\0', ':', ',', ';', '=', '"', '0', '5', 'f', 'x', '\x0b', '\x7f', '\xa0']
    const lines = [
      'Content-Length: 5\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', host, 'Connection: close\r\n',
      '\r\n', 'GET /2 HTTP/1.1\r\n', '0\r\n\r\n', '5\r\nhello\r\n', ' folded\r\n',
    ]
    const change = fc.record({
      kind: fc.constantFrom('insert', 'delete', 'replace', 'line', 'double'),
      at: fc.nat(400),
      text: fc.constantFrom(...interesting),
      line: fc.constantFrom(...lines),
    })
    const changed = fc
      .tuple(fc.array(fc.constantFrom(...accepted), { minLength: 1, maxLength: 2 }), fc.array(change, { maxLength: 3 }))
      .map(([requests, changes]) => {
        let text = requests.join('')
        for (const c of changes) {
          const at = c.at % (text.length + 1)
          const lineAt = text.indexOf('\n', at) + 1
          if (c.kind === 'insert') text = text.slice(0, at) + c.text + text.slice(at)
          else if (c.kind === 'delete') text = text.slice(0, at) + text.slice(at + 1)
          else if (c.kind === 'replace') text = text.slice(0, at) + c.text + text.slice(at + 1)
          else if (c.kind === 'line') text = text.slice(0, lineAt) + c.line + text.slice(lineAt)
          else text = text.slice(0, lineAt) + text.slice(at)
        }
        return text
      })
    await fc.assert(fc.asyncProperty(changed, agree), { numRuns: 3000 })
  })
})
