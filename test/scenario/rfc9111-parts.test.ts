import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, test } from 'vitest'
import { answerRanged, type Ranged } from '../support/ranged.ts'
import type { WireResponse } from '../support/wire.ts'
import { clientConnections, gate, get, origin, request, type Stage, stage, until } from './scene.ts'

// Parts (RFC 9111 3.3, 3.4; RFC 9110 14): which bytes are asked for again and which are not, that no byte of one
// representation is ever given for another, and that nobody who wants the whole gets less.

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Where parts lie: in memory, in files of a disk store without memory, or, by their size, in both. */
const places = ['memory', 'disk', 'both'] as const
const confOf = (place: (typeof places)[number]): string => {
  if (place === 'memory') return 'cache_mem 64 MB\nmaximum_object_size_in_memory 16 MB\n'
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-parts-'))
  folders.push(folder)
  const memory = place === 'disk' ? 'memory_cache_mode never' : 'maximum_object_size_in_memory 64 KB'
  return `cache_dir ufs ${folder} 200\nmaximum_object_size 64 MB\n${memory}\n`
}

const tenBytes = Buffer.from('0123456789')
/** No two places are alike. */
const large = Buffer.from(Array.from({ length: 50_000 }, (_, i) => `${i} `.padStart(8, '.')).join(''))

const fresh = { 'Cache-Control': 'max-age=60', 'Content-Type': 'text/plain', 'X-Kept': 'yes' }

/** An origin of one thing, which may change. `asked`: what each request wanted of it. */
const shelf = async (first: Partial<Ranged> = {}) => {
  const it = { content: tenBytes, etag: '"a"' as string | null, fields: fresh as Readonly<Record<string, string>>, ...first }
  const asked: string[] = []
  const server = await origin((r, response) => {
    const { range = 'whole', 'if-range': ifRange, 'if-none-match': ifNoneMatch } = r.headers
    asked.push([range, ifRange === undefined ? '' : ` if ${ifRange}`, ifNoneMatch === undefined ? '' : ` unless ${ifNoneMatch}`].join(''))
    answerRanged(r, response, it)
  })
  return { it, asked, port: server.port, requests: server.requests }
}

const shown = ({ status, body, fields }: WireResponse) => [status, body, fields.get('content-range')]

const part = (proxy: Stage, port: number, range: string, ...more: readonly string[]) =>
  proxy.ask(get(port, '/', `Range: bytes=${range}`, ...more))

const settled = async (proxy: Stage, count: number): Promise<void> => {
  await proxy.results(count)
  await new Promise(setImmediate)
}

