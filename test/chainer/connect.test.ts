// The walk over routes: in order, within its limits, each failure in the words of the error table, and never with our
// own address where the client's was wanted. Seen by what comm was asked to dial.

import { afterEach, describe, expect, it } from 'vitest'
import { COMM_TPROXY_REM, CommError, type ConnectOptions } from '../../comm/index.ts'
import { ms, ProxyError } from '../../src/base/index.ts'
import { heard } from '../support/origin.ts'
import { anySession, ask, type Bench, engines, forgedBy, get, Opened, ok, routeTo, turns } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

const refusing = (errnos: readonly (string | null)[]) => {
  let nth = 0
  return (): CommError | undefined => {
    const errno = errnos[nth++] ?? null
    return errno === null ? undefined : new CommError(errno, 'connect', `no: ${errno}`)
  }
}

const never = new AbortController().signal

const connect = async (b: Bench, routes: Parameters<Bench['chainer']['connect']>[1], signal = never) => {
  const session = anySession()
  const chained = await b.chainer.connect(session, routes, signal)
  opened.later(() => chained.connection.close())
  return { ...chained, session }
}

const failureOf = async (promise: Promise<unknown>): Promise<ProxyError> => {
  const failure = await promise.then(() => null, (error: unknown) => error)
  if (!(failure instanceof ProxyError)) throw new Error(`not a ProxyError: ${failure}`)
  return failure
}

describe.each(engines)('over the %s engine', engine => {
  it('a connection is handed over as it is, with both ends in the session', async () => {
    const said = Promise.withResolvers<string>()
    const origin = await opened.origin(async socket => said.resolve(await heard(socket, 'bytes')))
    const { connection, route, attempts, session } = await connect(opened.bench({ engine }), [routeTo(origin.port)])
    connection.write('any bytes')
    expect(await said.promise).toBe('any bytes')
    expect([attempts, route.target.port]).toEqual([1, origin.port])
    expect(session.server).toEqual({ family: 4, address: '127.0.0.1', port: origin.port })
    expect(session.serverLocal).toEqual(connection.local)
  })

  it('goes on to the next route when one refuses, for connect and for fetch', async () => {
    const origin = await opened.answering()
    const dead = await opened.origin(() => {})
    await dead.close()
    const b = opened.bench({ engine })
    const routes = [routeTo(dead.port), routeTo(dead.port, { address: '127.0.0.2' }), routeTo(origin.port)]
    const chained = await connect(b, routes)
    expect([chained.attempts, chained.route]).toEqual([3, routes[2]])
    const got = await ask(b, routes).whole()
    expect(got.fetch?.attempts).toBe(3)
    expect(got.connected.map(c => c.route)).toEqual([routes[2]])
    // a kept connection of the last route is only found when its turn comes
    expect(b.dials.map(dial => dial.target.port)).toEqual([dead.port, dead.port, origin.port, dead.port, dead.port, origin.port])
  })
})

describe('a failure', () => {
  it.each([
    ['ECONNREFUSED', false, 'connect-failed'],
    ['ENETUNREACH', false, 'connect-failed'],
    ['EHOSTUNREACH', false, 'connect-failed'],
    ['ECONNRESET', true, 'connect-failed'],
    ['EPERM', false, 'connect-failed'],
    ['ETIMEDOUT', false, 'connect-timeout'],
    ['ETIMEDOUT', true, 'connect-timeout'],
    ['EADDRNOTAVAIL', true, 'spoof-failed'],
    ['EPERM', true, 'spoof-failed'],
    ['ENOTSUP', true, 'spoof-failed'],
    ['EADDRNOTAVAIL', false, 'socket-failed'],
    ['EADDRINUSE', true, 'spoof-failed'],
    ['EMFILE', false, 'socket-failed'],
    ['ENOBUFS', true, 'socket-failed'],
  ] as const)('%s (forged: %s) is %s', async (errno, forged, code) => {
    const b = opened.bench({ refuses: refusing([errno, errno]) })
    const route = routeTo(80, forged ? forgedBy('192.0.2.1') : {})
    for (const failure of [await failureOf(connect(b, [route])), await ask(b, route).failure()]) {
      expect([failure.code, failure.errno, failure.side, failure.retry]).toEqual([code, errno, 'server', 'yes'])
    }
    expect(b.pool.connections + b.pool.keys).toBe(0)
  })

  it('of every route names them all and is the last one in kind', async () => {
    const routes = [routeTo(80), routeTo(80, { address: '127.0.0.2' }), routeTo(80, forgedBy('192.0.2.1'))]
    const errnos = ['ETIMEDOUT', 'ECONNREFUSED', 'EADDRNOTAVAIL']
    const b = opened.bench({ refuses: refusing([...errnos, ...errnos]) })
    for (const failure of [await failureOf(connect(b, routes)), await ask(b, routes).failure()]) {
      expect([failure.code, failure.errno]).toEqual(['spoof-failed', 'EADDRNOTAVAIL'])
      for (const errno of errnos) expect(failure.message).toContain(errno)
      expect(failure.cause).toBeInstanceOf(AggregateError)
    }
    expect(b.dials).toHaveLength(6)
  })

  it('is told in a later turn, also when there is no route at all', async () => {
    const b = opened.bench()
    const got = ask(b, [])
    expect(got.over).toBe(false)
    expect((await got.failure()).code).toBe('no-route')
    expect((await failureOf(connect(b, []))).code).toBe('no-route')
  })
})

