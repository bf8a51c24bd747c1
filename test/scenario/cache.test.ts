import { describe, expect, it, test } from 'vitest'
import { heard } from '../support/origin.ts'
import type { WireResponse } from '../support/wire.ts'
import { bytesOrigin, dateAt, gate, get, origin, originConnections, raw, request, type Reply, site, stage, until } from './scene.ts'

// The cache as clients and origins see it on the wire: what is asked for again and what is not, what a stored response
// looks like when it is given, who may have it. The rules themselves have tables in test/cache; here the whole machine
// obeys them. The clock stands still: what is fresh and what is stale is exact.

const fresh = 'Cache-Control: max-age=60'
/** Stored, and to be validated at each use. */
const stale: Reply = { fields: ['Cache-Control: max-age=0', 'ETag: "v1"', 'X-Rev: 1'], content: 'one' }

const shown = (response: WireResponse) => [response.status, response.body]

describe('freshness', () => {
  it('lasts exactly as long as max-age, while Age counts', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh, `Date: ${dateAt(proxy.clock)}`], content: 'x' }))
    expect((await proxy.ask(get(server.port))).fields.get('age')).toBeUndefined()
    proxy.clock.advance(59_999)
    const hit = await proxy.ask(get(server.port))
    expect([hit.fields.get('age'), hit.fields.get('cache-status')]).toEqual(['59', 'proxy.test; hit; ttl=0'])
    proxy.clock.advance(1)
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(2)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_REFRESH_MODIFIED/200'])
  })

  test.each<[string, readonly string[], number]>([
    ['s-maxage before max-age', ['Cache-Control: s-maxage=10, max-age=60', 'Expires: {90}'], 10],
    ['max-age before Expires', ['Cache-Control: max-age=20', 'Expires: {90}'], 20],
    ['Expires minus Date', ['Expires: {30}'], 30],
    ['less what the response was old already', ['Cache-Control: max-age=60', 'Age: 50'], 10],
    ['less what its Date says', ['Cache-Control: max-age=60', 'Date: {-20}'], 40],
    ['a fifth of the time since it was modified', ['Last-Modified: {-1000}'], 200],
  ])('is told from %s', async (_, lines, lifetime) => {
    const proxy = await stage()
    const fields = lines.map(line => line.replace(/\{(.*)\}/, (__, at) => dateAt(proxy.clock, Number(at))))
    if (!lines.some(line => line.startsWith('Date'))) fields.push(`Date: ${dateAt(proxy.clock)}`)
    const server = await site(() => ({ fields: [...fields, 'ETag: "a"'], content: 'x' }))
    await proxy.ask(get(server.port))
    proxy.clock.advance(lifetime * 1000 - 1)
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(1)
    proxy.clock.advance(1)
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(2)
  })

  it('of what says nothing about it is none, and what cannot be validated then is not stored', async () => {
    const proxy = await stage()
    const server = await site(() => ({ content: 'x' }))
    await proxy.ask(get(server.port))
    await proxy.ask(get(server.port))
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
    expect(proxy.records[0]?.storeReason).toBe('stale-without-validator')
  })

  it('makes errors and redirects hits too, where they say so', async () => {
    const proxy = await stage()
    const server = await site(({ url }) => ({ status: Number(url?.slice(1)), fields: [fresh, 'Location: /'], content: 'x' }))
    for (const status of [404, 404, 302, 302]) await proxy.ask(get(server.port, `/${status}`))
    expect(await proxy.results(4)).toEqual(['TCP_MISS/404', 'TCP_NEGATIVE_HIT/404', 'TCP_MISS/302', 'TCP_MEM_HIT/302'])
  })
})

