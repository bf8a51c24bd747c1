// ICP between proxies: what is answered to whom, and which peer is taken for what it answered. Both ends are ours here; with
// Squid at the other end: test/differential/peers.test.ts.

import dgram from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { icpOpcodes, icpQuery, readIcp } from '../../src/peer/index.ts'
import { get, type Site, site, stage, type Stage, until } from './scene.ts'

/** A port that was free a moment ago: 0 means that there is no ICP. */
const freeUdpPort = async (): Promise<number> => {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(() => resolve()))
  return port
}

const opcodeName = (opcode: number): string => Object.entries(icpOpcodes).find(([, number]) => number === opcode)?.[0] ?? String(opcode)

/** One query from `from`, and what was said to it. */
const ask = async (port: number, uri: string, from = '127.0.0.1'): Promise<string> => {
  const socket = dgram.createSocket('udp4').bind(0, from)
  await once(socket, 'listening')
  socket.send(icpQuery(uri, 77), port, '127.0.0.1')
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  const answer = readIcp(bytes)
  expect(answer).toMatchObject({ requestNumber: 77, uri })
  return opcodeName(answer?.opcode ?? 0)
}

const cached = (content: string): Promise<Site> =>
  site(({ url = '' }) => ({ fields: [url.includes('short') ? 'Cache-Control: max-age=20' : url.includes('once') ? 'Cache-Control: no-store' : 'Cache-Control: max-age=600'], content }))

const proxied = (proxy: Stage): number => proxy.port('web')

describe('a proxy that is asked', () => {
  it('says what it has, to those who may ask, and logs it', async () => {
    const origin = await cached('x')
    const port = await freeUdpPort()
    const proxy = await stage(`icp_port ${port}\nacl stranger src 127.0.0.9\nicp_access deny stranger\nicp_access allow all\n`)
    const uri = (path: string): string => `http://127.0.0.1:${origin.port}${path}`
    for (const path of ['/long', '/short', '/once']) await proxy.ask(get(origin.port, path))
    expect(await ask(port, uri('/long'))).toBe('hit')
    expect(await ask(port, uri('/short'))).toBe('miss') // fresh for less than half a minute
    expect(await ask(port, uri('/once'))).toBe('miss')
    expect(await ask(port, 'no uri')).toBe('error')
    expect(await ask(port, uri('/long'), '127.0.0.9')).toBe('denied')
    await until(() => proxy.records.filter(r => r.initiator === 'icp').length === 5, 'five lines')
    const lines = proxy.records.filter(r => r.initiator === 'icp').map(r => `${r.client.address} ${r.result}/${r.status} ${r.method} ${r.hierarchy}`)
    expect(lines).toEqual([
      '127.0.0.1 UDP_HIT/0 ICP_QUERY HIER_NONE',
      '127.0.0.1 UDP_MISS/0 ICP_QUERY HIER_NONE',
      '127.0.0.1 UDP_MISS/0 ICP_QUERY HIER_NONE',
      '127.0.0.1 UDP_INVALID/0 ICP_QUERY HIER_NONE',
      '127.0.0.9 UDP_DENIED/0 ICP_QUERY HIER_NONE',
    ])
  })

  it('says so of what is stale with icp_hit_stale, logs nothing with log_icp_queries off, and lets nobody ask by default', async () => {
    const origin = await cached('x')
    const port = await freeUdpPort()
    const proxy = await stage(`icp_port ${port}\nicp_access allow all\nicp_hit_stale on\nlog_icp_queries off\n`)
    await proxy.ask(get(origin.port, '/short'))
    proxy.clock.advance(60_000)
    expect(await ask(port, `http://127.0.0.1:${origin.port}/short`)).toBe('hit')
    expect(proxy.records.filter(r => r.initiator === 'icp')).toEqual([])
    const other = await freeUdpPort()
    await stage(`icp_port ${other}\n`)
    expect(await ask(other, 'http://x.invalid/')).toBe('denied')
  })

  it('leaves alone what is no query', async () => {
    const port = await freeUdpPort()
    await stage(`icp_port ${port}\nicp_access allow all\n`)
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const answers: Buffer[] = []
    socket.on('message', bytes => void answers.push(bytes))
    const query = icpQuery('http://x.invalid/', 1)
    const of = (change: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(query)
      change(bytes)
      return bytes
    }
    const odd = [
      Buffer.alloc(0), query.subarray(0, 10), Buffer.concat([query, Buffer.from('x')]),
      of(bytes => bytes.writeUInt8(9, 1)), of(bytes => bytes.writeUInt8(icpOpcodes.hit, 0)), of(bytes => bytes.fill(65, 24)),
    ]
    for (const bytes of odd) socket.send(bytes, port, '127.0.0.1')
    socket.send(icpQuery('http://last.invalid/', 2), port, '127.0.0.1')
    await once(socket, 'message')
    socket.close()
    expect(answers.map(bytes => readIcp(bytes)?.uri)).toEqual(['http://last.invalid/'])
  })
})

