// Where requests go when there are other proxies: seen by what each server was asked, and by the record of the request.

import { describe, expect, it } from 'vitest'
import { bytesOrigin, get, gate, raw, request, type Site, site, stage, stageOf, type Stage, until } from './scene.ts'

const parent = (name: string, answer: { readonly status?: number } = {}): Promise<Site> =>
  site(() => ({ ...answer, fields: [`X-Peer: ${name}`, 'Cache-Control: no-store'], content: name }))

const line = (peer: { readonly port: number }, name: string, options = '', kind = 'parent'): string =>
  `cache_peer 127.0.0.1 ${kind} ${peer.port} 0 no-query name=${name} ${options}\n`

/** A port where nobody listens. */
const nobody = async (): Promise<{ readonly port: number }> => {
  const { port, close } = await bytesOrigin('')
  await close()
  return { port }
}

const ways = (proxy: Stage) => proxy.records.map(({ hierarchy, peer }) => `${hierarchy} ${peer}`.trim())

const never = 'never_direct allow all\n'

describe('requests with a parent', () => {
  it('are sent there in absolute form, with Via and the fields of the client', async () => {
    const one = await parent('one')
    const proxy = await stage(line(one, 'one'))
    const response = await proxy.ask('GET http://far.invalid/a?b=c HTTP/1.1\r\nHost: far.invalid\r\nX-Mine: 1\r\n\r\n')
    expect(response.status).toBe(200)
    expect(one.requests.map(r => `${r.method} ${r.url}`)).toEqual(['GET http://far.invalid/a?b=c'])
    expect(one.field(0, 'host')).toBe('far.invalid')
    expect(one.field(0, 'via')).toMatch(/^1\.1 /)
    expect(one.field(0, 'x-mine')).toBe('1')
    expect(proxy.records[0]).toMatchObject({ hierarchy: 'FIRSTUP_PARENT', peer: 'one', result: 'TCP_MISS', server: { port: one.port } })
  })

  it('are stored and answered from the store as ever', async () => {
    const one = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'kept' }))
    const proxy = await stage(line(one, 'one'))
    for (let i = 0; i < 2; i++) expect((await proxy.ask('GET http://far.invalid/ HTTP/1.1\r\nHost: far.invalid\r\n\r\n')).body).toBe('kept')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(one.requests).toHaveLength(1)
  })

  it('go direct where another cache cannot help', async () => {
    const one = await parent('one')
    const origin = await parent('origin')
    const proxy = await stage(line(one, 'one'))
    await proxy.ask(request('HEAD', origin.port), 'HEAD')
    await proxy.ask(request('POST', origin.port, '/', ['Content-Length: 1'], 'x'))
    await proxy.ask(get(origin.port, '/', 'Authorization: Basic eDp5'))
    await proxy.ask(get(origin.port))
    await proxy.results(4)
    expect(ways(proxy)).toEqual(['HIER_DIRECT', 'HIER_DIRECT', 'HIER_DIRECT', 'FIRSTUP_PARENT one'])
  })

  it('go there all the same with nonhierarchical_direct off', async () => {
    const one = await parent('one')
    const proxy = await stage(`${line(one, 'one')}nonhierarchical_direct off\n`)
    await proxy.ask(request('POST', 9, '/', ['Content-Length: 1'], 'x'))
    await proxy.results(1)
    expect(ways(proxy)).toEqual(['FIRSTUP_PARENT one'])
  })

  it('obey always_direct, never_direct and prefer_direct', async () => {
    const one = await parent('one')
    const origin = await parent('origin')
    const conf = `acl home urlpath_regex ^/home\nacl away urlpath_regex ^/away\nalways_direct allow home\nnever_direct allow away\nprefer_direct on\n`
    const proxy = await stage(line(one, 'one') + conf)
    for (const path of ['/home', '/away', '/else']) await proxy.ask(get(origin.port, path))
    await proxy.results(3)
    expect(ways(proxy)).toEqual(['HIER_DIRECT', 'FIRSTUP_PARENT one', 'HIER_DIRECT'])
  })

  it('go where cache_peer_access lets them', async () => {
    const one = await parent('one')
    const two = await parent('two')
    const conf = 'acl x urlpath_regex ^/x\ncache_peer_access one deny x\ncache_peer_access TWO allow x\n'
    const proxy = await stage(line(one, 'one') + line(two, 'two') + conf + never)
    await proxy.ask(get(9, '/x'))
    await proxy.ask(get(9, '/y'))
    await proxy.results(2)
    expect(ways(proxy)).toEqual(['FIRSTUP_PARENT two', 'FIRSTUP_PARENT one'])
  })

  it('take no sibling unasked, and no parent that is a sibling for their domain', async () => {
    const one = await parent('one')
    const two = await parent('two')
    const proxy = await stage(line(one, 'one', '', 'sibling') + line(two, 'two') + 'neighbor_type_domain two sibling .near.invalid\n' + never)
    const asked = await proxy.ask('GET http://a.near.invalid/ HTTP/1.1\r\nHost: a.near.invalid\r\n\r\n')
    await proxy.ask('GET http://a.far.invalid/ HTTP/1.1\r\nHost: a.far.invalid\r\n\r\n')
    expect(asked.status).toBe(503)
    await proxy.results(2)
    expect(ways(proxy)).toEqual(['HIER_NONE', 'FIRSTUP_PARENT two'])
  })

  it('take turns', async () => {
    const peers = [await parent('a'), await parent('b'), await parent('c')]
    const proxy = await stage(peers.map((peer, i) => line(peer, 'abc'[i] ?? '', i === 0 ? 'round-robin weight=2' : 'round-robin')).join('') + never)
    for (let i = 0; i < 8; i++) await proxy.ask(get(9, `/${i}`))
    await proxy.results(8)
    expect(peers.map(peer => peer.requests.length)).toEqual([4, 2, 2])
    expect(new Set(proxy.records.map(r => r.hierarchy))).toEqual(new Set(['ROUNDROBIN_PARENT']))
  })

  it('fall to the parent of their URI, or of their client', async () => {
    const peers = [await parent('a'), await parent('b'), await parent('c')]
    const byUri = await stage(peers.map((peer, i) => line(peer, 'abc'[i] ?? '', 'carp')).join('') + never)
    for (const path of ['/1', '/2', '/3', '/1', '/2', '/3']) await byUri.ask(get(9, path))
    await byUri.results(6)
    const took = byUri.records.map(r => r.peer)
    expect(took.slice(3)).toEqual(took.slice(0, 3))
    expect(byUri.records.every(r => r.hierarchy === 'CARP')).toBe(true)
    const byClient = await stage(peers.map((peer, i) => line(peer, 'abc'[i] ?? '', 'sourcehash')).join('') + never)
    for (const path of ['/1', '/2', '/3']) await byClient.ask(get(9, path))
    await byClient.results(3)
    expect(new Set(ways(byClient))).toHaveProperty('size', 1)
    expect(byClient.records[0]?.hierarchy).toBe('SOURCEHASH_PARENT')
  })
})

