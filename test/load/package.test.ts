// The Debian package in a throw-away root: this machine's own system seen through an overlay, in namespaces of its own,
// so that dpkg, its scripts and the program meet the real thing and nothing of it stays.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const top = new URL('../..', import.meta.url).pathname

const root = `
t=/mnt; mount -t tmpfs none $t; mkdir $t/up $t/work $t/root
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
let deb = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-deb-'))
  if (skipped !== null) return
  const built = spawnSync(join(top, 'packaging/deb.sh'), [folder], { encoding: 'utf8', env: { ...process.env, GLASSQUID_DEB_LEVEL: '1' } })
  expect(built).toMatchObject({ status: 0, stderr: '' })
  deb = built.stdout.trim()
  expect(existsSync(deb)).toBe(true)
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(skipped !== null)(`the Debian package ${skipped ?? ''}`, () => {
  it('installs, runs as its user, and is purged without a trace', { timeout: 180_000 }, () => {
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
    const ran = inRoot('inside.sh')
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

  it('makes an image that runs as any user, with and without an entry, on a root nobody may write to', { timeout: 120_000 }, () => {
    const { made, user, command, health } = dockerfile()
    copyFileSync(join(top, 'packaging/container.conf'), join(folder, 'container.conf'))
    // the volume, and what an engine gives every container; all else is read-only then
    writeFileSync(join(folder, 'image.sh'), `set -e
dpkg -i $1 >/dev/null
${made.join('\n')}
cp /in/container.conf /etc/glassquid/container.conf
ip link set lo up
mount -t tmpfs -o mode=775 tmpfs /var/cache/glassquid
mount -t tmpfs -o mode=775 tmpfs /run/glassquid
mount -t tmpfs tmpfs /tmp
mount -o remount,bind,ro /in
mount -o remount,ro /
for user in ${user} 54321:0 1234:5678; do
  chown \${user#*:}:\${user#*:} /var/cache/glassquid /run/glassquid
  as="setpriv --reuid \${user%:*} --regid \${user#*:} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"
  $as ${command} >/tmp/said 2>/tmp/complaints &
  for i in $(seq 150); do grep -q ready: /tmp/said && break; sleep 0.2; done
  curl -s -o /tmp/page -w "$user %{http_code} " -x http://127.0.0.1:3128 http://127.0.0.1:9/
  $as ${health} | grep -c 'HTTP requests received:.1'
  kill %1 2>/dev/null || kill $!
  wait
  grep -c 'TCP_MISS/503 .* http://127.0.0.1:9/' /tmp/said
  grep -i -e fatal -e error /tmp/complaints || true
  rm -rf /var/cache/glassquid/* /run/glassquid/*
done
`)
    const ran = inRoot('image.sh')
    expect(ran.stdout.trim().split('\n'), ran.stderr).toEqual([`${user} 503 1`, '1', '54321:0 503 1', '1', '1234:5678 503 1', '1'])
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

const inRoot = (script: string) =>
  spawnSync('unshare', [...enter, `${root}mkdir -p $t/root/in; mount --bind ${folder} $t/root/in; chroot $t/root sh /in/${script} /in/${deb.split('/').at(-1) ?? ''}`], { encoding: 'utf8' })

/** Its instructions as a shell has them; the package is installed by dpkg, there being no network here. */
const dockerfile = () => {
  const lines = readFileSync(join(top, 'packaging/Dockerfile'), 'utf8').replace(/\\\n\s*(?:#.*\n)?/g, '').split('\n')
  const after = (word: string): string => lines.find(line => line.startsWith(`${word} `))?.slice(word.length + 1) ?? ''
  const words = (word: string): string => (JSON.parse(after(word)) as string[]).join(' ')
  return {
    made: after('RUN').split('&&').map(one => one.trim()).filter(one => !/^apt-get|^rm -rf \/var\/lib\/apt/.test(one)),
    user: after('USER'),
    command: `${words('ENTRYPOINT')} ${words('CMD')}`,
    health: words('HEALTHCHECK CMD'),
  }
}