describe.each(places)('a part stored on %s', place => {
  it('answers ranges within it, and no others', async () => {
    const proxy = await stage(confOf(place))
    const server = await shelf()
    expect(shown(await part(proxy, server.port, '2-6'))).toEqual([206, '23456', 'bytes 2-6/10'])
    await settled(proxy, 1)
    const hit = await part(proxy, server.port, '3-4')
    expect(shown(hit)).toEqual([206, '34', 'bytes 3-4/10'])
    expect([hit.fields.get('content-length'), hit.fields.get('x-kept'), hit.fields.get('etag'), hit.fields.get('age')]).toEqual(['2', 'yes', '"a"', '0'])
    expect(hit.fields.get('cache-status')).toBe('proxy.test; hit; ttl=60')
    expect(shown(await part(proxy, server.port, '-4'))).toEqual([206, '6789', 'bytes 6-9/10']) // the length is known
    expect(server.asked).toEqual(['bytes=2-6', 'bytes=7-9 if "a"'])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/206', 'TCP_HIT/206', 'TCP_MISS/206'])
    expect(proxy.records[2]).toMatchObject({ reuseReason: 'part', serverContentBytes: 3, serverStatus: 206 })
  })

  it.each([
    ['2-4', '0-6', 'bytes=0-6 if "a"', '0123456'],
    ['0-4', '2-7', 'bytes=5-7 if "a"', '234567'],
    ['5-9', '3-7', 'bytes=3-4 if "a"', '34567'],
    ['0-3', '2-', 'bytes=4-9 if "a"', '23456789'],
  ])('of %s, asked for %s, lacks what %s brings', async (stored, wanted, question, body) => {
    const proxy = await stage(confOf(place))
    const server = await shelf()
    await part(proxy, server.port, stored)
    await settled(proxy, 1)
    const together = await part(proxy, server.port, wanted)
    expect([together.status, together.body]).toEqual([206, body])
    expect(server.asked[1]).toBe(question)
  })

  it('is made the whole, which is stored as such', async () => {
    const proxy = await stage(confOf(place))
    const server = await shelf({ content: large })
    await part(proxy, server.port, '100000-199999')
    await settled(proxy, 1)
    const whole = await proxy.ask(get(server.port))
    expect([whole.status, whole.body === large.toString(), whole.fields.get('content-length')]).toEqual([200, true, String(large.length)])
    expect([whole.fields.get('content-range'), whole.fields.get('cache-status')]).toEqual([undefined, 'proxy.test; fwd=partial; fwd-status=206; stored'])
    expect(server.asked).toEqual(['bytes=100000-199999', `bytes=0-${large.length - 1} if "a"`])
    await settled(proxy, 2)
    expect((await proxy.ask(get(server.port))).body).toBe(large.toString())
    expect(server.requests).toHaveLength(2)
  })

  it('is continued where it ends, and completed at both ends', async () => {
    const proxy = await stage(confOf(place))
    const server = await shelf({ content: large })
    await part(proxy, server.port, '0-199999')
    await settled(proxy, 1)
    expect((await proxy.ask(get(server.port))).body).toBe(large.toString())
    expect(server.asked[1]).toBe(`bytes=200000-${large.length - 1} if "a"`)
    expect(proxy.records[1]?.serverContentBytes).toBe(large.length - 200_000)
    const other = await shelf({ content: large })
    await part(proxy, other.port, '0-99999')
    await part(proxy, other.port, '300000-399999')
    await settled(proxy, 4)
    expect((await proxy.ask(get(other.port))).body).toBe(large.toString())
    expect(other.asked[2]).toBe('bytes=100000-299999 if "a"')
  })

  it('and others that leave nothing out are the whole', async () => {
    const proxy = await stage(confOf(place))
    const server = await shelf({ content: large })
    for (const range of ['0-149999', '300000-', '100000-350000']) await part(proxy, server.port, range)
    await settled(proxy, 3)
    const whole = await proxy.ask(get(server.port))
    expect([whole.status, whole.body === large.toString(), whole.fields.get('cache-status')]).toEqual([200, true, 'proxy.test; hit; ttl=60'])
    expect((await part(proxy, server.port, '149990-150010')).body).toBe(large.toString('latin1', 149_990, 150_011))
    expect(server.requests).toHaveLength(3)
  })

  it('that is stale is asked about before it is used', async () => {
    const proxy = await stage(confOf(place))
    const server = await shelf()
    await part(proxy, server.port, '2-6')
    await settled(proxy, 1)
    proxy.clock.advance(60_000)
    server.it.fields = { ...fresh, 'X-Kept': 'still' }
    const validated = await part(proxy, server.port, '3-4')
    expect([...shown(validated), validated.fields.get('x-kept')]).toEqual([206, '34', 'bytes 3-4/10', 'still'])
    expect(server.asked[1]).toBe('bytes=3-4 unless "a"')
    expect((await proxy.results(2))[1]).toBe('TCP_REFRESH_UNMODIFIED/206')
    proxy.clock.advance(59_000)
    expect((await part(proxy, server.port, '5-6')).fields.get('x-kept')).toBe('still')
    expect(server.requests).toHaveLength(2)
  })

  it.each(['3-4', '5-9', ''])('of what has changed is never given, nor put together with the new (%s)', async wanted => {
    const proxy = await stage(confOf(place))
    const server = await shelf()
    await part(proxy, server.port, '2-6')
    await settled(proxy, 1)
    proxy.clock.advance(60_000)
    Object.assign(server.it, { content: Buffer.from('abcdefghij'), etag: '"b"' })
    const response = wanted === '' ? await proxy.ask(get(server.port)) : await part(proxy, server.port, wanted)
    // a range is answered with the new range where nothing was to be completed, and with the new whole where something was
    const [first = 0, last = 9] = wanted === '' ? [] : wanted.split('-').map(Number)
    expect(response.body).toBe(wanted === '3-4' ? 'de' : wanted === '' ? 'abcdefghij' : response.status === 206 ? 'abcdefghij'.slice(first, last + 1) : 'abcdefghij')
    await settled(proxy, 2)
    expect((await part(proxy, server.port, '3-4')).body).toBe('de')
    expect(server.requests).toHaveLength(2)
  })

  it('is gone after an unsafe request', async () => {
    const proxy = await stage(confOf(place))
    const server = await shelf()
    await part(proxy, server.port, '2-6')
    await proxy.ask(request('POST', server.port))
    await part(proxy, server.port, '3-4')
    expect(server.asked).toEqual(['bytes=2-6', 'whole', 'bytes=3-4'])
  })
})

