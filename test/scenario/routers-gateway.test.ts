// Routers and chainers on a gateway, each feature on real sockets: whose address and which port servers see, where
// sessions go and where not, who is asked after somebody has failed. Seen at the server, in the access log and in
// cache.log.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, Gateway, program } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')
const { client, origin, bank, gatewayWan } = labAddresses
const other = '198.51.100.3'

/** Each taken port is a service of its own. */
const services = [
  [7001, 'plug', 'transparent forge_addr=on'],
  [7002, 'plug', 'transparent forge_addr=on forge_port=exact'],
  [7003, 'plug', 'transparent forge_addr=on forge_port=group'],
  [7004, 'plug', 'transparent forge_addr=on forge_port=random'],
  [7005, 'plug', 'transparent forge_addr=on forge_port=999'],
  [7006, 'plug', 'transparent forge_port=exact'],
  [7007, 'plug', 'transparent forge_port=group'],
  [7008, 'plug', 'transparent forge_addr=on forced_port=7100'],
  [7009, 'plug', `directed ${origin.ipv4}:7100 ${bank.ipv4}:7101 forge_addr=on`],
  [7010, 'plug', `directed ${origin.ipv4}:7201 ${bank.ipv4}:7101`, 'chainer=over'],
  [7011, 'plug', `directed ${origin.ipv4}:7100 ${bank.ipv4}:7101`, 'chainer=turns'],
  [7012, 'plug', `directed ${origin.ipv4}:7201 ${bank.ipv4}:7202`, 'chainer=over'],
  [7013, 'plug', `directed ${origin.ipv4}:7301 ${bank.ipv4}:7302`, 'chainer=alive'],
  [7014, 'http', `directed ${origin.ipv4}:8000`],
  [7015, 'http', `transparent forge_addr=on`],
  [7016, 'plug', 'transparent', 'dnat=to_bank limit_target_zones=farm'],
  [7017, 'plug', 'transparent', 'dnat=to_origin limit_target_zones=farm'],
  [7018, 'plug', `directed ${bank.ipv4}:7101 ${origin.ipv4}:7100`, 'chainer=over limit_target_zones=farm'],
] as const

