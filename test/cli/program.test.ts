// glassquid as a program: what it prints where, what it ends with, and a daemon's life as -k sees it. Exit codes and
// words are those scripts written for Squid look for. The daemon runs on the lab's gateway, whose ports nobody else has.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDnsServer } from '../support/dns-server.ts'
import { type Namespace, noLab, noLabWith, withLab } from '../support/net-lab.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-cli-'))
})

afterAll(() => rmSync(folder, { recursive: true }))

const conf = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const run = (...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(glassquid, args, { encoding: 'utf8' })
  return { code: status, stdout, stderr }
}

describe('words and exit codes', () => {
  it('-v: the version, on standard output', () => {
    expect(run('-v')).toEqual({ code: 0, stdout: expect.stringMatching(/^glassquid \d+\.\d+\.\d+ \(Node \d+/), stderr: '' })
  })

  it('-h: help, on standard output', () => {
    expect(run('-h')).toEqual({ code: 0, stdout: expect.stringContaining('usage: glassquid'), stderr: '' })
    expect(run('rules', '-h').stdout).toContain('--fail-closed')
  })

  it('what is not understood: named, with the usage, on standard error, 1', () => {
    expect(run('-q')).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(/Unknown option '-q'[\s\S]*usage: glassquid/) })
  })

  it('-k parse: remarks on standard error; 0 with warnings, 1 with errors', () => {
    const good = conf('good.conf', 'http_port 3128\nhttp_access deny all\n')
    expect(run('-k', 'parse', '-f', good)).toMatchObject({ code: 0, stdout: '' })
    const bad = conf('bad.conf', 'http_port 3128\nhttp_acess deny all\nhttp_access allow nobody\n')
    const told = run('-k', 'parse', '-f', bad)
    expect(told).toMatchObject({ code: 1, stdout: '' })
    expect(told.stderr).toMatch(/bad\.conf\(2\)[\s\S]*bad\.conf\(3\)/) // both, not only the first
  })

  it('-k parse: names among addresses that do not resolve, with their lines; a dead name server is not waited for', { timeout: 30_000 }, async () => {
    const server = await startDnsServer(({ name }) => (name.startsWith('silent') ? null : { rcode: name.startsWith('good') ? 0 : 3, records: name.startsWith('good') ? [{ type: 'A', ttl: 9, address: '192.0.2.1' }] : [] }))
    const text = (...names: readonly string[]) =>
      `http_port 3128\ndns_nameservers 127.0.0.1:${server.endpoint.port}\nhosts_file none\nhttp_access deny all\n${names.map((name, i) => `acl a${i} dst ${name}\nhttp_access deny a${i}\n`).join('')}`
    const parse = async (name: string, content: string) => {
      const child = spawn(glassquid, ['-k', 'parse', '-f', conf(name, content)], { stdio: ['ignore', 'ignore', 'pipe'] })
      const said = child.stderr.setEncoding('utf8').toArray()
      const [code] = await once(child, 'exit')
      return { code, stderr: (await said).join('') }
    }
    try {
      const told = await parse('names.conf', text('good.test', 'gone.test', '192.0.2.7', 'none.test'))
      expect(told).toMatchObject({ code: 0, stderr: expect.stringMatching(/^WARNING: .*names\.conf\(7\): 'gone\.test' does not resolve \(ENOTFOUND\)[^]*^WARNING: .*names\.conf\(11\): 'none\.test' does not/m) })
      expect(told.stderr).not.toContain('good.test')
      // the program ends, whatever dns_timeout says
      expect(await parse('silent.conf', `dns_timeout 5 minutes\n${text('silent.test', 'silent2.test', 'gone.test')}`)).toMatchObject({
        code: 0, stderr: expect.stringMatching(/silent\.conf\(10\): 'gone\.test' does not resolve[^]*no answer for 'silent\.test' nor for 1 other within 5 seconds|no answer for 'silent\.test' nor for 1 other within 5 seconds[^]*silent\.conf\(10\): 'gone\.test' does not resolve/),
      })
    } finally {
      await server.close()
    }
  })

  it('a conf that is not there: FATAL, 1, for the daemon, -k and rules alike', () => {
    const missing = join(folder, 'missing.conf')
    for (const args of [['-f', missing], ['-k', 'check', '-f', missing], ['-k', 'parse', '-f', missing], ['rules', '-f', missing]]) {
      expect(run(...args)).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(/^FATAL: [\s\S]*missing\.conf/) })
    }
  })

  it('-k without a running proxy: FATAL and the pid file, 1', () => {
    const path = conf('idle.conf', `http_port 3128\npid_filename ${folder}/idle.pid\n`)
    for (const word of ['check', 'shutdown', 'rotate']) {
      expect(run('-k', word, '-f', path)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^FATAL: failed to open PID file .*idle\.pid/m) })
    }
  })
})

