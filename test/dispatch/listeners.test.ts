// Listeners: a session for each connection, the direct-hit guard, and the change from one configuration to the next
// without closing what stays. Seen over a comm that listens on nothing and a service that writes down who came.

import { describe, expect, it } from 'vitest'
import { COMM_REUSEPORT, type Connection, type OriginalDestination } from '../../comm/index.ts'
import { endpoint, endpointText } from '../../src/base/index.ts'
import {
  createDispatcher,
  createListeners,
  type ListenerOptions,
  type ListenParameters,
  priority,
  type StartHere,
  type StartSession,
} from '../../src/dispatch/index.ts'
import { decidingMax } from '../../src/dispatch/listener.ts'
import type { Service } from '../../src/service/index.ts'
import { FakeComm, FakeConnection, usual } from './kit.ts'

const service = (name: string): Service => ({ name }) as unknown as Service

const set = (refuse: (connection: Connection) => boolean = () => false) => {
  const comm = new FakeComm()
  const dispatcher = createDispatcher({ comm })
  const started: string[] = []
  const bugs: unknown[] = []
  const start: StartSession = (to, connection, portName) => {
    started.push(`${to.name} ${portName} ${connection.original.kind}`)
    if (!refuse(connection)) return {} as ReturnType<StartSession>
    connection.close('refused')
    return { refused: 'DENIED_BY_LIMIT', detail: 'full' }
  }
  return { comm, dispatcher, started, bugs, listeners: createListeners(dispatcher, start, error => bugs.push(error)) }
}

const on = (address: string, port: number, more: Partial<ListenerOptions> = {}): ListenerOptions => ({
  name: `${address}:${port}`,
  bind: endpoint(address, port),
  parameters: usual,
  service: service('web'),
  directHit: 'close',
  ...more,
})

const nat = { ...usual, natBackend: 'netfilter' } as const

describe('a listener', () => {
  it('starts a session of its service with every connection', () => {
    const { comm, started, listeners } = set()
    expect(listeners.configure([on('10.0.0.1', 80, { name: 'lan' }), on('10.0.0.1', 81, { service: service('other') })])).toEqual([])
    comm.arrive('10.0.0.1:80')
    comm.arrive('10.0.0.1:81')
    expect(started).toEqual(['web lan direct', 'other 10.0.0.1:81 direct'])
    expect(listeners.counters).toMatchObject({ sessions: 2, refused: 0, directHits: 0 })
  })

  it('is asked after everybody else on its bind', () => {
    const { comm, started, dispatcher, listeners } = set()
    const asked: string[] = []
    dispatcher.add(endpoint('10.0.0.1', 80), usual, { accept: () => (asked.push('data'), 'declined') }, priority.related)
    listeners.configure([on('10.0.0.1', 80)])
    comm.arrive('10.0.0.1:80')
    expect([asked, started]).toEqual([['data'], ['web 10.0.0.1:80 direct']])
  })

  it('counts what the service refused; a refusal is not offered to others', () => {
    const { comm, dispatcher, listeners } = set(() => true)
    listeners.configure([on('10.0.0.1', 80)])
    expect(comm.arrive('10.0.0.1:80').closedFor).toBe('refused')
    expect(listeners.counters).toMatchObject({ sessions: 0, refused: 1 })
    expect(dispatcher.counters).toMatchObject({ taken: 1, declined: 0 })
  })

  const destination = endpoint('198.51.100.7', 80)
  const kinds: readonly (readonly [OriginalDestination, boolean])[] = [
    [{ kind: 'nat', destination }, true],
    [{ kind: 'tproxy', destination }, true],
    [{ kind: 'direct' }, false],
    [{ kind: 'none', errno: 'ENOENT' }, false],
    [{ kind: 'broken', why: 'it answers our own endpoint' }, false],
  ]
  it.each(kinds)('for intercepted traffic, meeting %j, goes on: %s', (original, redirected) => {
    const { comm, started, listeners } = set()
    listeners.configure([
      on('10.0.0.1', 3129, { parameters: nat }),
      on('10.0.0.1', 3130, { parameters: { ...usual, natBackend: 'getsockname' }, directHit: 'pass' }),
      on('10.0.0.1', 3128),
    ])
    expect(comm.arrive('10.0.0.1:3129', original).closedFor).toBe(redirected ? null : 'refused')
    expect(comm.arrive('10.0.0.1:3130', original).closed).toBe(false)
    expect(comm.arrive('10.0.0.1:3128', original).closed).toBe(false)
    expect(started).toHaveLength(redirected ? 3 : 2)
    // the plain port looks nothing up, so nothing can be wrong there
    expect(listeners.counters.directHits).toBe(redirected ? 0 : 2)
  })
})

