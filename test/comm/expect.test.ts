// What a session waits for: who is let in, who is not, when it ends, and how much of it there may be. Seen over the true
// dispatcher and a comm that listens on nothing: what is open there is what the kernel would have. The kernel's own part
// is in test/native/expect.test.ts.

import { describe, expect, it } from 'vitest'
import { createExpectations, type ExpectLimits, type ExpectOptions } from '../../comm/index.ts'
import { endpoint, endpointText, ms } from '../../src/base/index.ts'
import { createDispatcher, priority } from '../../src/dispatch/index.ts'
import { FakeComm, type FakeConnection, usual } from '../dispatch/kit.ts'
import { FakeClock } from '../support/fake-clock.ts'

const client = endpoint('198.51.100.2', 20_021)
const server = endpoint('203.0.113.10', 20)

const scene = (limits: Partial<ExpectLimits> = {}) => {
  const comm = new FakeComm()
  const clock = new FakeClock()
  const dispatcher = createDispatcher({ comm })
  let descriptors = 1000
  const all = createExpectations({
    clock,
    dispatcher,
    priority: priority.related,
    isLocal: address => address.startsWith('10.'),
    descriptorsLeft: () => descriptors,
    limits,
  })
  const said: string[] = []
  const wish = (more: Partial<ExpectOptions> = {}): ExpectOptions => ({
    foreign: client,
    from: server,
    ttl: ms(30_000),
    once: true,
    owner: client.address,
    note: 'data',
    arrived: connection => said.push(`arrived from ${endpointText(connection.peer)}`),
    ended: why => said.push(`ended: ${why}`),
    ...more,
  })
  const ask = (more: Partial<ExpectOptions> = {}) => all.expect(wish(more))
  const have = (more: Partial<ExpectOptions> = {}) => {
    const answer = ask(more)
    if (!answer.ok) throw new Error(answer.detail)
    return answer.expectation
  }
  const come = (from = server, to = client, bind = to): FakeConnection =>
    comm.arrive(endpointText(bind), { kind: 'direct' }, { peer: from, local: to })
  const open = () => [...comm.open.keys()]
  return { comm, clock, dispatcher, all, said, ask, have, come, open, descriptors: (left: number) => (descriptors = left) }
}

describe('who is waited for', () => {
  it('is let in, once, and the place is free again', () => {
    const { all, said, have, come, open } = scene()
    expect(have().endpoint).toEqual(client)
    expect(open()).toEqual(['198.51.100.2:20021'])
    expect(come().closed).toBe(false)
    expect(said).toEqual(['ended: arrived', 'arrived from 203.0.113.10:20'])
    expect([open(), all.count]).toEqual([[], 0])
  })

  it.each<[what: string, from: ReturnType<typeof endpoint> | null, peer: string, port: number, letIn: boolean]>([
    ['his address and port', server, server.address, 20, true],
    ['his address, another port', server, server.address, 21, false],
    ['his address, any port', { ...server, port: 0 }, server.address, 50_000, true],
    ['another address', { ...server, port: 0 }, '203.0.113.11', 20, false],
    ['anybody', null, '192.0.2.99', 9, true],
  ])('is told by %s', (_what, from, peer, port, letIn) => {
    const { have, come, all } = scene()
    have({ from })
    expect(come(endpoint(peer, port)).closedFor).toBe(letIn ? null : 'refused')
    expect(all.counters).toMatchObject(letIn ? { arrived: 1, strangers: 0 } : { arrived: 0, strangers: 1 })
  })

  it('is still served after strangers have tried', () => {
    const { said, have, come, all } = scene()
    have()
    for (let i = 1; i <= 20; i++) expect(come(endpoint(`192.0.2.${i}`, 1000 + i)).closedFor).toBe('refused')
    expect(come().closed).toBe(false)
    expect(said).toEqual(['ended: arrived', 'arrived from 203.0.113.10:20'])
    expect(all.counters).toMatchObject({ strangers: 20, arrived: 1 })
  })

  it('comes again and again where that is wanted', () => {
    const { said, have, come, open } = scene()
    const expectation = have({ once: false })
    for (let i = 0; i < 3; i++) expect(come().closed).toBe(false)
    expect([said.length, open().length]).toEqual([3, 1])
    expectation.close()
    expect(open()).toEqual([])
  })

  it('is told apart by peer where several wait at one place', () => {
    const { have, come, said, open } = scene()
    const other = endpoint('203.0.113.11', 20)
    have({ from: server, arrived: () => said.push('first session') })
    have({ from: other, arrived: () => said.push('second session') })
    expect(open()).toHaveLength(1)
    come(server)
    come(server)
    come(other)
    expect(said).toEqual(['ended: arrived', 'first session', 'ended: arrived', 'second session'])
    expect(open()).toEqual([])
  })

  it('may be waited for anew by who is just being told', () => {
    const { have, come, said, open } = scene()
    have({ ended: () => {}, arrived: () => have() })
    come()
    expect([said, open()]).toEqual([[], ['198.51.100.2:20021']])
    come()
    expect(said).toEqual(['ended: arrived', 'arrived from 203.0.113.10:20'])
  })
})

