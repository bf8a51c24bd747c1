// Peers that are spoken to in TLS: who they must prove to be, and what goes there. The peers are Node's; seen by what they
// were asked and by the record.

import { once } from 'node:events'
import https from 'node:https'
import net from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Made, TestCa } from '../support/test-ca.ts'
import { get, raw, stage, stageOf } from './scene.ts'

const ca = new TestCa()
let root: Made
let right: Made
let client: Made
let files: { readonly root: string; readonly client: string }
beforeAll(() => {
  root = ca.make({ subject: '/CN=Lab Root', ca: true })
  right = ca.make({ subject: '/CN=peer.example', names: 'DNS:peer.example', by: root })
  client = ca.make({ subject: '/CN=child', by: root })
  files = { root: ca.write('root.pem', root.cert), client: ca.write('client.pem', client.cert + client.key) }
})
afterAll(() => ca.remove())

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A proxy in TLS: what it was asked, by whom; CONNECT is answered with an echo. */
const securePeer = async () => {
  const asked: string[] = []
  const by: string[] = []
  const server = https.createServer({ cert: right.cert, key: right.key, ca: root.cert, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end('by TLS')
  })
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket))
  server.on('secureConnection', socket => void by.push(socket.getPeerX509Certificate()?.subject ?? ''))
  server.on('connect', (request, socket) => {
    asked.push(`${request.method} ${request.url}`)
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const address = server.address()
  return { asked, by, port: typeof address === 'object' && address !== null ? address.port : 0 }
}

const line = (port: number, options: string): string => `cache_peer 127.0.0.1 parent ${port} 0 no-query name=p ${options}\nnever_direct allow all\n`
const trusted = (): string => `tls tls-cafile=${files.root} tls-default-ca=off ssldomain=peer.example`

describe('a peer in TLS', () => {
  it('is sent requests once it has proved who it is', async () => {
    const peer = await securePeer()
    const proxy = await stage(line(peer.port, `${trusted()} sslcert=${files.client}`))
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(9, `/${i}`))).body).toBe('by TLS')
    expect(peer.asked).toEqual(['GET http://127.0.0.1:9/0', 'GET http://127.0.0.1:9/1'])
    expect(peer.by).toEqual(['CN=child']) // one connection for both
    await proxy.results(2)
    expect(proxy.records[0]).toMatchObject({ hierarchy: 'FIRSTUP_PARENT', peer: 'p', status: 200 })
  })

  it('is sent https requests too, and a peer in clear text is not', async () => {
    const peer = await securePeer()
    const proxy = await stage(line(peer.port, trusted()))
    const clear = await stage(line(peer.port, ''))
    const ask = 'GET https://far.invalid/ HTTP/1.1\r\nHost: far.invalid\r\n\r\n'
    expect((await proxy.ask(ask)).body).toBe('by TLS')
    expect((await clear.ask(ask)).status).toBe(503)
    expect(peer.asked).toEqual(['GET https://far.invalid/'])
  })

  it.each([
    ['names another', 'tls ssldomain=other.example'],
    ['was signed by nobody we trust', 'tls ssldomain=peer.example'],
  ])('whose certificate %s is sent nothing', async (_what, options) => {
    const peer = await securePeer()
    const proxy = await stage(line(peer.port, `${options} tls-default-ca=off ${options.includes('other') ? `tls-cafile=${files.root}` : ''}`))
    expect((await proxy.ask(get(9))).status).toBe(503)
    expect(peer.asked).toEqual([])
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ error: 'secure-connect-failed' })
  })

  it('tunnels', async () => {
    const peer = await securePeer()
    const proxy = await stage(line(peer.port, trusted()))
    const wire = await proxy.client()
    wire.send('CONNECT far.invalid:443 HTTP/1.1\r\nHost: far.invalid:443\r\n\r\n')
    expect((await wire.response('CONNECT')).status).toBe(200)
    wire.send('echo')
    expect(await wire.bytes(4)).toBe('echo')
    wire.close()
    expect(peer.asked).toEqual(['CONNECT far.invalid:443'])
  })

  it('that speaks no TLS is passed over', async () => {
    const plain = await raw(socket => void socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')))
    const peer = await securePeer()
    const proxy = await stage(line(plain.port, trusted()) + line(peer.port, trusted()).replace('name=p', 'name=q').replace('never_direct allow all\n', ''))
    expect((await proxy.ask(get(9))).body).toBe('by TLS')
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ peer: 'q', hierarchy: 'ANY_OLD_PARENT' })
  })

  it('is the origin behind an accelerator', async () => {
    const peer = await securePeer()
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web accel defaultsite=www.site.invalid\nhttp_access allow all\n${line(peer.port, `originserver ${trusted()}`)}`)
    expect((await proxy.ask('GET /x HTTP/1.1\r\nHost: www.site.invalid\r\n\r\n')).body).toBe('by TLS')
    expect(peer.asked).toEqual(['GET /x'])
  })
})