describe('a listener that has to ask outside first', () => {
  const asking = () => {
    const answers: ((start: () => ReturnType<StartSession>) => void)[] = []
    const failures: ((error: Error) => void)[] = []
    const service: StartHere = () =>
      new Promise((resolve, reject) => {
        answers.push(resolve)
        failures.push(reject)
      })
    const all = set()
    all.listeners.configure([on('10.0.0.1', 80, { service }), on('10.0.0.1', 81)])
    return { ...all, answers, failures }
  }
  const session = () => ({}) as ReturnType<StartSession>

  it('keeps nobody else on the port waiting', async () => {
    const answered: string[] = []
    let first: (start: () => ReturnType<StartSession>) => void = () => {}
    const { comm, listeners } = set()
    listeners.configure([
      on('10.0.0.1', 80, {
        service: connection => {
          if (connection.id === slow?.id) return new Promise(resolve => (first = resolve))
          answered.push('quick')
          return session()
        },
      }),
    ])
    let slow: FakeConnection | null = null
    slow = new FakeConnection()
    comm.open.get('10.0.0.1:80')?.call(slow as unknown as Connection)
    comm.arrive('10.0.0.1:80')
    comm.arrive('10.0.0.1:80')
    expect([answered, listeners.deciding, listeners.counters.sessions]).toEqual([['quick', 'quick'], 1, 2])
    first(() => (answered.push('slow'), session()))
    await new Promise(setImmediate)
    expect([answered, listeners.deciding, listeners.counters.sessions]).toEqual([['quick', 'quick', 'slow'], 0, 3])
    expect(slow.deadlines).toEqual([60_000, 0])
  })

  it('starts nothing for a client that has gone meanwhile', async () => {
    const { comm, listeners, answers } = asking()
    const connection = comm.arrive('10.0.0.1:80')
    connection.close('peer-reset')
    let started = false
    answers[0]?.(() => ((started = true), session()))
    await new Promise(setImmediate)
    expect([started, listeners.deciding, listeners.counters.sessions]).toEqual([false, 0, 0])
  })

  it('closes the connection when the asking fails, and says whose fault it is', async () => {
    const { comm, listeners, failures, bugs } = asking()
    const connection = comm.arrive('10.0.0.1:80')
    failures[0]?.(new Error('a bug'))
    await new Promise(setImmediate)
    expect([connection.closedFor, listeners.deciding, bugs.length]).toEqual(['handler-failed', 0, 1])
  })

  it(`has ${decidingMax} waiting at most`, async () => {
    const { comm, listeners, answers } = asking()
    for (let i = 0; i < decidingMax; i++) comm.arrive('10.0.0.1:80')
    expect(comm.arrive('10.0.0.1:80').closedFor).toBe('refused')
    expect(comm.arrive('10.0.0.1:81').closedFor).toBeNull()
    expect(listeners.counters.undecided).toBe(1)
    for (const answer of answers) answer(session)
    await new Promise(setImmediate)
    expect([listeners.deciding, listeners.counters.sessions]).toEqual([0, decidingMax + 1])
  })
})

