import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Deadlines, type MonoMs, monoMs, ms, type Watched } from '../../src/base/index.ts'
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

  it('is met in time though telling another took long, and that one has set a new one', () => {
    const { clock, deadlines } = make()
    const [first, second, third] = [new Item(clock), new Item(clock), new Item(clock)]
    deadlines.set(first, ms(1000))
    deadlines.set(second, ms(1250))
    deadlines.set(third, ms(1500))
    first.then = () => {
      clock.stall(600) // the moments of the others go by
      deadlines.set(first, ms(60_000))
    }
    clock.advance(2_500)
    expect([first, second, third].map(item => item.passed.length)).toEqual([1, 1, 1])
  })

  it.each(['first', 'second', 'third'])('is met though the owner of the %s one throws', which => {
    const { clock, deadlines } = make()
    const items = { first: new Item(clock), second: new Item(clock), third: new Item(clock) }
    const all = Object.values(items)
    const ill = all[['first', 'second', 'third'].indexOf(which)]
    const later = new Item(clock)
    for (const item of all) deadlines.set(item, ms(1000))
    deadlines.set(later, ms(3000))
    if (ill !== undefined) {
      ill.then = () => {
        throw new Error('a bug of its owner')
      }
    }
    expect(() => clock.advance(1_501)).toThrow('a bug of its owner')
    clock.advance(500)
    expect(all.map(item => item.passed.length)).toEqual([1, 1, 1])
    clock.advance(2_000)
    expect([later.passed.length, deadlines.watched, clock.pending]).toEqual([1, 0, 0])
  })

  it('keeps one timer, whatever is stopped and set while deadlines are being told', () => {
    const { clock, deadlines } = make()
    const [first, second] = [new Item(clock), new Item(clock)]
    deadlines.set(first, ms(1000))
    first.then = () => {
      deadlines.stop()
      deadlines.set(second, ms(1000))
    }
    clock.advance(1_501)
    expect([first.passed.length, clock.pending]).toEqual([1, 1])
    clock.advance(1_501)
    expect([second.passed.length, deadlines.watched, clock.pending]).toEqual([1, 0, 0])
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

/** As the system's clock does: it stands still while a turn of the engine holds it. */
class HeldClock extends FakeClock {
  #held: MonoMs | null = null

  override hold(): void {
    this.#held = monoMs(this.passed)
  }

  override release(): void {
    this.#held = null
  }

  override mono = (): MonoMs => this.#held ?? monoMs(this.passed)
}

it('turns that hold the clock, and owners who compute and set others when told: each is told once, as late as the machine was busy', () => {
  const busy = fc.nat(700)
  const delay = fc.integer({ min: 1, max: 5_000 })
  const plan = fc.record({
    turns: fc.array(fc.record({ at: fc.nat(7), delay, busy, rest: fc.nat(2_000) }), { minLength: 1, maxLength: 20 }),
    told: fc.array(fc.record({ at: fc.nat(7), delay, busy }), { maxLength: 40 }),
  })
  fc.assert(
    fc.property(plan, ({ turns, told }) => {
      const clock = new HeldClock()
      const deadlines = new Deadlines(clock, { tick: ms(250), slots: 16 })
      const items = Array.from({ length: 8 }, () => new Item(clock))
      const due = new Map<Item, number>()
      let busyMs = 0
      const compute = (by: number) => {
        clock.stall(by)
        busyMs += by
      }
      const set = (at: number, delay: number) => {
        const item = items[at] as Item // of eight
        deadlines.set(item, ms(delay))
        due.set(item, clock.mono() + delay)
      }
      let next = 0
      for (const item of items) {
        item.then = () => {
          const wanted = due.get(item) ?? Number.POSITIVE_INFINITY
          expect(clock.mono()).toBeGreaterThanOrEqual(wanted)
          expect(clock.mono() - wanted).toBeLessThanOrEqual(500 + busyMs)
          due.delete(item)
          const does = told[next++]
          if (does === undefined) return
          compute(does.busy)
          set(does.at, does.delay)
        }
      }
      for (const turn of turns) {
        clock.hold()
        compute(turn.busy)
        set(turn.at, turn.delay)
        compute(turn.busy)
        clock.release()
        clock.advance(turn.rest)
      }
      // each that is told may set one more; a wheel that missed somebody would take a round longer, and be seen above
      clock.advance(5_500 * (told.length + 1) + busyMs)
      expect([due.size, deadlines.watched, clock.pending]).toEqual([0, 0, 0])
    }),
    { numRuns: 300 },
  )
})
