// When a worker counts as one that hangs: four questions in a row without an answer, never time alone.

import { expect, it } from 'vitest'
import type { DurationMs } from '../../src/base/index.ts'
import { Pulse } from '../../src/cli/workers/pulse.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** One who answers, or lets the patience pass. */
const watched = (timeoutMs: number) => {
  const clock = new FakeClock()
  const worker = { lives: true, occupied: false, asked: 0, hangs: 0 }
  const answers = (patience: DurationMs): Promise<boolean> => {
    worker.asked++
    if (worker.lives) return Promise.resolve(true)
    return new Promise(resolve => clock.after(patience, () => resolve(false)))
  }
  const asked = {
    answers,
    get occupied() {
      return worker.occupied
    },
  }
  const pulse = new Pulse(asked, clock, timeoutMs, () => worker.hangs++)
  /** In steps, with the turns of promises between. */
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 250) {
      clock.advance(250)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  return { clock, worker, pulse, pass }
}

it('one that answers is asked four times in its timeout, and left alone', async () => {
  const { worker, pass } = watched(4000)
  await pass(40_000)
  expect(worker).toMatchObject({ asked: 40, hangs: 0 })
})

it('one that answers no more hangs when the timeout has passed, told once', async () => {
  const { worker, pass } = watched(4000)
  await pass(1000)
  worker.lives = false
  await pass(4750)
  expect(worker.hangs).toBe(0)
  await pass(250)
  expect(worker.hangs).toBe(1)
  await pass(60_000)
  expect(worker.hangs).toBe(1)
})

it('a leap of the clock is one question missed, however far', async () => {
  const { clock, worker, pass } = watched(4000)
  worker.lives = false
  await pass(1000)
  clock.advance(3_600_000)
  worker.lives = true
  await pass(20_000)
  expect(worker.hangs).toBe(0)
})

it('one that compiles a conf is waited for, and hangs only if it does not answer afterwards', async () => {
  const { worker, pass } = watched(4000)
  worker.occupied = true
  worker.lives = false
  await pass(120_000)
  expect(worker.hangs).toBe(0)
  worker.occupied = false
  await pass(5000)
  expect(worker.hangs).toBe(1)
})

it('0: nobody is asked; another value counts from then on; a tiny one is a second', async () => {
  const { worker, pulse, pass } = watched(0)
  worker.lives = false
  await pass(60_000)
  expect(worker.asked).toBe(0)
  pulse.timeoutMs = 4
  await pass(1000)
  expect(worker.hangs).toBe(0)
  await pass(500)
  expect(worker.hangs).toBe(1)
})

it('who is stopped asks no more', async () => {
  const { worker, pulse, pass } = watched(4000)
  worker.lives = false
  await pass(2000)
  pulse.stop()
  await pass(60_000)
  expect(worker.hangs).toBe(0)
})
