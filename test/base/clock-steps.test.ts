// What counts as a step of the clock on the wall, and what is told of it.

import { expect, it } from 'vitest'
import { watchClockSteps } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

it('steps are told once each, with their direction; corrections are not, however many; stopped, nothing is', () => {
  const clock = new FakeClock()
  const told: number[] = []
  const stop = watchClockSteps(clock, by => void told.push(by))
  clock.advance(3_600_000)
  expect(told).toEqual([])
  for (let i = 0; i < 100; i++) {
    clock.set(1500)
    clock.advance(10_000)
  }
  expect(told).toEqual([])
  clock.set(-7_200_000)
  clock.advance(60_000)
  clock.set(5000)
  clock.advance(60_000)
  expect(told).toEqual([-7_200_000, 5000])
  stop()
  clock.set(5000)
  clock.advance(60_000)
  expect(told).toHaveLength(2)
  expect(clock.pending).toBe(0)
})
