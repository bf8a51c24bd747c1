// Contract: sockets that a service manager has opened (sd_listen_fds(3)) are what the http_port lines with their addresses
// listen on, with workers too; they outlive us, so that whoever connects while nobody serves is answered by who comes
// next; programs we start get neither them nor the variables; and what fits no line is refused with a sentence.
//
// The service manager is a shell that holds the sockets as descriptors 3 and up, and starts a daemon for each line it
// reads. Where systemd is installed, its own launcher is one more.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { native } from '../../native/index.ts'
import { takeHandedIn } from '../../src/cli/handed-in.ts'
import { noLabWith, withLab } from '../support/net-lab.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
let folder = ''
const launchers: Launcher[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-handed-'))
})

afterEach(async () => {
  for (const launcher of launchers.splice(0)) await launcher.close()
  rmSync(folder, { recursive: true })
})

interface HasDescriptor {
  readonly _handle: { readonly fd: number } // Node shows it nowhere else
}

const start = `while read -r names; do
  sh -c 'LISTEN_PID=$$ LISTEN_FDS="$1" LISTEN_FDNAMES="$2" exec "$3" -N -f "$4"' - "$1" "$names" "$2" "$3" 2>&1
  echo "ended $?"
done`

class Launcher {
  readonly #child: ChildProcess
  #said = ''
  #waiting: () => void = () => {}
  #pid = 0

  constructor(fds: readonly number[], conf: string) {
    const path = join(folder, 'glassquid.conf')
    writeFileSync(path, conf)
    this.#child = spawn('sh', ['-c', start, '-', String(fds.length), glassquid, path], { stdio: ['pipe', 'pipe', 'inherit', ...fds] })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text
      this.#waiting()
    })
    launchers.push(this)
  }

  /** What it says up to there, the second time without the first. */
  async heard(what: RegExp): Promise<string> {
    for (;;) {
      const found = what.exec(this.#said)
      if (found !== null) {
        const text = this.#said.slice(0, found.index + found[0].length)
        this.#said = this.#said.slice(text.length)
        return text
      }
      await new Promise<void>(resolve => (this.#waiting = resolve))
    }
  }

  /** The daemon's process, when it serves. */
  async start(names = ''): Promise<number> {
    this.#child.stdin?.write(`${names}\n`)
    const text = await this.heard(/ready: .*process \d+\n/)
    this.#pid = Number(/process (\d+)\n$/.exec(text)?.[1])
    return this.#pid
  }

  /** What it says instead. */
  async refused(): Promise<string> {
    this.#child.stdin?.write('\n')
    return await this.heard(/ended 1\n/)
  }

  async stop(): Promise<void> {
    process.kill(this.#pid, 'SIGTERM')
    this.#pid = 0
    expect(await this.heard(/ended \d+\n/)).toContain('ended 0')
  }

  async close(): Promise<void> {
    if (this.#pid > 0) process.kill(this.#pid, 'SIGKILL')
    const exited = once(this.#child, 'exit')
    this.#child.stdin?.end()
    await exited
  }
}

/** A listening socket on a port of the system's choice, given to a launcher and to nobody else. */
const launch = async (conf: (port: number) => string, options: net.ListenOptions = { host: '127.0.0.1' }): Promise<{ launcher: Launcher; port: number }> => {
  const server = net.createServer().listen({ ...options, port: 0 })
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const launcher = new Launcher([(server as unknown as HasDescriptor)._handle.fd], conf(port))
  server.close()
  return { launcher, port }
}

const confWith = (ports: string, more = '') => `${ports}
http_access allow all
pid_filename ${folder}/daemon.pid
shutdown_lifetime 0 seconds
access_log none
cache_log ${folder}/cache.log
${more}`

/** The proxy's own page, or another, on a connection of its own. */
const ask = (port: number, path = `http://127.0.0.1:${port}/squid-internal-mgr/info`): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part)).on('end', () => resolve(text))
    })
    request.on('error', reject)
  })

const cannot = native.present ? '' : '(skipped: no addon)'

