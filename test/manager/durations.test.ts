import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { monoMs, ms, type ResultCode } from '../../src/base/index.ts'
import { binOf, binSeconds, durationBins, ServiceTimes } from '../../src/manager/durations.ts'
import {
  averagesPage, ClientTable, clientListPage, counted, History, histogramsPage, type Page, serviceTimesPage, Traffic, utilizationPage,
} from '../../src/manager/index.ts'
import { outcomeOf } from '../log/kit.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Guards the arithmetic behind the pages: bins that hold what they say, percentiles right to an eighth, averages over the
// time they claim, and that none of it grows with the traffic.

describe('bins', () => {
  it('each begins where the one before ends, and holds what falls between', () => {
    for (let bin = 0; bin < durationBins - 1; bin++) {
      const [from, to] = [binSeconds(bin) * 1e6, binSeconds(bin + 1) * 1e6]
      expect(to).toBeGreaterThan(from)
      expect(binOf(from / 1000 + 1e-9), `from of ${bin}`).toBe(bin)
      expect(binOf((to - 1) / 1000 + 1e-9), `last of ${bin}`).toBe(bin)
    }
  })

  it.each([[-1, 0], [0, 0], [Number.NaN, 0], [1e12, durationBins - 1], [Number.POSITIVE_INFINITY, durationBins - 1]])('%d ms is in bin %d', (value, bin) => {
    expect(binOf(value)).toBe(bin)
  })

  it('a percentile is right to an eighth', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 1e5, noNaN: true }), { minLength: 1, maxLength: 50 }), fc.integer({ min: 1, max: 100 }), (values, percent) => {
        const times = new ServiceTimes()
        for (const value of values) times.add(0, value)
        const sorted = values.toSorted((a, b) => a - b)
        const exact = (sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? 0) / 1000
        const found = times.percentile('all', percent)
        expect(found).toBeLessThanOrEqual(exact + 1e-9)
        expect(found).toBeGreaterThanOrEqual(exact * (8 / 9) - 1e-6)
      }),
    )
  })

  it('none is zero', () => expect(new ServiceTimes().percentile('all', 50)).toBe(0))
})

const setting = () => {
  const clock = new FakeClock()
  const traffic = new Traffic()
  const startedAt = clock.wall()
  const history = new History({ clock, startedAt, traffic, disk: () => ({ stored: 0, read: 0, removed: 0 }) })
  const count = (result: ResultCode, took = 100) =>
    traffic.count(outcomeOf({ result, startedMono: monoMs(0), endedMono: monoMs(took), responseBytes: 1024 }))
  return { clock, traffic, history, count, startedAt }
}

describe('history', () => {
  it('of a worker that came later counts from the start of the proxy, and no rate knows of it', () => {
    const { clock, traffic, startedAt, count } = setting()
    const history = new History({ clock, startedAt, traffic, disk: () => ({ stored: 0, read: 0, removed: 0 }), upBefore: ms(3_600_000) })
    count('TCP_MISS')
    clock.advance(120_000)
    const { from, to } = history.last(5)
    expect([to.up, to.up - from.up, to.sums.requests - from.sums.requests]).toEqual([3_720_000, 120_000, 1])
    history.stop()
  })

  it('five minutes are five minutes', () => {
    const { clock, history, count } = setting()
    for (let minute = 0; minute < 20; minute++) {
      count('TCP_MISS')
      if (minute >= 15) count('TCP_MEM_HIT', 1)
      clock.advance(60_000)
    }
    const { from, to } = history.last(5)
    expect(to.at - from.at).toBe(5 * 60_000)
    expect([to.sums.requests - from.sums.requests, to.sums.hits - from.sums.hits]).toEqual([10, 5])
    const times = to.times.since(from.times)
    expect([times.total('all'), times.total('hit'), times.total('miss')]).toEqual([10, 5, 5])
    const hour = history.last(60)
    expect([hour.to.at - hour.from.at, hour.to.sums.requests - hour.from.sums.requests]).toEqual([20 * 60_000, 25])
  })

  it('three days are kept by the hour, and no more', () => {
    const { clock, history, count } = setting()
    for (let hour = 0; hour < 100; hour++) {
      count('TCP_MISS')
      clock.advance(3_600_000)
    }
    const hours = (minutes: number) => {
      const { from, to } = history.last(minutes)
      return [(to.at - from.at) / 3_600_000, to.sums.requests - from.sums.requests]
    }
    expect([hours(60), hours(8 * 60), hours(24 * 60), hours(72 * 60), hours(1000 * 60)]).toEqual([[1, 1], [8, 8], [24, 24], [72, 72], [72, 72]])
  })

  it('leaves no timer behind', () => {
    const { clock, history } = setting()
    history.stop()
    expect(clock.pending).toBe(0)
  })

  it('what nobody asked for is no request of a client', () => {
    const { traffic, history, startedAt } = setting()
    traffic.count(outcomeOf({ initiator: 'validation', serverContentBytes: 5 }))
    expect(counted(history, startedAt, {}).sums).toMatchObject({ requests: 0, bytesOut: 0, serverRequests: 1, serverBytesIn: 5 })
  })
})

