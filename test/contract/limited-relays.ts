import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Comm, createComm, type RelayOptions, type RelayStats } from '../../comm/index.ts'
import { connectPair, pattern } from '../support/comm-kit.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Relays with conditions: one way only, and bandwidth limits alone and shared. The clock is moved by hand, so what may
// pass by when is exact to the byte; and whatever was held back arrives in the end, whole.

export const limitedRelayContract = (engine: 'native' | 'node'): void => {
  let clock: FakeClock
  let comm: Comm
  let failures: unknown[]

  beforeEach(() => {
    clock = new FakeClock()
    failures = []
    comm = createComm({ engine, clock, onFailure: error => failures.push(error), onWarning: () => {} })
  })

  afterEach(() => {
    comm.close()
    expect(failures).toEqual([])
  })

  const relayed = async (some: Partial<RelayOptions> = {}) => {
    const left = await connectPair(comm)
    const right = await connectPair(comm)
    const { promise: end, resolve } = Promise.withResolvers<RelayStats>()
    const relay = comm.relay(left.server, right.client, { idleTimeoutMs: 0, onRelayed: resolve, ...some })
    return { relay, end, a: left.client, b: right.server, aSaw: left.clientSaw, bSaw: right.serverSaw }
  }

  const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await turn()
  }

  /** Time passes in steps in which the network has its turns, until `done`. */
  const until = async (done: () => boolean, steps = 2000): Promise<void> => {
    for (let i = 0; i < steps && !done(); i++) {
      clock.advance(50)
      await turns(3)
    }
    expect(done(), 'in time').toBe(true)
  }

  it.each(['to-a', 'to-b'] as const)('%s: one way only, both ends passed on', async oneWay => {
    const { a, b, aSaw, bSaw, end } = await relayed({ oneWay })
    const sent = pattern(3_000_000)
    a.write(sent)
    b.write(sent)
    a.shutdownWrite()
    b.shutdownWrite()
    await Promise.all([aSaw.ended(), bSaw.ended()])
    const [gets, getsNot] = oneWay === 'to-a' ? [aSaw, bSaw] : [bSaw, aSaw]
    expect(gets.received.equals(sent)).toBe(true)
    expect(getsNot.bytes).toBe(0)
    const stats = await end
    expect(stats).toEqual({ bytesToA: oneWay === 'to-a' ? sent.length : 0, bytesToB: oneWay === 'to-b' ? sent.length : 0, why: 'done' })
  })

  it('no more than the burst and what time has brought passes', async () => {
    const limit = comm.bandwidth(100_000)
    const { a, b, aSaw, bSaw, relay, end } = await relayed({ limits: [limit] })
    const sent = pattern(200_000)
    a.write(sent)
    await bSaw.has(1)
    await turns(20)
    const piece = engine === 'node' ? 65_536 : 0 // what was read at once cannot be unread
    expect(relay.bytesToB).toBeLessThanOrEqual(25_000 + piece)
    for (const seconds of [1, 1]) {
      const before = relay.bytesToB
      for (let i = 0; i < 20 * seconds; i++) {
        clock.advance(50)
        await turns(3)
      }
      expect(relay.bytesToB - before).toBeLessThanOrEqual(100_000 * seconds + piece)
    }
    await until(() => bSaw.bytes === sent.length)
    a.shutdownWrite()
    b.shutdownWrite()
    await Promise.all([aSaw.ended(), bSaw.ended()])
    expect(bSaw.received.equals(sent)).toBe(true)
    expect((await end).bytesToB).toBe(sent.length)
    limit.close()
  })

  it('the rate is reached, not only kept', async () => {
    const limit = comm.bandwidth(1_000_000)
    const { a, bSaw } = await relayed({ limits: [limit] })
    a.write(pattern(3_000_000))
    await bSaw.has(1)
    let steps = 0
    await until(() => {
      steps++
      return bSaw.bytes === 3_000_000
    })
    // 2.75 s of 20 steps each after the burst, and a few turns of the network
    expect(steps).toBeLessThan(75)
    limit.close()
  })

  it('each direction has its own share', async () => {
    const limit = comm.bandwidth(100_000)
    const { a, b, aSaw, bSaw } = await relayed({ limits: [limit] })
    a.write(pattern(100_000))
    await bSaw.has(1)
    await turns(10)
    b.write('answer')
    await aSaw.has(6)
    expect(aSaw.text).toBe('answer')
    await until(() => bSaw.bytes === 100_000)
    limit.close()
  })

  it('of several limits the poorest decides, and a shared one is shared fairly', async () => {
    const shared = comm.bandwidth(1_000_000)
    const own = comm.bandwidth(50_000)
    const first = await relayed({ limits: [shared] })
    const second = await relayed({ limits: [shared] })
    const slow = await relayed({ limits: [own, shared] })
    for (const { a } of [first, second, slow]) a.write(pattern(4_000_000))
    await until(() => first.bSaw.bytes + second.bSaw.bytes > 2_000_000)
    const [one, two] = [first.bSaw.bytes, second.bSaw.bytes]
    expect(Math.min(one, two) / Math.max(one, two), `${one} and ${two}`).toBeGreaterThan(0.5)
    expect(slow.relay.bytesToB).toBeLessThan(350_000)
    expect(slow.relay.bytesToB).toBeGreaterThan(50_000)
    shared.close()
    own.close()
  })

  it('what a sends can have the tokens of what b sends, and waits in its socket', async () => {
    const shape = { bytesPerSecond: 40_000, burst: 10_000, initial: 10_000, fromServerOnly: true }
    const [one, free] = [comm.bandwidthOf(shape), comm.bandwidthOf({ ...shape, bytesPerSecond: 9e9, burst: 9e9, initial: 9e9 })]
    const { a, b, aSaw, bSaw, relay, end } = await relayed({ limits: [one], limitsOfA: [free, one] })
    const sent = pattern(200_000)
    a.write(sent)
    b.write(sent)
    await Promise.race([aSaw.has(1), bSaw.has(1)])
    await turns(20)
    const pieces = engine === 'node' ? 2 * 65_536 : 0 // what was read at once cannot be unread, and is owed
    expect(relay.bytesToA + relay.bytesToB).toBeLessThanOrEqual(10_000 + pieces)
    for (let i = 0; i < 20; i++) {
      clock.advance(50)
      await turns(3)
    }
    expect(relay.bytesToA + relay.bytesToB).toBeLessThanOrEqual(50_000 + pieces)
    a.shutdownWrite()
    b.shutdownWrite()
    let ends = 0
    for (const saw of [aSaw, bSaw]) void saw.ended().then(() => ends++)
    await until(() => ends === 2)
    expect([aSaw.received.equals(sent), bSaw.received.equals(sent)]).toEqual([true, true])
    expect((await end).why).toBe('done')
    for (const limit of [one, free]) limit.close()
  })

  it('more limits than the addon asks are kept, too', async () => {
    const shape = { bytesPerSecond: 0, burst: 9_000, initial: 9_000, fromServerOnly: true }
    const limits = Array.from({ length: 6 }, () => comm.bandwidthOf(shape))
    const { a, bSaw, relay } = await relayed({ limitsOfA: limits })
    a.write(pattern(200_000))
    await bSaw.has(1)
    for (let i = 0; i < 20; i++) {
      clock.advance(50)
      await turns(3)
    }
    expect(relay.bytesToB).toBeLessThanOrEqual(65_536 + 9_000)
    relay.stop()
    for (const limit of limits) limit.close()
  })

  it('a limited relay ends like any other', async () => {
    const limit = comm.bandwidth(1000)
    const { a, b, aSaw, bSaw, end, relay } = await relayed({ limits: [limit] })
    a.write(pattern(100_000))
    await bSaw.has(1)
    b.resetClose()
    await until(() => aSaw.closedBecause !== null)
    expect((await end).why).not.toBe('done')
    expect(relay.bytesToB).toBeLessThan(100_000)
    limit.close()
  })

  const hears = engine === 'native' ? '' : ' (not here: Node hears of nothing while it does not read)'
  it.skipIf(engine === 'node')(`who resets while what he has sent waits is not waited for${hears}`, async () => {
    const limit = comm.bandwidthOf({ bytesPerSecond: 1, burst: 20_000, initial: 20_000, fromServerOnly: true })
    const { a, bSaw, end, relay } = await relayed({ limitsOfA: [limit] })
    a.write(pattern(300_000))
    await bSaw.has(20_000)
    await turns(10)
    a.resetClose()
    await until(() => bSaw.closedBecause !== null)
    expect((await end).why).not.toBe('done')
    expect(relay.bytesToB).toBeLessThan(200_000)
    limit.close()
  })

  it('limits are given back, and their timer stops with the last', async () => {
    const before = clock.pending
    const some = Array.from({ length: 100 }, (_, i) => comm.bandwidth(1000 + i))
    expect(new Set(some.map(({ index }) => index)).size).toBe(100)
    for (const limit of some) limit.close()
    some[0]?.close()
    clock.advance(1000)
    expect(clock.pending).toBe(before)
    const again = Array.from({ length: 100 }, () => comm.bandwidth(5000))
    expect(new Set(again.map(({ index }) => index))).toEqual(new Set(some.map(({ index }) => index)))
    expect(again[7]?.left(0)).toBe(3000)
  })
}