describe('the commands that ask a running proxy, where none runs', () => {
  const idle = () => conf('silent.conf', `http_port 3128 name=web\npid_filename ${folder}/silent.pid\nacl lan src 10.0.0.0/8\nhttp_access allow lan\nhttp_access deny all\nrefresh_pattern . 0 20% 4320\n`)

  it('purge and manager: who does not answer, 1', () => {
    for (const args of [['purge', 'http://a/'], ['manager'], ['manager', 'rotate', '--post']]) {
      expect(run(...args, '-f', idle())).toEqual({ code: 1, stdout: '', stderr: `glassquid: no proxy answers at ${folder}/silent.sock\n` })
    }
  })

  it('explain: from the conf alone, and it says so, 0', () => {
    const told = run('explain', 'http://a.example/x', '--from', '10.1.1.1', '-f', idle())
    expect(told).toMatchObject({ code: 0, stderr: `Note: no proxy answers at ${folder}/silent.sock: what follows is from the conf alone\n` })
    expect(told.stdout).toMatch(/^verdict +not known: no proxy runs/m)
    expect(told.stdout).toMatch(/^http_access +allowed by .*silent\.conf:4: http_access allow lan/m)
    expect(told.stdout).toMatch(/^refresh +.*silent\.conf:6: refresh_pattern \. 0 20% 4320$/m)
    expect(JSON.parse(run('explain', 'http://a/', '--json', '-f', idle()).stdout)).toMatchObject({ running: false, verdict: expect.stringContaining('refused') })
    expect(run('explain', '/x', '-f', idle())).toMatchObject({ code: 1, stderr: expect.stringContaining("'/x' is no absolute URI") })
  })
})

