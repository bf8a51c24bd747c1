import { describe, expect, it, test } from 'vitest'
import type { WireResponse } from '../support/wire.ts'
import { bytesOrigin, gate, get, origin, request, type Reply, site, stage, until } from './scene.ts'

// RFC 9111 3.2, 4.3.4, 4.3.5: what is stored changes with every 304 and every HEAD, and only as far as these are about it.

const stale: Reply = { fields: ['Cache-Control: max-age=0', 'ETag: "a"', 'X-One: 1', 'X-Two: 1'], content: 'old' }

describe('a 304', () => {
  /** Something stored, validated by a 304 with `fields`, and asked for once more. */
  const validatedBy = async (fields: readonly string[], first: Reply = stale, lines: readonly string[] = []) => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? first : nth === 1 ? { status: 304, fields } : { fields: ['Cache-Control: max-age=60'], content: 'new' }))
    await proxy.ask(get(server.port, '/', ...lines))
    const validated = await proxy.ask(get(server.port, '/', ...lines))
    return { validated, next: await proxy.ask(get(server.port, '/', ...lines)), proxy, server }
  }
  const fresh = 'Cache-Control: max-age=60'

  it('replaces a field with all its lines, adds what is new, and leaves the rest', async () => {
    const { validated, next } = await validatedBy(['ETag: "a"', fresh, 'X-One: 2', 'X-One: 3', 'X-New: 1'])
    const seen = (response: WireResponse) => [response.body, response.fields.joined('x-one'), response.fields.get('x-two'), response.fields.get('x-new')]
    expect([seen(validated), seen(next)]).toEqual([['old', '2, 3', '1', '1'], ['old', '2, 3', '1', '1']])
  })

  test.each<[string, string, string | undefined]>([
    ['Content-Length', 'Content-Length: 99', '3'],
    ['Content-Encoding', 'Content-Encoding: gzip', undefined],
    ['Content-Range', 'Content-Range: bytes 0-1/2', undefined],
    ['Content-Type', 'Content-Type: text/html', 'text/html'],
    ['Content-Location', 'Content-Location: /there', '/there'],
    ['Content-MD5', 'Content-MD5: rL0Y20zC+Fzt72VPzMSk2A==', 'rL0Y20zC+Fzt72VPzMSk2A=='],
    ['Last-Modified', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT', 'Thu, 01 Jan 2015 00:00:00 GMT'],
    ['Keep-Alive', 'Keep-Alive: timeout=7', undefined],
    ['Upgrade', 'Upgrade: h2c', undefined],
  ])('%s: what describes the bytes stays as they are, the rest is news (%s)', async (name, line, expected) => {
    const { validated, next } = await validatedBy(['ETag: "a"', fresh, line])
    expect([validated, next].map(response => response.fields.get(name.toLowerCase()))).toEqual([expected, expected])
  })

  it('may make a response stale at once, or private, or never to be stored', async () => {
    for (const [control, result] of [['max-age=0', 'TCP_REFRESH_MODIFIED/200'], ['no-cache', 'TCP_REFRESH_MODIFIED/200'], ['private', 'TCP_MISS/200'], ['no-store', 'TCP_MISS/200']]) {
      const { validated, next, proxy } = await validatedBy(['ETag: "a"', `Cache-Control: ${control}`])
      expect([validated.body, next.body, (await proxy.results(3))[2]]).toEqual(['old', 'new', result])
    }
  })

  it('without Cache-Control leaves the old lifetime, from now on', async () => {
    const proxy = await stage()
    const server = await site((_, nth) => (nth === 0 ? { fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: 'x' } : { status: 304, fields: ['ETag: "a"'] }))
    await proxy.ask(get(server.port))
    for (const wait of [10_000, 9999, 1]) {
      proxy.clock.advance(wait)
      await proxy.ask(get(server.port))
    }
    expect((await proxy.results(4)).slice(1)).toEqual(['TCP_REFRESH_UNMODIFIED/200', 'TCP_MEM_HIT/200', 'TCP_REFRESH_UNMODIFIED/200'])
  })

  test.each<[string, Reply, readonly string[], boolean]>([
    ['the same strong tag', stale, ['ETag: "a"'], true],
    ['another tag', stale, ['ETag: "b"'], false],
    ['no validator', stale, [], true], // the condition named exactly one
    ['a tag that is weak now', stale, ['ETag: W/"a"'], true],
    ['the same weak tag', { ...stale, fields: ['Cache-Control: max-age=0', 'ETag: W/"a"'] }, ['ETag: W/"a"'], true],
    ['the same date', { ...stale, fields: ['Cache-Control: max-age=0', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'] }, ['Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'], true],
    ['another date', { ...stale, fields: ['Cache-Control: max-age=0', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'] }, ['Last-Modified: Fri, 02 Jan 2015 00:00:00 GMT'], false],
  ])('with %s', async (_, first, lines, about) => {
    const { validated, server } = await validatedBy([fresh, ...lines], first)
    expect([validated.body, server.requests.length]).toEqual([about ? 'old' : 'new', about ? 2 : 3])
    // asked again without conditions: the origin must not be able to say 304 for ever
    if (!about) expect([server.field(2, 'if-none-match'), server.field(2, 'if-modified-since')]).toEqual([undefined, undefined])
  })

  it('may name other fields in Vary: it is for requests like this one then', async () => {
    const { next, proxy, server } = await validatedBy(['ETag: "a"', fresh, 'Vary: X-Kind'], stale, ['X-Kind: 1'])
    expect(next.body).toBe('old')
    expect((await proxy.ask(get(server.port, '/', 'X-Kind: 2'))).body).toBe('new')
  })

  it('with Vary: * is the last of it', async () => {
    const { validated, next } = await validatedBy(['ETag: "a"', fresh, 'Vary: *'])
    expect([validated.body, next.body]).toEqual(['old', 'new'])
  })

  it('brings its cookie, and what it calls private, to the one it was for', async () => {
    const { validated, next } = await validatedBy(['ETag: "a"', `${fresh}, private="X-Mine"`, 'Set-Cookie: a=b', 'Set-Cookie: c=d', 'X-Mine: 1', 'X-One: 2'])
    const seen = (response: WireResponse) => [response.fields.count('set-cookie'), response.fields.count('x-mine'), response.fields.joined('x-one')]
    expect([seen(validated), seen(next)]).toEqual([[2, 1, '2'], [0, 0, '2']])
  })

  it('comes after interim responses, which the client gets', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(
      'HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: "a"\r\nContent-Length: 3\r\n\r\nold',
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
    )
    await proxy.ask(get(server.port))
    const wire = await proxy.client()
    wire.send(get(server.port, '/', 'Connection: close'))
    const bytes = await wire.closed()
    expect(bytes).toMatch(/^HTTP\/1\.1 103 [^\r]*\r\nLink: <\/a>\r\nLink: <\/b>\r\n\r\nHTTP\/1\.1 102 [^\r]*\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    expect(bytes.slice(bytes.indexOf(' 200 '))).not.toContain('Link')
  })
})

describe('a full response to a validation', () => {
  it('takes the place of one variant, and leaves the others', async () => {
    const proxy = await stage()
    const server = await site((r, nth) => ({ fields: [`Cache-Control: max-age=${nth === 0 ? 10 : 60}`, 'Vary: X-Kind', `ETag: "${nth}"`], content: `${r.headers['x-kind']}${nth}` }))
    const kind = (name: string) => proxy.ask(get(server.port, '/', `X-Kind: ${name}`)).then(response => response.body)
    expect([await kind('a'), await kind('b')]).toEqual(['a0', 'b1'])
    proxy.clock.advance(10_000)
    expect([await kind('a'), await kind('a'), await kind('b')]).toEqual(['a2', 'a2', 'b1'])
  })

  it.each([404, 410])('of %i is stored in its place when it says so, and takes it away when not', async status => {
    for (const fields of [['Cache-Control: max-age=60'], ['Cache-Control: no-store']]) {
      const proxy = await stage()
      const server = await site((_, nth) => (nth === 0 ? stale : { status, fields }))
      for (let i = 0; i < 3; i++) await proxy.ask(get(server.port))
      expect((await proxy.results(3))[2]).toBe(fields[0]?.endsWith('60') === true ? `TCP_NEGATIVE_HIT/${status}` : `TCP_MISS/${status}`)
    }
  })
})

describe('HEAD', () => {
  const known: Reply = { fields: ['Cache-Control: max-age=10', 'ETag: "a"', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT', 'X-One: 1'], content: 'four' }

  /** Something stored and stale, a HEAD of it answered with `head`, and what a GET is given then. */
  const afterHead = async (head: Reply, lines: readonly string[] = [], first = known) => {
    const proxy = await stage()
    const server = await site((r, nth) =>
      nth === 0 ? first : r.method === 'HEAD' ? head : r.headers['if-none-match'] ? { status: 304, fields: ['ETag: "a"'] } : { fields: ['Cache-Control: max-age=60'], content: 'new' },
    )
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    await proxy.ask(request('HEAD', server.port, '/', ['Cache-Control: no-cache', ...lines]), 'HEAD')
    const next = await proxy.ask(get(server.port))
    return { next, result: (await proxy.results(3))[2], server }
  }
  const length = 'Content-Length: 4'
  const fresh = 'Cache-Control: max-age=60'

  test.each<[string, readonly string[]]>([
    ['the same tag', [fresh, length, 'ETag: "a"', 'X-One: 2']],
    ['the same date', [fresh, length, 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT', 'X-One: 2']],
    ['the same length alone', [fresh, length, 'X-One: 2']],
  ])('that shows %s updates and freshens what a GET has stored', async (_, fields) => {
    const { next, result } = await afterHead({ fields })
    expect([result, next.body, next.fields.get('x-one'), next.fields.get('cache-control')]).toEqual(['TCP_MEM_HIT/200', 'four', '2', 'max-age=60'])
  })

  test.each<[string, readonly string[]]>([
    ['tag', [fresh, length, 'ETag: "b"', 'X-One: 2']],
    ['date', [fresh, length, 'Last-Modified: Fri, 02 Jan 2015 00:00:00 GMT', 'X-One: 2']],
    ['length', [fresh, 'Content-Length: 5', 'ETag: "a"', 'X-One: 2']],
  ])('that shows another %s makes it be validated, and changes nothing', async (_, fields) => {
    const { next, result } = await afterHead({ fields })
    expect([result, next.body, next.fields.get('x-one')]).toEqual(['TCP_REFRESH_UNMODIFIED/200', 'four', '1'])
  })

  test.each([404, 410, 500, 503, 301])('answered with %i changes nothing', async status => {
    const { next, result } = await afterHead({ status, fields: [fresh, 'ETag: "b"', 'X-One: 2', 'Location: /'] })
    expect([result, next.body, next.fields.get('x-one')]).toEqual(['TCP_REFRESH_UNMODIFIED/200', 'four', '1'])
  })

  test.each(['no-store', 'private'])('that says %s is the last of it', async control => {
    const { next, server } = await afterHead({ fields: [`Cache-Control: ${control}`, length, 'ETag: "a"'] })
    expect([next.body, server.field(2, 'if-none-match')]).toEqual(['new', undefined])
  })

  test.each(['Authorization: Basic eDp5', 'Cache-Control: no-cache, no-store'])('asked with %s is for its client alone', async line => {
    const { next, result } = await afterHead({ fields: ['Cache-Control: max-age=60', length, 'ETag: "a"', 'X-One: 2'] }, [line])
    expect([result, next.fields.get('x-one')]).toEqual(['TCP_REFRESH_UNMODIFIED/200', '1'])
  })

  it('of another variant changes nothing', async () => {
    const varied = { ...known, fields: [...(known.fields ?? []), 'Vary: X-Kind'] }
    const { next, result } = await afterHead({ fields: [fresh, length, 'ETag: "b"', 'X-One: 2'] }, ['X-Kind: 2'], varied)
    expect([result, next.fields.get('x-one')]).toEqual(['TCP_REFRESH_UNMODIFIED/200', '1'])
  })
})

describe('a change', () => {
  /** GETs are answered with their number; the one that asks for `slow` waits at the gate. */
  const changing = async (slow: number, control = 'max-age=60') => {
    const proxy = await stage()
    const go = gate()
    let gets = 0
    const server = await origin(async (r, response) => {
      if (r.method === 'POST') return void response.end()
      const nth = gets++
      if (nth === slow) await go.opened
      response.writeHead(200, { 'Cache-Control': control, ETag: `"${nth}"` }).end(`content ${nth}`)
    })
    const post = () => proxy.ask(request('POST', server.port, '/', ['Content-Length: 0']))
    return { proxy, go, server, post }
  }

  it('that comes while a response is on its way keeps that from being stored, however late it comes', async () => {
    const { proxy, go, server, post } = await changing(0)
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => server.requests.length === 1, 'the request')
    await post()
    expect((await proxy.ask(get(server.port))).body).toBe('content 1')
    go.open()
    expect((await wire.response()).body).toBe('content 0')
    expect((await proxy.ask(get(server.port))).body).toBe('content 1')
    await proxy.results(4)
    expect(proxy.records.find(record => record.storeReason === 'invalidated')?.serverContentBytes).toBe(9)
  })

  it('that comes while a stale response is validated behind its client takes both away', async () => {
    const { proxy, go, server, post } = await changing(1, 'max-age=10, stale-while-revalidate=20')
    await proxy.ask(get(server.port))
    proxy.clock.advance(15_000)
    expect((await proxy.ask(get(server.port))).body).toBe('content 0')
    await until(() => server.requests.length === 2, 'the validation')
    await post()
    go.open()
    await until(() => proxy.machine.validationsBehind === 0, 'its end')
    expect((await proxy.ask(get(server.port))).body).toBe('content 2')
  })

  it('that came before is none', async () => {
    const { proxy, server, post } = await changing(-1)
    await post()
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(server.port))).body).toBe('content 0')
  })
})
