// On a real gateway: the cache manager is for the machine itself where the conf says nothing, and never gets between an intercepted client and a
// site, and a key that several URIs share is out of reach for whoever says a Host that could not be verified.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { confPath, curl, factsLog, Gateway, glassquid, squidLikeConf } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')
/** A conf that never speaks of the manager: what is allowed without a word is under test, too. */
const withoutManager = squidLikeConf.replace(/^http_access .*manager\n/gm, '')
const rules = 'store_id_rule ^http://[a-z]+\\.lab/fresh/(.*) http://shared.internal/$1\n'

describe.skipIf(cannot !== null)(`a gateway with a manager and shared keys ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    gateway = await Gateway.open(lab, { conf: withoutManager + factsLog + rules })
  })
  afterAll(() => lab.close())

  const results = async (part: string, count: number) => (await gateway.about(part, count)).map(record => record.result)

  it('a verified request finds what is stored under the shared key, an unverified one does not, nor leaves anything there', async () => {
    nginx.page('/fresh/one', 'true')
    nginx.page('/fresh/two', 'true')
    const forged = ['-4', '-H', 'Host: elsewhere.lab']
    for (let i = 0; i < 2; i++) expect((await curl(lab, '-4', 'http://origin.lab/fresh/one')).content).toBe('true')
    await curl(lab, ...forged, 'http://origin.lab/fresh/one')
    expect(await results('/fresh/one', 3)).toEqual(['TCP_MISS', 'TCP_MEM_HIT', 'TCP_MISS'])
    // first by the forger: he finds it again under a key of his own, and nobody else does
    for (let i = 0; i < 2; i++) await curl(lab, ...forged, 'http://origin.lab/fresh/two')
    await curl(lab, '-4', 'http://origin.lab/fresh/two')
    expect(await results('/fresh/two', 3)).toEqual(['TCP_MISS', 'TCP_MEM_HIT', 'TCP_MISS'])
  })

  it('the path of the manager at a site is the site’s, for an intercepted client', async () => {
    nginx.page('/squid-internal-mgr/menu', 'of the site')
    expect((await curl(lab, '-4', 'http://origin.lab/squid-internal-mgr/menu')).content).toBe('of the site')
    expect(await gateway.about('origin.lab/squid-internal-mgr')).toMatchObject([{ taken: 'tproxy', hierarchy: 'ORIGINAL_DST' }])
  })

  it('on our own name it is ours: for the gateway itself, and refused to its clients', async () => {
    const page = 'http://gateway.lab:3128/squid-internal-mgr/menu'
    const refused = await curl(lab, '-4', '--proxy', 'http://gateway.lab:3128', page)
    expect(refused.status).toBe(403)
    const shown = await lab.gateway.run('curl', '-sS', '--max-time', '25', 'http://127.0.0.1:3128/squid-internal-mgr/menu')
    expect(shown.stdout).toMatch(/^ menu\s+\tThis menu/m)
    expect(await results('squid-internal-mgr/menu', 3)).toEqual(expect.arrayContaining(['TCP_DENIED', 'TCP_MISS']))
  })

  it('the command line asks over the control socket: what is stored, why, and makes it go', async () => {
    const uri = 'http://origin.lab/fresh/three'
    nginx.page('/fresh/three', 'x')
    await curl(lab, '-4', uri)
    await gateway.about('/fresh/three')
    const ask = (...words: string[]) => lab.gateway.run(glassquid, ...words, '-f', confPath)
    const told = await ask('explain', uri, '--from', '198.51.100.2')
    expect(told.stdout).toMatch(/^verdict +hit/m)
    expect(told.stdout).toMatch(/^key +http:\/\/shared\.internal\/three, by .*store_id_rule/m)
    expect(await ask('purge', uri)).toMatchObject({ code: 0, stdout: 'purged 1\n' })
    await curl(lab, '-4', uri)
    expect(await results('/fresh/three', 2)).toEqual(['TCP_MISS', 'TCP_MISS'])
  })
})