describe('a stale stored response', () => {
  it('whose origin says 304 is given with the fields of the 304, and is fresh again', async () => {
    const proxy = await stage()
    const modified = dateAt(proxy.clock, -1000)
    const server = await site((_, nth) =>
      nth === 0
        ? { fields: [fresh, 'ETag: "v1"', `Last-Modified: ${modified}`, 'X-Rev: 1', 'X-Kept: yes'], content: 'one' }
        : { status: 304, fields: ['Cache-Control: max-age=100', 'ETag: "v1"', 'X-Rev: 2', 'Connection: X-Hop', 'X-Hop: 1', 'Content-Length: 99'] },
    )
    await proxy.ask(get(server.port))
    proxy.clock.advance(60_000)
    const validated = await proxy.ask(get(server.port))
    proxy.clock.advance(99_999)
    const hit = await proxy.ask(get(server.port))
    expect([server.field(1, 'if-none-match'), server.field(1, 'if-modified-since')]).toEqual(['"v1"', modified])
    for (const response of [validated, hit]) {
      expect(shown(response)).toEqual([200, 'one'])
      expect(response.fields.get('cache-control')).toBe('max-age=100')
      expect([response.fields.get('x-rev'), response.fields.get('x-kept'), response.fields.get('x-hop')]).toEqual(['2', 'yes', undefined])
      expect([response.fields.get('content-length'), response.fields.count('etag')]).toEqual(['3', 1])
    }
    expect([validated.fields.get('age'), hit.fields.get('age')]).toEqual(['0', '99'])
    expect(validated.fields.get('cache-status')).toBe('proxy.test; fwd=stale; fwd-status=304; ttl=100; stored')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_UNMODIFIED/200', 'TCP_MEM_HIT/200'])
  })

  it('is replaced by a new response', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? stale : { fields: [fresh, 'ETag: "v2"'], content: 'two' }))
    for (const content of ['one', 'two', 'two']) expect(shown(await proxy.ask(get(server.port)))).toEqual([200, content])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_MODIFIED/200', 'TCP_MEM_HIT/200'])
  })

  it('of which the 304 names another validator is asked for again, without conditions', async () => {
    const proxy = await stage()
    const server = await site((_, nth) =>
      nth === 0 ? stale : nth === 1 ? { status: 304, fields: ['ETag: "v9"'] } : { fields: [fresh, 'ETag: "v2"'], content: 'two' },
    )
    await proxy.ask(get(server.port))
    expect(shown(await proxy.ask(get(server.port)))).toEqual([200, 'two'])
    expect([server.field(1, 'if-none-match'), server.field(2, 'if-none-match')]).toEqual(['"v1"', undefined])
    expect(shown(await proxy.ask(get(server.port)))).toEqual([200, 'two'])
    expect(server.requests).toHaveLength(3)
  })

  it("answers the client's own condition after it was validated with ours", async () => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? stale : { status: 304, fields: ['ETag: "v1"'] }))
    await proxy.ask(get(server.port))
    const same = await proxy.ask(get(server.port, '/', 'If-None-Match: "v1"'))
    const other = await proxy.ask(get(server.port, '/', 'If-None-Match: "v0"', 'If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT'))
    expect([shown(same), shown(other)]).toEqual([[304, ''], [200, 'one']])
    expect([server.field(2, 'if-none-match'), server.field(2, 'if-modified-since')]).toEqual(['"v1"', undefined])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_UNMODIFIED/304', 'TCP_REFRESH_UNMODIFIED/200'])
  })

  it('that says no-cache is validated at each use, fresh or not', async () => {
    const proxy = await stage()
    const server = await site((_, nth) =>
      nth === 0 ? { fields: ['Cache-Control: no-cache, max-age=60', 'ETag: "a"'], content: 'x' } : { status: 304, fields: ['ETag: "a"'] },
    )
    for (let i = 0; i < 3; i++) expect(shown(await proxy.ask(get(server.port)))).toEqual([200, 'x'])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_UNMODIFIED/200', 'TCP_REFRESH_UNMODIFIED/200'])
  })

  it('that a 304 forbids to keep is given once more and forgotten', async () => {
    const proxy = await stage()
    const server = await site((_, nth) =>
      nth === 1 ? { status: 304, fields: ['ETag: "v1"', 'Cache-Control: no-store'] } : stale,
    )
    for (let i = 0; i < 3; i++) expect(shown(await proxy.ask(get(server.port)))).toEqual([200, 'one'])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_UNMODIFIED/200', 'TCP_MISS/200'])
  })

  it('is validated on the connection that is kept, which stays in step', async () => {
    const proxy = await stage()
    const server = await site((r, nth) => (nth === 0 ? stale : r.headers['if-none-match'] ? { status: 304, fields: ['ETag: "v1"'] } : { content: 'other' }))
    const wire = await proxy.client()
    expect(shown(await wire.send(get(server.port)).response())).toEqual([200, 'one'])
    expect(shown(await wire.send(get(server.port)).response())).toEqual([200, 'one'])
    expect(shown(await wire.send(get(server.port, '/other')).response())).toEqual([200, 'other'])
    expect(server.connections).toBe(1)
  })
})

describe('when a stale response cannot be validated', () => {
  /** A stored response whose origin then behaves like `failing`. */
  const then = async (failing: 'closes' | 'is gone' | 'is silent' | number, control: string, conf = '') => {
    const proxy = await stage(`read_timeout 10 seconds\n${conf}`)
    const asked = gate()
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      if (nth === 0) socket.end(`HTTP/1.1 200 OK\r\nCache-Control: ${control}\r\nETag: "a"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nstale`)
      else if (failing === 'closes') socket.end()
      else if (failing === 'is silent') asked.open()
      else socket.end(`HTTP/1.1 ${failing} No\r\nContent-Length: 4\r\n\r\nsick`)
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(20_000)
    if (failing === 'is gone') await server.close()
    const wire = await proxy.client()
    wire.send(get(server.port))
    if (failing === 'is silent') {
      await asked.opened
      proxy.clock.advance(11_000)
    }
    return { response: await wire.response(), result: (await proxy.results(2))[1], record: proxy.records[1], proxy, wire, server }
  }

  test.each(['closes', 'is gone', 'is silent', 500, 502, 503, 504] as const)('the origin %s: it is given all the same', async failing => {
    const { response, result, record } = await then(failing, 'max-age=10')
    expect(shown(response)).toEqual([200, 'stale'])
    expect(Number(response.fields.get('age'))).toBeGreaterThanOrEqual(20)
    expect(result).toBe('TCP_REFRESH_FAIL_OLD/200')
    expect(record?.reuseReason).toBe('stale-on-error')
  })

  test.each(['must-revalidate', 'proxy-revalidate', 's-maxage=10', 'no-cache'])('%s forbids it: 504', async control => {
    const { response, result, record, wire, server } = await then('is gone', `max-age=10, ${control}`)
    expect([response.status, response.fields.get('x-squid-error')]).toEqual([504, 'ERR_CANNOT_FORWARD 111'])
    expect([result, record?.error]).toEqual(['TCP_REFRESH_FAIL_ERR/504', 'stale-forbidden'])
    expect((await wire.send(get(server.port)).response()).status).toBe(504) // the connection survives
  })

  it('an error of the origin is passed on where a stale response is forbidden', async () => {
    const { response, result } = await then(503, 'max-age=10, must-revalidate')
    expect([shown(response), result]).toEqual([[503, 'sick'], 'TCP_REFRESH_FAIL_ERR/503'])
  })

  test.each<[string, string]>([
    ['max-age=10', 'max_stale 9 seconds'],
    ['max-age=10', 'refresh_pattern . 0 20% 100 max-stale=9'],
    ['max-age=10, stale-if-error=9', ''],
  ])('it is too old by %s, %s: the failure is shown', async (control, conf) => {
    const { response, result } = await then('is gone', control, `${conf}\n`)
    expect([response.fields.get('x-squid-error'), result]).toEqual(['ERR_CONNECT_FAIL 111', 'TCP_REFRESH_FAIL_ERR/503'])
  })

  it('a 404 is no failure: it is the news', async () => {
    const { response, result } = await then(404, 'max-age=10')
    expect([shown(response), result]).toEqual([[404, 'sick'], 'TCP_REFRESH_MODIFIED/404'])
  })
})

