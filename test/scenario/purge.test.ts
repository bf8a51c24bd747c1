// PURGE and purges of many, as clients and operators see them: what is stored goes, in memory and on disk, what is on its
// way is not stored, and tags are shown or hidden as the conf says.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { gate, get, origin, request, site, stage, type Stage, stageOf } from './scene.ts'

const purgers = 'acl PURGE method PURGE\nhttp_access allow PURGE localhost\nhttp_access deny PURGE\nhttp_access allow all\n'
const withPurge = (more = ''): Promise<Stage> => stageOf(`http_port 127.0.0.1:0 name=web\n${purgers}${more}`)

const purgePage = async (proxy: Stage, args: string): Promise<unknown> => {
  const page = proxy.machine.manager.find('purge')
  const rendered = await page?.render(new URLSearchParams(args))
  return rendered?.ok === true ? (JSON.parse(rendered.json()) as { purged: number }).purged : rendered
}

const cached = ['Cache-Control: max-age=600']

describe('the method', () => {
  it('200 and gone, all variants; 404 where nothing is stored', async () => {
    const proxy = await withPurge()
    const web = await site(() => ({ fields: [...cached, 'Vary: Foo'], content: 'x' }))
    for (const foo of ['a', 'b']) await proxy.ask(get(web.port, '/', `Foo: ${foo}`))
    const first = await proxy.ask(request('PURGE', web.port))
    const second = await proxy.ask(request('PURGE', web.port))
    expect([first.status, first.body, second.status]).toEqual([200, 'purged 2\n', 404])
    await proxy.ask(get(web.port, '/', 'Foo: a'))
    expect(web.requests.map(r => r.method)).toEqual(['GET', 'GET', 'GET'])
    expect(await proxy.results(5)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'NONE_NONE/200', 'NONE_NONE/404', 'TCP_MISS/200'])
  })

  it('takes what a HEAD has stored, too', async () => {
    const proxy = await withPurge()
    const web = await site(() => ({ fields: cached }))
    await proxy.ask(request('HEAD', web.port), 'HEAD')
    expect((await proxy.ask(request('PURGE', web.port))).status).toBe(200)
  })

  it('is refused where no line of http_access names it, and where one does and denies', async () => {
    const web = await site(() => ({ fields: cached }))
    const open = await stage()
    await open.ask(get(web.port))
    expect((await open.ask(request('PURGE', web.port))).status).toBe(403)
    const closed = await stageOf('http_port 127.0.0.1:0 name=web\nacl p method PURGE\nacl g any-of p\nhttp_access deny g\nhttp_access allow all\n')
    expect((await closed.ask(request('PURGE', web.port))).status).toBe(403)
    expect((await open.ask(get(web.port))).fields.get('cache-status')).toContain('; hit')
    expect(web.requests).toHaveLength(1)
  })

  it('what is on its way is not stored afterwards', async () => {
    const proxy = await withPurge()
    const head = gate()
    const content = gate()
    let asked = 0
    const web = await origin(async (_request, response) => {
      asked++
      if (asked === 1) await head.opened
      response.writeHead(200, { 'Cache-Control': 'max-age=600', 'Content-Length': '2' })
      response.write('a')
      if (asked === 2) await content.opened
      response.end('b')
    })
    const early = proxy.ask(get(web.port, '/head'))
    while (asked < 1) await new Promise(setImmediate)
    expect((await proxy.ask(request('PURGE', web.port, '/head'))).status).toBe(404)
    head.open()
    expect((await early).body).toBe('ab')
    const wire = await proxy.client()
    wire.send(get(web.port, '/content'))
    while (asked < 2) await new Promise(setImmediate)
    await new Promise(setImmediate)
    expect((await proxy.ask(request('PURGE', web.port, '/content'))).status).toBe(404)
    content.open()
    expect((await wire.response()).body).toBe('ab')
    for (const path of ['/head', '/content']) {
      expect((await proxy.ask(get(web.port, path))).fields.get('cache-status')).not.toContain('hit')
    }
    expect(asked).toBe(4)
  })
})

