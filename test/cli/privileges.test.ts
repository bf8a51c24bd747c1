// Started as root it becomes somebody else before it opens anything, keeps what the conf needs and no more, and what it
// owns works afterwards: ports, logs and their rotation, cache, control socket, reload. Looked at from outside, in /proc.
// Without root: what is missing is said at the start, and the rest works.

import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Namespace, noLabWith, type Running, withLab } from '../support/net-lab.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
const noLab = noLabWith('curl')
/** Of Debian's base-passwd; its number is what counts. */
const nobody = 65534
const isRoot = process.getuid?.() === 0 && /^\s*0\s+0\s+4294967295$/m.test(readFileSync('/proc/self/uid_map', 'latin1'))
const notRoot = isRoot ? null : 'needs root of the machine'
if (notRoot !== null) console.warn(`SKIPPED, becoming another user: ${notRoot}`)
/** Containers often have a root without CAP_SYS_RESOURCE. */
const mayRaise = spawnSync('sh', ['-c', 'ulimit -Hn 123456'], { stdio: 'ignore' }).status === 0
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-priv-'))
  chmodSync(folder, 0o755)
})

afterEach(() => rmSync(folder, { recursive: true }))

const conf = (text: string): string => {
  const path = join(folder, 'p.conf')
  writeFileSync(path, text)
  return path
}

const statusOf = (pid: number) => {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.replaceAll('\t', ' ') ?? ''
  const caps = (name: string) => Number.parseInt(field(name), 16)
  return { uid: field('Uid'), gid: field('Gid'), effective: caps('CapEff'), permitted: caps('CapPrm'), ambient: caps('CapAmb'), bounding: caps('CapBnd'), noNewPrivileges: field('NoNewPrivs') }
}

const all = `${nobody} ${nobody} ${nobody} ${nobody}`
const netBind = 1 << 10
const netRaw = 1 << 13

const start = async (gateway: Namespace, path: string): Promise<Running> => {
  const daemon = gateway.spawn(glassquid, ['-f', path])
  await daemon.heard(/^ready: /m)
  return daemon
}

