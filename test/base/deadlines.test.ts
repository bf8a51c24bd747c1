import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Deadlines, type MonoMs, ms, type Watched } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

// The one timer of all connections: never early, at most two ticks late, and nothing that is over stays in it.

class Item implements Watched {
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly passed: number[] = []
  readonly clock: FakeClock
  then: () => void = () => {}

  constructor(clock: FakeClock) {
    this.clock = clock
  }

  deadlinePassed(): void {
    this.passed.push(this.clock.mono())
    this.then()
  }
}

const make = (slots = 16) => {
  const clock = new FakeClock()
  return { clock, deadlines: new Deadlines(clock, { tick: ms(250), slots }) }
}

describe('a deadline', () => {
  it.each([1, 249, 250, 251, 3_999, 4_000, 60_000])('of %i ms is met once, never early and within two ticks', delay => {
    const { clock, deadlines } = make()
    const item = new Item(clock)
    const due = clock.mono() + delay
    deadlines.set(item, ms(delay))
    clock.advance(delay - 1)
    expect(item.passed).toEqual([])
    clock.advance(501)
    expect(item.passed).toHaveLength(1)
    expect(item.passed[0]).toBeGreaterThanOrEqual(due)
    clock.advance(100_000)
    expect(item.passed).toHaveLength(1)
    expect([deadlines.watched, clock.pending]).toEqual([0, 0])
  })

  it('that is moved further away is met at the later moment', () => {
    const { clock, deadlines } = make()
    const item = new Item(clock)
    deadlines.set(item, ms(1000))
    clock.advance(900)
    deadlines.set(item, ms(1000))
    clock.advance(999)
    expect(item.passed).toEqual([])
    clock.advance(501)
    expect(item.passed).toHaveLength(1)
  })

  it('that is drawn nearer is met at the nearer moment', () => {
    const { clock, deadlines } = make()
    const item = new Item(clock)
    deadlines.set(item, ms(120_000))
    clock.advance(10)
    deadlines.set(item, ms(500))
    clock.advance(1_001)
    expect(item.passed).toHaveLength(1)
  })

  it('that was cleared or forgotten is not met', () => {
    const { clock, deadlines } = make()
    const [cleared, forgotten] = [new Item(clock), new Item(clock)]
    deadlines.set(cleared, ms(1000))
    deadlines.set(forgotten, ms(1000))
    deadlines.clear(cleared)
    deadlines.forget(forgotten)
    expect(deadlines.watched).toBe(1)
    clock.advance(10_000)
    expect([cleared.passed, forgotten.passed, deadlines.watched]).toEqual([[], [], 0])
  })

  it('may be set anew, and others forgotten, while deadlines are being told', () => {
    const { clock, deadlines } = make()
    const [first, second] = [new Item(clock), new Item(clock)]
    deadlines.set(second, ms(1000))
    deadlines.set(first, ms(1000))
    first.then = () => {
      deadlines.forget(second)
      if (first.passed.length < 3) deadlines.set(first, ms(1000))
    }
    second.then = () => {
      deadlines.forget(first)
    }
    clock.advance(20_000)
    // whoever is told first keeps the other from being told
    expect([first.passed.length, second.passed.length].toSorted()).toEqual(first.passed.length > 0 ? [0, 3] : [0, 1])
    expect(deadlines.watched).toBe(0)
  })

  it('is met after the machine has slept for longer than the wheel goes round', () => {
    const { clock, deadlines } = make(4)
    const items = [100, 600, 900, 5_000, 50_000].map(delay => {
      const item = new Item(clock)
      deadlines.set(item, ms(delay))
      return item
    })
    clock.advance(10_000)
    expect(items.map(item => item.passed.length)).toEqual([1, 1, 1, 1, 0])
  })

  it('keeps no link to what has left', () => {
    const { clock, deadlines } = make()
    const items = Array.from({ length: 5 }, () => new Item(clock))
    for (const item of items) deadlines.set(item, ms(1000))
    for (const item of [2, 0, 4, 3, 1].map(at => items[at])) if (item !== undefined) deadlines.forget(item)
    for (const item of items) expect([item.deadlineBefore, item.deadlineBehind, item.deadlineTurn]).toEqual([null, null, 0])
  })
})

it('any history of setting, clearing and waiting agrees with a list that is sorted each time', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(5), delay: fc.integer({ min: 1, max: 20_000 }) }),
    fc.record({ kind: fc.constant('clear' as const), at: fc.nat(5), delay: fc.constant(0) }),
    fc.record({ kind: fc.constant('forget' as const), at: fc.nat(5), delay: fc.constant(0) }),
    fc.record({ kind: fc.constant('wait' as const), at: fc.constant(0), delay: fc.integer({ min: 1, max: 9_000 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const { clock, deadlines } = make()
      const items = Array.from({ length: 6 }, () => new Item(clock))
      const due: (number | null)[] = items.map(() => null)
      const told = items.map(() => 0)
      const settle = () => {
        items.forEach((item, at) => {
          const wanted = due[at] ?? null
          if (item.passed.length > (told[at] ?? 0)) {
            expect(wanted).not.toBeNull()
            expect(item.passed.at(-1)).toBeGreaterThanOrEqual(wanted ?? Number.POSITIVE_INFINITY)
            told[at] = item.passed.length
            due[at] = null
          } else if (wanted !== null) expect(clock.mono() - wanted).toBeLessThanOrEqual(500)
        })
      }
      for (const { kind, at, delay } of steps) {
        const item = items[at]
        if (item === undefined) continue
        if (kind === 'wait') clock.advance(delay)
        else if (kind === 'set') deadlines.set(item, ms(delay))
        else deadlines[kind](item)
        if (kind === 'set') due[at] = clock.mono() + delay
        else if (kind !== 'wait') due[at] = null
        settle()
      }
    }),
    { numRuns: 300 },
  )
})
