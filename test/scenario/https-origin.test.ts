import https from 'node:https'
import type net from 'node:net'
import type { TLSSocket } from 'node:tls'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Made, TestCa, daysFromNow } from '../support/test-ca.ts'
import { get, originConnections, type Stage, stage, until } from './scene.ts'

// https:// URLs on a forward port: the proxy speaks TLS with the origin, believes it only what its certificate proves, and
// tolerates only what sslproxy_cert_error names, for each request by itself. Origins are Node's; seen at the record and at
// the origin.

const ca = new TestCa()
let root: Made
let between: Made
let good: Made
let rootFile: string
let hostsFile: string
beforeAll(() => {
  root = ca.make({ subject: '/CN=Lab Root', ca: true })
  between = ca.make({ subject: '/CN=Lab Between', ca: true, by: root })
  good = ca.make({ subject: '/O=Origin/CN=good.example', names: 'DNS:good.example,DNS:*.wild.example,IP:127.0.0.1', by: root })
  rootFile = ca.write('root.pem', root.cert)
  hostsFile = ca.write('hosts', '127.0.0.1 good.example bad.example a.wild.example\n')
})
afterAll(() => ca.remove())

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

interface SecureOrigin {
  readonly port: number
  /** Of every handshake: what was said, and whether a session was resumed. */
  readonly handshakes: { readonly name: string; readonly resumed: boolean; readonly version: string; readonly by: string }[]
  readonly urls: string[]
  /** Handshakes that came to nothing. */
  readonly failed: string[]
}

