// Smaller directives about requests and their connections: what a client sees, and what servers are asked.

import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { Connection } from '../../comm/index.ts'
import { bytes, kib, ms } from '../../src/base/index.ts'
import { lengthContent } from '../../src/http/framing.ts'
import { RequestContent } from '../../src/proxy/http/request-content.ts'
import { heard } from '../support/origin.ts'
import { get, origin, raw, request, site, type Stage, stage, stageOf, until } from './scene.ts'

/** Accepts, and never says anything. */
const mute = async () => {
  const sockets: net.Socket[] = []
  const { port } = await raw(socket => {
    socket.pause()
    sockets.push(socket)
  })
  return { port, drop: () => sockets.forEach(socket => socket.destroy()) }
}

describe('persistent_connection_after_error', () => {
  const kept = async (proxy: Stage, text: string): Promise<readonly [number, boolean]> => {
    const wire = await proxy.client()
    const { status, fields } = await wire.send(text).response()
    return [status, fields.get('connection') !== 'close']
  }

  it('off ends the connection after any error: of the server, of the store, of ours', async () => {
    const web = await site(r => ({ status: r.url === '/gone' ? 410 : r.url === '/there' ? 200 : 404, fields: ['Cache-Control: max-age=600'] }))
    const proxy = await stage('persistent_connection_after_error off\n')
    for (const path of ['/there', '/gone', '/gone']) expect(await kept(proxy, get(web.port, path))).toEqual([path === '/there' ? 200 : 410, path === '/there'])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MISS/410', 'TCP_NEGATIVE_HIT/410'])
    expect(await kept(proxy, get(1))).toEqual([503, false])
    const usual = await stage()
    expect(await kept(usual, get(web.port, '/gone'))).toEqual([410, true])
    expect(await kept(usual, get(1))).toEqual([503, true])
  })
})

