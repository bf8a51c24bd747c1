// Where a session may go and from which address. A wrong answer here shows an origin the wrong client, connects a
// client to another server than it asked for, or the proxy to itself. Tables of hints and what comes of them.

import { describe, expect, it } from 'vitest'
import type { ResolvedName } from '../../comm/resolver.ts'
import { type Endpoint, endpoint, type MonoMs } from '../../src/base/index.ts'
import { createDirectedRouter, createInbandRouter, createTransparentRouter, type Lookup, type Route, type RouteAnswer, type RouteHint } from '../../src/router/index.ts'
import type { Peer } from '../../src/peer/index.ts'
import type { Session } from '../../src/service/index.ts'

const client4 = endpoint('192.0.2.10', 51_234)
const client6 = endpoint('2001:db8:a::10', 51_234)
const target4 = endpoint('198.51.100.7', 80)
const target6 = endpoint('2001:db8:b::7', 80)
const own = endpoint('10.0.0.1', 3129)
const isOwn = (e: Endpoint) => e.port === own.port && (e.address === own.address || e.address === '127.0.0.1')

const session = (taken: Session['taken'], peer = client4, destination: Endpoint = target4): Session =>
  ({ taken, destination: taken === 'direct' ? own : destination, client: { peer } }) as unknown as Session

const hint = (more: Partial<RouteHint> = {}): RouteHint => ({
  host: null,
  port: 0,
  pinned: false,
  forge: false,
  sourceIPv4: null,
  sourceIPv6: null,
  mark: undefined,
  tos: undefined,
  ...more,
})

const answers: Record<string, readonly string[]> = {
  'both.example': ['198.51.100.20', '198.51.100.21', '2001:db8::20'],
  'four.example': ['198.51.100.20'],
  'six.example': ['2001:db8::20', '2001:db8::21'],
  'us.example': ['10.0.0.1'],
  'mixed.example': ['10.0.0.1', '198.51.100.20'],
  'many.example': Array.from({ length: 100 }, (_, i) => `198.51.100.${i}`),
}
const expiresAt = 1 as MonoMs
const known = (name: string): ResolvedName => {
  const addresses = answers[name]
  return addresses === undefined ? { ok: false, code: 'ENOTFOUND', expiresAt } : { ok: true, addresses, expiresAt }
}
const atOnce: Lookup = known
const later: Lookup = name => Promise.resolve(known(name))

const text = (route: Route): string =>
  [`${route.target.address} ${route.target.port}`, route.source && `${route.forged ? 'forged' : 'from'} ${route.source.address} ${route.source.port}`, route.hierarchy]
    .filter(part => part !== null)
    .join(', ')
const said = (answer: RouteAnswer | Promise<RouteAnswer>): readonly string[] | string => {
  if (answer instanceof Promise) throw new Error('it was to answer at once')
  return answer.ok ? answer.routes.map(text) : answer.error
}
const detail = (answer: RouteAnswer | Promise<RouteAnswer>): string => {
  if (answer instanceof Promise || answer.ok) throw new Error('it was to refuse')
  return answer.detail
}

