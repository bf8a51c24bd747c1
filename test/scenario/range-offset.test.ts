import { describe, expect, it, test } from 'vitest'
import { answerRanged } from '../support/ranged.ts'
import { fetched, gate, get, origin, type Stage, stage } from './scene.ts'

// range_offset_limit: a range is answered out of the whole, which is fetched and stored once. Seen at the origin, at the
// client, and in what later requests get.

const content = Buffer.from(Array.from({ length: 50_000 }, (_, i) => `${i} `.padStart(8, '.')).join(''))
const fields = { 'Cache-Control': 'max-age=60', 'Content-Type': 'text/plain' }
const base = 'cache_mem 64 MB\nmaximum_object_size_in_memory 16 MB\n'
const all = `${base}range_offset_limit none\n`

const shelf = async (more: Record<string, string> = {}, length = true) => {
  const asked: string[] = []
  const server = await origin((r, response) => {
    asked.push(`${r.headers.range ?? 'whole'}${r.headers['if-range'] === undefined ? '' : ` if ${r.headers['if-range']}`}`)
    if (length) answerRanged(r, response, { content, etag: '"a"', fields: { ...fields, ...more } })
    else {
      response.writeHead(200, { ...fields, ...more })
      response.write(content)
      response.end()
    }
  })
  return { asked, port: server.port, requests: server.requests }
}

const range = (proxy: Stage, port: number, bytes: string, ...more: readonly string[]) => proxy.ask(get(port, '/', `Range: bytes=${bytes}`, ...more))
const text = (from: number, to: number) => content.toString('latin1', from, to + 1)

