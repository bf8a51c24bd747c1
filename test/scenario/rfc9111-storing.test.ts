import { createHash, randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it, test } from 'vitest'
import { heard } from '../support/origin.ts'
import { bytesOrigin, dateAt, get, origin, raw, request, type Reply, site, stage } from './scene.ts'

// RFC 9111 3: which responses are kept for others, and what of them. Each is asked for twice; the second answer and what
// the origin heard tell whether the first was kept.

const fresh = 'Cache-Control: max-age=60'

/** Asks twice for what the origin answers with `reply`; answers both, and how often the origin was asked. */
const twice = async (reply: Reply, lines: readonly string[] = [], conf = '') => {
  const proxy = await stage(conf)
  const dated = reply.fields?.map(line => line.replace(/\{(.*)\}/, (_, at) => dateAt(proxy.clock, Number(at)))) ?? []
  const server = await site(() => ({ ...reply, fields: dated }))
  const first = await proxy.ask(get(server.port, '/', ...lines))
  const second = await proxy.ask(get(server.port))
  return { first, second, count: server.requests.length, reason: proxy.records[0]?.storeReason, proxy, server }
}

describe('must-understand', () => {
  test.each([200, 203, 204, 301, 404, 410, 501])('a %i, which we understand, is stored despite the no-store beside it', async status => {
    const { second, count } = await twice({ status, fields: ['Cache-Control: no-store, must-understand, max-age=60', 'Location: /'] })
    expect([second.status, count]).toEqual([status, 1])
  })

  test.each([299, 499, 599])('a %i, which we do not, is not', async status => {
    const { reason, count } = await twice({ status, fields: ['Cache-Control: must-understand, max-age=60'] })
    expect([reason, count]).toEqual(['must-understand', 2])
  })

  it('overrules no-store only', async () => {
    const { reason } = await twice({ fields: ['Cache-Control: no-store, must-understand, private, max-age=60'] })
    expect(reason).toBe('private')
  })
})

describe('a status', () => {
  test.each([200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 418, 451, 499, 500, 501, 502, 503, 504, 599])(
    '%i that says how long it is fresh is stored',
    async status => {
      const { second, count } = await twice({ status, fields: [fresh, 'Location: /moved', 'X-A: b'] })
      expect([second.status, second.fields.get('location'), second.fields.get('x-a'), count]).toEqual([status, '/moved', 'b', 1])
    },
  )

  test.each([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501])('%i may be fresh by its Last-Modified', async status => {
    const { count } = await twice({ status, fields: ['Last-Modified: {-1000}', 'Date: {0}', 'Location: /'] })
    expect(count).toBe(1)
  })

  test.each([201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599])('%i may not', async status => {
    const { count } = await twice({ status, fields: ['Last-Modified: {-1000}', 'Date: {0}', 'Location: /'] })
    expect(count).toBe(2)
  })

  test.each([201, 302, 599])('%i may with public', async status => {
    const { count } = await twice({ status, fields: ['Cache-Control: public', 'Last-Modified: {-1000}', 'Date: {0}', 'Location: /'] })
    expect(count).toBe(1)
  })

  test.each([428, 429, 431, 511])('%i is never stored (RFC 6585)', async status => {
    expect((await twice({ status, fields: [fresh] })).count).toBe(2)
  })
})

describe('an answer to Authorization', () => {
  const signed = ['Authorization: Basic eDp5']

  test.each(['public', 'must-revalidate', 's-maxage=60'])('is for others when it says %s', async control => {
    expect((await twice({ fields: [`Cache-Control: max-age=60, ${control}`] }, signed)).count).toBe(1)
  })

  test.each(['proxy-revalidate', 'no-transform', 'immutable'])('is not when it says %s', async control => {
    expect((await twice({ fields: [`Cache-Control: max-age=60, ${control}`] }, signed)).reason).toBe('authorization')
  })

  it('is given without it what others have stored', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh], content: 'x' }))
    await proxy.ask(get(server.port))
    await proxy.ask(get(server.port, '/', ...signed))
    expect(server.requests).toHaveLength(1)
  })
})