describe('a new configuration', () => {
  it('keeps the listeners that stay, and gives their next connection to the new service', () => {
    const { comm, started, listeners } = set()
    listeners.configure([on('10.0.0.1', 80), on('10.0.0.1', 81)])
    comm.log.length = 0
    expect(listeners.configure([on('10.0.0.1', 80, { service: service('new'), name: 'renamed' }), on('10.0.0.1', 82)])).toEqual([])
    expect(comm.log).toEqual(['+10.0.0.1:82', '-10.0.0.1:81'])
    comm.arrive('10.0.0.1:80')
    expect(started).toEqual(['new renamed direct'])
    expect(listeners.listening.map(({ name, endpoint: e }) => `${name} ${endpointText(e)}`)).toEqual([
      'renamed 10.0.0.1:80',
      '10.0.0.1:82 10.0.0.1:82',
    ])
  })

  it('opens a bind anew when its parameters differ', () => {
    const { comm, listeners } = set()
    listeners.configure([on('10.0.0.1', 80)])
    expect(listeners.configure([on('10.0.0.1', 80, { parameters: nat })])).toEqual([])
    expect(comm.log).toEqual(['+10.0.0.1:80', '-10.0.0.1:80', '+10.0.0.1:80'])
    expect(comm.open.get('10.0.0.1:80')?.options.natBackend).toBe('netfilter')
  })

  it('that cannot be had as a whole changes nothing, and names everything that is wrong', () => {
    const { comm, started, listeners } = set()
    listeners.configure([on('10.0.0.1', 80), on('10.0.0.1', 81)])
    comm.taken.add('10.0.0.1:90').add('10.0.0.1:91')
    const problems = listeners.configure([
      on('10.0.0.1', 80, { service: service('new') }),
      on('10.0.0.1', 81, { parameters: nat }),
      on('10.0.0.1', 90),
      on('10.0.0.1', 83),
      on('10.0.0.1', 91),
    ])
    expect(problems.map(({ options, errno }) => [options.bind.port, errno])).toEqual([
      [90, 'EADDRINUSE'],
      [91, 'EADDRINUSE'],
    ])
    expect([...comm.open.keys()].sort()).toEqual(['10.0.0.1:80', '10.0.0.1:81'])
    comm.arrive('10.0.0.1:80')
    comm.arrive('10.0.0.1:81')
    expect(started).toEqual(['web 10.0.0.1:80 direct', 'web 10.0.0.1:81 direct'])
    expect(comm.open.get('10.0.0.1:81')?.options.natBackend).toBe('none')
  })

  const reuse = { ...usual, flags: COMM_REUSEPORT }
  const dual = { ...usual, dualStack: true }
  it.each<[what: string, one: ListenerOptions, other: ListenerOptions, clash: RegExp | null]>([
    ['one bind twice', on('10.0.0.1', 80), on('10.0.0.1', 80, { service: service('other') }), /10\.0\.0\.1:80 is listened on twice/],
    ['one bind at two priorities', on('10.0.0.1', 80), on('10.0.0.1', 80, { priority: 50 }), null],
    ['one bind with two ways', on('10.0.0.1', 80), on('10.0.0.1', 80, { priority: 50, parameters: nat }), /way of being taken/],
    ['one bind with two backlogs', on('10.0.0.1', 80), on('10.0.0.1', 80, { priority: 50, parameters: { ...usual, backlog: 5 } }), /backlog/],
    ['an address and all addresses', on('10.0.0.1', 80), on('0.0.0.0', 80), /10\.0\.0\.1:80.*the kernel gives it to one socket/],
    ['all addresses and one', on('::', 80, { parameters: dual }), on('10.0.0.1', 80), /the kernel gives it to one socket/],
    ['all of IPv6 and one of IPv4', on('::', 80), on('10.0.0.1', 80), null],
    ['all of both and all of IPv4', on('::', 80, { parameters: dual }), on('0.0.0.0', 80), /the kernel gives it to one socket/],
    ['an address and all, both shared', on('10.0.0.1', 80, { parameters: reuse }), on('0.0.0.0', 80, { parameters: reuse }), null],
    ['two addresses', on('10.0.0.1', 80), on('10.0.0.2', 80), null],
    ['two ports of all addresses', on('0.0.0.0', 80), on('0.0.0.0', 81), null],
    ['one address on two devices', on('fe80::1', 80, { parameters: { ...usual, device: 'a' } }), on('fe80::1', 80, { parameters: { ...usual, device: 'b' } }), null],
  ])('with %s', (_what, one, other, clash) => {
    const { comm, listeners } = set()
    const problems = listeners.configure([{ ...one, place: 'a.conf(3)' }, { ...other, place: 'a.conf(7)' }])
    if (clash === null) expect(problems).toEqual([])
    else {
      expect(problems).toEqual([{ options: expect.objectContaining({ place: 'a.conf(7)' }), detail: expect.stringMatching(clash), errno: '' }])
      expect(problems[0]?.detail).toContain('(a.conf(3) and a.conf(7))')
      expect(comm.log).toEqual([]) // before anything is done
    }
  })

  it('may want an address where all were listened on, and back', () => {
    const { comm, listeners } = set()
    listeners.configure([on('0.0.0.0', 80), on('10.0.0.1', 81)])
    comm.log.length = 0
    listeners.configure([on('10.0.0.1', 80), on('10.0.0.1', 81)])
    expect(comm.log).toEqual(['-0.0.0.0:80', '+10.0.0.1:80'])
    listeners.configure([on('0.0.0.0', 80), on('10.0.0.1', 81)])
    expect(comm.log.slice(2)).toEqual(['-10.0.0.1:80', '+0.0.0.0:80'])
  })

  it('that fails keeps ports the kernel chose as well', () => {
    const { comm, listeners } = set()
    listeners.configure([on('10.0.0.1', 0, { name: 'any' })])
    comm.taken.add('10.0.0.1:90')
    expect(listeners.configure([on('10.0.0.1', 0, { name: 'other' }), on('10.0.0.1', 90)])).toHaveLength(1)
    expect([...comm.open.keys()]).toEqual(['10.0.0.1:40000'])
  })

  it('may change the way of a bind that two listeners share', () => {
    const { comm, started, listeners } = set()
    const pair = (parameters: ListenParameters) => [
      on('10.0.0.1', 80, { parameters, name: 'first', priority: 50, service: () => 'declined' }),
      on('10.0.0.1', 80, { parameters, name: 'last' }),
    ]
    expect(listeners.configure(pair(usual))).toEqual([])
    expect(listeners.configure(pair(nat))).toEqual([])
    expect(comm.log).toEqual(['+10.0.0.1:80', '-10.0.0.1:80', '+10.0.0.1:80'])
    comm.arrive('10.0.0.1:80', { kind: 'nat', destination: endpoint('198.51.100.7', 80) })
    expect(started).toEqual(['web last nat'])
  })

  it('follows addresses: what can be had is had, what cannot is named, what stays is not touched', () => {
    const { comm, listeners } = set()
    listeners.configure([on('10.0.0.1', 80)])
    comm.taken.add('10.0.0.9:80')
    comm.log.length = 0
    const problems = listeners.follow([on('10.0.0.1', 80), on('10.0.0.9', 80), on('10.0.0.2', 80)])
    expect(problems.map(({ options, errno }) => [options.name, errno])).toEqual([['10.0.0.9:80', 'EADDRINUSE']])
    comm.taken.clear()
    expect(listeners.follow([on('10.0.0.9', 80), on('10.0.0.2', 80)])).toEqual([])
    expect(comm.log).toEqual(['+10.0.0.2:80', '-10.0.0.1:80', '+10.0.0.9:80'])
  })

  it('leaves entries of others on a bind alone', () => {
    const { comm, dispatcher, listeners } = set()
    listeners.configure([on('10.0.0.1', 80)])
    dispatcher.add(endpoint('10.0.0.1', 80), usual, { accept: () => 'taken' }, priority.related)
    listeners.configure([])
    expect(comm.log).toEqual(['+10.0.0.1:80'])
    expect(dispatcher.entriesOn(endpoint('10.0.0.1', 80))).toBe(1)
    expect(listeners.listening).toEqual([])
  })

  it('close takes every listener away', () => {
    const { comm, dispatcher, listeners } = set()
    listeners.configure([on('10.0.0.1', 80), on('::', 80), on('10.0.0.1', 0, { name: 'any' }), on('10.0.0.1', 0, { name: 'other' })])
    expect(dispatcher.binds).toBe(4)
    listeners.close()
    expect([dispatcher.binds, comm.open.size]).toEqual([0, 0])
  })
})