describe('the transparent router', () => {
  const plain = createTransparentRouter({ name: 'plain', forgeAddress: false, isOwn })
  const forging = createTransparentRouter({ name: 'forging', forgeAddress: true, isOwn })
  const open = createTransparentRouter({ name: 'open', forgeAddress: true, isOwn, overridable: atOnce })

  it('goes to the original destination, whatever is pinned and however it was taken', () => {
    for (const taken of ['nat', 'tproxy'] as const) {
      for (const h of [hint(), hint({ pinned: true }), hint({ host: 'both.example', port: 8080, pinned: true })]) {
        for (const router of [plain, forging, open]) {
          expect(said(router.route(session(taken), h))).toEqual(['198.51.100.7 80, ORIGINAL_DST'])
        }
      }
    }
  })

  it('replaces the port where that is forced', () => {
    const forced = createTransparentRouter({ name: 'forced', forgeAddress: false, isOwn, forcedPort: 8080 })
    expect(said(forced.route(session('nat'), hint()))).toEqual(['198.51.100.7 8080, ORIGINAL_DST'])
  })

  it('forges only what both it and the policy want', () => {
    const forge = hint({ forge: true, pinned: true })
    expect(said(plain.route(session('tproxy'), forge))).toEqual(['198.51.100.7 80, ORIGINAL_DST'])
    expect(said(forging.route(session('tproxy'), hint({ pinned: true })))).toEqual(['198.51.100.7 80, ORIGINAL_DST'])
    expect(said(forging.route(session('tproxy'), forge))).toEqual(['198.51.100.7 80, forged 192.0.2.10 0, ORIGINAL_DST'])
    expect(said(forging.route(session('tproxy', client6, target6), forge))).toEqual(['2001:db8:b::7 80, forged 2001:db8:a::10 0, ORIGINAL_DST'])
  })

  it('refuses aloud a hint that names another server, when the protocol may not choose', () => {
    for (const h of [
      hint({ host: 'both.example', port: 80 }),
      hint({ host: '198.51.100.8', port: 80 }),
      hint({ host: '198.51.100.7', port: 81 }),
      hint({ host: '::ffff:198.51.100.8', port: 0 }),
    ]) {
      const answer = plain.route(session('nat'), h)
      expect(said(answer)).toBe('no-route')
      expect(detail(answer)).toContain(h.host)
      expect(detail(answer)).toContain('198.51.100.7:80')
    }
  })

  it('takes a hint that names the original destination for what it is', () => {
    for (const h of [
      hint({ host: '198.51.100.7', port: 80 }),
      hint({ host: '198.51.100.7' }),
      hint({ host: '::ffff:198.51.100.7', port: 80 }),
    ]) {
      for (const router of [plain, open]) expect(said(router.route(session('nat'), h))).toEqual(['198.51.100.7 80, ORIGINAL_DST'])
    }
    expect(said(plain.route(session('nat', client6, target6), hint({ host: '[2001:DB8:B::7]', port: 80 })))).toEqual([
      '2001:db8:b::7 80, ORIGINAL_DST',
    ])
  })

  it('goes where the protocol says when it is overridable', () => {
    expect(said(open.route(session('nat'), hint({ host: 'both.example', port: 8080 })))).toEqual([
      '198.51.100.20 8080, HIER_DIRECT',
      '198.51.100.21 8080, HIER_DIRECT',
      '2001:db8::20 8080, HIER_DIRECT',
    ])
  })

  it('never goes to ourselves', () => {
    expect(said(plain.route(session('direct'), hint()))).toBe('loop')
    expect(said(plain.route(session('direct'), hint({ host: 'both.example', port: 80, pinned: true })))).toBe('loop')
    expect(said(plain.route(session('nat', client4, own), hint({ pinned: true })))).toBe('loop')
    const forced = createTransparentRouter({ name: 'forced', forgeAddress: false, isOwn, forcedPort: 3129 })
    expect(said(forced.route(session('nat', client4, endpoint('10.0.0.1', 80)), hint()))).toBe('loop')
  })
})

describe('the directed router', () => {
  const [one, six] = [endpoint('198.51.100.20', 25), endpoint('2001:db8::25', 25)]
  const to = (targets: readonly [Endpoint, ...Endpoint[]], forgeAddress = false, overridable: Lookup | null = null) =>
    createDirectedRouter({ name: 'mail', forgeAddress, isOwn, targets, overridable })

  it('goes to its servers in their order; ourselves, and whom the client’s address cannot reach, it leaves out', () => {
    expect(said(to([six, one]).route(session('nat'), hint()))).toEqual(['2001:db8::25 25, HIER_DIRECT', '198.51.100.20 25, HIER_DIRECT'])
    expect(said(to([own, one]).route(session('nat'), hint()))).toEqual(['198.51.100.20 25, HIER_DIRECT'])
    expect(said(to([six, own, one], true).route(session('nat'), hint({ forge: true })))).toHaveLength(1)
    expect(said(to([own]).route(session('nat'), hint()))).toBe('loop')
    expect(said(to([six], true).route(session('nat'), hint({ forge: true })))).toBe('no-route')
  })

  it('refuses aloud who would choose another server, and lets choose where that is allowed', () => {
    const wanted = hint({ host: 'both.example', port: 26 })
    expect(detail(to([one]).route(session('nat'), wanted))).toBe('mail: the protocol may not choose both.example:26 instead of 198.51.100.20:25')
    expect(said(to([one]).route(session('nat'), hint({ host: '198.51.100.20' })))).toEqual(['198.51.100.20 25, HIER_DIRECT'])
    expect(said(to([one], false, atOnce).route(session('nat'), wanted))).toEqual((answers['both.example'] ?? []).map(address => `${address} 26, HIER_DIRECT`))
  })
})

