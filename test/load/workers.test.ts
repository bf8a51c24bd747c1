// Several workers under -k, as one process is: each word once for all of them, the pid file for one of many who start at
// once, helpers of each worker's own that go with it, and limits that the conf sets for each process.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Namespace, noLabWith, type Running, withLab } from '../support/net-lab.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
const cannot = noLabWith('curl', 'pgrep')
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-operation-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

const path = () => join(folder, 'glassquid.conf')
const cacheLog = () => readFileSync(join(folder, 'cache.log'), 'utf8')
const linesWith = (text: string) => cacheLog().split('\n').filter(line => line.includes(text))
const soon = { timeout: 20_000, interval: 50 }

const conf = (more: string): void =>
  writeFileSync(path(), `workers 2
http_port 3128 name=web
pid_filename ${folder}/daemon.pid
shutdown_lifetime 0 seconds
access_log none
cache_log ${folder}/cache.log
${more}http_access allow all
`)

const start = async (gateway: Namespace, more = ''): Promise<Running> => {
  conf(more)
  const daemon = gateway.spawn(glassquid, ['-N', '-f', path()])
  await daemon.heard(/^ready: /m)
  return daemon
}

const control = async (gateway: Namespace, word: string): Promise<number | null> => (await gateway.run(glassquid, '-k', word, '-f', path())).code

const childrenOf = async (gateway: Namespace, pid: number): Promise<number[]> =>
  (await gateway.run('pgrep', '-P', String(pid))).stdout.trim().split('\n').filter(line => line !== '').map(Number)

/** Through the proxy, on connections of their own; what came of each. */
const asked = async (gateway: Namespace, count: number, url = 'http://127.0.0.1:9/'): Promise<string[]> => {
  const urls = Array.from({ length: count }, () => url)
  const { stdout } = await gateway.run('curl', '-s', '-o', '/dev/null', '-H', 'Connection: close', '-x', 'http://127.0.0.1:3128', '-w', '%{http_code}\n', ...urls)
  return stdout.split('\n').filter(line => /^\d{3}$/.test(line))
}