describe('the end', () => {
  it('comes with the time that was given, and takes the socket away', () => {
    const { clock, have, said, open, all } = scene()
    have({ ttl: ms(5000) })
    have({ ttl: ms(60_000), foreign: endpoint('2001:db8:c::2', 20_021), from: endpoint('2001:db8:f::10', 0) })
    clock.advance(4900)
    expect(said).toEqual([])
    clock.advance(1100)
    expect([said, open(), all.counters.expired]).toEqual([['ended: expired'], ['[2001:db8:c::2]:20021'], 1])
  })

  it('is not told to who closes, and closing twice is harmless', () => {
    const { clock, have, said, open, all } = scene()
    const one = have()
    const other = have()
    one.close()
    one.close()
    expect([open().length, all.count]).toEqual([1, 1])
    other.close()
    clock.advance(100_000)
    expect([open(), said, all.count]).toEqual([[], [], 0])
  })

  it('of all leaves nothing', () => {
    const { have, all, open, comm, dispatcher, clock } = scene()
    dispatcher.add(endpoint('0.0.0.0', 50_000), usual, { accept: () => 'taken' }, priority.listen)
    comm.taken.add('198.51.100.9:50000')
    for (let port = 30_000; port < 30_020; port++) have({ foreign: { ...client, port } })
    have({ foreign: endpoint('198.51.100.9', 50_000) })
    all.close()
    expect([open(), all.count, clock.pending]).toEqual([['0.0.0.0:50000'], 0, 0])
    expect(dispatcher.entriesOn(endpoint('0.0.0.0', 50_000))).toBe(1)
  })
})

describe('the place', () => {
  it('is the kernel’s choice, written back', () => {
    const { have } = scene()
    expect([have({ foreign: { ...client, port: 0 } }), have({ foreign: { ...client, port: 0 } })].map(e => e.endpoint.port)).toEqual([40_000, 40_001])
  })

  it('is one of the range, by chance, never the same for two', () => {
    const { have, ask, comm } = scene()
    const ports = { first: 50_000, last: 50_009 }
    comm.taken.add('198.51.100.2:50003') // somebody else's
    const had = Array.from({ length: 9 }, () => have({ foreign: { ...client, port: 0 }, ports }).endpoint.port)
    expect(had.toSorted()).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9].map(i => 50_000 + i))
    expect(ask({ foreign: { ...client, port: 0 }, ports })).toEqual({
      ok: false,
      reason: 'in-use',
      detail: 'no port of 50000-50009 is free at 198.51.100.2',
    })
  })

  it('cannot be told beforehand', () => {
    const orders = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const { have } = scene()
      orders.add(String(have({ foreign: { ...client, port: 0 }, ports: { first: 1024, last: 65_535 } }).endpoint.port))
    }
    expect(orders.size).toBeGreaterThan(15)
  })

  it('is foreign, unless it is one of this machine’s', () => {
    const { have, comm } = scene()
    have()
    have({ foreign: endpoint('10.0.0.1', 20_022) })
    const flags = [...comm.open.values()].map(({ options }) => options.flags)
    expect(flags).toEqual([4 | 16, 4]) // COMM_REUSEADDR, COMM_TPROXY_LCL
  })

  it('that a listener of ours takes anyhow is shared with it, and comes first', () => {
    const { comm, dispatcher, have, come, said, all, open } = scene()
    const everywhere = endpoint('0.0.0.0', 20_021)
    const parameters = { ...usual, natBackend: 'getsockname', flags: 4 | 16 } as const
    dispatcher.add(everywhere, parameters, { accept: () => (said.push('listener'), 'taken') }, priority.listen)
    for (let i = 0; i < 4; i++) comm.taken.add(`198.51.100.${i}:20021`)
    for (let i = 0; i < 4; i++) have({ foreign: endpoint(`198.51.100.${i}`, 20_021) })
    expect(dispatcher.entriesOn(everywhere)).toBe(2) // one for all that is waited for
    come(server, endpoint('198.51.100.9', 20_021), everywhere)
    come(endpoint('192.0.2.1', 5), client, everywhere)
    come(server, client, everywhere)
    expect(said).toEqual(['listener', 'listener', 'ended: arrived', 'arrived from 203.0.113.10:20'])
    all.close()
    expect([dispatcher.entriesOn(everywhere), open()]).toEqual([1, ['0.0.0.0:20021']])
  })

  it('that somebody else has is refused with the system’s words', () => {
    const { comm, ask, all, open } = scene()
    comm.taken.add(endpointText(client))
    expect(ask()).toMatchObject({ ok: false, reason: 'in-use', detail: expect.stringContaining('198.51.100.2:20021') })
    expect([open(), all.count, all.counters.expected]).toEqual([[], 0, 0])
  })
})

describe('there are no more than', () => {
  it('the limit of all, of each owner, and the descriptors allow', () => {
    const { ask, all, descriptors } = scene({ expectationsMax: 5, expectationsPerOwnerMax: 3 })
    const foreign = (port: number) => ({ ...client, port })
    for (let port = 1; port <= 3; port++) expect(ask({ foreign: foreign(port) })).toMatchObject({ ok: true })
    expect(ask({ foreign: foreign(4) })).toEqual({ ok: false, reason: 'limit', detail: '3 connections are waited for on behalf of 198.51.100.2 already' })
    for (let port = 4; port <= 5; port++) expect(ask({ foreign: foreign(port), owner: 'b' })).toMatchObject({ ok: true })
    expect(ask({ foreign: foreign(6), owner: 'c' })).toEqual({ ok: false, reason: 'limit', detail: '5 connections are waited for already' })
    expect(all.counters.limited).toBe(2)
    all.close()
    for (let port = 1; port <= 3; port++) expect(ask({ foreign: foreign(port) })).toMatchObject({ ok: true }) // counted back
    descriptors(0)
    expect(ask({ foreign: foreign(9), owner: 'd' })).toMatchObject({ ok: false, reason: 'limit', detail: 'descriptors run short' })
  })
})