describe('a part', () => {
  it('that is all of it is the whole', async () => {
    const proxy = await stage()
    const server = await shelf()
    const player = await part(proxy, server.port, '0-')
    expect(shown(player)).toEqual([206, '0123456789', 'bytes 0-9/10'])
    const whole = await proxy.ask(get(server.port))
    expect([...shown(whole), whole.fields.get('content-length')]).toEqual([200, '0123456789', undefined, '10'])
    expect(server.requests).toHaveLength(1)
  })

  it('without a strong validator serves alone, and is not completed', async () => {
    const proxy = await stage()
    const server = await shelf({ etag: 'W/"a"' })
    await part(proxy, server.port, '2-6')
    expect((await part(proxy, server.port, '3-4')).body).toBe('34')
    expect((await part(proxy, server.port, '5-8')).body).toBe('5678')
    expect((await proxy.ask(get(server.port))).body).toBe('0123456789')
    expect(server.asked).toEqual(['bytes=2-6', 'bytes=5-8', 'whole'])
  })

  it('with a settled Last-Modified and no tag is completed by its date', async () => {
    const proxy = await stage()
    const modified = 'Tue, 14 Nov 2023 00:00:00 GMT'
    const server = await shelf({ etag: null, fields: { ...fresh, 'Last-Modified': modified } })
    await part(proxy, server.port, '0-4')
    await proxy.ask(get(server.port))
    expect(server.asked[1]).toBe(`bytes=5-9 if ${modified}`)
  })

  it.each<[string, Record<string, string>, string]>([
    ['longer than it claims', { 'Content-Range': 'bytes 0-3/10' }, 'partial-length'],
    ['shorter than it claims', { 'Content-Range': 'bytes 0-5/10' }, 'partial-length'],
    ['of a length nobody knows', { 'Content-Range': 'bytes 0-4/*' }, 'partial'],
    ['that says not where it lies', {}, 'partial'],
    ['of several', { 'Content-Type': 'multipart/byteranges; boundary=x' }, 'partial'],
    ['of private', { 'Content-Range': 'bytes 0-4/10', 'Cache-Control': 'private' }, 'private'],
  ])('%s is passed on, not stored', async (_, fields, reason) => {
    const proxy = await stage()
    const server = await origin((_r, response) => response.writeHead(206, { ...fresh, ETag: '"a"', ...fields, 'Content-Length': 5 }).end('01234'))
    for (let i = 0; i < 2; i++) expect((await part(proxy, server.port, '0-4')).body).toBe('01234')
    await proxy.results(2)
    expect(proxy.records.map(r => r.storeReason)).toEqual([reason, reason])
  })

  it('to If-Range may lack fields, and is not stored', async () => {
    const proxy = await stage()
    const server = await shelf()
    await part(proxy, server.port, '0-4', 'If-Range: "a"')
    expect((await proxy.results(1))[0]).toBe('TCP_MISS/206')
    expect(proxy.records[0]?.storeReason).toBe('partial-if-range')
  })

  it.each<[string, string, readonly string[]]>([
    ['HEAD', 'HEAD', []],
    ['a condition on the whole', 'GET', ['If-None-Match: "a"']],
    ['a range it cannot satisfy', 'GET', ['Range: bytes=20-']],
    ['a range of something else', 'GET', ['Range: bytes=3-4', 'If-Range: "b"']],
    ['several ranges that are not all here', 'GET', ['Range: bytes=3-4,8-9']],
    ['a reload', 'GET', ['Range: bytes=3-4', 'Cache-Control: no-cache']],
  ])('is no answer to %s', async (_, method, lines) => {
    const proxy = await stage()
    const server = await shelf()
    await part(proxy, server.port, '2-6')
    await settled(proxy, 1)
    await proxy.ask(request(method, server.port, '/', lines), method)
    expect(server.requests).toHaveLength(2)
    expect(server.requests[1]?.method).toBe(method)
    expect(server.asked[1]).not.toContain('bytes=0-1 ')
  })

  it('is enough for only-if-cached where it has all that is wanted', async () => {
    const proxy = await stage()
    const server = await shelf()
    await part(proxy, server.port, '2-6')
    await settled(proxy, 1)
    const only = 'Cache-Control: only-if-cached'
    expect((await part(proxy, server.port, '3-4', only)).body).toBe('34')
    expect((await part(proxy, server.port, '3-8', only)).status).toBe(504)
    expect((await proxy.ask(get(server.port, '/', only))).status).toBe(504)
    expect(server.requests).toHaveLength(1)
  })

  it('stands in for its range when the origin fails, and for nothing else', async () => {
    const proxy = await stage()
    let fails = false
    const server = await origin((r, response) => {
      if (fails) response.writeHead(503, { 'Content-Length': 0 }).end()
      else answerRanged(r, response, { content: tenBytes, etag: '"a"', fields: fresh })
    })
    await part(proxy, server.port, '2-6')
    await settled(proxy, 1)
    proxy.clock.advance(60_000)
    fails = true
    expect(shown(await part(proxy, server.port, '3-4'))).toEqual([206, '34', 'bytes 3-4/10'])
    expect((await part(proxy, server.port, '3-8')).status).toBe(503)
    expect((await proxy.ask(get(server.port))).status).toBe(503)
    fails = false
    expect((await proxy.ask(get(server.port))).body).toBe('0123456789') // a failing fill has lost nothing
  })

  it('is for the requests its Vary fits', async () => {
    const proxy = await stage()
    const server = await origin((r, response) => {
      const content = Buffer.from(r.headers.foo === '1' ? 'aaaaaaaaaa' : 'bbbbbbbbbb')
      answerRanged(r, response, { content, etag: r.headers.foo === '1' ? '"1"' : '"2"', fields: { ...fresh, Vary: 'Foo' } })
    })
    for (const foo of ['1', '2']) {
      for (const range of ['0-4', '2-3']) expect((await part(proxy, server.port, range, `Foo: ${foo}`)).body).toMatch(foo === '1' ? /^a+$/ : /^b+$/)
    }
    expect(server.requests).toHaveLength(2)
  })

  it('brings what is stored whole up to date, and takes nothing from it', async () => {
    const proxy = await stage()
    const server = await shelf()
    await proxy.ask(get(server.port))
    proxy.clock.advance(60_000)
    server.it.fields = { ...fresh, 'X-Kept': 'new' }
    await proxy.ask(get(server.port, '/', 'Range: bytes=2-3', 'Cache-Control: no-cache'))
    expect(proxy.records[1]?.storeReason).toBe('partial-of-stored')
    const whole = await proxy.ask(get(server.port))
    expect([whole.body, whole.fields.get('x-kept'), server.requests.length]).toEqual(['0123456789', 'new', 2])
  })

  it('of something newer ends what was stored whole', async () => {
    const proxy = await stage()
    const server = await shelf()
    await proxy.ask(get(server.port))
    proxy.clock.advance(60_000)
    Object.assign(server.it, { content: Buffer.from('abcdefghij'), etag: '"b"' })
    expect((await part(proxy, server.port, '2-3')).body).toBe('cd')
    expect(server.asked[1]).toBe('bytes=2-3 unless "a"')
    await settled(proxy, 2)
    expect((await proxy.ask(get(server.port))).body).toBe('abcdefghij')
  })
})