describe('a forged route', () => {
  it('that fails is never tried with an address of ours', async () => {
    const errnos = ['EADDRNOTAVAIL', 'EPERM', 'ECONNREFUSED']
    const routes = ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map(address => routeTo(80, { address, ...forgedBy('192.0.2.1') }))
    const b = opened.bench({ refuses: refusing([...errnos, ...errnos]) })
    await failureOf(connect(b, routes))
    await ask(b, routes).failure()
    const asked = ({ target, source, flags }: ConnectOptions) => [target.address, source?.address, flags]
    expect(b.dials.slice(0, 3).map(asked)).toEqual(routes.map(route => [route.target.address, '192.0.2.1', COMM_TPROXY_REM]))
    expect(b.dials.slice(3).map(asked)).toEqual(b.dials.slice(0, 3).map(asked))
  })

  it('hands mark and TOS down, and leaves out what is not said', async () => {
    const b = opened.bench({ refuses: refusing(['ECONNREFUSED', 'ECONNREFUSED']) })
    await ask(b, routeTo(80, { ...forgedBy('192.0.2.1'), mark: 0, tos: 16 })).failure()
    await ask(b, routeTo(81)).failure()
    const { note, ...first } = b.dials[0] as ConnectOptions
    expect(first).toEqual({
      target: { family: 4, address: '127.0.0.1', port: 80 },
      source: { family: 4, address: '192.0.2.1', port: 0 },
      flags: COMM_TPROXY_REM,
      mark: 0,
      tos: 16,
      writesFirst: true,
    })
    const said = Object.entries(b.dials[1] as ConnectOptions).filter(([, value]) => value !== undefined)
    expect(said.map(([name]) => name).sort()).toEqual(['flags', 'note', 'target', 'writesFirst'])
  })
})

describe('the walk', () => {
  const deaf = { refuses: () => undefined, silent: true }

  it('tries no more often than forward_max_tries', async () => {
    const b = opened.bench({ triesMax: 2, refuses: () => new CommError('ECONNREFUSED', 'connect', 'no') })
    const routes = [1, 2, 3, 4].map(port => routeTo(port))
    expect((await failureOf(connect(b, routes))).code).toBe('connect-failed')
    expect((await ask(b, routes).failure()).code).toBe('connect-failed')
    expect(b.dials.map(dial => dial.target.port)).toEqual([1, 2, 1, 2])
  })

  it('gives one try connect_timeout, and all of them forward_timeout', async () => {
    const b = opened.bench({ ...deaf, connectTimeout: ms(60_000), forwardTimeout: ms(100_000) })
    const routes = [1, 2, 3].map(port => routeTo(port))
    const walks = [failureOf(connect(b, routes)), ask(b, routes).failure()]
    for (let i = 0; i < 2; i++) {
      await turns()
      b.clock.advance(60_000)
      b.giveUp('ETIMEDOUT')
    }
    for (const walk of walks) {
      const failure = await walk
      expect([failure.code, failure.status]).toEqual(['connect-timeout', 504])
    }
    expect(b.timeouts).toEqual([60_000, 60_000, 40_000, 40_000])
  })

  it('stops when nobody waits any more', async () => {
    const b = opened.bench(deaf)
    const abort = new AbortController()
    const walk = failureOf(connect(b, [routeTo(1), routeTo(2)], abort.signal))
    const got = ask(b, [routeTo(1), routeTo(2)])
    await turns()
    abort.abort()
    got.fetch?.abort()
    expect((await walk).code).toBe('client-aborted')
    await turns()
    expect(got.events).toEqual([])
    expect([b.dials.length, b.hanging]).toEqual([2, 0])
    expect((await failureOf(connect(b, [routeTo(1)], abort.signal))).code).toBe('client-aborted')
    expect(b.dials).toHaveLength(2)
  })

  it('does not begin when the process is stopping', async () => {
    const b = opened.bench()
    b.pool.close()
    expect((await failureOf(connect(b, [routeTo(1)]))).code).toBe('shutting-down')
    expect((await ask(b, routeTo(1), get()).failure()).code).toBe('shutting-down')
    expect(b.dials).toEqual([])
  })

  it('a request sent again counts as a try', async () => {
    const origin = await opened.origin(async socket => {
      await heard(socket)
      socket.write(ok)
      await heard(socket)
      socket.destroy()
    })
    const b = opened.bench({ triesMax: 1 })
    await ask(b, routeTo(origin.port)).whole()
    const got = ask(b, routeTo(origin.port))
    expect((await got.failure()).code).toBe('empty-response')
    expect(got.fetch?.attempts).toBe(1)
    expect(b.dials).toHaveLength(1)
  })
})