describe('the in-band router', () => {
  const router = createInbandRouter({ name: 'forward', forgeAddress: true, isOwn, lookup: atOnce })

  it('goes to every address of the name, in order', () => {
    expect(said(router.route(session('direct'), hint({ host: 'both.example', port: 8080 })))).toEqual([
      '198.51.100.20 8080, HIER_DIRECT',
      '198.51.100.21 8080, HIER_DIRECT',
      '2001:db8::20 8080, HIER_DIRECT',
    ])
  })

  it.each(['198.51.100.9', '[2001:DB8::9]', '2001:db8:0::9', '::ffff:198.51.100.9'])('needs no name server for %s', host => {
    const deaf = createInbandRouter({ name: 'x', forgeAddress: false, isOwn, lookup: () => Promise.reject(new Error('asked')) })
    const expected = host.includes('db8') || host.includes('DB8') ? '2001:db8::9' : '198.51.100.9'
    expect(said(deaf.route(session('direct'), hint({ host, port: 80 })))).toEqual([`${expected} 80, HIER_DIRECT`])
  })

  it('waits only when the name server has to be asked', async () => {
    const slow = createInbandRouter({ name: 'x', forgeAddress: false, isOwn, lookup: later })
    const answer = slow.route(session('direct'), hint({ host: 'four.example', port: 80 }))
    expect(answer).toBeInstanceOf(Promise)
    expect(said(await answer)).toEqual(['198.51.100.20 80, HIER_DIRECT'])
    expect(said(await slow.route(session('direct'), hint({ host: 'gone.example', port: 80 })))).toBe('dns-failed')
  })

  it('says which name has no address, and why', () => {
    const answer = router.route(session('direct'), hint({ host: 'gone.example', port: 80 }))
    expect(said(answer)).toBe('dns-failed')
    expect(detail(answer)).toBe('gone.example: ENOTFOUND')
  })

  it.each([
    ['no host', hint({ port: 80 }), 'no-route'],
    ['no port, where none can be guessed', hint({ host: 'four.example' }), 'no-route'],
    ['the original destination, where there is none', hint({ host: 'four.example', port: 80, pinned: true }), 'no-route'],
  ])('cannot go on with %s', (_what, h, error) => {
    expect(said(router.route(session('direct'), h))).toBe(error)
  })

  it('of an intercepted session takes the original port for one that is not said, and may be pinned', () => {
    expect(said(router.route(session('nat'), hint({ host: 'four.example' })))).toEqual(['198.51.100.20 80, HIER_DIRECT'])
    expect(said(router.route(session('nat'), hint({ host: 'four.example', pinned: true })))).toEqual(['198.51.100.7 80, ORIGINAL_DST'])
  })

  it('forged, goes to addresses of the client’s family only', () => {
    const forge = (host: string, peer = client4) => router.route(session('tproxy', peer), hint({ host, port: 80, forge: true }))
    expect(said(forge('both.example'))).toEqual([
      '198.51.100.20 80, forged 192.0.2.10 0, HIER_DIRECT',
      '198.51.100.21 80, forged 192.0.2.10 0, HIER_DIRECT',
    ])
    expect(said(forge('both.example', client6))).toEqual(['2001:db8::20 80, forged 2001:db8:a::10 0, HIER_DIRECT'])
    expect(said(forge('six.example'))).toBe('no-route')
    expect(detail(forge('six.example'))).toContain('IPv4')
    expect(said(forge('four.example', client6))).toBe('no-route')
  })

  it('not forged, uses the source of the target’s family, or none', () => {
    const sources = { sourceIPv4: '10.0.0.9', sourceIPv6: '2001:db8::9' }
    const go = (more: Partial<RouteHint>) => said(router.route(session('direct'), hint({ host: 'both.example', port: 80, ...more })))
    expect(go(sources)).toEqual([
      '198.51.100.20 80, from 10.0.0.9 0, HIER_DIRECT',
      '198.51.100.21 80, from 10.0.0.9 0, HIER_DIRECT',
      '2001:db8::20 80, from 2001:db8::9 0, HIER_DIRECT',
    ])
    expect(go({ sourceIPv4: '10.0.0.9' })[2]).toBe('2001:db8::20 80, HIER_DIRECT')
    // spoofing and tcp_outgoing_address exclude each other
    expect(go({ ...sources, forge: true })[0]).toBe('198.51.100.20 80, forged 192.0.2.10 0, HIER_DIRECT')
    // tproxy_uses_indirect_client: another's, of whose family the servers then are
    expect(go({ ...sources, forge: true, forgedAs: endpoint('192.0.2.99', 51_234) })[0]).toBe('198.51.100.20 80, forged 192.0.2.99 0, HIER_DIRECT')
    expect(go({ ...sources, forge: true, forgedAs: client6 })[0]).toBe('2001:db8::20 80, forged 2001:db8:a::10 0, HIER_DIRECT')
  })

  it('hands mark and TOS to every route', () => {
    const answer = router.route(session('direct'), hint({ host: 'both.example', port: 80, mark: 7, tos: 0 }))
    if (answer instanceof Promise || !answer.ok) throw new Error('there are routes')
    expect(answer.routes.map(({ mark, tos }) => [mark, tos])).toEqual([[7, 0], [7, 0], [7, 0]])
  })

  it('never goes to ourselves: not by name, address or loopback, but to what else the name has', () => {
    for (const host of ['us.example', '10.0.0.1', '127.0.0.1']) {
      expect(said(router.route(session('direct'), hint({ host, port: 3129 })))).toBe('loop')
    }
    expect(said(router.route(session('direct'), hint({ host: 'us.example', port: 80 })))).toEqual(['10.0.0.1 80, HIER_DIRECT'])
    expect(said(router.route(session('direct'), hint({ host: 'mixed.example', port: 3129 })))).toEqual(['198.51.100.20 3129, HIER_DIRECT'])
  })

  it('makes no more routes than can be tried', () => {
    expect(said(router.route(session('direct'), hint({ host: 'many.example', port: 80 })))).toHaveLength(25)
  })
})

