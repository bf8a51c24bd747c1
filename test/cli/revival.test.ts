// When a worker that died is started again.

import { expect, it } from 'vitest'
import { monoMs } from '../../src/base/index.ts'
import { Revival } from '../../src/cli/workers/revival.ts'

const waits = (lives: readonly number[]): number[] => {
  let now = 1000
  const revival = new Revival(monoMs(now))
  return lives.map(life => {
    now += life
    const { wait } = revival.died(monoMs(now))
    now += wait
    revival.born(monoMs(now))
    return wait / 1000
  })
}

it('at once after a good life, then later and later, up to a minute', () => {
  expect(waits([100, 100, 100, 100, 100, 100, 100, 100, 100, 100])).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 64, 64])
})

it('a minute of life forgets what was before', () => {
  expect(waits([100, 100, 100, 60_000, 59_999, 60_000])).toEqual([0, 1, 2, 0, 1, 0])
})
