// require-proxy-header: whose a connection is, is said by a balancer. Seen at the proxy, in what it records, what its access
// lists let in and what origins are told; with HAProxy and curl as balancers, and with bytes of our own for the edges.

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { get, site, type Stage, stageOf, until } from './scene.ts'

const run = promisify(execFile)
const noHaproxy = spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).error !== undefined

const conf = `http_port 127.0.0.1:0 name=web require-proxy-header
acl balancer src 127.0.0.1
proxy_protocol_access allow balancer
acl office src 10.1.2.3 2001:db8::/32
acl site localip 203.0.113.5
`
const header = 'PROXY TCP4 10.1.2.3 203.0.113.5 4444 80\r\n'
const signature = '\r\n\r\n\0\r\nQUIT\n'

const closed = async (proxy: Stage, text: string, half = false): Promise<string> => {
  const wire = await proxy.client()
  wire.send(text)
  if (half) wire.end()
  return wire.response().then(({ status }) => String(status), () => 'closed')
}

describe('a connection that is introduced', () => {
  it('is judged, recorded and passed on as the client of the header, for all its requests', async () => {
    const web = await site(() => ({}))
    const proxy = await stageOf(`${conf}http_access allow office site\nhttp_access deny all\n`)
    const wire = await proxy.client()
    // the header and the first request come in pieces that know nothing of each other
    for (const piece of [header.slice(0, 9), header.slice(9) + get(web.port, '/1').slice(0, 5), get(web.port, '/1').slice(5)]) {
      wire.send(piece)
      await sleep(systemClock, ms(1))
    }
    expect((await wire.response()).status).toBe(200)
    expect((await wire.send(get(web.port, '/2')).response()).status).toBe(200)
    expect(proxy.records.map(({ client, clientLocal, introduced }) => [client, clientLocal, introduced?.local.port])).toEqual(
      Array(2).fill([{ family: 4, address: '10.1.2.3', port: 4444 }, { family: 4, address: '203.0.113.5', port: 80 }, proxy.port('web')]),
    )
    expect(web.field(0, 'x-forwarded-for')).toBe('10.1.2.3')
  })

  it('counts against the limits of its client', async () => {
    const web = await site(() => ({}))
    const proxy = await stageOf(`client_ip_max_connections 1\n${conf}http_access allow all\n`)
    const first = await proxy.client()
    expect((await first.send(header + get(web.port)).response()).status).toBe(200)
    expect(await closed(proxy, header + get(web.port))).toBe('closed')
    expect(await closed(proxy, header.replace('10.1.2.3', '10.1.2.4') + get(web.port))).toBe('200')
  })

  it('without addresses stays the balancer', async () => {
    const web = await site(() => ({}))
    const proxy = await stageOf(`${conf}http_access allow balancer\n`)
    expect(await closed(proxy, `PROXY UNKNOWN\r\n${get(web.port)}`)).toBe('200')
    expect(await closed(proxy, `${signature}\x20\x00\x00\x00${get(web.port)}`)).toBe('200')
    expect(await closed(proxy, header + get(web.port))).toBe('403')
  })

  it('on an interception port had been going where the header says', async () => {
    const web = await site(() => ({ content: 'there' }))
    const proxy = await stageOf(`${conf.replace('name=web', 'name=web intercept')}http_access allow all\n`)
    const wire = await proxy.client()
    wire.send(`PROXY TCP4 10.1.2.3 127.0.0.1 4444 ${web.port}\r\nGET / HTTP/1.1\r\nHost: 127.0.0.1:${web.port}\r\n\r\n`)
    expect((await wire.response()).body).toBe('there')
    expect(proxy.records[0]).toMatchObject({ taken: 'nat', hierarchy: 'ORIGINAL_DST', client: { address: '10.1.2.3' } })
    // nobody has said where this one was going
    expect(await closed(proxy, `PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: 127.0.0.1:${web.port}\r\n\r\n`)).toBe('403')
  })

  it('works where the addon does not load', async () => {
    const web = await site(() => ({}))
    const proxy = await stageOf(`${conf}http_access allow office\n`, 'node')
    expect(await closed(proxy, header + get(web.port))).toBe('200')
  })
})

