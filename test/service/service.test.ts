// Services and sessions: limits, what a session knows, and the one record at its end. Seen over connections that open
// and close when the test says so, and once over real ones.

import { describe, expect, it } from 'vitest'
import type { Connection, OriginalDestination } from '../../comm/index.ts'
import { endpoint } from '../../src/base/index.ts'
import type { Chainer } from '../../src/chainer/index.ts'
import type { Router } from '../../src/router/index.ts'
import { createService, isRefused, type Session, type SessionRecord, startSession } from '../../src/service/index.ts'
import { FakeConnection } from '../dispatch/kit.ts'
import { FakeClock } from '../support/fake-clock.ts'

const make = (run: (session: Session) => void = () => {}, sessionsMax = 0) => {
  const clock = new FakeClock()
  const records: SessionRecord[] = []
  const bugs: unknown[] = []
  const service = createService({
    name: 'web',
    proxy: { name: 'http', run },
    router: { name: 'router' } as Router,
    chainer: { name: 'chainer' } as Chainer,
    sessionsMax,
    clock,
    onEnd: record => records.push(record),
    failed: error => bugs.push(error),
  })
  const start = (connection = new FakeConnection(), portName = 'lan') => ({
    connection,
    answer: startSession(service, connection as unknown as Connection, portName),
  })
  const begin = (connection = new FakeConnection(), portName?: string) => {
    const { answer } = start(connection, portName)
    if (isRefused(answer)) throw new Error(answer.detail)
    return { connection, session: answer }
  }
  return { clock, records, bugs, service, start, begin }
}

describe('a session', () => {
  it('is given to the proxy, with a number of its own and a path for a name', () => {
    const seen: Session[] = []
    const { service, begin } = make(session => seen.push(session))
    const sessions = [begin().session, begin().session]
    expect(seen).toEqual(sessions)
    expect(sessions.map(session => session.id)).toEqual(['svc/web:1', 'svc/web:2'])
    expect(sessions[0]).toMatchObject({ number: 1, portName: 'lan', verdict: 'ACCEPTED', server: null, serverLocal: null })
    expect(sessions[0]?.service).toBe(service)
    expect(service.running).toBe(2)
  })

  const destination = endpoint('198.51.100.7', 443)
  it.each<readonly [OriginalDestination, Session['taken'], string]>([
    [{ kind: 'nat', destination }, 'nat', '198.51.100.7'],
    [{ kind: 'tproxy', destination }, 'tproxy', '198.51.100.7'],
    [{ kind: 'direct' }, 'direct', '10.0.0.1'],
    [{ kind: 'none', errno: 'ENOENT' }, 'direct', '10.0.0.1'],
    [{ kind: 'broken', why: 'x' }, 'direct', '10.0.0.1'],
  ])('taken as %j was %s, on its way to %s', (original, taken, address) => {
    const { session } = make().begin(new FakeConnection(original))
    expect([session.taken, session.destination.address]).toEqual([taken, address])
  })

  it('leaves one record when its client connection closes', () => {
    const { clock, records, service, begin } = make()
    const { connection, session } = begin(new FakeConnection({ kind: 'tproxy', destination }))
    const startedAt = clock.wall()
    session.server = destination
    session.serverLocal = connection.peer
    connection.bytesRead = 100
    connection.bytesWritten = 2000
    clock.advance(1234)
    connection.close('peer-closed')
    expect(records).toEqual([
      {
        id: 'svc/web:1',
        service: 'web',
        portName: 'lan',
        startedAt,
        duration: 1234,
        verdict: 'ACCEPTED',
        client: connection.peer,
        destination,
        protocol: 'tcp',
        taken: 'tproxy',
        rule: null,
        clientZone: null,
        serverZone: null,
        server: destination,
        serverLocal: connection.peer,
        bytesRead: 100,
        bytesWritten: 2000,
        why: 'peer-closed',
      },
    ])
    expect([service.running, [...service.sessions()]]).toEqual([0, []])
  })

  it('has the verdict its proxy gave it', () => {
    const { records, begin } = make(session => {
      session.verdict = 'DENIED_BY_POLICY'
    })
    begin().connection.close()
    expect(records[0]?.verdict).toBe('DENIED_BY_POLICY')
  })

  it('whose proxy throws is closed, recorded and reported; others go on', () => {
    let times = 0
    const { records, bugs, service, start, begin } = make(() => {
      if (times++ === 0) throw new Error('a bug')
    })
    const { connection } = start()
    expect(connection.closedFor).toBe('handler-failed')
    expect(records.map(record => [record.verdict, record.why])).toEqual([['DENIED_BY_UNKNOWN_FAIL', 'handler-failed']])
    expect(bugs).toHaveLength(1)
    begin()
    expect([service.running, service.counters.failed]).toEqual([1, 1])
  })

  it('whose reader throws later is recorded as a failure of ours too', () => {
    const { records, begin } = make()
    begin().connection.close('handler-failed')
    expect(records[0]?.verdict).toBe('DENIED_BY_UNKNOWN_FAIL')
  })

  it('is not started on a connection that is closed already', () => {
    let run = 0
    const { service, start } = make(() => run++)
    const connection = new FakeConnection()
    connection.close()
    expect(isRefused(start(connection).answer)).toBe(true)
    expect([run, service.running]).toEqual([0, 0])
  })

  it('may end while it is being started', () => {
    const { records, service, begin } = make(session => session.client.close())
    begin()
    expect([records.length, service.running]).toEqual([1, 0])
  })
})

describe('a limit', () => {
  it('holds: one more is closed, counted and no session', () => {
    const { records, service, start, begin } = make(() => {}, 2)
    const first = begin()
    begin()
    const third = start()
    expect(third.answer).toEqual({ refused: 'DENIED_BY_LIMIT', detail: expect.stringContaining('2') })
    expect([third.connection.closedFor, service.counters.limited, service.running, records.length]).toEqual(['refused', 1, 2, 0])
    first.connection.close()
    expect(begin().session.number).toBe(3)
  })

  it('of 0 is none', () => {
    const { service, begin } = make(() => {}, 0)
    for (let i = 0; i < 1000; i++) begin()
    expect(service.running).toBe(1000)
  })
})

describe('the operator', () => {
  it('lets a service wind up: proxies that can are told, and nobody is closed by the service', () => {
    const told: number[] = []
    const { service, begin } = make(session => {
      if (session.number !== 2) session.speaker = { windUp: () => told.push(session.number) }
    })
    for (let i = 0; i < 3; i++) begin()
    service.windUp()
    expect([told, service.running]).toEqual([[1, 3], 3])
  })

  it('lists sessions and stops one', () => {
    const { records, service, begin } = make()
    const all = [begin(), begin(), begin()]
    expect([...service.sessions()].map(session => session.number)).toEqual([1, 2, 3])
    const second = all[1]
    if (second === undefined) throw new Error('three were begun')
    service.stop(second.session)
    service.stop(second.session)
    expect(second.connection.closedFor).toBe('aborted')
    expect(records.map(({ id, verdict }) => [id, verdict])).toEqual([['svc/web:2', 'ABORTED_BY_POLICY_ACTION']])
    expect([...service.sessions()].map(session => session.number)).toEqual([1, 3])
    expect(service.counters.stopped).toBe(1)
  })

  it('stops all of them', () => {
    const { records, service, begin } = make()
    for (let i = 0; i < 10; i++) begin()
    service.stopAll()
    expect([service.running, records.length]).toEqual([0, 10])
  })
})
