import { expect, test } from 'vitest'
import { type Counting, Legacies } from '../../src/cli/workers/legacies.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Guards what the supervisor knows of the counts of its workers when one of them dies. Sees it in what it would hand to the
// successor, with workers that are asked on a clock that is driven. test/cli/workers.test.ts kills real ones.

class FakeWorker implements Counting {
  readonly number: number
  over = false
  asked = 0
  says: Record<string, unknown> | null = null

  constructor(number: number) {
    this.number = number
  }

  async ask(): Promise<unknown> {
    this.asked++
    return this.says
  }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

const staged = (...workers: FakeWorker[]) => {
  const clock = new FakeClock()
  return { clock, legacies: new Legacies(clock, () => workers.filter(({ over }) => !over)) }
}

test('each is asked every five seconds, and what it has last said is its legacy', async () => {
  const [one, two] = [new FakeWorker(1), new FakeWorker(2)]
  const { clock, legacies } = staged(one, two)
  legacies.begin()
  one.says = { counters: 7 }
  two.says = { counters: 1 }
  clock.advance(4_999)
  await settled()
  expect([one.asked, two.asked, legacies.of(1)]).toEqual([0, 0, {}])
  clock.advance(1)
  await settled()
  expect([legacies.of(1), legacies.of(2)]).toEqual([{ counters: 7 }, { counters: 1 }])

  one.says = { counters: 9 }
  two.says = null // it hangs: what it has said before counts
  clock.advance(5_000)
  await settled()
  expect([legacies.of(1), legacies.of(2)]).toEqual([{ counters: 9 }, { counters: 1 }])

  two.over = true
  clock.advance(5_000)
  await settled()
  expect([one.asked, two.asked]).toEqual([3, 2])
  expect(legacies.of(2)).toEqual({ counters: 1 })
  legacies.stop()
  clock.advance(5_000)
  await settled()
  expect(one.asked).toBe(3)
})

test('what somebody was told of one page is kept beside the others', () => {
  const { legacies } = staged()
  legacies.keep(1, { counters: 3, figures: 3 })
  legacies.keep(1, { counters: 4 })
  expect(legacies.of(1)).toEqual({ counters: 4, figures: 3 })
})