describe('by the manager', () => {
  it('by URI, host, prefix, regex and tag, and it says how many', async () => {
    const proxy = await stage()
    const web = await site(r => ({ fields: [...cached, `Cache-Tag: all, t${r.url?.slice(1)}`] }))
    for (let i = 0; i < 30; i++) await proxy.ask(get(web.port, `/${i}`))
    const base = `http://127.0.0.1:${web.port}`
    expect(await purgePage(proxy, `uri=${base}/0&uri=HTTP://127.0.0.1:${web.port}/1&uri=${base}/none`)).toBe(2)
    expect(await purgePage(proxy, `prefix=${base}/1`)).toBe(10)
    expect(await purgePage(proxy, 'regex=/[2-4]$')).toBe(3)
    expect(await purgePage(proxy, 'tag=t20&tag=t25')).toBe(2)
    expect(await purgePage(proxy, 'host=.0.0.1')).toBe(13)
    expect(await purgePage(proxy, 'tag=all')).toBe(0)
    await proxy.ask(get(web.port, '/5'))
    expect(web.requests).toHaveLength(31)
    expect(proxy.said.filter(text => text.startsWith('purged '))).toHaveLength(6)
  })

  it.each([
    ['', 'say what'],
    ['uri=/x', 'no absolute URI'],
    ['tag=', 'tag is empty'],
    ['regex=(', 'regex:'],
    ['nothing=1', "there is no 'nothing'"],
    [Array(101).fill('tag=x').join('&'), 'more than 100 walks'],
  ])('%s is refused: %s', async (args, why) => {
    expect(await purgePage(await stage(), args)).toMatchObject({ ok: false, status: 400, reason: expect.stringContaining(why) })
  })

  it('what is asked for while a tag is purged is not stored if it has it, also in a validation behind the client', async () => {
    const proxy = await stage()
    const held = gate()
    let asked = 0
    const web = await origin(async (_request, response) => {
      if (++asked === 2) await held.opened
      response.writeHead(200, { 'Cache-Control': 'max-age=10, stale-while-revalidate=100', 'Cache-Tag': 'red', 'Content-Length': '1' })
      response.end(String(asked))
    })
    await proxy.ask(get(web.port))
    proxy.clock.advance(20_000)
    expect((await proxy.ask(get(web.port))).body).toBe('1')
    while (asked < 2) await new Promise(setImmediate)
    expect(await purgePage(proxy, 'tag=red')).toBe(1)
    held.open()
    while (proxy.machine.validationsBehind > 0) await new Promise(setImmediate)
    expect((await proxy.ask(get(web.port))).body).toBe('3')
  })

  it('on disk, too, by tag and otherwise', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'purge-'))
    try {
      const conf = `http_port 127.0.0.1:0 name=web\nhttp_access allow all\ncache_dir ufs ${folder}/c 100\nmaximum_object_size_in_memory 1 KB\n`
      const proxy = await stageOf(conf)
      const web = await site(r => ({ fields: [...cached, `Surrogate-Key: all k${r.url?.slice(1)}`], content: 'x'.repeat(Number(r.url?.slice(1)) * 5000) }))
      for (let i = 1; i <= 8; i++) await proxy.ask(get(web.port, `/${i}`))
      expect(await purgePage(proxy, 'tag=k7')).toBe(1)
      expect(await purgePage(proxy, `prefix=http://127.0.0.1:${web.port}/2`)).toBe(1)
      expect((await proxy.ask(get(web.port, '/6'))).fields.get('cache-status')).toContain('; hit')
      expect(await purgePage(proxy, 'tag=all')).toBe(6)
      await proxy.ask(get(web.port, '/6'))
      expect(web.requests).toHaveLength(9)
      await proxy.stop()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('cache_tags', () => {
  const both = [...cached, 'Surrogate-Key: a', 'Cache-Tag: b']
  const seen = async (policy: string) => {
    const proxy = await stage(`cache_tags ${policy}\n`)
    const web = await site(r => ({ fields: r.headers['if-none-match'] === undefined ? [...both, 'ETag: "1"'] : both, status: r.headers['if-none-match'] === undefined ? 200 : 304 }))
    const told = async (...lines: string[]) => {
      const { fields } = await proxy.ask(get(web.port, '/', ...lines))
      return [fields.get('surrogate-key') ?? '', fields.get('cache-tag') ?? ''].join()
    }
    const answers = [await told(), await told(), await told('Cache-Control: max-age=0')]
    return { answers, byTag: [await purgePage(proxy, 'tag=a'), await purgePage(proxy, 'tag=b')] }
  }
  it('keep: clients see them, and a purge knows them', async () => {
    expect(await seen('keep')).toEqual({ answers: ['a,b', 'a,b', 'a,b'], byTag: [1, 0] })
  })
  it('strip: clients do not, neither on a miss, a hit nor after a 304', async () => {
    expect(await seen('strip')).toEqual({ answers: [',', ',', ','], byTag: [1, 0] })
  })
  it('off: fields like others', async () => {
    expect(await seen('off')).toEqual({ answers: ['a,b', 'a,b', 'a,b'], byTag: [0, 0] })
  })
})

describe('cache_set_cookie', () => {
  it.each([
    ['strip', ['a=1', undefined], 1],
    ['refuse', ['a=1', 'a=1'], 2],
    ['replay', ['a=1', 'a=1'], 1],
  ])('%s', async (policy, cookies, requests) => {
    const proxy = await stage(`cache_set_cookie ${policy}\n`)
    const web = await site(() => ({ fields: [...cached, 'Set-Cookie: a=1'] }))
    const got = [await proxy.ask(get(web.port)), await proxy.ask(get(web.port))].map(r => r.fields.get('set-cookie'))
    expect(got).toEqual(cookies)
    expect(web.requests).toHaveLength(requests)
  })
})