describe("a client's condition", () => {
  const modified = 'Tue, 14 Nov 2023 00:00:00 GMT'
  const stored: Reply = { fields: [fresh, 'ETag: "a"', `Last-Modified: ${modified}`, 'Content-Type: text/plain', 'X-A: b'], content: 'x' }

  test.each<[string, string, number]>([
    ['If-None-Match: "a"', 'TCP_INM_HIT', 304],
    ['If-None-Match: W/"a"', 'TCP_INM_HIT', 304],
    ['If-None-Match: "0", "a"', 'TCP_INM_HIT', 304],
    ['If-None-Match: *', 'TCP_INM_HIT', 304],
    ['If-None-Match: "b"', 'TCP_MEM_HIT', 200],
    [`If-Modified-Since: ${modified}`, 'TCP_IMS_HIT', 304],
    ['If-Modified-Since: Wed, 15 Nov 2023 00:00:00 GMT', 'TCP_IMS_HIT', 304],
    ['If-Modified-Since: Mon, 13 Nov 2023 00:00:00 GMT', 'TCP_MEM_HIT', 200],
    ['If-Modified-Since: yesterday', 'TCP_MEM_HIT', 200],
    [`If-None-Match: "b"\r\nIf-Modified-Since: ${modified}`, 'TCP_MEM_HIT', 200],
  ])('%s is answered from the store: %s/%i', async (line, result, status) => {
    const proxy = await stage()
    const server = await site(() => stored)
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    const response = await wire.send(get(server.port, '/', line)).response()
    expect(response.status).toBe(status)
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', `${result}/${status}`])
    expect(server.requests).toHaveLength(1)
    if (status === 304) {
      expect([response.fields.get('etag'), response.fields.get('cache-control'), response.fields.get('age')]).toEqual(['"a"', 'max-age=60', '0'])
      for (const absent of ['content-length', 'content-type', 'x-a']) expect(response.fields.has(absent)).toBe(false)
    }
    expect((await wire.send(get(server.port)).response()).body).toBe('x') // nothing is left over on the wire
  })

  test.each(['If-Match: "a"', `If-Unmodified-Since: ${modified}`])('%s is for the origin alone', async line => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? stored : { status: 412 }))
    await proxy.ask(get(server.port))
    expect((await proxy.ask(get(server.port, '/', line))).status).toBe(412)
    expect(server.field(1, line.split(':')[0]?.toLowerCase() ?? '')).toBeDefined()
  })

  it('goes to the origin when nothing is stored, and its 304 goes to the client and is not stored', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? { status: 304, fields: ['ETag: "a"', fresh] } : stored))
    const response = await proxy.ask(get(server.port, '/', 'If-None-Match: "a"'))
    expect([response.status, server.field(0, 'if-none-match')]).toEqual([304, '"a"'])
    expect((await proxy.ask(get(server.port))).body).toBe('x')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/304', 'TCP_MISS/200'])
  })
})

describe('HEAD', () => {
  it('is answered from what a GET has stored', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh], content: 'four' }))
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    const head = await wire.send(request('HEAD', server.port)).response('HEAD')
    expect([head.status, head.fields.get('content-length'), head.body]).toEqual([200, '4', ''])
    expect((await wire.send(get(server.port)).response()).body).toBe('four')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
    expect(server.requests).toHaveLength(1)
  })

  it('is stored for other HEADs, and is no content for a GET', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh], content: 'four' }))
    for (const method of ['HEAD', 'HEAD', 'GET']) await proxy.ask(request(method, server.port), method)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MISS/200'])
  })

  it('that shows another validator makes the stored response be validated', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: [fresh, `ETag: "${nth}"`], content: `content ${nth}` }))
    await proxy.ask(get(server.port))
    await proxy.ask(request('HEAD', server.port, '/', ['Cache-Control: no-cache']), 'HEAD')
    expect((await proxy.ask(get(server.port))).body).toBe('content 2')
    expect(server.field(2, 'if-none-match')).toBe('"0"')
  })
})

