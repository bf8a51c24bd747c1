// On a real gateway: clients known by their Ethernet address, denials that redirect or reset, responses refused and fields
// changed, for connections that were never meant for a proxy.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, Gateway, squidLikeConf } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')

const confFor = (hardware: string): string => `acl phone arp ${hardware}
acl other arp 02:00:00:00:00:99
acl byphone urlpath_regex ^/phone
acl byother urlpath_regex ^/other
acl sent urlpath_regex ^/sent
acl cut urlpath_regex ^/cut
acl text rep_mime_type ^text/never
acl refused urlpath_regex ^/refused
deny_info 307:http://portal.lab/?from=%u sent
deny_info TCP_RESET cut
http_access deny phone byphone
http_access deny other byother
http_access deny sent
http_access deny cut
http_reply_access deny refused
http_reply_access deny text
request_header_access User-Agent deny all
request_header_replace User-Agent hidden
reply_header_access Server deny all
reply_header_add X-For "%>a" all
`

describe.skipIf(cannot !== null)(`a gateway with rules about clients and responses ${cannot ?? ''}`, () => {
  let lab: Network
  let nginx: Nginx
  let gateway: Gateway

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    const { stdout } = await lab.client.run('ip', '-o', 'link')
    const hardware = /link\/ether ([0-9a-f:]{17})/.exec(stdout)?.[1] ?? ''
    expect(hardware).not.toBe('')
    gateway = await Gateway.open(lab, { conf: confFor(hardware) + squidLikeConf + factsLog })
  })
  afterAll(() => lab.close())

  it.each(['-4', '-6'])('knows a neighbour by its Ethernet address (%s)', async family => {
    nginx.page('/phone', 'x')
    nginx.page('/other', 'x')
    expect((await curl(lab, family, 'http://origin.lab/phone')).status).toBe(403)
    expect((await curl(lab, family, 'http://origin.lab/other')).status).toBe(200)
  })

  it('redirects and resets', async () => {
    const sent = await curl(lab, '-4', 'http://origin.lab/sent')
    expect([sent.status, sent.fields.get('location')]).toEqual([307, 'http://portal.lab/?from=http%3A%2F%2Forigin.lab%2Fsent'])
    expect((await curl(lab, '-4', 'http://origin.lab/cut')).complaint).toContain('reset by peer')
    expect((await gateway.about('origin.lab/sent', 1)).map(record => record.result)).toEqual(['TCP_DENIED'])
  })

  it('refuses responses, and hides what the conf hides from both ends', async () => {
    nginx.page('/refused', 'x')
    nginx.page('/seen', 'x')
    expect((await curl(lab, '-4', 'http://origin.lab/refused')).status).toBe(403)
    expect((await gateway.about('origin.lab/refused', 1)).map(record => record.result)).toEqual(['TCP_DENIED_REPLY'])
    const { stdout } = await lab.client.run('curl', '-4', '-sS', '-i', '--max-time', '25', 'http://origin.lab/seen')
    expect(stdout).toMatch(/^X-For: \d/m)
    expect(stdout).not.toMatch(/^Server:/m)
  })
})
