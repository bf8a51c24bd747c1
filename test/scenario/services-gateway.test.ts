// Services on a gateway with real kernel rules: what a listener takes by TPROXY or NAT gets its service, whatever the
// protocol. Seen at the client, at the server (whom it heard) and in the proxy's access log.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { factsLog, families, Gateway, program } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft')
const { client } = labAddresses

const before = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
`

const listeners = `
listener 3130 tproxy service=everything name=any
listener 0.0.0.0:3131 tproxy service=everything name=four
listener 3129 intercept service=ours name=nat
router theirs transparent forge_addr=on
service everything plug router=theirs
service ours plug
`

describe.skipIf(cannot !== null)(`services on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let server: Running

  beforeAll(async () => {
    lab = await openNetwork()
    server = lab.origin.spawn(process.execPath, [program('echo-server'), '2525', '7000', '7001'])
    await server.heard('listening')
    gateway = await Gateway.open(lab, {
      conf: before + listeners + factsLog,
      rules: ['nft', '--interface', 'lan', '--take', '2525=any', '--take', '7001=four', '--take', '7000=3129'],
    })
  })
  afterAll(() => lab.close())

  const connect = async (host: string, port: number, text: string): Promise<{ got: string }> =>
    JSON.parse((await lab.client.run(process.execPath, program('tcp-client'), JSON.stringify({ host, port, text }))).stdout)

  const ways = families.flatMap(family => [
    { ...family, way: 'tproxy', port: 2525, source: family.client },
    { ...family, way: 'nat', port: 7000, source: family.gatewayWan },
  ])

  it.each(ways)('a plug, $family by $way', async ({ family, way, port, origin, client: from, source }) => {
    const text = `${family} ${way}`
    expect((await connect(origin, port, text)).got).toBe(text)
    const record = await gateway.record(({ taken, destination }) => taken === way && destination === origin)
    expect(record).toMatchObject({
      client: from, destinationPort: port, result: 'TCP_TUNNEL', status: 200, method: 'CONNECT', hierarchy: 'ORIGINAL_DST', serverLocal: source,
    })
    expect(server.said).toContain(`"port":${port},"peer":"${source}"`)
  })

  it('a plug on a listener for IPv4 alone', async () => {
    expect((await connect(families[0].origin, 7001, 'four')).got).toBe('four')
    expect(await gateway.record(record => record.destinationPort === 7001)).toMatchObject({ taken: 'tproxy', serverLocal: client.ipv4 })
  })

  it('whoever connects to the listener itself is turned away', async () => {
    const got = await connect(labAddresses.gateway.ipv4, 3129, 'hello')
    expect(got.got).toBe('')
    expect(gateway.records.filter(record => record.destination === labAddresses.gateway.ipv4)).toEqual([])
  })
})