describe('a peer that fails', () => {
  it('is passed over for the next, and the origin comes last', async () => {
    const origin = await parent('origin')
    const proxy = await stage(line(await nobody(), 'gone', 'connect-fail-limit=3'))
    await proxy.ask(get(origin.port))
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ hierarchy: 'HIER_DIRECT', status: 200, peer: '' })
  })

  it('whose answer is 502 or 504 is passed over too, if another may do better', async () => {
    const one = await parent('one', { status: 504 })
    const two = await parent('two', { status: 502 })
    const proxy = await stage(line(one, 'one') + line(two, 'two') + never)
    expect((await proxy.ask(get(9))).status).toBe(502)
    await proxy.results(1)
    expect(ways(proxy)).toEqual(['ANY_OLD_PARENT two'])
    expect(proxy.records[0]?.attempts).toBe(2)
  })

  it('is not asked twice what may not be sent twice', async () => {
    const broken = await raw(socket => socket.once('data', () => socket.destroy()))
    const two = await parent('two')
    const proxy = await stage(line(broken, 'broken') + line(two, 'two') + never)
    expect((await proxy.ask(request('POST', 9, '/', ['Content-Length: 1'], 'x'))).status).toBe(502)
    expect((await proxy.ask(get(9))).status).toBe(200)
    expect(two.requests).toHaveLength(1)
  })

  it('is down until a probe finds it again', async () => {
    const { port, close } = await parent('one')
    await close()
    const proxy = await stage(line({ port }, 'one', 'connect-fail-limit=2') + never)
    await until(() => proxy.said.some(text => text.includes('Detected DEAD Parent: one')), 'its death')
    expect((await proxy.ask(get(9))).status).toBe(503)
    const again = await revived(port)
    proxy.clock.advance(2000)
    expect((await proxy.ask(get(9))).status).toBe(503) // it is looked for because of this one
    await until(() => proxy.said.some(text => text.includes('Detected REVIVED Parent: one')), 'its return')
    expect((await proxy.ask(get(9))).status).toBe(200)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/503', 'TCP_MISS/503', 'TCP_MISS/200'])
    expect(proxy.records[0]).toMatchObject({ error: 'no-route', hierarchy: 'HIER_NONE' })
    await again.close()
  })

  it('has no room beyond max-conn', async () => {
    const hold = gate()
    const one = await raw(socket => {
      socket.once('data', () => void hold.opened.then(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none')))
    })
    const two = await parent('two')
    const proxy = await stage(line(one, 'one', 'max-conn=1') + line(two, 'two') + never)
    const wire = await proxy.client()
    wire.send(get(9, '/slow'))
    await until(() => proxy.machine.comm.fdTable().some(({ kind, note, peer }) => kind === 'connection' && note === 'origin' && peer?.port === one.port), 'its connection')
    expect((await proxy.ask(get(9, '/quick'))).body).toBe('two')
    hold.open()
    expect((await wire.response()).body).toBe('one')
    await proxy.results(2)
    expect(ways(proxy).sort()).toEqual(['FIRSTUP_PARENT one', 'FIRSTUP_PARENT two'])
  })
})

