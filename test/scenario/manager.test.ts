// The cache manager over the proxy's ports: whose request is for our own pages, who may see them, and what they say of
// what has just happened.

import { describe, expect, it } from 'vitest'
import { get, request, site, stage, stageOf } from './scene.ts'

const path = '/squid-internal-mgr/'

describe('on a forward port', () => {
  it('a path of ours is a page, in origin-form and by each of our names', async () => {
    const proxy = await stage('hostname_aliases other.test\n')
    const port = proxy.port('web')
    const asked = [
      `GET ${path}menu HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`,
      `GET ${path}menu HTTP/1.1\r\nHost: whatever\r\n\r\n`,
      get(port, `${path}menu`),
      ...['proxy.test', 'PROXY.test', 'localhost', 'other.test'].map(
        host => `GET http://${host}:${port}${path}menu HTTP/1.1\r\nHost: x\r\n\r\n`,
      ),
    ]
    for (const text of asked) {
      const response = await proxy.ask(text)
      expect(response.status, text).toBe(200)
      expect(response.body, text).toMatch(/^ menu\s+\tThis menu\s+\tpublic$/m)
    }
    expect(await proxy.results(asked.length)).toEqual(asked.map(() => 'TCP_MISS/200'))
    expect(proxy.records.every(record => record.server === null)).toBe(true)
  })

  it('the same path of a site is the site’s', async () => {
    const proxy = await stage()
    const origin = await site(() => ({ content: 'mine' }))
    const response = await proxy.ask(get(origin.port, `${path}menu`))
    expect(response.body).toBe('mine')
    expect(origin.requests).toHaveLength(1)
  })

  it('counters say what has happened', async () => {
    const proxy = await stage()
    const origin = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x'.repeat(3000) }))
    await proxy.ask(get(origin.port))
    await proxy.ask(get(origin.port))
    await proxy.results(2)
    const text = (await proxy.ask(get(proxy.port('web'), `${path}counters`))).body
    const value = (name: string) => Number(new RegExp(`^${name} = (\\d+)$`, 'm').exec(text)?.[1])
    expect([value('client_http.requests'), value('client_http.hits'), value('server.all.requests')]).toEqual([2, 1, 1])
    expect(value('client_http.hit_kbytes_out')).toBe(3)
    expect(value('server.http.kbytes_in')).toBe(2)
    const json = await proxy.ask(get(proxy.port('web'), `${path}counters`, 'Accept: application/json'))
    expect(JSON.parse(json.body).sums).toMatchObject({ requests: 3, hits: 1, serverRequests: 1 })
  })

  it('objects are those that are stored, as many as wished, of those that are meant', async () => {
    const proxy = await stage()
    const web = await site(r => ({ fields: ['Cache-Control: max-age=60', `Cache-Tag: t${r.url?.slice(1)}`, 'Vary: Foo'], content: 'x' }))
    for (let i = 0; i < 5; i++) await proxy.ask(get(web.port, `/${i}`))
    await proxy.ask(get(web.port, '/3', 'Foo: a'))
    proxy.clock.advance(10_000)
    const page = async (query: string) => (await proxy.ask(get(proxy.port('web'), `${path}objects${query}`))).body
    const uri = (i: number) => `http://127.0.0.1:${web.port}/${i}`
    const lines = (await page('')).trim().split('\n').sort()
    expect(lines).toHaveLength(6)
    expect(lines[0]).toBe(`200 1 age=10 ttl=50 fresh memory - ${uri(0)} vary=foo tags=t0`)
    expect((await page('?tag=t3')).trim().split('\n')).toEqual(Array(2).fill(`200 1 age=10 ttl=50 fresh memory - ${uri(3)} vary=foo tags=t3`))
    expect((await page('?max=2')).trim().split('\n')).toHaveLength(3)
    expect(await page('?max=2')).toContain('more than these 2')
    expect(JSON.parse(await page(`?prefix=${uri(4)}&format=json`))).toMatchObject({ more: false, objects: [{ key: uri(4), tags: ['t4'], vary: ['foo'] }] })
    for (const wrong of ['?max=0', '?max=x', '?tag=', '?regex=(', '?what=1', '?tag=a&host=b']) {
      expect((await proxy.ask(get(proxy.port('web'), `${path}objects${wrong}`))).status, wrong).toBe(400)
    }
  })

  it('protected pages need their password, whatever the user is called', async () => {
    const proxy = await stage('cachemgr_passwd secret menu\n')
    const page = get(proxy.port('web'), `${path}menu`)
    const without = await proxy.ask(page)
    expect([without.status, without.fields.get('www-authenticate')]).toEqual([401, 'Basic realm="menu"'])
    const by = (text: string) =>
      proxy.ask(get(proxy.port('web'), `${path}menu`, `Authorization: Basic ${Buffer.from(text).toString('base64')}`))
    expect((await by('me:wrong')).status).toBe(401)
    expect((await by('me:secret')).status).toBe(200)
    proxy.reload('http_port 127.0.0.1:0 name=web\nhttp_access allow all\ncachemgr_passwd disable all\n')
    const disabled = await by('me:secret')
    expect([disabled.status, disabled.fields.get('www-authenticate')]).toEqual([404, undefined]) // as in Squid
  })

  it('an unknown page, a wrong method and a large form are refused, and the connection goes on', async () => {
    const proxy = await stage()
    const port = proxy.port('web')
    const wire = await proxy.client()
    const nothing = await wire.send(get(port, `${path}nothing`)).response()
    const wrong = await wire.send(request('POST', port, `${path}menu`, ['Content-Length: 3'], 'a=b')).response()
    expect([nothing.status, wrong.status, wrong.fields.get('allow')]).toEqual([404, 405, 'GET, HEAD'])
    expect((await wire.send(get(port, path)).response()).status).toBe(200)
    const large = await proxy.ask(request('POST', port, `${path}menu`, ['Content-Length: 70000'], 'a'.repeat(70000)), 'POST')
    expect(large.status).toBe(413)
  })
})

describe('who may see them', () => {
  it('http_access names `manager`: then its lines alone decide', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny manager\nhttp_access allow all\n')
    expect((await proxy.ask(get(proxy.port('web'), `${path}menu`))).status).toBe(403)
    expect(await proxy.results(1)).toEqual(['TCP_DENIED/403'])
  })

  it('on an accelerator a site has the path, unless our own name is asked for', async () => {
    const origin = await site(() => ({ content: 'mine' }))
    const proxy = await stageOf(
      `http_port 127.0.0.1:0 accel name=web defaultsite=127.0.0.1:${origin.port} allow-direct vport=${origin.port}\nhttp_access allow all\n`,
    )
    const response = await proxy.ask(`GET ${path}menu HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    expect(response.body).toBe('mine')
  })
})
