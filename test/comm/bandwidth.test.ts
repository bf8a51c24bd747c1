import { expect, it } from 'vitest'
import { Bandwidths } from '../../comm/bandwidth.ts'
import { FakeClock } from '../support/fake-clock.ts'

// The filling of bandwidth limits goes on whatever those do who are told of it: rates are measured in test/contract.

it('limits are filled on after somebody who waits for them has thrown', () => {
  const clock = new FakeClock()
  const bandwidths = new Bandwidths(clock)
  const bucket = bandwidths.open(100_000)
  bandwidths.tokens[2 * bucket.index] = 0
  let told = 0
  const forget = bandwidths.onFilled(() => {
    told++
    throw new Error('a bug of its owner')
  })
  expect(() => clock.advance(1000)).toThrow('a bug of its owner')
  expect([told, clock.pending]).toEqual([1, 1])
  forget()
  clock.advance(2000)
  expect(bandwidths.tokens[2 * bucket.index]).toBeGreaterThan(0)
  bandwidths.stop()
  expect(clock.pending).toBe(0)
})
