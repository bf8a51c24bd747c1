// How many connections and how many who wait: per key, in all, and what gives way to what. Seen by the pool's own
// numbers, the dials comm was asked for, and an origin that answers when it is told to.

import type net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { CommError } from '../../comm/index.ts'
import { ms } from '../../src/base/index.ts'
import { heard } from '../support/origin.ts'
import { ask, type Bench, forgedBy, get, type Heard, Opened, ok, post, routeTo, turns } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

/** Holds every request until it is let go. */
const patient = async () => {
  const held: net.Socket[] = []
  const origin = await opened.origin(async socket => {
    while ((await heard(socket).catch(() => null)) !== null) held.push(socket)
  })
  return {
    port: origin.port,
    held,
    async arrived(count: number): Promise<void> {
      while (held.length < count) await turns(1)
    },
    answer(count = held.length): void {
      for (const socket of held.splice(0, count)) socket.write(ok)
    },
  }
}

const all = (got: readonly Heard[]) => Promise.all(got.map(one => one.whole()))

const numbers = ({ pool }: Bench) => ({ connections: pool.connections, idle: pool.idleConnections, waiting: pool.waiting, keys: pool.keys })

describe('a key', () => {
  it('has no more connections than its limit; the others wait, first come first served, and reuse them', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsPerKeyMax: 2 } })
    const got = Array.from({ length: 5 }, () => ask(b, routeTo(origin.port)))
    await origin.arrived(2)
    await turns()
    expect(numbers(b)).toEqual({ connections: 2, idle: 0, waiting: 3, keys: 1 })
    const order: number[] = []
    got.forEach((one, i) => void one.until(() => one.over).then(() => order.push(i)))
    while (got.some(one => !one.over)) {
      await origin.arrived(1)
      origin.answer(1)
      await turns()
    }
    await all(got)
    expect(order.slice(2)).toEqual([2, 3, 4])
    expect(got.map(one => one.connected[0]?.reused)).toEqual([false, false, true, true, true])
    expect(b.dials).toHaveLength(2)
    expect(numbers(b)).toEqual({ connections: 2, idle: 2, waiting: 0, keys: 1 })
  })

  it('takes the connection used last, so that those not needed grow old', async () => {
    const origin = await patient()
    const b = opened.bench()
    const both = [ask(b, routeTo(origin.port)), ask(b, routeTo(origin.port))]
    await origin.arrived(2)
    origin.answer()
    await all(both)
    const locals = new Set<number | undefined>()
    for (let i = 0; i < 5; i++) {
      const one = ask(b, routeTo(origin.port))
      await origin.arrived(1)
      origin.answer()
      await one.whole()
      locals.add(one.connected[0]?.local?.port)
    }
    expect(locals.size).toBe(1)
  })

  it('at its limit closes an idle connection for a request that needs a fresh one', async () => {
    const origin = await opened.answering()
    const b = opened.bench({ limits: { connectionsPerKeyMax: 1 } })
    await ask(b, routeTo(origin.port)).whole()
    const posted = await ask(b, routeTo(origin.port), post(null)).whole()
    expect(posted.connected.map(c => c.reused)).toEqual([false])
    expect(numbers(b)).toEqual({ connections: 1, idle: 1, waiting: 0, keys: 1 })
  })

  it('gives the place of a connection that ended to who waits', async () => {
    const origin = await opened.origin(async socket => {
      await heard(socket)
      socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi')
    })
    const b = opened.bench({ limits: { connectionsPerKeyMax: 1 } })
    await all(Array.from({ length: 4 }, () => ask(b, routeTo(origin.port))))
    expect(b.dials).toHaveLength(4)
    expect(numbers(b)).toEqual({ connections: 0, idle: 0, waiting: 0, keys: 0 })
  })

  it('gives the place of a failed dial to who waits', async () => {
    const origin = await opened.answering()
    let refused = 0
    const b = opened.bench({
      limits: { connectionsPerKeyMax: 1 },
      refuses: () => (++refused === 1 ? Object.assign(new Error('no'), { code: 'ECONNREFUSED', errno: 'ECONNREFUSED', syscall: 'connect' }) : undefined),
    })
    const [first, second] = [ask(b, routeTo(origin.port)), ask(b, routeTo(origin.port))]
    expect((await first.failure()).code).toBe('connect-failed')
    await second.whole()
    expect(numbers(b)).toMatchObject({ connections: 1, waiting: 0 })
  })
})