describe.skipIf(noLab !== null)(`the daemon ${noLab ?? ''}`, () => {
  const text = () => `http_port 3128\nhttp_access allow all\npid_filename ${folder}/daemon.pid\nshutdown_lifetime 0 seconds\numask 077\naccess_log none\ncache_log ${folder}/cache.log\n`
  const cacheLog = () => readFileSync(join(folder, 'cache.log'), 'utf8')

  it('starts once, answers -k, keeps the old conf when the new one is bad, and ends with 0', () =>
    withLab(async ({ gateway }) => {
      const path = conf('daemon.conf', text())
      const control = (word: string) => gateway.run(glassquid, '-f', path, '-k', word)
      const daemon = gateway.spawn(glassquid, ['-N', '-f', path])
      await daemon.heard(/^ready: .*forward \[::\]:3128/m)
      expect(readFileSync(join(folder, 'daemon.pid'), 'latin1')).toBe(`${daemon.pid}\n`)
      const modeOf = (name: string) => (statSync(join(folder, name)).mode & 0o777).toString(8)
      expect([modeOf('cache.log'), modeOf('daemon.pid')]).toEqual(['600', (0o666 & ~process.umask()).toString(8)])
      expect(await control('check')).toMatchObject({ code: 0, stderr: '' })

      const second = await gateway.run(glassquid, '-f', path)
      expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining(`already running! Process ID ${daemon.pid}`) })

      writeFileSync(path, `${text()}http_port 3129\n`)
      expect(await control('reconfigure')).toMatchObject({ code: 0 })
      await expect.poll(() => listening(gateway, 3129), { timeout: 10_000 }).toBe(true)

      writeFileSync(path, `${text()}http_port 3129\nworkers 2\n`)
      expect(await control('reconfigure')).toMatchObject({ code: 0 })
      await expect.poll(cacheLog, { timeout: 10_000 }).toContain('WARNING: workers: what has changed here counts after a restart')

      writeFileSync(path, `${text()}no_such_directive\n`)
      expect(await control('reconfigure')).toMatchObject({ code: 1, stderr: expect.stringContaining('keeps its conf') })
      daemon.signal('SIGHUP') // whoever sends it by hand is refused by the daemon itself
      await expect.poll(cacheLog, { timeout: 10_000 }).toContain('the new conf was refused')
      expect(await listening(gateway, 3129)).toBe(true)

      // what only the running one can know is told by who asked for it
      const other = gateway.spawn(process.execPath, ['-e', "require('net').createServer().listen(3140, '::', () => console.log('up'))"])
      await other.heard('up')
      writeFileSync(path, `${text()}http_port 3129\nhttp_port 3140\n`)
      expect(await control('reconfigure')).toMatchObject({ code: 1, stderr: expect.stringMatching(/^FATAL: .*3140.*: the former one stays in force; cache\.log says more$/m) })
      writeFileSync(path, `${text()}http_port 3129\nhttp_port nowhere.invalid:3141\n`)
      expect(await control('reconfigure')).toMatchObject({ code: 1, stderr: expect.stringMatching(/nowhere\.invalid[^]*keeps its conf/) })
      // by a signal where it cannot be asked: then it is known only that it was told
      writeFileSync(path, `${text()}http_port 3129\nhttp_port 3142\ncontrol_socket ${folder}/another.sock\n`)
      expect(await control('reconfigure')).toMatchObject({ code: 0, stderr: expect.not.stringContaining('FATAL') })
      await expect.poll(() => listening(gateway, 3142), { timeout: 10_000 }).toBe(true)

      // who has spoilt the conf can still tell the proxy everything else
      writeFileSync(path, `${text()}no_such_directive\n`)
      expect(await control('check')).toMatchObject({ code: 0, stderr: expect.stringContaining('no_such_directive') })
      writeFileSync(path, text())
      expect(await control('rotate')).toMatchObject({ code: 0 })
      await expect.poll(() => existsSync(join(folder, 'cache.log.0')), { timeout: 10_000 }).toBe(true)
      expect(await control('shutdown')).toMatchObject({ code: 0 })
      expect(await daemon.exited).toBe(0)
      expect(existsSync(join(folder, 'daemon.pid'))).toBe(false)
      expect(await control('check')).toMatchObject({ code: 1 })
    }))

  it('answers the command line on its control socket, from start to end', () =>
    withLab(async ({ gateway }) => {
      const path = conf('asked.conf', text())
      const socket = join(folder, 'daemon.sock')
      const daemon = gateway.spawn(glassquid, ['-f', path])
      await daemon.heard(/^ready:/m)
      const ask = (...args: string[]) => gateway.run(glassquid, ...args, '-f', path)
      expect((statSync(socket).mode & 0o777).toString(8)).toBe('600')
      expect(await ask('manager')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ purge +\t/m) })
      expect(await ask('purge', 'http://a.example/', '--tag', 'x')).toMatchObject({ code: 0, stdout: 'purged 0\n', stderr: '' })
      expect(await ask('explain', 'http://a.example/')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing is stored for the URI') })
      expect(await ask('manager', 'nothing')).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no page 'nothing'") })
      expect(await ask('manager', 'reconfigure', '--post')).toMatchObject({ code: 0, stdout: 'reconfigured\n' })
      writeFileSync(path, `${text()}no_such_directive\n`)
      expect(await ask('manager', 'reconfigure', '--post')).toMatchObject({ code: 1 })
      expect(await gateway.run('curl', '-s', '-d', '', '--unix-socket', socket, 'http://x/squid-internal-mgr/reconfigure')).toMatchObject({
        stdout: expect.stringMatching(/the new conf was refused: .*asked\.conf\(8\).*no_such_directive.*: the former one stays in force/),
      })
      writeFileSync(path, text())
      expect(await ask('manager', 'shutdown', '--post')).toMatchObject({ code: 0, stdout: 'shutting down\n' })
      expect(await daemon.exited).toBe(0)
      expect(existsSync(socket)).toBe(false)
    }))

  it('ends with 0 by INT, also in the middle of nothing', () =>
    withLab(async ({ gateway }) => {
      const daemon = gateway.spawn(glassquid, ['-f', conf('int.conf', text())])
      await daemon.heard(/^ready:/m)
      daemon.signal('SIGINT')
      expect(await daemon.exited).toBe(0)
    }))

  it('does not start on a port that is taken, and says which', () =>
    withLab(async ({ gateway }) => {
      const other = gateway.spawn(process.execPath, ['-e', "require('net').createServer().listen(3128, '::', () => console.log('up'))"])
      await other.heard('up')
      const refused = await gateway.run(glassquid, '-f', conf('taken.conf', text()))
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/^FATAL: .*3128/m) })
      expect(existsSync(join(folder, 'daemon.pid'))).toBe(false)
    }))

  it('does not start without a folder for its pid file, and says so', () =>
    withLab(async ({ gateway }) => {
      const path = conf('nowhere.conf', `http_port 3128\npid_filename ${folder}/no/where.pid\n`)
      expect(await gateway.run(glassquid, '-f', path)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^FATAL: cannot write the pid file .*where\.pid: no such file/m),
      })
    }))
})

