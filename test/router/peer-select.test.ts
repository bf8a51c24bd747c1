// Who is taken of several peers, and in what order: rules as tables, and the properties a hash that shares work must have.
// The choices of carp and sourcehash are those of Squid 5.7, asked with the same names, weights and URIs.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ringOf, takerOf } from '../../src/router/peer-select/hash-ring.ts'
import { type PeerView, type SelectRequest, type SelectRules, selectWays } from '../../src/router/peer-select/select.ts'

const members = (...weights: readonly number[]) => weights.map((weight, i) => ({ name: `p${i}`, weight }))
const everybody = () => true
const uris = (count: number) => Array.from({ length: count }, (_, i) => `http://h.test/${i}`)

describe('a ring', () => {
  it.each([
    [[1, 1, 1, 1], '2 3 0 0 0 0 1 2 3 1 0 0 3 0 3 2 2 0 1 3 2 0 1 2 1 2 1 3 2 2'],
    [[3, 1, 2, 1], '2 3 0 1 0 2 0 2 0 0 1 0 0 0 2 1 3 0 3 0 0 1 2 0 0 0 0 0 2 2'],
  ])('with weights %j gives each URI to whom Squid gives it', (weights, taken) => {
    const ring = ringOf(members(...weights))
    expect(uris(30).map(uri => takerOf(ring, () => uri, everybody, true)?.name.slice(1)).join(' ')).toBe(taken)
  })

  it('goes by paths, and by addresses, as Squid does', () => {
    const ring = ringOf(members(1, 1, 1, 1))
    expect(uris(8).map((_, i) => takerOf(ring, () => `/${i}`, everybody, true)?.name).join(' ')).toBe('p3 p0 p0 p3 p0 p1 p1 p2')
    expect(takerOf(ring, () => '127.0.0.1', everybody, false)?.name).toBe('p1')
  })

  it.each([[[1, 1, 1, 1, 1]], [[5, 3, 1, 1]], [[10, 1]]])('with weights %j gives each its part', weights => {
    const ring = ringOf(members(...weights))
    const had = new Map<string, number>()
    const count = 20_000
    for (const uri of uris(count)) {
      const name = takerOf(ring, () => uri, everybody, false)?.name ?? ''
      had.set(name, (had.get(name) ?? 0) + 1)
    }
    const all = weights.reduce((sum, weight) => sum + weight, 0)
    for (const [i, weight] of weights.entries()) {
      expect(Math.abs((had.get(`p${i}`) ?? 0) / count - weight / all)).toBeLessThan(0.02)
    }
  })

  it('moves nothing but what a member had when it goes down', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 8 }), fc.nat(), fc.boolean(), fc.webUrl(), (weights, which, adding, uri) => {
        const ring = ringOf(members(...weights))
        const down = `p${which % weights.length}`
        const before = takerOf(ring, () => uri, everybody, adding)?.name
        const after = takerOf(ring, () => uri, ({ name }) => name !== down, adding)?.name
        expect(after).not.toBe(down)
        if (before !== down) expect(after).toBe(before)
      }),
    )
  })

  it('gives what nobody may take to nobody', () => {
    expect(takerOf(ringOf(members(1, 1)), () => 'x', () => false, true)).toBeNull()
    expect(takerOf(ringOf(members()), () => 'x', everybody, true)).toBeNull()
  })
})

interface Drawn extends Partial<PeerView> {
  readonly carp?: boolean
  readonly source?: boolean
  readonly user?: boolean
}

const view = (name: string, drawn: Drawn = {}): PeerView & Drawn => ({
  name, kind: 'parent', usable: true, roundRobin: false, weightedRoundRobin: false, weight: 1, turns: 0, ...drawn,
})

const select = (peers: readonly (PeerView & Drawn)[], request: Partial<SelectRequest> = {}, rules: Partial<SelectRules> = {}, hit: string | null = null): string => {
  const ring = (of: (peer: Drawn) => boolean | undefined) => ringOf(peers.filter(of))
  const ways = selectWays(
    { direct: 'also', hierarchical: true, sourceKey: '127.0.0.1', userKey: 'somebody', ...request },
    { preferDirect: false, nonhierarchicalDirect: true, ...rules },
    peers,
    {
      carp: ring(peer => peer.carp), source: ring(peer => peer.source), user: ring(peer => peer.user),
      carpKey: () => 'http://h.test/', view: name => peers.find(peer => peer.name === name),
    },
    hit === null ? null : { peer: peers.find(({ name }) => name === hit) ?? null, code: 'SIBLING_HIT' },
  )
  return ways.map(({ peer, code }) => (peer === null ? code : `${code} ${peer.name}`)).join(', ')
}

