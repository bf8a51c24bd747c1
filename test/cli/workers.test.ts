// Several workers as people see them: one proxy. Two of them run on the lab's gateway without a cache_dir, so each has its
// own memory; who is asked is the kernel's choice, so each question is put to all connections of many.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Namespace, noLabWith, withLab } from '../support/net-lab.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
const noLab = noLabWith('curl')
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-workers-'))
})

afterAll(() => rmSync(folder, { recursive: true }))

/** Numbers what it hands out; a POST makes the next number. */
const origin = `
  let version = 0
  require('node:http').createServer((request, response) => {
    if (request.method === 'POST') return response.end(String(++version))
    response.writeHead(200, { 'Cache-Control': 'max-age=1000' })
    response.end(String(version) + ';')
  }).listen(80, '::', () => console.log('listening'))`

const text = (more = '') => `workers 2
http_port 3128 name=web
http_access allow all
pid_filename ${folder}/daemon.pid
shutdown_lifetime 0 seconds
access_log stdio:${folder}/access.log
access_log stdio:${folder}/access.\${process_number}.log
if \${process_number} = 2
cache_mem 32 MB
endif
cache_log ${folder}/cache.log
logfile_rotate 3
${more}`

const cacheLog = () => readFileSync(join(folder, 'cache.log'), 'utf8')

interface Daemon {
  readonly gateway: Namespace
  /** Requests on connections of their own; what each answered. */
  ask(count: number, method?: string): Promise<string[]>
  /** A page, by the control socket. */
  page(name: string, form?: string): Promise<string>
  readonly pid: number
  workers(): Promise<number[]>
  readonly path: string
}

const withDaemon = (use: (daemon: Daemon) => Promise<void>) =>
  withLab(async ({ gateway, origin: machine }) => {
    const path = join(folder, 'daemon.conf')
    writeFileSync(path, text())
    const web = machine.spawn(process.execPath, ['-e', origin])
    await web.heard('listening')
    const daemon = gateway.spawn(glassquid, ['-f', path])
    await daemon.heard(/^ready: .*forward \[::\]:3128.*2 workers/m)
    await use({
      gateway, path,
      page: async (name, form) => {
        const post = form === undefined ? [] : ['-d', form]
        const { stdout } = await gateway.run('curl', '-sS', '--unix-socket', join(folder, 'daemon.sock'), ...post, `http://localhost/squid-internal-mgr/${name}`)
        return stdout
      },
      pid: daemon.pid,
      ask: async (count, method = 'GET') => {
        const urls = Array.from({ length: count }, () => 'http://origin.lab/x')
        const { stdout } = await gateway.run('curl', '-sS', '-X', method, '-H', 'Connection: close', '-x', 'http://127.0.0.1:3128', ...urls)
        return stdout.split(';').filter(answer => answer !== '')
      },
      workers: async () => {
        const { stdout } = await gateway.run('pgrep', '-P', String(daemon.pid))
        return stdout.trim().split('\n').map(Number)
      },
    })
    expect(await gateway.run(glassquid, '-k', 'shutdown', '-f', path)).toMatchObject({ code: 0 })
    expect(await daemon.exited).toBe(0)
    expect(existsSync(join(folder, 'daemon.pid'))).toBe(false)
    expect(cacheLog()).not.toContain('fault of ours')
  })

const linesOf = (name: string): string[] => readFileSync(join(folder, name), 'utf8').split('\n').filter(line => line !== '')

