import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { CountHttp } from '../../src/proxy/http/counters.ts'
import { heard } from '../support/origin.ts'
import {
  bytesOrigin, gate, get, origin, raw, type Reply, request, site, type Site, type Stage, stage, until,
} from './scene.ts'

// stale-while-revalidate (RFC 5861 3): within its window a stale response is given at once, and the origin is asked
// behind the client's back, once, on behalf of nobody. What it says is for the next request.

const within = 'Cache-Control: max-age=10, stale-while-revalidate=20'

/** A response stored at second 0, stale from second 10 and to be given until second 30; now it is second 15. */
const staleNow = async (second: Reply, conf = '', first: Reply = { fields: [within, 'ETag: "a"', 'X-Rev: 1'], content: 'one' }) => {
  const proxy = await stage(conf)
  const server = await site((_, nth) => (nth === 0 ? first : second))
  await proxy.ask(get(server.port))
  proxy.clock.advance(15_000)
  return { proxy, server }
}

/** Behind the clients' backs it is quiet, and the origin has had so many requests in all. */
const asked = (proxy: Stage, server: Site, count: number): Promise<void> =>
  until(() => server.requests.length === count && proxy.machine.validationsBehind === 0, `request ${count} and its end`)

describe('a stale response within its window', () => {
  it('is given at once, with its age, while the origin is still being asked', async () => {
    const proxy = await stage()
    const answer = gate()
    const server = await origin(async (_, response) => {
      if (server.requests.length > 1) await answer.opened
      response.setHeader('Cache-Control', 'max-age=10, stale-while-revalidate=20')
      response.end(String(server.requests.length))
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    const stale = await proxy.ask(get(server.port))
    expect([stale.body, stale.fields.get('age'), stale.fields.get('cache-status')]).toEqual(['1', '15', 'proxy.test; hit; ttl=-5; detail=while-revalidate'])
    expect(proxy.records[1]).toMatchObject({ result: 'TCP_MEM_HIT', reuseReason: 'while-revalidate', server: null })
    await until(() => server.requests.length === 2, 'the question at the origin')
    expect(proxy.machine.validationsBehind).toBe(1)
    answer.open()
    await until(() => proxy.machine.validationsBehind === 0, 'the answer')
    expect((await proxy.ask(get(server.port))).body).toBe('2')
  })

  it('is fresh again when the origin says 304, with what the 304 says', async () => {
    const { proxy, server } = await staleNow({ status: 304, fields: ['ETag: "a"', 'Cache-Control: max-age=40', 'X-Rev: 2'] })
    expect((await proxy.ask(get(server.port))).fields.get('x-rev')).toBe('1')
    await asked(proxy, server, 2)
    expect(server.field(1, 'if-none-match')).toBe('"a"')
    proxy.clock.advance(39_999)
    const hit = await proxy.ask(get(server.port))
    expect([hit.body, hit.fields.get('x-rev'), hit.fields.get('age')]).toEqual(['one', '2', '39'])
    expect(server.requests).toHaveLength(2)
  })

  it('makes room for a new response', async () => {
    const { proxy, server } = await staleNow({ fields: ['Cache-Control: max-age=60', 'ETag: "b"'], content: 'two' })
    expect((await proxy.ask(get(server.port))).body).toBe('one')
    await asked(proxy, server, 2)
    expect((await proxy.ask(get(server.port))).body).toBe('two')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
  })

  it('goes when the origin says what may not be stored', async () => {
    const { proxy, server } = await staleNow({ fields: ['Cache-Control: no-store'], content: 'mine' })
    expect((await proxy.ask(get(server.port))).body).toBe('one')
    await asked(proxy, server, 2)
    expect((await proxy.ask(get(server.port))).body).toBe('mine')
    expect((await proxy.results(3))[2]).toBe('TCP_MISS/200')
  })

  it.each([204, 404, 301])('makes room for a %i that says how long it is fresh', async status => {
    const { proxy, server } = await staleNow({ status, fields: ['Cache-Control: max-age=60', 'Location: /'] })
    await proxy.ask(get(server.port))
    await asked(proxy, server, 2)
    expect([(await proxy.ask(get(server.port))).status, server.requests.length]).toEqual([status, 2])
  })

  it('without a validator is asked for without conditions', async () => {
    const { proxy, server } = await staleNow({ fields: [within], content: 'two' }, '', { fields: [within], content: 'one' })
    await proxy.ask(get(server.port, '/', 'If-None-Match: "mine"'))
    await asked(proxy, server, 2)
    expect([server.field(1, 'if-none-match'), server.field(1, 'if-modified-since')]).toEqual([undefined, undefined])
    expect((await proxy.ask(get(server.port))).body).toBe('two')
  })

  it('about which a 304 is not is asked for once more, without conditions', async () => {
    const proxy = await stage()
    const server = await site((_, nth) =>
      nth === 0
        ? { fields: [within, 'ETag: "a"'], content: 'one' }
        : nth === 1 ? { status: 304, fields: ['ETag: "z"'] } : { fields: [within, 'ETag: "z"'], content: 'three' },
    )
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    await proxy.ask(get(server.port))
    await asked(proxy, server, 3)
    expect(server.field(2, 'if-none-match')).toBeUndefined()
    expect((await proxy.ask(get(server.port))).body).toBe('three')
  })
})

describe('the question behind a client has a record of its own', () => {
  test.each<[string, Reply, object]>([
    ['304', { status: 304, fields: ['ETag: "a"'] }, { result: 'TCP_REFRESH_UNMODIFIED', status: 304, error: null }],
    ['a new response', { fields: [within], content: 'two' }, { result: 'TCP_REFRESH_MODIFIED', status: 200, serverContentBytes: 3, error: null }],
    ['a failure', { status: 503, content: 'sick' }, { result: 'TCP_REFRESH_FAIL_OLD', status: 503, errorDetail: 'the origin answered 503' }],
  ])('that says what the origin said: %s', async (_, second, record) => {
    const { proxy, server } = await staleNow(second)
    await proxy.ask(get(server.port))
    await asked(proxy, server, 2)
    await until(() => proxy.records.length === 3, 'its record')
    const own = proxy.records.filter(r => r.initiator === 'validation')
    expect(own).toHaveLength(1)
    expect(own[0]).toMatchObject({
      ...record, method: 'GET', uri: `http://127.0.0.1:${server.port}/`, hierarchy: 'HIER_DIRECT', responseBytes: 0, attempts: 1,
    })
    expect(own[0]?.server?.port).toBe(server.port)
    expect(own[0]?.sessionId).toMatch(/^svc\/web:\d+\/validation$/)
  })

  it('and a line without a client in the access log', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-behind-'))
    const path = join(folder, 'access.log')
    const { proxy, server } = await staleNow({ status: 304, fields: ['ETag: "a"'] }, `access_log stdio:${path} squid\n`)
    await proxy.ask(get(server.port))
    await asked(proxy, server, 2)
    await proxy.stop()
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    rmSync(folder, { recursive: true })
    expect(lines).toHaveLength(3)
    expect(lines.filter(line => / - TCP_REFRESH_UNMODIFIED\/304 0 GET /.test(line))).toHaveLength(1)
    expect(lines.filter(line => / 127\.0\.0\.1 TCP_/.test(line))).toHaveLength(2)
  })

  it('also when the origin cannot be reached', async () => {
    const { proxy, server } = await staleNow({})
    await server.close()
    await until(() => proxy.machine.comm.fdTable().every(entry => !entry.note.startsWith('origin')), 'the end of the kept connection')
    expect((await proxy.ask(get(server.port))).body).toBe('one')
    await until(() => proxy.records.length === 3, 'its record')
    expect(proxy.records.find(r => r.initiator === 'validation')).toMatchObject({ result: 'TCP_REFRESH_FAIL_OLD', status: 0, error: 'connect-failed' })
  })
})

describe('the window', () => {
  test.each<[string, number, string]>([
    ['has begun', 10_000, 'TCP_MEM_HIT/200'],
    ['is about to end', 29_999, 'TCP_MEM_HIT/200'],
    ['is over', 30_000, 'TCP_REFRESH_UNMODIFIED/200'],
  ])('%s', async (_, at, result) => {
    const { proxy, server } = await staleNow({ status: 304, fields: ['ETag: "a"'] })
    proxy.clock.advance(at - 15_000)
    await proxy.ask(get(server.port))
    await asked(proxy, server, 2)
    expect((await proxy.results(2))[1]).toBe(result)
  })

  it('counts from the new state after a validation', async () => {
    const { proxy, server } = await staleNow({ status: 304, fields: ['ETag: "a"'] })
    await proxy.ask(get(server.port))
    await asked(proxy, server, 2)
    proxy.clock.advance(29_999)
    await proxy.ask(get(server.port))
    await asked(proxy, server, 3)
    expect((await proxy.results(3)).slice(1)).toEqual(['TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
  })

  it('closes when the new response has none', async () => {
    const { proxy, server } = await staleNow({ fields: ['Cache-Control: no-cache', 'ETag: "d"'], content: 'two' })
    await proxy.ask(get(server.port))
    await asked(proxy, server, 2)
    proxy.clock.advance(3000)
    await proxy.ask(get(server.port))
    expect([server.field(2, 'if-none-match'), (await proxy.results(3))[2]]).toEqual(['"d"', 'TCP_REFRESH_MODIFIED/200'])
  })

  test.each(['must-revalidate', 'proxy-revalidate', 's-maxage=10', 'no-cache'])('%s leaves none', async control => {
    const { proxy, server } = await staleNow({ status: 304, fields: ['ETag: "a"'] }, '', {
      fields: [`${within}, ${control}`, 'ETag: "a"'],
      content: 'one',
    })
    await proxy.ask(get(server.port))
    expect((await proxy.results(2))[1]).toBe('TCP_REFRESH_UNMODIFIED/200')
  })

  test.each(['max-age=0', 'max-age=14', 'min-fresh=1'])('the client may want none: %s', async control => {
    const { proxy, server } = await staleNow({ status: 304, fields: ['ETag: "a"'] })
    await proxy.ask(get(server.port, '/', `Cache-Control: ${control}`))
    expect((await proxy.results(2))[1]).toBe('TCP_REFRESH_UNMODIFIED/200')
  })

  it('can be given by the conf, and taken', async () => {
    const plain = { fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: 'one' }
    const given = await staleNow({ status: 304, fields: ['ETag: "a"'] }, 'refresh_pattern . 0 20% 100 stale-while-revalidate=20\n', plain)
    await given.proxy.ask(get(given.server.port))
    expect((await given.proxy.results(2))[1]).toBe('TCP_MEM_HIT/200')
    await asked(given.proxy, given.server, 2)
    const taken = await staleNow({ status: 304, fields: ['ETag: "a"'] }, 'refresh_pattern . 0 20% 100 ignore-stale-while-revalidate\n')
    await taken.proxy.ask(get(taken.server.port))
    expect((await taken.proxy.results(2))[1]).toBe('TCP_REFRESH_UNMODIFIED/200')
  })
})

describe('the question behind the clients', () => {
  /** An origin whose second answer waits for the gate. */
  const slow = async () => {
    const proxy = await stage()
    const answer = gate()
    const server = await origin(async (_, response) => {
      const nth = server.requests.length
      if (nth > 1) await answer.opened
      response.setHeader('Cache-Control', 'max-age=10, stale-while-revalidate=20')
      response.end(String(nth))
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    return { proxy, server, answer }
  }

  it('is put once, however many want the response', async () => {
    const { proxy, server, answer } = await slow()
    const begun = CountHttp.validationsBehind
    for (let i = 0; i < 20; i++) expect((await proxy.ask(get(server.port))).body).toBe('1')
    await until(() => server.requests.length === 2, 'the question')
    answer.open()
    await until(() => proxy.machine.validationsBehind === 0, 'the answer')
    expect((await proxy.ask(get(server.port))).body).toBe('2')
    expect([server.requests.length, CountHttp.validationsBehind - begun]).toEqual([2, 1])
  })

  it('outlives its client', async () => {
    const { proxy, server, answer } = await slow()
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    await until(() => server.requests.length === 2, 'the question')
    wire.close()
    await until(() => proxy.machine.sessions === 0, 'the end of the session')
    answer.open()
    await until(() => proxy.machine.validationsBehind === 0, 'the answer')
    expect((await proxy.ask(get(server.port))).body).toBe('2')
  })

  it('keeps the client from nothing: its next requests are answered on the same connection', async () => {
    const { proxy, server, answer } = await slow()
    const wire = await proxy.client()
    wire.send(get(server.port) + get(server.port) + request('HEAD', server.port))
    for (const method of ['GET', 'GET', 'HEAD']) expect((await wire.response(method)).fields.get('age')).toBe('15')
    answer.open()
    await until(() => proxy.machine.validationsBehind === 0, 'the answer')
    expect((await wire.send(get(server.port)).response()).body).toBe('2')
  })

  test.each(['only-if-cached', 'no-store', 'max-stale=60, no-store'])('says nothing of what its client said to caches: %s', async control => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: [within], content: `${nth}` }))
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    const line = `Cache-Control: ${control}`
    expect((await proxy.ask(get(server.port, '/', line, 'Pragma: no-cache'))).body).toBe('0')
    if (control.startsWith('max-stale')) {
      // it has asked for what is stale, so nobody is asked: not so the next one
      expect(server.requests).toHaveLength(1)
      await proxy.ask(get(server.port, '/', 'Cache-Control: no-store'))
    }
    await asked(proxy, server, 2)
    expect(['cache-control', 'pragma'].map(name => server.field(1, name))).toEqual([undefined, undefined])
    // the answer is for all: no-store kept nothing from being stored
    expect((await proxy.ask(get(server.port))).body).toBe('1')
    expect(server.requests).toHaveLength(2)
  })

  it('is of the whole, in the words of the request that the response varies by', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: [within, 'Vary: Accept-Language', 'ETag: "a"'], content: `content ${nth}` }))
    const french = ['Accept-Language: fr', 'Cookie: a=b']
    await proxy.ask(get(server.port, '/', ...french))
    proxy.clock.advance(15_000)
    const part = await proxy.ask(get(server.port, '/', ...french, 'Range: bytes=0-3', 'If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT'))
    expect([part.status, part.body]).toEqual([206, 'cont'])
    await asked(proxy, server, 2)
    expect(['range', 'if-modified-since', 'accept-language', 'cookie', 'if-none-match'].map(name => server.field(1, name))).toEqual(
      [undefined, undefined, 'fr', 'a=b', '"a"'],
    )
    expect((await proxy.ask(get(server.port, '/', ...french))).body).toBe('content 1')
  })

  it('has interim responses that nobody sees', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(
      `HTTP/1.1 200 OK\r\n${within}\r\nContent-Length: 3\r\n\r\none`,
      `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n${within}\r\nContent-Length: 3\r\n\r\ntwo`,
    )
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    proxy.clock.advance(15_000)
    await wire.send(get(server.port)).response()
    await until(() => server.heads.length === 2 && proxy.machine.validationsBehind === 0, 'the answer')
    const next = await wire.send(get(server.port)).response()
    expect([next.interim, next.body]).toEqual([[], 'two'])
  })

  it('by HEAD is not put: its answer has no content to keep', async () => {
    const { proxy, server } = await staleNow({ fields: [within], content: 'two' })
    const head = await proxy.ask(request('HEAD', server.port), 'HEAD')
    expect([head.status, head.fields.get('age'), proxy.machine.validationsBehind]).toEqual([200, '15', 0])
    expect((await proxy.ask(get(server.port))).body).toBe('one')
    await asked(proxy, server, 2)
    expect(server.requests[1]?.method).toBe('GET')
  })
})

