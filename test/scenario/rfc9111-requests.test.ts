import { describe, expect, it, test } from 'vitest'
import { dateAt, get, request, type Reply, site, stage } from './scene.ts'

// RFC 9111 5.2.1 and 4.3: what a request may ask of a cache. A response is stored at second 0 and is fresh for ten
// seconds; it is asked for at some second with some directives, and the result code tells what the cache made of it.

const stored = (more = ''): Reply => ({ fields: [`Cache-Control: max-age=10${more}`, 'ETag: "a"'], content: 'x' })

const at = async (second: number, lines: readonly string[], first: Reply = stored(), conf = '', method = 'GET') => {
  const proxy = await stage(conf)
  const server = await site((r, nth) => (nth === 0 ? first : r.headers['if-none-match'] === '"a"' ? { status: 304, fields: ['ETag: "a"'] } : first))
  await proxy.ask(get(server.port))
  proxy.clock.advance(second * 1000)
  const response = await proxy.ask(request(method, server.port, '/', lines), method)
  return { response, proxy, server, result: (await proxy.results(2))[1], why: proxy.records[1]?.reuseReason }
}

const hit = 'TCP_MEM_HIT/200'
const validated = 'TCP_REFRESH_UNMODIFIED/200'

describe('Cache-Control of a request', () => {
  test.each<[string, number, string]>([
    // how old it may be
    ['max-age=5', 5, hit],
    ['max-age=5', 5.001, validated],
    ['max-age=0', 0, validated],
    ['max-age=100', 10, validated], // fresher than that is what the response wants
    ['max-age="5"', 6, validated],
    ['MAX-AGE=5', 6, validated],
    ['max-age=junk', 6, validated], // an age that cannot be read is the least
    // how stale
    ['max-stale', 10_000, hit],
    ['max-stale=5', 15, hit],
    ['max-stale=5', 15.001, validated],
    ['max-stale=0', 10, hit],
    ['max-stale=0', 10.001, validated],
    ['max-stale=junk', 11, validated],
    ['max-age=12, max-stale=5', 12, hit],
    ['max-age=12, max-stale=5', 13, validated],
    // for how long fresh
    ['min-fresh=3', 7, hit],
    ['min-fresh=3', 7.001, validated],
    ['min-fresh=11', 0, validated],
    ['min-fresh=2, max-stale=5', 12, hit],
    // at all
    ['no-cache', 0, 'TCP_CLIENT_REFRESH_MISS/200'],
    ['no-cache="x"', 0, 'TCP_CLIENT_REFRESH_MISS/200'], // fields are named in responses only
    ['no-store', 0, hit], // it is about storing; what is stored was for others
    ['no-transform', 0, hit],
    ['nothing-we-know=5', 0, hit],
    ['only-if-cached', 5, hit],
    ['only-if-cached', 10, 'TCP_MISS/504'],
    ['only-if-cached, max-stale', 10, hit],
    ['only-if-cached, max-age=1', 5, 'TCP_MISS/504'],
    ['only-if-cached, min-fresh=9', 5, 'TCP_MISS/504'],
    ['only-if-cached, no-cache', 0, 'TCP_MISS/504'],
  ])('%s at second %d: %s', async (control, second, result) => {
    expect((await at(second, [`Cache-Control: ${control}`])).result).toBe(result)
  })

  test.each(['must-revalidate', 'proxy-revalidate', 's-maxage=10', 'no-cache'])('max-stale gets nothing that says %s', async control => {
    expect((await at(11, ['Cache-Control: max-stale'], stored(`, ${control}`))).result).toBe(validated)
  })

  test.each<[readonly string[], string]>([
    [['Pragma: no-cache'], 'TCP_CLIENT_REFRESH_MISS/200'],
    [['Pragma: No-Cache, x'], 'TCP_CLIENT_REFRESH_MISS/200'],
    [['Pragma: x'], hit],
    [['Pragma: no-cache', 'Cache-Control: max-age=100'], hit], // RFC 9111 5.4: only where there is no Cache-Control
  ])('%j', async (lines, result) => {
    expect((await at(0, lines)).result).toBe(result)
  })

  it('no-store is about what this request brings', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: ['Cache-Control: max-age=60'], content: `${nth}` }))
    for (const lines of [['Cache-Control: no-store'], [], []]) await proxy.ask(get(server.port, '/', ...lines))
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', hit])
  })

  it('stale-if-error shows a failure sooner or later', async () => {
    const failing = async (lines: readonly string[], first = stored()) => {
      const proxy = await stage()
      const server = await site((_, nth) => (nth === 0 ? first : { status: 503, content: 'sick' }))
      await proxy.ask(get(server.port))
      proxy.clock.advance(20_000)
      return (await proxy.ask(get(server.port, '/', ...lines))).body
    }
    expect(await failing(['Cache-Control: stale-if-error=10'], stored(', stale-if-error=5'))).toBe('x')
    expect(await failing(['Cache-Control: stale-if-error=9'], stored(', stale-if-error=5'))).toBe('sick')
    expect(await failing([], stored(', stale-if-error=10'))).toBe('x')
  })
})

