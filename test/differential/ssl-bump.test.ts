// ssl_bump beside a Squid that can: the same rules, the same clients, the same server. What became of a connection is told
// by whose certificate the client was shown: the server's (spliced), one of the port's CA (bumped), none (ended).
// Debian's squid cannot (GnuTLS); its squid-openssl can. SQUID_OPENSSL names one that is unpacked somewhere.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { TestAuthority } from '../support/authority.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { freePort } from './pair.ts'

const able = [process.env['SQUID_OPENSSL'] ?? '', 'squid'].find(binary => binary !== '' && spawnSync(binary, ['-v'], { encoding: 'utf8' }).stdout?.includes('--with-openssl'))
const missing = able === undefined ? 'needs a Squid with OpenSSL: apt-get install squid-openssl, or SQUID_OPENSSL=PATH' : null
if (missing !== null) console.warn(`SKIPPED: ${missing}`)

const mine = new TestAuthority('Bump CA')
const theirs = new TestAuthority('Public CA')
const site = theirs.certify('site.test', 'DNS:site.test,DNS:*.site.test')
const server = https.createServer({ cert: readFileSync(site.cert), key: readFileSync(site.key) }, (_request, response) => void response.end('site'))
const folder = mkdtempSync(join(tmpdir(), 'glassquid-squid-tls-'))
const hosts = join(folder, 'hosts')

beforeAll(async () => {
  chmodSync(folder, 0o777) // Squid started by root becomes somebody else
  for (const file of readdirSync(mine.folder)) chmodSync(join(mine.folder, file), 0o644)
  chmodSync(mine.folder, 0o755)
  chmodSync(theirs.folder, 0o755)
  writeFileSync(hosts, '127.0.0.1 localhost site.test www.site.test bank.site.test\n')
  server.on('tlsClientError', () => {}).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  takeAway()
})

const takeAway = (): void => {
  rmSync(folder, { recursive: true, force: true })
  mine.remove()
  theirs.remove()
}
if (missing !== null) takeAway() // nobody else does

interface Client {
  readonly host: string
  readonly sni: string
  readonly max: tls.SecureVersion
}

const clients: readonly Client[] = [
  { host: 'www.site.test', sni: 'www.site.test', max: 'TLSv1.3' },
  { host: 'www.site.test', sni: 'www.site.test', max: 'TLSv1.2' },
  { host: 'bank.site.test', sni: 'bank.site.test', max: 'TLSv1.3' },
  { host: '127.0.0.1', sni: 'bank.site.test', max: 'TLSv1.3' },
]

const steps = 'acl s1 at_step SslBump1\nacl s2 at_step SslBump2\nacl s3 at_step SslBump3\nacl banks ssl::server_name bank.site.test\nacl here dst 127.0.0.0/8\n'

const rules: readonly (readonly [name: string, lines: string])[] = [
  ['no line', ''],
  ['splice', 'ssl_bump splice all'],
  ['bump', 'ssl_bump bump all'],
  ['terminate', 'ssl_bump terminate all'],
  ['peek, then nothing', 'ssl_bump peek s1'],
  ['stare, then nothing', 'ssl_bump stare s1'],
  ['peek at all', 'ssl_bump peek all'],
  ['stare at all', 'ssl_bump stare all'],
  ['peek, splice', 'ssl_bump peek s1\nssl_bump splice all'],
  ['peek, bump', 'ssl_bump peek s1\nssl_bump bump all'],
  ['stare, bump', 'ssl_bump stare s1\nssl_bump bump all'],
  ['stare, splice', 'ssl_bump stare s1\nssl_bump splice all'],
  ['peek twice, bump', 'ssl_bump peek s1 s2\nssl_bump peek s2\nssl_bump bump all'],
  ['peek 1 and 2, then bump is no more possible', 'ssl_bump peek s1\nssl_bump peek s2\nssl_bump bump all'],
  ['stare 1 and 2, then splice is no more possible', 'ssl_bump stare s1\nssl_bump stare s2\nssl_bump splice all'],
  ['peek 1 and 2, terminate 3', 'ssl_bump terminate s3\nssl_bump peek all'],
  ['stare 1 and 2, terminate 3', 'ssl_bump terminate s3\nssl_bump stare all'],
  ['banks are spliced', 'ssl_bump peek s1\nssl_bump splice banks\nssl_bump bump all'],
  ['banks are ended', 'ssl_bump peek s1\nssl_bump terminate banks\nssl_bump splice all'],
  ['all but banks are ended', 'ssl_bump peek s1\nssl_bump splice banks\nssl_bump terminate all'],
  ['banks are bumped', 'ssl_bump peek s1\nssl_bump bump banks\nssl_bump splice all'],
  ['only banks are bumped, the rest has no line', 'ssl_bump peek s1\nssl_bump bump banks'],
  ['two ACLs', 'ssl_bump peek s1\nssl_bump terminate s2 banks here\nssl_bump bump here'],
  ['a negated name', 'ssl_bump peek s1\nssl_bump bump !banks\nssl_bump splice all'],
  ['splice at step 3 only', 'ssl_bump splice s3\nssl_bump peek all'],
  ['bump at step 3 only', 'ssl_bump bump s3\nssl_bump stare all'],
  ['client-first', 'ssl_bump client-first all'],
  ['none', 'ssl_bump none all'],
]

