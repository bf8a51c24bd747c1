import { beforeEach, describe, expect, it } from 'vitest'
import { commCounters } from '../../comm/counters.ts'
import { FdBudget } from '../../comm/fd-budget.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Descriptors are kept back for what is in work: listeners pause when only the reserve is left, and resume when there
// is room again, or, when the system said no, after a second.

let clock: FakeClock
let warnings: string[]
let log: string[]
const listener = { pauseForBudget: () => void log.push('pause'), resumeFromBudget: () => void log.push('resume') }

const budget = (fdMax: number) => {
  const counters = commCounters()
  const made = new FdBudget(fdMax, clock, counters, text => warnings.push(text))
  made.add(listener)
  return { made, counters }
}

beforeEach(() => {
  clock = new FakeClock()
  warnings = []
  log = []
})

describe('fd budget', () => {
  it.each([
    [1024, 100],
    [400, 100],
    [399, 99],
    [64, 16],
    [4, 1],
  ])('of %i descriptors keeps %i back', (fdMax, reserved) => {
    expect(budget(fdMax).made.reserved).toBe(reserved)
  })

  it('pauses when only the reserve is left, and resumes with a little more', () => {
    const { made, counters } = budget(160) // 40 back
    made.opened(119)
    expect([log, made.acceptable]).toEqual([[], 1])
    made.opened()
    expect([log, made.acceptable, made.paused]).toEqual([['pause'], 0, true])
    made.closed(5)
    expect(log).toEqual(['pause'])
    made.closed()
    expect([log, made.acceptable]).toEqual([['pause', 'resume'], 6])
    expect([counters.acceptPauses, warnings.length]).toEqual([1, 1])
    expect(warnings[0]).toContain('ulimit -n')
  })

  it('counts what others in the process hold', () => {
    const made = new FdBudget(160, clock, commCounters(), text => warnings.push(text), 30)
    made.add(listener)
    made.opened(89)
    expect([log, made.acceptable]).toEqual([[], 1])
    made.opened()
    expect([log, made.acceptable]).toEqual([['pause'], 0])
    made.closed(6)
    expect([log, made.acceptable]).toEqual([['pause', 'resume'], 6])
  })

  it('after a failed accept waits a second, even if our own count says there is room', () => {
    const { made, counters } = budget(1000)
    made.opened(10)
    made.acceptFailed('EMFILE')
    made.acceptFailed('EMFILE')
    made.closed(5)
    expect(log).toEqual(['pause'])
    clock.advance(999)
    expect(log).toEqual(['pause'])
    clock.advance(1)
    expect(log).toEqual(['pause', 'resume'])
    expect(counters.acceptErrors).toBe(2)
    expect(clock.pending).toBe(0)
  })

  it('warns at most once in fifteen seconds', () => {
    const { made } = budget(1000)
    for (let second = 0; second < 31; second++) {
      made.acceptFailed('ENFILE')
      clock.advance(1000)
    }
    expect(warnings.length).toBe(3)
  })

  it('a listener that comes while accepting is paused is paused', () => {
    const { made } = budget(8)
    made.opened(8)
    const late: string[] = []
    made.add({ pauseForBudget: () => void late.push('pause'), resumeFromBudget: () => void late.push('resume') })
    expect(late).toEqual(['pause'])
    made.remove(listener)
    made.closed(8)
    expect([log, late]).toEqual([['pause'], ['pause', 'resume']])
  })

  it('leaves no timer behind when it is stopped', () => {
    const { made } = budget(8)
    made.acceptFailed('EMFILE')
    made.stop()
    expect(clock.pending).toBe(0)
  })
})
