import { describe, expect, it, test } from 'vitest'
import { heard } from '../support/origin.ts'
import { clientConnections, gate, get, origin, originConnections, raw, request, site, stage as stageOn, stoodStill, until } from './scene.ts'

// The same machine on Node's own sockets, as it runs where the addon is not there: one scenario for each thing an engine
// does differently. What the engines promise is in test/contract; here the proxy lives on that promise.

const stage = (conf = '') => stageOn(conf, 'node')
const fresh = 'Cache-Control: max-age=60'

it('says which engine it is', async () => {
  const proxy = await stage()
  expect([proxy.machine.comm.engine, proxy.machine.comm.engineNote]).toEqual(['node', expect.stringMatching(/./)])
})

describe('on the node engine', () => {
  it('misses, hits, validates and collapses', async () => {
    const proxy = await stage('collapsed_forwarding on\n')
    const server = await site(({ headers }, nth) =>
      nth > 1 && headers['if-none-match'] === '"a"' ? { status: 304, fields: ['ETag: "a"', fresh] } : { fields: [fresh, 'ETag: "a"'], content: `content ${nth}` },
    )
    const wire = await proxy.client()
    for (const body of ['content 0', 'content 0']) expect((await wire.send(get(server.port)).response()).body).toBe(body)
    proxy.clock.advance(60_000)
    expect((await proxy.ask(get(server.port))).body).toBe('content 1')
    proxy.clock.advance(60_000)
    expect((await proxy.ask(get(server.port))).body).toBe('content 1')
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_REFRESH_MODIFIED/200', 'TCP_REFRESH_UNMODIFIED/200'])
  })

  it('answers a hundred pipelined hits in order', async () => {
    const proxy = await stage()
    const server = await site(({ url }) => ({ fields: [fresh], content: url ?? '' }))
    const wire = await proxy.client()
    for (const path of ['/a', '/b']) await wire.send(get(server.port, path)).response()
    const paths = Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? '/a' : '/b'))
    wire.send(paths.map(path => get(server.port, path)).join(''))
    for (const path of paths) expect((await wire.response()).body).toBe(path)
    expect(server.requests).toHaveLength(2)
  })

  it('carries content both ways, of any size', async () => {
    const proxy = await stage()
    const server = await origin((r, response) => void r.pipe(response))
    const content = Array.from({ length: 3 << 20 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
    const echoed = await proxy.ask(request('POST', server.port, '/', [`Content-Length: ${content.length}`], content), 'POST')
    expect(echoed.body === content).toBe(true)
  })

  it('stops reading an origin whose client does not read', async () => {
    const proxy = await stage()
    const server = await origin((_, response) => void response.end(Buffer.alloc(64 << 20)))
    const wire = await proxy.client()
    wire.socket.pause()
    wire.send(get(server.port))
    const before = await stoodStill(() => originConnections(proxy)[0]?.bytesRead ?? 0, 'the fetch')
    expect(before).toBeLessThan(32 << 20)
    wire.socket.resume()
    expect((await wire.response()).body).toHaveLength(64 << 20)
  })

  it('does not answer a client without end that asks and does not read', async () => {
    const proxy = await stage('cache_mem 64 MB\nmaximum_object_size_in_memory 2 MB\n')
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=600')
      response.end(Buffer.alloc(1 << 20, 'x'))
    })
    await proxy.ask(get(server.port))
    const wire = await proxy.client()
    wire.socket.pause()
    wire.send(get(server.port, '/', `X-Fill: ${'y'.repeat(900)}`).repeat(5000))
    let before = -1
    await until(() => {
      const now = proxy.records.length
      const still = now > 1 && now === before
      before = now
      return still
    }, 'the proxy to stop')
    expect(before).toBeLessThan(100)
    wire.socket.resume()
    for (let i = 0; i < 20; i++) expect((await wire.response()).body).toHaveLength(1 << 20)
  })

  it('relays a tunnel both ways, half-closed too', async () => {
    const proxy = await stage()
    const server = await raw(socket => {
      socket.on('data', (chunk: Buffer) => socket.write(chunk.toString('latin1').toUpperCase()))
      socket.on('end', () => socket.end('bye'))
    })
    const wire = await proxy.client()
    wire.send(`CONNECT 127.0.0.1:${server.port} HTTP/1.1\r\nHost: x\r\n\r\nearly`)
    expect((await wire.response('CONNECT')).status).toBe(200)
    expect(await wire.bytes(5)).toBe('EARLY')
    expect(await wire.end().closed()).toBe('bye')
    expect(await proxy.results(1)).toEqual(['TCP_TUNNEL/200'])
  })

  it('relays after an upgrade', async () => {
    const proxy = await stage()
    const server = await raw(async socket => {
      await heard(socket)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi')
      socket.on('data', chunk => socket.write(chunk))
      socket.on('end', () => socket.end())
    })
    const wire = await proxy.client()
    expect((await wire.send(get(server.port, '/', 'Connection: Upgrade', 'Upgrade: echo')).response()).status).toBe(101)
    expect([await wire.bytes(2), await wire.send('ping').bytes(4)]).toEqual(['hi', 'ping'])
    expect(await wire.end().closed()).toBe('')
  })

  it('asks for content with 100 Continue', async () => {
    const proxy = await stage()
    const server = await origin((r, response) => void r.resume().on('end', () => response.end('ok')))
    const wire = await proxy.client()
    wire.send(request('PUT', server.port, '/', ['Content-Length: 4', 'Expect: 100-continue']))
    expect(await wire.bytes(25)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    expect((await wire.send('data').response('PUT')).body).toBe('ok')
  })

  test.each<[string, string]>([
    ['half_closed_clients on', 'late'],
    ['half_closed_clients off', ''],
  ])('%s: a client that has closed its sending side gets %j', async (conf, body) => {
    const proxy = await stage(`${conf}\n`)
    const [go, asked] = [gate(), gate()]
    const server = await origin(async (_, response) => {
      asked.open()
      await go.opened
      response.end('late')
    })
    const wire = await proxy.client()
    wire.send(get(server.port))
    await asked.opened
    wire.end()
    if (body === '') expect(await wire.closed()).toBe('')
    go.open()
    if (body !== '') expect(await wire.closed()).toMatch(/\r\n\r\n4\r\nlate\r\n0\r\n\r\n$|late$/)
  })

  it('tells refused, silent and lying origins apart', async () => {
    const proxy = await stage('read_timeout 10 seconds\n')
    const asked = gate()
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      if (nth === 0) socket.end()
      else if (nth === 1) socket.end('nonsense\r\n\r\n')
      else if (nth === 2) socket.resetAndDestroy()
      else asked.open()
    })
    const wire = await proxy.client()
    const said = async () => (await wire.response()).fields.get('x-squid-error')
    const answers = []
    for (let i = 0; i < 3; i++) {
      wire.send(get(server.port))
      answers.push(await said())
    }
    wire.send(get(server.port))
    await asked.opened
    proxy.clock.advance(11_000)
    answers.push(await said())
    wire.send(get(1))
    answers.push(await said())
    expect(answers).toEqual(['ERR_ZERO_SIZE_OBJECT 0', 'ERR_INVALID_RESP 0', 'ERR_READ_ERROR 104', 'ERR_READ_TIMEOUT 110', 'ERR_CONNECT_FAIL 111'])
  })

  it('resets where only a reset can tell that content is not whole', async () => {
    const proxy = await stage()
    const server = await raw(async socket => {
      if ((await heard(socket).catch(() => null)) === null) return
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    })
    const wire = await proxy.client()
    await expect(wire.send(`GET http://127.0.0.1:${server.port}/ HTTP/1.0\r\n\r\n`).response()).rejects.toThrow(/closed before|ECONNRESET/)
    expect(wire.reset).toBe(true)
  })

  it('ends what nobody uses: silent, idle and lingering connections', async () => {
    const proxy = await stage('request_start_timeout 10 seconds\nclient_idle_pconn_timeout 10 seconds\n')
    const server = await site(() => ({ content: 'x' }))
    const silent = await proxy.client()
    const idle = await proxy.client()
    await idle.send(get(server.port)).response()
    const last = await proxy.client()
    await last.send('no request\r\n\r\n').response()
    expect(await last.closed()).toBe('')
    await until(() => clientConnections(proxy).length === 3, 'three connections')
    proxy.clock.advance(11_000)
    expect([await silent.closed(), await idle.closed()]).toEqual(['', ''])
    await until(() => proxy.machine.sessions === 0, 'the end of all')
  })

  it('takes what is still sent to a refused request, so that the refusal arrives', async () => {
    const proxy = await stage('request_body_max_size 1 KB\n')
    const wire = await proxy.client()
    wire.send(`POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n${'x'.repeat(500_000)}`).end()
    expect((await wire.response()).status).toBe(413)
    expect([await wire.closed(), wire.reset]).toEqual(['', false])
  })

  it('reloads its ports', async () => {
    const proxy = await stage()
    const server = await site(() => ({ content: 'ok' }))
    const wire = await proxy.client()
    proxy.reload('http_port 127.0.0.2:0 name=two\nhttp_access allow all\n')
    expect(proxy.machine.ports.map(p => p.name)).toEqual(['two'])
    expect((await wire.send(get(server.port)).response()).body).toBe('ok')
  })
})
