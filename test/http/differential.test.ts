import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mayBeTrailer } from '../../src/http/index.ts'
import { type Oracle, startOracle } from './llhttp.ts'
import { bytes, converse } from './reading.ts'
import { refused } from './refused.ts'
import { accepted, changed, host } from './wires.ts'

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
      if (/[2-9d-wyzD-WYZ\x81-\x84\x86-\x9f\xa1-\xfe]/.test(byte)) continue // as their neighbours
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
    await fc.assert(fc.asyncProperty(changed(accepted), agree), { numRuns: 3000 })
  })
})