describe.skipIf(cannot !== null)(`two workers ${cannot ?? ''}`, () => {
  it('do what -k says, each word once: check, debug, rotate, reconfigure, interrupt, kill', { timeout: 90_000 }, () =>
    withLab(async ({ gateway }) => {
      const daemon = await start(gateway)
      expect(readFileSync(join(folder, 'daemon.pid'), 'latin1')).toBe(`${daemon.pid}\n`)
      expect(await control(gateway, 'check')).toBe(0)

      expect(await control(gateway, 'debug')).toBe(0)
      await expect.poll(() => linesWith('full debugging on').length, soon).toBe(3)
      expect(await control(gateway, 'debug')).toBe(0)
      await expect.poll(() => linesWith('full debugging off').length, soon).toBe(3)

      expect(await control(gateway, 'rotate')).toBe(0)
      await expect.poll(() => existsSync(join(folder, 'cache.log')) && linesWith('logs rotated').length, soon).toBe(1)
      expect(readdirSync(folder).filter(name => /^cache\.log\.\d/.test(name))).toEqual(['cache.log.0'])

      // what has changed is said by the supervisor alone, whether it comes into force or not
      conf('via off\n')
      expect(await control(gateway, 'reconfigure')).toBe(0)
      await expect.poll(() => linesWith('Reconfigured 2 workers').length, soon).toBe(1)
      expect(linesWith('Reconfiguring: + via off')).toEqual([expect.stringMatching(/\d\| /)])
      expect(linesWith('via off')).toHaveLength(1)
      conf('via off\ncache_mem 7 MB\nno_such_directive\n')
      daemon.signal('SIGHUP')
      await expect.poll(() => linesWith('the former one stays in force').length, soon).toBe(1)
      expect(linesWith('+ cache_mem')).toEqual([expect.stringContaining('Refused: + cache_mem 7 MB')])
      conf(`via off\nhttp_port 3128 tproxy name=other\n`)
      daemon.signal('SIGHUP')
      await expect.poll(() => linesWith('the former one stays in force').length, soon).toBe(2)
      conf('via off\n')

      expect(await control(gateway, 'interrupt')).toBe(0)
      expect(await daemon.exited).toBe(0)
      expect(linesWith('Stopping at once')).toHaveLength(1)
      expect(existsSync(join(folder, 'daemon.pid'))).toBe(false)
      expect(await control(gateway, 'check')).toBe(1)

      // killed: its workers end by themselves, and the next one is not kept from starting by what it left
      const second = await start(gateway)
      const workers = await childrenOf(gateway, second.pid)
      expect(workers).toHaveLength(2)
      expect(await control(gateway, 'kill')).toBe(0)
      await second.exited
      await expect.poll(async () => (await gateway.run('ps', '-o', 'pid=', '-p', workers.join(','))).stdout.trim(), soon).toBe('')
      expect(existsSync(join(folder, 'daemon.pid'))).toBe(true)
      const third = await start(gateway)
      expect(readFileSync(join(folder, 'daemon.pid'), 'latin1')).toBe(`${third.pid}\n`)
      expect(await control(gateway, 'shutdown')).toBe(0)
      expect(await third.exited).toBe(0)
    }))

  it('of many who start at once one runs, and the others say who', { timeout: 60_000 }, () =>
    withLab(async ({ gateway }) => {
      conf('')
      writeFileSync(join(folder, 'daemon.pid'), '999999\n') // left by one that crashed
      const all = Array.from({ length: 4 }, () => gateway.spawn(glassquid, ['-N', '-f', path()]))
      const codes = await Promise.all(all.map(daemon => daemon.heard(/^ready: /m).then(() => 'ready', () => daemon.exited)))
      expect(codes.toSorted()).toEqual([1, 1, 1, 'ready'])
      const running = all[codes.indexOf('ready')]
      for (const [i, daemon] of all.entries()) if (codes[i] === 1) await daemon.heard(`already running! Process ID ${running?.pid}`)
      expect(await control(gateway, 'shutdown')).toBe(0)
      expect(await running?.exited).toBe(0)
    }))

  it('have helpers of their own, which go with them; limits and the folder for cores are those of each', { timeout: 90_000 }, () =>
    withLab(async ({ gateway }) => {
      const rewriter = join(folder, 'rewriter.cjs')
      writeFileSync(rewriter, `require('node:readline').createInterface({ input: process.stdin }).on('line', () => console.log('OK rewrite-url="http://127.0.0.1:10/"'))`)
      const judge = join(folder, 'judge.cjs')
      writeFileSync(judge, `require('node:readline').createInterface({ input: process.stdin }).on('line', line => console.log(line.includes('/no') ? 'ERR' : 'OK'))`)
      const daemon = await start(gateway, `url_rewrite_program ${process.execPath} ${rewriter}
url_rewrite_children 1 startup=1
external_acl_type judge ttl=0 negative_ttl=0 children-max=1 children-startup=1 %URI ${process.execPath} ${judge}
acl good external judge
http_access deny !good
max_filedescriptors 500
coredump_dir ${folder}
`)
      const workers = await childrenOf(gateway, daemon.pid)
      expect(workers).toHaveLength(2)
      const helpersOf = async (pid: number) => childrenOf(gateway, pid)
      const before = await Promise.all(workers.map(helpersOf))
      for (const helpers of before) expect(helpers).toHaveLength(2)

      expect(new Set(await asked(gateway, 20))).toEqual(new Set(['503'])) // nobody is at port 10 either
      expect(new Set(await asked(gateway, 20, 'http://127.0.0.1:9/no'))).toEqual(new Set(['403']))
      const [first = 0] = workers
      await gateway.must('kill', '-9', String(first))
      await expect.poll(() => linesWith('worker kid1 runs again').length, soon).toBe(1)
      await expect.poll(async () => (await gateway.run('ps', '-o', 'pid=', '-p', (before[0] ?? []).join(','))).stdout.trim(), soon).toBe('')
      const after = await childrenOf(gateway, daemon.pid)
      for (const pid of after) {
        expect(await helpersOf(pid)).toHaveLength(2)
        expect((await gateway.must('readlink', `/proc/${pid}/cwd`)).trim()).toBe(folder)
      }
      expect(new Set(await asked(gateway, 20))).toEqual(new Set(['503']))
      const { stdout } = await gateway.run(glassquid, 'manager', 'info', '-f', path())
      expect(stdout).toMatch(/Maximum number of file descriptors:\s+1000/)
      expect(await control(gateway, 'shutdown')).toBe(0)
      expect(await daemon.exited).toBe(0)
    }))
})
