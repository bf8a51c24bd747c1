// nginx with TLS, right and wrong in all the ways servers are, behind a gateway: clients ask for https:// URLs through its
// forward port, or intercepted in clear text where a rewriter makes https of it; then nginx is spoken TLS with by the
// client's own address. Seen at the client, in the access log, and in what nginx says of each connection.

import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, Gateway, type Got, squidLikeConf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith } from '../support/net-lab.ts'
import { daysFromNow, type Made, TestCa } from '../support/test-ca.ts'

const cannot = noLabWith('nft', 'nginx', 'curl', 'openssl')

interface Sight {
  readonly peer: string
  readonly port: string
  readonly uri: string
  readonly protocol: string
  readonly name: string
  readonly reused: string
  readonly by: string
}

/** By port: what is wrong with the server there, and what the record says of it. */
const wrongs: Readonly<Record<number, { readonly what: string; readonly error: RegExp }>> = {
  4431: { what: 'signed by itself', error: /DEPTH_ZERO_SELF_SIGNED_CERT/ },
  4432: { what: 'expired', error: /CERT_HAS_EXPIRED/ },
  4433: { what: 'for another name', error: /SQUID_X509_V_ERR_DOMAIN_MISMATCH/ },
  4434: { what: 'sent without its issuer', error: /UNABLE_TO_GET_ISSUER_CERT_LOCALLY/ },
}
const oldPort = 4435
const newPort = 4436
const askingPort = 4437
/** It forgets its issuer, and its certificate says where that is to be had. */
const tellingPort = 4438

