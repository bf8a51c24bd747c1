// Which target is tried when: the kinds of chainer, the memory of who failed with its expiry, the two rounds, the second
// family beside the first, and ports of a class. Seen by what comm is asked to dial, on a clock that stands still.

import { describe, expect, it } from 'vitest'
import { CommError, type Connection, type ConnectOptions } from '../../comm/index.ts'
import { endpoint, endpointText, ms, ProxyError } from '../../src/base/index.ts'
import {
  Availability, Beside, type BesideLimits, type Check, type Chainer, createConnectChainer, createOriginPool, type Dialer, failover, firstServer, inOrder,
  multiTarget, noNat, type Plan, roundRobin, type ServerPolicy, TargetStates, Turn, type Watch,
} from '../../src/chainer/index.ts'
import { portLike } from '../../src/chainer/dial.ts'
import type { Route } from '../../src/router/index.ts'
import type { Session } from '../../src/service/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { anySession, get, Heard, routeTo, turns } from './kit.ts'

const never = new AbortController().signal

type Answer = 'yes' | 'no' | 'silent' | { readonly errno: string; readonly syscall: string }

class World {
  readonly clock = new FakeClock()
  readonly states = new TargetStates({ clock: this.clock, random: () => 0.5 })
  readonly dials: ConnectOptions[] = []
  answers: (options: ConnectOptions, nth: number) => Answer = () => 'yes'
  cancelled = 0
  readonly dialer: Dialer = {
    dial: (options, _timeoutMs, done) => {
      const answer = this.answers(options, this.dials.length)
      this.dials.push(options)
      let over = false
      const tell = () => {
        if (over) return
        if (answer === 'yes') done(null, { peer: options.target, local: endpoint('10.0.0.1', 999), close() {} } as unknown as Connection)
        else if (answer !== 'silent') {
          const { errno, syscall } = answer === 'no' ? { errno: 'ECONNREFUSED', syscall: 'connect' } : answer
          done(new CommError(errno, syscall, `no ${errno}`), null)
        }
      }
      queueMicrotask(tell)
      return {
        cancel: () => {
          over = true
          this.cancelled++
        },
      }
    },
  }

  chainer(plan: Plan, policy?: ServerPolicy): Chainer {
    const pool = createOriginPool({ comm: this.dialer, clock: this.clock })
    return createConnectChainer({ comm: this.dialer, clock: this.clock, pool, plan, ...(policy === undefined ? {} : { policy }) })
  }

  /** The ports dialled by one session, the one it got last; `-` behind when it got none. */
  async session(chainer: Chainer, routes: readonly Route[]): Promise<string> {
    const before = this.dials.length
    const got = await chainer.connect(anySession(), routes, never).then(() => '', () => ' -')
    return this.dials.slice(before).map(dial => dial.target.port).join(' ') + got
  }
}

const three = [1, 2, 3].map(port => routeTo(port))
const down = (...ports: readonly number[]) => (options: ConnectOptions): Answer => (ports.includes(options.target.port) ? 'no' : 'yes')

describe('the order of targets', () => {
  const cases: readonly [string, (w: World) => Plan, readonly number[], readonly string[]][] = [
    ['all in order', () => inOrder, [], ['1', '1']],
    ['all in order, the first down', () => inOrder, [1], ['1 2', '1 2']],
    ['all in order, all down', () => inOrder, [1, 2, 3], ['1 2 3 -']],
    ['connect: the first alone', () => firstServer, [1], ['1 -', '1 -']],
    ['multi_target', () => multiTarget(new Turn()), [], ['1', '2', '3', '1']],
    ['multi_target: its turn moves by one for a session, not for a try', () => multiTarget(new Turn()), [1], ['1 2', '2', '3', '1 2']],
    ['failover', w => failover(w.states, ms(60_000)), [], ['1', '1']],
    ['failover remembers who failed', w => failover(w.states, ms(60_000)), [1], ['1 2', '2', '2']],
    ['failover, all down: two rounds', w => failover(w.states, ms(60_000)), [1, 2, 3], ['1 2 3 1 2 3 -', '1 2 3 -']],
    ['round_robin', w => roundRobin(w.states, ms(60_000), new Turn()), [], ['1', '2', '3', '1']],
    ['round_robin without the dead one', w => roundRobin(w.states, ms(60_000), new Turn()), [2], ['1', '2 3', '3', '1', '3']],
  ]
  it.each(cases)('%s', async (_what, plan, dead, expected) => {
    const w = new World()
    w.answers = down(...dead)
    const chainer = w.chainer(plan(w))
    const got: string[] = []
    for (const _ of expected) got.push(await w.session(chainer, three))
    expect(got).toEqual(expected)
  })

  it('connect takes the addresses of one name for one server', async () => {
    const w = new World()
    w.answers = down(1, 2)
    const routes = [routeTo(1), routeTo(2, { sameServer: true }), routeTo(3)]
    expect(await w.session(w.chainer(firstServer), routes)).toBe('1 2 -')
  })
})

