// A response, cut anywhere, read by a client that stops anywhere, on a connection that ends anywhere: it is told whole
// exactly when it came whole, and never more, less or twice. A cache stores what is said to be whole. Seen over
// connections without a kernel, so that every cut is the one that was meant.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Connection } from '../../comm/index.ts'
import { createConnectChainer, createOriginPool } from '../../src/chainer/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { anySession, get, Heard, routeTo, turns } from './kit.ts'
import { Wire } from './wire.ts'

const content = 'The quick brown fox jumps over the lazy dog, and nobody minds.'
const chunks = ['The quick ', 'brown fox jumps ', 'over the lazy dog,', ' and nobody minds.']

const responses = {
  length: `HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
  chunked: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.map(c => `${c.length.toString(16)}\r\n${c}\r\n`).join('')}0\r\nT: t\r\n\r\n`,
  interim: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
  closing: `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
  end: `HTTP/1.0 200 OK\r\n\r\n${content}`,
} as const

type Kind = keyof typeof responses

const scene = fc.record({
  kind: fc.constantFrom(...(Object.keys(responses) as Kind[])),
  /** Where the response is cut into pieces. */
  cuts: fc.uniqueArray(fc.nat(260), { maxLength: 8 }),
  /** How much of it comes at all. */
  length: fc.oneof({ weight: 1, arbitrary: fc.constant(1000) }, { weight: 1, arbitrary: fc.nat(260) }),
  ending: fc.constantFrom('fin', 'reset', 'stays' as const),
  /** Whether the client takes the next chunk without stopping; when the list is over it always does. */
  takes: fc.array(fc.boolean(), { maxLength: 12 }),
  /** Turns before it goes on. */
  waits: fc.nat(3),
  abortAfter: fc.option(fc.nat(3), { freq: 8 }),
})

describe('a response cut anywhere', () => {
  it('is told whole exactly when it came whole', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async s => {
        const wire = new Wire()
        const clock = new FakeClock()
        const bugs: unknown[] = []
        const comm = {
          dial: (_options: unknown, _timeoutMs: number, done: (error: null, connection: Connection) => void) => {
            queueMicrotask(() => done(null, wire.self))
            return { cancel() {} }
          },
        }
        const pool = createOriginPool({ comm, clock, failed: error => bugs.push(error) })
        const chainer = createConnectChainer({ comm, clock, pool })

        const takes = [...s.takes]
        let aborted = false
        const got = new (class extends Heard {
          override onData(chunk: Buffer): boolean {
            super.onData(chunk)
            return takes.shift() ?? true
          }
        })()
        got.fetch = chainer.fetch(anySession(), [routeTo(80)], get(), got)
        while (wire.written === '') await turns(1)

        const whole: string = responses[s.kind]
        const said = whole.slice(0, s.length)
        const edges = [0, ...s.cuts.filter(cut => cut > 0 && cut < said.length).sort((a, b) => a - b), said.length]
        for (let i = 1; i < edges.length; i++) if (said !== '') wire.say(said.slice(edges[i - 1], edges[i]))
        if (s.ending === 'fin') wire.fin()

        let delivered = 0
        for (let still = 0; still < 12; still++) {
          if (wire.pump()) {
            still = 0
            delivered++
          }
          if (s.abortAfter !== null && delivered > s.abortAfter && !got.over && !aborted) {
            aborted = true
            got.fetch.abort()
          }
          await turns(1 + s.waits)
          if (!aborted) got.fetch.resume()
        }
        const read = wire.quiet
        if (s.ending === 'reset') wire.reset()
        await turns(5)

        expect(bugs).toEqual([])
        expect(content.startsWith(got.text)).toBe(true)
        expect(read || wire.closed).toBe(true)
        if (aborted) {
          expect(got.over).toBe(false)
          expect(pool.connections).toBe(0)
          return
        }
        // what only the end delimits is whole wherever a FIN ends it, and never when a reset does
        const head = whole.length - content.length
        const complete = s.kind === 'end' ? s.ending === 'fin' && said.length >= head : said.length === whole.length
        expect(got.ended).toBe(complete)
        if (complete) expect(got.text).toBe(s.kind === 'end' ? said.slice(head) : content)
        else if (s.ending !== 'stays') {
          expect(got.error?.code).toBe(said === '' && s.ending === 'fin' ? 'empty-response' : 'read-error')
        }
        const kept = complete && s.ending === 'stays' && (s.kind === 'length' || s.kind === 'chunked' || s.kind === 'interim')
        expect([pool.connections, pool.idleConnections]).toEqual(kept ? [1, 1] : complete || s.ending !== 'stays' ? [0, 0] : [1, 0])
        got.fetch.abort()
        pool.close()
      }),
      { numRuns: 600 },
    )
  })
})
