// Too few descriptors, by the conf, by ulimit, and by a system that gives fewer than promised. The contract: accepting
// pauses with one warning, who is connected goes on being served, who waits in the kernel's backlog is served as soon as
// others have gone, and nobody is lost. Seen at the clients, in the access log (each request once) and in cache.log.

import { describe, expect, it } from 'vitest'
import { curl, descriptorCount, factsLog, Gateway, natPort, program, squidLikeConf, tproxyPort } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, withLab } from '../support/net-lab.ts'
import { ms } from '../../src/base/index.ts'

const cannot = noLabWith('nft', 'curl', 'prlimit')
const page = '/page'

const short = [
  { how: 'max_filedescriptors', conf: 'max_filedescriptors 120\n', under: [], warning: /WARNING: new connections wait: only \d+ of 120 descriptors are free/ },
  { how: 'ulimit -n', conf: '', under: ['prlimit', '--nofile=120:120', '--'], warning: /WARNING: new connections wait: only \d+ of 120 descriptors are free/ },
  {
    how: 'a limit lowered behind its back',
    conf: '',
    under: [],
    lower: 120,
    warning: /WARNING: new connections wait: accept failed with EMFILE/,
  },
] as const

describe.skipIf(cannot !== null)(`short of descriptors ${cannot ?? ''}`, () => {
  it.each(short)('by $how: accepting waits with a warning, and everybody is served in the end', short =>
    withLab(async lab => {
      const origin = await countingOrigin(lab)
      const gateway = await Gateway.open(lab, { conf: `${squidLikeConf}${factsLog}${short.conf}`, under: short.under })
      const { pid } = gateway.proxy
      if ('lower' in short) await lab.gateway.must('prlimit', '--pid', String(pid), `--nofile=${short.lower}:${short.lower}`)
      const before = descriptorCount(pid)

      // two hundred at once, each through the proxy to the origin: twice as many as there are descriptors for
      const crowd = lab.client.spawn(process.execPath, [program('idle-clients'), `http://origin.lab:${natPort}${page}`, '200'])
      await crowd.heard('ready')
      crowd.tell('open 200\n')
      // idle ones hold what they have; the others wait
      await expect.poll(() => gateway.cacheLog, { timeout: 15_000 }).toMatch(short.warning)
      const served = gateway.records.length
      expect(served).toBeLessThan(200)
      // the waiting are served as the served go
      crowd.tell('leave\n')
      await crowd.heard(/^open 200$/m, ms(30_000))
      expect(await gateway.about(page, 200, ms(10_000))).toHaveLength(200)
      // where the daemon could not know its limit, those that left no descriptor for the origin are told so
      const allowed = 'lower' in short ? ['nat 200', 'nat 500'] : ['nat 200']
      expect(gateway.records.map(({ taken, status }) => `${taken} ${status}`).filter(text => !allowed.includes(text))).toEqual([])
      expect(crowd.said).not.toMatch(/error|refused/)

      crowd.tell('close\n')
      await crowd.heard('closed')
      await expect.poll(() => descriptorCount(pid), { timeout: 15_000 }).toBeLessThan(before + 60) // the origin pool keeps some
      expect((await curl(lab, '-4', `http://origin.lab:${tproxyPort}${page}`)).status).toBe(503)
      expect((await curl(lab, '-4', `http://origin.lab:${natPort}${page}`)).status).toBe(200)
      expect(gateway.cacheLog.match(/WARNING: new connections wait/g)).toHaveLength(1)
      expect(origin.said).toContain(labAddresses.gatewayWan.ipv4)
      expect(gateway.cacheLog).not.toMatch(/fault of ours/)
    }),
  )
})

const countingOrigin = async (lab: Network) => {
  const origin = lab.origin.spawn(process.execPath, [program('counting-origin'), String(natPort)])
  await origin.heard('listening')
  return origin
}
