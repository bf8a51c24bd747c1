import { once } from 'node:events'
import { vi } from 'vitest'
import { FakeClock } from '../support/fake-clock.ts'
import { startProxy } from '../support/proxy.ts'
import { fetchBy, type Way } from './client.ts'
import { suiteOrigin } from './origin.ts'
import { pausing, point, type Result, run, steady } from './suite.ts'

// The whole machine, the suite's origin and its client in one process, on one clock that stands still. The suite pauses
// for three seconds to let things become stale; here all tests that pause meet, and the clock is put three seconds on.

const pauseMs = 3000

export interface Setting {
  /** `origin` is the port of the suite's origin. The port of the conf is named web. */
  conf(origin: number): string
  way(proxy: number): Way
  baseUrl(origin: number, proxy: number): string
}

export const runInProcess = async (setting: Setting): Promise<readonly Result[]> => {
  const clock = new FakeClock()
  vi.spyOn(Date, 'now').mockImplementation(clock.wall)
  vi.spyOn(console, 'log').mockImplementation(() => {}) // the suite's origin remarks on what is no fault
  const origin = suiteOrigin()
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  const address = origin.address()
  const originPort = typeof address === 'object' && address !== null ? address.port : 0
  const proxy = await startProxy(setting.conf(originPort), 'auto', clock)
  const client = fetchBy(setting.way(proxy.port('web')))
  try {
    point(client.fetch, setting.baseUrl(originPort, proxy.port('web')))
    return [...(await run(steady)), ...(await runPausing(clock))]
  } finally {
    client.close()
    await proxy.stop()
    origin.closeAllConnections()
    origin.close()
    vi.restoreAllMocks()
  }
}

/** Each of these tests pauses once, or fails before: when all have done one of the two, time passes. */
const runPausing = async (clock: FakeClock): Promise<readonly Result[]> => {
  const waiting: (() => void)[] = []
  let over = 0
  const meet = (): void => {
    if (waiting.length + over < pausing.length) return
    clock.advance(pauseMs)
    for (const goOn of waiting.splice(0)) goOn()
  }
  const setTimeout = globalThis.setTimeout
  const pauses = (call: () => void, delay?: number, ...words: unknown[]) => {
    // the pause of the suite's client is the only one of that length that hands nothing on
    if (delay !== pauseMs || words.length > 0) return Reflect.apply(setTimeout, globalThis, [call, delay, ...words])
    waiting.push(call)
    meet()
  }
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(pauses as typeof setTimeout) // less its promisified form
  return run(pausing, () => {
    over++
    if (waiting.length > 0) meet()
  })
}