describe('Vary', () => {
  const inLanguage = (language: string) => `Accept-Language: ${language}`

  it('keeps a variant for each value of the selecting fields', async () => {
    const proxy = await stage()
    const server = await site(({ headers }) => ({ fields: [fresh, 'Vary: Accept-Language'], content: headers['accept-language'] ?? 'none' }))
    for (const line of [[inLanguage('en')], [inLanguage('fr')], [], [inLanguage('en')], [inLanguage('fr')], []]) {
      expect((await proxy.ask(get(server.port, '/', ...line))).body).toBe(line[0]?.slice(17) ?? 'none')
    }
    expect(server.requests).toHaveLength(3)
    expect(proxy.records.map(r => r.reuseReason)).toEqual(['uri-miss', 'vary-miss', 'vary-miss', 'fresh', 'fresh', 'fresh'])
  })

  it('goes by what the origin has seen: a field that Connection names is for us, and nobody gets what came without it', async () => {
    const proxy = await stage()
    const server = await site(({ headers }) => ({ fields: [fresh, 'Vary: X-Lang'], content: String(headers['x-lang'] ?? 'none') }))
    const ask = async (...lines: string[]) => (await proxy.ask(get(server.port, '/', ...lines))).body
    expect(await ask('X-Lang: de', 'Connection: keep-alive, x-lang')).toBe('none')
    expect([await ask('X-Lang: de'), await ask(), await ask('Connection: X-LANG', 'X-Lang: fr')]).toEqual(['de', 'none', 'none'])
    expect(server.requests).toHaveLength(2)
  })

  it('gives nobody what is packed who cannot unpack it, though its origin has one strong tag for both', async () => {
    const proxy = await stage()
    const server = await site(({ headers }) => {
      if (headers['if-none-match'] === '"a"') return { status: 304, fields: ['ETag: "a"', 'Vary: Accept-Encoding'] }
      const packed = headers['accept-encoding'] !== undefined
      return { fields: [fresh, 'ETag: "a"', 'Vary: Accept-Encoding', ...(packed ? ['Content-Encoding: gzip'] : [])], content: packed ? 'packed' : 'plain' }
    })
    expect((await proxy.ask(get(server.port, '/', 'Accept-Encoding: gzip'))).body).toBe('packed')
    expect((await proxy.ask(get(server.port))).body).toBe('plain')
  })

  it('offers the tags of all variants where none fits; the one the 304 names is given, and stays for its own clients', async () => {
    const proxy = await stage()
    const server = await site((_, nth) =>
      nth < 2 ? { fields: [fresh, 'Vary: Accept-Language', `ETag: "${nth}"`], content: `content ${nth}` } : { status: 304, fields: ['ETag: "1"', fresh] },
    )
    for (const language of ['en', 'fr', 'de', 'de', 'fr', 'en']) await proxy.ask(get(server.port, '/', inLanguage(language)))
    const bodies = []
    for (const language of ['de', 'fr', 'en']) bodies.push((await proxy.ask(get(server.port, '/', inLanguage(language)))).body)
    expect(bodies).toEqual(['content 1', 'content 1', 'content 0'])
    expect(server.field(2, 'if-none-match')?.split(', ').sort()).toEqual(['"0"', '"1"'])
    expect(server.requests).toHaveLength(3)
  })

  it('* is never stored', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh, 'Vary: *'], content: 'x' }))
    await proxy.ask(get(server.port))
    await proxy.ask(get(server.port))
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
  })
})

describe('what is for one client', () => {
  test.each<[string, readonly string[], readonly string[], string]>([
    ['no-store', ['Cache-Control: no-store, max-age=60'], [], 'no-store'],
    ['private', ['Cache-Control: private, max-age=60'], [], 'private'],
    ['an answer to Authorization', [fresh], ['Authorization: Basic eDp5'], 'authorization'],
    ['an answer to no-store', [fresh], ['Cache-Control: no-store'], 'request-no-store'],
  ])('%s is not stored', async (_, fields, lines, reason) => {
    const proxy = await stage()
    const server = await site(() => ({ fields, content: 'secret' }))
    await proxy.ask(get(server.port, '/', ...lines))
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(2)
    expect(proxy.records[0]?.storeReason).toBe(reason)
  })

  it('is for all, though asked with Authorization, when it says so', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: ['Cache-Control: public, max-age=60'], content: 'x' }))
    await proxy.ask(get(server.port, '/', 'Authorization: Basic eDp5'))
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(1)
  })

  it('a cookie is given to whom it was sent, and to nobody else', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh, 'Set-Cookie: id=1', 'Set-Cookie: id=2', 'X-Kept: 1'], content: 'x' }))
    const miss = await proxy.ask(get(server.port))
    const hit = await proxy.ask(get(server.port))
    expect([miss.fields.count('set-cookie'), hit.fields.count('set-cookie'), hit.fields.get('x-kept')]).toEqual([2, 0, '1'])
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('fields that private names are given once only', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: ['Cache-Control: max-age=60, private="X-Mine"', 'X-Mine: 1'], content: 'x' }))
    const [miss, hit] = [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]
    expect([miss.fields.get('x-mine'), hit.fields.get('x-mine'), server.requests.length]).toEqual(['1', undefined, 1])
  })

  it('only-if-cached is answered from the store or with 504, and the origin hears nothing', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh], content: 'x' }))
    const wire = await proxy.client()
    const only = get(server.port, '/', 'Cache-Control: only-if-cached')
    const refused = await wire.send(only).response()
    expect([refused.status, refused.fields.get('x-squid-error'), server.requests.length]).toEqual([504, 'ERR_ONLY_IF_CACHED_MISS 0', 0])
    await wire.send(get(server.port)).response()
    expect(shown(await wire.send(only).response())).toEqual([200, 'x'])
    proxy.clock.advance(60_000)
    expect((await wire.send(only).response()).status).toBe(504)
    expect(server.requests).toHaveLength(1)
  })
})