describe.skipIf(noLab !== null || notRoot !== null)(`started as root ${noLab ?? notRoot ?? ''}`, () => {
  for (const workers of [1, 2]) {
    it(`becomes the user, with what the conf needs: ${workers} process(es)`, { timeout: 60_000 }, () =>
      withLab(async ({ gateway, origin }) => {
        const web = origin.spawn(process.execPath, ['-e', "require('node:http').createServer((q, r) => { r.setHeader('Cache-Control', 'max-age=99'); r.end('x'.repeat(99)) }).listen(80, '::', () => console.log('up'))"])
        await web.heard('up')
        mkdirSync(join(folder, 'own'))
        chownSync(join(folder, 'own'), nobody, nobody)
        const text = (more: string) => `workers ${workers}
http_port 81
http_port 3129 tproxy
http_access allow all
cache_effective_user ${nobody}
pid_filename ${folder}/p.pid
access_log stdio:${folder}/own/access.log
cache_log ${folder}/own/cache.log
cache_dir aufs ${folder}/cache 10 16 256
coredump_dir ${folder}/own
max_filedescriptors 123456
logfile_rotate 1
shutdown_lifetime 0 seconds
${more}`
        const path = conf(text(''))
        const daemon = await start(gateway, path)
        const children = (await gateway.run('pgrep', '-P', String(daemon.pid))).stdout.trim().split('\n').filter(word => word !== '').map(Number)
        expect(children).toHaveLength(workers === 1 ? 0 : 2)
        for (const pid of [daemon.pid, ...children]) {
          const kept = netBind | netRaw
          expect(statusOf(pid)).toMatchObject({ uid: all, gid: all, effective: kept, permitted: kept, bounding: kept, noNewPrivileges: '1' })
          if (mayRaise) expect(readFileSync(`/proc/${pid}/limits`, 'latin1')).toMatch(/^Max open files +123456 /m)
          expect(readFileSync(`/proc/${pid}/limits`, 'latin1')).toMatch(/^Max core file size +(unlimited|\d{2,}) /m)
        }
        // programs it starts get nothing; the supervisor's are its workers
        for (const pid of workers === 1 ? [daemon.pid] : children) expect(statusOf(pid).ambient).toBe(0)
        expect(statSync(join(folder, 'cache')).uid).toBe(nobody)
        expect(statSync(join(folder, 'p.sock')).uid).toBe(nobody)

        const get = (port: number) => gateway.run('curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '-x', `http://127.0.0.1:${port}`, 'http://origin.lab/')
        expect((await get(81)).stdout).toBe('200')
        const page = (name: string) => gateway.run('curl', '-sS', '--unix-socket', join(folder, 'p.sock'), '-d', 'x=', `http://localhost/${name}`)
        expect((await page('rotate')).stdout).toBe('logs rotated\n')
        expect(existsSync(join(folder, 'own/access.log.0'))).toBe(true)
        // a low port and a tproxy port that were not there at the start
        writeFileSync(path, text('http_port 82\nhttp_port 3130 tproxy\n'))
        expect((await page('reconfigure')).stdout).toBe('reconfigured\n')
        expect((await get(82)).stdout).toBe('200')
        daemon.signal('SIGTERM')
        expect(await daemon.exited).toBe(0)
        // its folder is root's: what is left there is known for what it is
        await (await start(gateway, path)).stop()
      }))
  }

  it('keeps nothing where nothing is needed, and says who it is', { timeout: 30_000 }, () =>
    withLab(async ({ gateway }) => {
      const path = conf(`http_port 3128\nhttp_access allow all\ncache_effective_user ${nobody}\ncache_effective_group ${nobody}\npid_filename none\naccess_log none\ncache_log none\n`)
      const daemon = await start(gateway, path)
      expect(statusOf(daemon.pid)).toMatchObject({ uid: all, gid: all, effective: 0, permitted: 0, ambient: 0, bounding: 0 })
      daemon.signal('SIGTERM')
    }))

  it('a user that does not exist: FATAL, 1', async () => {
    await withLab(async ({ gateway }) => {
      const path = conf('http_port 3128\nhttp_access allow all\ncache_effective_user no_such_user\npid_filename none\naccess_log none\ncache_log none\n')
      expect(await gateway.run(glassquid, '-f', path)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^FATAL: .*p\.conf\(3\): cache_effective_user: there is no user 'no_such_user'/m) })
    })
  })
})

describe.skipIf(noLab !== null)(`without privileges ${noLab ?? ''}`, () => {
  it('a forward proxy works; what a tproxy port lacks is said, with what would give it', { timeout: 30_000 }, () =>
    withLab(async ({ gateway }) => {
      const drop = ['--bounding-set=-all', '--inh-caps=-all', ...(isRoot ? [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : [])]
      const rest = 'http_access allow all\npid_filename none\naccess_log none\ncache_log none\nshutdown_lifetime 0 seconds\n'
      // where it has asked for no file it needs none, and what it has to say is said
      const own = isRoot ? rest.replace('pid_filename none\n', '').replace('cache_log none', `cache_log ${folder}/none/cache.log`) : rest
      const plain = gateway.spawn('setpriv', [...drop, glassquid, '-f', conf(`http_port 3128\n${own}`)])
      if (isRoot) {
        await plain.heard(/^WARNING: cannot write the pid file /m)
        await plain.heard(/^\S+ \S+\| Starting glassquid/m)
      }
      await plain.heard(/^ready: /m)
      plain.signal('SIGTERM')
      expect(await plain.exited).toBe(0)
      const ran = await gateway.run('setpriv', ...drop, glassquid, '-f', conf(`http_port 3128\nhttp_port 3129 tproxy\n${rest}`))
      expect(ran).toMatchObject({ code: 1, stderr: expect.stringMatching(/WARNING: running without CAP_NET_RAW, which tproxy ports need: .*AmbientCapabilities=CAP_NET_RAW[\s\S]*FATAL: /) })
    }))
})