describe('all keys together', () => {
  it('have no more connections than their limit: the one idle longest goes', async () => {
    const origin = await opened.answering()
    const b = opened.bench({ limits: { connectionsMax: 2 } })
    const [one, two, three] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'].map(source => routeTo(origin.port, forgedBy(source)))
    for (const route of [one, two, three]) if (route) await ask(b, route).whole()
    expect(numbers(b)).toEqual({ connections: 2, idle: 2, waiting: 0, keys: 2 })
    expect(b.pool.counters.evicted).toBe(1)
    if (two && one) {
      expect((await ask(b, two).whole()).connected[0]?.reused).toBe(true)
      expect((await ask(b, one).whole()).connected[0]?.reused).toBe(false)
    }
    // three was idle longest by then
    expect(b.dials.map(dial => dial.source?.address)).toEqual(['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.2'])
  })

  it('at their limit let keys take turns', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsMax: 1 } })
    const sources = ['127.0.0.2', '127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.4']
    const got = sources.map(source => ask(b, routeTo(origin.port, forgedBy(source)), post(null)))
    while (got.some(one => !one.over)) {
      await origin.arrived(1)
      expect(b.pool.connections).toBe(1)
      origin.answer()
      await turns()
    }
    await all(got)
    expect(b.dials.map(dial => dial.source?.address.at(-1))).toEqual(['2', '2', '3', '4', '2'])
    expect(b.pool.waiting).toBe(0)
  })

  it('lets an idle connection go when a starved key needs its place', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsMax: 1 } })
    const first = ask(b, routeTo(origin.port))
    await origin.arrived(1)
    const second = ask(b, routeTo(origin.port, forgedBy('127.0.0.2')))
    origin.answer()
    await first.whole()
    await origin.arrived(1)
    origin.answer()
    await second.whole()
    expect(numbers(b)).toEqual({ connections: 1, idle: 1, waiting: 0, keys: 1 })
  })

  it('refuse who would be one waiting too many, at once', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsPerKeyMax: 1, waitingMax: 2 } })
    const got = Array.from({ length: 4 }, () => ask(b, routeTo(origin.port)))
    expect(got[3]?.over).toBe(false) // never inside the call
    const failure = await got[3]?.failure()
    expect([failure?.code, failure?.status]).toEqual(['overload', 503])
    for (let i = 0; i < 3; i++) {
      await origin.arrived(1)
      origin.answer()
      await turns()
    }
    await all(got.slice(0, 3))
  })

  it('refuse who has waited for forward_timeout', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsPerKeyMax: 1 } })
    const first = ask(b, routeTo(origin.port))
    const second = ask(b, routeTo(origin.port))
    await origin.arrived(1)
    b.clock.advance(241_000)
    expect((await second.failure()).code).toBe('overload')
    expect(b.pool.waiting).toBe(0)
    origin.answer()
    await first.whole()
  })
})

describe('without descriptors', () => {
  const noDescriptor = () => new CommError('EMFILE', 'socket', 'no descriptors')

  it('a request waits for the end of another one instead of failing, and one dial at a time looks again', async () => {
    const origin = await patient()
    let left = 1
    const b = opened.bench({ refuses: () => (left-- > 0 ? undefined : noDescriptor()) })
    const sources = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']
    const got: Heard[] = []
    for (const source of sources) {
      got.push(ask(b, routeTo(origin.port, forgedBy(source))))
      await origin.arrived(1)
    }
    await turns()
    expect(numbers(b)).toMatchObject({ connections: 1, waiting: 3 })
    expect([got.some(one => one.over), b.dials.length]).toEqual([false, 2])
    b.clock.advance(250)
    await turns()
    expect([numbers(b).waiting, b.dials.length]).toEqual([3, 3])
    // the one at work ends: its connection gives way to the next in line, and so on
    for (let done = 0; done < got.length; done++) {
      left = 1
      origin.answer()
      await turns()
      if (done < got.length - 1) await origin.arrived(1)
    }
    await all(got)
    expect(numbers(b)).toMatchObject({ connections: 1, idle: 1, waiting: 0 })
    b.clock.advance(500)
    expect(b.dials.length).toBeLessThan(12)
  })

  it('a request that has nobody to wait for fails', async () => {
    const b = opened.bench({ refuses: noDescriptor })
    expect((await ask(b, routeTo(80)).failure()).code).toBe('socket-failed')
    expect(numbers(b)).toEqual({ connections: 0, idle: 0, waiting: 0, keys: 0 })
  })
})

