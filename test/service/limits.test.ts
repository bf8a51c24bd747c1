// Limits on sessions: of a service, of a client, of a zone, of all services together. They hold over a reload, a slot is
// free as soon as its session is over, and nothing is left of those who were there.

import { describe, expect, it } from 'vitest'
import type { Connection } from '../../comm/index.ts'
import { endpoint } from '../../src/base/index.ts'
import type { Chainer } from '../../src/chainer/index.ts'
import type { Router } from '../../src/router/index.ts'
import { Census, createService, isRefused, type ServiceOptions, type SessionRecord, startSession } from '../../src/service/index.ts'
import { FakeConnection } from '../dispatch/kit.ts'
import { FakeClock } from '../support/fake-clock.ts'

const clock = new FakeClock()

const serviceOf = (name: string, options: Partial<ServiceOptions> = {}) =>
  createService({ name, proxy: { name: 'plug', run() {} }, router: {} as Router, chainer: {} as Chainer, clock, ...options })

const from = (address: string) => new FakeConnection({ kind: 'direct' }, { peer: endpoint(address, 5000) })

const come = (service: ReturnType<typeof serviceOf>, address: string, clientZone: string | null = null) => {
  const connection = from(address)
  const answer = startSession(service, connection as unknown as Connection, 'lan', { rule: 7, clientZone, serverZone: null })
  return { connection, refused: isRefused(answer) ? answer.detail : '' }
}

describe('a limit', () => {
  it('of a client is for each client address', () => {
    const service = serviceOf('web', { sessionsPerClientMax: 2 })
    const first = come(service, '10.0.0.1')
    expect(come(service, '10.0.0.1').refused).toBe('')
    expect(come(service, '10.0.0.1').refused).toBe('10.0.0.1 has 2 sessions of web')
    expect(come(service, '10.0.0.2').refused).toBe('')
    first.connection.close()
    expect(come(service, '10.0.0.1').refused).toBe('')
  })

  it('of a zone is for each zone; who is in none is not counted', () => {
    const service = serviceOf('web', { sessionsPerZoneMax: 1 })
    expect(come(service, '10.0.0.1', 'lan').refused).toBe('')
    expect(come(service, '10.0.0.2', 'lan').refused).toBe('zone lan has 1 sessions of web')
    expect(come(service, '10.0.0.3', 'dmz').refused).toBe('')
    for (let i = 0; i < 5; i++) expect(come(service, '10.0.0.4').refused).toBe('')
  })

  it('of all services together counts those of each', () => {
    const census = new Census()
    census.limits = { sessionsMax: 3, sessionsPerClientMax: 2, sessionsPerZoneMax: 0 }
    const [web, mail] = [serviceOf('web', { census }), serviceOf('mail', { census })]
    come(web, '10.0.0.1')
    come(mail, '10.0.0.1')
    expect(come(mail, '10.0.0.1').refused).toBe('10.0.0.1 has 2 sessions of this proxy')
    come(mail, '10.0.0.2')
    expect(come(web, '10.0.0.3').refused).toBe('this proxy has 3 sessions')
  })

  it('counts the sessions of the service that had the name before, and goes on with its numbers', () => {
    const census = new Census()
    const former = serviceOf('web', { census, sessionsMax: 2 })
    const session = come(former, '10.0.0.1')
    const present = serviceOf('WEB', { census, sessionsMax: 2 })
    come(present, '10.0.0.1')
    expect([...present.sessions()].map(({ id }) => id)).toEqual(['svc/WEB:2'])
    expect(come(present, '10.0.0.1').refused).toBe('WEB has 2 sessions')
    session.connection.close()
    expect(come(present, '10.0.0.1').refused).toBe('')
  })

  it('leaves a record when it says no', () => {
    const records: [SessionRecord, string][] = []
    const service = serviceOf('web', { sessionsMax: 1, onRefused: (record, detail) => records.push([record, detail]) })
    come(service, '10.0.0.1')
    come(service, '10.0.0.2', 'lan')
    expect(records).toMatchObject([
      [{ id: 'svc/web:2', verdict: 'DENIED_BY_LIMIT', rule: 7, clientZone: 'lan', client: { address: '10.0.0.2' } }, 'web has 1 sessions'],
    ])
  })
})

describe('afterwards', () => {
  it('nothing is left of 10,000 sessions of 1,000 clients, refused ones included', () => {
    const census = new Census()
    const service = serviceOf('web', { census, sessionsPerClientMax: 8 })
    const open: FakeConnection[] = []
    let refused = 0
    for (let i = 0; i < 10_000; i++) {
      const client = come(service, `10.0.${(i % 1000) >> 8}.${i % 256}`, `zone${i % 7}`)
      if (client.refused === '') open.push(client.connection)
      else refused++
    }
    expect(refused).toBeGreaterThan(0)
    expect([service.running, census.counts.total]).toEqual([open.length, open.length])
    for (const connection of open) connection.close()
    const { counts } = census.memoryOf('web')
    expect([service.running, census.counts.total, census.counts.entries, counts.total, counts.entries]).toEqual([0, 0, 0, 0, 0])
  })

  it('names that are gone are forgotten with their last session', () => {
    const census = new Census()
    const session = come(serviceOf('old', { census }), '10.0.0.1')
    const memory = census.memoryOf('old')
    census.keep(['new'])
    expect(census.memoryOf('OLD')).toBe(memory)
    session.connection.close()
    census.keep(['new'])
    expect(census.memoryOf('old')).not.toBe(memory)
  })
})

it('keepalive is asked of the client’s connection where it is wanted', () => {
  expect(come(serviceOf('web'), '10.0.0.1').connection.keptAlive).toBe(false)
  expect(come(serviceOf('web', { keepalive: true }), '10.0.0.1').connection.keptAlive).toBe(true)
})
