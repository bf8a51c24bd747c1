// The Debian package in a throw-away root: this machine's own system seen through an overlay, in namespaces of its own,
// so that dpkg, its scripts and the program meet the real thing and nothing of it stays.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const top = new URL('../..', import.meta.url).pathname

const root = `
t=$(mktemp -d); mount -t tmpfs none $t; mkdir $t/up $t/work $t/root
mount -t overlay overlay -o lowerdir=/,upperdir=$t/up,workdir=$t/work $t/root
mount -t proc proc $t/root/proc
`
const enter = ['-nmp', '--fork', '--kill-child', 'sh', '-ec']

const whyNot = (): string | null => {
  for (const program of ['dpkg-deb', 'unshare', 'adduser', 'curl']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status !== 0) return `needs ${program}`
  }
  const tried = spawnSync('unshare', [...enter, `${root}chroot $t/root true`], { encoding: 'utf8' })
  return tried.status === 0 ? null : `no overlay over this system: ${tried.stderr.trim().split('\n').at(-1) ?? ''}`
}

const skipped = whyNot()
if (skipped !== null) console.warn(`SKIPPED, the package: ${skipped}`)
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-deb-'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(skipped !== null)(`the Debian package ${skipped ?? ''}`, () => {
  it('installs, runs as its user, and is purged without a trace', { timeout: 180_000 }, () => {
    const built = spawnSync(join(top, 'packaging/deb.sh'), [folder], { encoding: 'utf8', env: { ...process.env, GLASSQUID_DEB_LEVEL: '1' } })
    expect(built).toMatchObject({ status: 0, stderr: '' })
    const deb = built.stdout.trim()
    expect(existsSync(deb)).toBe(true)
    writeFileSync(join(folder, 'inside.sh'), `set -e
dpkg -i $1 >/dev/null
stat -c '%U %a %n' /var/cache/glassquid /var/log/glassquid
ip link set lo up
install -d -o glassquid /run/glassquid
glassquid -k parse 2>&1 | tail -n 1
setpriv --reuid glassquid --regid glassquid --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all glassquid -N >/run/said &
for i in $(seq 150); do grep -q ready: /run/said && break; sleep 0.2; done
grep -o 'ready: forward .::.:3128' /run/said
curl -s -o /dev/null -w '%{http_code}\\n' -x http://127.0.0.1:3128 http://127.0.0.1:9/
glassquid manager counters | grep '^client_http.requests'
glassquid -k reconfigure
glassquid -k shutdown
wait
stat -c '%U %n' /var/log/glassquid/access.log
dpkg --purge glassquid >/dev/null
ls -d /etc/glassquid /var/cache/glassquid /var/log/glassquid /usr/lib/glassquid 2>/dev/null || echo gone
`)
    const ran = spawnSync('unshare', [...enter, `${root}mkdir -p $t/root/in; mount --bind ${folder} $t/root/in; chroot $t/root sh /in/inside.sh /in/${deb.split('/').at(-1) ?? ''}`], { encoding: 'utf8' })
    expect(ran.stdout.trim().split('\n'), ran.stderr).toEqual([
      'glassquid 750 /var/cache/glassquid',
      'glassquid 750 /var/log/glassquid',
      '/etc/glassquid/glassquid.conf: 1 file(s) read, nothing refused',
      'ready: forward [::]:3128',
      '403', // http_access deny !Safe_ports
      'client_http.requests = 1',
      'glassquid /var/log/glassquid/access.log',
      'gone',
    ])
  })

  it('carries a unit that systemd understands', () => {
    const units = ['glassquid.service', 'glassquid.socket'].map(name => join(top, 'packaging', name))
    const verified = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' })
    if (verified.error !== undefined) return console.warn('SKIPPED, the unit: needs systemd-analyze')
    const complaints = verified.stderr.split('\n').filter(line => line !== '' && !/Command \/usr\/bin\/glassquid is not executable/.test(line) && line.includes('glassquid'))
    expect(complaints).toEqual([])
    // of ten; what is left is the network, the capability for foreign addresses and the engine that compiles
    const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=25', units[0] ?? ''], { encoding: 'utf8' })
    expect(judged.status, judged.stdout).toBe(0)
  })
})