describe('conditions', () => {
  test.each<[string, number]>([
    ['If-Match: "a"', 200],
    ['If-Match: "b"', 412],
    ['If-Match: *', 200],
    ['If-Unmodified-Since: Thu, 01 Jan 2015 00:00:00 GMT', 412],
  ])('%s is for the origin, also where something fresh is stored', async (line, status) => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? stored() : status === 200 ? { ...stored(), content: 'new' } : { status }))
    await proxy.ask(get(server.port))
    expect((await proxy.ask(get(server.port, '/', line))).status).toBe(status)
    expect(server.field(1, line.slice(0, line.indexOf(':')).toLowerCase())).toBe(line.slice(line.indexOf(' ') + 1))
    // what came for it is the newest there is, what was refused changes nothing
    expect((await proxy.ask(get(server.port))).body).toBe(status === 200 ? 'new' : 'x')
    expect(proxy.records[1]?.reuseReason).toBe('for-origin')
  })

  it('If-None-Match: * is answered from the store; of nothing stored it is for the origin', async () => {
    const { response, server } = await at(0, ['If-None-Match: *'])
    expect([response.status, server.requests.length]).toEqual([304, 1])
    const proxy = await stage()
    const other = await site(() => stored())
    expect((await proxy.ask(get(other.port, '/', 'If-None-Match: *'))).status).toBe(200)
    expect(other.field(0, 'if-none-match')).toBe('*')
  })

  it('several lines of If-None-Match are one list', async () => {
    expect((await at(0, ['If-None-Match: "x"', 'If-None-Match: "y", "a"'])).response.status).toBe(304)
    expect((await at(0, ['If-None-Match: "x"', 'If-None-Match: "y"'])).response.status).toBe(200)
  })

  it('several lines of If-Modified-Since are none', async () => {
    const late = 'If-Modified-Since: Wed, 01 Jan 2031 00:00:00 GMT'
    const dated: Reply = { fields: ['Cache-Control: max-age=10', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'], content: 'x' }
    expect((await at(0, [late], dated)).response.status).toBe(304)
    expect((await at(0, [late, late], dated)).response.status).toBe(200)
  })

  it('without Last-Modified its Date is what counts, also for a client that has that', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: ['Cache-Control: max-age=60', `Date: ${dateAt(proxy.clock)}`], content: 'x' }))
    await proxy.ask(get(server.port))
    const since = (seconds: number) => proxy.ask(get(server.port, '/', `If-Modified-Since: ${dateAt(proxy.clock, seconds)}`))
    expect([(await since(-1)).status, (await since(0)).status, (await since(5)).status]).toEqual([200, 304, 304])
  })

  test.each([404, 301, 500])('a stored %i is given whatever they say', async status => {
    const first: Reply = { status, fields: ['Cache-Control: max-age=10', 'ETag: "a"', 'Location: /'], content: 'x' }
    const { response, server } = await at(0, ['If-None-Match: "a"'], first)
    expect([response.status, server.requests.length]).toEqual([status, 1])
  })

  it('HEAD is answered with 304 too', async () => {
    const { response, server } = await at(0, ['If-None-Match: "a"'], stored(), '', 'HEAD')
    expect([response.status, server.requests.length]).toEqual([304, 1])
  })
})

