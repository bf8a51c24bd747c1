// url_rewrite_program and store_id_program: what a program says becomes of a request, and what becomes of it when the
// program says nothing. Programs are of sh; origins and the records of the proxy show what happened.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { rewritingIn } from '../../src/proxy/http/rewrite.ts'
import { site, stage, stageOf, type Stage, until } from './scene.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-rewrite-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A program whose answer to `$url $rest` is what the script echoes. */
const program = (name: string, answers: string): string => {
  const path = join(folder, name)
  writeFileSync(path, `while read -r url rest; do ${answers}; done\n`)
  return `/bin/sh ${path}`
}

const get = (port: number, path: string, host = '127.0.0.1'): string => `GET http://${host}:${port}${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`

const inTime = async <T>(proxy: Stage, answer: Promise<T>): Promise<T> => {
  let over = false
  void answer.finally(() => {
    over = true
  })
  await until(() => {
    proxy.clock.advance(ms(500))
    return over
  }, 'an answer')
  return await answer
}

describe('an answer of a rewriter', () => {
  it.each([
    ['ERR', { kind: 'none' }],
    ['BH message=x', { kind: 'none' }],
    ['OK', { kind: 'none' }],
    ['', { kind: 'none' }],
    ['OK rewrite-url="http://b/"', { kind: 'rewrite', uri: 'http://b/' }],
    ['OK url="http://b/"', { kind: 'redirect', status: 302, location: 'http://b/' }],
    ['OK status=301 url=http://b/ rewrite-url=http://c/', { kind: 'redirect', status: 301, location: 'http://b/' }],
    ['OK status=200 url=http://b/', { kind: 'none' }],
    ['OK url="http://b/\r\nX: y"', { kind: 'none' }],
    ['302:http://b/', { kind: 'redirect', status: 302, location: 'http://b/' }],
    ['http://b/ 10.0.0.1/- - GET', { kind: 'rewrite', uri: 'http://b/' }],
  ])('%j', (line, expected) => expect(rewritingIn(line)).toEqual(expected))
})

describe('url_rewrite_program', () => {
  it('puts another URL in the place of what was asked: for the origin, for the key, not for the log', async () => {
    const origin = await site(request => ({ fields: ['Cache-Control: max-age=60'], content: `at ${request.url}` }))
    const rewriter = program('put', `case $url in */old) echo "OK rewrite-url=http://localhost:${origin.port}/new";; *) echo ERR;; esac`)
    const proxy = await stage(`url_rewrite_program ${rewriter}\n`)
    expect((await proxy.ask(get(origin.port, '/old'))).body).toBe('at /new')
    expect(origin.field(0, 'host')).toBe(`localhost:${origin.port}`)
    expect((await proxy.ask(get(origin.port, '/new', 'localhost'))).body).toBe('at /new')
    expect((await proxy.ask(get(origin.port, '/other'))).body).toBe('at /other')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MISS/200'])
    expect(proxy.records[0]).toMatchObject({ askedUri: `http://127.0.0.1:${origin.port}/old`, uri: `http://localhost:${origin.port}/new` })
  })

  it('leaves the Host field with url_rewrite_host_header off', async () => {
    const origin = await site(() => ({}))
    const rewriter = program('host', `echo "OK rewrite-url=http://localhost:${origin.port}/"`)
    const proxy = await stage(`url_rewrite_program ${rewriter}\nurl_rewrite_host_header off\n`)
    await proxy.ask(get(origin.port, '/x'))
    expect(origin.field(0, 'host')).toBe(`127.0.0.1:${origin.port}`)
  })

  it('sends clients elsewhere', async () => {
    const rewriter = program('send', 'echo "OK status=307 url=\\"http://block.test/?u=$url\\""')
    const proxy = await stage(`url_rewrite_program ${rewriter}\n`)
    const answer = await proxy.ask(get(1, '/bad'))
    expect([answer.status, answer.fields.get('location')]).toEqual([307, 'http://block.test/?u=http://127.0.0.1:1/bad'])
    expect(await proxy.results(1)).toEqual(['TCP_REDIRECT/307'])
  })

  it('sees what url_rewrite_access lets it see, and the client', async () => {
    const origin = await site(request => ({ content: request.url ?? '' }))
    const rewriter = program('see', `echo "OK rewrite-url=http://127.0.0.1:${origin.port}/\${rest%% *}"`)
    const proxy = await stage(`acl seen urlpath_regex ^/seen\nurl_rewrite_access allow seen\nurl_rewrite_extras "%>a/%rm %{X-A}>h"\nurl_rewrite_program ${rewriter}\n`)
    expect((await proxy.ask(get(origin.port, '/seen'))).body).toBe('/127.0.0.1/GET')
    expect((await proxy.ask(get(origin.port, '/other'))).body).toBe('/other')
  })

  it('answers that are no URL change nothing', async () => {
    const origin = await site(() => ({ content: 'mine' }))
    const proxy = await stage(`url_rewrite_program ${program('nonsense', 'echo "OK rewrite-url=nonsense:"')}\n`)
    expect((await proxy.ask(get(origin.port, '/'))).body).toBe('mine')
    expect(proxy.said.join()).toContain('is no URL')
  })

  it.each([
    ['', 500],
    ['url_rewrite_bypass on', 200],
    ['url_rewrite_timeout 5 seconds on_timeout=bypass', 200],
    ['url_rewrite_timeout 5 seconds on_timeout=use_configured_response response="OK status=302 url=http://slow.test/"', 302],
  ])('that says nothing, with %j: %d', async (conf, status) => {
    const origin = await site(() => ({ content: 'mine' }))
    const proxy = await stage(`url_rewrite_program /bin/sleep 1000\nurl_rewrite_children 1\n${conf}\n`)
    expect((await inTime(proxy, proxy.ask(get(origin.port, '/')))).status).toBe(status)
  })

  it('that says nothing once is asked again with on_timeout=retry', async () => {
    const origin = await site(() => ({ content: 'mine' }))
    const flag = join(folder, 'second')
    const rewriter = program('once', `if [ -e ${flag} ]; then echo ERR; else : > ${flag}; sleep 1000; fi`)
    const proxy = await stage(`url_rewrite_program ${rewriter}\nurl_rewrite_children 1\nurl_rewrite_timeout 30 minutes on_timeout=retry\n`)
    const answer = proxy.ask(get(origin.port, '/'))
    await until(() => existsSync(flag), 'the question')
    // from here on it rests before it starts another, which then has long to begin
    proxy.clock.advance(ms(30 * 60_000))
    expect((await inTime(proxy, answer)).status).toBe(200)
  })

  it('a reload begins with new children, and those of before finish', async () => {
    const origin = await site(request => ({ content: request.url ?? '' }))
    const conf = (rewriter: string): string => `http_port 127.0.0.1:0 name=web\nhttp_access allow all\nurl_rewrite_program ${rewriter}\n`
    const proxy = await stageOf(conf(program('a', `echo "OK rewrite-url=http://127.0.0.1:${origin.port}/a"`)))
    expect((await proxy.ask(get(origin.port, '/'))).body).toBe('/a')
    proxy.reload(conf(program('b', `echo "OK rewrite-url=http://127.0.0.1:${origin.port}/b"`)))
    expect((await proxy.ask(get(origin.port, '/'))).body).toBe('/b')
  })
})

