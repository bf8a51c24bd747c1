// TLS on a real gateway: kernel rules bring connections to port 443 (TPROXY) and 8443 (REDIRECT) to https_ports with
// ssl-bump, nginx is the origin, curl, wget and openssl are clients who know of nothing. What the proxy has done is read in
// its log; that a spliced connection is the client's own is seen by the certificate and, for tproxy, by the address
// nginx sees.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { TestAuthority } from '../support/authority.ts'
import { Gateway, program, squidLikeConf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Ran } from '../support/net-lab.ts'
import { until } from './scene.ts'

const cannot = noLabWith('nft', 'nginx', 'curl', 'wget', 'openssl')

const nginxConf = (cert: string, key: string): string => `
user root; daemon off; master_process off; pid /run/nginx/tls.pid; error_log stderr;
events { }
http {
  access_log off;
  client_body_temp_path /run/nginx/b; proxy_temp_path /run/nginx/p; fastcgi_temp_path /run/nginx/f; uwsgi_temp_path /run/nginx/u; scgi_temp_path /run/nginx/s;
  server {
    listen 443 ssl; listen [::]:443 ssl; listen 8443 ssl; listen [::]:8443 ssl;
    ssl_certificate ${cert}; ssl_certificate_key ${key};
    location / { add_header Cache-Control max-age=600; return 200 "sni=$ssl_server_name peer=$remote_addr via=$http_via"; }
  }
}
`

const tlsConf = (ca: string, key: string, roots: string): string => `
https_port 3132 intercept ssl-bump tls-cert=${ca} tls-key=${key} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
https_port 3133 tproxy ssl-bump tls-cert=${ca} tls-key=${key}
tls_outgoing_options cafile=${roots} default-ca=off
acl banks ssl::server_name bank.lab
acl worse ssl::server_name worse.lab
acl denied dstdomain denied.lab
acl odd localport 7
on_unsupported_protocol tunnel odd
ssl_bump terminate worse
ssl_bump splice banks
ssl_bump bump all
logformat tls %glass::taken %>a %rm %ru %Ss/%>Hs %Sh %<la bump=%ssl::bump_mode sni=%ssl::>sni %ssl::>negotiated_version
access_log stdio:/dev/stdout logformat=tls buffer-size=0
`

/** The list of domains comes first, without a word of at_step: a name that is still to come is no "no". */
const access = `
acl known dstdomain .lab 203.0.113.10
acl denied_early dstdomain denied.lab
http_access deny denied_early
http_access deny !known
`