describe('when the origin does not say', () => {
  test.each(['closes', 'breaks off', 500, 503] as const)('%s: the stale response stays to the end of its window', async how => {
    const proxy = await stage()
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      if (nth === 0) socket.end(`HTTP/1.1 200 OK\r\n${within}, stale-if-error=0\r\nContent-Length: 3\r\n\r\none`)
      else if (how === 'closes') socket.end()
      else if (how === 'breaks off') socket.end(`HTTP/1.1 200 OK\r\n${within}\r\nContent-Length: 9\r\n\r\ntwo`)
      else socket.end(`HTTP/1.1 ${how} Sick\r\nContent-Length: 4\r\n\r\nsick`)
    })
    const failed = CountHttp.validationsBehindFailed
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    for (let i = 1; i < 3; i++) {
      expect((await proxy.ask(get(server.port))).body).toBe('one')
      await until(() => CountHttp.validationsBehindFailed === failed + i && proxy.machine.validationsBehind === 0, 'the failure')
      proxy.clock.advance(1000)
    }
    proxy.clock.advance(13_000)
    expect((await proxy.results(3)).slice(1)).toEqual(['TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
    const wire = await proxy.client()
    const after = await wire.send(get(server.port)).response().then(r => r.body, () => 'broken')
    expect(after).not.toBe('one')
  })

  it('it is asked again after a second, then two, then four; once it says something, at once', async () => {
    const proxy = await stage()
    let fails = true
    const long = 'Cache-Control: max-age=10, stale-while-revalidate=1000'
    const server = await site((_, nth) =>
      nth === 0 || !fails ? { fields: [long, 'ETag: "a"'], content: `${nth}` } : { status: 503, content: 'sick' },
    )
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    const at = async (seconds: number, requests: number): Promise<void> => {
      proxy.clock.advance(seconds * 1000)
      await proxy.ask(get(server.port))
      await asked(proxy, server, requests)
    }
    await at(0, 2)
    await at(0.999, 2)
    await at(0.001, 3)
    await at(1.999, 3)
    await at(0.001, 4)
    await at(3.999, 4)
    fails = false
    await at(0.001, 5)
    expect((await proxy.ask(get(server.port))).body).toBe('4')
    fails = true
    await at(10, 6)
    await at(0.999, 6)
    await at(0.001, 7)
    expect(new Set(await proxy.results(12))).toEqual(new Set(['TCP_MISS/200', 'TCP_MEM_HIT/200']))
  })

  it('its silence ends with read_timeout', async () => {
    const proxy = await stage('read_timeout 10 seconds\n')
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) !== null && nth === 0) socket.end(`HTTP/1.1 200 OK\r\n${within}\r\nContent-Length: 3\r\n\r\none`)
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    await proxy.ask(get(server.port))
    await until(() => server.connections === 2 && proxy.machine.validationsBehind === 1, 'the question')
    await until(() => (proxy.clock.advance(1000), proxy.machine.validationsBehind === 0), 'the end of patience')
  })

  it('too much of it makes the stale response go, and is not read to its end', async () => {
    const proxy = await stage('maximum_object_size_in_memory 10 KB\n')
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      if (nth === 0) return void socket.end(`HTTP/1.1 200 OK\r\n${within}\r\nContent-Length: 3\r\n\r\none`)
      socket.write(`HTTP/1.1 200 OK\r\n${within}\r\n\r\n`)
      const piece = Buffer.alloc(8192, 'x')
      const more = (): void => void socket.write(piece, error => error ? undefined : setImmediate(more))
      if (nth === 1) more()
      else socket.end('small')
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    expect((await proxy.ask(get(server.port))).body).toBe('one')
    await until(() => server.connections === 2 && proxy.machine.validationsBehind === 0, 'the end of it')
    expect((await proxy.ask(get(server.port))).body).toBe('small')
  })
})