describe('force_request_body_continuation', () => {
  it('says 100 as soon as the request is let in, to whom it names', async () => {
    const silent = await mute()
    const proxy = await stage('acl impatient req_header X-Impatient .\nforce_request_body_continuation allow impatient\nread_timeout 30 seconds\n')
    const head = (extra: string): string => request('POST', silent.port, '/', ['Content-Length: 5', 'Expect: 100-continue', extra])
    const wire = await proxy.client()
    wire.send(head('X-Impatient: yes'))
    const [first] = (await once(wire.socket, 'data')) as [Buffer]
    expect(first.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    silent.drop()
    const other = await stageOf('http_port 127.0.0.1:0 name=web\nforce_request_body_continuation allow all\nhttp_access deny all\n')
    const refused = await (await other.client()).send(request('POST', silent.port, '/', ['Content-Length: 5', 'Expect: 100-continue'])).response('POST')
    expect(refused.interim).toEqual([])
  })
})

describe('broken_posts', () => {
  it('puts two bytes behind content of known length, for whom it names, and for nobody else', async () => {
    const told: string[] = []
    const { port } = await raw(socket => {
      const at = told.push('') - 1
      socket.on('data', (chunk: Buffer) => {
        told[at] += chunk.toString('latin1')
        if (/(?:hello|\r\n0\r\n\r\n|GET[^]*\r\n\r\n)(?:\r\n)?$/.test(told[at] ?? '')) setImmediate(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
      })
    })
    const proxy = await stage('acl stuck urlpath_regex ^/stuck\nbroken_posts allow stuck\n')
    const ended: string[] = []
    const post = async (path: string, chunked = false): Promise<void> => {
      const wire = await proxy.client()
      const content = chunked ? '5\r\nhello\r\n0\r\n\r\n' : 'hello'
      wire.send(request('POST', port, path, [chunked ? 'Transfer-Encoding: chunked' : 'Content-Length: 5'], content))
      expect((await wire.response('POST')).status).toBe(200)
      ended.push((told.at(-1) ?? '').split('\r\n\r\n').slice(1).join('\r\n\r\n'))
    }
    await post('/stuck')
    // in two pieces: it is streamed
    const slow = await proxy.client()
    slow.send(request('POST', port, '/stuck/slow', ['Content-Length: 5'], 'he'))
    await until(() => told.length === 2 && (told[1] ?? '').endsWith('he'), 'the first half')
    slow.send('llo')
    expect((await slow.response('POST')).status).toBe(200)
    ended.push((told[1] ?? '').split('\r\n\r\n')[1] ?? '')
    await post('/other')
    expect((await proxy.ask(get(port, '/stuck'))).status).toBe(200)
    ended.push((told.at(-1) ?? '').split('\r\n\r\n')[1] ?? '')
    expect(ended).toEqual(['hello\r\n', 'hello\r\n', 'hello', ''])
  })
})

describe('http_upgrade_request_protocols', () => {
  /** Changes to whatever it is told, and echoes. */
  const changing = (answer: string) =>
    raw(async (socket, _nth) => {
      const head = await heard(socket).catch(() => '')
      const offered = /^Upgrade: (.*)\r$/m.exec(head)?.[1]
      asked.push(offered ?? '-')
      socket.on('end', () => socket.end())
      if (offered === undefined) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
      else socket.write(`HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: ${answer}\r\n\r\n`)
    })
  const asked: string[] = []
  const upgrade = (port: number, protocols: string): string => get(port, '/', 'Connection: Upgrade', `Upgrade: ${protocols}`)
  const status = async (proxy: Stage, port: number, protocols: string): Promise<string> => {
    const wire = await proxy.client()
    wire.send(upgrade(port, protocols))
    const [first] = (await once(wire.socket, 'data')) as [Buffer]
    wire.close()
    return first.toString().slice(9, 12)
  }

  it('offers what the lines allow, name and version, and OTHER for the rest', async () => {
    asked.length = 0
    const web = await changing('websocket')
    const proxy = await stage('acl here src 127.0.0.1\nhttp_upgrade_request_protocols websocket allow here\nhttp_upgrade_request_protocols chat/2 deny all\nhttp_upgrade_request_protocols chat allow all\nhttp_upgrade_request_protocols OTHER deny all\n')
    expect(await status(proxy, web.port, 'chat/2, websocket/13, tea')).toBe('101')
    expect(await status(proxy, web.port, 'chat/2, tea')).toBe('200')
    expect(asked).toEqual(['websocket/13', '-'])
  })

  it('refuses a server that changes to something else', async () => {
    const web = await changing('tea')
    const proxy = await stage('http_upgrade_request_protocols websocket allow all\n')
    expect(await status(proxy, web.port, 'websocket')).toBe('502')
    const usual = await stage()
    expect(await status(usual, web.port, 'websocket')).toBe('101')
  })
})

describe('retry_on_error', () => {
  /** One name with two addresses; the first says 503. */
  const twoServers = async () => {
    const asked: string[] = []
    const listen = async (address: string, port: number, code: number): Promise<http.Server> => {
      const server = http.createServer((asking, response) => {
        asked.push(`${address} ${asking.method}`)
        asking.resume().on('end', () => response.writeHead(code, { 'Content-Length': 2 }).end('ok'))
      })
      server.listen(port, address)
      await once(server, 'listening')
      return server
    }
    const first = await listen('127.0.0.1', 0, 503)
    const { port } = first.address() as net.AddressInfo
    const second = await listen('127.0.0.2', port, 200)
    return { port, asked, close: () => [first, second].forEach(server => server.close()) }
  }

  it('asks the next address after an error, unless the request had content', async () => {
    const two = await twoServers()
    try {
      const hosts = (on: string): string => `http_port 127.0.0.1:0 name=web\nhttp_access allow all\nhosts_file ${new URL('./two-hosts', import.meta.url).pathname}\nretry_on_error ${on}\n`
      const proxy = await stageOf(hosts('on'))
      const ask = (method: string, content = ''): string => `${method} http://two.test:${two.port}/ HTTP/1.1\r\nHost: two.test:${two.port}\r\n${content === '' ? '' : `Content-Length: ${content.length}\r\n`}\r\n${content}`
      expect((await proxy.ask(ask('GET'))).status).toBe(200)
      expect((await proxy.ask(ask('POST', 'x'), 'POST')).status).toBe(503)
      expect(two.asked).toEqual(['127.0.0.1 GET', '127.0.0.2 GET', '127.0.0.1 POST'])
      const usual = await stageOf(hosts('off'))
      expect((await usual.ask(ask('GET'))).status).toBe(503)
    } finally {
      two.close()
    }
  })
})

describe('connect_retries', () => {
  it('dials a target again that does not answer yet', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as net.AddressInfo
    taken.close()
    await once(taken, 'close')
    const proxy = await stage('connect_retries 2\n')
    const answer = proxy.ask(get(port))
    await until(() => proxy.machine.comm.counters.connectFailures > 0, 'the first try')
    const late = http.createServer((_, response) => response.end('late')).listen(port, '127.0.0.1')
    await once(late, 'listening')
    try {
      proxy.clock.advance(ms(600))
      expect((await answer).body).toBe('late')
      expect(proxy.machine.comm.counters.connectFailures).toBe(1)
    } finally {
      late.close()
    }
  })

  it('gives up after so many', async () => {
    const proxy = await stage('connect_retries 2\n')
    const answer = proxy.ask(get(1))
    for (let tries = 1; tries < 3; tries++) {
      await until(() => proxy.machine.comm.counters.connectFailures >= tries, `try ${tries}`)
      proxy.clock.advance(ms(600))
    }
    expect((await answer).status).toBe(503)
    expect(proxy.machine.comm.counters.connectFailures).toBe(3)
  })
})

describe('client_request_buffer_max_size', () => {
  it('bounds what waits of a request\'s content', () => {
    let deferred = 0
    const connection = { deferRead: () => void deferred++, resumeRead() {}, write: () => true } as unknown as Connection // all it uses
    const content = new RequestContent(connection, lengthContent(1_000_000), bytes(1_000_000), kib(64), false)
    const piece = Buffer.alloc(16 * 1024)
    let fed = 0
    while (deferred === 0) {
      content.feed(piece, 0, piece.length)
      fed += piece.length
    }
    expect(fed).toBe(48 * 1024) // more than half; as much again may come in one go
  })
})

describe('indirect clients', () => {
  const conf = 'acl balancer src 127.0.0.1\nfollow_x_forwarded_for allow balancer\nacl_uses_indirect_client off\n'

  it('have buckets of their own, or share the balancer\'s', async () => {
    const web = await origin((_, response) => response.end(Buffer.alloc(3000, 'x')))
    const pools = 'delay_pools 1\ndelay_class 1 2\ndelay_parameters 1 none 1000/2000\ndelay_access 1 allow all\ndelay_initial_bucket_level 100\n'
    const got = async (more: string): Promise<number[]> => {
      const proxy = await stage(conf + pools + more)
      const seen: number[] = []
      for (const [i, client] of ['10.0.0.1', '10.0.0.2'].entries()) {
        const wire = await proxy.client()
        seen[i] = 0
        wire.socket.on('data', (piece: Buffer) => {
          seen[i] = (seen[i] ?? 0) + piece.filter(byte => byte === 0x78).length
        })
        wire.send(get(web.port, `/${i}`, `X-Forwarded-For: ${client}`))
      }
      await until(() => seen.reduce((a, b) => a + b, 0) >= 1990, 'the buckets')
      for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
      return seen
    }
    const own = await got('')
    expect(own.every(bytes => bytes >= 1990 && bytes <= 2010)).toBe(true)
    const shared = await got('delay_pool_uses_indirect_client off\n')
    expect(shared[0] !== undefined && shared[1] !== undefined && shared[0] + shared[1]).toBeLessThan(2020)
  })
})

describe('heads that two programs could read differently', () => {
  it('are told of with relaxed_header_parser warn', async () => {
    const proxy = await stage('relaxed_header_parser warn\n')
    expect((await proxy.ask('GET http://x/ HTTP/1.1\r\nHost : x\r\n\r\n')).status).toBe(400)
    expect(proxy.said.some(line => /a request head of 127\.0\.0\.1:\d+ on port web is refused: field-name-space/.test(line))).toBe(true)
    const usual = await stage()
    expect((await usual.ask('GET http://x/ HTTP/1.1\r\nHost : x\r\n\r\n')).status).toBe(400)
    expect(usual.said.join()).not.toContain('refused')
  })

  it('with blanks in their URI are what uri_whitespace says, and never sent on so', async () => {
    const web = await site(() => ({}))
    const statuses: number[] = []
    for (const how of ['deny', 'strip', 'encode', 'allow', 'chop']) {
      const proxy = await stage(`uri_whitespace ${how}\n`)
      statuses.push((await proxy.ask(get(web.port, '/a b\tc'))).status)
    }
    expect(statuses).toEqual([400, 200, 200, 200, 200])
    expect(web.requests.map(r => r.url)).toEqual(['/abc', '/a%20b%09c', '/a%20b%09c', '/a'])
  })
})

describe('request_body_delay_forward_size', () => {
  it('asks the server when so much of the content is there, or all of it', async () => {
    const web = await site(() => ({}))
    const proxy = await stage('request_body_delay_forward_size 10 bytes\n')
    const wire = await proxy.client()
    wire.send(request('POST', web.port, '/long', ['Content-Length: 20'], '123456789'))
    await until(() => proxy.machine.comm.fdTable().some(entry => entry.local?.port === proxy.port('web') && entry.bytesRead > 0), 'the head')
    for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
    expect(web.connections).toBe(0)
    wire.send('0')
    await until(() => web.connections > 0, 'the server being asked')
    expect((await wire.send('1234567890').response('POST')).status).toBe(200)
    expect((await proxy.ask(request('POST', web.port, '/short', ['Content-Length: 3'], 'abc'), 'POST')).status).toBe(200)
    const leaving = await proxy.client()
    leaving.send(request('POST', web.port, '/never', ['Content-Length: 20'], '1')).close()
    await proxy.results(3)
    expect(web.requests.map(r => r.url)).toEqual(['/long', '/short'])
  })
})
