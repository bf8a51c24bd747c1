import type http from 'node:http'
import { describe, expect, it, test } from 'vitest'
import { heard } from '../support/origin.ts'
import type { Wire } from '../support/wire.ts'
import { clientConnections, fetched, gate, get, origin, originConnections, raw, request, type Stage, stage, stoodStill, taken, until } from './scene.ts'

// collapsed_forwarding: requests for the same thing at the same time are one request at the origin, and yet no client
// depends on another. Seen at the origin (how many came, what became of them), at each client, and in the record.

const on = 'collapsed_forwarding on\n'
const fresh = 'max-age=60'

/** An origin whose answers wait until the test lets them go, all at once. */
const held = async (answer: (response: http.ServerResponse, nth: number, request: http.IncomingMessage) => void) => {
  const go = gate()
  let count = 0
  const closed: number[] = []
  const server = await origin(async (r, response) => {
    const nth = count++
    response.on('close', () => {
      if (!response.writableFinished) closed.push(nth)
    })
    await go.opened
    answer(response, nth, r)
  })
  return { server, go, /** Requests whose connection ended before their answer. */ closed, port: server.port, requests: server.requests }
}

const plain = (response: http.ServerResponse, nth: number, control = fresh): void => {
  response.setHeader('Cache-Control', control)
  response.end(`content ${nth}`)
}

/** So many clients that have all sent this; the proxy has read it of all of them. */
const crowd = async (proxy: Stage, count: number, text: string | ((n: number) => string)): Promise<Wire[]> => {
  const wires: Wire[] = []
  let bytes = 0
  for (let i = 0; i < count; i++) {
    const own = typeof text === 'string' ? text : text(i)
    wires.push((await proxy.client()).send(own))
    bytes += own.length
  }
  await taken(proxy, bytes)
  return wires
}

const bodies = (wires: readonly Wire[]): Promise<string[]> => Promise.all(wires.map(async wire => (await wire.response()).body))

describe('many requests for the same thing', () => {
  it('that collapsed_forwarding_access denies are each their own, and nobody follows them', async () => {
    const proxy = await stage(`${on}acl apart urlpath_regex ^/apart\ncollapsed_forwarding_access deny apart\ncollapsed_forwarding_access allow all\n`)
    const server = await held((response, nth) => plain(response, nth))
    const apart = await crowd(proxy, 3, get(server.port, '/apart'))
    const together = await crowd(proxy, 3, get(server.port, '/together'))
    await until(() => server.requests.length === 4, 'four questions')
    server.go.open()
    expect(new Set(await bodies(apart)).size).toBe(3)
    expect(new Set(await bodies(together)).size).toBe(1)
    expect(server.requests.filter(r => r.url === '/apart')).toHaveLength(3)
  })

  it('are one at the origin', async () => {
    const proxy = await stage(on)
    const server = await held((response, nth) => plain(response, nth))
    const wires = await crowd(proxy, 20, get(server.port))
    server.go.open()
    expect(new Set(await bodies(wires))).toEqual(new Set(['content 0']))
    expect(server.requests).toHaveLength(1)
    await proxy.results(20)
    expect(proxy.records.filter(r => r.collapsed)).toHaveLength(19)
    expect(proxy.records.every(r => r.result === 'TCP_MISS' && r.status === 200)).toBe(true)
    expect((await proxy.ask(get(server.port))).fields.get('cache-status')).toMatch(/; hit;/)
  })

  it('are as many as there are when it is off', async () => {
    const proxy = await stage()
    const server = await held((response, nth) => plain(response, nth))
    const wires = await crowd(proxy, 5, get(server.port))
    await until(() => server.requests.length === 5, 'five requests at the origin')
    server.go.open()
    await bodies(wires)
    expect(proxy.records.some(r => r.collapsed)).toBe(false)
  })

  it('that come when the content is half there get it from its first byte', async () => {
    const proxy = await stage(on)
    const rest = gate()
    const server = await origin(async (_, response) => {
      response.setHeader('Cache-Control', fresh)
      response.write('first ')
      await rest.opened
      response.end('second')
    })
    const [first] = await crowd(proxy, 1, get(server.port))
    await first?.bytes(20) // the head has come
    const late = [await proxy.client(), await proxy.client()].map(wire => wire.send(get(server.port)).response())
    await until(() => proxy.machine.sessions === 3 && clientConnections(proxy).every(c => c.bytesWritten > 0), 'a head for each')
    rest.open()
    for (const response of await Promise.all(late)) expect(response.body).toBe('first second')
    expect(server.requests).toHaveLength(1)
  })

  it('are answered each in its own way: chunks, until close, pipelined', async () => {
    const proxy = await stage(on)
    const server = await held(response => {
      response.setHeader('Cache-Control', fresh)
      response.write('one ')
      response.end('two')
    })
    const old = `GET http://127.0.0.1:${server.port}/ HTTP/1.0\r\n\r\n`
    const [a, b, c] = await crowd(proxy, 3, n => (n === 1 ? old : n === 2 ? get(server.port) + get(server.port, '/other') : get(server.port)))
    server.go.open()
    const [forNew, forOld, first] = await Promise.all([a?.response(), b?.response(), c?.response()])
    expect(forNew?.fields.get('transfer-encoding')).toBe('chunked')
    expect([forOld?.fields.get('transfer-encoding'), forOld?.fields.get('connection')]).toEqual([undefined, 'close'])
    for (const response of [forNew, forOld, first, await c?.response()]) expect(response?.body).toBe('one two')
    expect(server.requests.map(r => r.url)).toEqual(['/', '/other'])
  })

  it('get a stored error together too', async () => {
    const proxy = await stage(on)
    const server = await held((response, nth) => {
      response.statusCode = 404
      plain(response, nth)
    })
    const wires = await crowd(proxy, 3, get(server.port))
    server.go.open()
    expect((await Promise.all(wires.map(wire => wire.response()))).map(r => r.status)).toEqual([404, 404, 404])
    expect(server.requests).toHaveLength(1)
  })
})

