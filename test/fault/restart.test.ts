// A daemon that is killed cannot clean up. The contract: whatever it left (pid file, half written log, connections in the
// kernel, rules) does not keep the next one from starting, and that one serves. Seen by killing it in the middle of work.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { curl, Gateway, natPort, program, tproxyPort } from '../support/gateway.ts'
import { noLabWith, withLab } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')

describe.skipIf(cannot !== null)(`a daemon that was killed ${cannot ?? ''}`, () => {
  it('in the middle of work leaves nothing that keeps the next one from starting', () =>
    withLab(async lab => {
      for (const port of [tproxyPort, natPort]) {
        const origin = lab.origin.spawn(process.execPath, [program('counting-origin'), String(port)])
        await origin.heard('listening')
      }
      const gateway = await Gateway.open(lab)
      const pidFile = join(lab.gateway.root, 'run/glassquid/glassquid.pid')
      const ask = (flag: string, port: number) => curl(lab, flag, `http://origin.lab:${port}/page`)

      for (let round = 0; round < 2; round++) {
        // connections in every state: idle ones on all ports, and a download of each kind under way
        const idle = lab.client.spawn(process.execPath, [program('idle-clients'), `http://origin.lab:${natPort}/page`])
        await idle.heard('ready')
        idle.tell('open 20\n')
        await idle.heard('open 20')
        const downloads = [tproxyPort, natPort].map(port =>
          lab.client.spawn('curl', ['-sS', '-v', '-o', '/dev/null', '--limit-rate', '100K', `http://origin.lab:${port}/stream?bytes=100000000`]),
        )
        for (const download of downloads) await download.heard('< HTTP/1.1 200 OK')

        const first = gateway.proxy
        // -k kill goes by the pid file, as an operator would; the second time the kernel does it
        if (round === 0) expect((await gateway.control('kill')).code).toBe(0)
        else first.signal('SIGKILL')
        expect(await first.exited).toBeNull()
        expect(readFileSync(pidFile, 'latin1')).toBe(`${first.pid}\n`)
        const gone = await gateway.control('check')
        expect([gone.code, gone.stderr]).toEqual([1, expect.stringMatching(/^FATAL: no running copy: .* names process \d+, which is gone/)])
        // NAT finds nobody; TPROXY's rules let be what nobody takes (fail-open), also what was under way
        expect((await ask('-4', natPort)).code).toBe(7)
        expect((await ask('-4', tproxyPort)).content).toMatch(/^0 bytes/)

        await gateway.start()
        expect(Number(readFileSync(pidFile, 'latin1'))).toBe(gateway.proxy.pid)
        expect((await gateway.control('check')).code).toBe(0)
        for (const [flag, port] of [['-4', natPort], ['-6', natPort], ['-4', tproxyPort], ['-6', tproxyPort]] as const) {
          expect((await ask(flag, port)).status).toBe(200)
        }
        expect((await gateway.about('/page', 4 + round * 24 + 20)).slice(-4).map(record => record.taken)).toEqual(['nat', 'nat', 'tproxy', 'tproxy'])
        await Promise.all([idle.stop(), ...downloads.map(download => download.stop())])
      }
      expect(await gateway.proxy.stop()).toBe(0)
      expect(existsSync(pidFile)).toBe(false)
    }),
  )

  it('whose pid has become somebody else’s, or whose pid file is rubbish, does not either', () =>
    withLab(async lab => {
      const gateway = await Gateway.open(lab, { rules: null })
      const pidFile = join(lab.gateway.root, 'run/glassquid/glassquid.pid')
      for (const text of [`${process.pid}\n`, '1\n', '', 'not a number\n', '99999999999999999999\n']) {
        await gateway.proxy.stop()
        writeFileSync(pidFile, text)
        await gateway.start()
        expect(Number(readFileSync(pidFile, 'latin1'))).toBe(gateway.proxy.pid)
      }
    }),
  )
})
