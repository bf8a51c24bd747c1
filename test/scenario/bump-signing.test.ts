// What clients of bumped connections are shown, by what the server's own certificate is like: by sslproxy_cert_sign,
// sslproxy_cert_adapt and what sslproxy_cert_error tolerates. The client is node:tls, which judges by the CA of the port.

import { X509Certificate } from 'node:crypto'
import https from 'node:https'
import net from 'node:net'
import { once } from 'node:events'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { daysFromNow, type Made, TestCa } from '../support/test-ca.ts'
import { stageOf } from './scene.ts'

const ca = new TestCa()
let bumper: Made
let root: Made
let stranger: Made
let conf: string
beforeAll(() => {
  bumper = ca.make({ subject: '/O=Here/CN=Bumping CA', ca: true, from: daysFromNow(-100), until: daysFromNow(100) })
  root = ca.make({ subject: '/CN=Public CA', ca: true })
  stranger = ca.make({ subject: '/CN=Stranger', ca: true })
  conf = `http_port 127.0.0.1:0 name=web ssl-bump tls-cert=${ca.write('bumper.pem', bumper.cert + bumper.key)}
hosts_file ${ca.write('hosts', '127.0.0.1 www.site.test\n')}
tls_outgoing_options cafile=${ca.write('root.pem', root.cert)} default-ca=off
http_access allow all
ssl_bump bump all
`
})
afterAll(() => ca.remove())

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const server = async ({ cert, key }: Made): Promise<number> => {
  const made = https.createServer({ cert, key }, (_request, response) => response.writeHead(200, { 'Content-Length': 2 }).end('in'))
  made.on('tlsClientError', () => {})
  made.listen(0, '127.0.0.1')
  await once(made, 'listening')
  closing.push(() => (made.closeAllConnections(), made.close()))
  return (made.address() as net.AddressInfo).port
}

interface Shown {
  /** What a client that knows the CA of the port says of it; '' = nothing. */
  readonly fault: string
  readonly subject: string
  readonly issuer: string
  readonly names: string
  readonly validTo: string
  readonly status: number
  readonly records: readonly string[]
}

const shown = async (made: Made, lines: string): Promise<Shown> => {
  const port = await server(made)
  const proxy = await stageOf(conf + lines)
  proxy.clock.setWall(systemClock.wall()) // clients judge by this machine's clock
  const socket = net.connect(proxy.port('web'), '127.0.0.1')
  closing.push(() => socket.destroy())
  await once(socket, 'connect')
  socket.write(`CONNECT www.site.test:${port} HTTP/1.1\r\nHost: www.site.test:${port}\r\n\r\n`)
  const [established] = (await once(socket, 'data')) as [Buffer]
  expect(established.toString()).toMatch(/^HTTP\/1\.1 200 /)
  const secure = tls.connect({ socket, servername: 'www.site.test', ca: [bumper.cert], rejectUnauthorized: false })
  secure.on('error', () => {})
  await once(secure, 'secureConnect')
  const leaf = secure.getPeerX509Certificate()
  secure.write(`GET / HTTP/1.1\r\nHost: www.site.test:${port}\r\nConnection: close\r\n\r\n`)
  const [answer] = (await once(secure, 'data')) as [Buffer]
  secure.destroy()
  await proxy.quiet()
  return {
    fault: String(secure.authorizationError ?? ''),
    subject: leaf?.subject ?? '',
    issuer: leaf?.issuer ?? '',
    names: leaf?.subjectAltName ?? '',
    validTo: leaf?.validTo ?? '',
    status: Number(answer.toString('latin1', 9, 12)),
    records: proxy.records.map(record => `${record.method} ${record.result}/${record.status}`),
  }
}

const real = { subject: '/O=Site/CN=www.site.test', names: 'DNS:www.site.test,DNS:site.test' } as const
const tolerant = 'sslproxy_cert_error allow all\n'
const expiredDates = { from: daysFromNow(-50), until: daysFromNow(-5) }
const x509Date = (at: Date): number => Math.floor(at.getTime() / 1000)

test('a right one: the same names and dates, signed by the CA of the port', async () => {
  const until = daysFromNow(20)
  const seen = await shown(ca.make({ ...real, by: root, until }), '')
  expect(seen).toMatchObject({ fault: '', subject: 'CN=www.site.test\nO=Site', issuer: 'CN=Bumping CA\nO=Here', names: 'DNS:www.site.test, DNS:site.test', status: 200 })
  expect(x509Date(new Date(seen.validTo))).toBe(x509Date(until))
})

test('one signed by itself, tolerated: signed by itself for the client, too', async () => {
  expect(await shown(ca.make(real), tolerant)).toMatchObject({ fault: 'DEPTH_ZERO_SELF_SIGNED_CERT', subject: 'CN=www.site.test\nO=Site', status: 200 })
})

test("one of a stranger's, tolerated: by a CA nobody trusts, that says why", async () => {
  const seen = await shown(ca.make({ ...real, by: stranger }), tolerant)
  expect(seen).toMatchObject({ subject: 'CN=www.site.test\nO=Site', issuer: 'CN=Not trusted by \\"Bumping CA\\"', status: 200 })
  expect(seen.fault).toMatch(/SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO/)
})

test('sslproxy_cert_sign has the say before that', async () => {
  expect(await shown(ca.make(real), `${tolerant}sslproxy_cert_sign signTrusted ssl::certSelfSigned\n`)).toMatchObject({ fault: '', issuer: 'CN=Bumping CA\nO=Here', status: 200 })
  expect(await shown(ca.make({ ...real, by: root }), 'sslproxy_cert_sign signSelf all\n')).toMatchObject({ fault: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
})

test('an expired one, tolerated, is expired for the client; setValidAfter lends it the end of the CA', async () => {
  expect((await shown(ca.make({ ...real, by: root, ...expiredDates }), tolerant)).fault).toBe('CERT_HAS_EXPIRED')
  const adapted = await shown(ca.make({ ...real, by: root, ...expiredDates }), `${tolerant}sslproxy_cert_adapt setValidAfter ssl::certHasExpired\n`)
  expect(adapted.fault).toBe('')
  expect(adapted.validTo).toBe(new X509Certificate(bumper.cert).validTo)
})

test('one for another name: setCommonName makes it one for the name that was asked, or for that of the line', async () => {
  const other = { subject: '/O=Site/CN=other', names: 'DNS:other.test', by: root }
  const left = await shown(ca.make(other), tolerant)
  expect([left.names, left.fault]).toEqual(['DNS:other.test', 'ERR_TLS_CERT_ALTNAME_INVALID'])
  expect(await shown(ca.make(other), `${tolerant}sslproxy_cert_adapt setCommonName ssl::certDomainMismatch\n`)).toMatchObject({ fault: '', subject: 'CN=www.site.test', names: 'DNS:www.site.test' })
  expect((await shown(ca.make(other), `${tolerant}sslproxy_cert_adapt setCommonName{x.test} all\n`)).names).toBe('DNS:x.test')
})

test.each([
  ['signed by itself', () => ca.make(real)],
  ['expired', () => ca.make({ ...real, by: root, ...expiredDates })],
])('one %s and not tolerated: the page that says so', async (_what, make) => {
  const seen = await shown(make(), '')
  expect(seen.status).toBe(503)
  expect(seen.records.at(-1)).toMatch(/\/503$/)
})