describe('without a request', () => {
  it('connections are kept ready, and opened again when they have been used', async () => {
    const one = await parent('one')
    const proxy = await stage(line(one, 'one', 'standby=2 max-conn=3') + never)
    const idle = () => proxy.machine.comm.fdTable().filter(entry => entry.kind === 'connection' && entry.note === 'origin').length
    await until(() => one.connections > 0, 'its probe')
    proxy.clock.advance(1000)
    await until(() => idle() === 2, 'two connections')
    expect(one.requests).toEqual([])
    const opened = one.connections
    await proxy.ask(get(9))
    await proxy.results(1)
    expect(one.connections).toBe(opened) // it was sent on one of them
    await until(() => {
      proxy.clock.advance(1000) // the idle ones expire
      return one.connections > opened
    }, 'others in their place')
  })

  it('a monitorurl says whether a peer works', async () => {
    let answer: { readonly status?: number; readonly content: string } = { content: 'x'.repeat(20) }
    const one = await site(({ url = '' }) => (url.includes('/health') ? answer : { content: 'one' }))
    const proxy = await stage(line(one, 'one', 'monitorurl=http://monitor.invalid/health monitorsize=10-50 monitorinterval=5') + never)
    const asked = async (): Promise<number> => (await proxy.ask(get(9))).status
    const monitored = () => one.requests.filter(r => r.url === 'http://monitor.invalid/health').length
    expect(await asked()).toBe(200)
    const round = async (next: typeof answer, says: string): Promise<void> => {
      answer = next
      const before = monitored()
      const said = proxy.said.length
      proxy.clock.advance(5000)
      await until(() => monitored() > before && proxy.said.slice(said).some(text => text.includes(says)), says)
    }
    await round({ content: 'x'.repeat(51) }, 'Detected DEAD Parent: one')
    expect(await asked()).toBe(503)
    await round({ content: 'x'.repeat(20) }, 'Detected REVIVED Parent: one')
    expect(await asked()).toBe(200)
    await round({ content: 'x' }, 'Detected DEAD Parent: one')
    await round({ content: 'x'.repeat(10) }, 'Detected REVIVED Parent: one')
    await round({ status: 500, content: 'x'.repeat(20) }, 'Detected DEAD Parent: one')
    expect(await asked()).toBe(503)
  })
})