/** Squid 5.7 splices when the server's hello is of TLS 1.3, since no certificate is to be seen, and asks no rule at step 3. */
const unasked = 'a rule for step 3 is asked, whatever can be seen there'

/** Where Squid does otherwise, and why we do not. */
const deliberate: Readonly<Record<string, string>> = {
  'peek 1 and 2, terminate 3 / www.site.test www.site.test TLSv1.3': unasked,
  'peek 1 and 2, terminate 3 / bank.site.test bank.site.test TLSv1.3': unasked,
  'peek 1 and 2, terminate 3 / 127.0.0.1 bank.site.test TLSv1.3': unasked,
}

/** Whose certificate is shown. */
const shown = (port: number, { host, sni, max }: Client): Promise<'spliced' | 'bumped' | 'ended'> =>
  new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(`CONNECT ${host}:${siteOf()} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
    const ended = (): void => {
      socket.destroy()
      resolve('ended')
    }
    socket.setTimeout(10_000, ended).on('error', ended).on('close', ended)
    socket.once('data', (head: Buffer) => {
      if (!/^HTTP\/1\.[01] 200/.test(head.toString('latin1'))) return ended()
      const client = tls.connect({ socket, servername: sni, rejectUnauthorized: false, maxVersion: max, minVersion: 'TLSv1.2' }, () => {
        const issuer = client.getPeerX509Certificate()?.issuer ?? ''
        client.destroy()
        resolve(issuer.includes('Bump CA') ? 'bumped' : issuer.includes('Public CA') ? 'spliced' : 'ended')
      })
      client.on('error', ended)
    })
  })

const siteOf = (): number => (server.address() as net.AddressInfo).port

const common = `hosts_file ${hosts}\nhttp_access allow all\nvisible_hostname proxy.test\npid_filename none\nshutdown_lifetime 0 seconds\n`
const tlsPort = (port: number): string => `http_port 127.0.0.1:${port} name=p ssl-bump tls-cert=${mine.ca.cert} tls-key=${mine.ca.key} generate-host-certificates=on\n`

const startSquid = async (lines: string): Promise<{ port: number; stop: () => Promise<void> }> => {
  const port = await freePort()
  const name = `bump${process.pid}x${port}`
  const beside = join(dirname(dirname(able ?? '')), 'lib/squid/security_file_certgen')
  const certgen = existsSync(beside) ? beside : '/usr/lib/squid/security_file_certgen'
  const store = join(folder, `db${port}`)
  const user = process.getuid?.() === 0 ? { uid: 13, gid: 13 } : {}
  const made = spawnSync(certgen, ['-c', '-s', store, '-M', '4MB'], { ...user, encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`no certificate store: ${made.stderr}`)
  const conf = join(folder, `squid${port}.conf`)
  writeFileSync(
    conf,
    `${tlsPort(port)}${common}sslcrtd_program ${certgen} -s ${store} -M 4MB\nsslcrtd_children 2 startup=1 idle=1\ntls_outgoing_options cafile=${theirs.ca.cert}\n` +
      `${steps}${lines}\naccess_log none\ncache_log ${join(folder, `cache${port}.log`)}\ncoredump_dir ${folder}\nmemory_cache_shared off\nnetdb_filename none\npinger_enable off\ncache_mem 8 MB\n`,
  )
  const child = spawn(able ?? '', ['-N', '-n', name, '-f', conf], { stdio: 'ignore' })
  await listens(port, child, () => readFileSync(join(folder, `cache${port}.log`), 'latin1'))
  return {
    port,
    async stop() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      for (const segment of readdirSync('/dev/shm')) if (segment.startsWith(`${name}-`)) rmSync(join('/dev/shm', segment), { force: true })
    },
  }
}

const listens = async (port: number, child: ChildProcess, why: () => string): Promise<void> => {
  for (let i = 0; i < 500 && child.exitCode === null; i++) {
    const socket = net.connect(port, '127.0.0.1')
    const up = await new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (up) return
    await sleep(systemClock, ms(20))
  }
  throw new Error(`squid does not start: ${why()}`)
}

describe.skipIf(missing !== null)(`ssl_bump as Squid does it ${missing ?? ''}`, () => {
  it.each(rules)('%s', { timeout: 60_000 }, async (name, lines) => {
    const squid = await startSquid(lines)
    let ours: RunningProxy | null = null
    try {
      ours = await startProxy(`${tlsPort(0)}${common.replace(/^(visible_hostname|pid_filename|shutdown_lifetime) .*\n/gm, '')}tls_outgoing_options cafile=${theirs.ca.cert} default-ca=off\n${steps}${lines}\n`)
      const port = ours.port('p')
      const different: string[] = []
      for (const client of clients) {
        const [his, here] = [await shown(squid.port, client), await shown(port, client)]
        const what = `${name} / ${client.host} ${client.sni} ${client.max}`
        if (his !== here && deliberate[what] === undefined) different.push(`${what}: Squid ${his}, glassquid ${here}`)
        if (his === here && deliberate[what] !== undefined) different.push(`${what}: no longer different (${deliberate[what]})`)
      }
      expect(different).toEqual([])
    } finally {
      await ours?.stop()
      await squid.stop()
    }
  })
})
