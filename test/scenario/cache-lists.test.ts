// What may be used of the store, what may go into it, and which conditions of clients reach the origin: send_hit,
// store_miss, minimum_expiry_time, vary_ignore_expire, cache_miss_revalidate. Seen at the origin and in the record.

import { describe, expect, it } from 'vitest'
import { wallMs } from '../../src/base/index.ts'
import { httpDate } from '../../src/http/index.ts'
import { get, site, stage } from './scene.ts'

const fresh = 'Cache-Control: max-age=600'

describe('send_hit', () => {
  const conf = 'acl pictures rep_mime_type ^image/\nsend_hit deny pictures\n'

  it('fetches anew what it denies, which takes the place of the old, and serves the rest', async () => {
    const web = await site((request, nth) => ({ fields: [fresh, `Content-Type: ${request.url?.slice(1)}/x`], content: `${nth}` }))
    const proxy = await stage(conf)
    const bodies = []
    for (const path of ['/image', '/image', '/text', '/text']) bodies.push((await proxy.ask(get(web.port, path))).body)
    expect(bodies).toEqual(['0', '1', '2', '2'])
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(proxy.records.map(r => r.reuseReason)).toEqual(['uri-miss', 'send-hit-deny', 'uri-miss', 'fresh'])
  })

  it('is asked of what is stale as well: it is fetched, not validated', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=0', 'ETag: "a"', 'Content-Type: image/x'], content: 'x' }))
    const proxy = await stage(conf)
    for (let i = 0; i < 2; i++) await proxy.ask(get(web.port))
    expect(web.field(1, 'if-none-match')).toBeUndefined()
  })

  it('ends what is only-if-cached', async () => {
    const web = await site(() => ({ fields: [fresh, 'Content-Type: image/x'], content: 'x' }))
    const proxy = await stage(conf)
    await proxy.ask(get(web.port))
    expect((await proxy.ask(get(web.port, '/', 'Cache-Control: only-if-cached'))).status).toBe(504)
    expect(web.requests).toHaveLength(1)
  })

  it('is asked of those who wait for the fetch of another', async () => {
    const web = await site((_, nth) => ({ fields: [fresh, 'Content-Type: image/x'], content: `${nth}` }))
    const proxy = await stage(`collapsed_forwarding on\n${conf}`)
    const bodies = await Promise.all([0, 1, 2].map(async () => (await proxy.ask(get(web.port))).body))
    expect(bodies.toSorted()).toEqual(['0', '1', '2'])
  })

  it('may look at the request, and is asked of parts', async () => {
    const web = await site(request => ({
      status: request.headers.range === undefined ? 200 : 206,
      fields: [fresh, 'ETag: "a"', 'Content-Range: bytes 0-3/10'],
      content: '0123',
    }))
    const proxy = await stage('acl other req_header X-Other .\nsend_hit deny other\n')
    const range = 'Range: bytes=0-3'
    for (const fields of [[range], [range], [range, 'X-Other: 1']]) expect((await proxy.ask(get(web.port, '/', ...fields))).body).toBe('0123')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/206', 'TCP_HIT/206', 'TCP_MISS/206'])
  })
})

describe('store_miss', () => {
  it('keeps out of the store what it denies, and says so; what is stored may be used', async () => {
    const web = await site(request => ({ fields: [fresh, `Content-Type: ${request.url?.slice(1)}/x`], content: 'x' }))
    const proxy = await stage('acl pictures rep_mime_type ^image/\nstore_miss deny pictures\n')
    for (const path of ['/image', '/image', '/text', '/text']) await proxy.ask(get(web.port, path))
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(proxy.records.map(r => r.storeReason)).toEqual(['store-miss-deny', 'store-miss-deny', 'explicit', ''])
  })

  it('ends what is stored when something else comes that it denies', async () => {
    const web = await site((_, nth) => ({ fields: ['Cache-Control: max-age=0', `ETag: "${nth}"`, `Content-Type: ${nth === 0 ? 'text' : 'image'}/x`], content: 'x' }))
    const proxy = await stage('acl pictures rep_mime_type ^image/\nstore_miss deny pictures\n')
    for (let i = 0; i < 3; i++) await proxy.ask(get(web.port))
    expect([1, 2].map(nth => web.field(nth, 'if-none-match'))).toEqual(['"0"', undefined])
  })
})

