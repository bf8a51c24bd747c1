// The machines of the lab: they reach each other through the gateway in both families, know each other's names, and are
// gone with whoever opened them. Seen by real sockets inside and by process ids outside.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { labAddresses, type Namespace, noLab, withLab } from '../support/net-lab.ts'

const server = `
  const s = require('net').createServer(c => c.end(c.remoteAddress + '\\n'))
  s.listen(80, '::', () => console.log('listening'))`

const ask = (from: Namespace, host: string) =>
  from.must(
    process.execPath,
    '-e',
    `require('net').connect(80, '${host}').on('error', e => { console.error(e); process.exit(1) }).pipe(process.stdout)`,
  )

describe.skipIf(noLab !== null)(`the lab's machines ${noLab ?? ''}`, () => {
  it('reach the origin through the gateway, in both families, with their own addresses', () =>
    withLab(async lab => {
      await lab.origin.spawn(process.execPath, ['-e', server]).heard('listening')
      expect(await ask(lab.client, labAddresses.origin.ipv4)).toBe(`::ffff:${labAddresses.client.ipv4}\n`)
      expect(await ask(lab.client, labAddresses.origin.ipv6)).toBe(`${labAddresses.client.ipv6}\n`)
      expect(await ask(lab.gateway, 'origin.lab')).toContain(labAddresses.gatewayWan.ipv6)
    }))

  it('tell the code, the output and the complaint of a command', () =>
    withLab(async lab => {
      expect(await lab.client.run('sh', '-c', 'echo out; echo err >&2; exit 3')).toEqual({
        code: 3,
        stdout: 'out\n',
        stderr: 'err\n',
      })
      await expect(lab.client.must('sh', '-c', 'echo no good >&2; exit 3')).rejects.toThrow(/ended with 3: no good/)
      const cut = await lab.client.runWith({ deadlineMs: 100 }, 'sh', '-c', 'sleep 1000 & sleep 1000')
      expect(cut).toEqual({ code: null, stdout: '', stderr: '\nended by SIGKILL: it had not ended after 100 ms\n' })
    }))

  it('keep their files to themselves, where we can see them', () =>
    withLab(async lab => {
      await lab.gateway.script('echo hello >/run/glassquid/words')
      expect(readFileSync(join(lab.gateway.root, 'run/glassquid/words'), 'latin1')).toBe('hello\n')
      expect(existsSync(join(lab.client.root, 'run/glassquid/words'))).toBe(false)
      expect(existsSync('/run/glassquid/words')).toBe(false)
    }))

  it('stop what runs in them, with everything it started, when the lab closes', async () => {
    const pids = await withLab(async lab => {
      const parent = lab.origin.spawn('sh', ['-c', 'sleep 1000 & echo child $!; wait'])
      const child = Number((await parent.heard(/child \d+/)).slice(6))
      return [parent.pid, child, lab.client.pid, lab.gateway.pid, lab.origin.pid]
    })
    expect(pids.filter(alive)).toEqual([])
  })

  it('end with the process that opened them, even when it is killed', async () => {
    const owner = spawn(process.execPath, ['--input-type=module', '-e', ownerScript], { stdio: ['ignore', 'pipe', 'inherit'] })
    const line = await new Promise<string>(resolve => owner.stdout.setEncoding('utf8').once('data', resolve))
    const pids = line.trim().split(' ').map(Number)
    expect(pids.length).toBe(4)
    expect(pids.every(alive)).toBe(true)
    owner.kill('SIGKILL')
    await expect.poll(() => pids.filter(alive), { timeout: 10_000 }).toEqual([])
  })
})

const ownerScript = `
  import { openNetwork } from '${new URL('../../src/intercept/index.ts', import.meta.url).pathname}'
  const lab = await openNetwork()
  const stays = lab.gateway.spawn('sh', ['-c', 'echo up; exec sleep 1000'])
  await stays.heard('up')
  console.log(lab.client.pid, lab.gateway.pid, lab.origin.pid, stays.pid)`

/** A zombie is dead: who has to collect it is not our matter. */
const alive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}
