// Listeners: a session for each connection, the direct-hit guard, and the change from one configuration to the next
// without closing what stays. Seen over a comm that listens on nothing and a service that writes down who came.

import { describe, expect, it } from 'vitest'
import type { Connection, OriginalDestination } from '../../comm/index.ts'
import { endpoint, endpointText } from '../../src/base/index.ts'
import { createDispatcher, createListeners, type ListenerOptions, priority, type StartSession } from '../../src/dispatch/index.ts'
import type { Service } from '../../src/service/index.ts'
import { FakeComm, usual } from './kit.ts'

const service = (name: string): Service => ({ name }) as unknown as Service

const set = (refuse: (connection: Connection) => boolean = () => false) => {
  const comm = new FakeComm()
  const dispatcher = createDispatcher({ comm })
  const started: string[] = []
  const start: StartSession = (to, connection, portName) => {
    started.push(`${to.name} ${portName} ${connection.original.kind}`)
    if (!refuse(connection)) return {} as ReturnType<StartSession>
    connection.close('refused')
    return { refused: 'DENIED_BY_LIMIT', detail: 'full' }
  }
  return { comm, dispatcher, started, listeners: createListeners(dispatcher, start) }
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

  it('with one bind twice is refused before anything is done', () => {
    const { comm, listeners } = set()
    const problems = listeners.configure([on('10.0.0.1', 80), on('10.0.0.1', 80, { service: service('other') })])
    expect(problems).toHaveLength(1)
    expect(problems[0]?.detail).toContain('10.0.0.1:80')
    expect(comm.log).toEqual([])
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
