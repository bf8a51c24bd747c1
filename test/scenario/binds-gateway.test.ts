// Listeners bound to interfaces, groups of them and ranges of ports, while addresses come and go under the running
// daemon. Seen by connecting (the server behind says whom it heard), in what the kernel has listening, and in the
// daemon's own words.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { applyRules, confPath, factsLog, Gateway, glassquid, program, writeConf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, withLab } from '../support/net-lab.ts'

const cannot = noLabWith('ss')
const { gateway: own, gatewayWan, origin } = labAddresses

const conf = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
router there directed ${origin.ipv4}:2525
service plug plug router=there
listener iface:lan:7001 service=plug
listener group:inside:7002 service=plug
listener iface:later:7003 service=plug
listener ${own.ipv4}:7100-7103 service=plug name=range
`

describe.skipIf(cannot !== null)(`binds on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway

  beforeAll(async () => {
    lab = await openNetwork()
    await lab.gateway.script('printf "0 default\\n0x4d inside\\n" >/run/group; mount --bind /run/group /etc/iproute2/group')
    await lab.origin.spawn(process.execPath, [program('echo-server'), '2525']).heard('listening')
    gateway = await Gateway.open(lab, { conf: conf + factsLog, rules: null, args: ['-d1'] })
  })
  afterAll(() => lab.close())

  const connect = async (host: string, port: number): Promise<string> => {
    const { got, error } = JSON.parse((await lab.client.run(process.execPath, program('tcp-client'), JSON.stringify({ host, port, text: 'hello' }))).stdout)
    return error ?? got
  }
  const listening = async (port: number): Promise<string[]> =>
    (await lab.gateway.must('ss', '-Hltn', `sport = :${port}`)).split('\n').filter(line => line !== '').map(line => line.split(/\s+/)[3] ?? '').sort()
  const said = (words: string): Promise<string> => gateway.proxy.heard(words)

  it('an interface is listened on at each of its addresses, and nowhere else', async () => {
    expect(await connect(own.ipv4, 7001)).toBe('hello')
    expect(await connect(own.ipv6, 7001)).toBe('hello')
    expect(await connect(gatewayWan.ipv4, 7001)).toBe('ECONNREFUSED')
    const record = await gateway.record(({ destinationPort, destination }) => destinationPort === 7001 && destination === own.ipv6)
    expect(record).toMatchObject({ taken: 'direct', status: 200 })
  })

  it('its link-local address is one of them', async () => {
    const [, linkLocal = ''] = /inet6 (fe80:[0-9a-f:]+)/.exec(await lab.gateway.must('ip', '-6', 'addr', 'show', 'dev', 'lan')) ?? []
    expect(await listening(7001)).toEqual([`${own.ipv4}:7001`, `[${own.ipv6}]:7001`, `[${linkLocal}]%lan:7001`].sort())
    expect(await connect(`${linkLocal}%eth0`, 7001)).toBe('hello')
  })

  it('addresses that come get a listener, those that go lose it', async () => {
    await lab.gateway.script('ip addr add 198.51.100.7/24 dev lan; ip -6 addr add 2001:db8:c::7/64 dev lan nodad')
    await said('listening on [2001:db8:c::7]:7001: the address has come')
    expect(await connect('198.51.100.7', 7001)).toBe('hello')
    expect(await connect('2001:db8:c::7', 7001)).toBe('hello')
    await lab.gateway.script('ip addr del 198.51.100.7/24 dev lan; ip -6 addr del 2001:db8:c::7/64 dev lan')
    await said('no longer listening on [2001:db8:c::7]:7001: the address has gone')
    expect((await listening(7001)).filter(text => text.includes('::7]') || text.includes('.7:'))).toEqual([])
    expect(await connect(own.ipv4, 7001)).toBe('hello') // the others were not touched
  })

  it('an interface may come after the start, and go', async () => {
    expect(gateway.proxy.said).toMatch(/listener iface:later:7003.*no such interface has an address yet/)
    expect(await listening(7003)).toEqual([])
    await lab.gateway.script('ip link add later type veth peer name sooner; ip addr add 192.0.2.1/24 dev later; ip link set later up')
    await said('listening on 192.0.2.1:7003')
    expect(await connect('192.0.2.1', 7003)).toBe('hello')
    await lab.gateway.script('ip link del later')
    await said('no longer listening on 192.0.2.1:7003')
    expect(await listening(7003)).toEqual([])
  })

  it('an interface joins a group and leaves it', async () => {
    expect(await listening(7002)).toEqual([])
    await lab.gateway.script('ip link set lan group inside')
    await said(`listening on ${own.ipv4}:7002: the address has come`)
    expect(await connect(own.ipv4, 7002)).toBe('hello')
    expect(await connect(own.ipv6, 7002)).toBe('hello')
    await lab.gateway.script('ip link set wan group 77')
    await said(`listening on ${gatewayWan.ipv4}:7002: the address has come`)
    await lab.gateway.script('ip link set lan group default')
    await said(`no longer listening on ${own.ipv4}:7002`)
    expect((await listening(7002)).filter(text => text.startsWith(own.ipv4))).toEqual([])
    expect(await connect(gatewayWan.ipv4, 7002)).toBe('hello')
    await lab.gateway.script('ip link set wan group default')
    await said(`no longer listening on ${gatewayWan.ipv4}:7002`)
  })

  it('a range is one listener on each port', async () => {
    expect(await listening(7100)).toEqual([`${own.ipv4}:7100`])
    for (const port of [7100, 7103]) expect(await connect(own.ipv4, port)).toBe('hello')
    for (const port of [7099, 7104]) expect(await connect(own.ipv4, port)).toBe('ECONNREFUSED')
  })

  it('a reload keeps following, with the binds of the new conf', async () => {
    gateway.use(conf.replace('iface:lan:7001', 'iface:lan:7011') + factsLog)
    await gateway.control('reconfigure')
    await said('Reconfigured')
    expect(await connect(own.ipv4, 7001)).toBe('ECONNREFUSED')
    await lab.gateway.script('ip addr add 198.51.100.8/24 dev lan')
    await said('listening on 198.51.100.8:7011')
    expect(await connect('198.51.100.8', 7011)).toBe('hello')
  })
})

