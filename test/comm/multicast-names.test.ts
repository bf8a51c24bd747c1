// Names under .local (RFC 6762): asked of whoever is there, by one question each way, and of no name server.

import dgram from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it, test } from 'vitest'
import { multicastQuery, recordsOf } from '../../comm/multicast-names.ts'
import { createResolver } from '../../comm/resolver.ts'
import { systemClock } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type DnsScript, type DnsServer, startDnsServer } from '../support/dns-server.ts'

const servers: DnsServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const link = async (script: DnsScript) => {
  const server = await startDnsServer(script)
  servers.push(server)
  return server
}

describe('a name under .local', () => {
  it('is answered by who has it; others go to name servers', async () => {
    const there = await link(({ name, type }) => (name === 'printer.local' && type === 'A' ? { records: [{ type: 'A', ttl: 120, address: '192.0.2.7' }] } : null))
    const server = await link(({ type }) => ({ records: type === 'A' ? [{ type: 'A', ttl: 60, address: '192.0.2.1' }] : [] }))
    const resolver = createResolver({ clock: systemClock, nameservers: [server.endpoint], multicast: multicastQuery({ clock: systemClock, groups: [there.endpoint] }) })
    expect(await resolver.lookup('Printer.local')).toMatchObject({ ok: true, addresses: ['192.0.2.7'] })
    expect(await resolver.lookup('www.test')).toMatchObject({ ok: true, addresses: ['192.0.2.1'] })
    expect(new Set(there.asked)).toEqual(new Set(['A printer.local', 'AAAA printer.local']))
    expect(server.asked.filter(name => name.includes('local'))).toEqual([])
    resolver.close()
  })

  it('is nobody, when nobody answers in two seconds; the question goes out twice', async () => {
    const clock = new FakeClock()
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    const asked = multicastQuery({ clock, groups: [{ address: '127.0.0.1', port, family: 4 }] })('x.local', 4)
    const failed = expect(asked).rejects.toMatchObject({ code: 'ENOTFOUND' })
    await once(socket, 'message')
    clock.advance(500)
    await once(socket, 'message')
    clock.advance(1500)
    await failed
    expect(clock.pending).toBe(0)
    socket.close()
  })
})

const answer = (...bytes: readonly number[]): Buffer => Buffer.from([0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, ...bytes])
const named = [1, 97, 5, 108, 111, 99, 97, 108, 0] // a.local
const record = (...data: readonly number[]): number[] => [0, 1, 0x80, 1, 0, 0, 0, 120, 0, data.length, ...data]

test.each<readonly [string, Buffer, unknown]>([
  ['an address', answer(...named, ...record(192, 0, 2, 1)), [{ address: '192.0.2.1', ttl: 10 }]],
  ['a name in other letters', answer(1, 65, 5, 76, 79, 67, 65, 76, 0, ...record(192, 0, 2, 1)), [{ address: '192.0.2.1', ttl: 10 }]],
  ['another name', answer(1, 98, ...named.slice(2), ...record(192, 0, 2, 1)), []],
  ['another type', answer(...named, 0, 16, ...record(192, 0, 2, 1).slice(2)), []],
  ['an address of the wrong length', answer(...named, ...record(192, 0, 2)), []],
  ['a question', Buffer.concat([Buffer.alloc(12), Buffer.from(named)]), null],
  ['one that is cut', answer(...named, ...record(192, 0, 2, 1)).subarray(0, -1), null],
  ['one that ends in its name', answer(1, 97, 5, 108), null],
  ['a pointer to itself', answer(0xc0, 12, ...record(192, 0, 2, 1)), null],
  ['a pointer forwards', answer(0xc0, 20, ...record(192, 0, 2, 1)), null],
  ['a pointer backwards', Buffer.from([0, 0, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0, ...named, 0, 1, 0, 1, 0xc0, 12, ...record(192, 0, 2, 1)]), [{ address: '192.0.2.1', ttl: 10 }]],
  ['nothing', Buffer.alloc(0), null],
])('%s', (_, packet, expected) => {
  expect(recordsOf(packet, 'a.local', 4)).toEqual(expected)
})