describe.skipIf(!native.present)(`sockets that are handed in ${cannot}`, () => {
  it.each([
    ['one process', ''],
    ['two workers', 'workers 2\n'],
  ])('are listened on by %s, and who connects while nobody serves is answered by the next', { timeout: 60_000 }, async (_, workers) => {
    const program = join(folder, 'rewriter')
    writeFileSync(program, `#!/bin/sh\n{ env | grep LISTEN; for fd in /proc/$$/fd/*; do readlink $fd; done; } >${folder}/inherited\nexec cat\n`)
    chmodSync(program, 0o755)
    const { launcher, port } = await launch(at => confWith(`http_port 127.0.0.1:${at} name=web`, `${workers}url_rewrite_program ${program}\n`))
    const early = ask(port)
    await launcher.start('web.socket')
    expect(await early).toContain('Squid Object Cache')
    expect(readFileSync(join(folder, 'cache.log'), 'utf8')).toContain(`socket 127.0.0.1:${port} (web.socket): handed in`)
    await launcher.stop()
    const late = ask(port)
    await launcher.start()
    expect(await late).toContain('Squid Object Cache')
    const many = await Promise.all(Array.from({ length: 30 }, () => ask(port)))
    expect(many.filter(page => page.includes('Squid Object Cache'))).toHaveLength(30)
    // a rewriter has an inherited socket for each of its own pipes, no more
    await ask(port, 'http://127.0.0.1:1/')
    await expect.poll(() => existsSync(join(folder, 'inherited')) && readFileSync(join(folder, 'inherited'), 'utf8')).toMatch(/\n/)
    const inherited = readFileSync(join(folder, 'inherited'), 'utf8')
    expect(inherited).not.toContain('LISTEN')
    expect(inherited.split('\n').filter(line => line.startsWith('socket:')).length).toBeLessThanOrEqual(3)
    await launcher.stop()
  })

  it('go with their line at a reload, and are there when it comes back', { timeout: 60_000 }, async () => {
    const { launcher, port } = await launch(at => confWith(`http_port 127.0.0.1:${at} name=web`))
    const pid = await launcher.start()
    const reload = async (ports: string) => {
      const path = join(folder, 'glassquid.conf')
      writeFileSync(path, confWith(ports))
      const before = readFileSync(join(folder, 'cache.log'), 'utf8').split('Reconfigured').length
      process.kill(pid, 'SIGHUP')
      await expect.poll(() => readFileSync(join(folder, 'cache.log'), 'utf8').split('Reconfigured').length, { timeout: 10_000 }).toBe(before + 1)
    }
    await reload(`http_port 127.0.0.1:${port} accel vhost name=other`)
    expect(await ask(port)).toContain('Squid Object Cache')
    await reload('http_port 127.0.0.1:1')
    expect(readFileSync(join(folder, 'cache.log'), 'utf8')).toContain(`WARNING: socket 127.0.0.1:${port}: handed in, and no line is at that address any more`)
    const waits = ask(port)
    await reload(`http_port 127.0.0.1:${port} name=web`)
    expect(await waits).toContain('Squid Object Cache')
    await launcher.stop()
  })

  it('that fit no line are refused, and what they are is said', { timeout: 60_000 }, async () => {
    const other = await launch(() => confWith('http_port 127.0.0.1:1'))
    expect(await other.launcher.refused()).toMatch(new RegExp(`FATAL: socket 127\\.0\\.0\\.1:${other.port}: handed in, and no http_port or listener line is at that address`))
    const six = await launch(at => confWith(`http_port ${at}`), { host: '::', ipv6Only: true })
    expect(await six.launcher.refused()).toMatch(/FATAL: .*takes IPv6 alone, and the line IPv4, too \(BindIPv6Only=both\)/)
    const local = net.createServer().listen(join(folder, 'local'))
    await once(local, 'listening')
    const launcher = new Launcher([(local as unknown as HasDescriptor)._handle.fd], confWith('http_port 127.0.0.1:1'))
    expect(await launcher.refused()).toMatch(/FATAL: socket 3, which was handed in, is not of IPv4 or IPv6/)
    local.close()
    const { stdout } = spawnSync('sh', ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -N -f "$1" 3</dev/null 2>&1', glassquid, join(folder, 'glassquid.conf')], { encoding: 'utf8' })
    expect(stdout).toMatch(/FATAL: socket 3, which was handed in, is no socket/)
  })

  const noSystemd = noLabWith('systemd-socket-activate', 'curl')
  it.skipIf(noSystemd !== null)(`by systemd's own launcher ${noSystemd ?? ''}`, { timeout: 60_000 }, () =>
    withLab(async ({ gateway }) => {
      const path = join(folder, 'glassquid.conf')
      writeFileSync(path, confWith('http_port 3128 name=web\nhttp_port 127.0.0.1:3129 name=own'))
      const daemon = gateway.spawn('systemd-socket-activate', ['-l', '3128', '--fdname=web.socket', glassquid, '-N', '-f', path])
      await daemon.heard('Listening on')
      const ask = async (at: string) => (await gateway.run('curl', '-sS', '-x', `http://${at}`, `http://${at}/squid-internal-mgr/info`)).stdout
      for (const at of ['127.0.0.1:3128', '[::1]:3128', '127.0.0.1:3129']) expect(await ask(at)).toContain('Squid Object Cache')
      expect(readFileSync(join(folder, 'cache.log'), 'utf8')).toContain('socket [::]:3128 (web.socket): handed in')
      expect(await gateway.run(glassquid, '-k', 'shutdown', '-f', path)).toMatchObject({ code: 0 })
      expect(await daemon.exited).toBe(0)
    }))
})

describe('the variables', () => {
  const unset = { PATH: '/bin' }

  it('of another process are not ours, and are gone all the same', () => {
    const env = { ...unset, LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'a' }
    expect(takeHandedIn(env, 2)).toEqual({ ok: true, sockets: [] })
    expect(env).toEqual(unset)
  })

  it('that say no number are refused', () => {
    for (const count of ['', 'x', '-1', '99999']) {
      expect(takeHandedIn({ LISTEN_PID: '2', LISTEN_FDS: count }, 2)).toMatchObject({ ok: false, reason: expect.stringContaining('LISTEN_FDS') })
    }
    expect(takeHandedIn({ LISTEN_PID: '2', LISTEN_FDS: '0' }, 2)).toEqual({ ok: true, sockets: [] })
  })
})