describe('Range', () => {
  const ten: Reply = { fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: '0123456789' }

  it('of what is stale goes forward as it is, and leaves what is stored alone', async () => {
    const proxy = await stage()
    const server = await site((r, nth) =>
      nth === 0 ? ten : r.headers.range === undefined ? { status: 304, fields: ['ETag: "a"'] } : { status: 206, fields: ['Content-Range: bytes 2-3/10', 'ETag: "a"'], content: '23' },
    )
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    const part = await proxy.ask(get(server.port, '/', 'Range: bytes=2-3', 'If-Range: "a"'))
    expect([part.status, part.body, server.field(1, 'range'), server.field(1, 'if-range')]).toEqual([206, '23', 'bytes=2-3', '"a"'])
    expect((await proxy.ask(get(server.port))).body).toBe('0123456789')
    expect((await proxy.results(3))[2]).toBe(validated)
  })

  it('of what is stale gets the whole when the origin gives it, which is stored', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ ...ten, content: nth === 0 ? '0123456789' : 'abcdefghij' }))
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    const whole = await proxy.ask(get(server.port, '/', 'Range: bytes=2-3'))
    expect([whole.status, whole.body]).toEqual([200, 'abcdefghij'])
    expect((await proxy.ask(get(server.port, '/', 'Range: bytes=2-3'))).body).toBe('cd')
    expect(server.requests).toHaveLength(2)
  })

  it('is nothing to HEAD, to other methods, and to anything but a 200', async () => {
    expect((await at(0, ['Range: bytes=0-0'], ten, '', 'HEAD')).response.status).toBe(200)
    const gone = await at(0, ['Range: bytes=0-0'], { ...ten, status: 404 })
    expect([gone.response.status, gone.response.body]).toEqual([404, '0123456789'])
  })

  it('goes after the condition that stands before it', async () => {
    expect((await at(0, ['Range: bytes=0-0', 'If-None-Match: "a"'], ten)).response.status).toBe(304)
    expect((await at(0, ['Range: bytes=0-0', 'If-None-Match: "b"'], ten)).response.status).toBe(206)
  })

  test.each(['bytes=10-', 'bytes=99-100', 'bytes=-0'])('%s of ten bytes cannot be given', async range => {
    const { response, server } = await at(0, [`Range: ${range}`], ten)
    expect([response.status, response.fields.get('content-range'), response.fields.get('content-length'), server.requests.length]).toEqual(
      [416, 'bytes */10', '0', 1],
    )
  })

  it('of nothing at all cannot be given either', async () => {
    const { response } = await at(0, ['Range: bytes=0-0'], { fields: ['Cache-Control: max-age=10'] })
    expect([response.status, response.fields.get('content-range')]).toEqual([416, 'bytes */0'])
  })

  it('a 416 of the origin is passed on and not stored', async () => {
    const proxy = await stage()
    const server = await site(({ headers }) => (headers.range === undefined ? ten : { status: 416, fields: ['Content-Range: bytes */10'] }))
    const refused = await proxy.ask(get(server.port, '/', 'Range: bytes=50-'))
    expect([refused.status, refused.fields.get('content-range')]).toEqual([416, 'bytes */10'])
    expect((await proxy.ask(get(server.port))).body).toBe('0123456789')
  })

  it('a part is not what others get for the whole', async () => {
    const proxy = await stage()
    const server = await site(({ headers }) =>
      headers.range === undefined ? ten : { status: 206, fields: ['Cache-Control: max-age=60', 'ETag: "a"', 'Content-Range: bytes 0-4/10'], content: '01234' },
    )
    await proxy.ask(get(server.port, '/', 'Range: bytes=0-4'))
    expect((await proxy.ask(get(server.port))).body).toBe('0123456789')
    expect((await proxy.ask(get(server.port, '/', 'Range: bytes=0-4'))).body).toBe('01234')
    // asked for the rest, this origin answers with the part it always has; then it is asked for the whole
    expect([0, 1, 2].map(n => server.field(n, 'range'))).toEqual(['bytes=0-4', 'bytes=5-9', undefined])
    expect(server.requests).toHaveLength(3)
  })
})

describe('methods', () => {
  test.each(['GET', 'HEAD', 'OPTIONS', 'TRACE'])('%s changes nothing that is stored, whatever its Location says', async method => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: ['Cache-Control: max-age=60', 'Location: /', 'Content-Location: /'], content: `${nth}` }))
    await proxy.ask(get(server.port))
    await proxy.ask(request(method, server.port, '/other'), method)
    expect((await proxy.ask(get(server.port))).body).toBe('0')
  })

  it('a safe one with content is not answered from the store, and what it brings is not stored', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => ({ fields: ['Cache-Control: max-age=60'], content: `${nth}` }))
    await proxy.ask(get(server.port))
    const withContent = await proxy.ask(request('GET', server.port, '/', ['Content-Length: 3'], 'a=b'))
    expect([withContent.body, server.requests[1]?.body]).toEqual(['1', 'a=b'])
    expect((await proxy.ask(get(server.port))).body).toBe('0')
  })
})