describe('a reload', () => {
  test.each(['Cache-Control: no-cache', 'Pragma: no-cache'])('by %s asks the origin, without conditions, and replaces what is stored', async line => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: [fresh, 'ETag: "a"'], content: `content ${nth}` }))
    await proxy.ask(get(server.port))
    expect((await proxy.ask(get(server.port, '/', line))).body).toBe('content 1')
    expect(server.field(1, 'if-none-match')).toBeUndefined()
    expect((await proxy.ask(get(server.port))).body).toBe('content 1')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_CLIENT_REFRESH_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('by max-age=0 validates', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? { fields: [fresh, 'ETag: "a"'], content: 'x' } : { status: 304, fields: ['ETag: "a"'] }))
    await proxy.ask(get(server.port))
    expect((await proxy.ask(get(server.port, '/', 'Cache-Control: max-age=0'))).body).toBe('x')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_UNMODIFIED/200'])
  })
})

describe('what is stored goes when it changes', () => {
  test.each<[string, number, boolean]>([
    ['POST', 200, true], ['POST', 303, true], ['PUT', 204, true], ['DELETE', 200, true], ['PATCH', 201, true],
    ['POST', 500, false], ['PUT', 404, false], ['OPTIONS', 200, false],
  ])('%s answered with %i: %s', async (method, status, gone) => {
    const proxy = await stage()
    const server = await site((r, nth) => (r.method === 'GET' ? { fields: [fresh], content: `${nth}` } : { status }))
    await proxy.ask(get(server.port))
    await proxy.ask(request(method, server.port, '/', ['Content-Length: 0']))
    expect((await proxy.ask(get(server.port))).body).toBe(gone ? '2' : '0')
  })

  it('by a method nobody knows', async () => {
    const proxy = await stage()
    const answer = `HTTP/1.1 200 OK\r\n${fresh}\r\nContent-Length: 1\r\n\r\n`
    const server = await bytesOrigin(`${answer}a`, `${answer}b`, `${answer}c`)
    for (const method of ['GET', 'FROB', 'GET']) await proxy.ask(request(method, server.port))
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/200'])
    expect(server.heads[1]).toMatch(/^FROB \/ HTTP\/1\.1\r\n/)
  })

  it('at Location and Content-Location too, of the same origin only', async () => {
    const proxy = await stage()
    const other = await site((_, nth) => ({ fields: [fresh], content: `${nth}` }))
    const server = await site((r, nth) =>
      r.method === 'POST'
        ? { status: 201, fields: ['Location: /made', `Content-Location: ${r.url === '/far' ? `http://127.0.0.1:${other.port}/` : '/list'}`] }
        : { fields: [fresh], content: `${nth}` },
    )
    for (const path of ['/made', '/list', '/kept']) await proxy.ask(get(server.port, path))
    await proxy.ask(get(other.port))
    await proxy.ask(request('POST', server.port, '/form', ['Content-Length: 0']))
    await proxy.ask(request('POST', server.port, '/far', ['Content-Length: 0']))
    const bodies = []
    for (const path of ['/made', '/list', '/kept']) bodies.push((await proxy.ask(get(server.port, path))).body)
    expect(bodies).toEqual(['5', '6', '2'])
    expect((await proxy.ask(get(other.port))).body).toBe('0')
  })

  it('also while it is being fetched', async () => {
    const proxy = await stage()
    const rest = gate()
    const server = await origin(async (r, response) => {
      if (r.method === 'POST') return void response.end()
      response.setHeader('Cache-Control', 'max-age=60')
      response.write('old ')
      await rest.opened
      response.end('content')
    })
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => server.requests.length === 1, 'the GET at the origin')
    await proxy.ask(request('POST', server.port, '/', ['Content-Length: 0']))
    rest.open()
    expect((await wire.response()).body).toBe('old content')
    await proxy.ask(get(server.port))
    expect((await proxy.results(3)).at(-1)).toBe('TCP_MISS/200')
  })

  it('by a GET that brings something not to be stored', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 1 ? { fields: ['Cache-Control: no-store'], content: 'new' } : { fields: [fresh], content: `${nth}` }))
    await proxy.ask(get(server.port))
    await proxy.ask(get(server.port, '/', 'Cache-Control: no-cache'))
    expect((await proxy.ask(get(server.port))).body).toBe('2')
  })
})

