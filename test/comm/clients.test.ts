// What is found out about a client beside its address: its neighbour entry, and its name. Each is asked once for a while,
// and nothing that does not answer holds anybody up for ever.

import { expect, test } from 'vitest'
import { createNeighbours, createReverseNames } from '../../comm/index.ts'
import { ms } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

const table = `IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         00:00:5E:00:53:01     *        eth0
192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.3        0x20        0x2         00:00:5e:00:53:03     *        ib0
`

test('IPv4 neighbours are those whose entry is complete and Ethernet; the table is read once a second', () => {
  const clock = new FakeClock()
  let reads = 0
  const neighbours = createNeighbours(clock, { arp: () => (reads++, table), neigh: async () => '' })
  const of = (n: number) => neighbours.hardwareOf(`192.0.2.${n}`)
  expect([of(1), of(2), of(3), of(4), reads]).toEqual(['00:00:5e:00:53:01', '', '', '', 1])
  clock.advance(1000)
  expect([of(1), reads]).toEqual(['00:00:5e:00:53:01', 2])
})

test('IPv6 neighbours are asked for once a minute, by all who want to know at a time together', async () => {
  const clock = new FakeClock()
  let asked = 0
  const neigh = async (address: string) => (asked++, address.endsWith('1') ? `${address} dev eth0 lladdr 00:00:5e:00:53:0A REACHABLE\n` : '')
  const neighbours = createNeighbours(clock, { arp: () => '', neigh })
  const both = [neighbours.hardwareOf('2001:db8::1'), neighbours.hardwareOf('2001:db8::1'), neighbours.hardwareOf('2001:db8::2')]
  expect(await Promise.all(both)).toEqual(['00:00:5e:00:53:0a', '00:00:5e:00:53:0a', ''])
  expect([neighbours.hardwareOf('2001:db8::1'), asked]).toEqual(['00:00:5e:00:53:0a', 2])
  clock.advance(60_000)
  expect(neighbours.hardwareOf('2001:db8::1')).toBeInstanceOf(Promise)
})

test('a table that cannot be read is empty, and ip(8) that fails knows nobody', async () => {
  const neighbours = createNeighbours(new FakeClock(), {
    arp: () => {
      throw new Error('no /proc')
    },
    neigh: () => Promise.reject(new Error('no ip')),
  })
  expect([neighbours.hardwareOf('192.0.2.1'), await neighbours.hardwareOf('2001:db8::1')]).toEqual(['', ''])
})

const namesWith = (query: (name: string) => Promise<readonly string[]>, clock = new FakeClock()) => ({
  clock,
  names: createReverseNames({ clock, nameservers: [], hostsFile: null, positiveTtl: ms(60_000), negativeTtl: ms(10_000), timeoutMs: ms(1000), retransmitMs: ms(5000), namesMax: 2, query }),
})

test('names are lower case, asked under the right domain, and kept for their time', async () => {
  const asked: string[] = []
  const { clock, names } = namesWith(async name => (asked.push(name), ['PC1.Example.ORG.']))
  expect(await names.nameOf('192.0.2.7')).toBe('pc1.example.org')
  expect(names.nameOf('192.0.2.7')).toBe('pc1.example.org')
  await names.nameOf('2001:db8::1')
  expect(asked).toEqual(['7.2.0.192.in-addr.arpa', `1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`])
  clock.advance(60_000)
  expect(names.nameOf('192.0.2.7')).toBeInstanceOf(Promise)
})

test('who has no name, or a name server that is silent, is nameless for a while', async () => {
  const nameless = namesWith(() => Promise.reject(new Error('ENOTFOUND')))
  expect(await nameless.names.nameOf('192.0.2.7')).toBe('')
  expect(nameless.names.nameOf('192.0.2.7')).toBe('')
  const silent = namesWith(() => new Promise(() => {}))
  const answer = silent.names.nameOf('192.0.2.7')
  silent.clock.advance(1000)
  expect(await answer).toBe('')
})

test('no more names are kept than fqdncache_size says', async () => {
  const asked: string[] = []
  const { names } = namesWith(async name => (asked.push(name), ['a.example']))
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) await names.nameOf(address)
  expect([names.nameOf('192.0.2.3'), names.nameOf('192.0.2.2')]).toEqual(['a.example', 'a.example'])
  expect(names.nameOf('192.0.2.1')).toBeInstanceOf(Promise)
})
