// Users, rewriters and key programs on a gateway: clients that know of no proxy are never asked who they are, a rewritten
// request leaves the way it was going, and a Host that nobody has verified comes near no shared key. Real kernel rules,
// the daemon, curl and nginx; asserted at the client, in the access log and at the origin.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, families, Gateway, squidLikeConf } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')

const conf = `
auth_param basic program /bin/sh /run/glassquid/users.sh
auth_param basic realm lab
acl users proxy_auth REQUIRED
acl asking urlpath_regex ^/users
acl refusing urlpath_regex ^/no-users
url_rewrite_program /bin/sh /run/glassquid/rewrite.sh
store_id_program /bin/sh /run/glassquid/ids.sh
http_access deny refusing !users
http_access deny asking users
${squidLikeConf}${factsLog}`

describe.skipIf(cannot !== null)(`users and programs on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    const write = (name: string, text: string): void => writeFileSync(join(lab.gateway.root, '/run/glassquid', name), text)
    write('users.sh', 'while read -r line; do echo OK; done\n')
    write('rewrite.sh', 'while read -r url rest; do case $url in */fresh/old*) echo "OK rewrite-url=\\"http://origin.lab/fresh/new\\"";; */gone*) echo "OK status=302 url=http://block.lab/";; *) echo ERR;; esac; done\n')
    write('ids.sh', 'while read -r url rest; do case $url in */fresh/video*) echo "OK store-id=http://video.lab/one";; *) echo ERR;; esac; done\n')
    gateway = await Gateway.open(lab, { conf })
  })
  afterAll(() => lab.close())

  const [{ flag }] = families

  it('nobody is asked who he is: such an ACL does not match, and the log says so', async () => {
    nginx.page('/users', 'let in')
    expect(await curl(lab, flag, 'http://origin.lab/users')).toMatchObject({ status: 200, content: 'let in' })
    const refused = await curl(lab, flag, 'http://origin.lab/no-users')
    expect([refused.status, refused.fields.get('proxy-authenticate')]).toEqual([403, undefined])
    await expect.poll(() => gateway.cacheLog, { timeout: 10_000 }).toContain('authentication is not possible on intercepting port')
  })

  it('a rewriter has its say', async () => {
    nginx.page('/fresh/new', 'the new page')
    expect(await curl(lab, flag, 'http://origin.lab/fresh/old')).toMatchObject({ status: 200, content: 'the new page' })
    const sent = await curl(lab, flag, 'http://origin.lab/gone')
    expect([sent.status, sent.fields.get('location')]).toEqual([302, 'http://block.lab/'])
    expect(await gateway.about('/gone')).toMatchObject([{ result: 'TCP_REDIRECT', status: 302 }])
  })

  it('one key for two URLs, but not for a Host that was made up', async () => {
    nginx.page('/fresh/video1', 'the video')
    nginx.page('/fresh/video2', 'another')
    expect((await curl(lab, flag, 'http://origin.lab/fresh/video1')).content).toBe('the video')
    expect((await curl(lab, flag, 'http://origin.lab/fresh/video2')).content).toBe('the video')
    expect((await curl(lab, flag, '-H', 'Host: elsewhere.lab', 'http://origin.lab/fresh/video2')).content).toBe('another')
    expect((await curl(lab, flag, 'http://origin.lab/fresh/video2')).content).toBe('the video')
  })
})