describe('a range whose whole is fetched', () => {
  it.each([
    ['0-9', 0, 9], ['100000-200000', 100_000, 200_000], ['399990-', 399_990, 399_999], ['-10', 399_990, 399_999], ['399999-500000', 399_999, 399_999],
  ])('(%s) is what its client gets, and the whole is what is stored', async (bytes, from, to) => {
    const proxy = await stage(all)
    const server = await shelf()
    const response = await range(proxy, server.port, bytes)
    expect([response.status, response.body === text(from, to)]).toEqual([206, true])
    expect([response.fields.get('content-range'), response.fields.get('content-length')]).toEqual([`bytes ${from}-${to}/400000`, String(to - from + 1)])
    expect([response.fields.get('etag'), response.fields.count('content-length')]).toEqual(['"a"', 1])
    await fetched(proxy, content.length)
    expect((await proxy.ask(get(server.port))).body === content.toString()).toBe(true)
    expect((await range(proxy, server.port, '7-8')).body).toBe(text(7, 8))
    expect(server.asked).toEqual(['whole'])
    expect((await proxy.results(3)).map(line => line.replace('MEM_', ''))).toEqual(['TCP_MISS/206', 'TCP_HIT/200', 'TCP_HIT/206'])
  })

  it('that cannot be satisfied is a 416, and the whole is stored', async () => {
    const proxy = await stage(all)
    const server = await shelf()
    const refused = await range(proxy, server.port, '400000-')
    expect([refused.status, refused.fields.get('content-range'), refused.body]).toEqual([416, 'bytes */400000', ''])
    await fetched(proxy, content.length)
    await proxy.ask(get(server.port))
    expect(server.asked).toEqual(['whole'])
  })

  it('is ignored, as it may be, where the length is not known, and where several are asked for', async () => {
    const proxy = await stage(all)
    const chunked = await shelf({}, false)
    expect((await range(proxy, chunked.port, '0-9')).status).toBe(200)
    const server = await shelf()
    expect((await range(proxy, server.port, '0-9,200000-200009')).body.length).toBe(content.length)
    expect((await range(proxy, server.port, '0-9,200000-200009')).status).toBe(206) // stored, it can be cut
  })

  it('keeps to If-Range', async () => {
    const proxy = await stage(all)
    const server = await shelf()
    expect((await range(proxy, server.port, '0-9', 'If-Range: "b"')).status).toBe(200)
    const other = await shelf()
    expect((await range(proxy, other.port, '0-9', 'If-Range: "a"')).status).toBe(206)
    expect([...server.asked, ...other.asked]).toEqual(['whole', 'whole'])
  })

  it('is one fetch for many readers of many places', async () => {
    const proxy = await stage(`${all}collapsed_forwarding on\n`)
    const rest = gate()
    const server = await origin(async (_, response) => {
      response.writeHead(200, { ...fields, ETag: '"a"', 'Content-Length': content.length })
      response.write(content.subarray(0, 100_000))
      await rest.opened
      response.end(content.subarray(100_000))
    })
    const early = await range(proxy, server.port, '0-99')
    expect([early.status, early.body]).toEqual([206, text(0, 99)])
    const late = ['50000-50009', '390000-', '200000-299999'].map(bytes => range(proxy, server.port, bytes))
    expect((await late[0])?.body).toBe(text(50_000, 50_009))
    rest.open()
    expect((await late[1])?.body).toBe(text(390_000, 399_999))
    expect((await late[2])?.body).toBe(text(200_000, 299_999))
    expect(server.requests).toHaveLength(1)
    await proxy.results(4)
    expect(proxy.records.map(r => r.status)).toEqual([206, 206, 206, 206])
  })

  it('goes as it is where the response is not for the cache', async () => {
    const proxy = await stage(`${all}cache deny all\n`)
    const server = await shelf()
    expect((await range(proxy, server.port, '10-19')).body).toBe(text(10, 19))
    expect(server.asked).toEqual(['bytes=10-19'])
  })

  it('of what may not be stored is cut out all the same, and the rest is not fetched', async () => {
    const proxy = await stage(all)
    const closed = gate()
    const server = await origin((_, response) => {
      response.writeHead(200, { 'Cache-Control': 'no-store', 'Content-Length': content.length })
      response.write(content.subarray(0, 1000))
      response.on('close', closed.open)
    })
    expect((await range(proxy, server.port, '10-19')).body).toBe(text(10, 19))
    await closed.opened
  })

  it('completes a part to the whole', async () => {
    const proxy = await stage(`${base}range_offset_limit 10 KB\n`)
    const server = await shelf()
    await range(proxy, server.port, '20000-399999')
    await proxy.results(1)
    expect((await range(proxy, server.port, '100-20099')).body).toBe(text(100, 20_099))
    await fetched(proxy, content.length)
    expect((await proxy.ask(get(server.port))).body === content.toString()).toBe(true)
    expect(server.asked).toEqual(['bytes=20000-399999', 'bytes=0-19999 if "a"'])
  })
})

test.each([
  ['0', '0-9', 'bytes=0-9'],
  ['10 KB', '10240-10250', 'whole'],
  ['10 KB', '10241-10250', 'bytes=10241-10250'],
  ['10 KB', '0-5,20000-20005', 'bytes=0-5,20000-20005'],
  ['10 KB', '-10', 'bytes=-10'],
  ['none', '-10', 'whole'],
  ['-1', '399999-', 'whole'],
])('with range_offset_limit %s, %s is asked for as %s', async (limit, bytes, asked) => {
  const proxy = await stage(`${base}range_offset_limit ${limit}\n`)
  const server = await shelf()
  await range(proxy, server.port, bytes)
  expect(server.asked).toEqual([asked])
})

test('the first range_offset_limit whose ACLs match counts', async () => {
  const proxy = await stage(`${base}acl updates urlpath_regex ^/updates/\nacl other urlpath_regex ^/other/\nrange_offset_limit none updates\nrange_offset_limit 100 bytes other\n`)
  const server = await shelf()
  for (const path of ['/updates/a', '/other/a', '/else/a']) await proxy.ask(get(server.port, path, 'Range: bytes=200-209'))
  await proxy.ask(get(server.port, '/other/b', 'Range: bytes=50-59'))
  expect(server.asked).toEqual(['whole', 'bytes=200-209', 'bytes=200-209', 'whole'])
})