describe('ranges', () => {
  const modified = 'Tue, 14 Nov 2023 00:00:00 GMT'
  /** Stored whole, from chunks. */
  const storedTen = async () => {
    const proxy = await stage()
    const server = await origin((_, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=60', ETag: '"a"', 'Last-Modified': modified })
      response.write('01234')
      setImmediate(() => response.end('56789'))
    })
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    return { proxy, server, wire }
  }

  test.each<[string, string, string]>([
    ['bytes=2-4', 'bytes 2-4/10', '234'],
    ['bytes=4-5', 'bytes 4-5/10', '45'],
    ['bytes=7-', 'bytes 7-9/10', '789'],
    ['bytes=-3', 'bytes 7-9/10', '789'],
    ['bytes=8-99', 'bytes 8-9/10', '89'],
    ['bytes=0-0', 'bytes 0-0/10', '0'],
  ])('%s is cut from the stored response', async (range, contentRange, body) => {
    const { wire, server } = await storedTen()
    const response = await wire.send(get(server.port, '/', `Range: ${range}`)).response()
    expect([response.status, response.fields.get('content-range'), response.fields.get('content-length'), response.body]).toEqual(
      [206, contentRange, String(body.length), body],
    )
    expect([response.fields.count('content-length'), response.fields.get('etag')]).toEqual([1, '"a"'])
    expect((await wire.send(get(server.port)).response()).body).toBe('0123456789')
    expect(server.requests).toHaveLength(1)
  })

  test.each<[string, readonly string[]]>([
    ['another unit', ['Range: lines=1-2']],
    ['nonsense', ['Range: bytes=5-2']],
    ['If-Range with another tag', ['Range: bytes=0-1', 'If-Range: "b"']],
    ['If-Range with a weak tag', ['Range: bytes=0-1', 'If-Range: W/"a"']],
    ['If-Range with another date', ['Range: bytes=0-1', 'If-Range: Wed, 15 Nov 2023 00:00:00 GMT']],
  ])('%s: the whole is given', async (_, lines) => {
    const { wire, server } = await storedTen()
    expect(shown(await wire.send(get(server.port, '/', ...lines)).response())).toEqual([200, '0123456789'])
  })

  test.each(['"a"', modified])('If-Range that holds (%s) gives the part', async condition => {
    const { wire, server } = await storedTen()
    expect(shown(await wire.send(get(server.port, '/', 'Range: bytes=0-1', `If-Range: ${condition}`)).response())).toEqual([206, '01'])
  })

  // RFC 9110 13.1.5 and 8.8.2.2: two contents may have had one date within a minute
  test.each([[59, 200], [60, 206]])('If-Range with the date of what was modified %d seconds before it came gets %d', async (seconds, status) => {
    const proxy = await stage()
    const changed = dateAt(proxy.clock, -seconds)
    const server = await site(() => ({ fields: [fresh, `Last-Modified: ${changed}`, `Date: ${dateAt(proxy.clock)}`], content: '0123456789' }))
    await proxy.ask(get(server.port))
    expect((await proxy.ask(get(server.port, '/', 'Range: bytes=0-1', `If-Range: ${changed}`))).status).toBe(status)
    expect(server.requests).toHaveLength(1)
  })

  it('beyond the end is a 416 that tells the length', async () => {
    const { wire, server, proxy } = await storedTen()
    const response = await wire.send(get(server.port, '/', 'Range: bytes=10-')).response()
    expect([response.status, response.fields.get('content-range'), response.body]).toEqual([416, 'bytes */10', ''])
    expect((await wire.send(get(server.port)).response()).body).toBe('0123456789')
    expect((await proxy.results(3))[1]).toBe('TCP_MEM_HIT/416')
  })

  it('that nearly touch become one', async () => {
    const { wire, server } = await storedTen()
    const response = await wire.send(get(server.port, '/', 'Range: bytes=4-5,0-1')).response()
    expect([...shown(response), response.fields.get('content-range')]).toEqual([206, '012345', 'bytes 0-5/10'])
  })

  it('of nothing stored go to the origin, whose part is not the whole', async () => {
    const proxy = await stage()
    const server = await site(({ headers }) =>
      headers.range === undefined ? { fields: [fresh], content: '0123' } : { status: 206, fields: [fresh, 'Content-Range: bytes 0-1/4'], content: '01' },
    )
    expect(shown(await proxy.ask(get(server.port, '/', 'Range: bytes=0-1')))).toEqual([206, '01'])
    expect(shown(await proxy.ask(get(server.port)))).toEqual([200, '0123'])
    expect(server.requests).toHaveLength(2)
  })
})