const revived = async (port: number) => {
  const http = await import('node:http')
  const server = http.createServer((_request, response) => response.end('back')).listen(port, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  return { close: () => new Promise(resolve => server.close(resolve).closeAllConnections()) }
}

describe('what a peer is told', () => {
  const login = async (options: string, ...lines: readonly string[]): Promise<Site> => {
    const one = await parent('one')
    const proxy = await stage(line(one, 'one', options) + never)
    await proxy.ask(get(9, '/', ...lines))
    return one
  }

  it.each([
    ['', undefined, 'Basic site'],
    ['login=u:p', 'Basic dTpw', 'Basic site'],
    ['login=u:p%3aq', 'Basic dTpwOnE=', 'Basic site'],
    ['login=*:pw', 'Basic LTpwdw==', 'Basic site'],
    ['login=PASS', 'Basic client', 'Basic site'],
    ['login=PASSTHRU', 'Basic client', 'Basic site'],
    ['originserver', undefined, undefined],
    ['originserver login=u:p', undefined, 'Basic dTpw'],
    ['originserver login=PASS', undefined, 'Basic site'],
  ])('with %j of who asks: proxy %j, site %j', async (options, proxy, site) => {
    const one = await login(options, 'Proxy-Authorization: Basic client', 'Authorization: Basic site')
    expect([one.field(0, 'proxy-authorization'), one.field(0, 'authorization')]).toEqual([proxy, site])
  })

  it.each([['login=PASS', undefined], ['login=u:p', 'Basic dTpw']])('with %s where request_header_access denies Proxy-Authorization: %j', async (options, told) => {
    const one = await parent('one')
    const proxy = await stage(`${line(one, 'one', options)}request_header_access Proxy-Authorization deny all\n${never}`)
    await proxy.ask(get(9, '/', 'Proxy-Authorization: Basic client'))
    expect(one.field(0, 'proxy-authorization')).toBe(told)
  })

  it('is the path alone where it is an origin, under the name it knows', async () => {
    const one = await login('originserver forceddomain=www.site.invalid')
    expect(`${one.requests[0]?.url} ${one.field(0, 'host')}`).toBe('/ www.site.invalid')
  })

  it('asks the client itself with login=PASS, and us without', async () => {
    const one = await site(() => ({ status: 407, fields: ['Proxy-Authenticate: Basic realm="there"'] }))
    const passing = await stage(line(one, 'one', 'login=PASS') + never)
    const keeping = await stage(line(one, 'one') + never)
    expect((await passing.ask(get(9))).fields.get('proxy-authenticate')).toBe('Basic realm="there"')
    expect((await keeping.ask(get(9))).fields.get('proxy-authenticate')).toBeUndefined()
  })

  it('is not stored with proxy-only', async () => {
    const one = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const proxy = await stage(line(one, 'one', 'proxy-only') + never)
    for (let i = 0; i < 2; i++) await proxy.ask(get(9))
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
    expect(proxy.records[0]?.storeReason).toBe('proxy-only')
  })
})

describe('a tunnel', () => {
  const connect = (port: number): string => `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Mine: 1\r\n\r\n`

  /** A proxy that answers CONNECT with these bytes and then says what it hears. */
  const tunnelling = async (answer: string) => {
    const heads: string[] = []
    const made = await raw(socket => {
      let head = ''
      socket.on('end', () => socket.end())
      socket.on('data', (chunk: Buffer) => {
        if (head.includes('\r\n\r\n')) return void socket.write(`heard ${chunk.toString('latin1')}`)
        head += chunk.toString('latin1')
        if (!head.includes('\r\n\r\n')) return
        heads.push(head)
        socket.write(answer, 'latin1')
      })
    })
    return { port: made.port, heads }
  }

  it('goes through a parent, with what its answer brought along', async () => {
    const one = await tunnelling('HTTP/1.1 200 Fine\r\nX-Y: z\r\n\r\nfirst ')
    const proxy = await stage(line(one, 'one', 'login=u:p') + never)
    const wire = await proxy.client()
    wire.send(connect(443))
    expect((await wire.response('CONNECT')).status).toBe(200)
    wire.send('hello')
    expect(await wire.bytes('first heard hello'.length)).toBe('first heard hello')
    wire.close()
    expect(one.heads[0]).toMatch(/^CONNECT 127\.0\.0\.1:443 HTTP\/1\.1\r\nHost: 127\.0\.0\.1:443\r\n/)
    expect(one.heads[0]).toMatch(/\r\nX-Mine: 1\r\n[\s\S]*\r\nVia: [\s\S]*\r\nProxy-Authorization: Basic dTpw\r\n/)
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ result: 'TCP_TUNNEL', status: 200, hierarchy: 'FIRSTUP_PARENT', peer: 'one', serverStatus: 200 })
  })

  it('is opened by the next parent where one says no; what the last one says is for the client', async () => {
    const no = await tunnelling('HTTP/1.1 403 No\r\nContent-Length: 4\r\nX-Y: z\r\n\r\nnope')
    const yes = await tunnelling('HTTP/1.1 200 Fine\r\n\r\n')
    const proxy = await stage(line(no, 'no') + line(yes, 'yes') + never)
    const response = await proxy.ask(connect(443), 'CONNECT')
    expect(response.status).toBe(200)
    const alone = await stage(line(no, 'no') + never)
    const refused = await alone.ask(connect(443), 'CONNECT')
    expect([refused.status, refused.body, refused.fields.get('x-y')]).toEqual([403, 'nope', 'z'])
    await alone.results(1)
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ hierarchy: 'ANY_OLD_PARENT', peer: 'yes' })
    expect(alone.records[0]).toMatchObject({ result: 'TCP_TUNNEL', status: 403, peer: 'no' })
  })

  it('goes direct without a rule, and nowhere when no parent is there', async () => {
    const one = await tunnelling('HTTP/1.1 200 Fine\r\n\r\n')
    const end = await tunnelling('')
    const proxy = await stage(line(one, 'one'))
    expect((await proxy.ask(connect(end.port), 'CONNECT')).status).toBe(200)
    const closed = await stage(never)
    expect((await closed.ask(connect(end.port), 'CONNECT')).status).toBe(503)
    await proxy.results(1)
    expect(ways(proxy)).toEqual(['HIER_DIRECT'])
    expect(one.heads).toEqual([])
  })

  it('by Upgrade goes through a parent as a request does', async () => {
    const one = await tunnelling('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    const proxy = await stage(line(one, 'one') + never)
    const wire = await proxy.client()
    wire.send('GET http://far.invalid/ws HTTP/1.1\r\nHost: far.invalid\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    expect((await wire.response()).status).toBe(101)
    wire.send('hi')
    expect(await wire.bytes('heard hi'.length)).toBe('heard hi')
    wire.close()
    expect(one.heads[0]).toMatch(/^GET http:\/\/far\.invalid\/ws HTTP\/1\.1\r\n/)
  })
})

