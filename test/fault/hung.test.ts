// Contract: a worker whose event loop stands still is found out by its supervisor, killed and replaced, and cache.log says
// so in order; one that dies as it starts is started again later and later, while the others serve; and systemd is told
// that we live, with workers and without.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { type Namespace, noLabWith, type Running, withLab } from '../support/net-lab.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
const afflicted = new URL('../support/programs/afflicted.cjs', import.meta.url).pathname
const cannot = noLabWith('curl', 'perl', 'pgrep')
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-hung-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

const cacheLog = () => readFileSync(join(folder, 'cache.log'), 'utf8')
const soon = { timeout: 40_000, interval: 100 }

const start = async (gateway: Namespace, conf: string, env: Readonly<Record<string, string>> = {}): Promise<Running> => {
  const path = join(folder, 'glassquid.conf')
  writeFileSync(path, `http_port 3128
http_access allow all
pid_filename ${folder}/daemon.pid
shutdown_lifetime 0 seconds
access_log none
cache_log ${folder}/cache.log
${conf}`)
  const daemon = gateway.spawn(glassquid, ['-N', '-f', path], { env: { NODE_OPTIONS: `--require ${afflicted}`, AFFLICTIONS: folder, ...env } })
  await daemon.heard(/^ready: /m, ms(60_000))
  return daemon
}

const stop = async (gateway: Namespace, daemon: Running): Promise<void> => {
  expect(await gateway.run(glassquid, '-k', 'shutdown', '-f', join(folder, 'glassquid.conf'))).toMatchObject({ code: 0 })
  expect(await daemon.exited).toBe(0)
  expect(cacheLog()).not.toContain('fault of ours')
}

/** Own pages, on connections of their own: how many came. */
const served = async (gateway: Namespace, count: number): Promise<number> => {
  const urls = Array.from({ length: count }, () => 'http://127.0.0.1:3128/squid-internal-mgr/menu')
  const { stdout } = await gateway.run('curl', '-sS', '-m', '5', '-H', 'Connection: close', '-x', 'http://127.0.0.1:3128', '-w', '%{http_code}\n', ...urls)
  return stdout.split('\n').filter(line => line === '200').length
}

const workersOf = async (gateway: Namespace, daemon: Running): Promise<number[]> =>
  (await gateway.run('pgrep', '-P', String(daemon.pid))).stdout.trim().split('\n').map(Number)

describe.skipIf(cannot !== null)(`a worker ${cannot ?? ''}`, () => {
  it('that hangs is killed and replaced, also one that is stopped; a debugger may switch that off', { timeout: 120_000 }, () =>
    withLab(async ({ gateway }) => {
      const daemon = await start(gateway, 'workers 2\nhung_worker_timeout 2 seconds\nadmin_port 127.0.0.1:9091\n')
      writeFileSync(join(folder, 'hang-1'), '')
      await expect.poll(cacheLog, soon).toMatch(
        /worker kid1, process (\d+), has not answered for 2 seconds: it hangs and is killed\n.*worker kid1, process \1, died of SIGABRT; it is started again at once; 1 of 2 go on\n[\s\S]*worker kid1 runs again/,
      )
      expect(await served(gateway, 30)).toBe(30)
      expect(cacheLog()).not.toContain('kid2, process')

      const [, other = 0] = await workersOf(gateway, daemon)
      await gateway.must('kill', '-STOP', String(other))
      await expect.poll(cacheLog, soon).toMatch(new RegExp(`process ${other}, has not answered for 2 seconds[\\s\\S]*process ${other}, died of SIGKILL[\\s\\S]*runs again`))
      expect(await served(gateway, 30)).toBe(30)

      const path = join(folder, 'glassquid.conf')
      writeFileSync(path, readFileSync(path, 'utf8').replace('hung_worker_timeout 2 seconds', 'hung_worker_timeout 0 seconds'))
      expect((await gateway.run(glassquid, '-k', 'reconfigure', '-f', path)).code).toBe(0)
      await expect.poll(cacheLog, soon).toContain('Reconfigured 2 workers')

      // and while it hangs who watches us is told of the other, and never half a sum
      const watched = async (path: string): Promise<string> => (await gateway.run('curl', '-sS', '-m', '20', '-w', ' %{http_code}', `http://127.0.0.1:9091/${path}`)).stdout
      expect(await watched('metrics')).toMatch(/ 200$/)
      for (const [number, pid] of (await workersOf(gateway, daemon)).entries()) {
        await gateway.must('kill', '-STOP', String(pid))
        expect(await watched('readyz')).toBe('ready\n 200')
        expect(await watched('metrics'), String(number)).toMatch(/^kid[12] did not answer; cache\.log says why\n 503$/)
        expect((await gateway.run(glassquid, 'manager', 'counters', '-f', path)).stdout).toMatch(/^client_http\.requests = \d+$[\s\S]*^kid[12] did not answer$/m)
        await gateway.must('kill', '-CONT', String(pid))
        await expect.poll(() => watched('metrics'), soon).toMatch(/ 200$/)
      }
      await stop(gateway, daemon)
    }))

  it('that dies as it starts is started later and later, and the other serves', { timeout: 60_000 }, () =>
    withLab(async ({ gateway }) => {
      const daemon = await start(gateway, 'workers 2\n')
      writeFileSync(join(folder, 'exit-1'), '')
      await expect.poll(cacheLog, soon).toMatch(
        /ended with code 7; it is started again at once; 1 of 2 go on\n[\s\S]*started again in 1 second; 1 of 2[\s\S]*\(3 times in a row: look above for why\); it is started again in 2 seconds; 1 of 2/,
      )
      expect(await served(gateway, 20)).toBe(20)
      rmSync(join(folder, 'exit-1'))
      await expect.poll(cacheLog, soon).toContain('worker kid1 runs again')
      expect(await workersOf(gateway, daemon)).toHaveLength(2)
      await stop(gateway, daemon)
    }))

  it.each([0, 2])('tells systemd that it lives, with workers %i', { timeout: 60_000 }, workers =>
    withLab(async ({ gateway }) => {
      const socket = join(folder, 'notify')
      const systemd = gateway.spawn('perl', ['-MSocket', '-e', `$| = 1;
        socket($s, PF_UNIX, SOCK_DGRAM, 0) && bind($s, sockaddr_un($ARGV[0])) or die $!;
        print "bound\\n"; while (defined recv($s, $text, 4096, 0)) { print "$text\\n" }`, socket])
      await systemd.heard('bound')
      const daemon = await start(gateway, `workers ${workers}\n`, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' })
      await systemd.heard(/READY=1[\s\S]*WATCHDOG=1[\s\S]*WATCHDOG=1[\s\S]*WATCHDOG=1/)
      await stop(gateway, daemon)
      await systemd.heard(/STOPPING=1/)
    }))
})
