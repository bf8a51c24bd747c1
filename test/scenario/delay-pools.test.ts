// Delay pools as Squid's: which bytes count against whose bucket, and at what rate they then pass. The clock is moved by
// hand, so that what has passed after so many seconds is a number, not a range: what was in the bucket, and the rate.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Bandwidth } from '../../comm/bandwidth.ts'
import type { Connection } from '../../comm/connection.ts'
import { mib, ProxyError } from '../../src/base/index.ts'
import { lengthContent } from '../../src/http/framing.ts'
import { KeyedBuckets } from '../../src/proxy/http/delay/buckets.ts'
import { networkOf } from '../../src/proxy/http/delay/pools.ts'
import { RequestContent } from '../../src/proxy/http/request-content.ts'
import { clientConnections, get, origin, raw, request, type Stage, stage, stageOf, until } from './scene.ts'

const clients: net.Socket[] = []

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
})

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}

const passes = async (proxy: Stage, seconds: number): Promise<void> => {
  for (let i = 0; i < seconds * 20; i++) {
    await turns(4)
    proxy.clock.advance(50)
  }
  await turns(20)
}

/** Content of a response, or what comes through a tunnel, as far as it has come. */
const asks = async (proxy: Stage, request: string, localAddress = '127.0.0.1') => {
  const socket = net.connect({ port: proxy.port('web'), host: '127.0.0.1', localAddress })
  clients.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  let head = ''
  const seen = { bytes: 0, socket, head: () => head }
  socket.on('data', (chunk: Buffer) => {
    if (head.includes('\r\n\r\n')) {
      seen.bytes += chunk.length
      return
    }
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end >= 0) seen.bytes = head.length - end - 4
  })
  socket.write(request)
  return seen
}

const fullOf = (bytes: number, ...fields: string[]) =>
  origin((_, response) => {
    for (const line of fields) response.setHeader(...(line.split(': ', 2) as [string, string]))
    response.end(Buffer.alloc(bytes, 'x'))
  })

const onePool = (kind: number, parameters: string): string =>
  `delay_pools 1\ndelay_class 1 ${kind}\ndelay_parameters 1 ${parameters}\ndelay_access 1 allow all\n`

