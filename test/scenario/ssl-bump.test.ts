// ssl_bump behind CONNECT: what becomes of a client's TLS at each step, by what the client sees, what the server sees, and
// what the record says. Clients are curl and node:tls, servers node:https.

import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { TestAuthority } from '../support/authority.ts'
import { type Stage, stageOf, until } from './scene.ts'

const mine = new TestAuthority('Bumping CA')
const theirs = new TestAuthority('Public CA')
const real = theirs.certify('site.test', 'DNS:site.test,DNS:*.site.test,IP:127.0.0.1')
afterAll(() => {
  mine.remove()
  theirs.remove()
})

const servers: { close(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const secureSite = async (content = 'from the site') => {
  const requests: { url: string | undefined; host: string | undefined }[] = []
  const server = https.createServer({ cert: readFileSync(real.cert), key: readFileSync(real.key) }, (request, response) => {
    requests.push({ url: request.url, host: request.headers.host })
    response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': content.length }).end(content)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  servers.push({ close: () => void (server.closeAllConnections(), server.close()) })
  const { port } = server.address() as net.AddressInfo
  let count = 0
  server.on('connection', () => count++)
  return { port, requests, connections: () => count }
}

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

const curl = (proxy: Stage, ca: string, url: string, ...more: readonly string[]): Promise<Ran> =>
  new Promise(resolve => {
    const args = ['-sS', '--http1.1', '--proxy', `http://127.0.0.1:${proxy.port('web')}`, '--cacert', ca, ...more, url]
    execFile('curl', args, { timeout: 20_000, encoding: 'latin1', maxBuffer: 8_000_000 }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err }),
    )
  })

const realDates = new X509Certificate(readFileSync(real.cert))

const hosts = 'hosts_file ' + new URL('../support/hosts-of-sites', import.meta.url).pathname

const bumping = async (rules: string, access = 'http_access allow all', more = ''): Promise<Stage> => {
  const proxy = await stageOf(`http_port 127.0.0.1:0 name=web ssl-bump ${more} tls-cert=${mine.ca.cert} tls-key=${mine.ca.key}\n${hosts}\n${access}\n${rules}\n`)
  // clients of this machine judge our certificates by its clock
  proxy.clock.setWall(systemClock.wall())
  return proxy
}

describe('splice', () => {
  it.each([
    ['no line at all', ''],
    ['at step 1', 'ssl_bump splice all'],
    ['after a peek', 'acl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump splice all'],
    ['nothing matches at step 2', 'acl step1 at_step SslBump1\nssl_bump peek step1'],
    ['peek at both steps', 'ssl_bump peek all'],
    ['by the name', 'acl known ssl::server_name .site.test\nacl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump splice known\nssl_bump terminate all'],
    ['Squid 3.1', 'acl none src 192.0.2.1\nssl_bump deny all'],
    ['Squid 3.3', 'ssl_bump none all'],
  ])('%s: the client has TLS with the server itself', async (_what, rules) => {
    const site = await secureSite()
    const proxy = await bumping(rules)
    expect(await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`)).toEqual({ code: 0, out: 'from the site', err: '' })
    expect(await proxy.results(1)).toEqual(['TCP_TUNNEL/200'])
    expect(site.requests).toHaveLength(1)
  })

  it('records the name, and what the client offers, where it was looked at', async () => {
    const site = await secureSite()
    const proxy = await bumping('acl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump splice all')
    await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`)
    await proxy.results(1)
    expect(proxy.records[0]?.clientTls).toMatchObject({ bumpMode: 'splice', sni: 'www.site.test', helloVersion: 'TLS/1.2', supportedVersion: 'TLS/1.3' })
  })
})

describe('terminate', () => {
  it.each([
    ['at step 1', 'ssl_bump terminate all', ''],
    ['at step 2, by the name', 'acl bad ssl::server_name .site.test\nacl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump terminate bad\nssl_bump splice all', 'www.site.test'],
    ['at step 3', 'acl step3 at_step SslBump3\nssl_bump terminate step3\nssl_bump peek all', 'www.site.test'],
  ])('%s', async (_what, rules, sni) => {
    const site = await secureSite()
    const proxy = await bumping(rules)
    expect((await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`)).code).not.toBe(0)
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ method: 'CONNECT', error: 'terminated', clientTls: { bumpMode: 'terminate', sni } })
    expect(site.requests).toHaveLength(0)
  })
})

describe('a hello', () => {
  it('may come in any pieces, and is passed on as it came', async () => {
    const site = await secureSite()
    const proxy = await bumping('ssl_bump peek all')
    const wire = await proxy.client()
    await wire.send(`CONNECT www.site.test:${site.port} HTTP/1.1\r\nHost: x\r\n\r\n`).response('CONNECT')
    // the client's end of TLS, byte by byte through the wire
    const through = new net.Socket()
    void through
    const client = tls.connect({ socket: slowly(wire.socket), servername: 'www.site.test', ca: readFileSync(theirs.ca.cert) })
    await once(client, 'secureConnect')
    client.write('GET /pieces HTTP/1.1\r\nHost: www.site.test\r\nConnection: close\r\n\r\n')
    client.resume()
    await once(client, 'end')
    expect(site.requests.map(({ url }) => url)).toEqual(['/pieces'])
  })

  it('that does not come is not waited for', async () => {
    const proxy = await bumping('request_timeout 10 seconds\nssl_bump peek all')
    const wire = await proxy.client()
    await wire.send('CONNECT www.site.test:443 HTTP/1.1\r\nHost: x\r\n\r\n').response('CONNECT')
    proxy.clock.advance(11_000)
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ error: 'request-timeout', method: 'CONNECT' })
  })

  it('of something else ends the connection, or is a tunnel where that is allowed', async () => {
    const echo = net.createServer(socket => socket.pipe(socket).on('error', () => {}))
    echo.listen(0, '127.0.0.1')
    await once(echo, 'listening')
    servers.push(echo)
    const { port } = echo.address() as net.AddressInfo
    const ask = async (proxy: Stage): Promise<string> => {
      const wire = await proxy.client()
      await wire.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`).response('CONNECT')
      wire.send('this is no TLS').end()
      return wire.closed()
    }
    const closing = await bumping('ssl_bump peek all')
    expect(await ask(closing)).toBe('')
    await until(() => closing.records.length === 1, 'the record')
    expect(closing.records[0]).toMatchObject({ error: 'protocol-unknown' })
    const tunnelling = await bumping('ssl_bump peek all\nacl me src 127.0.0.1\non_unsupported_protocol tunnel me')
    expect(await ask(tunnelling)).toBe('this is no TLS')
    await until(() => tunnelling.records.length === 1, 'the record')
    expect(tunnelling.records[0]).toMatchObject({ result: 'TCP_TUNNEL', error: null })
  })
})

/** The same stream, each byte written by itself. */
const slowly = (socket: net.Socket): net.Socket => {
  const write = socket.write.bind(socket)
  socket.setNoDelay(true)
  socket.write = ((chunk: Buffer, ...rest: unknown[]) => {
    for (const byte of chunk.subarray(0, -1)) write(Buffer.from([byte]))
    return (write as (...all: unknown[]) => boolean)(chunk.subarray(-1), ...rest)
  }) as typeof socket.write
  return socket
}

describe('a refusal', () => {
  it('is told within TLS, where the port bumps', async () => {
    const proxy = await bumping('ssl_bump bump all', 'acl bad dstdomain .site.test\nhttp_access deny bad\nhttp_access allow all')
    const { code, out } = await curl(proxy, mine.ca.cert, 'https://www.site.test/what', '-w', '%{http_code}')
    expect(code).toBe(0)
    expect(out).toMatch(/Access Denied[\s\S]*403$/i)
    expect(await proxy.results(2)).toEqual(['TCP_DENIED/200', 'TCP_DENIED/403'])
    expect(proxy.records[1]).toMatchObject({ uri: 'https://www.site.test/what', error: 'denied', clientTls: { bumpMode: 'bump', sni: 'www.site.test' } })
    expect(proxy.records[1]?.clientTls?.version).toBe('TLS/1.3')
  })

  it('is told in clear where no rule is there', async () => {
    const proxy = await bumping('', 'http_access deny all')
    expect(await curl(proxy, mine.ca.cert, 'https://www.site.test/')).toMatchObject({ code: 56 })
    expect(await proxy.results(1)).toEqual(['TCP_DENIED/403'])
  })

  it('of a server that cannot be reached, too', async () => {
    const proxy = await bumping('ssl_bump peek all')
    const { out } = await curl(proxy, mine.ca.cert, 'https://www.site.test:1/', '-w', '%{http_code}')
    expect(out).toMatch(/503$/)
    await proxy.results(2)
    expect(proxy.records.map(({ error }) => error)).toEqual(['connect-failed', 'connect-failed'])
  })
})

const trusting = `tls_outgoing_options cafile=${theirs.ca.cert} default-ca=off\n`

describe('bump', () => {
  it.each([
    ['at step 1, with the name all the same', 'ssl_bump bump all'],
    ['at step 2', 'acl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump bump all'],
    ['after stare', 'ssl_bump stare all\nssl_bump bump all'],
    ['stare alone', 'ssl_bump stare all'],
    ['all but banks', 'acl banks ssl::server_name .bank.test\nssl_bump splice banks\nssl_bump bump all'],
    ['client-first', 'ssl_bump client-first all'],
    ['server-first', 'ssl_bump server-first all'],
    ['Squid 3.1', 'ssl_bump allow all'],
  ])('%s: requests are read, cached, and recorded as https', async (_what, rules) => {
    const site = await secureSite()
    const proxy = await bumping(trusting + rules)
    const url = `https://www.site.test:${site.port}/page`
    expect(await curl(proxy, mine.ca.cert, url)).toEqual({ code: 0, out: 'from the site', err: '' })
    expect(await curl(proxy, mine.ca.cert, url)).toEqual({ code: 0, out: 'from the site', err: '' })
    expect(await proxy.results(4)).toEqual(['NONE_NONE/200', 'TCP_MISS/200', 'NONE_NONE/200', 'TCP_MEM_HIT/200'])
    expect(proxy.records.map(({ uri }) => uri)).toEqual([`www.site.test:${site.port}`, url, `www.site.test:${site.port}`, url])
    expect(site.requests).toHaveLength(1)
    expect(proxy.records[1]?.clientTls?.sni).toBe('www.site.test')
    expect(proxy.records[1]?.clientTls?.version).toBe('TLS/1.3')
  })

  it('shows what the server shows, signed by the CA of the port', async () => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    const seen = await shownBy(proxy, `www.site.test:${site.port}`, 'www.site.test')
    expect(seen.subject).toBe('CN=site.test')
    expect(seen.issuer).toBe('CN=Bumping CA')
    expect(seen.subjectAltName).toContain('DNS:*.site.test')
    expect(seen.validTo).toBe(realDates.validTo)
  })

  it('asks the server on the connection its certificate was seen on', async () => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    await curl(proxy, mine.ca.cert, `https://www.site.test:${site.port}/`)
    await proxy.results(2)
    expect(site.connections()).toBe(1)
  })

  it('of a server that is not to be trusted shows one nobody trusts, and then says why', async () => {
    const site = await secureSite()
    const proxy = await bumping('tls_outgoing_options default-ca=off\nssl_bump bump all')
    const url = `https://www.site.test:${site.port}/`
    expect((await curl(proxy, mine.ca.cert, url)).code).toBe(60)
    const { out } = await curl(proxy, mine.ca.cert, url, '-k', '-w', '%{http_code}')
    expect(out).toMatch(/503$/)
    expect(site.requests).toHaveLength(0)
    await proxy.results(3)
    expect(proxy.records.at(-1)).toMatchObject({ error: 'secure-connect-failed', uri: url })
  })

  it('of a server that is tolerated, warns still', async () => {
    const site = await secureSite()
    const proxy = await bumping('tls_outgoing_options default-ca=off\nacl us dst 127.0.0.1\nsslproxy_cert_error allow us\nssl_bump bump all')
    const url = `https://www.site.test:${site.port}/`
    expect((await curl(proxy, mine.ca.cert, url)).code).toBe(60)
    expect(await curl(proxy, mine.ca.cert, url, '-k')).toMatchObject({ code: 0, out: 'from the site' })
  })

  it('shows the port\'s own certificate where none are made', async () => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`, 'http_access allow all', 'generate-host-certificates=off')
    const seen = await shownBy(proxy, `www.site.test:${site.port}`, 'www.site.test')
    expect(seen.subject).toBe('CN=Bumping CA')
  })

  it('shows the same certificate after a reload, as long as the CA is the same', async () => {
    const site = await secureSite()
    const rules = `${trusting}ssl_bump bump all`
    const confOf = (ca: TestAuthority, more = ''): string =>
      `http_port 127.0.0.1:0 name=web ssl-bump ${more} tls-cert=${ca.ca.cert} tls-key=${ca.ca.key}\n${hosts}\nhttp_access allow all\n${rules}\n`
    const proxy = await bumping(rules)
    const prints: string[] = []
    const keys: string[] = []
    const show = async (): Promise<void> => {
      const seen = await shownBy(proxy, `www.site.test:${site.port}`, 'www.site.test')
      prints.push(seen.fingerprint256)
      keys.push(seen.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'))
    }
    await show()
    proxy.reload(`${confOf(mine)}connect_timeout 5 seconds\n`)
    await show()
    proxy.reload(confOf(mine, 'dynamic_cert_mem_cache_size=1KB'))
    await show()
    proxy.reload(confOf(theirs))
    await show()
    const [first, second, third, fourth] = prints
    expect(second).toBe(first)
    expect(third).not.toBe(first) // there was no room to keep it, but the key is the same
    expect(fourth).not.toBe(third)
    expect([keys[1] === keys[0], keys[2] === keys[0], keys[3] === keys[0]]).toEqual([true, true, false])
  })

  it('tls_key_log has the secrets of both ends', async () => {
    const site = await secureSite()
    const file = join(mine.folder, 'keys.log')
    const proxy = await bumping(`${trusting}ssl_bump bump all\nacl me src 127.0.0.1\ntls_key_log stdio:${file} if me`)
    await curl(proxy, mine.ca.cert, `https://www.site.test:${site.port}/`)
    await proxy.results(2)
    const sessions = () => new Set((existsSync(file) ? readFileSync(file, 'latin1') : '').match(/^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64}/gm))
    proxy.clock.advance(2000) // lines are gathered
    await until(() => sessions().size === 2, 'two sessions')
  })

  it('http_access decides about each request inside, with its path', async () => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`, 'acl secret urlpath_regex ^/secret\nhttp_access deny secret\nhttp_access allow all')
    const { out } = await curl(proxy, mine.ca.cert, `https://www.site.test:${site.port}/secret`, '-w', '%{http_code}')
    expect(out).toMatch(/403$/)
    expect(await proxy.results(2)).toEqual(['NONE_NONE/200', 'TCP_DENIED/403'])
  })

  it('a client that does not know the CA leaves, and the record says why', async () => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    expect((await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`)).code).toBe(60)
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ method: 'CONNECT', clientTls: { bumpMode: 'bump' } })
  })

  it('lets a WebSocket through', async () => {
    const server = https.createServer({ cert: readFileSync(real.cert), key: readFileSync(real.key) })
    server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.on('error', () => {}).pipe(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push({ close: () => void (server.closeAllConnections(), server.close()) })
    const { port } = server.address() as net.AddressInfo
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    const client = await within(proxy, `www.site.test:${port}`, 'www.site.test', mine.ca.cert)
    client.write(`GET / HTTP/1.1\r\nHost: www.site.test:${port}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
    let said = ''
    client.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (said.endsWith('\r\n\r\n')) client.write('there and back')
      if (said.endsWith('there and back')) client.end()
    })
    await once(client, 'close')
    expect(said).toContain('101 Switching Protocols')
    expect(said).toMatch(/there and back$/)
    await proxy.results(2)
    expect(proxy.records[1]).toMatchObject({ result: 'TCP_TUNNEL', status: 101, uri: `https://www.site.test:${port}/` })
  })

  it('whoever has said who he is for the CONNECT is known inside', async () => {
    const site = await secureSite()
    const passwords = join(mine.folder, 'passwords')
    writeFileSync(passwords, 'ada:$apr1$abcdefgh$x0Oj6N7rLhZ0kQv7n0ZpZ.\n')
    const helper = join(mine.folder, 'helper.sh')
    writeFileSync(helper, '#!/bin/sh\nwhile read user password; do if [ "$password" = right ]; then echo OK; else echo ERR; fi; done\n', { mode: 0o755 })
    const proxy = await bumping(
      `${trusting}ssl_bump bump all`,
      `auth_param basic program ${helper}\nauth_param basic children 1\nacl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all`,
    )
    const url = `https://www.site.test:${site.port}/`
    expect(await curl(proxy, mine.ca.cert, url, '--proxy-user', 'ada:right')).toMatchObject({ code: 0, out: 'from the site' })
    expect((await curl(proxy, mine.ca.cert, url, '--proxy-user', 'ada:wrong')).err).toMatch(/407/)
    expect(proxy.records.slice(0, 2).map(({ user }) => user)).toEqual(['ada', 'ada'])
  })
})