describe('content', () => {
  it('that came in chunks is given with its length, and its trailers once', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(
      `HTTP/1.1 200 OK\r\n${fresh}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nX-Sum: 6\r\n\r\n`,
    )
    const first = await proxy.client()
    first.send(get(server.port, '/', 'Connection: close'))
    expect(await first.closed()).toMatch(/Transfer-Encoding: chunked\r\n[^]*0\r\nX-Sum: 6\r\n\r\n$/)
    const hit = await proxy.ask(get(server.port))
    expect([hit.fields.get('content-length'), hit.body]).toEqual(['6', 'abcdef'])
    for (const absent of ['transfer-encoding', 'trailer', 'x-sum']) expect(hit.fields.has(absent)).toBe(false)
  })

  it('that ends with the connection is stored when it ends, with its length', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.0 200 OK\r\n${fresh}\r\n\r\nuntil close`)
    const [miss, hit] = [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]
    expect([miss.body, hit.body, hit.fields.get('content-length'), server.heads.length]).toEqual(['until close', 'until close', '11', 1])
  })

  test.each<[string, string]>([
    ['short of its length', 'Content-Length: 10\r\n\r\nabc'],
    ['within a chunk', 'Transfer-Encoding: chunked\r\n\r\n5\r\nabc'],
    ['before the last chunk', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['within its trailers', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-S'],
  ])('that breaks off %s is not stored, and its client can tell', async (_, rest) => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.1 200 OK\r\n${fresh}\r\n${rest}`, `HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew`)
    const wire = await proxy.client()
    await expect(wire.send(get(server.port)).response()).rejects.toThrow(/closed before content/)
    expect((await proxy.ask(get(server.port))).body).toBe('new')
    expect(proxy.records[0]?.error).toBe('read-error')
  })

  it('until close that ends in a reset is not stored', async () => {
    const proxy = await stage()
    const server = await raw(async (socket, nth) => {
      if ((await heard(socket).catch(() => null)) === null) return
      socket.write(`HTTP/1.1 200 OK\r\n${fresh}\r\n\r\npart`)
      if (nth > 0) return void socket.end()
      await part.opened
      socket.resetAndDestroy()
    })
    const part = gate()
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => (originConnections(proxy)[0]?.bytesRead ?? 0) > 0, 'the part')
    part.open()
    await expect(wire.response()).rejects.toThrow(/closed before content/)
    await proxy.ask(get(server.port))
    expect(server.connections).toBe(2)
  })

  test.each(['Content-Length: 20000', 'Transfer-Encoding: chunked'])('beyond maximum_object_size_in_memory (%s) passes whole, and is not stored', async framing => {
    const proxy = await stage('maximum_object_size_in_memory 10 KB\n')
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=60')
      if (framing.startsWith('Content-Length')) response.setHeader('Content-Length', '20000')
      for (let i = 0; i < 20; i++) response.write('x'.repeat(1000))
      response.end()
    })
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(server.port))).body).toHaveLength(20_000)
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
    expect(proxy.records[0]?.storeReason).toBe('too-large')
  })

  it('of nothing is a hit too', async () => {
    const proxy = await stage()
    const server = await site(({ url }) => ({ status: url === '/204' ? 204 : 200, fields: [fresh] }))
    const wire = await proxy.client()
    for (const path of ['/204', '/204', '/empty', '/empty']) {
      const response = await wire.send(get(server.port, path)).response()
      expect([response.body, response.fields.get('content-length')]).toEqual(['', path === '/204' ? undefined : '0'])
    }
    expect(await proxy.results(4)).toEqual(['TCP_MISS/204', 'TCP_MEM_HIT/204', 'TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })
})

describe('a stored response', () => {
  it('has no fields of the connection it came on', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(
      `HTTP/1.1 200 Fine\r\n${fresh}\r\nConnection: X-One, close\r\nX-One: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n` +
        'Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTE: x\r\nX-Two: 2\r\nx-ODD: Kept\r\nContent-Length: 1\r\n\r\nx',
    )
    for (const response of [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]) {
      for (const gone of ['connection', 'x-one', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'upgrade', 'te']) {
        expect([gone, response.fields.has(gone)]).toEqual([gone, false])
      }
      expect([response.reason, response.fields.get('x-two')]).toEqual(['Fine', '2'])
      expect(response.fields.pairs).toContain('x-ODD')
      expect(response.fields.get('via')).toMatch(/^1\.1 proxy\.test /)
    }
    expect(server.heads).toHaveLength(1)
  })

  it('has nothing of the interim responses before it', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n${fresh}\r\nContent-Length: 1\r\n\r\nx`)
    const [miss, hit] = [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]
    expect([miss.interim, hit.interim, hit.body, hit.fields.has('link')]).toEqual([[103], [], 'x', false])
  })

  it('passes on the Via of those before us, and comes with ours once', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh, 'Via: 1.0 near'], content: 'x' }))
    for (const response of [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]) {
      expect(response.fields.joined('via')).toMatch(/^1\.0 near, 1\.1 proxy\.test \([^,]*\)$/)
    }
  })

  it('answers pipelined requests in one go, in order', async () => {
    const proxy = await stage()
    const server = await site(({ url }) => ({ fields: [fresh], content: url ?? '' }))
    const wire = await proxy.client()
    for (const path of ['/a', '/b']) await wire.send(get(server.port, path)).response()
    const paths = Array.from({ length: 50 }, (_, i) => (i % 3 === 0 ? '/a' : '/b'))
    wire.send(paths.map(path => get(server.port, path)).join(''))
    for (const path of paths) expect((await wire.response()).body).toBe(path)
    expect(server.requests).toHaveLength(2)
  })

  test.each<[string, string | undefined]>([
    ['', 'close'],
    ['Connection: keep-alive\r\n', 'keep-alive'],
  ])('is a hit for HTTP/1.0 (%j)', async (line, connection) => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh], content: 'x' }))
    await proxy.ask(get(server.port))
    const wire = await proxy.client()
    const old = `GET http://127.0.0.1:${server.port}/ HTTP/1.0\r\n${line}\r\n`
    const response = await wire.send(old).response()
    expect([response.fields.get('connection'), response.body, response.fields.get('content-length')]).toEqual([connection, 'x', '1'])
    if (connection === 'keep-alive') expect((await wire.send(old).response()).body).toBe('x')
    else expect(await wire.closed()).toBe('')
    expect(server.requests).toHaveLength(1)
  })

  it('is found under every spelling of the same URI, and under no other', async () => {
    const proxy = await stage()
    const server = await site(({ url }) => ({ fields: [fresh], content: url ?? '' }))
    const as = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`
    const at = `LOCALHOST:${server.port}`
    for (const target of [`http://${at}/`, `HTTP://${at.toLowerCase()}`, `http://${at}/?`, `http://${at}/%41`, `http://${at}/A`]) await proxy.ask(as(target))
    expect(server.requests.map(r => r.url)).toEqual(['/', '/?', '/%41', '/A'])
  })

  it('leaves when there is no more room, and one too many is no harm', async () => {
    const proxy = await stage('cache_mem 100 KB\n')
    const server = await site(() => ({ fields: [fresh], content: 'x'.repeat(20_000) }))
    for (let i = 0; i < 8; i++) await proxy.ask(get(server.port, `/${i}`))
    await proxy.ask(get(server.port, '/7'))
    await proxy.ask(get(server.port, '/0'))
    expect((await proxy.results(10)).slice(8)).toEqual(['TCP_MEM_HIT/200', 'TCP_MISS/200'])
  })
})

