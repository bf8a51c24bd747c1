import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, test } from 'vitest'
import { get, origin, type Reply, site, stage, until } from './scene.ts'

// What operators decide about storing and using: negative_ttl, offline_mode, reload_into_ims, refresh_all_ims, max_stale
// and the sizes. Seen in what is asked for again, and in the record.

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const tagged: Reply = { fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: 'one' }
const confirmed: Reply = { status: 304, fields: ['ETag: "a"'] }

describe('negative_ttl', () => {
  test.each([204, 305, 400, 403, 404, 405, 414, 421, 500, 501, 502, 503, 504])('keeps a %i that says nothing for so long', async status => {
    const proxy = await stage('negative_ttl 30 seconds\n')
    const server = await site(() => ({ status, content: 'sorry' }))
    for (const move of [0, 29_999, 1]) {
      proxy.clock.advance(move)
      expect((await proxy.ask(get(server.port))).status).toBe(status)
    }
    expect(server.requests).toHaveLength(2)
    expect((await proxy.results(3))[1]).toBe(status < 400 ? `TCP_MEM_HIT/${status}` : `TCP_NEGATIVE_HIT/${status}`)
  })

  test.each<[string, string, Reply, number]>([
    ['is not for other statuses', '', { status: 402 }, 2],
    ['is not for what says how long it is fresh', '', { status: 404, fields: ['Cache-Control: max-age=5'] }, 2],
    ['does not keep what says no-store', '', { status: 404, fields: ['Cache-Control: no-store'] }, 2],
    ['does not keep what is private', '', { status: 404, fields: ['Cache-Control: private'] }, 2],
    ['goes before a heuristic', '', { status: 404, fields: ['Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT'] }, 1],
    ['comes after that of a refresh_pattern', 'refresh_pattern . 0 20% 4320 negative-ttl=5\n', { status: 404 }, 2],
    ['can be of a refresh_pattern alone', 'negative_ttl 0 seconds\nrefresh_pattern . 0 20% 4320 negative-ttl=20\n', { status: 503 }, 1],
    ['0 keeps nothing', 'negative_ttl 0 seconds\n', { status: 404 }, 2],
  ])('%s', async (_, lines, reply, requests) => {
    const proxy = await stage(`negative_ttl 30 seconds\n${lines}`)
    const server = await site(() => reply)
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(requests)
  })

  it('does not put a failure in the place of a stale response that may stand in for it, nor uses an old failure', async () => {
    const proxy = await stage('negative_ttl 5 seconds\n')
    const server = await site((_, nth) => (nth === 0 ? tagged : { status: 503, content: `sick ${nth}` }))
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    expect((await proxy.ask(get(server.port))).body).toBe('one')
    expect((await proxy.ask(get(server.port, '/other'))).body).toBe('sick 2')
    proxy.clock.advance(5000)
    expect((await proxy.ask(get(server.port, '/other'))).body).toBe('sick 3')
  })
})

describe('offline_mode', () => {
  test.each<[string, readonly string[]]>([
    ['stale', ['Cache-Control: max-age=10']],
    ['no-cache', ['Cache-Control: no-cache']],
    ['must-revalidate', ['Cache-Control: max-age=10, must-revalidate']],
    ['within its stale-while-revalidate', ['Cache-Control: max-age=10, stale-while-revalidate=100']],
  ])('uses what would be validated: %s', async (_, fields) => {
    const proxy = await stage('offline_mode on\n')
    const server = await site(() => ({ fields: [...fields, 'ETag: "a"'], content: 'one' }))
    await proxy.ask(get(server.port))
    proxy.clock.advance(20_000)
    const hit = await proxy.ask(get(server.port))
    expect([hit.status, hit.body, hit.fields.get('age')]).toEqual([200, 'one', '20'])
    expect((await proxy.ask(get(server.port, '/', 'If-None-Match: "a"'))).status).toBe(304)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_OFFLINE_HIT/200', 'TCP_OFFLINE_HIT/304'])
    expect([server.requests.length, proxy.machine.validationsBehind]).toEqual([1, 0])
  })

  it('asks for what is not stored, and for reloads', async () => {
    const proxy = await stage('offline_mode on\n')
    const server = await site(() => tagged)
    await proxy.ask(get(server.port))
    await proxy.ask(get(server.port, '/other'))
    await proxy.ask(get(server.port, '/', 'Cache-Control: no-cache'))
    expect(server.requests).toHaveLength(3)
  })

  it('begins and ends with a reload of the conf', async () => {
    const proxy = await stage('offline_mode on\n')
    const server = await site((_, nth) => (nth === 0 ? tagged : confirmed))
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    await proxy.ask(get(server.port))
    proxy.reload('http_port 127.0.0.1:0 name=web\nhttp_access allow all\n')
    await proxy.ask(get(server.port))
    expect((await proxy.results(3)).slice(1)).toEqual(['TCP_OFFLINE_HIT/200', 'TCP_REFRESH_UNMODIFIED/200'])
  })
})