/** A client's end of TLS behind a CONNECT. */
const within = async (proxy: Stage, authorityText: string, servername: string, ca: string, more: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> => {
  const wire = await proxy.client()
  await wire.send(`CONNECT ${authorityText} HTTP/1.1\r\nHost: ${authorityText}\r\n\r\n`).response('CONNECT')
  const client = tls.connect({ socket: wire.socket, servername, ca: readFileSync(ca), ...more })
  await once(client, 'secureConnect')
  return client
}

const shownBy = async (proxy: Stage, authorityText: string, servername: string) => {
  const client = await within(proxy, authorityText, servername, mine.ca.cert, { rejectUnauthorized: false })
  const seen = client.getPeerX509Certificate()
  client.destroy()
  if (seen === undefined) throw new Error('nothing was shown')
  return seen
}

describe('within', () => {
  it.each([
    ['CONNECT', 'CONNECT other.test:80 HTTP/1.1\r\nHost: other.test\r\n\r\n', 501],
    ['a target in clear text', 'GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n', 400],
  ])('%s is refused', async (_what, request, status) => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    const client = await within(proxy, `www.site.test:${site.port}`, 'www.site.test', mine.ca.cert)
    client.write(request)
    let said = ''
    client.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
    await until(() => said.includes('</html>'), 'the page')
    client.destroy()
    expect(said).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  it('several requests, and one that names no site', async () => {
    const site = await secureSite()
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    const client = await within(proxy, `www.site.test:${site.port}`, 'www.site.test', mine.ca.cert)
    client.write(`GET /1 HTTP/1.1\r\nHost: www.site.test:${site.port}\r\n\r\nGET /2 HTTP/1.1\r\nHost: www.site.test:${site.port}\r\nConnection: close\r\n\r\n`)
    let said = ''
    client.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
    await once(client, 'end')
    client.destroy()
    expect(said.match(/from the site/g)).toHaveLength(2)
    expect(site.requests.map(({ url }) => url)).toEqual(['/1', '/2'])
    expect(site.connections()).toBe(1)
  })
})

describe('a client that leaves', () => {
  /** Takes connections and says nothing. */
  const silentServer = async () => {
    const sockets: net.Socket[] = []
    const server = net.createServer(socket => void sockets.push(socket.on('error', () => {}).resume()))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push({ close: () => void (sockets.forEach(socket => socket.destroy()), server.close()) })
    return { port: (server.address() as net.AddressInfo).port, sockets }
  }

  it.each([
    ['before its hello', false],
    ['while the server is asked for its certificate', true],
  ])('%s leaves nothing behind', async (_what, says) => {
    const silent = await silentServer()
    const proxy = await bumping(`${trusting}ssl_bump bump all`)
    const wire = await proxy.client()
    await wire.send(`CONNECT www.site.test:${silent.port} HTTP/1.1\r\nHost: x\r\n\r\n`).response('CONNECT')
    if (says) {
      const client = tls.connect({ socket: wire.socket, servername: 'www.site.test' }).on('error', () => {})
      await until(() => silent.sockets.length === 1, 'the question to the server')
      client.destroy()
    }
    wire.socket.resetAndDestroy()
    await until(() => proxy.records.length === 1 && proxy.machine.sessions === 0, 'its record')
    expect(proxy.records[0]).toMatchObject({ error: 'client-aborted', method: 'CONNECT' })
    await until(() => silent.sockets.every(socket => socket.destroyed || socket.readableEnded), 'the end of the connection to the server')
  })

  it('is let go when the proxy stops', async () => {
    const proxy = await bumping('ssl_bump peek all')
    const wire = await proxy.client()
    await wire.send('CONNECT www.site.test:443 HTTP/1.1\r\nHost: x\r\n\r\n').response('CONNECT')
    await until(() => proxy.machine.sessions === 1, 'the session')
    void proxy.machine.stop(0)
    expect(await wire.closed()).toBe('')
    await until(() => proxy.machine.sessions === 0, 'its end')
  })
})

describe('a hello that is none', () => {
  it('whatever bytes come, the connection ends or goes on, and nothing throws', async () => {
    const proxy = await bumping('ssl_bump peek all')
    const hello = Buffer.from('160301002f0100002b0303', 'hex')
    const noise = (seed: number): Buffer => Buffer.from(Array.from({ length: 200 }, (_, i) => (seed * 7919 + i * i * 31 + (i >> 2) * seed) & 255))
    for (let seed = 0; seed < 40; seed++) {
      const wire = await proxy.client()
      await wire.send('CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n').response('CONNECT')
      wire.send(seed % 2 === 0 ? noise(seed) : Buffer.concat([hello.subarray(0, 1 + (seed % hello.length)), noise(seed)])).end()
      await wire.closed()
    }
    await until(() => proxy.records.length === 40, 'their records')
    expect(new Set(proxy.records.map(({ error }) => error))).toEqual(new Set(['protocol-unknown']))
  })
})

describe('a name in the hello', () => {
  const rules = 'acl known ssl::server_name .site.test\nssl_bump splice known\nssl_bump terminate all'
  const shakes = async (proxy: Stage, to: string, servername: string): Promise<boolean> => {
    const wire = await proxy.client()
    await wire.send(`CONNECT ${to} HTTP/1.1\r\nHost: x\r\n\r\n`).response('CONNECT')
    const client = tls.connect({ socket: wire.socket, servername, rejectUnauthorized: false })
    const shaken = await new Promise<boolean>(resolve => client.once('secureConnect', () => resolve(true)).once('error', () => resolve(false)).once('close', () => resolve(false)))
    client.destroy()
    return shaken
  }

  it('counts if it leads to where the CONNECT goes', async () => {
    const site = await secureSite()
    const proxy = await bumping(`acl step1 at_step SslBump1\nssl_bump peek step1\n${rules}`)
    expect(await shakes(proxy, `127.0.0.1:${site.port}`, 'www.site.test')).toBe(true)
    expect(await shakes(proxy, `other.test:${site.port}`, 'www.site.test')).toBe(true)
    await proxy.results(2)
    expect(proxy.records.map(({ clientTls }) => clientTls?.bumpMode)).toEqual(['splice', 'splice'])
  })

  it('is nobody else\'s pass', async () => {
    const site = await secureSite()
    const proxy = await bumping(rules)
    expect(await shakes(proxy, `127.0.0.2:${site.port}`, 'www.site.test')).toBe(false)
    await proxy.results(1)
    expect(await shakes(proxy, `127.0.0.2:${site.port}`, 'nowhere.test')).toBe(false)
    await proxy.results(2)
    expect(proxy.records.map(({ error, clientTls }) => [error, clientTls?.sni])).toEqual([['terminated', 'www.site.test'], ['terminated', 'nowhere.test']])
    expect(site.connections()).toBe(0)
  })
})

describe('peek at step 3', () => {
  const rules = 'acl step3 at_step SslBump3\nacl shown ssl::server_name --server-provided .site.test\nssl_bump terminate step3 shown\nssl_bump peek all\nssl_bump splice all'

  it('sees the certificate of TLS 1.2', async () => {
    const site = await secureSite()
    const proxy = await bumping(rules)
    const { code } = await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`, '--tls-max', '1.2')
    expect(code).not.toBe(0)
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ error: 'terminated', serverTls: { version: 'TLS/1.2', subject: '/CN=site.test', issuer: '/CN=Public CA' } })
  })

  it('sees none of TLS 1.3, and the connection is one with the server itself', async () => {
    const site = await secureSite()
    const proxy = await bumping(rules)
    expect(await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`)).toEqual({ code: 0, out: 'from the site', err: '' })
    expect(await proxy.results(1)).toEqual(['TCP_TUNNEL/200'])
    expect(site.connections()).toBe(1)
  })

  it('passes on the answer of a server that speaks something else', async () => {
    const other = net.createServer(socket => void socket.on('error', () => {}).once('data', () => socket.end('220 not TLS\r\n')))
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    servers.push(other)
    const proxy = await bumping('ssl_bump peek all')
    const { err } = await curl(proxy, theirs.ca.cert, `https://www.site.test:${(other.address() as net.AddressInfo).port}/`)
    expect(err).toMatch(/wrong version number|packet length/i)
    expect(await proxy.results(1)).toEqual(['TCP_TUNNEL/200'])
  })
})