describe('clients', () => {
  const client = (n: number) => ({ family: 4 as const, address: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, port: 1 })

  it('are told with what they got, and how it came about', async () => {
    const table = new ClientTable()
    for (const result of ['TCP_MISS', 'TCP_MEM_HIT', 'TCP_MEM_HIT'] as const) table.count(outcomeOf({ client: client(1), result }))
    table.count(outcomeOf({ client: client(2), initiator: 'validation' }))
    const page = clientListPage(table, () => 3)
    const answer = await page.answer(new URLSearchParams())
    if (!answer.ok) throw new Error('refused')
    expect(answer.value).toMatchObject([{ address: '10.0.0.1', connections: 3, requests: 3, hits: 2, results: { TCP_MISS: 1, TCP_MEM_HIT: 2 } }])
    expect(page.text(answer.value)).toBe(
      'Cache Clients:\nAddress: 10.0.0.1\nName:    10.0.0.1\nCurrently established connections: 3\n    ICP  Requests 0\n    HTTP Requests 3\n' +
        '        TCP_MEM_HIT                2  67%\n        TCP_MISS                   1  33%\n\nTOTALS\nICP : 0 Queries, 0 Hits (  0%)\nHTTP: 3 Requests, 2 Hits ( 67%)\n',
    )
  })

  it('are ten thousand at most', () => {
    const table = new ClientTable()
    for (let n = 0; n < 10_100; n++) table.count(outcomeOf({ client: client(n) }))
    expect(table.size).toBe(10_000)
    table.on = false
    table.count(outcomeOf({ client: client(99_999) }))
    expect(table.size).toBe(10_000)
  })
})

describe('several workers', () => {
  const shown = async <Value>(page: Page<Value>): Promise<Value> => {
    const answer = await page.answer(new URLSearchParams())
    if (!answer.ok) throw new Error('refused')
    return JSON.parse(JSON.stringify(answer.value)) as Value // as it comes from another worker
  }

  it.each([
    ['5min', (s: ReturnType<typeof setting>) => averagesPage('5min', s.history)],
    ['utilization', (s: ReturnType<typeof setting>) => utilizationPage(s.history, () => counted(s.history, s.startedAt, {}))],
    ['service_times', (s: ReturnType<typeof setting>) => serviceTimesPage(s.history)],
    ['histograms', (s: ReturnType<typeof setting>) => histogramsPage(() => s.traffic.times)],
  ])('%s of two is that of one with the work of both', async (_name, pageOf) => {
    const [one, other, both] = [setting(), setting(), setting()]
    for (let i = 0; i < 30; i++) one.count('TCP_MISS', 10 + i)
    for (let i = 0; i < 60; i++) other.count('TCP_MEM_HIT', 1 + i / 10)
    for (let i = 0; i < 30; i++) both.count('TCP_MISS', 10 + i)
    for (let i = 0; i < 60; i++) both.count('TCP_MEM_HIT', 1 + i / 10)
    for (const { clock } of [one, other, both]) clock.advance(30_000)
    const page = pageOf(both) as Page<unknown>
    const together = page.together
    if (typeof together !== 'function') throw new Error('it has none')
    const sum = page.text(together([await shown(pageOf(one) as Page<unknown>), await shown(pageOf(other) as Page<unknown>)], []))
    // CPU time is this process's own, whatever was counted
    const bare = (text: string) => text.replace(/^(?:cpu_\w+|page_faults) = .*\n/gm, '')
    expect(bare(sum)).toBe(bare(page.text(await shown(page))))
  })
})