describe('conditions', () => {
  const etagged = (response: http.ServerResponse, etag: string, content: string): void => {
    response.setHeader('Cache-Control', fresh)
    response.setHeader('ETag', etag)
    response.setHeader('Content-Length', content.length)
    response.end(content)
  }

  it('of those who wait are answered each for itself', async () => {
    const proxy = await stage(on)
    const server = await held(response => etagged(response, '"b"', 'content'))
    const tags = ['', '"b"', '"a"', 'W/"b"']
    const wires = await crowd(proxy, 4, n => get(server.port, '/', ...(n === 0 ? [] : [`If-None-Match: ${tags[n]}`])))
    server.go.open()
    const answers = await Promise.all(wires.map(wire => wire.response()))
    expect(answers.map(r => [r.status, r.body])).toEqual([[200, 'content'], [304, ''], [200, 'content'], [304, '']])
    expect([answers[1]?.fields.get('etag'), answers[1]?.fields.get('content-length')]).toEqual(['"b"', undefined])
    expect(server.requests).toHaveLength(1)
    expect((await proxy.results(4)).toSorted()).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/304', 'TCP_MISS/304'])
  })

  test.each([['', 'alone'], [on, 'with others']])('that the new response fulfils, asked in our words: 304, and it is stored (%s%s)', async sharing => {
    const proxy = await stage(sharing)
    let etag = '"a"'
    const asked: (string | undefined)[] = []
    const server = await origin((r, response) => {
      asked.push(r.headers['if-none-match'])
      etagged(response, etag, `content ${etag}`.padStart(400_000, '.')) // more than quick_abort would finish
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(60_000)
    etag = '"b"'
    const known = await proxy.ask(get(server.port, '/', 'If-None-Match: "b"'))
    expect([known.status, known.fields.get('etag'), known.body]).toEqual([304, '"b"', ''])
    expect(asked).toEqual([undefined, '"a"'])
    await until(() => proxy.records.length === 2, 'its record')
    await fetched(proxy, 800_000)
    expect((await proxy.ask(get(server.port))).body).toMatch(/content "b"$/)
    expect(server.requests).toHaveLength(2)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_MODIFIED/304', 'TCP_MEM_HIT/200'])
  })
})

describe('no client depends on another', () => {
  it('a first one that does not read holds nobody', async () => {
    const proxy = await stage(`${on}cache_mem 64 MB\nmaximum_object_size_in_memory 32 MB\n`)
    const content = Buffer.alloc(16 << 20, 'x')
    const server = await held(response => {
      response.setHeader('Cache-Control', fresh)
      response.end(content)
    })
    const [slow, quick] = await crowd(proxy, 2, get(server.port))
    slow?.socket.pause()
    server.go.open()
    expect((await quick?.response())?.body).toHaveLength(content.length)
    slow?.socket.resume()
    expect((await slow?.response())?.body).toHaveLength(content.length)
    expect(server.requests).toHaveLength(1)
  })

  it('one that holds all others, since the content is too large to be kept, is cut off after a minute', async () => {
    const proxy = await stage(`${on}maximum_object_size_in_memory 64 KB\n`)
    const length = 24 << 20
    const server = await held(response => {
      response.setHeader('Cache-Control', fresh) // no length: that it is too large shows late
      for (let i = 0; i < 24; i++) response.write(Buffer.alloc(1 << 20, 'x'))
      response.end()
    })
    const [slow, quick] = await crowd(proxy, 2, get(server.port))
    slow?.socket.pause()
    server.go.open()
    const whole = quick?.response()
    await stoodStill(() => originConnections(proxy)[0]?.bytesRead ?? 0, 'the fetch')
    let over = false
    void whole?.then(() => (over = true))
    // second by second: on a busy machine it may only have been slow
    await until(() => (over || proxy.clock.advance(1000), over), 'the others to be let go')
    expect((await whole)?.body).toHaveLength(length)
    slow?.socket.resume()
    await expect(slow?.response()).rejects.toThrow(/closed before/)
    expect(server.requests).toHaveLength(1)
    await proxy.results(2)
    expect(proxy.records.map(r => r.error).sort()).toEqual(['lifetime', null])
  })

  test.each(['before the head', 'within the content'])('the first one leaving %s takes nothing from the others', async when => {
    const proxy = await stage(on)
    const rest = gate()
    const server = await held(async response => {
      response.setHeader('Cache-Control', fresh)
      response.write('first ')
      await rest.opened
      response.end('second')
    })
    const [first, ...others] = await crowd(proxy, 3, get(server.port))
    if (when === 'within the content') {
      server.go.open()
      await first?.bytes(10)
    }
    first?.close()
    await proxy.results(1)
    server.go.open()
    rest.open()
    expect(await bodies(others)).toEqual(['first second', 'first second'])
    expect([server.requests.length, server.closed]).toEqual([1, []])
    expect(proxy.records[0]?.error).toBe('client-aborted')
    expect((await proxy.ask(get(server.port))).body).toBe('first second') // and it was stored
    expect(server.requests).toHaveLength(1)
  })

  test.each(['before the head', 'within the content'])('all leaving %s ends the fetch, and nothing is stored', async when => {
    const proxy = await stage(on)
    const server = await held(response => {
      response.setHeader('Cache-Control', fresh)
      response.write('first ')
    })
    const wires = await crowd(proxy, 3, get(server.port))
    if (when === 'within the content') {
      server.go.open()
      for (const wire of wires) await wire.bytes(10)
    }
    for (const wire of wires) wire.close()
    await until(() => server.closed.length === 1, 'the end of the fetch at the origin')
    expect((await proxy.results(3)).length).toBe(3)
    const [again] = await crowd(proxy, 1, get(server.port))
    await until(() => server.requests.length === 2, 'a fetch of its own')
    again?.close()
  })

  it('a request waits for the head of another for half a minute at most', async () => {
    const proxy = await stage(on)
    const server = await held((response, nth) => plain(response, nth))
    const wires = await crowd(proxy, 2, get(server.port))
    await until(() => server.requests.length === 1, 'the fetch')
    proxy.clock.advance(31_000)
    await until(() => server.requests.length === 2, 'a fetch of its own')
    server.go.open()
    expect((await bodies(wires)).sort()).toEqual(['content 0', 'content 1'])
  })

  it('or for collapsed_forwarding_timeout', async () => {
    const proxy = await stage(`${on}collapsed_forwarding_timeout 90 seconds\n`)
    const server = await held((response, nth) => plain(response, nth))
    await crowd(proxy, 2, get(server.port))
    await until(() => server.requests.length === 1, 'the fetch')
    proxy.clock.advance(89_000)
    await (await proxy.client()).send(get(server.port, '/other'))
    await until(() => server.requests.length === 2, 'what was asked after that')
    expect(server.requests[1]?.url).toBe('/other')
    proxy.clock.advance(2_000)
    await until(() => server.requests.length === 3, 'a fetch of its own')
    server.go.open()
  })

  it('and none is cut off because the origin of the shared fetch takes its time', async () => {
    const proxy = await stage(`${on}client_idle_pconn_timeout 5 seconds\nwrite_timeout 5 seconds\n`)
    const rest = gate()
    const server = await held(async response => {
      response.setHeader('Cache-Control', fresh)
      response.write('first ')
      await rest.opened
      response.end('second')
    })
    const wires = [await proxy.client(), await proxy.client()]
    for (const wire of wires) wire.send(get(server.port))
    await taken(proxy, 2 * get(server.port).length)
    proxy.clock.advance(12_000) // no head yet
    server.go.open()
    for (const wire of wires) await wire.bytes(10)
    proxy.clock.advance(12_000) // no more content yet
    rest.open()
    for (const wire of wires) await wire.bytes(1)
    await proxy.results(2)
    expect(proxy.records.map(r => [r.status, r.error])).toEqual([[200, null], [200, null]])
  })
})

describe('what is not for everybody', () => {
  it('is fetched by each for itself, and from then on side by side', async () => {
    const proxy = await stage(on)
    const server = await held((response, nth) => plain(response, nth, 'private'))
    const wires = await crowd(proxy, 4, get(server.port))
    expect(server.requests.length).toBeLessThanOrEqual(1)
    server.go.open()
    expect((await bodies(wires)).sort()).toEqual(['content 0', 'content 1', 'content 2', 'content 3'])
    expect(proxy.records.some(r => r.collapsed)).toBe(false)
  })

  it('does not make later ones wait for one another', async () => {
    const proxy = await stage(on)
    let count = 0
    const open: http.ServerResponse[] = []
    const server = await origin((_, response) => {
      if (count++ === 0) plain(response, 0, 'no-store')
      else open.push(response)
    })
    await proxy.ask(get(server.port))
    const wires = await crowd(proxy, 3, get(server.port))
    await until(() => open.length === 3, 'three requests at once at the origin')
    open.forEach((response, i) => plain(response, i, 'no-store'))
    await bodies(wires)
  })

  test.each<[string, readonly string[]]>([
    ['a range', ['Range: bytes=0-1']],
    ['a reload', ['Cache-Control: no-cache']],
    ['no-store', ['Cache-Control: no-store']],
    ['If-Match', ['If-Match: "a"']],
    ['a condition of its own', ['If-None-Match: "a"']],
    ['Authorization', ['Authorization: Basic eDp5']],
  ])('a request with %s is not what others wait for', async (_, lines) => {
    const proxy = await stage(on)
    const server = await held((response, nth) => plain(response, nth))
    const [own] = await crowd(proxy, 1, get(server.port, '/', ...lines))
    await until(() => server.requests.length === 1, 'the first at the origin')
    const others = [await proxy.client(), await proxy.client()]
    others.forEach(wire => wire.send(get(server.port)))
    await until(() => server.requests.length === 2, 'a fetch of the others')
    server.go.open()
    expect(await bodies(others)).toEqual(['content 1', 'content 1'])
    expect((await own?.response())?.body).toBe('content 0')
  })

  it('HEAD and POST go each their own way', async () => {
    const proxy = await stage(on)
    const server = await held((response, nth) => plain(response, nth))
    const wires = await crowd(proxy, 4, n => (n < 2 ? request('HEAD', server.port) : request('POST', server.port, '/', ['Content-Length: 0'])))
    await until(() => server.requests.length === 4, 'four requests')
    server.go.open()
    await Promise.all(wires.map((wire, n) => wire.response(n < 2 ? 'HEAD' : 'POST')))
  })
})

describe('variants', () => {
  it('those whose fields differ fetch their own, together', async () => {
    const proxy = await stage(on)
    const server = await held((response, _, { headers }) => {
      response.setHeader('Vary', 'Accept-Language')
      response.setHeader('Cache-Control', fresh)
      response.end(`${headers['accept-language']}`)
    })
    const wires = await crowd(proxy, 6, n => get(server.port, '/', `Accept-Language: ${['en', 'fr', 'en', 'fr', 'fr', 'en'][n]}`))
    server.go.open()
    expect(await bodies(wires)).toEqual(['en', 'fr', 'en', 'fr', 'fr', 'en'])
    expect(server.requests).toHaveLength(2)
  })
})

describe('a stored response that is stale', () => {
  const staleStage = async (second: (response: http.ServerResponse) => void) => {
    const proxy = await stage(on)
    const go = gate()
    let count = 0
    const server = await origin(async (_, response) => {
      response.setHeader('Cache-Control', 'max-age=0')
      if (count++ === 0) {
        response.setHeader('ETag', '"a"')
        return void response.end('one')
      }
      await go.opened
      second(response)
    })
    await proxy.ask(get(server.port))
    const wires = await crowd(proxy, 5, n => get(server.port, '/', ...(n === 4 ? ['If-None-Match: "a"'] : [])))
    await until(() => server.requests.length === 2, 'the validation')
    go.open()
    const responses = await Promise.all(wires.map(wire => wire.response()))
    await proxy.results(6)
    return { proxy, server, answers: responses.map(r => `${r.status} ${r.body}`), records: proxy.records.slice(1) }
  }

  it('is validated once for all; each gets it in his own way', async () => {
    const { server, answers, records } = await staleStage(response => {
      response.statusCode = 304
      response.setHeader('ETag', '"a"')
      response.end()
    })
    expect(answers).toEqual(['200 one', '200 one', '200 one', '200 one', '304 '])
    expect(server.requests).toHaveLength(2)
    expect(records.map(r => r.result)).toEqual(Array(5).fill('TCP_REFRESH_UNMODIFIED'))
    expect(records.filter(r => r.collapsed)).toHaveLength(4)
  })

  it('is replaced once for all', async () => {
    const { server, answers } = await staleStage(response => response.end('two'))
    expect(server.requests.length).toBeGreaterThanOrEqual(2)
    expect(answers.slice(0, 4)).toEqual(Array(4).fill('200 two'))
  })

  it.each(['answers 503', 'closes'])('is given to all when the origin %s', async how => {
    const { server, answers, records } = await staleStage(response => {
      response.statusCode = 503
      if (how === 'closes') response.socket?.destroy()
      else response.end()
    })
    expect(answers).toEqual(['200 one', '200 one', '200 one', '200 one', '304 '])
    // a kept connection that closes is no failure yet: a fresh one is tried
    expect(server.requests).toHaveLength(how === 'closes' ? 3 : 2)
    expect(new Set(records.map(r => r.result))).toEqual(new Set(['TCP_REFRESH_FAIL_OLD']))
  })
})

describe('when the shared fetch fails', () => {
  it('before its head, each tries for himself', async () => {
    const proxy = await stage(on)
    const go = gate()
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      await go.opened
      if (nth === 0) socket.end()
      else socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
    })
    const wires = await crowd(proxy, 3, get(server.port))
    go.open()
    expect((await Promise.all(wires.map(wire => wire.response()))).map(r => r.status).sort()).toEqual([200, 200, 502])
  })

  it('within its content, all can tell, and nothing is stored', async () => {
    const proxy = await stage(on)
    const go = gate()
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      await go.opened
      socket.end(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n${nth === 0 ? 'short' : 'long enough'.slice(0, 10)}`)
    })
    const wires = await crowd(proxy, 3, get(server.port))
    go.open()
    for (const wire of wires) await expect(wire.response()).rejects.toThrow(/closed before content/)
    expect((await proxy.ask(get(server.port))).body).toBe('long enoug')
    expect(server.connections).toBe(2)
  })
})

const fetchOlderThanChange = async () => {
  const proxy = await stage(on)
  const go = gate()
  let count = 0
  const slow = await origin(async (r, response) => {
    if (r.method === 'POST') return void response.end()
    const nth = count++
    if (nth === 0) await go.opened
    plain(response, nth)
  })
  const [before] = await crowd(proxy, 1, get(slow.port))
  await until(() => slow.requests.length === 1, 'the fetch')
  await proxy.ask(request('POST', slow.port, '/', ['Content-Length: 0']))
  const newcomer = (await proxy.ask(get(slow.port))).body
  go.open()
  const first = (await before?.response())?.body
  return { newcomer, first, later: (await proxy.ask(get(slow.port))).body }
}

it('newcomers do not join a fetch that is older than a change', async () => {
  expect(await fetchOlderThanChange()).toMatchObject({ newcomer: 'content 1', first: 'content 0' })
})

it('nor is what it brings stored in the place of what was fetched since', async () => {
  expect((await fetchOlderThanChange()).later).toBe('content 1')
})

test('a 304 about nothing we have, when its client has gone: those who waited with it ask for themselves', async () => {
  const proxy = await stage(on)
  const answer = gate()
  let count = 0
  const server = await origin(async (_, response) => {
    const nth = count++
    if (nth === 1) {
      await answer.opened
      response.writeHead(304, { ETag: '"z"' }).end()
      return
    }
    response.setHeader('ETag', '"a"')
    plain(response, nth)
  })
  await proxy.ask(get(server.port))
  proxy.clock.advance(60_000)
  const [first, second] = await crowd(proxy, 2, get(server.port))
  await until(() => server.requests.length === 2, 'the question')
  first?.close()
  await proxy.results(2)
  answer.open()
  expect((await second?.response())?.body).toBe('content 2')
})
