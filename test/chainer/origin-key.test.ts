// Who may share a connection: exactly those with the same target, source, mark and TOS. A pool that lends one client's
// connection to another shows the origin the wrong client; nothing else would notice. Seen by the origin, as the
// address each request came from, and by comm, as what each dial asked for.

import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { COMM_TPROXY_REM } from '../../comm/index.ts'
import { endpoint } from '../../src/base/index.ts'
import { originKey } from '../../src/chainer/origin-pool/key.ts'
import type { Route } from '../../src/router/index.ts'
import { heard } from '../support/origin.ts'
import { ask, engines, forgedBy, Opened, routeTo } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

/** Answers with the address it was asked from. */
const mirror = () =>
  opened.origin(async socket => {
    while ((await heard(socket).catch(() => null)) !== null) {
      const from = socket.remoteAddress ?? ''
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${from.length}\r\n\r\n${from}`)
    }
  })

const a = '127.0.0.2'
const b = '127.0.0.3'

describe.each(engines)('over the %s engine', engine => {
  it('A forged, B forged, A not forged and nobody: four sockets, each for its own, in any order', async () => {
    const { port } = await mirror()
    const bench = opened.bench({ engine })
    const kinds: Record<string, Route> = {
      a: routeTo(port, forgedBy(a)),
      b: routeTo(port, forgedBy(b)),
      ours: routeTo(port, { source: endpoint(a, 0) }),
      none: routeTo(port),
    }
    const seen = new Map<string, Set<string>>()
    for (const kind of ['a', 'b', 'ours', 'none', 'none', 'b', 'a', 'ours', 'a', 'none', 'ours', 'b']) {
      const got = await ask(bench, kinds[kind] as Route).whole()
      const local = got.connected[0]?.local
      expect(got.text).toBe({ a, b, ours: a, none: '127.0.0.1' }[kind])
      seen.set(kind, (seen.get(kind) ?? new Set()).add(`${local?.address}:${local?.port}`))
    }
    expect([...seen.values()].map(sockets => sockets.size)).toEqual([1, 1, 1, 1])
    expect(new Set([...seen.values()].flatMap(sockets => [...sockets])).size).toBe(4)
    expect(bench.dials.map(dial => [dial.source?.address, dial.flags])).toEqual([
      [a, COMM_TPROXY_REM],
      [b, COMM_TPROXY_REM],
      [a, 0],
      [undefined, 0],
    ])
  })

  it('another mark or TOS is another socket', async () => {
    const { port } = await mirror()
    // what the kernel would need CAP_NET_RAW for is not done here, only asked for
    const bench = opened.bench({ engine, strip: true })
    for (const more of [{}, { mark: 1 }, { mark: 2 }, { tos: 8 }, { mark: 1, tos: 8 }, { mark: 1 }, {}]) {
      await ask(bench, routeTo(port, more)).whole()
    }
    expect(bench.dials.map(({ mark, tos }) => ({ mark, tos }))).toEqual([
      { mark: undefined, tos: undefined },
      { mark: 1, tos: undefined },
      { mark: 2, tos: undefined },
      { mark: undefined, tos: 8 },
      { mark: 1, tos: 8 },
    ])
  })
})

describe('the key', () => {
  const address = fc.constantFrom('192.0.2.1', '192.0.2.11', '2001:db8::1', '2001:db8::11')
  const port = fc.constantFrom(0, 1, 8, 80, 8080)
  const route: fc.Arbitrary<Route> = fc.record({
    target: fc.tuple(address, port).map(([x, y]) => endpoint(x, y)),
    source: fc.option(fc.tuple(address, port).map(([x, y]) => endpoint(x, y))),
    forged: fc.boolean(),
    mark: fc.constantFrom(undefined, 0, 1, 11),
    tos: fc.constantFrom(undefined, 0, 1, 11),
    hierarchy: fc.constantFrom('HIER_DIRECT', 'ORIGINAL_DST'),
  })
  const parts = ({ target, source, forged, mark, tos }: Route) => JSON.stringify([target, source, source !== null && forged, mark, tos].map(x => x ?? null))

  it('is equal exactly when everything an origin or a router on the way could tell apart is equal', () => {
    fc.assert(
      fc.property(route, route, (one, other) => {
        expect(originKey(one) === originKey(other)).toBe(parts(one) === parts(other))
      }),
      { numRuns: 3000 },
    )
  })
})