describe.skipIf(cannot !== null)(`TLS taken by kernel rules ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  const lines: string[] = []
  const mine = new TestAuthority('Gateway CA')
  const theirs = new TestAuthority('Public CA')

  beforeAll(async () => {
    lab = await openNetwork()
    const site = theirs.certify('origin.lab', 'DNS:origin.lab,DNS:bank.lab,DNS:worse.lab,DNS:denied.lab,DNS:forged.lab')
    await lab.origin.script('mkdir -p /run/nginx')
    writeFileSync(join(lab.origin.root, 'run/nginx/tls.conf'), nginxConf(site.cert, site.key))
    const nginx = lab.origin.spawn('nginx', ['-c', '/run/nginx/tls.conf'])
    nginx.onLine(line => lines.push(`nginx: ${line}`))
    await lab.origin.spawn(process.execPath, [program('echo-server'), '7']).heard('listening')
    const { ipv4, ipv6 } = labAddresses.origin
    const names = `${ipv4} worse.lab denied.lab\n${ipv6} worse.lab denied.lab\n203.0.113.99 forged.lab\n`
    for (const machine of [lab.client, lab.gateway]) {
      const hosts = join(machine.root, 'etc/hosts')
      writeFileSync(hosts, readFileSync(hosts, 'utf8') + names)
    }
    gateway = await Gateway.open(lab, {
      conf: access + squidLikeConf.replace('acl SSL_ports port 443', 'acl SSL_ports port 443 8443 7').replace('acl Safe_ports port', 'acl Safe_ports port 7') + tlsConf(mine.ca.cert, mine.ca.key, theirs.ca.cert),
      rules: ['nft', '--interface', 'lan', '--take', '80,7=3130', '--take', '443=3133', '--take', '8443=3132'],
    })
    gateway.proxy.onLine(line => lines.push(line))
  })
  afterAll(async () => {
    await lab.close()
    mine.remove()
    theirs.remove()
  })

  const ways = [
    { way: 'tproxy', port: 443, family: '-4', client: labAddresses.client.ipv4, seen: labAddresses.client.ipv4 },
    { way: 'tproxy', port: 443, family: '-6', client: labAddresses.client.ipv6, seen: labAddresses.client.ipv6 },
    { way: 'nat', port: 8443, family: '-4', client: labAddresses.client.ipv4, seen: labAddresses.gatewayWan.ipv4 },
    { way: 'nat', port: 8443, family: '-6', client: labAddresses.client.ipv6, seen: labAddresses.gatewayWan.ipv6 },
  ] as const

  const url = (name: string, port: number, path = '/'): string => `https://${name}${port === 443 ? '' : `:${port}`}${path}`
  const curl = (...args: readonly string[]): Promise<Ran> => lab.client.run('curl', '-sS', '--max-time', '20', ...args)
  const logged = async (part: string, count: number): Promise<readonly string[]> => {
    const found = () => lines.filter(line => line.includes(part))
    await until(() => found().length >= count, `${count} lines with ${part}; there are ${JSON.stringify(lines)}`)
    return found()
  }

  it.each(ways)('$way $family: bumped, a miss and a hit, as https', async ({ way, port, family, client, seen }) => {
    const path = `/bumped${family}${way}`
    for (const nth of [0, 1]) {
      const { code, stdout, stderr } = await curl(family, '--cacert', mine.ca.cert, url('origin.lab', port, path))
      expect([nth, code, stderr]).toEqual([nth, 0, ''])
      expect(stdout).toMatch(new RegExp(`^sni=origin.lab peer=${seen} via=1.1 gateway.lab`))
    }
    const uri = url('origin.lab', port, path)
    expect(await logged(`${uri} `, 2)).toEqual([
      `${way} ${client} GET ${uri} TCP_MISS/200 ORIGINAL_DST ${seen} bump=bump sni=origin.lab TLS/1.3`,
      `${way} ${client} GET ${uri} TCP_MEM_HIT/200 HIER_NONE - bump=bump sni=origin.lab TLS/1.3`,
    ])
    expect((await logged(`${client} CONNECT origin.lab:${port} NONE_NONE/200`, 1))[0]).toContain('bump=bump sni=origin.lab')
  })

  it.each(ways)('$way $family: spliced by its name, the client has TLS with the origin itself', async ({ way, port, family, client, seen }) => {
    const { code, stdout } = await curl(family, '--cacert', theirs.ca.cert, '--connect-to', `bank.lab:${port}:origin.lab:${port}`, url('bank.lab', port))
    // bank.lab is the origin machine's second address: the name does not belong where the client went, so it is none
    expect(code).not.toBe(0)
    expect(stdout).toBe('')
    const direct = await curl(family, '--cacert', theirs.ca.cert, url('bank.lab', port))
    expect([direct.code, direct.stdout]).toEqual([0, `sni=bank.lab peer=${seen} via=`])
    const [line = ''] = await logged(`${way} ${client} CONNECT bank.lab:${port} TCP_TUNNEL/200`, 1)
    expect(line).toBe(`${way} ${client} CONNECT bank.lab:${port} TCP_TUNNEL/200 ORIGINAL_DST ${seen} bump=splice sni=bank.lab -`)
  })

  it('a name that does not resolve to where the client went gets a page, and no server sees it', async () => {
    const { stdout } = await curl('-4', '--cacert', mine.ca.cert, '--resolve', `forged.lab:443:${labAddresses.origin.ipv4}`, '-w', '%{http_code}', url('forged.lab', 443))
    expect(stdout).toMatch(/409$/)
    const [line = ''] = await logged('sni=forged.lab', 2)
    expect(line).toContain(`CONNECT ${labAddresses.origin.ipv4}:443`)
  })

  it('http_access by domain lets through what it names, and tells the others why', async () => {
    const { stdout } = await curl('-4', '--cacert', mine.ca.cert, '-w', '%{http_code}', url('denied.lab', 443, '/x'))
    expect(stdout).toMatch(/403$/)
    const seen = await logged('denied.lab', 2)
    expect(seen[0]).toContain('CONNECT denied.lab:443 TCP_DENIED/200')
    expect(seen[1]).toContain('GET https://denied.lab/x TCP_DENIED/403')
  })

  it('on_unsupported_protocol tunnels what is no HTTP, for whom it names', async () => {
    const words = JSON.stringify({ host: labAddresses.origin.ipv4, port: 7, text: 'hello echo\nmore\n' })
    const { got } = JSON.parse(await lab.client.must(process.execPath, program('tcp-client'), words))
    expect(got).toBe('hello echo\nmore\n')
    expect((await logged(`CONNECT ${labAddresses.origin.ipv4}:7`, 1))[0]).toContain('TCP_TUNNEL/200')
  })

  it('terminate', async () => {
    expect((await curl('-4', '--cacert', theirs.ca.cert, url('worse.lab', 443))).code).not.toBe(0)
    expect((await logged('sni=worse.lab', 1))[0]).toContain('bump=terminate')
  })

  it('wget and openssl, too', async () => {
    const got = await lab.client.run('wget', '-4', '-qO-', `--ca-certificate=${mine.ca.cert}`, url('origin.lab', 443, '/wget'))
    expect(got.stdout).toContain('sni=origin.lab')
    const shaken = await lab.client.script(`openssl s_client -connect origin.lab:443 -servername origin.lab -CAfile ${mine.ca.cert} -tls1_2 </dev/null`)
    expect(shaken).toContain('issuer=CN = Gateway CA')
    expect(shaken).toContain('Verify return code: 0 (ok)')
    await logged('TLS/1.2', 1)
  })

  it('whoever names nobody is shown the certificate of the server that is there', async () => {
    const shaken = await lab.client.script(`openssl s_client -connect ${labAddresses.origin.ipv4}:443 -noservername -CAfile ${mine.ca.cert} </dev/null`)
    expect(shaken).toContain('subject=CN = origin.lab')
    expect(shaken).toContain('issuer=CN = Gateway CA')
  })
})
