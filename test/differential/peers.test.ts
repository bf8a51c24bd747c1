// Which peer Squid sends a request to, under what code, and what it says there; and what glassquid does with the same conf,
// the same peers and the same requests. Then both as parents and siblings of each other, with ICP between them.

import dgram from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/base/index.ts'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { exchange, noSquid, type RunningSquid, startSquid } from './pair.ts'

interface Asked {
  readonly method: string
  readonly target: string
  readonly client?: string
  readonly fields?: readonly string[]
  readonly content?: string
}

/** What came of one request: result, code and peer in the log, the status, and what the peer read. */
type Came = string

interface PeerSite {
  readonly name: string
  readonly port: number
  readonly heard: string[]
  close(): Promise<void>
}

/** A proxy, or an origin, that remembers what it was asked. `/504` is answered so by p0. */
const peerSite = async (name: string): Promise<PeerSite> => {
  const heard: string[] = []
  const told = (request: http.IncomingMessage): void => {
    const of = (field: string): string => `${field}=${request.headers[field] ?? ''}`
    heard.push(`${name}: ${request.method} ${request.url} ${of('host')} ${of('authorization')} ${of('proxy-authorization')} ${['x-a', 'x-b', 'x-added'].filter(field => field in request.headers).join()}`.replace(/127\.0\.0\.1:\d+/g, 'ORIGIN'))
  }
  const server = http.createServer((request, response) => {
    told(request)
    response.statusCode = name === 'p0' && request.url?.includes('/504') ? 504 : 200
    response.setHeader('Cache-Control', 'no-store')
    request.resume().on('end', () => response.end(name))
  })
  server.on('connect', (request, socket: net.Socket) => {
    told(request)
    const yes = name !== 'p0' || !request.url?.startsWith('no.')
    socket.end(yes ? 'HTTP/1.1 200 Fine\r\n\r\n' : 'HTTP/1.1 403 No\r\nContent-Length: 0\r\nX-No: really\r\n\r\n')
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { name, port, heard, close }
}

/**
 * Squid takes an origin it has been to once for one millisecond away where nothing measures distances (5.7, pinger off), and
 * goes there past its peers from then on: minimum_direct_* say that no distance is near.
 */
const common = (name: string): string => `visible_hostname ${name}.test\nunique_hostname ${name}.test\npid_filename none\nshutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1\ndns_timeout 1 second\ncache_mem 16 MB\nminimum_direct_hops 0\nminimum_direct_rtt 0\nhttp_access allow all\n`

const requestText = ({ method, target, fields = [], content = '' }: Asked): string => {
  const host = /^https?:\/\/([^/]*)/.exec(target)?.[1] ?? target
  const length = content === '' ? [] : [`Content-Length: ${content.length}`]
  return `${method} ${target} HTTP/1.1\r\n${[`Host: ${host}`, ...fields, ...length, 'Connection: close'].map(line => `${line}\r\n`).join('')}\r\n${content}`
}

const recorded = ({ result, hierarchy, peer, status }: Outcome): string => `${result}/${status} ${hierarchy} ${peer || '-'}`

const logged = '%Ss/%>Hs %Sh %<A'

/** Both, asked the same one after the other; peers are p0 to p3, `{p0}` in the conf their ports. */
const withPeers = async (conf: string, asks: readonly Asked[], use: (squid: readonly Came[], ours: readonly Came[]) => void, port = ''): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-peers-'))
  chmodSync(folder, 0o777)
  const peers = await Promise.all(['p0', 'p1', 'p2', 'p3', 'origin'].map(peerSite))
  const [gone] = await Promise.all([peerSite('gone')])
  await gone.close()
  const filled = [...peers, gone].reduce((text, peer) => text.replaceAll(`{${peer.name}}`, String(peer.port)), conf)
  const origin = peers.find(({ name }) => name === 'origin')?.port
  let squid: RunningSquid | null = null
  let proxy: RunningProxy | null = null
  try {
    squid = await startSquid(folder, `${common('both')}${filled}`.replace(/^/, port === '' ? '' : `# ${port}\n`), logged)
    proxy = await startProxy(`http_port 127.0.0.1:0 name=p ${port}\n${common('both')}${filled}`.replace(/^(visible_hostname|pid_filename|shutdown_lifetime) .*\n/gm, ''))
    const came = { squid: [] as Came[], ours: [] as Came[] }
    for (const one of asks) {
      const ask = { ...one, target: one.target.replaceAll('{origin}', `127.0.0.1:${origin}`) }
      for (const who of ['squid', 'ours'] as const) {
        const before = peers.map(({ heard }) => heard.length)
        const running = proxy
        const count = running.records.length
        const line = squid.result()
        const answer = await exchange(who === 'squid' ? squid.port : running.port('p'), ask.client ?? '127.0.0.1', requestText(ask))
        let text = ''
        if (who === 'squid') text = (await line()).replace(/ 127\.0\.0\.1$/, ' -').replace(/ h\.test$/, ' -')
        else {
          for (let i = 0; i < 1000 && running.records.length === count; i++) await sleep(systemClock, ms(5))
          const record = running.records[count]
          text = record === undefined ? 'nothing' : recorded(record)
        }
        const heard = peers.flatMap((peer, i) => peer.heard.slice(before[i]))
        const status = /^HTTP\/1\.[01] (\d+)/.exec(answer)?.[1] ?? 'none'
        came[who].push(`${ask.method} ${one.target}: ${text}, client ${status}, ${heard.join('; ')}`)
      }
    }
    use(came.squid, came.ours)
  } finally {
    await proxy?.stop()
    await squid?.stop()
    for (const peer of peers) await peer.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const line = (name: string, options = '', kind = 'parent'): string => `cache_peer 127.0.0.1 ${kind} {${name}} 0 no-query no-digest no-netdb-exchange name=${name} ${options}\n`
const never = 'never_direct allow all\n'
const gets = (count: number, path = ''): Asked[] => Array.from({ length: count }, (_, i) => ({ method: 'GET', target: `http://h.test/${path}${i}` }))
const post = { method: 'POST', content: 'x' } as const

interface Case {
  readonly name: string
  readonly conf: string
  readonly asks: readonly Asked[]
}

const cases: readonly Case[] = [
  {
    name: 'parents in their order, with never_direct',
    conf: line('p0') + line('p1') + never,
    asks: [
      ...gets(2), { method: 'HEAD', target: 'http://h.test/' }, { ...post, target: 'http://h.test/' }, { method: 'OPTIONS', target: 'http://h.test/x' },
      { method: 'GET', target: 'http://h.test/', fields: ['Authorization: Basic eDp5'] }, { method: 'CONNECT', target: 'h.test:443' },
    ],
  },
  {
    name: 'parents for what another cache can help with, the origin for the rest',
    conf: line('p0'),
    asks: [
      { method: 'GET', target: 'http://{origin}/' }, { method: 'HEAD', target: 'http://{origin}/' }, { ...post, target: 'http://{origin}/' },
      { method: 'GET', target: 'http://{origin}/a', fields: ['Authorization: Basic eDp5'] }, { method: 'GET', target: 'http://{origin}/c', fields: ['Cache-Control: no-cache'] },
    ],
  },
  {
    name: 'nonhierarchical_direct off',
    conf: `${line('p0')}nonhierarchical_direct off\n`,
    asks: [{ method: 'HEAD', target: 'http://{origin}/' }, { ...post, target: 'http://{origin}/' }],
  },
  {
    name: 'always_direct, never_direct, prefer_direct',
    conf: `${line('p0')}acl home urlpath_regex ^/home\nacl away urlpath_regex ^/away\nalways_direct allow home\nnever_direct allow away\nprefer_direct on\n`,
    asks: ['/home', '/away', '/else'].map(path => ({ method: 'GET', target: `http://{origin}${path}` })),
  },
  {
    name: 'cache_peer_access and neighbor_type_domain',
    conf: `${line('p0')}${line('p1')}${line('p2', '', 'sibling')}acl x urlpath_regex ^/x\ncache_peer_access p0 deny x\nneighbor_type_domain p1 sibling .near.test\nneighbor_type_domain p2 parent .near.test\n${never}`,
    asks: [
      { method: 'GET', target: 'http://h.test/x' }, { method: 'GET', target: 'http://h.test/y' },
      { method: 'GET', target: 'http://a.near.test/x' }, { method: 'GET', target: 'http://near.test/x' }, { method: 'GET', target: 'http://bnear.test/x' },
    ],
  },
  { name: 'carp', conf: ['p0', 'p1', 'p2', 'p3'].map(name => line(name, 'carp')).join('') + never, asks: gets(16) },
  {
    name: 'carp with weights and a key',
    conf: ['p0', 'p1', 'p2', 'p3'].map((name, i) => line(name, `carp weight=${i + 1} carp-key=host,path`)).join('') + never,
    asks: [...gets(10), { method: 'GET', target: 'http://h.test/1?query' }, { method: 'GET', target: 'http://other.test:8080/1' }],
  },
  {
    name: 'sourcehash',
    conf: ['p0', 'p1', 'p2'].map((name, i) => line(name, `sourcehash weight=${3 - i}`)).join('') + never,
    asks: ['127.0.0.2', '127.0.0.9', '127.0.0.15', '127.0.0.31', '127.0.0.64', '127.0.0.128'].map(client => ({ method: 'GET', target: 'http://h.test/', client })),
  },
  {
    name: 'fields by where they go, also at the second try',
    conf: `${line('p0')}${line('p1')}acl home urlpath_regex ^/home
always_direct allow home
never_direct allow all
acl first hier_code FIRSTUP_PARENT
acl direct hier_code HIER_DIRECT
request_header_access X-A deny first
request_header_access X-B deny direct
request_header_add X-Added yes first
`,
    asks: ['http://h.test/1', 'http://h.test/504', 'http://{origin}/home'].map(target => ({ method: 'GET', target, fields: ['X-A: 1', 'X-B: 1'] })),
  },
  { name: 'a parent that is down', conf: line('gone') + line('p1') + never, asks: gets(3) },
  { name: 'a parent that answers 504', conf: line('p0') + line('p1') + never, asks: [{ method: 'GET', target: 'http://h.test/504' }] },
  { name: 'a parent that will not tunnel', conf: line('p0') + line('p1') + never, asks: [{ method: 'CONNECT', target: 'no.test:443' }] },
  { name: 'the only parent, which will not tunnel', conf: line('p0') + never, asks: [{ method: 'CONNECT', target: 'no.test:443' }] },
  {
    name: 'who is told what of who asks',
    conf: `${[['p0', 'login=u:p'], ['p1', 'login=PASS'], ['p2', 'login=*:pw'], ['p3', '']].map(([name = '', login]) => `${line(name, login)}acl ${name} urlpath_regex ^/${name}\ncache_peer_access ${name} allow ${name}\n`).join('')}${never}`,
    asks: ['p0', 'p1', 'p2', 'p3'].map(name => ({ method: 'GET', target: `http://h.test/${name}`, fields: ['Authorization: Basic eDp5', 'Proxy-Authorization: Basic YTpi'] })),
  },
  {
    name: 'the same of origins',
    conf: `${[['p0', 'login=u:p forceddomain=www.test'], ['p1', 'login=PASS'], ['p2', ''], ['p3', 'login=PASSTHRU']].map(([name = '', login]) => `${line(name, `originserver ${login}`)}acl ${name} urlpath_regex ^/${name}\ncache_peer_access ${name} allow ${name}\n`).join('')}${never}`,
    asks: ['p0', 'p1', 'p2', 'p3'].map(name => ({ method: 'GET', target: `http://h.test/${name}`, fields: ['Authorization: Basic eDp5', 'Proxy-Authorization: Basic YTpi'] })),
  },
]

describe.skipIf(noSquid !== null)('peers are chosen and told the same as by Squid', () => {
  it.each(cases)('$name', async ({ conf, asks }) => {
    await withPeers(conf, asks, (squid, ours) => expect(ours).toEqual(squid))
  })

  // the first turn of a Squid that has just been started is not always the same
  it('in turns, each as often', async () => {
    const conf = ['p0', 'p1', 'p2'].map((name, i) => line(name, `round-robin weight=${i + 1}`)).join('') + never
    await withPeers(conf, gets(24), (squid, ours) => {
      for (const name of ['p0', 'p1', 'p2']) {
        const of = (came: readonly Came[]): number => came.filter(one => one.includes(`ROUNDROBIN_PARENT ${name}`)).length
        expect(Math.abs(of(ours) - of(squid))).toBeLessThanOrEqual(1)
      }
    })
  })
})

/** A port that was free a moment ago: 0 means that there is no ICP. */
const freeUdpPort = async (): Promise<number> => {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(() => resolve()))
  return port
}

const answered = async (port: number, uri: string): Promise<string> =>
  (await exchange(port, '127.0.0.1', requestText({ method: 'GET', target: uri }))).replace(/^[\s\S]*?\r\n\r\n/, '')

describe.skipIf(noSquid !== null)('with Squid as neighbour', () => {
  interface Pair {
    readonly squid: RunningSquid
    readonly ours: RunningProxy
    readonly origin: string
    readonly heard: readonly string[]
  }

  /** `childConf` is of the one that asks; the other has icp_port and lets it ask. */
  const neighbours = async (asks: 'ours' | 'squid', kind: string, use: (pair: Pair) => Promise<void>, options = ''): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-neighbours-'))
    chmodSync(folder, 0o777)
    const heard: string[] = []
    const server = http.createServer((request, response) => {
      heard.push(request.url ?? '')
      response.setHeader('Cache-Control', 'max-age=600')
      response.end(`content of ${request.url}`)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const [squidIcp, oursIcp] = [await freeUdpPort(), await freeUdpPort()]
    const peer = (port: number, icp: number): string => `cache_peer 127.0.0.1 ${kind} ${port} ${icp} no-digest no-netdb-exchange name=neighbour ${options}\nicp_query_timeout 2000\n`
    const icp = (port: number): string => `icp_port ${port}\nicp_access allow all\nbuffered_logs off\n`
    let squid: RunningSquid | null = null
    let ours: RunningProxy | null = null
    const startOurs = (more = ''): Promise<RunningProxy> =>
      startProxy(`http_port 127.0.0.1:0 name=p\n${common('ours')}${icp(oursIcp)}${more}`.replace(/^(pid_filename|shutdown_lifetime) .*\n/gm, ''))
    try {
      if (asks === 'ours') {
        squid = await startSquid(folder, `${common('squid')}${icp(squidIcp)}`, logged)
        ours = await startOurs(peer(squid.port, squidIcp))
      } else {
        ours = await startOurs()
        squid = await startSquid(folder, `${common('squid')}${icp(squidIcp)}${peer(ours.port('p'), oursIcp)}`, `%rm ${logged}`)
      }
      await use({ squid, ours, heard, origin: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}` })
    } finally {
      await ours?.stop()
      await squid?.stop()
      server.closeAllConnections()
      server.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }

  const clients = (proxy: RunningProxy): string[] => proxy.records.filter(r => r.initiator === 'client').map(recorded)

  it('glassquid takes from a sibling Squid what that has', async () => {
    await neighbours('ours', 'sibling', async ({ squid, ours, origin, heard }) => {
      await answered(squid.port, `${origin}/there`)
      expect(await answered(ours.port('p'), `${origin}/there`)).toContain('content of /there')
      expect(await answered(ours.port('p'), `${origin}/elsewhere`)).toContain('content of /elsewhere')
      expect(clients(ours)).toEqual(['TCP_MISS/200 SIBLING_HIT neighbour', 'TCP_MISS/200 HIER_DIRECT -'])
      expect(heard).toEqual(['/there', '/elsewhere'])
    })
  })

  it('glassquid takes everything through a parent Squid', async () => {
    await neighbours('ours', 'parent', async ({ squid, ours, origin }) => {
      await answered(squid.port, `${origin}/there`)
      await answered(ours.port('p'), `${origin}/there`)
      await answered(ours.port('p'), `${origin}/elsewhere`)
      expect(clients(ours)).toEqual(['TCP_MISS/200 PARENT_HIT neighbour', 'TCP_MISS/200 FIRST_PARENT_MISS neighbour'])
    })
  })

  it('Squid takes from a sibling glassquid what that has', async () => {
    await neighbours('squid', 'sibling', async ({ squid, ours, origin, heard }) => {
      await answered(ours.port('p'), `${origin}/there`)
      const there = squid.result()
      expect(await answered(squid.port, `${origin}/there`)).toContain('content of /there')
      expect(await there()).toBe('GET TCP_MISS/200 SIBLING_HIT neighbour')
      const elsewhere = squid.result()
      await answered(squid.port, `${origin}/elsewhere`)
      expect(await elsewhere()).toMatch(/^GET TCP_MISS\/200 HIER_DIRECT /)
      expect(ours.records.filter(r => r.initiator === 'icp').map(r => `${r.result} ${r.uri.replace(origin, '')}`)).toEqual(['UDP_HIT /there', 'UDP_MISS /elsewhere'])
      expect(clients(ours)).toEqual(['TCP_MISS/200 HIER_DIRECT -', 'TCP_MEM_HIT/200 HIER_NONE -'])
      expect(heard).toEqual(['/there', '/elsewhere'])
    })
  })

  it('Squid takes everything through a parent glassquid', async () => {
    await neighbours('squid', 'parent', async ({ squid, ours, origin }) => {
      await answered(ours.port('p'), `${origin}/there`)
      const there = squid.result()
      await answered(squid.port, `${origin}/there`)
      expect(await there()).toBe('GET TCP_MISS/200 PARENT_HIT neighbour')
      const elsewhere = squid.result()
      await answered(squid.port, `${origin}/elsewhere`)
      // 5.7 calls it a hit when a parent has said that it was none (tried with answers by hand, too)
      expect(await elsewhere()).toMatch(/^GET TCP_MISS\/200 (?:FIRST_PARENT_MISS|PARENT_HIT) neighbour$/)
      expect(ours.records.filter(r => r.initiator === 'icp').map(r => r.result)).toEqual(['UDP_HIT', 'UDP_MISS'])
      expect(clients(ours)).toEqual(['TCP_MISS/200 HIER_DIRECT -', 'TCP_MEM_HIT/200 HIER_NONE -', 'TCP_MISS/200 HIER_DIRECT -'])
    })
  })
})