describe('fields', () => {
  it('that no-cache names are given to the first client only, and the response without them to others', async () => {
    const { first, second, count } = await twice({ fields: ['Cache-Control: max-age=60, no-cache="X-Mine, set-cookie"', 'X-Mine: 1', 'Set-Cookie: a=b', 'X-Ours: 2'] })
    expect([first.fields.get('x-mine'), first.fields.get('set-cookie')]).toEqual(['1', 'a=b'])
    expect([second.fields.has('x-mine'), second.fields.has('set-cookie'), second.fields.get('x-ours'), count]).toEqual([false, false, '2', 1])
  })

  it('repeated stay repeated, in their order', async () => {
    const { first, second } = await twice({ fields: [fresh, 'Link: </a>', 'X-Between: 1', 'Link: </b>', 'Link: </c>, </d>'] })
    const links = (pairs: readonly string[]) => pairs.filter((_, i) => i % 2 === 1 && pairs[i - 1] === 'Link')
    expect([links(first.fields.pairs), links(second.fields.pairs)]).toEqual([['</a>', '</b>', '</c>, </d>'], ['</a>', '</b>', '</c>, </d>']])
  })

  test.each(['Connection', 'Keep-Alive', 'Proxy-Authenticate', 'Proxy-Authentication-Info', 'Proxy-Connection', 'TE', 'Upgrade'])(
    '%s is of the one connection: neither the first client nor others get it',
    async name => {
      const proxy = await stage()
      const server = await bytesOrigin(`HTTP/1.1 200 OK\r\n${fresh}\r\n${name}: odd-value\r\nContent-Length: 1\r\n\r\nx`)
      for (const response of [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]) {
        expect(response.fields.joined(name.toLowerCase()) ?? '').not.toContain('odd-value')
        expect(response.body).toBe('x')
      }
      expect(server.heads).toHaveLength(1)
    },
  )

  it.each(['CDN-Cache-Control: max-age=600', 'Surrogate-Control: max-age=600', 'Cloudflare-CDN-Cache-Control: max-age=600'])(
    'for other caches are not for us: %s',
    async line => {
      const { first, count } = await twice({ fields: ['Cache-Control: no-store', line] })
      expect([first.fields.get(line.split(':')[0]?.toLowerCase() ?? ''), count]).toEqual(['max-age=600', 2])
      expect((await twice({ fields: [fresh, line.replace('max-age=600', 'no-store')] })).count).toBe(1)
    },
  )

  test.each([
    ['Pas trouv\xc3\xa9', 'Pas trouv\xc3\xa9'],
    ['\xe4\xbd\xa0\xe5\xa5\xbd', '\xe4\xbd\xa0\xe5\xa5\xbd'],
    ['Gr\xfc\xdfe', 'Gr\xfc\xdfe'],
    ['OK\x01', ''],
  ])('keep their bytes, whatever these mean; so does a reason phrase that has no controls (%j)', async (reason, given) => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.1 200 ${reason}\r\n${fresh}\r\nETag: "\xfc\xff"\r\nX-Odd: \xc3\xa9 \t\x80\r\nContent-Length: 1\r\n\r\nx`)
    for (const response of [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]) {
      expect([response.reason, response.fields.get('etag'), response.fields.get('x-odd')]).toEqual([given, '"\xfc\xff"', '\xc3\xa9 \t\x80'])
    }
    expect((await proxy.ask(get(server.port, '/', 'If-None-Match: "\xfc\xff"'))).status).toBe(304)
    expect(server.heads).toHaveLength(1)
  })
})

describe('Vary', () => {
  test.each(['x-kind', 'X-KIND', 'X-Other, x-Kind', ', X-Kind ,'])('%j names a field in any case and any place of the list', async vary => {
    const proxy = await stage()
    const server = await site(({ headers }) => ({ fields: [fresh, `Vary: ${vary}`], content: String(headers['x-kind']) }))
    for (const line of ['X-Kind: a', 'x-kind: b', 'X-KIND: a', 'X-Kind:  b ']) {
      expect((await proxy.ask(get(server.port, '/', line))).body).toBe(line.slice(7).trim())
    }
    expect(server.requests).toHaveLength(2)
  })

  test.each(['*', '*, *', ', *', 'X-Kind, *', '*, X-Kind'])('%j fits nothing', async vary => {
    expect((await twice({ fields: [fresh, `Vary: ${vary}`] })).reason).toBe('vary-star')
    expect((await twice({ fields: [fresh, ...vary.split(', ').map(member => `Vary: ${member}`)] })).reason).toBe('vary-star')
  })
})

describe('an answer to POST', () => {
  const post = (port: number, path = '/form', ...lines: readonly string[]) => request('POST', port, path, ['Content-Length: 3', ...lines], 'a=b')

  /** A POST to /form answered with `fields`, then a GET of the same. */
  const thenGet = async (status: number, fields: readonly string[]) => {
    const proxy = await stage()
    const server = await site(r => (r.method === 'POST' ? { status, fields, content: 'by POST' } : { content: 'by GET' }))
    await proxy.ask(post(server.port))
    return { response: await proxy.ask(get(server.port, '/form')), proxy, server }
  }

  test.each(['/form', 'form', 'http://127.0.0.1:{port}/form'])('that is what a GET would give (Content-Location: %s) is given to it', async location => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh, `Content-Location: ${location.replace('{port}', String(server.port))}`], content: 'by POST' }))
    await proxy.ask(post(server.port))
    const hit = await proxy.ask(get(server.port, '/form'))
    expect([hit.body, server.requests.length]).toEqual(['by POST', 1])
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    // another POST is no matter of the cache
    await proxy.ask(post(server.port))
    expect(server.requests).toHaveLength(2)
  })

  test.each<[string, number, readonly string[]]>([
    ['without Content-Location', 200, [fresh]],
    ['of another place', 200, [fresh, 'Content-Location: /other']],
    ['without explicit freshness', 200, ['Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT', 'Content-Location: /form']],
    ['that says no-store', 200, ['Cache-Control: no-store, max-age=60', 'Content-Location: /form']],
    ['that made something', 201, [fresh, 'Content-Location: /form']],
  ])('%s is not', async (_, status, fields) => {
    expect((await thenGet(status, fields)).response.body).toBe('by GET')
  })

  it('takes the place of what was stored before', async () => {
    const proxy = await stage()
    const server = await site((r, nth) => ({ fields: [fresh, 'Content-Location: /form'], content: `${r.method} ${nth}` }))
    await proxy.ask(get(server.port, '/form'))
    await proxy.ask(post(server.port))
    expect((await proxy.ask(get(server.port, '/form'))).body).toBe('POST 1')
  })

  it('is not stored where the conf denies it', async () => {
    const proxy = await stage('acl form urlpath_regex ^/form\ncache deny form\n')
    const server = await site(({ method }) => ({ fields: [fresh, 'Content-Location: /form'], content: method ?? '' }))
    await proxy.ask(post(server.port))
    expect((await proxy.ask(get(server.port, '/form'))).body).toBe('GET')
  })

  it('says why it went forward', async () => {
    const proxy = await stage()
    const server = await site(() => ({ fields: [fresh, 'Content-Location: /form'] }))
    expect((await proxy.ask(post(server.port))).fields.get('cache-status')).toBe('proxy.test; fwd=method; stored')
    expect((await proxy.ask(post(server.port, '/other'))).fields.get('cache-status')).toBe('proxy.test; fwd=method')
  })
})

describe('coded content', () => {
  const plain = 'all work and no play '.repeat(2000)

  it('is kept as it came, a variant for each coding', async () => {
    const proxy = await stage()
    const server = await origin((r, response) => {
      const coded = r.headers['accept-encoding'] === 'gzip'
      response.writeHead(200, { 'Cache-Control': 'max-age=60', Vary: 'Accept-Encoding', ETag: coded ? '"z"' : '"p"', ...(coded ? { 'Content-Encoding': 'gzip' } : {}) })
      response.end(coded ? gzipSync(plain) : plain)
    })
    for (let round = 0; round < 2; round++) {
      const coded = await proxy.ask(get(server.port, '/', 'Accept-Encoding: gzip'))
      expect(gunzipSync(Buffer.from(coded.body, 'latin1')).toString()).toBe(plain)
      expect([coded.fields.get('content-encoding'), coded.fields.get('etag')]).toEqual(['gzip', '"z"'])
      const bare = await proxy.ask(get(server.port))
      expect([bare.body === plain, bare.fields.has('content-encoding'), bare.fields.get('etag')]).toEqual([true, false, '"p"'])
    }
    expect(server.requests).toHaveLength(2)
  })

  it('is cut as it came: a range is of the coded bytes', async () => {
    const proxy = await stage()
    const coded = gzipSync(plain)
    const server = await origin((_, response) => void response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Encoding': 'gzip' }).end(coded))
    await proxy.ask(get(server.port))
    const part = await proxy.ask(get(server.port, '/', 'Range: bytes=10-19'))
    expect([part.status, Buffer.from(part.body, 'latin1').equals(coded.subarray(10, 20)), part.fields.get('content-encoding')]).toEqual([206, true, 'gzip'])
  })

  test.each(['gzip, chunked', 'x-odd', 'chunked, gzip', 'gzip'])('under Transfer-Encoding: %s is refused, since we cannot undo it', async coding => {
    const proxy = await stage()
    const body = coding.endsWith('chunked') ? '3\r\nabc\r\n0\r\n\r\n' : 'abc'
    const server = await bytesOrigin(`HTTP/1.1 200 OK\r\n${fresh}\r\nTransfer-Encoding: ${coding}\r\n\r\n${body}`)
    const wire = await proxy.client()
    const refused = await wire.send(get(server.port)).response()
    expect([refused.status, refused.body.includes('abc')]).toEqual([502, false])
    expect((await wire.send(get(server.port)).response()).status).toBe(502) // nothing was stored, and the connection goes on
    expect([server.heads.length, proxy.records[0]?.error]).toEqual([2, 'bad-response'])
  })

  it('under Transfer-Encoding: identity, which once was one, is passed on', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.1 200 OK\r\n${fresh}\r\nTransfer-Encoding: identity\r\n\r\nabc`)
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(server.port))).body).toBe('abc')
    expect(server.heads).toHaveLength(1)
  })
})

