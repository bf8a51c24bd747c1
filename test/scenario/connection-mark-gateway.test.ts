// client_connection_mark on a gateway: rules of nft mark tracked connections by the client's address and by the port it comes from,
// the kernel is asked, and access lists decide by it, behind REDIRECT, TPROXY and for connections to the port itself. Where it
// tracks nothing, nothing matches, and cache.log says so, once.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { Gateway, squidLikeConf } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')

const conf = `
acl gold client_connection_mark 0x10/0xf0
acl exact clientside_mark 0x325
acl changed client_connection_mark 0x7000/0xf000
acl change urlpath_regex ^/change
mark_client_connection 0x7000/0xf000 change
http_access deny gold
deny_info 302:http://origin.lab/gold gold
http_access deny exact
deny_info 303:http://origin.lab/exact exact
http_access deny changed
deny_info 307:http://origin.lab/changed changed
${squidLikeConf}`

/** Marks by source port, which a client has once only (TIME_WAIT). Bits above are set to show that a mask leaves them alone. */
const marking = `
table inet marks {
  chain in {
    type filter hook prerouting priority mangle;
    iifname "lan" tcp sport 40010-40012 ct mark set 0x310
    iifname "lan" tcp sport 40020-40022 ct mark set 0x325
    iifname "lan" tcp sport 40030-40032 ct mark set 0x320
  }
}
`

describe.skipIf(cannot !== null)(`the mark of a client's connection ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway

  beforeAll(async () => {
    lab = await openNetwork()
    const nginx = await Nginx.open(lab)
    for (const path of ['/page', '/change']) nginx.page(path, path)
    await lab.gateway.script(`nft -f - <<'END'\n${marking}\nEND\n`)
    gateway = await Gateway.open(lab, { conf })
  })
  afterAll(() => lab.close())

  /** Statuses of requests on one connection from this port. */
  const statuses = async (from: number, ...args: readonly string[]): Promise<string> =>
    (await lab.client.must('curl', '-4', '-s', '--max-time', '20', '--local-port', String(from), '-o', '/dev/null', '-w', '%{http_code}\n', ...args)).trim()

  it.each([
    [0, 'tproxy', ['http://origin.lab/page']],
    [1, 'intercept', ['http://origin.lab:8080/page']],
    [2, 'direct', ['-x', 'http://gateway.lab:3128', 'http://origin.lab/page']],
  ])('decides on connection %i, that came by %s', async (nth, _, request) => {
    expect(await statuses(40010 + nth, ...request)).toBe('302')
    expect(await statuses(40020 + nth, ...request)).toBe('303')
    expect(await statuses(40030 + nth, ...request)).toBe('200')
    expect(gateway.cacheLog).not.toContain('client_connection_mark')
  })

  it('is the one mark_client_connection has given it, for the next request on it', async () => {
    const next = ['--next', '-s', '-o', '/dev/null', '-w', '%{http_code}\n', 'http://origin.lab/page']
    expect(await statuses(40033, 'http://origin.lab/change', ...next)).toBe('200\n307')
  })

  it('is unknown where the kernel does not track the connection: no match, said once', async () => {
    await lab.gateway.script(`nft flush ruleset; nft -f - <<'END'
table inet raw {
  chain in { type filter hook prerouting priority raw; tcp dport 3128 notrack; }
  chain out { type filter hook output priority raw; tcp sport 3128 notrack; }
}
END
`)
    const request = ['-x', 'http://gateway.lab:3128', 'http://origin.lab/page']
    expect(await statuses(40040, ...request)).toBe('200')
    expect(await statuses(40041, ...request)).toBe('200')
    const said = gateway.cacheLog.split('\n').filter(line => line.includes('client_connection_mark'))
    expect(said).toHaveLength(1)
    expect(said[0]).toContain('it does not track it (ENOENT)')
  })
})