describe('to a cache_peer', () => {
  const line = { name: 'p', host: 'both.example', port: 3128, noTproxy: false, tls: null }
  const peerAt = (more: Partial<typeof line> = {}): Peer =>
    ({ name: 'p', line: { ...line, ...more }, tls: null, livesAt: () => {} }) as unknown as Peer
  const options = { name: 'r', isOwn, overridable: null, peerLookup: atOnce }
  const toPeer = (forgeAddress: boolean, peer: Peer, more: Partial<RouteHint> = {}, from = session('tproxy')): readonly string[] | string => {
    const answer = createTransparentRouter({ ...options, forgeAddress }).routeToPeer?.(from, hint({ forge: true, ...more }), peer, 'CARP')
    if (answer === undefined) throw new Error('it knows no peers')
    return said(answer)
  }

  it.each([
    ['by all addresses it has', toPeer(false, peerAt()), ['198.51.100.20 3128, CARP', '198.51.100.21 3128, CARP', '2001:db8::20 3128, CARP']],
    ["with the client's address by those of its family", toPeer(true, peerAt()), ['198.51.100.20 3128, forged 192.0.2.10 0, CARP', '198.51.100.21 3128, forged 192.0.2.10 0, CARP']],
    ['the same for IPv6', toPeer(true, peerAt(), {}, session('tproxy', client6, target6)), ['2001:db8::20 3128, forged 2001:db8:a::10 0, CARP']],
    ['not at all, rather than with ours', toPeer(true, peerAt({ host: 'six.example' })), 'no-route'],
    ['with ours where the line says no-tproxy', toPeer(true, peerAt({ host: 'six.example', noTproxy: true })), ['2001:db8::20 3128, CARP', '2001:db8::21 3128, CARP']],
    ['with ours where spoof_client_ip says no', toPeer(true, peerAt({ host: 'four.example' }), { forge: false, sourceIPv4: '10.0.0.9' }), ['198.51.100.20 3128, from 10.0.0.9 0, CARP']],
    ['never to ourselves', toPeer(false, peerAt({ host: 'us.example', port: 3129 })), 'loop'],
    ['whose name is unknown', toPeer(false, peerAt({ host: 'none.example' })), 'dns-failed'],
  ])('%s', (_, answer, expected) => expect(answer).toEqual(expected))

  it('a router of other servers knows none', () => {
    expect(createDirectedRouter({ name: 'd', isOwn, forgeAddress: false, targets: [target4] }).routeToPeer).toBeUndefined()
    expect(said(createInbandRouter({ name: 'i', isOwn, forgeAddress: false, lookup: atOnce }).routeToPeer?.(session('direct'), hint(), peerAt(), 'CARP') ?? { ok: false, error: 'internal', detail: '' })).toBe('no-route')
  })
})
