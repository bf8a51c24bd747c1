import fc from 'fast-check'
import { expect, it } from 'vitest'
import { radixOrder } from '../../src/acl/zone/radix-order.ts'

// The order of prefixes before they are laid flat: by key, and equal ones as they came. Seen against Array's own sort, on
// both sides of the number from which on digits are counted instead of compared.

const orderOf = (keys: readonly (readonly number[])[], digits: number) =>
  Array.from(radixOrder(keys.length, digits, (item, place) => keys[item]?.[place] ?? 0))

const expected = (keys: readonly (readonly number[])[], digits: number) =>
  keys
    .map((key, item) => ({ key, item }))
    .sort((a, b) => {
      for (let place = digits - 1; place >= 0; place--) {
        const difference = (a.key[place] ?? 0) - (b.key[place] ?? 0)
        if (difference !== 0) return difference
      }
      return 0
    })
    .map(({ item }) => item)

it('of nothing is nothing, and of one is one', () => {
  expect([orderOf([], 3), orderOf([[7]], 1)]).toEqual([[], [0]])
})

it.each([2, 40, 1023, 1024, 1025, 3000])('of %i keys is that of a stable sort, with many alike', count => {
  const digit = fc.oneof(fc.constantFrom(0, 1, 0xff, 0x100, 0xffff), fc.nat(0xffff))
  fc.assert(
    fc.property(fc.array(fc.array(digit, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 12 }), fc.nat(), (some, seed) => {
      const keys = Array.from({ length: count }, (_, i) => some[(i * 7919 + seed) % some.length] ?? [])
      expect(orderOf(keys, 3)).toEqual(expected(keys, 3))
    }),
    { numRuns: 20 },
  )
})
