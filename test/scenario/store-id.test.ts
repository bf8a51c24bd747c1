// store_id_rule: several URIs share what is stored, the origin is asked for the URI, and whoever could not be verified
// stays outside.

import { describe, expect, it } from 'vitest'
import { get, request, site, stage } from './scene.ts'

const cached = ['Cache-Control: max-age=600']
const rule = (port: number, more = '') => `store_id_rule ^http://127\\.0\\.0\\.1:${port}/(a|b)/([^?]*) http://x.internal/$2${more}\n`

const three = async (more = '', conf = '') => {
  const web = await site(r => ({ fields: [...cached, 'ETag: "1"'], content: r.url ?? '' }))
  const proxy = await stage(conf + rule(web.port, more))
  return { web, proxy }
}

describe('URIs that a rule gives one key', () => {
  it('share one stored response; others do not', async () => {
    const { web, proxy } = await three()
    const bodies = []
    for (const path of ['/a/1?token=x', '/b/1?token=y', '/a/2', '/c/1']) bodies.push((await proxy.ask(get(web.port, path))).body)
    expect(bodies).toEqual(['/a/1?token=x', '/a/1?token=x', '/a/2', '/c/1'])
    expect(web.requests.map(r => r.url)).toEqual(['/a/1?token=x', '/a/2', '/c/1'])
  })

  it('are validated, invalidated, answered to HEAD and purged together', async () => {
    const { web, proxy } = await three('', 'acl P method PURGE\nhttp_access allow P\n')
    await proxy.ask(get(web.port, '/a/1'))
    expect((await proxy.ask(request('HEAD', web.port, '/b/1'), 'HEAD')).fields.get('cache-status')).toContain('; hit')
    await proxy.ask(request('DELETE', web.port, '/b/1'))
    await proxy.ask(get(web.port, '/a/1'))
    expect(web.requests.map(r => `${r.method} ${r.url}`)).toEqual(['GET /a/1', 'DELETE /b/1', 'GET /a/1'])
    expect((await proxy.ask(request('PURGE', web.port, '/b/1'))).body).toBe('purged 1\n')
  })

  it('are purged by any of their URIs', async () => {
    const { web, proxy } = await three()
    await proxy.ask(get(web.port, '/a/1'))
    const purged = await proxy.machine.manager.find('purge')?.render(new URLSearchParams(`uri=http://127.0.0.1:${web.port}/b/1`))
    expect(purged?.ok === true && purged.text()).toBe('purged 1\n')
  })

  it('are collapsed', async () => {
    const { web, proxy } = await three('', 'collapsed_forwarding on\n')
    const answers = await Promise.all(['/a/9', '/b/9', '/b/9?x'].map(path => proxy.ask(get(web.port, path))))
    expect(new Set(answers.map(r => r.body)).size).toBe(1)
    expect(web.requests).toHaveLength(1)
  })

  it('have the refresh_pattern of the key', async () => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stage(`${rule(web.port)}refresh_pattern ^http://x\\.internal/ 10 0% 10\nrefresh_pattern . 0 0% 0\n`)
    for (const path of ['/a/1', '/b/1', '/c/1', '/c/1']) await proxy.ask(get(web.port, path))
    expect(web.requests.map(r => r.url)).toEqual(['/a/1', '/c/1', '/c/1'])
  })
})

it('a rule is for those its ACLs match', async () => {
  const web = await site(r => ({ fields: cached, content: r.url ?? '' }))
  const proxy = await stage(`acl phones browser Phone\n${rule(web.port, ' phones')}`)
  const phone = 'User-Agent: Phone'
  await proxy.ask(get(web.port, '/a/1', phone))
  expect((await proxy.ask(get(web.port, '/b/1', phone))).body).toBe('/a/1')
  expect((await proxy.ask(get(web.port, '/b/1'))).body).toBe('/b/1')
})

describe('x_cache', () => {
  it('says what the client got, and whether something was stored', async () => {
    const web = await site(r => (r.headers['if-none-match'] === undefined ? { fields: ['Cache-Control: max-age=1', 'ETag: "1"'] } : { status: 304 }))
    const proxy = await stage('x_cache on\nacl no url_regex no$\ncache deny no\n')
    const told = async (path: string, ...lines: string[]) => {
      const { fields } = await proxy.ask(get(web.port, path, ...lines))
      return [fields.get('x-cache'), fields.get('x-cache-lookup')?.replace(/:\d+$/, ':PORT')]
    }
    const from = 'from proxy.test'
    expect(await told('/')).toEqual([`MISS ${from}`, `MISS ${from}:PORT`])
    expect(await told('/')).toEqual([`HIT ${from}`, `HIT ${from}:PORT`])
    proxy.clock.advance(5000)
    expect(await told('/')).toEqual([`HIT ${from}`, `HIT ${from}:PORT`])
    expect(await told('/', 'Cache-Control: no-cache')).toEqual([`MISS ${from}`, `HIT ${from}:PORT`])
    expect(await told('/no')).toEqual([`MISS ${from}`, `NONE ${from}:PORT`])
    expect(await told('/x', 'Cache-Control: only-if-cached')).toEqual([`MISS ${from}`, `NONE ${from}:PORT`])
    expect(await proxy.results(6)).toContain('TCP_REFRESH_UNMODIFIED/200')
  })

  it('is off unless said', async () => {
    const web = await site(() => ({ fields: cached }))
    const proxy = await stage()
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(web.port))).fields.has('x-cache')).toBe(false)
  })
})
