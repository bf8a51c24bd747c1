// What keeps the proxy from starting, and what the operator reads then. The contract: exit code 1, one FATAL sentence that
// names the file and line, the endpoint, the missing capability or the missing program; nothing listens, nothing is left.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork, type Ran } from '../../src/intercept/index.ts'
import { confPath, factsLog, glassquid, home, squidLikeConf, usualRules, writeConf } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'

const cannot = noLabWith('nft')
const main = join(home, 'src/cli/main.ts')

describe.skipIf(cannot !== null)(`it does not start ${cannot ?? ''}`, () => {
  let lab: Network

  beforeAll(async () => {
    lab = await openNetwork()
  })
  afterAll(() => lab.close())

  /** The daemon under a command that ends in running it. Killed after a while, and `code` is null, if it does start. */
  const start = (conf: string, ...under: readonly string[]): Promise<Ran> => {
    writeConf(lab, conf)
    const [command = glassquid, ...args] = [...under, glassquid, '-f', confPath]
    return lab.gateway.runWith({ deadlineMs: 10_000 }, command, ...args)
  }

  const expectRefused = async ({ code, stdout, stderr }: Ran, sentence: RegExp) => {
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr.split('\n').filter(line => line.startsWith('FATAL:'))).toEqual([expect.stringMatching(sentence)])
    expect(await lab.gateway.must('ss', '-Hltn')).not.toMatch(/:31[23]\d /)
    expect(existsSync(join(lab.gateway.root, 'run/glassquid/glassquid.pid'))).toBe(false)
  }

  it('from a bad conf: every fault in one pass, each with file, line and column, and what was meant', async () => {
    const faults = 'http_prot 3131\nacl clients src 10.0.0.0/8 300.1.1.1\nhttp_access allow nosuch\ncache_mem lots\nread_timeout -1 seconds\n'
    const { code, stdout, stderr } = await start(`${squidLikeConf}${faults}`)
    expect([code, stdout]).toEqual([1, ''])
    const first = squidLikeConf.split('\n').length
    for (const [line, column, words] of [
      [first, 1, "'http_prot 3131'"],
      [first + 1, 28, "'300.1.1.1'"],
      [first + 2, 19, 'nosuch'],
      [first + 3, 11, "'lots'"],
      [first + 4, 14, "'-1'"],
    ] as const) {
      expect(stderr).toContain(`${confPath}(${line})`)
      expect(stderr).toContain(`${confPath}:${line}:${column}`)
      expect(stderr).toContain(words)
    }
    expect(stderr).toContain('did you mean http_port?')
    // the same words by -k parse, which starts nothing
    expect(await lab.gateway.run(glassquid, '-f', confPath, '-k', 'parse')).toEqual({ code: 1, stdout: '', stderr })
  })

  it('without a conf', async () => {
    const none = await lab.gateway.run(glassquid, '-f', '/run/none.conf')
    await expectRefused(none, /^FATAL: \/run\/none\.conf.*no such file/i)
  })

  it('when a port is in use, by another program or another line', async () => {
    const listen = "require('net').createServer().listen(3129, '::', () => console.log('listening'))"
    const other = lab.gateway.spawn(process.execPath, ['-e', listen])
    await other.heard('listening')
    const inUse = await start(squidLikeConf)
    await other.stop()
    await expectRefused(inUse, /^FATAL: .*glassquid\.conf\(\d+\): cannot listen on \[::\]:3129: the address is in use by another program/)
    await expectRefused(
      await start(`${squidLikeConf}http_port 0.0.0.0:3128\n`),
      /^FATAL: .*glassquid\.conf\(\d+\): 0\.0\.0\.0:3128 and \[::\]:3128 \(.*glassquid\.conf\(\d+\) and .*glassquid\.conf\(\d+\)\) are the same port/,
    )
    const twice = await start(`${squidLikeConf}http_port 3130\n`)
    expect([twice.code, twice.stderr]).toEqual([1, expect.stringMatching(/port 3130 is already listened to by line \d+/)])
  })

  it('at an address that is not this machine’s, unless it is for tproxy', async () => {
    await expectRefused(await start('http_port 192.0.2.7:3128\n'), /^FATAL: .*glassquid\.conf\(\d+\): cannot listen on 192\.0\.2\.7:3128: the address is not one of this machine/)
  })

  const without = (...capabilities: readonly string[]): string[] => {
    const set = capabilities.map(name => `-${name}`).join(',')
    return ['setpriv', '--bounding-set', set, '--inh-caps', set, '--']
  }

  it('for tproxy without CAP_NET_RAW, or below port 1024 without its capability: the sentence names it', async () => {
    await expectRefused(await start(squidLikeConf, ...without('net_raw', 'net_admin')), /^FATAL: .*glassquid\.conf\(\d+\): cannot listen on \[::\]:3130: .*CAP_NET_RAW/)
    await expectRefused(
      await start(squidLikeConf.replace('3128', '88'), ...without('net_bind_service')),
      /^FATAL: .*glassquid\.conf\(\d+\): cannot listen on \[::\]:88: .*CAP_NET_BIND_SERVICE/,
    )
  })

  it('where it may not write its pid file', async () => {
    await expectRefused(
      await start(squidLikeConf.replace('/run/glassquid/glassquid.pid', '/run/none/pid')),
      /^FATAL: cannot write the pid file \/run\/none\/pid: no such file or directory/,
    )
  })

  it('but without any capability it does, with forward and NAT ports', async () => {
    writeConf(lab, `${squidLikeConf.replace('http_port 3130 tproxy', '')}${factsLog}`)
    const [command = '', ...args] = [...without('all'), glassquid, '-f', confPath]
    const proxy = lab.gateway.spawn(command, args)
    await proxy.heard(/^ready: forward .* intercept .*$/m)
    expect(await proxy.stop()).toBe(0)
  })

  describe('kernel rules', () => {
    const words = ['rules', ...usualRules, '-f', confPath, '--apply']
    const apply = (...under: readonly string[]): Promise<Ran> => {
      writeConf(lab, squidLikeConf)
      const [command = '', ...args] = [...under, process.execPath, main, ...words]
      return lab.gateway.run(command, ...args)
    }
    const present = async () =>
      (await lab.gateway.must('nft', 'list', 'tables')) + (await lab.gateway.must('ip', 'rule')) + (await lab.gateway.must('ip', '-6', 'rule'))

    it.each([
      ['nft', 'ip', /'nft' is not installed: apt-get install nftables, or use the other form: glassquid rules iptables/],
      ['ip', 'nft', /'ip' is not installed: apt-get install iproute2/],
    ])('are not loaded without %s, and nothing is left half done', async (_, there, sentence) => {
      const before = await present()
      await lab.gateway.script(`rm -rf /run/bin; mkdir /run/bin; ln -s "$(command -v ${there})" /run/bin/`)
      const { code, stderr } = await apply('env', 'PATH=/run/bin')
      expect([code, stderr]).toEqual([1, expect.stringMatching(sentence)])
      expect(await present()).toBe(before)
    })

    it('are not loaded without CAP_NET_ADMIN', async () => {
      const before = await present()
      const { code, stderr } = await apply(...without('net_admin'))
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^glassquid rules: .*needs root \(CAP_NET_ADMIN\)/)])
      expect(await present()).toBe(before)
    })

    it('are loaded as often as one likes, and taken away', async () => {
      const before = await present()
      for (let i = 0; i < 2; i++) expect((await apply()).code).toBe(0)
      expect(await present()).toMatch(/table inet glassquid\n.*fwmark 0x100\/0x100 lookup 100.*fwmark 0x100\/0x100 lookup 100/s)
      for (let i = 0; i < 2; i++) expect((await lab.gateway.run(glassquid, 'rules', 'nft', '--undo')).code).toBe(0)
      expect(await present()).toBe(before)
    })
  })
})
