import { expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { fetchesOn } from '../../src/cache/index.ts'

// Guards quick_abort_* against Squid's order of questions, at each edge.

const kb = 1024
const rule = (min: number, max: number, percent: number) => ({ min: bytes(min), max: bytes(max), percent })
const usual = rule(16 * kb, 16 * kb, 95)

test.each<[string, boolean, ReturnType<typeof rule>, number, number]>([
  ['less than min remains', true, usual, 100 * kb - 16 * kb + 1, 100 * kb],
  ['min remains, which is max, too: the share decides', false, usual, 84 * kb, 100 * kb],
  ['the same of much more', true, usual, 1000 * kb - 16 * kb, 1000 * kb],
  ['more than max remains', false, usual, 100 * kb - 16 * kb - 1, 100 * kb],
  ['more than max, though nearly all is there', false, usual, 100_000 * kb - 17 * kb, 100_000 * kb],
  ['nothing remains', true, usual, 100, 100],
  ['the length is not known', false, usual, 100, -1],
  ['-1 finishes everything', true, rule(Number.POSITIVE_INFINITY, 0, 95), 0, 1e12],
  ['-1 finishes also what has no length', true, rule(Number.POSITIVE_INFINITY, 0, 95), 0, -1],
  ['0 and 0 finish nothing', false, rule(0, 0, 0), 99, 100],
  ['between min and max more than the share is there', true, rule(0, 1000, 50), 51, 100],
  ['between min and max exactly the share is there', false, rule(0, 1000, 50), 50, 100],
  ['100 % is never more than there is', false, rule(0, 1000, 100), 99, 100],
])('%s', (_, on, given, received, expected) => {
  expect(fetchesOn(given, received, expected)).toBe(on)
})
