// What is told of clients, and of how the proxy fares: client_netmask, stats_collection, error_log_languages,
// high_response_time_warning, high_memory_warning; and server_pconn_for_nonretriable, which decides how requests travel.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clientMask } from '../../src/log/index.ts'
import { gate, get, origin, request, site, type Stage, stage, until } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-told-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const page = async (proxy: Stage, name: string): Promise<string> => {
  const port = proxy.port('web')
  return (await proxy.ask(`GET http://proxy.test:${port}/squid-internal-mgr/${name} HTTP/1.1\r\nHost: proxy.test\r\n\r\n`)).body
}

describe('client_netmask', () => {
  it('leaves logs and figures a network, and access lists the client', async () => {
    const web = await site(() => ({ content: 'x' }))
    const log = join(folder, 'access.log')
    const sessions = join(folder, 'session.log')
    const proxy = await stage(
      `client_netmask 255.255.0.0\nlogformat full %>a %ru %<la\nacl me src 127.0.0.1\naccess_log stdio:${log} logformat=full me\naccess_log stdio:${log}.json logformat=json\naccess_log none me\nsession_log ${sessions}\n`,
    )
    await proxy.ask(get(web.port))
    const clients = await page(proxy, 'client_list')
    await proxy.stop()
    expect(readFileSync(log, 'latin1').split('\n')[0]).toBe(`127.0.0.0 http://127.0.0.1:${web.port}/ 127.0.0.1`)
    expect(readFileSync(`${log}.json`, 'latin1')).toContain('"client":"127.0.0.0"')
    expect(readFileSync(sessions, 'latin1')).toMatch(/"client":"127\.0\.0\.0:\d+"/)
    expect(clients).toContain('127.0.0.0')
    expect(clients).not.toContain('127.0.0.1')
  })

  it.each([
    [24, '192.0.2.77', '192.0.2.0'],
    [0, '192.0.2.77', '0.0.0.0'],
    [31, '192.0.2.77', '192.0.2.76'],
    [24, '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    [24, 'no address', 'no address'],
  ])('%i bits of %s are %s', (bits, address, expected) => {
    const mask = clientMask(bits)
    expect([mask(address), mask(address), mask('10.1.2.3') === '10.1.2.3']).toEqual([expected, expected, false])
  })
})

describe('stats_collection', () => {
  it('leaves out of the figures what it denies, not out of logs', async () => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stage('acl quiet urlpath_regex ^/quiet\nstats_collection deny quiet\nstats_collection allow all\n')
    for (const path of ['/quiet', '/quiet', '/loud']) await proxy.ask(get(web.port, path))
    await proxy.results(3)
    expect(await page(proxy, 'counters')).toMatch(/^client_http\.requests = 1$/m)
    expect(await page(proxy, 'counters')).toMatch(/^server\.http\.requests = 3$/m)
  })

  it('may be about what came of it', async () => {
    const web = await site(request => ({ status: request.url === '/gone' ? 404 : 200, content: 'x' }))
    const proxy = await stage('acl gone http_status 404\nstats_collection allow gone\n')
    for (const path of ['/', '/', '/gone']) await proxy.ask(get(web.port, path))
    await proxy.results(3)
    expect(await page(proxy, 'counters')).toMatch(/^client_http\.requests = 1$/m)
  })
})

describe('error_log_languages', () => {
  const wanting = (language: string) => `Accept-Language: ${language}`

  it('tells which language there was no page in, once', async () => {
    const proxy = await stage()
    for (const language of ['tlh', 'tlh', 'de', 'xx;q=0.5, en', 'de-AT', '*', 'no%0Alanguage', 'qq-QQ, *']) await proxy.ask(get(1, '/', wanting(language)))
    expect(proxy.said.filter(text => text.includes('Language'))).toEqual([
      'WARNING: Error Pages Missing Language: tlh', 'WARNING: Error Pages Missing Language: tlh', 'WARNING: Error Pages Missing Language: qq-qq',
    ])
  })

  it('off tells nothing', async () => {
    const proxy = await stage('error_log_languages off\n')
    await proxy.ask(get(1, '/', wanting('tlh')))
    expect(proxy.said.filter(text => text.includes('Language'))).toEqual([])
  })
})

describe('a warning each minute', () => {
  const warnings = (proxy: Stage) => proxy.said.filter(text => /^WARNING: (Median|Memory)/.test(text))

  it('while requests take longer than high_response_time_warning', async () => {
    const proxy = await stage('high_response_time_warning 2000\n')
    const go = gate()
    const web = await origin(async (_, response) => {
      await go.opened
      response.end('x')
    })
    const wire = (await proxy.client()).send(get(web.port))
    await until(() => web.requests.length === 1, 'the request')
    proxy.clock.advance(5000)
    go.open()
    await wire.response()
    await proxy.results(1)
    proxy.clock.advance(55_000)
    expect(warnings(proxy)).toEqual([expect.stringMatching(/^WARNING: Median response time is [45]\d{3} milliseconds, more than 2000$/)])
    proxy.clock.advance(60_000)
    expect(warnings(proxy)).toHaveLength(1)
  })

  it('while memory is more than high_memory_warning, and no longer than the conf says so', async () => {
    const proxy = await stage('high_memory_warning 1 MB\n')
    proxy.clock.advance(60_000)
    proxy.clock.advance(60_000)
    expect(warnings(proxy)).toHaveLength(2)
    expect(warnings(proxy)[0]).toMatch(/^WARNING: Memory usage at \d+ MB, more than 1$|^WARNING: Memory usage at \d+ MB, more than 1 MB$/)
    proxy.reload('http_port 127.0.0.1:0 name=web\nhttp_access allow all\nhigh_memory_warning 64 GB\n')
    proxy.clock.advance(120_000)
    expect(warnings(proxy)).toHaveLength(2)
  })
})

describe('a request that cannot be sent twice', () => {
  const post = (port: number) => request('POST', port, '/', ['Content-Length: 1'], 'x')
  it.each([
    ['', 3],
    ['server_pconn_for_nonretriable allow all\n', 1],
    ['acl other urlpath_regex ^/other\nserver_pconn_for_nonretriable allow other\n', 3],
  ])('with %j three of them take %i connections', async (conf, connections) => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stage(conf)
    for (let i = 0; i < 3; i++) expect((await proxy.ask(post(web.port), 'POST')).status).toBe(200)
    expect(web.connections).toBe(connections)
  })
})