describe('a reload', () => {
  it('keeps what is known of a peer that is named again, and forgets who is not', async () => {
    const one = await parent('one')
    const gone = await nobody()
    const proxy = await stage(line(one, 'one', 'round-robin') + line(gone, 'gone', 'round-robin connect-fail-limit=1') + never)
    await until(() => proxy.said.some(text => text.includes('Detected DEAD Parent: gone')), 'its death')
    await proxy.ask(get(9))
    const list = async (): Promise<string> => (await proxy.ask(get(proxy.port('web'), '/squid-internal-mgr/server_list'))).body
    const facts = (text: string) => [...text.matchAll(/^(?:Parent|Sibling|Status|FETCHES) +: (.*)$/gm)].map(found => found[1])
    expect(facts(await list())).toEqual(['one', 'Up', '1', 'gone', 'Down', '0'])
    proxy.reload(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\n${line(one, 'one', 'weight=2')}${line(gone, 'gone', 'connect-fail-limit=1')}${never}`)
    expect(facts(await list())).toEqual(['one', 'Up', '1', 'gone', 'Down', '0'])
    await proxy.ask(get(9))
    proxy.reload(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\n${line(one, 'another')}${never}`)
    expect(facts(await list())).toEqual(['another', 'Up', '0'])
    await proxy.ask(get(9))
    await proxy.results(6)
    expect(ways(proxy).filter(way => way !== 'HIER_NONE')).toEqual(['ROUNDROBIN_PARENT one', 'FIRSTUP_PARENT one', 'FIRSTUP_PARENT another'])
  })
})

describe('access lists', () => {
  it('know the peer where the conf chooses an address towards it, and where it judges the answer', async () => {
    const one = await parent('one')
    const two = await parent('two')
    const conf = `acl one peername one
acl t peername_regex ^t
acl x urlpath_regex ^/x
cache_peer_access one deny x
tcp_outgoing_address 127.0.0.5 one
http_reply_access deny t
`
    const proxy = await stage(line(one, 'one') + line(two, 'two') + conf + never)
    expect((await proxy.ask(get(9))).status).toBe(200)
    expect((await proxy.ask(get(9, '/x'))).status).toBe(403)
    await proxy.results(2)
    expect(proxy.records.map(r => `${r.peer} ${r.serverLocal?.address}`)).toEqual(['one 127.0.0.5', 'two 127.0.0.1'])
  })
})

describe('an accelerator', () => {
  it('sends its requests to the origin behind it, and nowhere else', async () => {
    const behind = await parent('behind')
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web accel defaultsite=www.site.invalid\nhttp_access allow all\n${line(behind, 'behind', 'originserver')}`)
    const response = await proxy.ask('POST /form HTTP/1.1\r\nHost: www.site.invalid\r\nContent-Length: 1\r\n\r\nx')
    expect(response.status).toBe(200)
    expect(behind.requests[0]?.url).toBe('/form')
    await behind.close()
    expect((await proxy.ask('GET / HTTP/1.1\r\nHost: www.site.invalid\r\n\r\n')).status).toBe(503)
    expect((await proxy.ask('CONNECT www.site.invalid:443 HTTP/1.1\r\nHost: www.site.invalid:443\r\n\r\n', 'CONNECT')).status).toBe(503)
  })
})
