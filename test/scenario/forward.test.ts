import { afterEach, describe, expect, it } from 'vitest'
import { heard, httpOrigin, type Origin, rawOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { ask, Wire } from '../support/wire.ts'

// The http proxy on a forward port, on the wire: what a client sees, what an origin sees, and what the proxy says it
// did (the record behind the access log). Each test has its own proxy and origins, on ports the system gives.

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const proxyWith = async (conf = ''): Promise<RunningProxy> => {
  const proxy = await startProxy(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\n${conf}`)
  closers.push(() => proxy.stop())
  return proxy
}

const origin = async (answer: Parameters<typeof httpOrigin>[0]): Promise<Origin> => {
  const made = await httpOrigin(answer)
  closers.push(() => made.close())
  return made
}

const raw = async (script: Parameters<typeof rawOrigin>[0]) => {
  const made = await rawOrigin(script)
  closers.push(() => made.close())
  return made
}

const get = (port: number, path = '/', more = ''): string =>
  `GET http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${more}\r\n`

describe('a request through a forward port', () => {
  it('is a miss, then a hit that the origin does not see', async () => {
    const site = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=60')
      response.end('hello')
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    const miss = await wire.send(get(site.port)).response()
    const hit = await wire.send(get(site.port)).response()
    expect([miss.status, miss.body, hit.status, hit.body]).toEqual([200, 'hello', 200, 'hello'])
    expect(hit.fields.get('age')).toMatch(/^[01]$/)
    expect(hit.fields.get('content-length')).toBe('5')
    expect(miss.fields.get('cache-status')).toBe('proxy.test; fwd=uri-miss; stored')
    expect(hit.fields.get('cache-status')).toMatch(/^proxy\.test; hit; ttl=(60|59|58)$/)
    expect(site.requests).toHaveLength(1)
    expect(proxy.records.map(r => `${r.result}/${r.status}`)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    wire.close()
  })

  it('reaches the origin without hop-by-hop fields, with Via and X-Forwarded-For, and in origin-form', async () => {
    const site = await origin((_, response) => response.end())
    const proxy = await proxyWith()
    await ask(proxy.port('web'), get(site.port, '/a?b', 'Connection: X-Secret\r\nX-Secret: 1\r\nProxy-Connection: keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Kept: Yes\r\n'))
    const seen = site.requests[0]
    expect(seen?.url).toBe('/a?b')
    const pairs = new Map<string, string>()
    for (let i = 0; i < (seen?.rawHeaders.length ?? 0); i += 2) pairs.set(seen?.rawHeaders[i] ?? '', seen?.rawHeaders[i + 1] ?? '')
    expect(pairs.get('X-Kept')).toBe('Yes')
    expect(pairs.get('Via')).toMatch(/^1\.1 proxy\.test \(glassquid\//)
    expect(pairs.get('X-Forwarded-For')).toBe('127.0.0.1')
    for (const gone of ['X-Secret', 'Proxy-Connection', 'Keep-Alive', 'TE']) expect(pairs.has(gone)).toBe(false)
  })

  it('is answered in order when pipelined, hits and misses mixed', async () => {
    const site = await origin((request, response) => {
      response.setHeader('Cache-Control', request.url === '/kept' ? 'max-age=60' : 'no-store')
      setTimeout(() => response.end(request.url), request.url === '/slow' ? 30 : 0)
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    await wire.send(get(site.port, '/kept')).response()
    wire.send(get(site.port, '/slow') + get(site.port, '/kept') + get(site.port, '/b') + get(site.port, '/kept'))
    const bodies = []
    for (let i = 0; i < 4; i++) bodies.push((await wire.response()).body)
    expect(bodies).toEqual(['/slow', '/kept', '/b', '/kept'])
    wire.close()
  })

  it('may come byte by byte', async () => {
    const site = await origin((_, response) => response.end('ok'))
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.socket.setNoDelay(true)
    for (const byte of get(site.port)) {
      wire.send(byte)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect((await wire.response()).body).toBe('ok')
    wire.close()
  })

  it('of HTTP/1.0 gets the content until close when its length is unknown', async () => {
    const site = await origin((_, response) => {
      response.write('part ')
      response.end('whole')
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    const response = await wire.send(`GET http://127.0.0.1:${site.port}/ HTTP/1.0\r\n\r\n`).response()
    expect(response.body).toBe('part whole')
    expect(response.fields.has('transfer-encoding')).toBe(false)
    expect(response.fields.get('connection')).toBe('close')
    wire.close()
  })

  it('of HTTP/1.0 that asks for keep-alive gets it', async () => {
    const site = await origin((_, response) => response.end('x'))
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    const request = `GET http://127.0.0.1:${site.port}/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`
    expect((await wire.send(request).response()).fields.get('connection')).toBe('keep-alive')
    expect((await wire.send(request).response()).status).toBe(200)
    wire.close()
  })

  it('gets interim responses in order, HTTP/1.0 none', async () => {
    const site = await raw(async socket => {
      await heard(socket)
      socket.end('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    expect((await wire.send(get(site.port)).response()).interim).toEqual([103, 102])
    wire.close()
    const old = await Wire.connect(proxy.port('web'))
    const response = await old.send(`GET http://127.0.0.1:${site.port}/ HTTP/1.0\r\n\r\n`).response()
    expect([response.interim, response.body]).toEqual([[], 'ok'])
    old.close()
  })

  it('gets trailers of a chunked response', async () => {
    const site = await raw(async socket => {
      await heard(socket)
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n')
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.send(get(site.port, '/', 'Connection: close\r\n'))
    expect(await wire.closed()).toMatch(/\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n$/)
  })

  it('of HEAD has no content, and keeps the length', async () => {
    const site = await origin((_, response) => {
      response.setHeader('Content-Length', '1000')
      response.end()
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    const request = `HEAD http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\n\r\n`
    const head = await wire.send(request).response('HEAD')
    expect([head.status, head.fields.get('content-length'), head.body]).toEqual([200, '1000', ''])
    expect((await wire.send(request).response('HEAD')).status).toBe(200)
    wire.close()
  })
})

describe('content from the client', () => {
  it('is passed on with its length, and answered', async () => {
    const site = await origin((request, response) => {
      request.resume().on('end', () => response.end('got it'))
    })
    const proxy = await proxyWith()
    const response = await ask(proxy.port('web'), `POST http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world`)
    expect(response.body).toBe('got it')
    expect(site.requests[0]?.body).toBe('hello world')
    expect(proxy.records[0]?.requestContentBytes).toBe(11)
  })

  it('in chunks arrives whole', async () => {
    const site = await origin((request, response) => {
      request.resume().on('end', () => response.end('ok'))
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.send(`POST http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)
    await new Promise(resolve => setTimeout(resolve, 20))
    wire.send('6;x=y\r\n world\r\n0\r\n\r\n')
    expect((await wire.response()).body).toBe('ok')
    expect(site.requests[0]?.body).toBe('hello world')
    wire.close()
  })

  it('is asked for with 100 Continue, and only when the origin is reached', async () => {
    const site = await origin((request, response) => {
      request.resume().on('end', () => response.end('ok'))
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.send(`PUT http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`)
    expect(await wire.bytes(25)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    expect((await wire.send('data').response()).body).toBe('ok')
    wire.close()
    const dead = await Wire.connect(proxy.port('web'))
    dead.send(`PUT http://127.0.0.1:1/ HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`)
    const refused = await dead.response()
    expect([refused.status, refused.interim]).toEqual([503, []])
    dead.close()
  })

  it('that the origin does not read is not read from the client either, beyond a few buffers', async () => {
    const site = await raw(socket => void socket.pause())
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    const total = 64 * 1024 * 1024
    wire.send(`PUT http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nContent-Length: ${total}\r\n\r\n`)
    const piece = Buffer.alloc(1024 * 1024)
    let sent = 0
    let stuck = 0
    while (sent < total && stuck < 25) {
      if (wire.socket.write(piece)) {
        sent += piece.length
        stuck = 0
      } else {
        sent += piece.length
        while (wire.socket.writableNeedDrain && stuck < 25) {
          await new Promise(resolve => setTimeout(resolve, 20))
          stuck++
        }
        if (!wire.socket.writableNeedDrain) stuck = 0
      }
    }
    expect(sent).toBeLessThan(40 * 1024 * 1024) // socket buffers of three connections and ours, not the whole
    wire.close()
  })

  it('beyond request_body_max_size is refused, told or not', async () => {
    const site = await origin((_, response) => response.end())
    const proxy = await proxyWith('request_body_max_size 1 KB\n')
    const told = await ask(proxy.port('web'), `POST http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n`)
    expect(told.status).toBe(413)
    const wire = await Wire.connect(proxy.port('web'))
    wire.send(`POST http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n${'x'.repeat(0x401)}\r\n0\r\n\r\n`)
    expect((await wire.response()).status).toBe(413)
    wire.close()
  })
})

describe('a large response', () => {
  it('is not read faster than the client takes it', async () => {
    let written = 0
    const site = await raw(async socket => {
      await heard(socket)
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\nCache-Control: no-store\r\n\r\n')
      const piece = Buffer.alloc(1 << 20)
      const pump = () => {
        while (written < 256 << 20) {
          written += piece.length
          if (!socket.write(piece)) {
            socket.once('drain', pump)
            return
          }
        }
      }
      pump()
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.socket.pause()
    wire.send(get(site.port))
    let before = -1
    while (written !== before) {
      before = written
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThan(64 << 20)
    wire.close()
  })

  it('that breaks off is not stored and not passed for whole', async () => {
    let breaks = true
    const site = await raw(async socket => {
      await heard(socket)
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\n12345')
      if (breaks) socket.destroy()
      else socket.end('67890')
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    await expect(wire.send(get(site.port)).response()).rejects.toThrow(/closed before content/)
    wire.close()
    breaks = false
    expect((await ask(proxy.port('web'), get(site.port))).body).toBe('1234567890')
    expect(proxy.records.map(r => r.result)).toEqual(['TCP_MISS', 'TCP_MISS'])
    expect(proxy.records[0]?.error).toBe('read-error')
  })

  it('whose client leaves ends at the origin too', async () => {
    let ended = false
    const gone = new Promise<void>(resolve => {
      void raw(async socket => {
        await heard(socket)
        socket.on('close', () => {
          ended = true
          resolve()
        })
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nCache-Control: no-store\r\n\r\nbeginning')
      }).then(async site => {
        const proxy = await proxyWith()
        const wire = await Wire.connect(proxy.port('web'))
        wire.send(get(site.port))
        await wire.bytes(10)
        wire.close()
      })
    })
    await gone
    expect(ended).toBe(true)
  })
})

describe('tunnels', () => {
  it('CONNECT relays bytes both ways, early ones too, and half-close', async () => {
    const site = await raw(socket => {
      socket.on('data', (chunk: Buffer) => socket.write(chunk.toString('latin1').toUpperCase()))
      socket.on('end', () => socket.end('bye'))
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.send(`CONNECT 127.0.0.1:${site.port} HTTP/1.1\r\nHost: 127.0.0.1:${site.port}\r\n\r\nearly`)
    expect((await wire.response('CONNECT')).status).toBe(200)
    expect(await wire.bytes(5)).toBe('EARLY')
    expect(await wire.send('late').bytes(4)).toBe('LATE')
    expect(await wire.end().closed()).toBe('bye')
    await proxy.quiet()
    expect(proxy.records.map(r => [r.result, r.method, r.uri, r.requestContentBytes])).toEqual([['TCP_TUNNEL', 'CONNECT', `127.0.0.1:${site.port}`, 9]])
  })

  it('Upgrade becomes a relay after 101', async () => {
    const site = await raw(async socket => {
      const head = await heard(socket)
      expect(head).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: echo\r\n/)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi')
      socket.on('data', chunk => socket.write(chunk))
      socket.on('end', () => socket.end())
    })
    const proxy = await proxyWith()
    const wire = await Wire.connect(proxy.port('web'))
    wire.send(get(site.port, '/ws', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))
    const switched = await wire.response()
    expect([switched.status, switched.fields.get('upgrade')]).toEqual([101, 'echo'])
    expect(await wire.bytes(2)).toBe('hi')
    expect(await wire.send('ping').bytes(4)).toBe('ping')
    wire.end()
    await wire.closed()
  })

  it('Upgrade that the origin declines is an ordinary response', async () => {
    const site = await origin((_, response) => {
      response.setHeader('Content-Length', '2')
      response.end('no')
    })
    const proxy = await proxyWith()
    expect((await ask(proxy.port('web'), get(site.port, '/', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))).body).toBe('no')
  })

  it('Upgrade to HTTP/2 is not offered to the origin, and does not go round the cache', async () => {
    const site = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=60')
      response.end('page')
    })
    const proxy = await proxyWith()
    const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'
    await ask(proxy.port('web'), get(site.port, '/', offer))
    expect((await ask(proxy.port('web'), get(site.port, '/', offer))).body).toBe('page')
    expect(proxy.records.map(r => r.result)).toEqual(['TCP_MISS', 'TCP_MEM_HIT'])
    expect(site.requests[0]?.rawHeaders.map(text => text.toLowerCase())).not.toContain('upgrade')
  })

  it('CONNECT to a dead port is a 503 with its reason', async () => {
    const proxy = await proxyWith()
    const response = await ask(proxy.port('web'), 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n', 'GET')
    expect([response.status, response.fields.get('x-squid-error')]).toEqual([503, 'ERR_CONNECT_FAIL 111'])
  })
})

describe('TRACE and OPTIONS', () => {
  it('with Max-Forwards 0 are answered here, without secrets', async () => {
    const proxy = await proxyWith()
    const trace = await ask(proxy.port('web'), 'TRACE http://127.0.0.1:1/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nCookie: secret\r\nX-A: b\r\n\r\n')
    expect(trace.status).toBe(200)
    expect(trace.fields.get('content-type')).toBe('message/http')
    expect(trace.body).toContain('X-A: b')
    expect(trace.body).not.toContain('secret')
    expect((await ask(proxy.port('web'), 'OPTIONS http://127.0.0.1:1/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n')).status).toBe(200)
  })

  it('count Max-Forwards down on their way', async () => {
    const site = await origin((_, response) => response.end())
    const proxy = await proxyWith()
    await ask(proxy.port('web'), `OPTIONS http://127.0.0.1:${site.port}/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 3\r\n\r\n`)
    const raws = site.requests[0]?.rawHeaders ?? []
    expect(raws[raws.indexOf('Max-Forwards') + 1]).toBe('2')
  })
})