describe('the memory of failover', () => {
  it('ends after timeout_state and a little more, counted from the first failure', async () => {
    const w = new World()
    const chainer = w.chainer(failover(w.states, ms(10_000)))
    w.answers = down(1)
    await w.session(chainer, three)
    w.answers = down()
    w.clock.advance(10_499)
    expect(await w.session(chainer, three)).toBe('2')
    w.clock.advance(1)
    expect(await w.session(chainer, three)).toBe('1')
  })

  it('knows ports: another service on the same machine is not down with it', async () => {
    const w = new World()
    const chainer = w.chainer(failover(w.states, ms(10_000)))
    w.answers = down(1)
    await w.session(chainer, three)
    expect(await w.session(chainer, [routeTo(7), routeTo(1)])).toBe('7')
    expect(await w.session(chainer, [routeTo(1, { address: '127.0.0.2' }), routeTo(7)])).toBe('1 7')
  })

  it('knows protocols: what is down for streams may answer datagrams', () => {
    const { states } = new World()
    states.failed(endpoint('10.0.0.1', 53), ms(1000), 'udp')
    expect([states.isDown(endpoint('10.0.0.1', 53), 'udp'), states.isDown(endpoint('10.0.0.1', 53))]).toEqual([true, false])
  })

  it('is about targets: a source that cannot be had says nothing of them', async () => {
    const w = new World()
    const chainer = w.chainer(failover(w.states, ms(10_000)))
    w.answers = (_, nth) => (nth === 0 ? { errno: 'EADDRNOTAVAIL', syscall: 'bind' } : 'yes')
    expect(await w.session(chainer, three)).toBe('1 2')
    expect(await w.session(chainer, three)).toBe('1')
  })

  it('serves requests of http too, and is bounded', async () => {
    const w = new World()
    const chainer = w.chainer(failover(w.states, ms(10_000)))
    w.answers = () => 'no'
    const heard = new Heard()
    chainer.fetch(anySession(), three, get(), heard)
    expect((await heard.failure()).code).toBe('connect-failed')
    expect(w.dials.map(dial => dial.target.port)).toEqual([1, 2, 3, 1, 2, 3])
    for (let port = 1; port <= 5000; port++) w.states.failed(endpoint('10.0.0.1', port), ms(10_000))
    expect(w.states.size).toBe(4096)
  })
})

describe('what the service says of its servers', () => {
  const zones: ServerPolicy = { nat: noNat, denies: target => (target.port === 3 ? '' : `${endpointText(target)} is in no zone of the service`) }

  it('leaves out the targets that are denied, and goes on with the others', async () => {
    const w = new World()
    expect(await w.session(w.chainer(inOrder, zones), three)).toBe('3')
  })

  it('refuses when it leaves none', async () => {
    const w = new World()
    const chainer = w.chainer(inOrder, zones)
    const failure = await chainer.connect(anySession(), three.slice(0, 2), never).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ProxyError)
    expect(failure).toMatchObject({ code: 'denied', message: '127.0.0.1:1 is in no zone of the service; 127.0.0.1:2 is in no zone of the service' })
    const heard = new Heard()
    chainer.fetch(anySession(), three.slice(0, 1), get(), heard)
    expect((await heard.failure()).code).toBe('denied')
    expect(w.dials).toEqual([])
  })

  it('looks at targets as they are after DNAT, and comes with the address of SNAT as it is', async () => {
    const w = new World()
    const policy: ServerPolicy = {
      nat: {
        snat: { name: 's', map: () => ({ address: '192.0.2.9', port: 0 }) },
        dnat: { name: 'd', map: () => ({ address: '192.0.2.80', port: 8080 }) },
      },
      denies: target => (endpointText(target) === '192.0.2.80:8080' ? '' : 'elsewhere'),
    }
    const session = { client: { protocol: 'tcp', peer: endpoint('10.0.0.7', 5555) } } as unknown as Session
    await w.chainer(inOrder, policy).connect(session, [routeTo(1)], never)
    expect(w.dials[0]).toMatchObject({ target: { address: '192.0.2.80', port: 8080 }, source: { address: '192.0.2.9', port: 0 }, flags: 32 })
  })
})

