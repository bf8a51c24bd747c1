// A disk that is full, or goes away under the logs. The contract: clients are served as before, cache.log (where it can)
// says so once, lines wait up to a limit, and when there is room again writing goes on by itself. Seen on a tmpfs of 256
// KB that is filled to the brim.

import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { curl, factsLog, Gateway, natPort, program, squidLikeConf } from '../support/gateway.ts'
import { type Network, noLabWith, withLab } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')
const soon = { timeout: 15_000 }

describe.skipIf(cannot !== null)(`a full disk ${cannot ?? ''}`, () => {
  const smallDisk = (lab: Network): Promise<string> =>
    lab.gateway.script('mkdir -p /run/small; mount -t tmpfs -o size=256k tmpfs /run/small; cat /dev/zero >/run/small/filler 2>/dev/null || true')

  const serving = async (lab: Network): Promise<void> => {
    const origin = lab.origin.spawn(process.execPath, [program('counting-origin'), String(natPort)])
    await origin.heard('listening')
  }

  it('under the access log: everybody is served, cache.log says so once, and no line is lost when there is room again', () =>
    withLab(async lab => {
      await Promise.all([smallDisk(lab), serving(lab)])
      const gateway = await Gateway.open(lab, {
        conf: `${squidLikeConf.replace('/run/glassquid/access.log squid', '/run/small/access.log squid')}${factsLog}`,
      })
      const log = join(lab.gateway.root, 'run/small/access.log')
      const ask = async (name: string) => expect((await curl(lab, '-4', `http://origin.lab:${natPort}/${name}`)).status).toBe(200)
      for (const name of ['one', 'two', 'three']) await ask(name)
      await expect.poll(() => gateway.cacheLog, soon).toMatch(/ERROR: log \/run\/small\/access\.log cannot be written: ENOSPC/)
      await ask('four')
      expect(statSync(log).size).toBe(0)

      await lab.gateway.must('rm', '/run/small/filler')
      await expect.poll(() => gateway.cacheLog, soon).toMatch(/log \/run\/small\/access\.log can be written again/)
      await ask('five')
      await expect.poll(() => readFileSync(log, 'latin1'), soon).toContain('/five')
      const paths = readFileSync(log, 'latin1').trimEnd().split('\n').map(line => /\/(\w+) - /.exec(line)?.[1])
      expect(paths).toEqual(['one', 'two', 'three', 'four', 'five'])
      expect(gateway.cacheLog.match(/cannot be written/g)).toHaveLength(1)
      expect(await gateway.proxy.stop()).toBe(0)
    }),
  )

  it('under all logs and the pid file’s folder: a running daemon goes on, reconfigures, rotates and stops', () =>
    withLab(async lab => {
      await Promise.all([smallDisk(lab), serving(lab)])
      // the pid file finds room, then the filler takes the rest
      const conf = `${squidLikeConf.replaceAll('/run/glassquid/', '/run/small/')}${factsLog}`
      await lab.gateway.must('rm', '/run/small/filler')
      const gateway = await Gateway.open(lab, { conf })
      await lab.gateway.script('cat /dev/zero >/run/small/filler 2>/dev/null || true')
      const ask = async (name: string) => expect((await curl(lab, '-4', `http://origin.lab:${natPort}/${name}`)).status).toBe(200)
      await ask('one')
      for (const word of ['rotate', 'reconfigure', 'check']) expect((await gateway.control(word)).code).toBe(0)
      await ask('two')
      expect(await gateway.about('/two')).toMatchObject([{ taken: 'nat', status: 200 }])
      expect((await gateway.control('shutdown')).code).toBe(0)
      expect(await gateway.proxy.exited).toBe(0)
    }),
  )

  it('that cannot be opened at all, at the start: it says so and serves', () =>
    withLab(async lab => {
      await serving(lab)
      const gateway = await Gateway.open(lab, {
        conf: `${squidLikeConf.replace('/run/glassquid/access.log squid', '/run/none/access.log squid')}${factsLog}`,
      })
      expect((await curl(lab, '-4', `http://origin.lab:${natPort}/`)).status).toBe(200)
      expect(gateway.cacheLog).toMatch(/ERROR: log \/run\/none\/access\.log cannot be written: ENOENT/)
    }),
  )
})