const secureOrigin = async (made: Made, more: https.ServerOptions = {}, answer?: (url: string, response: import('node:http').ServerResponse) => void): Promise<SecureOrigin> => {
  const seen: SecureOrigin = { port: 0, handshakes: [], urls: [], failed: [] }
  const server = https.createServer({ cert: made.cert, key: made.key, ...more }, (asked, response) => {
    seen.urls.push(`${asked.method} ${asked.headers.host}${asked.url}`)
    let bytes = 0
    asked.on('data', (piece: Buffer) => (bytes += piece.length))
    asked.on('end', () => {
      if (answer !== undefined) return answer(asked.url ?? '', response)
      const content = `hello over TLS ${bytes}`
      response.writeHead(200, { 'Content-Length': content.length, 'Cache-Control': asked.url === '/fresh' ? 'max-age=60' : 'no-store' })
      response.end(content)
    })
  })
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket))
  server.on('tlsClientError', error => seen.failed.push(error.message))
  server.on('secureConnection', (socket: TLSSocket) => {
    const name = typeof socket.servername === 'string' ? socket.servername : ''
    const by = socket.getPeerX509Certificate()?.subject ?? ''
    seen.handshakes.push({ name, resumed: socket.isSessionReused(), version: socket.getProtocol() ?? '', by })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const address = server.address()
  return Object.assign(seen, { port: typeof address === 'object' && address !== null ? address.port : 0 })
}

const stageWith = (conf = ''): Promise<Stage> => stage(`hosts_file ${hostsFile}\ntls_outgoing_options cafile=${rootFile} default-ca=off\n${conf}`)

const ask = (port: number, path = '/', host = 'good.example', ...lines: readonly string[]): string =>
  `GET https://${host}:${port}${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`

describe('an origin whose certificate is right', () => {
  test('is fetched from, over connections that are kept, and its responses are stored', async () => {
    const origin = await secureOrigin(good)
    const proxy = await stageWith()
    const wire = await proxy.client()
    expect((await wire.send(ask(origin.port)).response()).body).toBe('hello over TLS 0')
    expect((await wire.send(ask(origin.port, '/fresh')).response()).status).toBe(200)
    expect((await wire.send(ask(origin.port, '/fresh')).response()).status).toBe(200)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(origin.handshakes).toEqual([{ name: 'good.example', resumed: false, version: 'TLSv1.3', by: '' }])
    expect(origin.urls).toEqual([`GET good.example:${origin.port}/`, `GET good.example:${origin.port}/fresh`])
    const [first, , third] = proxy.records
    expect(first?.serverTls).toMatchObject({ version: 'TLS/1.3', cipher: 'TLS_AES_256_GCM_SHA384', subject: '/CN=good.example/O=Origin', errors: [] })
    expect(first?.serverTls?.certificate).toMatch(/^-----BEGIN CERTIFICATE-----/)
    expect(third?.serverTls).toBe(null)
  })

  test.each(['127.0.0.1', 'a.wild.example'])('by the name %s, too', async host => {
    const origin = await secureOrigin(good)
    const proxy = await stageWith()
    expect((await proxy.ask(ask(origin.port, '/', host))).status).toBe(200)
    // RFC 6066 3: addresses are not said
    expect(origin.handshakes[0]?.name).toBe(host === '127.0.0.1' ? '' : host)
  })

  test('gets content, megabytes of it, and answers with as much', async () => {
    const size = 3 << 20
    const origin = await secureOrigin(good, {}, (_url, response) => {
      response.writeHead(200, { 'Content-Length': size })
      response.end(Buffer.alloc(size, 'abcdefgh'))
    })
    const proxy = await stageWith()
    const head = `POST https://good.example:${origin.port}/x HTTP/1.1\r\nHost: good.example:${origin.port}\r\nContent-Length: ${size}\r\n\r\n`
    const wire = await proxy.client()
    const answer = await wire.send(head + 'x'.repeat(size)).response('POST')
    expect([answer.status, answer.body.length, answer.body.slice(-8)]).toEqual([200, size, 'abcdefgh'])
  })

  test('is another server than the one in clear text, and than one by another name', async () => {
    const origin = await secureOrigin(good)
    const proxy = await stageWith()
    await proxy.ask(ask(origin.port))
    await proxy.ask(ask(origin.port, '/', 'a.wild.example'))
    expect(origin.handshakes.map(({ name }) => name)).toEqual(['good.example', 'a.wild.example'])
    expect((await proxy.ask(get(origin.port))).status).not.toBe(200)
  })

  test('is spoken to again by a session of before, unless that is switched off', async () => {
    const origin = await secureOrigin(good)
    for (const [conf, resumed] of [['', true], ['tls_outgoing_options flags=NO_SESSION_REUSE', false], ['sslproxy_session_cache_size 0 KB', false]] as const) {
      const proxy = await stageWith(`server_persistent_connections off\n${conf}`)
      await proxy.ask(ask(origin.port))
      await proxy.ask(ask(origin.port))
      expect(origin.handshakes.splice(0).map(shaken => shaken.resumed)).toEqual([false, resumed])
      expect(proxy.records.map(record => record.serverTls?.subject)).toEqual(Array(2).fill('/CN=good.example/O=Origin'))
    }
  })
})

describe('an origin whose certificate is wrong', () => {
  const outcomes = [
    ['signed by itself', () => ca.make({ subject: '/CN=good.example', names: 'DNS:good.example' }), ['X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT'], 'ssl::certSelfSigned'],
    ['expired', () => ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', by: root, from: daysFromNow(-9), until: daysFromNow(-2) }), ['X509_V_ERR_CERT_HAS_EXPIRED'], 'ssl::certHasExpired'],
    ['not valid yet', () => ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', by: root, from: daysFromNow(2), until: daysFromNow(9) }), ['X509_V_ERR_CERT_NOT_YET_VALID'], 'ssl::certNotYetValid'],
    ['for another name', () => ca.make({ subject: '/CN=good.example', names: 'DNS:other.example', by: root }), ['SQUID_X509_V_ERR_DOMAIN_MISMATCH'], 'ssl::certDomainMismatch'],
    ['without its issuer', () => ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', by: between }), ['X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE'], 'ssl::certUntrusted'],
    ['not for servers', () => ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', by: root, more: ['extendedKeyUsage=clientAuth'] }), ['X509_V_ERR_INVALID_PURPOSE'], ''],
  ] as const

  test.each(outcomes)('%s: 503 and a page that says why; an ACL may tolerate it', async (_what, make, errors, acl) => {
    const origin = await secureOrigin(make())
    const proxy = await stageWith()
    const refused = await proxy.ask(ask(origin.port))
    expect(refused.status).toBe(503)
    expect(refused.fields.get('x-squid-error')).toBe('ERR_SECURE_CONNECT_FAIL 71')
    expect(refused.body).toMatch(/the certificate/)
    await proxy.results(1)
    const [record] = proxy.records
    expect(record).toMatchObject({ error: 'secure-connect-failed', result: 'TCP_MISS', status: 503 })
    expect(record?.serverTls?.errors.map(error => error.name).sort()).toEqual([...errors].sort())
    expect(record?.errorDetail).toContain(errors[0] ?? '')
    expect(origin.urls).toEqual([])
    if (acl === '') return
    const tolerant = await stageWith(`sslproxy_cert_error allow ${acl}`)
    expect((await tolerant.ask(ask(origin.port))).status).toBe(200)
    const other = acl === 'ssl::certHasExpired' ? 'ssl::certSelfSigned' : 'ssl::certHasExpired'
    const picky = await stageWith(`sslproxy_cert_error allow ${other}\nsslproxy_cert_error deny all`)
    expect((await picky.ask(ask(origin.port))).status).toBe(503)
  })

  test('twice: OpenSSL says the last error only, and who tolerates that does not tolerate the other', async () => {
    const twice = ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', from: daysFromNow(-9), until: daysFromNow(-2) })
    const origin = await secureOrigin(twice)
    const proxy = await stageWith('sslproxy_cert_error allow ssl::certHasExpired')
    expect((await proxy.ask(ask(origin.port))).status).toBe(503)
    expect(proxy.records[0]?.errorDetail).toMatch(/X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT/)
    const both = await stageWith('sslproxy_cert_error allow ssl::certHasExpired\nsslproxy_cert_error allow ssl::certSelfSigned')
    expect((await both.ask(ask(origin.port))).status).toBe(200)
    const nobodys = ca.make({ subject: '/CN=Nobody', ca: true })
    const lost = ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', by: nobodys, from: daysFromNow(-9), until: daysFromNow(-2) })
    const another = await secureOrigin({ ...lost, cert: lost.cert + nobodys.cert })
    expect((await proxy.ask(ask(another.port))).status).toBe(503)
    expect(proxy.records[1]?.errorDetail).toMatch(/X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN/)
  })

  test('for one request tolerated, for the next not: a kept connection is not a verified one', async () => {
    const origin = await secureOrigin(ca.make({ subject: '/CN=good.example', names: 'DNS:good.example' }))
    const proxy = await stageWith('acl careless req_header X-Careless .\nsslproxy_cert_error allow careless')
    const wire = await proxy.client()
    const careless = ask(origin.port, '/', 'good.example', 'X-Careless: yes')
    expect((await wire.send(careless).response()).status).toBe(200)
    expect((await wire.send(ask(origin.port)).response()).status).toBe(503)
    expect((await wire.send(careless).response()).status).toBe(200)
    expect(origin.urls.length).toBe(2)
    expect(origin.handshakes.every(shaken => !shaken.resumed)).toBe(true)
  })

  test('known by its fingerprint: that one, and no other of the same name', async () => {
    const own = ca.make({ subject: '/CN=good.example', names: 'DNS:good.example' })
    const another = ca.make({ subject: '/CN=good.example', names: 'DNS:good.example' })
    const [, fingerprint = ''] = /=([0-9A-F:]+)/.exec(ca.openssl(['x509', '-noout', '-fingerprint', '-sha1'], own.cert)) ?? []
    const proxy = await stageWith(`acl known server_cert_fingerprint -sha1 ${fingerprint}\nsslproxy_cert_error allow known`)
    expect((await proxy.ask(ask((await secureOrigin(own)).port))).status).toBe(200)
    expect((await proxy.ask(ask((await secureOrigin(another)).port))).status).toBe(503)
  })

  test('stored and stale: what is stored is still served, if it may be, when the server has become another', async () => {
    const fresh = await secureOrigin(good)
    const proxy = await stageWith()
    const stored = ask(fresh.port, '/fresh')
    expect((await proxy.ask(stored)).status).toBe(200)
    proxy.clock.advance(61_000)
    proxy.reload(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\nhosts_file ${hostsFile}\ntls_outgoing_options default-ca=off\n`)
    expect((await proxy.ask(stored)).status).toBe(200)
    expect((await proxy.results(2))[1]).toBe('TCP_REFRESH_FAIL_OLD/200')
  })

  test('without its issuer, which sslproxy_foreign_intermediate_certs has: the chain is whole', async () => {
    const leaf = ca.make({ subject: '/CN=good.example', names: 'DNS:good.example', by: between })
    const origin = await secureOrigin(leaf)
    const file = ca.write('foreign.pem', between.cert)
    const proxy = await stageWith(`sslproxy_foreign_intermediate_certs ${file}`)
    expect((await proxy.ask(ask(origin.port))).status).toBe(200)
    // it is not trusted by itself
    const rootless = await stage(`hosts_file ${hostsFile}\ntls_outgoing_options default-ca=off\nsslproxy_foreign_intermediate_certs ${file}`)
    expect((await rootless.ask(ask(origin.port))).status).toBe(503)
  })

  test('and DONT_VERIFY_PEER, or DONT_VERIFY_DOMAIN for another name, looks away', async () => {
    const nobodys = await secureOrigin(ca.make({ subject: '/CN=x' }))
    const proxy = await stage(`hosts_file ${hostsFile}\nsslproxy_flags DONT_VERIFY_PEER`)
    expect((await proxy.ask(ask(nobodys.port))).status).toBe(200)
    const other = await secureOrigin(ca.make({ subject: '/CN=x', names: 'DNS:x', by: root }))
    const loose = await stageWith('tls_outgoing_options flags=DONT_VERIFY_DOMAIN')
    expect((await loose.ask(ask(other.port))).status).toBe(200)
    expect((await loose.ask(ask(nobodys.port))).status).toBe(503)
    const named = await stageWith('tls_outgoing_options domain=x')
    expect((await named.ask(ask(other.port))).status).toBe(200)
  })
})

describe('what the two ends agree on', () => {
  test('our certificate is shown to an origin that asks', async () => {
    const origin = await secureOrigin(good, { requestCert: true, rejectUnauthorized: true, ca: [root.cert], maxVersion: 'TLSv1.2' })
    const without = await stageWith()
    expect((await without.ask(ask(origin.port))).status).toBe(503)
    const own = ca.make({ subject: '/CN=our proxy', by: root })
    const file = ca.write('own.pem', own.cert + own.key)
    const proxy = await stageWith(`tls_outgoing_options cert=${file}`)
    expect((await proxy.ask(ask(origin.port))).status).toBe(200)
    expect(origin.handshakes.at(-1)?.by).toBe('CN=our proxy')
  })

  test.each([
    ['TLSv1.2', 'min-version=1.3', false],
    ['TLSv1.2', 'min-version=1.2', true],
    ['TLSv1.2', 'version=6', true],
    ['TLSv1.3', 'min-version=1.2', true],
    ['TLSv1.3', 'version=6', false],
    ['TLSv1.3', 'options=NO_TLSv1_3', false],
    ['TLSv1.2', 'cipher=ECDHE-ECDSA-AES128-GCM-SHA256', true],
    ['TLSv1.1', 'min-version=1.0', false],
    ['TLSv1.1', 'min-version=1.0 cipher=DEFAULT:@SECLEVEL=0', true],
  ] as const)('an origin of %s only, with %s: %s', async (version, options, fine) => {
    const weak = version === 'TLSv1.1' ? { ciphers: 'DEFAULT:@SECLEVEL=0' } : {}
    const origin = await secureOrigin(good, { minVersion: version, maxVersion: version, ...weak })
    const proxy = await stageWith(`tls_outgoing_options ${options}`)
    const answer = await proxy.ask(ask(origin.port))
    expect(answer.status).toBe(fine ? 200 : 503)
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject(fine ? { serverTls: { version: version.replace('TLSv', 'TLS/') } } : { error: 'secure-connect-failed', serverTls: null })
    if (options.startsWith('cipher=ECDHE')) expect(proxy.records[0]?.serverTls?.cipher).toBe('ECDHE-ECDSA-AES128-GCM-SHA256')
  })

  test('an origin that speaks no TLS, or leaves in the handshake', async () => {
    const { rawOrigin } = await import('../support/origin.ts')
    const clear = await rawOrigin(socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const leaving = await rawOrigin(socket => socket.once('data', () => socket.end()))
    closing.push(() => clear.close(), () => leaving.close())
    const proxy = await stageWith()
    for (const { port } of [clear, leaving]) {
      const answer = await proxy.ask(ask(port))
      expect([answer.status, answer.fields.get('x-squid-error')?.split(' ')[0]]).toEqual([503, 'ERR_SECURE_CONNECT_FAIL'])
    }
    await until(() => originConnections(proxy).length === 0, 'the end of their connections')
  })

  test('an origin that says nothing in the handshake costs connect_timeout, not more', async () => {
    const { rawOrigin } = await import('../support/origin.ts')
    let hello: () => void = () => {}
    const greeted = new Promise<void>(go => (hello = go))
    const silent = await rawOrigin(socket => socket.once('data', () => hello()))
    closing.push(() => silent.close())
    const proxy = await stageWith('connect_timeout 7 seconds')
    const wire = await proxy.client()
    wire.send(ask(silent.port))
    await greeted
    proxy.clock.advance(6000)
    expect(proxy.records).toEqual([])
    proxy.clock.advance(2000)
    expect((await wire.response()).fields.get('x-squid-error')).toBe('ERR_SECURE_CONNECT_FAIL 110')
    await until(() => originConnections(proxy).length === 0, 'the end of its connection')
  })

  test('a client that leaves in the handshake leaves nothing behind', async () => {
    const { rawOrigin } = await import('../support/origin.ts')
    let hello: () => void = () => {}
    const greeted = new Promise<void>(go => (hello = go))
    const silent = await rawOrigin(socket => socket.once('data', () => hello()))
    closing.push(() => silent.close())
    const proxy = await stageWith('quick_abort_min 0 KB\nquick_abort_max 0 KB')
    const wire = await proxy.client()
    wire.send(ask(silent.port))
    await greeted
    wire.close()
    await until(() => originConnections(proxy).length === 0, 'the end of its connection')
  })

  test('disable: nothing is fetched by TLS', async () => {
    const origin = await secureOrigin(good)
    const proxy = await stage('tls_outgoing_options disable')
    expect((await proxy.ask(ask(origin.port))).status).toBe(501)
    expect(origin.handshakes).toEqual([])
  })

  test('a response cut off without close_notify is not taken for whole', async () => {
    const origin = await secureOrigin(good, {}, (_url, response) => {
      const { socket } = response
      socket?.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhalf of it')
      const below: unknown = Reflect.get(socket ?? {}, '_parent')
      if (below instanceof Object && 'end' in below && typeof below.end === 'function') setImmediate(() => (below as net.Socket).end())
    })
    const proxy = await stageWith()
    const wire = await proxy.client()
    wire.send(ask(origin.port, '/cut'))
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ error: 'read-error' })
    expect(proxy.records[0]?.storeReason).not.toBe('')
    await wire.closed()
  })
})

test('log codes and ACLs know the server', async () => {
  const origin = await secureOrigin(ca.make({ subject: '/CN=good.example', names: 'DNS:good.example' }))
  const file = `${ca.folder}/tls.log`
  const proxy = await stageWith(`
    logformat tls %ssl::<negotiated_version %ssl::<negotiated_cipher %ssl::<cert_subject %ssl::<cert_issuer %ssl::<cert_errors %err_code
    acl own ssl_error X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
    access_log stdio:${file} tls own
    sslproxy_cert_error allow all`)
  await proxy.ask(ask(origin.port))
  await proxy.results(1)
  await proxy.stop()
  const { readFileSync } = await import('node:fs')
  expect(readFileSync(file, 'utf8')).toBe('TLS/1.3 TLS_AES_256_GCM_SHA384 /CN=good.example /CN=good.example X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT@depth=0 -\n')
})

test('tls_key_log has the secrets of what its ACLs name, as those who read captures want them', async () => {
  const origin = await secureOrigin(good)
  const file = `${ca.folder}/keys.log`
  const proxy = await stageWith(`server_persistent_connections off\nsslproxy_session_cache_size 0 KB\nacl watched urlpath_regex ^/watched\ntls_key_log stdio:${file} if watched`)
  const wire = await proxy.client()
  await wire.send(ask(origin.port, '/other')).response()
  await wire.send(ask(origin.port, '/watched')).response()
  await proxy.results(2)
  await proxy.stop()
  const { readFileSync } = await import('node:fs')
  const lines = readFileSync(file, 'latin1').trim().split('\n')
  expect(lines.length).toBe(5)
  for (const line of lines) expect(line).toMatch(/^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,96}$/)
  expect(lines.map(line => line.split(' ')[0]).sort()).toEqual([
    'CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'CLIENT_TRAFFIC_SECRET_0', 'EXPORTER_SECRET', 'SERVER_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_TRAFFIC_SECRET_0',
  ])
})

describe('sslcrtvalidator_program', () => {
  // Squid's protocol from the other side: NUMBER cert_validate LENGTH BODY, answers that end with the byte 1
  const script = `
import { appendFileSync } from 'node:fs'
let text = ''
process.stdin.setEncoding('latin1').on('data', piece => {
  text += piece
  for (;;) {
    const head = /^\\s*(\\d+) cert_validate (\\d+) /.exec(text)
    if (head === null || text.length < head[0].length + Number(head[2])) return
    const body = text.slice(head[0].length, head[0].length + Number(head[2]))
    text = text.slice(head[0].length + body.length)
    appendFileSync(process.argv[2], body + '~~~\\n')
    const host = /^host=(.*)$/m.exec(body)[1]
    if (host === 'bad.example') {
      const said = 'error_name_0=X509_V_ERR_CERT_REJECTED\\nerror_reason_0=I know him\\nerror_cert_0=cert_0\\n'
      process.stdout.write(head[1] + ' ERR ' + said.length + ' ' + said + '\\x01')
    } else if (host === 'a.wild.example') process.stdout.write(head[1] + ' BH 0 \\x01')
    else process.stdout.write(head[1] + ' OK 0 \\x01\\n')
  }
})
`
  const validated = async (more = ''): Promise<{ proxy: Stage; heard: () => readonly string[] }> => {
    const { readFileSync } = await import('node:fs')
    const file = ca.write('validator.mjs', script)
    const log = ca.write('validator.log', '')
    const proxy = await stageWith(`sslcrtvalidator_program ttl=60 ${process.execPath} ${file} ${log}\nsslcrtvalidator_children 1 startup=1 idle=1 concurrency=2\nserver_persistent_connections off\n${more}`)
    return { proxy, heard: () => readFileSync(log, 'latin1').split('~~~\n').slice(0, -1) }
  }

  test('has the last word: what it lets pass passes, what it finds is an error like others, and it is asked once', async () => {
    const origin = await secureOrigin(ca.make({ subject: '/CN=x' }))
    const { proxy, heard } = await validated()
    expect((await proxy.ask(ask(origin.port))).status).toBe(200)
    expect((await proxy.ask(ask(origin.port))).status).toBe(200)
    const bad = await proxy.ask(ask((await secureOrigin(good)).port, '/', 'bad.example'))
    expect([bad.status, bad.fields.get('x-squid-error')]).toEqual([503, 'ERR_SECURE_CONNECT_FAIL 71'])
    expect(proxy.records.map(record => record.serverTls?.errors)).toEqual([[], [], [{ name: 'X509_V_ERR_CERT_REJECTED', depth: 0 }]])
    const [first = '', second = ''] = heard()
    expect(heard().length).toBe(2)
    expect(first).toMatch(/^host=good\.example\nproto_version=TLSv1\.3\ncipher=TLS_\w+\ncert_0=-----BEGIN CERTIFICATE-----\n/)
    expect(first).toMatch(/\nerror_name_\d=X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT\nerror_cert_\d=cert_0\n/)
    expect(second).toMatch(/^host=bad\.example\n/)
  })

  test('what it finds may be tolerated', async () => {
    const { proxy } = await validated('acl rejected ssl_error X509_V_ERR_CERT_REJECTED\nsslproxy_cert_error allow rejected')
    expect((await proxy.ask(ask((await secureOrigin(good)).port, '/', 'bad.example'))).status).toBe(200)
  })

  test('does not know, or has died: nothing is fetched', async () => {
    const origin = await secureOrigin(good)
    const { proxy } = await validated()
    const unknown = await proxy.ask(ask(origin.port, '/', 'a.wild.example'))
    expect([unknown.status, unknown.fields.get('x-squid-error')?.split(' ')[0]]).toEqual([500, 'ERR_GATEWAY_FAILURE'])
    const dead = await stageWith('sslcrtvalidator_program /bin/false\nsslcrtvalidator_children 1 startup=0 idle=1 concurrency=1')
    const wire = await dead.client()
    wire.send(ask(origin.port))
    const answered = wire.response()
    let over = false
    void answered.then(() => (over = true))
    await until(() => (dead.clock.advance(500), over), 'its answer')
    expect((await answered).status).toBe(500)
    expect(origin.urls).toEqual([])
  })
})