describe('a server with two families', () => {
  const both = [routeTo(6, { address: '2001:db8::1' }), routeTo(4, { sameServer: true })]

  it('is asked by the second after a quarter of a second, and the first that connects wins', async () => {
    const w = new World()
    w.answers = options => (options.target.family === 6 ? 'silent' : 'yes')
    const connecting = w.chainer(inOrder).connect(anySession(), both, never)
    w.clock.advance(249)
    await turns()
    expect(w.dials).toHaveLength(1)
    w.clock.advance(1)
    const { route, attempts } = await connecting
    expect([route.target.port, attempts, w.cancelled]).toEqual([4, 2, 1])
    expect(w.clock.pending).toBe(0)
  })

  it.each<readonly [string, Partial<BesideLimits>, readonly number[]]>([
    ['as often as it likes', {}, [2, 4, 6]],
    ['later', { after: ms(1000) }, [1, 2, 3]],
    ['never', { most: 0 }, [1, 2, 3]],
    ['by two at a time', { most: 2 }, [2, 4, 5]],
    ['no sooner than so long after another', { gap: 5000 }, [2, 3, 4]],
  ])('is asked by the second %s, as the conf says', async (_, limits, expected) => {
    const w = new World()
    w.answers = () => 'silent'
    const beside = new Beside(w.clock, { after: ms(250), gap: -1, most: -1, ...limits })
    const giveUp = new AbortController()
    const pool = createOriginPool({ comm: w.dialer, clock: w.clock })
    const chainer = createConnectChainer({ comm: w.dialer, clock: w.clock, pool, beside })
    const dials: number[] = []
    const waiting: Promise<unknown>[] = []
    for (let i = 0; i < 3; i++) {
      waiting.push(chainer.connect(anySession(), both, giveUp.signal).catch(() => {}))
      w.clock.advance(250)
      await turns()
      dials.push(w.dials.length)
    }
    expect(dials).toEqual(expected)
    // what has ended counts no more
    giveUp.abort()
    await Promise.all(waiting)
    w.clock.advance(10_000)
    w.dials.length = 0
    chainer.connect(anySession(), both, never).catch(() => {})
    w.clock.advance(1000)
    await turns()
    expect(w.dials).toHaveLength(limits.most === 0 ? 1 : 2)
  })

  it('is not asked twice when the first answers, and other servers wait for their turn', async () => {
    const w = new World()
    expect((await w.chainer(inOrder).connect(anySession(), both, never)).route.target.port).toBe(6)
    w.answers = () => 'silent'
    const abort = new AbortController()
    const waiting = w.chainer(inOrder).connect(anySession(), [routeTo(6, { address: '2001:db8::1' }), routeTo(4)], abort.signal)
    w.clock.advance(1000)
    expect(w.dials).toHaveLength(2)
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'client-aborted' })
  })
})

describe('ports of a class', () => {
  const from = (port: number, more: Partial<Route> = {}) => routeTo(1, { source: endpoint('10.0.0.7', port), forged: true, ...more })
  const taken = { errno: 'EADDRINUSE', syscall: 'bind' } as const
  const portsOf = (w: World) => w.dials.map(dial => dial.source?.port)

  it('exact is that port or none', async () => {
    const w = new World()
    w.answers = () => taken
    await expect(w.chainer(inOrder).connect(anySession(), [from(600)], never)).rejects.toMatchObject({ code: 'spoof-failed', errno: 'EADDRINUSE' })
    expect(portsOf(w)).toEqual([600])
  })

  it.each([[600, 514, 1024], [80, 1, 513], [40_000, 1025, 65_535]])('group: %i, and where it is taken another from %i to %i', async (port, first, last) => {
    const w = new World()
    w.answers = (_, nth) => (nth === 0 ? taken : nth === 1 ? { errno: 'EADDRNOTAVAIL', syscall: 'connect' } : 'yes')
    await w.chainer(inOrder).connect(anySession(), [from(port, { ports: 'group' })], never)
    const [one, ...others] = portsOf(w)
    expect([one, others.length]).toEqual([port, 2])
    for (const other of others) expect(Number(other) >= first && Number(other) <= last).toBe(true)
  })

  it('random begins anywhere in the class', async () => {
    const w = new World()
    const chainer = w.chainer(inOrder)
    for (let i = 0; i < 20; i++) await chainer.connect(anySession(), [from(600, { ports: 'random' })], never)
    const ports = new Set(portsOf(w))
    expect(ports.size).toBeGreaterThan(5)
    for (const port of ports) expect(Number(port) >= 514 && Number(port) <= 1024).toBe(true)
  })

  it('gives up after sixteen ports, and at once when it is not the port', async () => {
    const w = new World()
    w.answers = () => taken
    await expect(w.chainer(inOrder).connect(anySession(), [from(600, { ports: 'group' })], never)).rejects.toThrow()
    expect(w.dials).toHaveLength(16)
    w.answers = () => ({ errno: 'EADDRNOTAVAIL', syscall: 'bind' })
    await expect(w.chainer(inOrder).connect(anySession(), [from(600, { ports: 'group' })], never)).rejects.toThrow()
    expect(w.dials).toHaveLength(17)
  })

  it('has edges at 513 and 1024', () => {
    for (const [port, first, last] of [[1, 1, 513], [513, 1, 513], [514, 514, 1024], [1024, 514, 1024], [1025, 1025, 65_535]] as const) {
      for (let i = 0; i < 50; i++) {
        const like = portLike(port)
        expect(like >= first && like <= last).toBe(true)
      }
    }
  })
})