describe('a proxy that asks', () => {
  /** A peer of ours: a proxy with icp_port, which others may ask. */
  const peer = async (conf = '') => {
    const icp = await freeUdpPort()
    return { proxy: await stage(`icp_port ${icp}\nicp_access allow all\nlog_icp_queries off\n${conf}`), icp }
  }
  const line = ({ proxy, icp }: Awaited<ReturnType<typeof peer>>, kind: string, name: string, options = ''): string =>
    `cache_peer 127.0.0.1 ${kind} ${proxied(proxy)} ${icp} name=${name} ${options}\n`
  /** Its connections to peers end with each request: a peer's sessions would wait for a clock that stands still. */
  const asking = async (conf: string): Promise<Stage> =>
    stage(`icp_port ${await freeUdpPort()}\nunique_hostname asking\nvisible_hostname asking\nserver_persistent_connections off\n${conf}`)
  const ways = (proxy: Stage) => proxy.records.map(r => `${r.result} ${r.icpTimedOut ? 'TIMEOUT_' : ''}${r.hierarchy} ${r.peer}`.trim())

  it('takes a sibling that has it, and goes direct otherwise', async () => {
    const origin = await cached('x')
    const sibling = await peer()
    const proxy = await asking(line(sibling, 'sibling', 's', 'proxy-only'))
    await sibling.proxy.ask(get(origin.port, '/there'))
    expect((await proxy.ask(get(origin.port, '/there'))).body).toBe('x')
    expect((await proxy.ask(get(origin.port, '/not-there'))).body).toBe('x')
    await proxy.results(2)
    expect(ways(proxy)).toEqual(['TCP_MISS SIBLING_HIT s', 'TCP_MISS HIER_DIRECT'])
    expect(origin.requests.map(r => r.url)).toEqual(['/there', '/not-there'])
    expect(await sibling.proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('is not given by a sibling what that would have to fetch', async () => {
    const origin = await site(() => ({ fields: ['Cache-Control: max-age=600', 'Vary: X-A'], content: 'x' }))
    const sibling = await peer()
    const proxy = await asking(line(sibling, 'sibling', 's'))
    await sibling.proxy.ask(get(origin.port, '/', 'X-A: 1'))
    // it has another variant: only-if-cached is answered with 504, and the next way is taken
    expect((await proxy.ask(get(origin.port, '/', 'X-A: 2'))).body).toBe('x')
    await proxy.results(1)
    expect(ways(proxy)).toEqual(['TCP_MISS HIER_DIRECT'])
    expect(await sibling.proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/504'])
  })

  it('lets a sibling fetch with allow-miss', async () => {
    const origin = await site(() => ({ fields: ['Cache-Control: max-age=600', 'Vary: X-A'], content: 'x' }))
    const sibling = await peer()
    const proxy = await asking(line(sibling, 'sibling', 's', 'allow-miss'))
    await sibling.proxy.ask(get(origin.port, '/', 'X-A: 1'))
    await proxy.ask(get(origin.port, '/', 'X-A: 2'))
    await proxy.results(1)
    expect(ways(proxy)).toEqual(['TCP_MISS SIBLING_HIT s'])
  })

  it('takes the parent that has it, else the one that was first to miss', async () => {
    const origin = await cached('x')
    const one = await peer()
    const two = await peer()
    const proxy = await asking(line(one, 'parent', 'one') + line(two, 'parent', 'two') + 'never_direct allow all\n')
    await two.proxy.ask(get(origin.port, '/there'))
    await proxy.ask(get(origin.port, '/there'))
    await proxy.ask(get(origin.port, '/not-there'))
    await proxy.results(2)
    expect(ways(proxy)[0]).toBe('TCP_MISS PARENT_HIT two')
    expect(ways(proxy)[1]).toMatch(/^TCP_MISS FIRST_PARENT_MISS (?:one|two)$/)
  })

  it('shows its peers and what it counted, in Squid\'s words', async () => {
    const origin = await cached('x')
    const sibling = await peer()
    const proxy = await asking(`${line(sibling, 'sibling', 's', 'proxy-only login=u:secret weight=2')}cachemgr_passwd none all\n`)
    await sibling.proxy.ask(get(origin.port, '/there'))
    await proxy.ask(get(origin.port, '/there'))
    await proxy.ask(get(origin.port, '/not-there'))
    proxy.clock.advance(3000)
    const page = async (name: string): Promise<string> => (await proxy.ask(get(proxied(proxy), `/squid-internal-mgr/${name}`))).body
    expect(await page('server_list')).toBe(
      [
        '',
        'Sibling    : s',
        `Host       : 127.0.0.1/${proxied(sibling.proxy)}/${sibling.icp}`,
        'Flags      : proxy-only weight=2 login=XXXX',
        'Address[0] : 127.0.0.1',
        'Status     : Up',
        'FETCHES    : 1',
        'OPEN CONNS : 0',
        'AVG RTT    : 0 msec',
        'LAST QUERY :        3 seconds ago',
        'LAST REPLY :        3 seconds ago',
        'PINGS SENT :        2',
        'PINGS ACKED:        2 100%',
        'IGNORED    :        0   0%',
        'Histogram of PINGS ACKED:',
        '         ICP_HIT :        1  50%',
        '        ICP_MISS :        1  50%',
        'keep-alive ratio: 0%',
        '',
      ].join('\n'),
    )
    const figures = JSON.parse(await page('figures'))
    expect(figures.peers).toEqual([{ name: 's', kind: 'sibling', up: 1, fetches: 1, connections: 0, queries: 2, replies: 2, hits: 1, rttMs: 0 }])
    const counters = await page('counters')
    const count = (name: string): number => Number(new RegExp(`^icp\\.${name} = (\\d+)$`, 'm').exec(counters)?.[1])
    expect(count('queries_sent')).toBeGreaterThanOrEqual(2) // of all proxies of this process
    expect(count('replies_recv')).toBeGreaterThanOrEqual(2)
    expect(count('times_used')).toBeGreaterThanOrEqual(1)
  })

  it('waits for no answer longer than it is told, and no more at all for one that is silent', async () => {
    const origin = await cached('x')
    const silent = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const heard: string[] = []
    silent.on('message', bytes => void heard.push(readIcp(bytes)?.uri ?? ''))
    const parent = await cached('parent')
    const conf = `cache_peer 127.0.0.1 parent ${parent.port} ${silent.address().port} name=p\nicp_query_timeout 1000\ndead_peer_timeout 10 seconds\n`
    const proxy = await asking(conf)
    const first = proxy.ask(get(origin.port, '/1'))
    await until(() => heard.length === 1, 'its question')
    proxy.clock.advance(1001)
    expect((await first).body).toBe('parent')
    proxy.clock.advance(15_000)
    expect((await proxy.ask(get(origin.port, '/2'))).body).toBe('x') // asked once more, but not waited for
    await until(() => proxy.said.some(text => text.includes('Detected DEAD Parent: p')), 'its death')
    await until(() => heard.length === 2, 'the question for the dead')
    await proxy.results(2)
    expect(ways(proxy)).toEqual(['TCP_MISS TIMEOUT_FIRSTUP_PARENT p', 'TCP_MISS HIER_DIRECT'])
    silent.close()
  })
})