describe('minimum_expiry_time', () => {
  it('is for what has no validator', async () => {
    const web = await site(request => ({ fields: ['Cache-Control: max-age=59', ...(request.url === '/tag' ? ['ETag: "a"'] : [])], content: 'x' }))
    const proxy = await stage('minimum_expiry_time 60 seconds\n')
    for (const path of ['/', '/', '/tag', '/tag']) await proxy.ask(get(web.port, path))
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(proxy.records[0]?.storeReason).toBe('too-short')
  })

  it('keeps what is fresh for just as long', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const proxy = await stage('minimum_expiry_time 60 seconds\n')
    for (let i = 0; i < 2; i++) await proxy.ask(get(web.port))
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })
})

describe('vary_ignore_expire', () => {
  const cases: readonly (readonly [string, number, readonly string[], string])[] = [
    ['looks past an Expires that is the Date', 0, ['Vary: X'], 'TCP_MEM_HIT/200'],
    ['looks at one that is not', -1000, ['Vary: X'], 'TCP_REFRESH_MODIFIED/200'],
    ['looks at it where there is no Vary', 0, [], 'TCP_REFRESH_MODIFIED/200'],
  ]
  it.each(cases)('%s', async (_, expires, fields, second) => {
    const proxy = await stage('vary_ignore_expire on\n')
    const now = proxy.clock.wall()
    const dated = [`Date: ${httpDate(now)}`, `Expires: ${httpDate(wallMs(now + expires))}`, `Last-Modified: ${httpDate(wallMs(now - 86_400_000))}`]
    const web = await site(() => ({ fields: [...fields, ...dated], content: 'x' }))
    for (let i = 0; i < 2; i++) await proxy.ask(get(web.port))
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', second])
  })
})

describe('cache_miss_revalidate off', () => {
  const tagged = (control: string) => site(request => ({ status: request.headers['if-none-match'] === '"a"' ? 304 : 200, fields: [control, 'ETag: "a"'], content: 'x' }))
  const condition = 'If-None-Match: "a"'

  it('fetches the whole for the store, and tells the client that it has it', async () => {
    const web = await tagged(fresh)
    const proxy = await stage('cache_miss_revalidate off\n')
    expect((await proxy.ask(get(web.port, '/', condition))).status).toBe(304)
    expect((await proxy.ask(get(web.port))).body).toBe('x')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/304', 'TCP_MEM_HIT/200'])
    expect(web.field(0, 'if-none-match')).toBeUndefined()
  })

  it('gives the client the whole when its condition does not hold', async () => {
    const web = await tagged(fresh)
    const proxy = await stage('cache_miss_revalidate off\n')
    expect((await proxy.ask(get(web.port, '/', 'If-None-Match: "b"'))).body).toBe('x')
  })

  it('leaves conditions of what is not for the store alone', async () => {
    const web = await tagged(fresh)
    const proxy = await stage('cache_miss_revalidate off\nacl none urlpath_regex ^/none\ncache deny none\n')
    expect((await proxy.ask(get(web.port, '/none', condition))).status).toBe(304)
    expect((await proxy.ask(get(web.port, '/', condition, 'Authorization: Basic eDp5'))).status).toBe(304)
    expect([0, 1].map(nth => web.field(nth, 'if-none-match'))).toEqual(['"a"', '"a"'])
  })

  it('on sends them, and stores nothing of the 304', async () => {
    const web = await tagged(fresh)
    const proxy = await stage()
    expect((await proxy.ask(get(web.port, '/', condition))).status).toBe(304)
    expect(web.field(0, 'if-none-match')).toBe('"a"')
    expect((await proxy.ask(get(web.port))).status).toBe(200)
    expect(await proxy.results(2)).toEqual(['TCP_MISS/304', 'TCP_MISS/200'])
  })
})
