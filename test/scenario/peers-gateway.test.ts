// Peers of a gateway: whose address they see of intercepted requests, and that a Host nobody confirmed leads to none of them.
// The parent is nginx on the origin's machine, at a port nothing takes. Seen at the client, in the proxy's log and at nginx.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, Gateway, natPort, squidLikeConf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')
const { client, gatewayWan, origin } = labAddresses

const conf = `${squidLikeConf}
acl forged urlpath_regex ^/fresh/forged
acl plain urlpath_regex ^/fresh/plain
cache_peer ${origin.ipv4} parent 8080 0 no-query name=forged
cache_peer ${origin.ipv4} parent 8080 0 no-query no-tproxy name=plain
cache_peer_access forged allow forged
cache_peer_access plain allow plain
never_direct allow forged
never_direct allow plain
${factsLog}`

describe.skipIf(cannot !== null)(`a gateway with parents ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    gateway = await Gateway.open(lab, { conf })
  })
  afterAll(() => lab.close())

  it.each([
    ['forged', 80, 'tproxy', client.ipv4],
    ['plain', 80, 'tproxy', gatewayWan.ipv4],
    ['forged', natPort, 'nat', gatewayWan.ipv4],
  ] as const)('%s, to port %i by %s: the parent sees %s', async (name, port, taken, source) => {
    const path = `/fresh/${name}-${taken}`
    nginx.page(path, path)
    const uri = `http://origin.lab${port === 80 ? '' : `:${port}`}${path}`
    expect((await curl(lab, '-4', uri)).content).toBe(path)
    expect(await gateway.about(path, 1)).toMatchObject([
      { taken, client: client.ipv4, destinationPort: port, uri, status: 200, result: 'TCP_MISS', hierarchy: 'FIRSTUP_PARENT', serverLocal: source },
    ])
    expect(await nginx.saw(path)).toMatchObject([{ peer: source, status: 200, via: expect.stringContaining('gateway.lab') }])
  })

  it('a Host that was not confirmed goes to the original destination, and nowhere where only parents may be asked', async () => {
    nginx.page('/fresh/elsewhere', 'elsewhere')
    nginx.page('/fresh/forged-host', 'forged')
    const asked = (path: string) => curl(lab, '-4', '-H', 'Host: gateway.lab', `http://origin.lab${path}`)
    expect((await asked('/fresh/elsewhere')).content).toBe('elsewhere')
    expect((await asked('/fresh/forged-host')).status).toBe(503)
    expect(await gateway.about('/fresh/elsewhere', 1)).toMatchObject([{ hierarchy: 'ORIGINAL_DST', status: 200 }])
    expect(await gateway.about('/fresh/forged-host', 1)).toMatchObject([{ hierarchy: 'HIER_NONE', status: 503 }])
    expect(await nginx.saw('/fresh/forged-host')).toEqual([])
  })
})