const noRules = noLabWith('nft', 'iptables')

describe.skipIf(noRules !== null)(`rules ${noRules ?? ''}`, () => {
  const path = () => conf('rules.conf', 'http_port 3129 intercept\nhttp_port 3130 tproxy\n')

  it.each(['nft', 'iptables'])('%s: --apply as often as one likes, --undo too, also with another conf by then', form =>
    withLab(async ({ gateway }) => {
      const before = await marked(gateway)
      for (let i = 0; i < 2; i++) {
        expect(await gateway.run(glassquid, 'rules', form, '-f', path(), '-i', 'lan', '--apply')).toMatchObject({ code: 0, stdout: '' })
        expect(await marked(gateway)).toEqual({ routing: true, rules: true })
      }
      for (let i = 0; i < 2; i++) {
        expect(await gateway.run(glassquid, 'rules', form, '--undo')).toEqual({ code: 0, stdout: '', stderr: '' })
        expect(await marked(gateway)).toEqual(before)
      }
    }),
  )

  it('without the right to change them: a sentence that names it, and nothing changed', () =>
    withLab(async ({ gateway }) => {
      const weak = ['--bounding-set', '-net_admin', '--inh-caps', '-net_admin', '--', glassquid, 'rules', '-f', path(), '--apply']
      expect(await gateway.run('setpriv', ...weak)).toMatchObject({ code: 1, stderr: expect.stringContaining('needs root (CAP_NET_ADMIN)') })
      expect(await marked(gateway)).toEqual({ routing: false, rules: false })
    }))

  it('words that make no rules: the reason, 1', () => {
    expect(run('rules', '-f', path(), '--take', '80=99')).toMatchObject({ code: 1, stderr: expect.stringContaining("no interception port '99'") })
    expect(run('rules', '-f', path(), '--ports', 'web')).toMatchObject({ code: 1, stderr: expect.stringContaining("--ports 'web'") })
    expect(run('rules', '-f', path(), '--mark', '3/4')).toMatchObject({ code: 1, stderr: expect.stringContaining("--mark '3/4'") })
    expect(run('rules', '-f', path(), '--table', '254')).toMatchObject({ code: 1, stderr: expect.stringContaining("--table '254'") })
  })

  it('--mark and --table are carried through', () => {
    const { stdout } = run('rules', '-f', path(), '--mark', '0x1000/0x2000', '--table', '77')
    expect(stdout).toContain('pref 77 fwmark 0x1000/0x1000 lookup 77')
    expect(run('rules', '--undo', '--show', '--mark', '0x1000/0x2000', '--table', '77').stdout).toContain('rule del pref 77 fwmark 0x1000/0x1000 lookup 77')
  })
})

const listening = async (on: Namespace, port: number): Promise<boolean> =>
  (await on.must('ss', '-Htln', `sport = :${port}`)).trim() !== ''

/** Whether our routing and rules are there. */
const marked = async (on: Namespace): Promise<{ routing: boolean; rules: boolean }> => ({
  routing: (await on.must('ip', 'rule')).includes('0x100/0x100'),
  rules: /glassquid/i.test(await on.must('nft', 'list', 'ruleset')),
})
