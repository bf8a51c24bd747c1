// What the kernel tells of interfaces, groups, addresses and routes, and by which interface a connection came: asked and
// followed over netlink in the lab. What the program knows is compared with what `ip` has been told.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork, planRules, ruleDefaults, ruleText } from '../../src/intercept/index.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'
import { noAddon } from './present.ts'

const why = noAddon ?? noLabWith('nft', 'ip')
/** With two IPv6 addresses the origin's machine speaks with the younger one, the bank's. */
const { bank, client, gateway: own, gatewayWan, origin } = labAddresses
const program = (name: string): string => new URL(`../support/programs/${name}.ts`, import.meta.url).pathname

interface Known {
  readonly name: string
  readonly group: number
  readonly up: boolean
  readonly addresses: readonly string[]
}

describe.skipIf(why !== null)(`interfaces ${why ?? ''}`, () => {
  let lab: Network
  let proxy: Running

  beforeAll(async () => {
    lab = await openNetwork()
    const answer = planRules([{ mode: 'tproxy', address: null, port: 3130, name: '3130' }], { ...ruleDefaults, interfaces: ['lan', 'wan'] })
    if (!answer.ok) throw new Error(answer.reason)
    await lab.gateway.script(ruleText('nft', 'apply', answer.plan))
    await lab.gateway.script('ip link set lan group 7')
    proxy = lab.gateway.spawn(process.execPath, [program('interfaces'), 'tproxy:3130', 'direct:7000', 'burst'])
    await proxy.heard('ready')
  })
  afterAll(() => lab.close())

  const tables = (): Record<string, Known>[] =>
    proxy.said.split('\n').filter(line => line.startsWith('{"table"')).map(line => JSON.parse(line).table)
  const last = (): Record<string, Known> => tables().at(-1) ?? {}

  it('are known with group, state and addresses at the start', () => {
    const [first = {}] = tables()
    expect(Object.keys(first)).toEqual(expect.arrayContaining(['lo', 'lan', 'wan']))
    expect(first['lan']).toMatchObject({ group: 7, up: true, addresses: expect.arrayContaining([own.ipv4, own.ipv6]) })
    expect(first['wan']).toMatchObject({ group: 0, up: true, addresses: expect.arrayContaining([gatewayWan.ipv4, gatewayWan.ipv6]) })
    expect(first['lo']?.addresses).toEqual(['127.0.0.1', '::1'])
    expect(proxy.said).toContain('"live":true')
  })

  it.each([
    ['a new one', 'ip link add new0 type veth peer name new1', /"new0":.*"up":false/],
    ['its address', 'ip addr add 192.0.2.1/30 dev new0', /"new0":[^}]*"192\.0\.2\.1"/],
    ['the address of our end of a point-to-point link', 'ip addr add 192.0.2.5 peer 192.0.2.6 dev new0', /"new0":[^}]*"192\.0\.2\.5"/],
    ['that it is up', 'ip link set new0 up', /"new0":[^}]*"up":true/],
    ['its group', 'ip link set new0 group 2147483647', /"new0":[^}]*"group":2147483647/],
    ['another name', 'ip link set new1 name new2', /"new2":/],
    ['an address that goes', 'ip addr del 192.0.2.1/30 dev new0', /"new0":[^}]*"addresses":\["192\.0\.2\.5"/],
  ])('are followed: %s', async (_what, command, known) => {
    await lab.gateway.script(command)
    await proxy.heard(known)
  })

  it('that go take their addresses along', async () => {
    await lab.gateway.script('ip link del new0; ip addr add 198.51.100.77/32 dev lan')
    await proxy.heard('198.51.100.77')
    expect(Object.keys(last())).not.toEqual(expect.arrayContaining(['new0']))
    expect(last()['lan']?.addresses).toContain('198.51.100.77')
  })

  it.each([
    ['IPv4 by tproxy', 'client', origin.ipv4, 80, { way: 'tproxy', peer: client.ipv4, by: 'lan', back: 'lan' }],
    ['IPv6 by tproxy', 'client', origin.ipv6, 80, { way: 'tproxy', peer: client.ipv6, by: 'lan', back: 'lan' }],
    ['IPv4 from the other side', 'origin', client.ipv4, 80, { way: 'tproxy', peer: origin.ipv4, by: 'wan', back: 'wan' }],
    ['IPv6 from the other side', 'origin', client.ipv6, 80, { way: 'tproxy', peer: bank.ipv6, by: 'wan', back: 'wan' }],
    ['IPv4 to the machine', 'client', own.ipv4, 7000, { way: 'direct', peer: client.ipv4, by: 'lan', back: 'lan' }],
    ['IPv6 to the machine', 'client', own.ipv6, 7000, { way: 'direct', peer: client.ipv6, by: 'lan', back: 'lan' }],
    ['IPv4 to its other address', 'client', gatewayWan.ipv4, 7000, { way: 'direct', peer: client.ipv4, by: 'lan', back: 'lan' }],
    ['IPv4 from itself', 'gateway', '127.0.0.1', 7000, { way: 'direct', peer: '127.0.0.1', by: 'lo', back: 'lo' }],
    ['IPv6 from itself', 'gateway', '::1', 7000, { way: 'direct', peer: '::1', by: 'lo', back: 'lo' }],
  ] as const)('are told for a connection: %s', async (_what, from, host, port, facts) => {
    const answer = await lab[from].must(process.execPath, program('tcp-client'), JSON.stringify({ host, port, text: 'x' }))
    expect(answer).toContain('known')
    expect(proxy.said.trim().split('\n').at(-1)).toBe(JSON.stringify(facts))
  })

  it('are read anew when the kernel had more to tell than we heard', async () => {
    proxy.tell('burst\n')
    await proxy.heard('deaf')
    // far more than a socket holds; the last one alone must be known in the end
    await lab.gateway.script(`
      for i in $(seq 1 250); do for j in 1 2 3 4 5 6 7 8; do echo "addr add 10.9.$i.$j/32 dev lan"; done; done | ip -batch -
      ip addr flush dev lan to 10.9.0.0/16
      ip addr add 10.9.0.1/32 dev lan
      touch /run/glassquid/awake`)
    await proxy.heard(/awake\n(?:.*\n)*.*"10\.9\.0\.1"/)
    expect(last()['lan']?.addresses.filter(address => address.startsWith('10.9.'))).toEqual(['10.9.0.1'])
  })
})