describe('the conf', () => {
  const twice = async (conf: string, fields: readonly string[], wait: number, ...lines: readonly string[]) => {
    const proxy = await stage(conf)
    const dated = fields.map(line => line.replace(/\{(.*)\}/, (_, at) => dateAt(proxy.clock, Number(at))))
    const server = await site((r, nth) => (nth > 0 && r.headers['if-none-match'] ? { status: 304, fields: ['ETag: "a"'] } : { fields: dated, content: `${nth}` }))
    await proxy.ask(get(server.port, '/some/page'))
    proxy.clock.advance(wait * 1000)
    await proxy.ask(get(server.port, '/some/page', ...lines))
    return (await proxy.results(2))[1]
  }

  test.each<[string, string, readonly string[], number, readonly string[], string]>([
    ['a minimum for what says nothing', 'refresh_pattern /some 1 0% 10', [], 59, [], 'TCP_MEM_HIT/200'],
    ['... which ends', 'refresh_pattern /some 1 0% 10', [], 60, [], 'TCP_REFRESH_MODIFIED/200'],
    ['... of another URI', 'refresh_pattern /other 1 0% 10', [], 0, [], 'TCP_MISS/200'],
    ['the first line that matches counts', 'refresh_pattern -i /SOME 0 0% 0\nrefresh_pattern . 1 0% 10', [], 0, [], 'TCP_MISS/200'],
    ['override-expire', 'refresh_pattern . 1 0% 10 override-expire', ['Cache-Control: max-age=0', 'ETag: "a"'], 59, [], 'TCP_MEM_HIT/200'],
    ['override-lastmod', 'refresh_pattern . 1 0% 10 override-lastmod', ['Last-Modified: {-1}', 'ETag: "a"'], 59, [], 'TCP_MEM_HIT/200'],
    ['ignore-no-store', 'refresh_pattern . 1 0% 10 ignore-no-store', ['Cache-Control: no-store'], 59, [], 'TCP_MEM_HIT/200'],
    ['ignore-private stores, and validates', 'refresh_pattern . 1 0% 10 ignore-private', ['Cache-Control: private, max-age=9', 'ETag: "a"'], 0, [], 'TCP_REFRESH_UNMODIFIED/200'],
    ['ignore-reload', 'refresh_pattern . 0 0% 10 ignore-reload', [fresh], 0, ['Cache-Control: no-cache'], 'TCP_MEM_HIT/200'],
    ['reload-into-ims', 'refresh_pattern . 0 0% 10 reload-into-ims', [fresh, 'ETag: "a"'], 0, ['Cache-Control: no-cache'], 'TCP_REFRESH_UNMODIFIED/200'],
    ['reload_into_ims', 'reload_into_ims on', [fresh, 'ETag: "a"'], 0, ['Cache-Control: no-cache'], 'TCP_REFRESH_UNMODIFIED/200'],
    ['refresh-ims', 'refresh_pattern . 0 0% 10 refresh-ims', [fresh, 'ETag: "a"'], 0, ['If-None-Match: "0"'], 'TCP_REFRESH_UNMODIFIED/200'],
    ['cache deny', 'acl page urlpath_regex ^/some\ncache deny page', [fresh], 0, [], 'TCP_MISS/200'],
    ['cache deny of something else', 'acl page urlpath_regex ^/other\ncache deny page', [fresh], 0, [], 'TCP_MEM_HIT/200'],
    ['no memory', 'cache_mem 0', [fresh], 0, [], 'TCP_MISS/200'],
  ])('%s', async (_, conf, fields, wait, lines, result) => {
    expect(await twice(`${conf}\n`, fields, wait, ...lines)).toBe(result)
  })

  it('cache deny keeps what others stored from being used, and says so', async () => {
    const proxy = await stage('acl direct req_header X-Direct .\ncache deny direct\n')
    const server = await site((_, nth) => ({ fields: [fresh], content: `${nth}` }))
    await proxy.ask(get(server.port))
    const denied = await proxy.ask(get(server.port, '/', 'X-Direct: 1'))
    expect([denied.body, denied.fields.get('cache-status')]).toEqual(['1', 'proxy.test; fwd=bypass; detail=cache-deny'])
    expect((await proxy.ask(get(server.port))).body).toBe('0')
  })
})
