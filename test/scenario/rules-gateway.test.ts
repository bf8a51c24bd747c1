// Rules, zones and NAT policies on a gateway with real kernel rules. Which rule decided and which zones it saw stand in
// session_log; whom the server heard, at the server. `glassquid explain --tuple` must say the same beforehand.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { confPath, factsLog, Gateway, glassquid, program } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'ip')
const { client, origin, bank, gatewayWan } = labAddresses
const guest = '198.51.100.66'
const neighbour = '198.51.100.67'

const confWith = (dnsPort: number): string => `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
session_log /run/glassquid/sessions.log
dns_nameservers 127.0.0.1:${dnsPort}
negative_dns_ttl 1 second
listener 3130 tproxy rules name=gate

zone internet 0.0.0.0/0 ::/0
zone site 198.51.100.0/24 2001:db8:c::/64
zone guests parent=site 198.51.100.64/26
zone moving host:moving.example

router theirs transparent forge_addr=on
service plain plug router=theirs
service nested plug router=theirs
service wide plug router=theirs
service exact plug router=theirs
service six plug router=theirs
service port plug router=theirs
service lan plug router=theirs
service group plug router=theirs
service named plug router=theirs
service nobody deny
service snat plug snat=inside
service some plug snat=chosen
service translated plug dnat=nat64 snat=ours
nat_policy inside general 198.51.100.0/24 all 192.0.2.0/24
nat_policy chosen random 192.0.2.101 192.0.2.102 192.0.2.103 192.0.2.104 192.0.2.105 192.0.2.106 192.0.2.107
nat_policy nat64 nat64
nat_policy ours static ${gatewayWan.ipv4}

rule id=1 service=nobody
rule id=10 dst_port=7001 src_zone=site service=plain
rule id=11 dst_port=7001 src_zone=guests service=nested
rule id=12 dst_port=7001 dst_zone=moving src_zone=site service=named
rule id=20 dst_port=7002 dst=203.0.113.0/24 service=wide
rule id=21 dst_port=7002 dst=203.0.113.11 service=exact
rule id=22 dst_port=7002 dst=2001:db8::/32 service=six
rule id=23 dst_port=7000-7002 src_port=1000 service=port
rule id=30 dst_port=7003 src_iface=lan service=lan
rule id=31 dst_port=7004 src_group=42 service=group
rule id=32 dst_port=7004 src_iface=wan service=nobody
rule id=40 dst_port=7005 service=snat
rule id=41 dst_port=7006 service=some
rule id=42 dst_port=7007 dst=64:ff9b::/96 service=translated
`

interface Said {
  readonly got?: string
  readonly localPort?: number
  readonly error?: string
}

interface Seen {
  readonly place: string
  readonly peer: string
}

