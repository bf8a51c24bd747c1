// Contract: what one worker has told, every other hears once, in its order; who has missed some is told that all keys are
// meant; nobody hears itself.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type CacheKey, changesBytes, SharedChanges } from '../../src/cache/index.ts'

const workers = 3
const fresh = () => {
  const memory = new ArrayBuffer(changesBytes(workers))
  return Array.from({ length: workers }, (_, i) => new SharedChanges(memory, i + 1, workers))
}
const heardBy = (changes: SharedChanges): (string | null)[] => {
  const heard: (string | null)[] = []
  if (changes.isBehind) changes.catchUp(key => heard.push(key))
  return heard
}

it('whoever tells what and looks when: nothing is lost, nothing comes twice', () => {
  const step = fc.record({ who: fc.nat(workers - 1), key: fc.option(fc.string({ unit: 'binary', maxLength: 5000 })), looks: fc.nat(workers - 1) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const all = fresh()
      const owed: (string | null)[][][] = all.map(() => all.map(() => []))
      const look = (i: number) => {
        const heard = heardBy(all[i] as SharedChanges)
        const expected = (owed[i] ?? []).flat()
        owed[i] = all.map(() => [])
        if (heard.includes(null)) expect(expected.length).toBeGreaterThan(0)
        else expect(heard).toEqual(expected)
        if (expected.includes(null)) expect(heard).toContain(null)
      }
      for (const { who, key, looks } of steps) {
        all[who]?.tell(key as CacheKey | null)
        // what is no Unicode is no key
        for (const [i, lists] of owed.entries()) if (i !== who) lists[who]?.push(key === null ? null : Buffer.from(key).toString())
        look(looks)
      }
      all.forEach((_, i) => look(i))
      all.forEach((one, i) => expect([i, one.isBehind, heardBy(one)]).toEqual([i, false, []]))
    }),
  )
})

it('who has slept through a whole ring is told of all keys, and hears single ones again afterwards', () => {
  const [one, other] = fresh() as [SharedChanges, SharedChanges]
  for (let i = 0; i < 20_000; i++) one.tell(`GET http://a.example/${i}` as CacheKey)
  expect(heardBy(other)).toEqual([null])
  one.tell('GET http://a.example/' as CacheKey)
  expect(heardBy(other)).toEqual(['GET http://a.example/'])
  // far beyond where positions wrap within a ring
  for (let i = 0; i < 50_000; i++) {
    one.tell(`GET http://b.example/${i}` as CacheKey)
    expect(heardBy(other)).toEqual([`GET http://b.example/${i}`])
  }
})

it('a key that is longer than half a ring stands for all', () => {
  const [one, other] = fresh() as [SharedChanges, SharedChanges]
  one.tell('x'.repeat(200_000) as CacheKey)
  expect(heardBy(other)).toEqual([null])
})

it('a worker started again goes on where its predecessor was', () => {
  const memory = new ArrayBuffer(changesBytes(2))
  const other = new SharedChanges(memory, 2, 2)
  new SharedChanges(memory, 1, 2).tell('a' as CacheKey)
  const again = new SharedChanges(memory, 1, 2)
  again.tell('b' as CacheKey)
  expect(heardBy(other)).toEqual(['a', 'b'])
  expect(heardBy(again)).toEqual([])
})