describe('reloads and conditions of clients', () => {
  test.each<[string, string, string, string]>([
    ['a reload fetches anew', '', 'Cache-Control: no-cache', 'TCP_CLIENT_REFRESH_MISS/200'],
    ['with reload_into_ims it validates', 'reload_into_ims on\n', 'Cache-Control: no-cache', 'TCP_REFRESH_UNMODIFIED/200'],
    ['so does Pragma', 'reload_into_ims on\n', 'Pragma: no-cache', 'TCP_REFRESH_UNMODIFIED/200'],
    ['a condition is answered from the store', '', 'If-None-Match: "a"', 'TCP_INM_HIT/304'],
    ['with refresh_all_ims the origin is asked', 'refresh_all_ims on\n', 'If-None-Match: "a"', 'TCP_REFRESH_UNMODIFIED/304'],
  ])('%s', async (_, lines, field, result) => {
    const proxy = await stage(lines)
    const server = await site(({ headers }) => (headers['if-none-match'] === '"a"' ? confirmed : tagged))
    await proxy.ask(get(server.port))
    await proxy.ask(get(server.port, '/', field))
    expect((await proxy.results(2))[1]).toBe(result)
  })
})

test.each([
  [9, 'TCP_REFRESH_FAIL_OLD/200'],
  [10, 'TCP_REFRESH_FAIL_OLD/200'],
  [11, 'TCP_REFRESH_FAIL_ERR/503'],
])('max_stale bounds for how long the stale stands in: %i of 10 seconds', async (staleness, result) => {
  const proxy = await stage('max_stale 10 seconds\n')
  const server = await site((_, nth) => (nth === 0 ? tagged : { status: 503 }))
  await proxy.ask(get(server.port))
  proxy.clock.advance(10_000 + staleness * 1000)
  await proxy.ask(get(server.port))
  expect((await proxy.results(2))[1]).toBe(result)
})

describe('sizes', () => {
  const sizes = async (conf: string, bytes: number): Promise<readonly string[]> => {
    const proxy = await stage(conf)
    const server = await origin((_, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': bytes }).end(Buffer.alloc(bytes, 'x'))
    })
    await proxy.ask(get(server.port))
    await until(() => proxy.records.length === 1, 'its record')
    expect((await proxy.ask(get(server.port))).body).toHaveLength(bytes)
    return proxy.results(2)
  }
  const disk = (lines: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-sizes-'))
    folders.push(folder)
    return `cache_dir ufs ${folder} 100\n${lines}`
  }
  const kb = 1024

  test.each<[string, string, number, boolean]>([
    ['maximum_object_size_in_memory', 'maximum_object_size_in_memory 20 KB\n', 20 * kb, true],
    ['maximum_object_size_in_memory', 'maximum_object_size_in_memory 20 KB\n', 20 * kb + 1, false],
    ['maximum_object_size is not for memory', 'maximum_object_size 1 KB\n', 20 * kb, true],
    ['minimum_object_size is not for memory', 'minimum_object_size 50 KB\n', 20 * kb, true],
  ])('of memory: %s', async (_, lines, bytes, stored) => {
    expect((await sizes(lines, bytes))[1]).toBe(stored ? 'TCP_MEM_HIT/200' : 'TCP_MISS/200')
  })

  test.each<[string, string, number, boolean]>([
    ['maximum_object_size', 'maximum_object_size 20 KB\nmemory_cache_mode never\n', 20 * kb, true],
    ['maximum_object_size', 'maximum_object_size 20 KB\nmemory_cache_mode never\n', 20 * kb + 1, false],
    ['minimum_object_size', 'minimum_object_size 20 KB\nmemory_cache_mode never\n', 20 * kb, true],
    ['minimum_object_size', 'minimum_object_size 20 KB\nmemory_cache_mode never\n', 20 * kb - 1, false],
  ])('of the disk: %s', async (_, lines, bytes, stored) => {
    expect((await sizes(disk(lines), bytes))[1]).toBe(stored ? 'TCP_HIT/200' : 'TCP_MISS/200')
  })
})