describe('delay_pools', () => {
  it('class 1: all together get the rate, after half of the bucket', async () => {
    const server = await fullOf(400_000)
    const proxy = await stage(onePool(1, '10000/20000'))
    const [a, b] = [await asks(proxy, get(server.port, '/a')), await asks(proxy, get(server.port, '/b'))]
    await until(() => a.bytes + b.bytes === 10_000, 'what is in the bucket at first')
    await passes(proxy, 3)
    await until(() => a.bytes + b.bytes >= 40_000, 'three seconds of it')
    expect(a.bytes + b.bytes).toBe(40_000)
    expect(Math.min(a.bytes, b.bytes)).toBeGreaterThan(5_000) // in turn: nobody starves
  })

  it('class 2: a bucket for each client, whatever it has open', async () => {
    const server = await fullOf(400_000)
    const proxy = await stage(`${onePool(2, 'none 10000/10000')}delay_initial_bucket_level 100`)
    const mine = [await asks(proxy, get(server.port, '/a')), await asks(proxy, get(server.port, '/b'))]
    const other = await asks(proxy, get(server.port, '/c'), '127.0.0.2')
    const sum = () => mine.reduce((all, { bytes }) => all + bytes, 0)
    await until(() => sum() === 10_000 && other.bytes === 10_000, 'the full buckets')
    await passes(proxy, 2)
    await until(() => sum() >= 30_000 && other.bytes >= 30_000, 'two seconds')
    expect([sum(), other.bytes]).toEqual([30_000, 30_000])
  })

  it('class 3: a network is a /24, and the poorest of the buckets counts', async () => {
    const server = await fullOf(400_000)
    const proxy = await stage(`${onePool(3, '-1/-1 10000/10000 8000/8000')}delay_initial_bucket_level 0`)
    const here = [await asks(proxy, get(server.port, '/a')), await asks(proxy, get(server.port, '/b'), '127.0.0.2')]
    const there = await asks(proxy, get(server.port, '/c'), '127.0.9.1')
    await until(() => [...here, there].every(client => client.head() !== ''), 'the heads')
    await passes(proxy, 2)
    const sum = () => here.reduce((all, { bytes }) => all + bytes, 0)
    await until(() => sum() >= 20_000 && there.bytes >= 16_000, 'two seconds')
    expect([sum(), there.bytes]).toEqual([20_000, 16_000])
  })

  it('the first bytes of a response are free with delay_body_max_size, for whom it names', async () => {
    const server = await fullOf(40_000)
    const small = await fullOf(8_000)
    const proxy = await stage(`${onePool(1, '5000/5000')}delay_initial_bucket_level 0
acl big urlpath_regex ^/big
delay_body_max_size 0 KB big
delay_body_max_size 10000 bytes allow all`)
    const [part, none, all] = [await asks(proxy, get(server.port, '/a')), await asks(proxy, get(server.port, '/big')), await asks(proxy, get(small.port, '/s'))]
    await until(() => part.bytes === 10_000 && none.head() !== '' && all.bytes === 8_000, 'what is free')
    expect(none.bytes).toBe(0)
    await passes(proxy, 2)
    await until(() => part.bytes + none.bytes >= 20_000, 'two seconds')
    expect(part.bytes + none.bytes).toBe(20_000)
  })

  it('what clients send is slowed down by delay_client_request_access, however small it is', async () => {
    let bytes = 0
    const server = await origin((incoming, response) => {
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      }).on('end', () => response.end('done'))
    })
    const proxy = await stage(`delay_pools 1
delay_class 1 2
delay_parameters 1 none 5000/5000
delay_initial_bucket_level 0
acl post method POST
delay_client_request_access 1 allow post`)
    const upload = (method: string, size: number): string => request(method, server.port, '/', [`Content-Length: ${size}`], 'x'.repeat(size))
    const [first, second] = [await asks(proxy, upload('POST', 400_000)), await asks(proxy, upload('POST', 100))]
    await passes(proxy, 3)
    await until(() => bytes >= 15_000, 'three seconds')
    expect(bytes).toBe(15_000)
    await until(() => second.head() !== '', 'the small one, which takes its turn')
    expect(first.head()).toBe('')
    // the client is not read ahead of the server without end: half of client_request_buffer_max_size, and what came with it
    expect(clientConnections(proxy)[0]?.bytesRead).toBeLessThan(400_000)
    const other = await asks(proxy, upload('PUT', 300_000))
    await until(() => other.head() !== '', 'one that is not slowed down')
    first.socket.destroy()
    const again = await asks(proxy, upload('POST', 5_000))
    await passes(proxy, 2)
    await until(() => again.head() !== '', 'another upload of the same client')
    // who left is noticed when he is read again
    for (let i = 0; i < 60 && clientConnections(proxy).length > 3; i++) await passes(proxy, 1)
    expect(clientConnections(proxy)).toHaveLength(3)
  })

  it('content nobody has read gives its buckets back', async () => {
    const given: string[] = []
    const empty = { left: () => 0, take: () => {}, close: () => {} } as unknown as Bandwidth
    const content = (name: string): RequestContent => {
      const connection = { deferRead() {}, resumeRead() {}, write: () => true } as unknown as Connection
      const made = new RequestContent(connection, lengthContent(5), mib(1), mib(1), false)
      made.slow({ limits: [empty], giveBack: () => void given.push(name) }, { open: () => empty, onFilled: () => () => {} })
      made.feed(Buffer.from('hello'), 0, 5)
      return made
    }
    content('discarded').discard()
    content('failed').fail(new ProxyError('client-aborted', 'gone', { side: 'client' }))
    content('over').quicken()
    const left = content('left')[Symbol.asyncIterator]()
    void left.next()
    await left.return?.()
    const late = content('late')
    const rest = late[Symbol.asyncIterator]()
    const piece = rest.next() // waits: there are no tokens
    late.quicken()
    expect(String((await piece).value)).toBe('hello')
    expect((await rest.next()).done).toBe(true)
    expect(given).toEqual(['discarded', 'failed', 'over', 'left', 'late'])
  })

  it('what clients receive is slowed down by delay_client_reply_access, from the cache, too', async () => {
    const server = await fullOf(40_000, 'Cache-Control: max-age=600')
    const proxy = await stage(`delay_pools 1
delay_class 1 2
delay_parameters 1 none 5000/5000
delay_initial_bucket_level 0
acl slow urlpath_regex slow
delay_client_reply_access 1 allow slow`)
    const quick = await asks(proxy, get(server.port, '/'))
    await until(() => quick.bytes === 40_000, 'what no pool has')
    const first = await asks(proxy, get(server.port, '/slow'))
    await passes(proxy, 2)
    await until(() => first.bytes > 9_000, 'two seconds')
    expect(first.bytes + first.head().indexOf('\r\n\r\n') + 4).toBe(10_000)
    await passes(proxy, 7)
    await until(() => first.bytes === 40_000, 'all of it')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
    const hit = await asks(proxy, get(server.port, '/slow'))
    await passes(proxy, 1)
    await until(() => hit.bytes > 4_000, 'a second')
    expect(hit.bytes).toBeLessThan(10_000)
    await passes(proxy, 8)
    await until(() => hit.bytes === 40_000, 'all of it')
    expect((await proxy.results(3))[2]).toBe('TCP_MEM_HIT/200')
  })

  it('class 4 limits as class 3 while nobody knows the user', async () => {
    const server = await fullOf(400_000)
    const proxy = await stage(`${onePool(4, 'none none 10000/10000 1/1')}delay_initial_bucket_level 0`)
    const client = await asks(proxy, get(server.port))
    await until(() => client.head() !== '', 'the head')
    await passes(proxy, 1)
    await until(() => client.bytes >= 10_000, 'a second')
    expect(client.bytes).toBe(10_000)
  })

  it('class 4: a bucket for each user, wherever they are', async () => {
    const server = await fullOf(400_000)
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-pools-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    // htpasswd -s: the password is `secret`
    writeFileSync(join(folder, 'passwords'), ['ann', 'bob'].map(name => `${name}:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`).join(''))
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web
auth_param basic program /usr/lib/squid/basic_ncsa_auth ${folder}/passwords
auth_param basic realm r
acl known proxy_auth REQUIRED
http_access allow known
${onePool(4, 'none none none 10000/10000')}delay_initial_bucket_level 0`)
    const as = (name: string, path: string, from: string) =>
      asks(proxy, get(server.port, path, `Proxy-Authorization: Basic ${Buffer.from(`${name}:secret`).toString('base64')}`), from)
    const ann = [await as('ann', '/a', '127.0.0.1'), await as('ann', '/b', '127.0.9.2')]
    const bob = await as('bob', '/c', '127.0.0.1')
    await until(() => [...ann, bob].every(client => client.head() !== ''), 'the heads')
    await passes(proxy, 2)
    const sum = () => ann.reduce((all, { bytes }) => all + bytes, 0)
    await until(() => sum() >= 20_000 && bob.bytes >= 20_000, 'two seconds')
    expect([sum(), bob.bytes]).toEqual([20_000, 20_000])
  })

  it('class 5: a bucket for each tag that a helper gives; who has none is not slowed down', async () => {
    const server = await fullOf(100_000)
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-pools-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const script = 'while read -r path rest; do case "$path" in /free) echo OK;; *) echo "OK tag=${path%%[0-9]*}";; esac; done'
    writeFileSync(join(folder, 'tags'), `#!/bin/sh
${script}
`, { mode: 0o755 })
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web
external_acl_type kind %PATH ${folder}/tags
acl tagged external kind
http_access allow tagged
${onePool(5, '10000/10000')}delay_initial_bucket_level 0`)
    const films = [await asks(proxy, get(server.port, '/film1')), await asks(proxy, get(server.port, '/film2'), '127.0.9.2')]
    const song = await asks(proxy, get(server.port, '/song1'))
    const free = await asks(proxy, get(server.port, '/free'))
    await until(() => free.bytes === 100_000 && [...films, song].every(client => client.head() !== ''), 'the heads, and all of what is free')
    await passes(proxy, 2)
    const sum = () => films.reduce((all, { bytes }) => all + bytes, 0)
    await until(() => sum() >= 20_000 && song.bytes >= 20_000, 'two seconds')
    expect([sum(), song.bytes]).toEqual([20_000, 20_000])
  })

  it('the first pool that allows takes the request; whom none takes is not slowed down', async () => {
    const server = await fullOf(400_000)
    const proxy = await stage(`acl slow urlpath_regex ^/slow
acl slower urlpath_regex ^/slow/er
delay_pools 2
delay_class 1 1
delay_class 2 1
delay_parameters 1 10000/10000
delay_parameters 2 1/1
delay_access 1 allow slow
delay_access 2 allow slower
delay_initial_bucket_level 0`)
    const free = await asks(proxy, get(server.port, '/free'))
    const slow = await asks(proxy, get(server.port, '/slow/er'))
    await until(() => free.bytes === 400_000 && slow.head() !== '', 'the one that is not limited')
    await passes(proxy, 1)
    await until(() => slow.bytes >= 10_000, 'a second')
    expect(slow.bytes).toBe(10_000)
  })

  it('hits are not slowed down, and what is slowed down is whole and stored', async () => {
    const server = await fullOf(50_000, 'Cache-Control: max-age=1000')
    const proxy = await stage(onePool(1, '10000/10000'))
    const first = await asks(proxy, get(server.port))
    await until(() => first.bytes === 5_000, 'the bucket')
    await passes(proxy, 5)
    await until(() => first.bytes === 50_000, 'all of it')
    const again = await asks(proxy, get(server.port))
    await until(() => again.bytes === 50_000, 'a hit at once')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('tunnels: what the server sends, not what the client sends', async () => {
    let received = 0
    const server = await raw(socket => {
      socket.on('error', () => {}).on('data', chunk => {
        received += chunk.length
      })
      socket.write(Buffer.alloc(400_000, 'x'))
    })
    const proxy = await stage(`acl CONNECT method CONNECT\n${onePool(1, '10000/10000')}delay_initial_bucket_level 0`)
    const target = `127.0.0.1:${server.port}`
    const client = await asks(proxy, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
    await until(() => client.head() !== '', 'the tunnel')
    client.socket.write(Buffer.alloc(300_000, 'y'))
    await passes(proxy, 2)
    await until(() => client.bytes >= 20_000 && received === 300_000, 'two seconds, and what the client sends')
    expect(client.bytes).toBe(20_000)
    client.socket.destroy()
    await passes(proxy, 2) // a relay that is held back hears of it when it may send again
  })

  it.each(['CONNECT', 'Upgrade'])('%s: what the client sends, with delay_client_request_access, and it waits with the client', async way => {
    let received = 0
    const server = await raw(socket => {
      let head = ''
      socket.on('error', () => {}).on('data', (chunk: Buffer) => {
        if (way === 'CONNECT' || head.includes('\r\n\r\n')) received += chunk.length
        else if ((head += chunk.toString('latin1')).includes('\r\n\r\n')) socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      })
      if (way === 'CONNECT') socket.write(Buffer.alloc(200_000, 'x'))
    })
    const proxy = await stage(`delay_pools 1
delay_class 1 4
delay_parameters 1 none none 10000/10000 none
delay_initial_bucket_level 0
acl slow src 127.0.0.1
delay_client_request_access 1 allow slow`)
    const target = `127.0.0.1:${server.port}`
    const open = way === 'CONNECT' ? `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n` : get(server.port, '/', 'Connection: Upgrade', 'Upgrade: echo')
    const client = await asks(proxy, open)
    await until(() => client.head() !== '', 'the tunnel')
    client.socket.write(Buffer.alloc(20_000_000, 'y'))
    if (way === 'CONNECT') await until(() => client.bytes === 200_000, 'what the server sends, which no pool has')
    await passes(proxy, 2)
    await until(() => received >= 20_000, 'two seconds')
    expect(received).toBe(20_000)
    expect(client.socket.writableLength).toBeGreaterThan(1_000_000) // what does not fit into the sockets
    const free = await asks(proxy, open, '127.0.0.2')
    await until(() => free.head() !== '', 'the tunnel of somebody else')
    free.socket.write(Buffer.alloc(300_000, 'y'))
    await until(() => received >= 320_000, 'all of his')
    for (const { socket } of [client, free]) socket.resetAndDestroy()
    await passes(proxy, 2)
  })

  it('tunnels: one bucket for both ways where both lists name the pool', async () => {
    let received = 0
    const server = await raw(socket => {
      socket.on('error', () => {}).on('data', chunk => {
        received += chunk.length
      })
      socket.write(Buffer.alloc(400_000, 'x'))
    })
    const proxy = await stage(`${onePool(2, '10000/10000 -1/-1')}delay_client_request_access 1 allow all\ndelay_initial_bucket_level 0`)
    const target = `127.0.0.1:${server.port}`
    const client = await asks(proxy, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
    await until(() => client.head() !== '', 'the tunnel')
    client.socket.write(Buffer.alloc(300_000, 'y'))
    await passes(proxy, 3)
    await until(() => client.bytes + received >= 30_000, 'three seconds')
    expect(client.bytes + received).toBe(30_000)
    expect(Math.min(client.bytes, received)).toBeGreaterThan(5_000)
    client.socket.resetAndDestroy()
    await passes(proxy, 2)
  })

  it('a tunnel through a cache_peer with no-delay: what comes from there is not slowed down, what the client sends is', async () => {
    let received = 0
    const parent = await raw(socket => {
      let head = ''
      socket.on('error', () => {}).on('data', (chunk: Buffer) => {
        if (head.includes('\r\n\r\n')) {
          received += chunk.length
          return
        }
        head += chunk.toString('latin1')
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.write(Buffer.alloc(400_000, 'x'))
      })
    })
    const proxy = await stage(`${onePool(1, '10000/10000')}delay_client_request_access 1 allow all\ndelay_initial_bucket_level 0
cache_peer 127.0.0.1 parent ${parent.port} 0 no-query no-delay
never_direct allow all`)
    const client = await asks(proxy, 'CONNECT far.invalid:443 HTTP/1.1\r\nHost: far.invalid:443\r\n\r\n')
    await until(() => client.bytes === 400_000, 'all of what the parent sends')
    client.socket.write(Buffer.alloc(300_000, 'y'))
    await passes(proxy, 2)
    await until(() => received >= 20_000, 'two seconds')
    expect(received).toBe(20_000)
    client.socket.resetAndDestroy()
    await passes(proxy, 2)
  })

  it('a reload in the middle: what is under way keeps its bucket and ends', async () => {
    const server = await fullOf(30_000)
    const proxy = await stage(`${onePool(2, 'none 10000/10000')}delay_initial_bucket_level 0`)
    const client = await asks(proxy, get(server.port))
    await until(() => client.head() !== '', 'the head')
    await passes(proxy, 1)
    proxy.reload('http_port 127.0.0.1:0 name=web\nhttp_access allow all\n')
    await passes(proxy, 2)
    await until(() => client.bytes === 30_000, 'all of it')
    const free = await asks(proxy, get(server.port))
    await until(() => free.bytes === 30_000, 'one that is not limited any more')
  })

  it('a client that leaves while it is held back leaves nothing behind', async () => {
    const server = await fullOf(400_000)
    const proxy = await stage(`${onePool(1, '0/0')}`)
    const client = await asks(proxy, get(server.port))
    await until(() => client.head() !== '', 'the head')
    client.socket.destroy()
    await until(() => proxy.machine.sessions === 0, 'the end of the session')
    await passes(proxy, 1)
    expect(client.bytes).toBe(0)
  })
})

describe('client_delay_pools', () => {
  it('limit what one address receives over all its connections, hits too', async () => {
    const server = await fullOf(60_000, 'Cache-Control: max-age=1000')
    const proxy = await stage(`acl slow src 127.0.0.9
client_delay_pools 1
client_delay_parameters 1 10000 10000
client_delay_initial_bucket_level 0
client_delay_access 1 allow slow`)
    const free = await asks(proxy, get(server.port))
    await until(() => free.bytes === 60_000, 'one that is not limited')
    const two = [await asks(proxy, get(server.port), '127.0.0.9'), await asks(proxy, get(server.port), '127.0.0.9')]
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
    await passes(proxy, 4)
    const all = () => two.reduce((sum, { bytes, head }) => sum + bytes + Math.max(0, head().indexOf('\r\n\r\n') + 4), 0)
    await until(() => all() >= 40_000, 'four seconds')
    expect(all()).toBe(40_000) // heads count here, as they do in Squid
    await passes(proxy, 9)
    await until(() => two.every(({ bytes }) => bytes === 60_000), 'all of both')
  })

  it('a pipelined request waits for the response before it, and the connection ends after the last byte', async () => {
    const server = await fullOf(20_000, 'Cache-Control: max-age=1000')
    const proxy = await stage(`client_delay_pools 1
client_delay_parameters 1 10000 10000
client_delay_access 1 allow all`)
    const wire = await proxy.client()
    const [one, two] = [wire.send(get(server.port)).response(), get(server.port, '/', 'Connection: close')]
    wire.send(two)
    await passes(proxy, 6)
    expect((await one).body.length).toBe(20_000)
    expect((await wire.response()).body.length).toBe(20_000)
    expect(await wire.closed()).toBe('')
  })
})

describe('response_delay_pool', () => {
  it('limits each response by itself, and all of the pool together', async () => {
    const server = await fullOf(100_000, 'Cache-Control: max-age=1000')
    const proxy = await stage(`acl film urlpath_regex ^/film
response_delay_pool films individual-restore=10000 individual-maximum=10000 aggregate-restore=15000 aggregate-maximum=1000 initial-bucket-level=0
response_delay_pool_access films allow film`)
    const free = await asks(proxy, get(server.port, '/text'))
    await until(() => free.bytes === 100_000, 'one that is not limited')
    const one = await asks(proxy, get(server.port, '/film'))
    await passes(proxy, 2)
    const of = (client: typeof one) => client.bytes + Math.max(0, client.head().indexOf('\r\n\r\n') + 4)
    await until(() => of(one) >= 20_000, 'two seconds')
    expect(of(one)).toBe(20_000)
    const two = await asks(proxy, get(server.port, '/film'))
    await passes(proxy, 2)
    await until(() => of(one) + of(two) >= 50_000, 'two seconds of both')
    expect(of(one) + of(two)).toBeLessThanOrEqual(51_000) // and what the first has left in the bucket of all
  })
})

describe('buckets', () => {
  it('an IPv6 network is a /64, an IPv4 one a /24', () => {
    expect(networkOf('2001:db8::1')).toBe(networkOf('2001:db8:0:0:ffff::1'))
    expect(networkOf('2001:db8:0:1::1')).not.toBe(networkOf('2001:db8::1'))
    expect(networkOf('10.1.2.3')).toBe(networkOf('10.1.2.99'))
    expect(networkOf('10.1.3.3')).not.toBe(networkOf('10.1.2.3'))
  })

  it('are no more than so many: the one unused longest makes room, one in use never', () => {
    let open = 0
    const buckets = {
      open: () => {
        open++
        return { left: () => 0, take: () => {}, close: () => void open-- } as never
      },
      onFilled: () => () => {},
    }
    const keyed = new KeyedBuckets({ bytesPerSecond: 1, burst: 1, initial: 1, fromServerOnly: true }, 3)
    const first = keyed.take('a', buckets)
    for (const key of ['b', 'c']) keyed.take(key, buckets)
    expect(keyed.take('d', buckets)).toBeNull()
    keyed.giveBack('b')
    keyed.giveBack('c')
    expect(keyed.take('b', buckets)).not.toBeNull() // used again: c is the one
    expect(keyed.take('d', buckets)).not.toBeNull()
    expect(keyed.take('a', buckets)).toBe(first)
    expect([keyed.size, open]).toEqual([3, 3])
    keyed.retire()
    for (const key of ['a', 'a', 'b', 'd']) keyed.giveBack(key)
    expect([keyed.size, open]).toEqual([0, 0])
  })
})
