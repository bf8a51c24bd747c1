// Peers that are spoken to in TLS: who they must prove to be, and what goes there. The peers are Node's; seen by what they
// were asked and by the record.

import { once } from 'node:events'
import https from 'node:https'
import net from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Made, TestCa } from '../support/test-ca.ts'
import { heard } from '../support/origin.ts'
import { get, raw, stage, stageOf, until } from './scene.ts'

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

  it('is asked for its monitorurl inside TLS, whatever its certificate', async () => {
    const peer = await securePeer()
    const plain = await raw(socket => void socket.on('error', () => {}).end('HTTP/1.1 400 this is no TLS\r\n\r\n'))
    const monitored = (port: number, name: string): string => `cache_peer 127.0.0.1 parent ${port} 0 no-query name=${name} tls monitorurl=https://health.invalid/ monitorinterval=5\n`
    const proxy = await stage(`${monitored(peer.port, 'well')}${monitored(plain.port, 'ill')}never_direct allow all\n`)
    // names are looked up at the first turn
    await until(() => {
      proxy.clock.advance(5000)
      return peer.asked.length > 1 && proxy.said.some(text => text.includes('Detected DEAD Parent: ill'))
    }, 'the page of one, and the other found out')
    expect(new Set(peer.asked)).toEqual(new Set(['GET https://health.invalid/']))
    expect(proxy.said.filter(text => text.includes('Parent: well'))).toEqual([])
  })

  it('is sent https requests too', async () => {
    const peer = await securePeer()
    const proxy = await stage(line(peer.port, trusted()))
    expect((await proxy.ask('GET https://far.invalid/ HTTP/1.1\r\nHost: far.invalid\r\n\r\n')).body).toBe('by TLS')
    expect(peer.asked).toEqual(['GET https://far.invalid/'])
  })

  it('in clear text tunnels them, and does not see what is asked', async () => {
    const behind = await securePeer()
    const heads: string[] = []
    const parent = await raw(async socket => {
      const head = await heard(socket).catch(() => null)
      if (head === null) return // it was only looked for
      heads.push(head)
      const no = head.includes('no.example')
      socket.write(no ? 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n' : 'HTTP/1.1 200 OK\r\n\r\n')
      if (no) return
      const on = net.connect(behind.port, '127.0.0.1')
      socket.pipe(on).pipe(socket)
      for (const one of [on, socket]) one.on('error', () => {})
      socket.on('close', () => on.destroy())
    })
    const proxy = await stage(`${line(parent.port, 'login=u:p')}tls_outgoing_options cafile=${files.root} default-ca=off\n`)
    const ask = (host: string, path: string) => proxy.ask(`GET https://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    for (const path of ['/1', '/2']) expect((await ask('peer.example', path)).body).toBe('by TLS')
    expect(behind.asked).toEqual(['GET /1', 'GET /2'])
    expect(heads).toEqual(['CONNECT peer.example:443 HTTP/1.1\r\nHost: peer.example:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n'])
    expect((await ask('other.example', '/')).status).toBe(503) // it is shown the certificate of another
    expect((await ask('no.example', '/')).status).toBe(503)
    await proxy.results(4)
    expect(proxy.records.map(r => `${r.hierarchy} ${r.peer} ${r.error ?? ''}`.trim())).toEqual([
      'FIRSTUP_PARENT p', 'FIRSTUP_PARENT p', 'FIRSTUP_PARENT p secure-connect-failed', 'FIRSTUP_PARENT p connect-failed',
    ])
    expect(behind.asked).toHaveLength(2)
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
