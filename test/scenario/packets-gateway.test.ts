// What packets to clients carry on a gateway, told by the kernel itself: rules of nft count packets by type of service, by
// mark, and by the mark of the tracked connection. curl asks through a tproxy port.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, families, Gateway, squidLikeConf } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')

const conf = `
acl gold urlpath_regex ^/gold
acl tracked urlpath_regex ^/tracked
clientside_tos 0x20 gold
mark_client_packet 0x30 gold
mark_client_connection 0x200/0xf00 tracked
qos_flows tos local-hit=0x48
${squidLikeConf}`

const watching = `
table inet watch {
  counter gold {}
  counter hit {}
  counter marked {}
  counter tracked {}
  chain out {
    type filter hook postrouting priority 300;
    oifname "lan" tcp sport { 80, 8080 } ip dscp 0x08 counter name gold
    oifname "lan" tcp sport { 80, 8080 } ip dscp 0x12 counter name hit
    oifname "lan" tcp sport { 80, 8080 } meta mark 0x30 counter name marked
    oifname "lan" tcp sport { 80, 8080 } ct mark and 0xf00 == 0x200 counter name tracked
  }
}
`

describe.skipIf(cannot !== null)(`packets to clients on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    await lab.gateway.script(`nft -f - <<'END'\n${watching}\nEND\n`)
    gateway = await Gateway.open(lab, { conf })
  })
  afterAll(() => lab.close())

  const [{ flag }] = families

  /** Names of the counters that have moved since the last look. */
  let before: Record<string, number> = {}
  const moved = async (): Promise<string[]> => {
    const stdout = await lab.gateway.must('nft', 'list', 'counters')
    const now = Object.fromEntries(Array.from(stdout.matchAll(/counter (\w+) \{\s+packets (\d+)/g), ([, name = '', packets]) => [name, Number(packets)]))
    const names = Object.keys(now).filter(name => (now[name] ?? 0) > (before[name] ?? 0))
    before = now
    return names.sort()
  }

  it('carry the type of service and the mark of what they answer, and the tracked connection its own', async () => {
    for (const path of ['/plain', '/gold', '/tracked', '/fresh/hit']) nginx.page(path, path)
    expect((await curl(lab, flag, 'http://origin.lab/plain')).status).toBe(200)
    expect(await moved()).toEqual([])
    expect((await curl(lab, flag, 'http://origin.lab/gold')).status).toBe(200)
    expect(await moved()).toEqual(['gold', 'marked'])
    expect((await curl(lab, flag, 'http://origin.lab/tracked')).status).toBe(200)
    expect(await moved()).toEqual(['tracked'])
    expect((await curl(lab, flag, 'http://origin.lab/fresh/hit')).status).toBe(200)
    expect(await moved()).toEqual([])
    expect((await curl(lab, flag, 'http://origin.lab/fresh/hit')).status).toBe(200)
    expect(await moved()).toEqual(['hit'])
    expect(gateway.cacheLog).not.toContain('cannot be')
  })
})