describe('store_id_program', () => {
  const ids = (): string => program('ids', 'case $url in */v?*) echo "OK store-id=http://video.internal/v";; *) echo ERR;; esac')

  it('gives several URLs one key; the origin is asked for the URL', async () => {
    const origin = await site(request => ({ fields: ['Cache-Control: max-age=60'], content: request.url ?? '' }))
    const proxy = await stage(`store_id_program ${ids()}\n`)
    expect((await proxy.ask(get(origin.port, '/v1'))).body).toBe('/v1')
    expect((await proxy.ask(get(origin.port, '/v2'))).body).toBe('/v1')
    expect((await proxy.ask(get(origin.port, '/w'))).body).toBe('/w')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MISS/200'])
  })

  it('is seen by refresh_pattern, and changes what an unsafe method makes invalid', async () => {
    const origin = await site(request => ({ content: request.method ?? '' }))
    const proxy = await stage(`store_id_program ${ids()}\nrefresh_pattern ^http://video.internal/ 60 0% 60\nrefresh_pattern . 0 0% 0\n`)
    await proxy.ask(get(origin.port, '/v1'))
    await proxy.ask(get(origin.port, '/v2'))
    await proxy.ask(get(origin.port, '/v3').replace('GET', 'DELETE'), 'DELETE')
    await proxy.ask(get(origin.port, '/v2'))
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MISS/200', 'TCP_MISS/200'])
  })

  it.each([['on', 'TCP_MEM_HIT/200'], ['off', 'TCP_MISS/200']])('that says nothing, store_id_bypass %s', async (bypass, second) => {
    const origin = await site(() => ({ fields: ['Cache-Control: max-age=60000'], content: 'mine' }))
    const proxy = await stage(`store_id_program /bin/sleep 1000\nstore_id_children 1\nstore_id_bypass ${bypass}\n`)
    for (let n = 0; n < 2; n++) await inTime(proxy, proxy.ask(get(origin.port, '/')))
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', second])
  })
})

describe('rewrite', () => {
  it('puts another URL in a request\'s place by ACL and by regex, first line first', async () => {
    const web = await site(() => ({}))
    const proxy = await stage(`acl ads urlpath_regex ^/ads
acl kept urlpath_regex ^/ads/kept
acl there urlpath_regex ^/there
acl other src 127.0.0.9
rewrite - kept
rewrite http://127.0.0.1:${web.port}/blank?%rh ads
rewrite 302:http://else.test%rp?from=%>a there
rewrite ^http://([^/]*)/old/(.*) http://$1/new/$2
rewrite -i ^HTTP://[^/]*/MOVED/(.*) 301:http://else.test/$1
rewrite ^http://([^/]*)/other http://$1/never other
`)
    const location: (string | undefined)[] = []
    for (const path of ['/plain', '/ads/1', '/ads/kept', '/old/a?b', '/other', '/there/x', '/moved/y']) {
      location.push((await proxy.ask(get(web.port, path))).fields.get('location'))
    }
    expect(web.requests.map(r => r.url)).toEqual(['/plain', '/blank?127.0.0.1', '/ads/kept', '/new/a?b', '/other'])
    expect(location.slice(5)).toEqual(['http://else.test/there/x?from=127.0.0.1', 'http://else.test/y'])
    expect(await proxy.results(7)).toEqual([...Array(5).fill('TCP_MISS/200'), 'TCP_REDIRECT/302', 'TCP_REDIRECT/301'])
  })

  it('is for whom rewrite_access allows, and not where there is a program', async () => {
    const web = await site(() => ({}))
    const proxy = await stage(`acl plain urlpath_regex plain\nrewrite_access deny plain\nrewrite ^http://([^/]*)/(.*) http://$1/new/$2\n`)
    for (const path of ['/plain', '/a']) await proxy.ask(get(web.port, path))
    expect(web.requests.map(r => r.url)).toEqual(['/plain', '/new/a'])
  })
})