describe('who gives up', () => {
  it('leaves the line, wherever it stands', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsPerKeyMax: 1 } })
    const got = Array.from({ length: 6 }, () => ask(b, routeTo(origin.port)))
    await origin.arrived(1)
    for (const i of [1, 3, 5]) got[i]?.fetch?.abort()
    expect(b.pool.waiting).toBe(2)
    for (let i = 0; i < 3; i++) {
      await origin.arrived(1)
      origin.answer()
      await turns()
    }
    await all([0, 2, 4].flatMap(i => got[i] ?? []))
    expect([1, 3, 5].map(i => got[i]?.events)).toEqual([[], [], []])
    expect(numbers(b)).toEqual({ connections: 1, idle: 1, waiting: 0, keys: 1 })
  })

  it('while dialling frees the place', async () => {
    const origin = await opened.answering()
    const b = opened.bench()
    const got = ask(b, routeTo(origin.port))
    got.fetch?.abort()
    await turns(20)
    expect(got.events).toEqual([])
    expect(numbers(b)).toEqual({ connections: 0, idle: 0, waiting: 0, keys: 0 })
  })

  it('inside onConnected gets no answer', async () => {
    const origin = await opened.answering()
    const b = opened.bench()
    const got = ask(b, routeTo(origin.port))
    await got.until(() => got.connected.length === 1)
    got.fetch?.abort()
    await turns(20)
    expect(got.events).toEqual(['connected'])
    expect(b.pool.connections).toBe(0)
  })
})

describe('an idle connection', () => {
  it('is closed after server_idle_pconn_timeout', async () => {
    const origin = await opened.answering()
    const b = opened.bench({ limits: { idleTimeout: ms(60_000) } })
    await ask(b, routeTo(origin.port)).whole()
    b.clock.advance(59_000)
    expect(b.pool.idleConnections).toBe(1)
    b.clock.advance(2000)
    expect(numbers(b)).toEqual({ connections: 0, idle: 0, waiting: 0, keys: 0 })
  })

  it('has its whole time again after each use', async () => {
    const origin = await opened.answering()
    const b = opened.bench({ limits: { idleTimeout: ms(60_000) } })
    for (let i = 0; i < 4; i++) {
      await ask(b, routeTo(origin.port)).whole()
      b.clock.advance(50_000)
    }
    expect(b.dials).toHaveLength(1)
  })

  it('is closed by closeIdle, those at work are not', async () => {
    const origin = await patient()
    const b = opened.bench()
    const first = ask(b, routeTo(origin.port))
    await origin.arrived(1)
    origin.answer()
    await first.whole()
    const busy = [ask(b, routeTo(origin.port)), ask(b, routeTo(origin.port))]
    await origin.arrived(2)
    origin.answer(1)
    while (b.pool.idleConnections === 0) await turns(1)
    b.pool.closeIdle()
    expect(numbers(b)).toEqual({ connections: 1, idle: 0, waiting: 0, keys: 1 })
    origin.answer()
    await all(busy)
  })
})

describe('a closed pool', () => {
  it('begins nothing new, answers those who wait, lets those at work end, and keeps nothing', async () => {
    const origin = await patient()
    const b = opened.bench({ limits: { connectionsPerKeyMax: 1 } })
    const [working, waiting] = [ask(b, routeTo(origin.port)), ask(b, routeTo(origin.port))]
    await origin.arrived(1)
    b.pool.close()
    expect((await waiting.failure()).code).toBe('shutting-down')
    expect((await ask(b, routeTo(origin.port)).failure()).code).toBe('shutting-down')
    origin.answer()
    await working.whole()
    expect(numbers(b)).toEqual({ connections: 0, idle: 0, waiting: 0, keys: 0 })
  })
})

describe('the next request', () => {
  it('started from onEnd takes the connection that has just become free', async () => {
    const origin = await opened.answering()
    const b = opened.bench()
    const chain: Heard[] = []
    const first = ask(b, routeTo(origin.port))
    const done = Promise.withResolvers<void>()
    const end = first.onEnd.bind(first)
    first.onEnd = trailers => {
      end(trailers)
      const next = ask(b, routeTo(origin.port), get('/next'))
      chain.push(next)
      void next.until(() => next.over).then(() => done.resolve())
    }
    await done.promise
    expect(chain[0]?.connected[0]?.reused).toBe(true)
    expect(b.dials).toHaveLength(1)
  })
})