test('parts on disk outlive the proxy', async () => {
  const conf = confOf('disk')
  const before = await stage(conf)
  const server = await shelf({ content: large })
  await part(before, server.port, '0-199999')
  await part(before, server.port, '300000-300009')
  await until(() => before.machine.sessions === 0, 'the end of the sessions')
  await before.stop()
  const after = await stage(conf)
  expect((await part(after, server.port, '300001-300002')).body).toBe(large.toString('latin1', 300_001, 300_003))
  expect((await after.ask(get(server.port))).body).toBe(large.toString())
  expect(server.asked.slice(2)).toEqual([`bytes=200000-${large.length - 1} if "a"`])
})

test.each([
  ['memory', large, 4000],
  ['disk', Buffer.concat(Array(10).fill(large)), 50_000],
  ['both', Buffer.concat(Array(10).fill(large)), 80_000],
] as const)('page by page, a reader leaves a few parts on %s and then the whole', async (place, content, size) => {
  const proxy = await stage(confOf(place))
  const server = await shelf({ content })
  const wire = await proxy.client()
  const pages = Math.ceil(content.length / size)
  for (let page = 0; page < pages; page++) {
    const at = page * size
    const { body } = await wire.send(get(server.port, '/', `Range: bytes=${at}-${at + size - 1}`)).response()
    expect(body === content.toString('latin1', at, at + size)).toBe(true)
  }
  expect(server.requests).toHaveLength(pages)
  await settled(proxy, pages)
  const whole = await proxy.ask(get(server.port))
  expect(whole.body === content.toString()).toBe(true)
  expect(server.requests).toHaveLength(pages)
})