const conf = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
http_access allow all
session_log /run/glassquid/session.log
zone farm ${origin.ipv4}
zone elsewhere 203.0.113.0/24
nat_policy to_bank static ${bank.ipv4}:7101
nat_policy to_origin static ${origin.ipv4}:7100
chainer over failover timeout_state=1minute timeout_connect=2s
chainer turns round_robin timeout_connect=2s
chainer alive availability check=tcp interval=100ms timeout=1s
${services.map(([port, proxy, router, more = '']) => `router r${port} ${router}\nservice s${port} ${proxy} router=r${port} ${more}\nlistener ${port + 1000} tproxy service=s${port}`).join('\n')}
`

interface Said {
  readonly got: string
  readonly localPort?: number
  readonly error?: string
}

interface Seen {
  readonly place: string
  readonly peer: string
  readonly peerPort: number
}

describe.skipIf(cannot !== null)(`routers and chainers on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let server: Running

  beforeAll(async () => {
    lab = await openNetwork()
    await lab.client.script(`ip address add ${other}/24 dev eth0`)
    const open = services.slice(0, 7).map(([port]) => String(port))
    server = lab.origin.spawn(process.execPath, [program('echo-server'), ...open, '7100', '7101', '7301', '7302'])
    await server.heard('listening')
    gateway = await Gateway.open(lab, {
      conf: conf + factsLog,
      rules: ['nft', '--interface', 'lan', ...services.flatMap(([port]) => ['--take', `${port}=${port + 1000}`])],
    })
  })
  afterAll(() => lab.close())

  const words = (port: number, more: object = {}) => [program('tcp-client'), JSON.stringify({ host: origin.ipv4, port, text: `to ${port}`, ...more })]

  const connect = async (port: number, more: object = {}): Promise<Said> =>
    JSON.parse((await lab.client.run(process.execPath, ...words(port, more))).stdout)

  const held: Running[] = []
  const hold = async (port: number, more: object = {}): Promise<Said> => {
    const running = lab.client.spawn(process.execPath, words(port, { ...more, hold: true }))
    held.push(running)
    return JSON.parse(await running.heard(/^\{.*\}$/m))
  }

  const seen = (place: number): readonly Seen[] =>
    [...server.said.matchAll(/^\{"place".*\}$/gm)].map(([line]) => JSON.parse(line)).filter((sight: Seen) => sight.place === String(place))

  const lastSeen = async (place: number, count = 1): Promise<Seen | undefined> => {
    await expect.poll(() => seen(place).length).toBeGreaterThanOrEqual(count)
    return seen(place).at(-1)
  }

  describe('forge_port', () => {
    it('any: the client’s address, a port of the kernel’s choice', async () => {
      expect((await connect(7001)).got).toBe('to 7001')
      expect(await lastSeen(7001)).toMatchObject({ peer: client.ipv4 })
    })

    it('exact: the client’s port', async () => {
      const { localPort } = await connect(7002)
      expect(await lastSeen(7002)).toMatchObject({ peer: client.ipv4, peerPort: localPort })
      expect((await connect(7002, { localPort: 700 })).got).toBe('to 7002')
      expect(await lastSeen(7002, 2)).toMatchObject({ peer: client.ipv4, peerPort: 700 })
    })

    it('group: the client’s port while it is free', async () => {
      const { localPort } = await connect(7003)
      expect(await lastSeen(7003)).toMatchObject({ peer: client.ipv4, peerPort: localPort })
    })

    it('random: another port of the same class', async () => {
      for (let i = 0; i < 3; i++) expect((await connect(7004, { localPort: 800 + i })).got).toBe('to 7004')
      await lastSeen(7004, 3)
      const ports = seen(7004).map(sight => sight.peerPort)
      for (const port of ports) expect(port >= 514 && port <= 1024).toBe(true)
      expect(ports).not.toEqual([800, 801, 802])
    })

    it('a number: that port', async () => {
      expect((await connect(7005)).got).toBe('to 7005')
      expect(await lastSeen(7005)).toMatchObject({ peer: client.ipv4, peerPort: 999 })
    })

    it('the same port of two clients, in our name: exact fails cleanly, group takes another of its class', async () => {
      const port = { localPort: 1000 }
      expect((await hold(7006, { ...port, localAddress: client.ipv4 })).got).toBe('to 7006')
      expect(await lastSeen(7006)).toMatchObject({ peer: gatewayWan.ipv4, peerPort: 1000 })
      expect((await connect(7006, { ...port, localAddress: other })).error).toBe('ECONNRESET')
      expect(await gateway.record(record => record.client === other)).toMatchObject({ status: 500 })
      expect(seen(7006)).toHaveLength(1)

      expect((await hold(7007, { ...port, localAddress: client.ipv4 })).got).toBe('to 7007')
      expect((await hold(7007, { ...port, localAddress: other })).got).toBe('to 7007')
      await lastSeen(7007, 2)
      const [first, second] = seen(7007).map(sight => sight.peerPort)
      expect(first).toBe(1000)
      expect(second !== 1000 && Number(second) >= 514 && Number(second) <= 1024).toBe(true)
    })
  })

  describe('a router', () => {
    it('transparent with forced_port goes to another port of where the client was going', async () => {
      expect((await connect(7008)).got).toBe('to 7008')
      expect(await lastSeen(7100)).toMatchObject({ peer: client.ipv4 })
      expect(await gateway.record(record => record.destinationPort === 7008)).toMatchObject({ hierarchy: 'ORIGINAL_DST', serverLocal: client.ipv4 })
    })

    it('directed goes to the first of its servers, wherever the client was going', async () => {
      const before = seen(7100).length
      expect((await connect(7009, { host: bank.ipv4 })).got).toBe('to 7009')
      expect(await lastSeen(7100, before + 1)).toMatchObject({ peer: client.ipv4 })
    })

    it('directed has the last word for http: Host is the name of a site there; where it may not choose, choosing is refused', async () => {
      const web = lab.origin.spawn(process.execPath, [program('counting-origin'), '8000'])
      await web.heard('listening')
      expect((await curl(lab, '-4', '-H', 'Host: site.example', `http://${origin.ipv4}:7014/directed`)).status).toBe(200)
      expect(await gateway.about('/directed')).toMatchObject([{ status: 200, hierarchy: 'HIER_DIRECT' }])
      const absolute = await curl(lab, '-4', '--proxy', `http://${origin.ipv4}:7015`, `http://${bank.ipv4}:8000/chosen`)
      expect(absolute.status).toBe(503)
    })
  })

  describe('the zone of the target, as it is after dnat', () => {
    const sessionOf = async (service: string) => {
      const path = join(lab.gateway.root, 'run/glassquid/session.log')
      const found = () => readFileSync(path, 'utf8').split('\n').find(line => line.includes(`"service":"${service}"`))
      await expect.poll(found, { timeout: 10_000 }).toBeDefined()
      return JSON.parse(found() ?? '')
    }

    it('may not be another than the service says', async () => {
      const before = seen(7101).length
      expect((await connect(7016)).error).toBe('ECONNRESET')
      expect(await gateway.record(record => record.destinationPort === 7016)).toMatchObject({ result: 'TCP_DENIED', status: 403 })
      expect(await sessionOf('s7016')).toMatchObject({ verdict: 'DENIED_BY_POLICY', server: null })
      expect(seen(7101)).toHaveLength(before)
    })

    it('counts, and not where the client was going', async () => {
      expect((await connect(7017, { host: bank.ipv4 })).got).toBe('to 7017')
      expect(await sessionOf('s7017')).toMatchObject({ verdict: 'ACCEPTED', server: `${origin.ipv4}:7100`, serverZone: 'farm', destination: `${bank.ipv4}:7017` })
    })

    it('that is denied is passed over, and the next target asked', async () => {
      const before = [seen(7100).length, seen(7101).length]
      expect((await connect(7018)).got).toBe('to 7018')
      await expect.poll(() => [seen(7100).length, seen(7101).length]).toEqual([(before[0] ?? 0) + 1, before[1]])
    })
  })

  describe('a chainer', () => {
    it('failover goes on where a server refuses, and does not ask it again for a while', async () => {
      for (let i = 1; i <= 2; i++) {
        expect((await connect(7010)).got).toBe('to 7010')
        await lastSeen(7101, i)
      }
    })

    it('failover gives up after two rounds when nobody is there', async () => {
      expect((await connect(7012)).error).toBe('ECONNRESET')
      expect(await gateway.record(record => record.destinationPort === 7012)).toMatchObject({ status: 503 })
    })

    it('round_robin shares sessions out', async () => {
      const before = [seen(7100).length, seen(7101).length]
      for (let i = 0; i < 4; i++) expect((await connect(7011)).got).toBe('to 7011')
      await expect.poll(() => [seen(7100).length, seen(7101).length]).toEqual(before.map(count => count + 2))
    })

    it('availability leaves out a server that is down before any client has met it', async () => {
      server.tell('close 7301\n')
      await expect.poll(() => gateway.cacheLog, { timeout: 10_000 }).toMatch(/:7301 of chainer alive is down/)
      const sessionsBefore = seen(7302).length
      for (let i = 0; i < 3; i++) expect((await connect(7013)).got).toBe('to 7013')
      expect(seen(7302).length).toBeGreaterThanOrEqual(sessionsBefore + 3)
      server.tell('open 7301\n')
      await expect.poll(() => gateway.cacheLog, { timeout: 10_000 }).toMatch(/:7301 of chainer alive is up/)
    })
  })
})