describe('availability', () => {
  const make = (checks: readonly Check[], clock = new FakeClock()) => {
    const news: string[] = []
    const availability = new Availability({
      clock, random: () => 1,
      changed: ({ target, up, why }) => news.push(`${target.port} ${up ? 'up' : `down (${why})`}`),
    })
    const watch = (port: number, asks = 'same'): Watch => ({ chainer: 'web', target: endpoint('127.0.0.1', port), asks, checks, interval: ms(1000), timeout: ms(100) })
    return { availability, clock, news, watch }
  }

  it('leaves out those whose checks fail before any client meets them', async () => {
    const w = new World()
    const dead = new Set<number>([2])
    const check: Check = (target, _timeout, done) => {
      queueMicrotask(() => done(dead.has(target.port) ? 'no' : ''))
      return { cancel() {} }
    }
    const { availability, clock, news, watch } = make([check], w.clock)
    availability.watch([watch(1), watch(2), watch(3)])
    const chainer = w.chainer(availability.plan('web', new Turn()))
    clock.advance(0)
    await turns()
    const got = async (count: number) => {
      const ports: string[] = []
      for (let i = 0; i < count; i++) ports.push(await w.session(chainer, three))
      return ports
    }
    expect(await got(4)).toEqual(['1', '3', '1', '3'])
    dead.clear()
    dead.add(1).add(2).add(3)
    clock.advance(1000)
    await turns()
    expect(await got(1)).toEqual([' -'])
    dead.clear()
    clock.advance(1000)
    await turns()
    expect(new Set(await got(3))).toEqual(new Set(['1', '2', '3']))
    expect(news).toEqual(['2 down (no)', '1 down (no)', '3 down (no)', '1 up', '2 up', '3 up'])
    availability.close()
    expect(clock.pending).toBe(0)
  })

  it('wants every check to succeed; one that says no ends the round, and the others are given up', async () => {
    let cancelled = 0
    const answers: ((why: string) => void)[] = []
    const check: Check = (_target, _timeout, done) => {
      answers.push(done)
      return { cancel: () => void cancelled++ }
    }
    const { availability, clock, watch } = make([check, check])
    availability.watch([watch(1)])
    clock.advance(0)
    answers[0]?.('')
    expect(availability.outcomes).toMatchObject([{ up: true, why: '' }])
    answers[1]?.('closed')
    await turns()
    expect([availability.outcomes[0]?.why, cancelled]).toEqual(['closed', 2])
    clock.advance(1000)
    answers[3]?.('slow')
    await turns()
    answers[2]?.('')
    expect(availability.isUp('web', endpoint('127.0.0.1', 1))).toBe(false)
  })

  it('keeps what is known of a target that stays, and asks anew where the questions have changed', async () => {
    const check: Check = (_target, _timeout, done) => (queueMicrotask(() => done('no')), { cancel() {} })
    const { availability, clock, watch } = make([check])
    availability.watch([watch(1)])
    clock.advance(0)
    await turns()
    availability.watch([watch(1), watch(2)])
    expect(availability.outcomes.map(outcome => outcome.up)).toEqual([false, true])
    availability.watch([watch(1, 'other')])
    expect(availability.outcomes.map(outcome => outcome.up)).toEqual([true])
    availability.close()
  })
})
