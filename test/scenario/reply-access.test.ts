// http_reply_access, reply_body_max_size, miss_access: what a client may receive, wherever the response comes from, and
// what is stored of it for others.

import { describe, expect, it } from 'vitest'
import { get, origin, site, stage } from './scene.ts'

const cached = ['Cache-Control: max-age=600']
const typed = (type: string) => site(() => ({ fields: [...cached, `Content-Type: ${type}`], content: 'content' }))
/** A list that has to wait: the client's name is asked of a name server that is not there. */
const slow = 'hosts_file none\ndns_nameservers 127.0.0.1\nacl nameless srcdomain none\n'

describe('http_reply_access', () => {
  const conf = 'acl video rep_mime_type -i ^video/\nhttp_reply_access deny video\n'

  it('refuses what comes from the origin, and what is stored; the origin is asked once', async () => {
    const web = await typed('Video/mp4')
    const proxy = await stage(conf)
    for (let i = 0; i < 2; i++) {
      const { status, fields } = await proxy.ask(get(web.port))
      expect([status, fields.get('x-squid-error')]).toEqual([403, 'ERR_ACCESS_DENIED 0'])
    }
    expect(await proxy.results(2)).toEqual(['TCP_DENIED_REPLY/403', 'TCP_DENIED_REPLY/403'])
    expect(web.requests).toHaveLength(1)
  })

  it('lets others pass', async () => {
    const web = await typed('text/plain')
    const proxy = await stage(conf)
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(web.port))).body).toBe('content')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('lets 304 and 204 pass', async () => {
    const web = await site(() => ({ status: 204, fields: [] }))
    const proxy = await stage('http_reply_access deny all\n')
    expect((await proxy.ask(get(web.port))).status).toBe(204)
    const tagged = await site(() => ({ fields: [...cached, 'ETag: "a"'], content: 'x' }))
    expect((await proxy.ask(get(tagged.port))).status).toBe(403)
    expect((await proxy.ask(get(tagged.port, '/', 'If-None-Match: "a"'))).status).toBe(304)
  })

  it('is about errors of our own as well, and never about a denial', async () => {
    const proxy = await stage('acl failed http_status 500-\nhttp_reply_access deny failed\n')
    expect((await proxy.ask(get(1))).status).toBe(403)
    expect(await proxy.results(1)).toEqual(['TCP_DENIED_REPLY/403'])
  })

  it('may wait: content that comes meanwhile is not lost', async () => {
    const web = await typed('text/plain')
    const proxy = await stage(`${slow}http_reply_access deny !nameless\n`)
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(web.port))).body).toBe('content')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
  })

  it('may wait, and refuse; what has come is stored for others', async () => {
    const web = await typed('text/plain')
    const proxy = await stage(`${slow}acl secret urlpath_regex ^/\\?\nhttp_reply_access deny nameless\n`)
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(web.port))).status).toBe(403)
    expect(web.requests).toHaveLength(1)
  })

  it('is asked for each of those who share a fetch', async () => {
    const web = await typed('text/plain')
    const proxy = await stage(`collapsed_forwarding on\nacl other req_header X-Other .\nhttp_reply_access deny other\n`)
    const [one, two] = await Promise.all([proxy.ask(get(web.port)), proxy.ask(get(web.port, '/', 'X-Other: 1'))])
    expect([one.status, two.status]).toEqual([200, 403])
  })
})

describe('reply_body_max_size', () => {
  it('refuses what says that it is longer, stored or not', async () => {
    const web = await site(() => ({ fields: cached, content: 'x'.repeat(11) }))
    const proxy = await stage('reply_body_max_size 10 bytes\n')
    for (let i = 0; i < 2; i++) {
      const { status, fields } = await proxy.ask(get(web.port))
      expect([status, fields.get('x-squid-error')]).toEqual([403, 'ERR_TOO_BIG 0'])
    }
    const fits = await site(() => ({ content: 'x'.repeat(10) }))
    expect((await proxy.ask(get(fits.port))).status).toBe(200)
  })

  it('lets the answer to HEAD pass, which has no content: of a GET it says no more than that it would be refused', async () => {
    const web = await site(() => ({ fields: cached, content: 'x'.repeat(11) }))
    const proxy = await stage('reply_body_max_size 10 bytes\n')
    const head = () => proxy.ask(get(web.port).replace('GET', 'HEAD'), 'HEAD')
    expect([(await head()).status, (await proxy.ask(get(web.port))).status, (await head()).status]).toEqual([200, 403, 200])
  })

  it('breaks off what turns out to be longer', async () => {
    const web = await origin((_request, response) => response.end(response.write('x'.repeat(6)) ? 'x'.repeat(6) : ''))
    const proxy = await stage('reply_body_max_size 10 bytes\n')
    await expect(proxy.ask(get(web.port))).rejects.toThrow()
    await proxy.results(1)
    expect(proxy.records[0]?.error).toBe('reply-too-large')
  })

  it('is by the first line that matches', async () => {
    const web = await site(() => ({ content: 'x'.repeat(100) }))
    const proxy = await stage('acl me req_header X-Me .\nreply_body_max_size none me\nreply_body_max_size 10 bytes\n')
    expect((await proxy.ask(get(web.port, '/', 'X-Me: 1'))).status).toBe(200)
    expect((await proxy.ask(get(web.port))).status).toBe(403)
  })
})

describe('miss_access', () => {
  it('gives what is stored and nothing else', async () => {
    const web = await site(() => ({ fields: cached, content: 'content' }))
    const proxy = await stage('acl may req_header X-May .\nmiss_access allow may\n')
    expect((await proxy.ask(get(web.port))).fields.get('x-squid-error')).toBe('ERR_FORWARDING_DENIED 0')
    expect((await proxy.ask(get(web.port, '/', 'X-May: 1'))).status).toBe(200)
    expect((await proxy.ask(get(web.port))).body).toBe('content')
    expect((await proxy.ask(`CONNECT 127.0.0.1:${web.port} HTTP/1.1\r\nHost: 127.0.0.1:${web.port}\r\n\r\n`)).status).toBe(403)
    expect(web.requests).toHaveLength(1)
  })
})