describe.skipIf(cannot !== null)(`rules on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let server: Running
  let names: Running

  beforeAll(async () => {
    lab = await openNetwork()
    await lab.client.script(`ip address add ${guest}/24 dev eth0\nip address add ${neighbour}/24 dev eth0`)
    await lab.gateway.script('ip link set lan group 42')
    const ports = [7001, 7002, 7003, 7004, 7005, 7006, 7007]
    server = lab.origin.spawn(process.execPath, [program('echo-server'), ...ports.map(String)])
    await server.heard('listening')
    names = lab.gateway.spawn(process.execPath, [program('name-server'), 'moving.example', bank.ipv4])
    const { port } = JSON.parse(await names.heard(/^\{.*\}$/m))
    await Gateway.open(lab, { conf: confWith(port) + factsLog, rules: ['nft', '--interface', 'lan', '--take', '7001-7007=gate'] })
  })
  afterAll(() => lab.close())

  const connect = async (port: number, more: object = {}): Promise<Said> => {
    const words = JSON.stringify({ host: origin.ipv4, port, text: `to ${port}`, ...more })
    return JSON.parse((await lab.client.run(process.execPath, program('tcp-client'), words)).stdout)
  }

  const sessions = (): readonly Record<string, unknown>[] =>
    readFileSync(join(lab.gateway.root, 'run/glassquid/sessions.log'), 'utf8').split('\n').filter(line => line !== '').map(line => JSON.parse(line))

  /** The record of the session a connection made. */
  const recordOf = async (connecting: () => Promise<Said>): Promise<Record<string, unknown> | undefined> => {
    const before = existing()
    const { localPort } = await connecting()
    // who is reset at once may not have learned its port: connections are made one after the other here
    const own = () =>
      sessions().slice(before).find(record => localPort === undefined || String(record['client']).endsWith(`:${localPort}`))
    await expect.poll(() => existing() > before && own() !== undefined, { timeout: 5000, interval: 20 }).toBe(true)
    return own()
  }

  const existing = (): number => {
    try {
      return sessions().length
    } catch {
      return 0 // nothing has been written yet
    }
  }

  const seen = (place: number): readonly Seen[] =>
    [...server.said.matchAll(/^\{"place".*\}$/gm)].map(([line]) => JSON.parse(line)).filter((sight: Seen) => sight.place === String(place))

  const explained = async (tuple: string): Promise<{ rule: { id: number } | null; service: { name: string } | null; clientZones: string[] }> =>
    JSON.parse((await lab.gateway.run(glassquid, 'explain', '-f', confPath, '--json', '--tuple', tuple)).stdout)

  describe('choose', () => {
    const cases = [
      { by: 'a zone', from: client.ipv4, host: origin.ipv4, port: 7001, rule: 10, service: 'plain', clientZone: 'site' },
      { by: 'a zone below it', from: guest, host: origin.ipv4, port: 7001, rule: 11, service: 'nested', clientZone: 'guests' },
      { by: 'a network', from: client.ipv4, host: origin.ipv4, port: 7002, rule: 20, service: 'wide', clientZone: 'site' },
      { by: 'one address in it', from: client.ipv4, host: bank.ipv4, port: 7002, rule: 21, service: 'exact', clientZone: 'site' },
      { by: 'IPv6', from: client.ipv6, host: origin.ipv6, port: 7002, rule: 22, service: 'six', clientZone: 'site' },
      { by: 'the interface it came by', from: client.ipv4, host: origin.ipv4, port: 7003, rule: 30, service: 'lan', clientZone: 'site' },
      { by: 'that interface, IPv6', from: client.ipv6, host: origin.ipv6, port: 7003, rule: 30, service: 'lan', clientZone: 'site' },
      { by: 'the group of its interface', from: client.ipv4, host: origin.ipv4, port: 7004, rule: 31, service: 'group', clientZone: 'site' },
      { by: 'the client’s port', from: client.ipv4, localPort: 1000, host: bank.ipv4, port: 7002, rule: 23, service: 'port', clientZone: 'site' },
    ]
    // the log is written once a second: all of them wait together
    it('among many connections', async () => {
      const said = await Promise.all(cases.map(({ from, host, port, localPort }) =>
        connect(port, { host, localAddress: from, ...(localPort === undefined ? {} : { localPort }) })))
      expect(said.map(({ got }) => got)).toEqual(cases.map(({ port }) => `to ${port}`))
      await expect.poll(existing, { timeout: 5000 }).toBe(cases.length)
    })

    it.each(cases)('by $by', ({ from, host, rule, service, clientZone }) => {
      const found = sessions().find(record => record['service'] === service && JSON.stringify(record).includes(host))
      expect(found).toMatchObject({ rule, clientZone, verdict: 'ACCEPTED', client: expect.stringContaining(from) })
    })

    it.each(cases.filter(({ rule }) => [11, 23, 31].includes(rule)))('by $by, as explain says beforehand', async ({ from, localPort = 40_000, host, port, rule, service, clientZone }) => {
      const end = (address: string, at: number) => (address.includes(':') ? `[${address}]:${at}` : `${address}:${at}`)
      const told = await explained(`tcp ${end(from, localPort)} -> ${end(host, port)} iface lan`)
      expect([told.rule?.id, told.service?.name, told.clientZones[0]]).toEqual([rule, service, clientZone])
    })
  })

  it('what no other rule wants gets the one that says nothing', async () => {
    let said: Said = {}
    const record = await recordOf(async () => (said = await connect(7007)))
    expect(said.error).toBe('ECONNRESET')
    expect(record).toMatchObject({ rule: 1, service: 'nobody', verdict: 'DENIED_BY_POLICY' })
    expect(seen(7007)).toEqual([])
  })

  it('a zone of a host name follows it', async () => {
    const rule = async (host: string) => (await recordOf(() => connect(7001, { host })))?.['rule']
    await expect.poll(() => rule(bank.ipv4), { timeout: 10_000 }).toBe(12)
    expect(await rule(origin.ipv4)).toBe(10)
    names.tell(`${origin.ipv4}\n`)
    await names.heard(`now ${origin.ipv4}`)
    await expect.poll(() => rule(origin.ipv4), { timeout: 10_000 }).toBe(12)
    expect(await rule(bank.ipv4)).toBe(10)
  })

  it('SNAT: N:M keeps the host part', async () => {
    expect((await connect(7005)).got).toBe('to 7005')
    expect((await connect(7005, { localAddress: guest })).got).toBe('to 7005')
    expect(seen(7005).map(({ peer }) => peer)).toEqual(['192.0.2.2', '192.0.2.66'])
  })

  it('SNAT by chance: one address for one client', async () => {
    for (let i = 0; i < 8; i++) expect((await connect(7006)).got).toBe('to 7006')
    const peers = new Set(seen(7006).map(({ peer }) => peer))
    expect(peers.size).toBe(1)
    expect([...peers][0]).toMatch(/^192\.0\.2\.10[1-7]$/)
  })

  it('NAT64: an IPv6 client and a server that has IPv4 alone', async () => {
    const [a, b, c, d] = origin.ipv4.split('.').map(Number)
    const inside = `64:ff9b::${(((a ?? 0) << 8) | (b ?? 0)).toString(16)}:${(((c ?? 0) << 8) | (d ?? 0)).toString(16)}`
    let said: Said = {}
    const record = await recordOf(async () => (said = await connect(7007, { host: inside })))
    expect(said.got).toBe('to 7007')
    expect(record).toMatchObject({ rule: 42, service: 'translated', client: expect.stringContaining(client.ipv6), server: `${origin.ipv4}:7007` })
    expect(seen(7007).map(({ peer }) => peer)).toEqual([gatewayWan.ipv4])
  })

  it('interfaces may change their group while it runs', async () => {
    await lab.gateway.script('ip link set lan group 7')
    const rule = async () => (await recordOf(() => connect(7004)))?.['rule']
    await expect.poll(rule, { timeout: 10_000 }).toBe(1)
    await lab.gateway.script('ip link set lan group 42')
    await expect.poll(rule, { timeout: 10_000 }).toBe(31)
  })
})