const noSets = noLabWith('nft', 'ss')

describe.skipIf(noSets !== null)(`related connections by sets ${noSets ?? ''}`, () => {
  const related = 'http_port 3128\npid_filename /run/glassquid/glassquid.pid\ncache_log /run/glassquid/cache.log\naccess_log none\nrelated_connections nft_sets 3139\n'

  it('need the rules first, and say so; then the daemon listens for them', () =>
    withLab(async lab => {
      writeConf(lab, related)
      const early = await lab.gateway.run(glassquid, '-f', confPath)
      expect([early.code, early.stderr]).toEqual([1, expect.stringMatching(/^FATAL: related_connections: the set expected4 of the nft table glassquid cannot be changed \(ENOENT\): it is made by glassquid rules/m)])
      expect((await lab.gateway.run(glassquid, 'rules', 'iptables', '-f', confPath)).stderr).toContain('needs the rules of the nft form')
      await applyRules(lab, 'nft', '--interface', 'lan')
      const daemon = lab.gateway.spawn(glassquid, ['-f', confPath, '-d1'])
      await daemon.heard(/^ready: /m)
      expect(await lab.gateway.must('ss', '-Hltn', 'sport = :3139')).toContain('*:3139')
      // for nobody in particular there is nobody
      const { error } = JSON.parse(await lab.client.must(process.execPath, program('tcp-client'), JSON.stringify({ host: own.ipv4, port: 3139, text: 'x' })))
      expect(error).toBe('ECONNRESET')
      await daemon.heard(/connection from 198\.51\.100\.2:\d+ to \[::\]:3139 refused: nobody waits for it/)
    }))
})