describe('a response that breaks off', () => {
  /** Gives `first` bytes of the large content and then nothing, or an end, until it is asked for a range. */
  const breaking = async (proxy: Stage, first: number, how: 'breaks' | 'waits') => {
    const asked: string[] = []
    const held = gate()
    const server = await origin((r, response) => {
      asked.push(r.headers.range ?? 'whole')
      if (asked.length > 1) {
        answerRanged(r, response, { content: large, etag: '"a"', fields: fresh })
        return
      }
      response.writeHead(200, { ...fresh, ETag: '"a"', 'Content-Length': large.length })
      response.write(large.subarray(0, first), () => how === 'breaks' && setImmediate(() => response.destroy()))
      response.on('close', held.open)
    })
    return { server, asked, closed: held.opened, proxy }
  }

  test.each(places)('at the origin is kept as a part on %s, and continued', async place => {
    const proxy = await stage(confOf(place))
    const { server, asked } = await breaking(proxy, 150_000, 'breaks')
    await expect(proxy.ask(get(server.port))).rejects.toThrow(/closed before/)
    await settled(proxy, 1)
    const whole = await proxy.ask(get(server.port))
    expect([whole.status, whole.body === large.toString()]).toEqual([200, true])
    expect(asked).toEqual(['whole', `bytes=150000-${large.length - 1}`])
  })

  test.each(places)('since its client left is kept as a part on %s, too', async place => {
    const proxy = await stage(confOf(place))
    const { server, asked, closed } = await breaking(proxy, 150_000, 'waits')
    const wire = await proxy.client()
    await wire.send(get(server.port)).bytes(150_000)
    wire.close()
    await closed
    await settled(proxy, 1)
    expect((await part(proxy, server.port, '1000-2000')).body).toBe(large.toString('latin1', 1000, 2001))
    expect(asked).toEqual(['whole'])
    expect((await proxy.ask(get(server.port))).body).toBe(large.toString())
    expect(asked[1]).toMatch(/^bytes=15\d+-399999$/)
  })

  it('when it is completed is kept as the longer part', async () => {
    const proxy = await stage(confOf('memory'))
    let count = 0
    const asked: (string | undefined)[] = []
    const server = await origin((r, response) => {
      asked.push(r.headers.range)
      if (++count === 3) {
        response.writeHead(206, { ...fresh, ETag: '"a"', 'Content-Range': `bytes 100000-${large.length - 1}/${large.length}`, 'Content-Length': large.length - 100_000 })
        response.write(large.subarray(100_000, 250_000), () => setImmediate(() => response.destroy()))
      } else answerRanged(r, response, { content: large, etag: '"a"', fields: fresh })
    })
    await part(proxy, server.port, '0-49999')
    await part(proxy, server.port, '50000-99999')
    await settled(proxy, 2)
    await expect(proxy.ask(get(server.port))).rejects.toThrow(/closed before/)
    await settled(proxy, 3)
    expect((await proxy.ask(get(server.port))).body).toBe(large.toString())
    expect(asked.slice(2)).toEqual(['bytes=100000-399999', 'bytes=250000-399999'])
  })

  it('leaves what was stored whole as it was', async () => {
    const proxy = await stage(confOf('memory'))
    let count = 0
    const server = await origin((r, response) => {
      if (++count === 2) {
        response.writeHead(200, { ...fresh, ETag: '"b"', 'Content-Length': 100 })
        response.write('new', () => setImmediate(() => response.destroy()))
      } else answerRanged(r, response, { content: tenBytes, etag: '"a"', fields: fresh })
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(60_000)
    await expect(proxy.ask(get(server.port))).rejects.toThrow(/closed before/)
    expect((await proxy.ask(get(server.port))).body).toBe('0123456789')
    expect((await proxy.results(3))[2]).toBe('TCP_REFRESH_UNMODIFIED/200')
  })
})

describe('several ranges of what is stored', () => {
  test.each(places)('on %s are the parts of one message', async place => {
    const proxy = await stage(confOf(place))
    const server = await shelf({ content: large })
    await proxy.ask(get(server.port))
    await settled(proxy, 1)
    const response = await part(proxy, server.port, '200000-200009,0-4,-3')
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(response.fields.get('content-type') ?? '')?.[1]
    const text = (from: number, to: number) => large.toString('latin1', from, to + 1)
    const one = (from: number, to: number) => `--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes ${from}-${to}/${large.length}\r\n\r\n${text(from, to)}\r\n`
    expect(response.body).toBe(`${one(200_000, 200_009)}${one(0, 4)}${one(large.length - 3, large.length - 1)}--${boundary}--\r\n`)
    expect([response.status, response.fields.get('content-range'), response.fields.get('content-length')]).toEqual([206, undefined, String(response.body.length)])
    expect(server.requests).toHaveLength(1)
  })

  test('of which too many are asked for get the whole', async () => {
    const proxy = await stage(confOf('memory'))
    const server = await shelf({ content: large })
    await proxy.ask(get(server.port))
    const many = Array.from({ length: 20 }, (_, i) => `${i * 1000}-${i * 1000 + 1}`).join()
    expect((await part(proxy, server.port, many)).status).toBe(200)
    // over and over the same bytes are the same bytes
    const same = await part(proxy, server.port, Array(20).fill('0-99999').join())
    expect([same.status, same.body.length]).toEqual([206, 100_000])
  })
})

test('what the origin gives piece by piece is waited for while stored bytes are on their way', async () => {
  const proxy = await stage(confOf('disk'))
  const go = gate()
  let count = 0
  const server = await origin(async (r, response) => {
    if (++count === 1) {
      answerRanged(r, response, { content: large, etag: '"a"', fields: fresh })
      return
    }
    response.writeHead(206, { ...fresh, ETag: '"a"', 'Content-Range': `bytes 200000-299999/${large.length}`, 'Content-Length': 100_000 })
    response.write(large.subarray(200_000, 250_000))
    await go.opened
    response.end(large.subarray(250_000, 300_000))
  })
  await part(proxy, server.port, '0-199999')
  await settled(proxy, 1)
  const answer = (await proxy.client()).send(get(server.port, '/', 'Range: bytes=0-299999')).response()
  await until(() => clientConnections(proxy).some(c => c.bytesWritten > 250_000), 'what is here and what has come')
  go.open()
  expect((await answer).body).toBe(large.toString('latin1', 0, 300_000))
  await until(() => proxy.records.length === 2, 'its record')
})