describe('a connection is closed', () => {
  it.each([
    ['that begins with a request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'it begins with something else'],
    ['whose header is wrong', header.replace('4444', '44444444'), 'no two ends of TCP4'],
    ['that ends before its header does', header.slice(0, 20), 'the connection ended before it'],
  ])('%s', async (_, text, why) => {
    const proxy = await stageOf(`${conf}http_access allow all\n`)
    expect(await closed(proxy, text, true)).toBe('closed')
    await until(() => proxy.said.some(line => line.includes(why)), why)
    expect(proxy.records).toEqual([])
  })

  it('of somebody who may not speak for others, unread', async () => {
    const proxy = await stageOf(`${conf.replace('allow balancer', 'deny balancer')}http_access allow all\n`)
    expect(await closed(proxy, header + get(1))).toBe('closed')
    expect(proxy.said.join()).toContain('proxy_protocol_access does not allow it')
  })

  it('whose header does not come in time', async () => {
    const proxy = await stageOf(`${conf}http_access allow all\nrequest_start_timeout 5 seconds\n`)
    const wire = await proxy.client()
    const answer = wire.send('PROXY').response().then(() => 'answered', () => 'closed')
    await until(() => {
      proxy.clock.advance(ms(500))
      return proxy.said.some(line => line.includes('in time'))
    }, 'the end of patience')
    expect(await answer).toBe('closed')
  })
})

describe('real balancers', () => {
  it('curl --haproxy-protocol', async () => {
    const web = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${conf}http_access allow all\nlogformat x %proxy_protocol::>h\n`)
    const { stdout } = await run('curl', ['-s', '--noproxy', '', '--haproxy-protocol', '-x', `http://127.0.0.1:${proxy.port('web')}`, `http://127.0.0.1:${web.port}/`])
    expect(stdout).toBe('hello')
    expect(proxy.records[0]?.introduced?.pairs.slice(0, 6)).toEqual([':version', '1.0', ':command', '1', ':src_addr', '127.0.0.1'])
  })

  it.skipIf(noHaproxy).each(['send-proxy', 'send-proxy-v2'])(`HAProxy with %s${noHaproxy ? ' (needs haproxy)' : ''}`, async word => {
    const web = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${conf}http_access allow office\nhttp_access deny all\nacl office src 127.0.0.77\n`)
    const balancer = await haproxy(`server p 127.0.0.1:${proxy.port('web')} ${word}`)
    try {
      const { stdout } = await run('curl', ['-s', '--noproxy', '', '--interface', '127.0.0.77', '-x', `http://127.0.0.1:${balancer.port}`, `http://127.0.0.1:${web.port}/`])
      expect(stdout).toBe('hello')
      expect(proxy.records[0]).toMatchObject({ client: { address: '127.0.0.77' }, clientLocal: { address: '127.0.0.1', port: balancer.port } })
      expect(proxy.records[0]?.introduced?.pairs[1]).toBe(word === 'send-proxy' ? '1.0' : '2.0')
    } finally {
      await balancer.stop()
    }
  })
})

const freePort = async (): Promise<number> => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A TCP balancer in front of that server. The port may be taken between looking and binding: then another. */
const haproxy = async (server: string): Promise<{ readonly port: number; stop(): Promise<void> }> => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-haproxy-'))
  for (let attempt = 0; ; attempt++) {
    const port = await freePort()
    const file = join(folder, 'conf')
    writeFileSync(file, `defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\nlisten l\n bind 127.0.0.1:${port}\n ${server}\n`)
    const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' })
    const stop = async (): Promise<void> => {
      if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    }
    if (await listens(port, child)) return { port, stop }
    if (attempt >= 2) {
      await stop()
      throw new Error('haproxy does not start')
    }
  }
}

const listens = async (port: number, child: ChildProcess): Promise<boolean> => {
  for (let i = 0; i < 500 && child.exitCode === null; i++) {
    const socket = net.connect(port, '127.0.0.1')
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false)
    socket.destroy()
    if (open) return true
    await sleep(systemClock, ms(10))
  }
  return false
}