describe.skipIf(cannot !== null)(`nginx with TLS through a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  const ca = new TestCa()

  beforeAll(async () => {
    lab = await openNetwork()
    const root = ca.make({ subject: '/CN=Lab Root', ca: true, key: 'rsa' })
    const between = ca.make({ subject: '/CN=Lab Between', ca: true, by: root, key: 'rsa' })
    const leaf = (more: Partial<Parameters<TestCa['make']>[0]> = {}): Made =>
      ca.make({ subject: '/CN=origin.lab', names: 'DNS:origin.lab', by: root, key: 'rsa', ...more })
    const made: Readonly<Record<number, Made>> = {
      443: leaf(),
      4431: ca.make({ subject: '/CN=origin.lab', names: 'DNS:origin.lab', key: 'rsa' }),
      4432: leaf({ from: daysFromNow(-20), until: daysFromNow(-3) }),
      4433: leaf({ names: 'DNS:bank.lab' }),
      4434: leaf({ by: between }),
      [oldPort]: leaf(),
      [newPort]: leaf(),
      [askingPort]: leaf(),
      [tellingPort]: leaf({ by: between, more: ['authorityInfoAccess=caIssuers;URI:http://origin.lab/between.der'] }),
    }
    await lab.origin.script('mkdir -p /run/tls/www && echo "a page" >/run/tls/www/page && : >/run/tls/access.log')
    const place = (name: string): string => join(lab.origin.root, 'run/tls', name)
    writeFileSync(place('root.pem'), root.cert)
    writeFileSync(place('www/between.der'), new X509Certificate(between.cert).raw)
    writeFileSync(join(lab.origin.root, 'run/tls/www/film'), Buffer.alloc(5 << 20, '0123456789abcdef'))
    const servers = Object.entries(made).map(([port, { cert, key }]) => {
      writeFileSync(place(`${port}.pem`), cert)
      writeFileSync(place(`${port}.key`), key, { mode: 0o600 })
      const protocols = Number(port) === oldPort ? 'TLSv1.2' : Number(port) === newPort ? 'TLSv1.3' : 'TLSv1.2 TLSv1.3'
      const asks = Number(port) === askingPort ? 'ssl_verify_client on; ssl_client_certificate /run/tls/root.pem;' : ''
      return `server { listen ${port} ssl; listen [::]:${port} ssl; root /run/tls/www; ssl_certificate /run/tls/${port}.pem;
        ssl_certificate_key /run/tls/${port}.key; ssl_protocols ${protocols}; ${asks}
        location /fresh/ { alias /run/tls/www/; add_header Cache-Control max-age=600; } }`
    })
    writeFileSync(place('nginx.conf'), `user root; daemon off; master_process off; pid /run/tls/pid; error_log stderr; events {}
      http { default_type text/plain; ssl_session_cache builtin:100;
      log_format facts escape=json '{"peer":"$remote_addr","port":"$server_port","uri":"$request_uri","protocol":"$ssl_protocol","name":"$ssl_server_name","reused":"$ssl_session_reused","by":"$ssl_client_s_dn"}';
      access_log /run/tls/access.log facts;
      client_body_temp_path /run/tls/body; proxy_temp_path /run/tls/proxy; fastcgi_temp_path /run/tls/fastcgi;
      uwsgi_temp_path /run/tls/uwsgi; scgi_temp_path /run/tls/scgi; server { listen 80; listen [::]:80; root /run/tls/www; } ${servers.join('\n')} }`)
    const nginx = lab.origin.spawn('nginx', ['-e', 'stderr', '-c', '/run/tls/nginx.conf'])
    const answers = await lab.origin.run('sh', '-c', 'for i in $(seq 200); do curl -sk -o /dev/null https://127.0.0.1/page && exit 0; sleep 0.05; done; exit 1')
    expect(answers.code, nginx.said).toBe(0)

    const ours = ca.make({ subject: '/CN=our gateway', by: root, key: 'rsa' })
    await lab.gateway.script('mkdir -p /run/glassquid')
    const put = (name: string, content: string): void => writeFileSync(join(lab.gateway.root, 'run/glassquid', name), content)
    put('root.pem', root.cert)
    put('between.pem', between.cert)
    put('own.pem', ours.cert + ours.key)
    put('rewrite.sh', 'while read -r url rest; do case "$url" in http://origin.lab/secure/*) echo "OK rewrite-url=https://origin.lab/${url#http://origin.lab/secure/}";; *) echo ERR;; esac; done\n')
    gateway = await Gateway.open(lab, { conf: confWith('') })
  })
  afterAll(async () => {
    await lab?.close()
    ca.remove()
  })

  const confWith = (more: string): string => `${squidLikeConf}${factsLog}
logformat tls %>ru %ssl::<negotiated_version %ssl::<cert_subject %ssl::<cert_errors %err_code %err_detail
access_log stdio:/run/glassquid/tls.log logformat=tls buffer-size=0
tls_outgoing_options cafile=/run/glassquid/root.pem default-ca=off
url_rewrite_program /bin/sh /run/glassquid/rewrite.sh
url_rewrite_children 1
${more}`

  /** `GET https://…` to the forward port, which curl says when it is told to. */
  const ask = (port: number, path: string): Promise<Got> => {
    const authority = `origin.lab${port === 443 ? '' : `:${port}`}`
    return curl(lab, '--connect-to', `::${labAddresses.gateway.ipv4}:3128`, '--request-target', `https://${authority}${path}`, `http://${authority}/`)
  }

  /** nginx writes its log in the order of requests: after one made now, nothing older is to come. */
  const sights = async (path: string): Promise<readonly Sight[]> => {
    await lab.origin.must('curl', '-sSk', '-o', '/dev/null', 'https://127.0.0.1/page?barrier')
    const text = await lab.origin.must('cat', '/run/tls/access.log')
    return text.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line) as Sight).filter(({ uri }) => uri === path)
  }

  const logged = (part: string): string =>
    readFileSync(join(lab.gateway.root, 'run/glassquid/tls.log'), 'utf8').split('\n').filter(line => line.includes(part)).join('\n')

  it('a right one is fetched from, stored, and spoken to by its name', async () => {
    const first = await ask(443, '/fresh/page?1')
    expect([first.status, first.content]).toEqual([200, 'a page\n'])
    expect((await ask(443, '/fresh/page?1')).content).toBe('a page\n')
    const records = await gateway.about('/fresh/page?1', 2)
    expect(records.map(({ result, status }) => `${result}/${status}`)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(await sights('/fresh/page?1')).toEqual([
      { peer: labAddresses.gatewayWan.ipv4, port: '443', uri: '/fresh/page?1', protocol: 'TLSv1.3', name: 'origin.lab', reused: '.', by: '' },
    ])
    expect(logged('/fresh/page?1')).toMatch(/^https:\/\/origin\.lab\/fresh\/page\?1 TLS\/1\.3 \/CN=origin\.lab - - -\n/)
  })

  it.each(Object.entries(wrongs))('on port %s one whose certificate is wrong: a page that says so, and nothing was asked', async (port, { error }) => {
    const refused = await ask(Number(port), `/page?${port}`)
    expect([refused.status, refused.fields.get('x-squid-error')]).toEqual([503, 'ERR_SECURE_CONNECT_FAIL 71'])
    expect(refused.content).toMatch(/the certificate|the issuer/)
    expect(await sights(`/page?${port}`)).toEqual([])
    await gateway.about(`/page?${port}`)
    expect(logged(`/page?${port}`)).toMatch(error)
  })

  it('those of one version of TLS only', async () => {
    expect((await ask(oldPort, '/page?old')).status).toBe(200)
    expect((await ask(newPort, '/page?new')).status).toBe(200)
    expect([(await sights('/page?old'))[0]?.protocol, (await sights('/page?new'))[0]?.protocol]).toEqual(['TLSv1.2', 'TLSv1.3'])
  })

  it('intercepted in clear text, rewritten to https: nginx sees the client, through TLS', async () => {
    const got = await curl(lab, '-4', 'http://origin.lab/secure/page?forged')
    expect([got.status, got.content]).toEqual([200, 'a page\n'])
    const [record] = await gateway.about('page?forged')
    expect(record).toMatchObject({ taken: 'tproxy', serverLocal: labAddresses.client.ipv4 })
    expect(await sights('/page?forged')).toMatchObject([{ peer: labAddresses.client.ipv4, protocol: 'TLSv1.3', name: 'origin.lab' }])
    // a connection with the client's address is not lent to the forward port's request, nor the reverse
    expect((await ask(443, '/page?own')).status).toBe(200)
    expect(await sights('/page?own')).toMatchObject([{ peer: labAddresses.gatewayWan.ipv4 }])
  })

  it('one that forgets its issuer, whose certificate says where that is: it is fetched, once', async () => {
    expect((await ask(tellingPort, '/page?told')).status).toBe(200)
    expect((await ask(tellingPort, '/page?told-again')).status).toBe(200)
    expect(await sights('/between.der')).toMatchObject([{ peer: labAddresses.gatewayWan.ipv4, port: '80', protocol: '' }])
    await gateway.about('/page?told')
    expect(logged('/page?told ')).toMatch(/^\S+ TLS\/1\.3 \/CN=origin\.lab - - -$/)
    // what was learned from it completes the chain of another, too
    expect((await ask(4434, '/page?silent')).status).toBe(200)
  })

  it('megabytes come through whole', async () => {
    await lab.client.must('sh', '-c', `curl -sS --connect-to ::${labAddresses.gateway.ipv4}:3128 --request-target https://origin.lab/film http://origin.lab/ -o /run/film`)
    const [sum = ''] = (await lab.client.must('sha256sum', '/run/film')).split(' ')
    const [was = ''] = (await lab.origin.must('sha256sum', '/run/tls/www/film')).split(' ')
    expect(sum).toBe(was)
  })

  it('after a reload: what is tolerated, completed and shown is other', async () => {
    expect((await ask(askingPort, '/page?anonymous')).status).toBe(400) // nginx says it after the handshake
    gateway.use(confWith(`tls_outgoing_options cert=/run/glassquid/own.pem
sslproxy_foreign_intermediate_certs /run/glassquid/between.pem
acl oldDevice port 4432
sslproxy_cert_error allow oldDevice ssl::certHasExpired
sslproxy_cert_error deny all`))
    expect((await gateway.control('reconfigure')).code).toBe(0)
    expect((await ask(askingPort, '/page?known')).status).toBe(200)
    expect((await sights('/page?known'))[0]?.by).toMatch(/CN=our gateway/)
    expect((await ask(4434, '/page?completed')).status).toBe(200)
    expect((await ask(4432, '/page?tolerated')).status).toBe(200)
    expect((await ask(4431, '/page?not')).status).toBe(503)
    await gateway.about('/page?not')
    expect(logged('/page?tolerated')).toMatch(/X509_V_ERR_CERT_HAS_EXPIRED@depth=0/)
  })
})