describe('the ways of a request', () => {
  const a = view('a')
  const b = view('b')
  const sibling = view('s', { kind: 'sibling' })

  it.each([
    ['the first parent, the others, the origin', select([a, b]), 'FIRSTUP_PARENT a, ANY_OLD_PARENT b, HIER_DIRECT'],
    ['siblings are none of them', select([sibling, b]), 'FIRSTUP_PARENT b, HIER_DIRECT'],
    ['those that are down neither', select([view('a', { usable: false }), b]), 'FIRSTUP_PARENT b, HIER_DIRECT'],
    ['always_direct', select([a], { direct: 'only' }), 'HIER_DIRECT'],
    ['never_direct', select([a, b], { direct: 'never' }), 'FIRSTUP_PARENT a, ANY_OLD_PARENT b'],
    ['never_direct, and nobody is there', select([sibling], { direct: 'never' }), ''],
    ['prefer_direct', select([a], {}, { preferDirect: true }), 'HIER_DIRECT, FIRSTUP_PARENT a'],
    ['another cache cannot help', select([a], { hierarchical: false }), 'HIER_DIRECT'],
    ['another cache cannot help, prefer_direct', select([a], { hierarchical: false }, { preferDirect: true }), 'HIER_DIRECT'],
    ['another cache cannot help, nonhierarchical_direct off', select([a], { hierarchical: false }, { nonhierarchicalDirect: false }), 'FIRSTUP_PARENT a, HIER_DIRECT'],
    ['another cache cannot help, never_direct', select([a], { hierarchical: false, direct: 'never' }), 'FIRSTUP_PARENT a'],
    ['a sibling has it', select([a, sibling], {}, {}, 's'), 'SIBLING_HIT s, FIRSTUP_PARENT a, HIER_DIRECT'],
    ['a parent has it, and is not tried twice', select([a, b], {}, {}, 'b'), 'SIBLING_HIT b, FIRSTUP_PARENT a, HIER_DIRECT'],
    ['who had it has left the conf', select([a], {}, {}, 'x'), 'FIRSTUP_PARENT a, HIER_DIRECT'],
    ['sourcehash before userhash', select([a, view('u', { user: true }), view('c', { source: true })]), 'SOURCEHASH_PARENT c, ANY_OLD_PARENT a, ANY_OLD_PARENT u, HIER_DIRECT'],
    ['userhash before carp', select([a, view('c', { carp: true }), view('u', { user: true })]), 'USERHASH_PARENT u, ANY_OLD_PARENT a, ANY_OLD_PARENT c, HIER_DIRECT'],
    ['userhash, and nobody said who he is', select([view('u', { user: true }), view('c', { carp: true })], { userKey: '' }), 'CARP c, ANY_OLD_PARENT u, HIER_DIRECT'],
    ['carp before turns', select([view('r', { roundRobin: true }), view('c', { carp: true })]), 'CARP c, ANY_OLD_PARENT r, HIER_DIRECT'],
    ['carp, which is down', select([view('r', { roundRobin: true }), view('c', { carp: true, usable: false })]), 'ROUNDROBIN_PARENT r, HIER_DIRECT'],
    ['turns: who has had least', select([view('a', { roundRobin: true, turns: 2 }), view('b', { roundRobin: true, turns: 1 })]), 'ROUNDROBIN_PARENT b, ANY_OLD_PARENT a, HIER_DIRECT'],
    ['turns: by weight', select([view('a', { roundRobin: true, turns: 2, weight: 3 }), view('b', { roundRobin: true, turns: 1 })]), 'ROUNDROBIN_PARENT a, ANY_OLD_PARENT b, HIER_DIRECT'],
    ['turns: the last of equals', select([view('a', { roundRobin: true }), view('b', { roundRobin: true })]), 'ROUNDROBIN_PARENT b, ANY_OLD_PARENT a, HIER_DIRECT'],
    ['turns by time come after turns', select([view('w', { weightedRoundRobin: true }), view('r', { roundRobin: true, turns: 9 })]), 'ROUNDROBIN_PARENT r, ANY_OLD_PARENT w, HIER_DIRECT'],
    ['turns by time', select([view('v', { weightedRoundRobin: true, turns: 5 }), view('w', { weightedRoundRobin: true, turns: 9 })]), 'ROUNDROBIN_PARENT v, ANY_OLD_PARENT w, HIER_DIRECT'],
  ])('%s', (_, ways, expected) => expect(ways).toBe(expected))
})