describe('content of any size', () => {
  const sizes = [1, 1023, 16_384, 65_536, 65_537, 1_000_000, 5_000_000]
  const digest = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('base64')

  test.each(sizes.flatMap(size => [['Content-Length', size], ['chunks', size], ['until close', size]] as const))(
    'by %s, %i bytes: every byte, from the origin and from the store',
    async (framing, size) => {
      const proxy = await stage('maximum_object_size_in_memory 8 MB\ncache_mem 32 MB\n')
      const content = randomBytes(size)
      const server = await raw(async socket => {
        if ((await heard(socket).catch(() => null)) === null) return
        const head = framing === 'Content-Length' ? `Content-Length: ${size}\r\n` : framing === 'chunks' ? 'Transfer-Encoding: chunked\r\n' : ''
        socket.write(`HTTP/1.1 200 OK\r\n${fresh}\r\nConnection: close\r\n${head}\r\n`)
        if (framing === 'chunks') {
          for (let at = 0; at < size; at += 40_000) {
            const piece = content.subarray(at, at + 40_000)
            socket.write(`${piece.length.toString(16)}\r\n`)
            socket.write(piece)
            socket.write('\r\n')
          }
          socket.end('0\r\n\r\n')
        } else socket.end(content)
      })
      for (let i = 0; i < 2; i++) {
        const response = await proxy.ask(get(server.port))
        expect([response.body.length, digest(Buffer.from(response.body, 'latin1'))]).toEqual([size, digest(content)])
      }
      expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    },
  )
})
