import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, MemoryStore } from '../../src/cache/index.ts'
import { RemovalOrder } from '../../src/cache/store/removal-order.ts'
import { type RemovalPolicy, removalPolicies } from '../../src/cache/store/removal-policy.ts'
import { write } from '../contract/store.ts'
import { bytesOf } from '../../src/cache/store/size.ts'
import { fieldsOf, storedOf } from './kit.ts'
import { idealHits, type Ask, zipfTrace } from './removal-model.ts'

// Guards that what leaves first is what the policy says: against a model that looks at everything each time, step by
// step, and over a long trace with the popularity and the sizes of the web.

const policies = Object.keys(removalPolicies) as RemovalPolicy[]

describe.each(policies)('%s', policy => {
  test('what leaves is what a look at all of them says, whatever came before', () => {
    const command = fc.record({ what: fc.integer({ min: 0, max: 9 }), n: fc.nat({ max: 40 }), size: fc.integer({ min: 1, max: 5000 }) })
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), commands => {
        const order = new RemovalOrder(policy)
        const model = new Map<number, { size: number; uses: number; rank: number }>()
        let age = 0
        const rankOf = (uses: number, size: number) =>
          policy === 'lru' ? ++age : policy === 'lfuda' ? age + uses : age + uses / size
        for (const { what, n, size } of commands) {
          const known = model.get(n)
          if (known === undefined && what < 6) {
            model.set(n, { size, uses: 1, rank: rankOf(1, size) })
            order.add(n, size, 1)
          } else if (known !== undefined && what < 6) {
            known.rank = rankOf(++known.uses, known.size)
            order.use(n)
          } else if (known !== undefined && what === 6) {
            model.delete(n)
            order.remove(n)
          } else if (model.size > 0 && what > 6) {
            const lowest = Math.min(...[...model.values()].map(each => each.rank))
            const left = order.removeFirst()
            expect(model.get(left)?.rank).toBe(lowest) // of equal ones any
            model.delete(left)
            if (policy !== 'lru') age = lowest
          }
          expect(order.count).toBe(model.size)
        }
      }),
    )
  })

  test('a memory store hits within 1 % of the policy’s ideal on a trace like the web’s', () => {
    const trace = zipfTrace({ objects: 4000, requests: 60_000, seed: 7 })
    const capacity = bytes(6_000_000)
    const store = new MemoryStore({ bytesMax: capacity, objectBytesMax: bytes(1e9), variantsMax: 4 }, policy)
    const nobody = fieldsOf()
    const sizes = new Map<number, number>()
    const content = Buffer.alloc(600_000)
    const weights = (ask: Ask): number => sizes.get(ask.object) ?? 0
    let hits = 0
    let hitBytes = 0
    for (const ask of trace) {
      const uri = `http://a.example/${ask.object}`
      if (store.lookup(cacheKey('GET', uri)) !== null) {
        hits++
        hitBytes += ask.bytes
        continue
      }
      const stored = write(store, storedOf({ uri, response: ['Cache-Control: max-age=60'], contentLength: ask.bytes }), content.subarray(0, ask.bytes), nobody)
      if (stored === null) throw new Error('not stored')
      sizes.set(ask.object, bytesOf(stored))
    }
    const ideal = idealHits(policy, trace, capacity, weights)
    expect(hits / trace.length).toBeGreaterThan(0.2)
    expect(Math.abs(hits - ideal.hits) / trace.length).toBeLessThan(0.01)
    expect(Math.abs(hitBytes - ideal.hitBytes) / ideal.askedBytes).toBeLessThan(0.01)
  })
})

test('the policies do what they are for: gdsf hits most often, lfuda serves more bytes than gdsf', () => {
  const trace = zipfTrace({ objects: 4000, requests: 60_000, seed: 11 })
  const by = Object.fromEntries(policies.map(policy => [policy, idealHits(policy, trace, 6_000_000, ask => ask.bytes + 1000)]))
  expect(by['gdsf']?.hits).toBeGreaterThan(1.1 * (by['lru']?.hits ?? Number.POSITIVE_INFINITY))
  expect(by['lfuda']?.hitBytes).toBeGreaterThan(by['gdsf']?.hitBytes ?? Number.POSITIVE_INFINITY)
})

test('whatever is taken out of the middle, the rest leaves in the order of its ranks', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 100, maxLength: 200 })
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.nat()), (bytesOfEach, picks) => {
      const order = new RemovalOrder('gdsf')
      const here = new Set(bytesOfEach.keys())
      for (const [entry, size] of bytesOfEach.entries()) order.add(entry, size, 1)
      for (let i = 0; i < 60; i++) {
        const entry = [...here][(picks.next().value ?? 0) % here.size] ?? 0
        order.remove(entry)
        here.delete(entry)
      }
      const left: number[] = []
      while (order.count > 0) left.push(bytesOfEach[order.removeFirst()] ?? 0)
      expect(left).toEqual([...here].map(entry => bytesOfEach[entry] ?? 0).sort((a, b) => b - a)) // the largest first
    }),
  )
})

test('another policy takes up the order and the uses there are', () => {
  const store = new MemoryStore({ bytesMax: bytes(20_000), objectBytesMax: bytes(10_000), variantsMax: 4 })
  const keyOf = (n: number) => cacheKey('GET', `http://a.example/${n}`)
  const put = (n: number) =>
    write(store, storedOf({ uri: `http://a.example/${n}`, response: ['Cache-Control: max-age=60'] }), Buffer.alloc(2000), fieldsOf())
  for (let n = 0; n < 5; n++) put(n)
  for (let i = 0; i < 3; i++) store.lookup(keyOf(0)) // often, but longest ago
  for (let n = 1; n < 5; n++) store.lookup(keyOf(n))
  store.usePolicy('lfuda')
  for (let n = 5; n < 9; n++) put(n)
  expect(store.peek(keyOf(0))).not.toBe(null)
  expect(store.peek(keyOf(1))).toBe(null)
  store.usePolicy('lru')
  for (let n = 9; n < 20; n++) put(n)
  expect(store.peek(keyOf(0))).toBe(null)
  expect(store.count).toBeGreaterThan(4)
})