describe.skipIf(noLab !== null)(`two workers ${noLab ?? ''}`, () => {
  it('serve as one: shares, sums, invalidations, purges, logs, reloads', { timeout: 60_000 }, () =>
    withDaemon(async ({ ask, page, path, workers, gateway }) => {
      const first = await ask(40)
      expect(new Set(first)).toEqual(new Set(['0']))
      const counters = await page('counters')
      expect(counters).toMatch(/^client_http\.requests = 40$/m)
      expect(counters).toMatch(/^server\.http\.requests = 2$/m) // each has fetched it once: each has served

      // an unsafe request through one of them: no other answers with what was there before
      for (let round = 1; round <= 5; round++) {
        await ask(1, 'POST')
        expect(new Set(await ask(20))).toEqual(new Set([String(round)]))
      }

      // both memories had it
      expect(await page('purge', 'uri=http://origin.lab/x')).toBe('purged 2\n')
      const fetched = async () => Number(/^server\.http\.requests = (\d+)$/m.exec(await page('counters'))?.[1])
      const before = await fetched()
      await ask(30)
      expect(await fetched()).toBe(before + 2)

      // each page of all of them; those that cannot be one are told side by side
      const sessions = JSON.parse(await page('sessions?format=json'))
      expect(sessions).toHaveProperty('total')
      expect(await page('explain?uri=http://origin.lab/x')).toMatch(/by kid1 \{[\s\S]*by kid2 \{/)

      // a line each, none torn, and those of one worker in its own file
      const requests = 40 + 5 + 100 + 30
      await expect.poll(() => linesOf('access.log').length, { timeout: 10_000 }).toBe(requests)
      for (const line of linesOf('access.log')) expect(line).toMatch(/^\d+\.\d{3} +\d+ \S+ TCP_\w+\/\d{3} \d+ (GET|POST) http:\/\/origin\.lab\/x /)
      expect(linesOf('access.1.log').length + linesOf('access.2.log').length).toBe(requests)

      // renamed once, though three processes write to it
      expect(await page('rotate', 'x=')).toBe('logs rotated\n')
      expect(linesOf('access.log.0')).toHaveLength(requests)
      expect(readdirSync(folder).filter(name => /^(access|cache)\.log\.[1-9]/.test(name))).toEqual([])
      await ask(1)
      await expect.poll(() => linesOf('access.log').length, { timeout: 10_000 }).toBe(1)

      const pids = await workers()
      writeFileSync(path, text('http_port 3129\n'))
      expect(await page('reconfigure', 'x=')).toBe('reconfigured\n')
      expect((await gateway.run('ss', '-Hltn', 'sport = :3129')).stdout.trim().split('\n')).toHaveLength(2)

      // what one of them cannot use, none uses
      writeFileSync(path, text('if ${process_number} = 2\nno_such_directive\nendif\nhttp_port 3130\n'))
      expect(await page('reconfigure', 'x=')).toContain('was refused')
      await expect.poll(cacheLog, { timeout: 10_000 }).toMatch(/ERROR: kid2 refused the new conf: .*daemon\.conf\(14\): unrecognized directive/)
      // a port somebody else has, at the second of them: the first goes back
      const taken = gateway.spawn(process.execPath, ['-e', "require('node:net').createServer().listen(3140, () => console.log('up'))"])
      await taken.heard('up')
      writeFileSync(path, text('if ${process_number} = 2\nhttp_port 3140\nendif\nhttp_port 3130\n'))
      expect(await page('reconfigure', 'x=')).toContain('was refused')
      expect((await gateway.run('ss', '-Hltn', 'sport = :3130')).stdout).toBe('')
      expect((await gateway.run('ss', '-Hltn', 'sport = :3129')).stdout.trim().split('\n')).toHaveLength(2)
      expect(await workers()).toEqual(pids)
      await ask(10)
    }))

  it('one is killed: the other serves, it comes back with the conf in force', { timeout: 90_000 }, () =>
    withDaemon(async ({ gateway, path, workers, ask, page }) => {
      const [one = 0, other = 0] = await workers()
      writeFileSync(path, 'this is no conf\n')
      // what it has counted stays in the sums: while it is away, and when its successor counts on
      const requests = async () => Number(/^client_http\.requests = (\d+)$/m.exec(await page('counters'))?.[1])
      const figures = async () => JSON.parse(await page('figures?format=json')) as { sums: { requests: number }; results: Record<string, number>; startedAt: number; cpuSeconds: number }
      const resultsOf = ({ results }: { results: Record<string, number> }) => Object.values(results).reduce((sum, count) => sum + count, 0)
      expect(await ask(40)).toHaveLength(40)
      expect(await requests()).toBe(40)
      const before = await figures()
      expect(resultsOf(before)).toBe(40)
      await gateway.run('kill', '-9', String(one))
      // at any moment: it may have gone, be starting, or be there again
      while (!/worker kid1 runs again/.test(cacheLog())) expect(await requests()).toBe(40)
      await expect.poll(cacheLog, { timeout: 10_000 }).toMatch(/worker kid1, process \d+, died of SIGKILL; it is started again at once; 1 of 2 go on/)
      expect(await ask(20)).toHaveLength(20)
      await expect.poll(cacheLog, { timeout: 10_000 }).toMatch(/worker kid1 runs again/)
      const now = await workers()
      expect(now).toContain(other)
      expect(now).toHaveLength(2)
      expect(await requests()).toBe(60)
      await gateway.run('kill', '-9', String(now.find(pid => pid !== other)))
      await expect.poll(cacheLog, { timeout: 10_000 }).toMatch(/worker kid1, process \d+, died of SIGKILL; it is started again in 1 second/)
      const after = await figures()
      expect(after.sums.requests).toBe(60)
      expect(resultsOf(after)).toBe(60)
      expect(after.startedAt).toBe(before.startedAt)
      expect(after.cpuSeconds).toBeGreaterThanOrEqual(before.cpuSeconds)
      expect(await page('histograms')).toMatch(/^client_http\.allSvcTime histogram:\n(?:\t.*\n)+/)
      expect(await page('info')).toMatch(/HTTP requests received:\t60$/m)
      expect(await page('utilization')).toMatch(/Totals since cache startup:\n.*\nclient_http\.requests = 60$/m)
      // the proxy has been up for longer than any of its workers
      await gateway.run('kill', '-9', String(other))
      await expect.poll(cacheLog, { timeout: 20_000 }).toMatch(/worker kid1 runs again[^]*worker kid1 runs again/)
      await expect.poll(cacheLog, { timeout: 20_000 }).toContain('worker kid2 runs again')
      const { at, startedAt, upSeconds } = JSON.parse(await page('info?format=json'))
      expect(startedAt).toBe(before.startedAt)
      expect(upSeconds * 1000).toBeGreaterThanOrEqual(at - startedAt - 50)
      writeFileSync(path, text()) // for -k
      expect(await page('counters')).toMatch(/^client_http\.requests = \d+$/m)
    }))
})
