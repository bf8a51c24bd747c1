import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { dateAt, type Site, site, stageOf } from './scene.ts'

// http_port accel: in front of sites of one's own. Which site a request is for, which origin is asked with which Host,
// what it is stored under, and that nobody reaches any other site through it.

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
  writeFileSync(join(folder, 'hosts'), '127.0.0.1 one.test two.test\n')
})
afterAll(() => rmSync(folder, { recursive: true }))

const accel = (options: string, more = '') =>
  stageOf(`http_port 127.0.0.1:0 accel name=web ${options}\nhttp_access allow all\nhosts_file ${folder}/hosts\n${more}`)

/** Answers with the Host it was asked with, and may be stored. */
const echo = (): Promise<Site> =>
  site(({ headers, url }) => ({ fields: ['Cache-Control: max-age=60'], content: `${headers.host} ${url}` }))

const get = (host: string | null, target = '/', version = '1.1') =>
  `GET ${target} HTTP/${version}\r\n${host === null ? '' : `Host: ${host}\r\n`}\r\n`

describe('the site of a request', () => {
  it('is the one Host names', async () => {
    const server = await echo()
    const proxy = await accel(`defaultsite=two.test:${server.port} allow-direct`)
    expect((await proxy.ask(get(`one.test:${server.port}`, '/a?b'))).body).toBe(`one.test:${server.port} /a?b`)
    expect(proxy.records[0]?.uri).toBe(`http://one.test:${server.port}/a?b`)
    expect(proxy.records[0]?.hierarchy).toBe('HIER_DIRECT')
  })

  test.each(['1.0', '1.1'])('is the default where it names none (HTTP/%s)', async version => {
    const server = await echo()
    const proxy = await accel(`defaultsite=two.test:${server.port} allow-direct`)
    expect((await proxy.ask(get(null, '/', version))).body).toBe(`two.test:${server.port} /`)
  })

  it('is unknown without either', async () => {
    const proxy = await accel('allow-direct')
    const response = await proxy.ask(get(null, '/', '1.0'))
    expect([response.status, response.fields.get('x-squid-error')]).toEqual([400, 'ERR_INVALID_URL 0'])
  })

  test.each([get('one.test'), get('evil.test:1'), get(null, '/', '1.0'), get('evil.test', 'http://evil.test:1/'), get('', '/')])(
    'is always the default with no-vhost, whatever is said: %j',
    async request => {
      const server = await echo()
      const proxy = await accel(`defaultsite=two.test:${server.port} no-vhost allow-direct`)
      expect((await proxy.ask(request)).body).toBe(`two.test:${server.port} /`)
    },
  )

  it('acts as the origin with act-as-origin: what is stored leaves with the present as its Date', async () => {
    let told: readonly string[] = []
    const server = await site(() => ({ fields: told, content: 'x' }))
    const proxy = await accel(`act-as-origin defaultsite=one.test:${server.port} allow-direct`)
    const usual = await accel(`defaultsite=one.test:${server.port} allow-direct`)
    const [made, until, now, moved] = [-10, 50, 0, 60].map(seconds => dateAt(proxy.clock, seconds))
    told = [`Date: ${made}`, `Expires: ${until}`]
    for (const one of [proxy, usual]) await one.ask(get(`one.test:${server.port}`))
    const hit = await proxy.ask(get(`one.test:${server.port}`))
    const plain = await usual.ask(get(`one.test:${server.port}`))
    const seen = ['date', 'expires', 'x-origin-date', 'x-origin-expires', 'age', 'x-cache-age']
    expect(seen.map(name => hit.fields.get(name))).toEqual([now, moved, made, until, undefined, '10'])
    expect(seen.map(name => plain.fields.get(name))).toEqual([made, until, undefined, undefined, '10', undefined])
    expect((await proxy.results(2))[1]).toBe('TCP_MEM_HIT/200')
  })

  it('has the port that vport says, and the origin hears of that one', async () => {
    const server = await echo()
    const proxy = await accel(`vport=${server.port} allow-direct`)
    for (const host of ['one.test', 'one.test:81', 'ONE.test:82']) {
      expect((await proxy.ask(get(host))).body).toBe(`one.test:${server.port} /`)
    }
    expect(server.requests).toHaveLength(1) // one site, one stored response
  })

  it('is kept apart from others in the cache, however Host is spelt', async () => {
    const server = await echo()
    const proxy = await accel('allow-direct')
    for (const host of ['one.test', 'two.test', 'ONE.test', 'two.test']) await proxy.ask(get(`${host}:${server.port}`))
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
  })
})

describe('an accelerator', () => {
  it.each([get('one.test:1'), 'CONNECT one.test:1 HTTP/1.1\r\nHost: one.test:1\r\n\r\n', get('x', 'http://one.test:1/')])(
    'without allow-direct goes to no origin by itself: %j',
    async request => {
      const proxy = await accel('defaultsite=one.test')
      const wire = await proxy.client()
      const response = await wire.send(request).response()
      expect([response.status, response.fields.get('x-squid-error')]).toEqual([503, 'ERR_CANNOT_FORWARD 0'])
      expect(proxy.records[0]?.error).toBe('no-route')
    },
  )

  it('lets its own Via pass, since another of its name may stand before it', async () => {
    const server = await echo()
    const proxy = await accel(`defaultsite=one.test:${server.port} allow-direct`)
    expect((await proxy.ask('GET / HTTP/1.1\r\nVia: 1.1 proxy.test\r\n\r\n')).status).toBe(200)
  })

  it('does not ask itself', async () => {
    const proxy = await accel('vport allow-direct')
    const response = await proxy.ask(get('one.test'))
    expect([response.status, proxy.records[0]?.error]).toEqual([403, 'loop'])
  })

  it('that is told of https does not speak it in clear text', async () => {
    const proxy = await accel('defaultsite=one.test protocol=HTTPS allow-direct')
    expect((await proxy.ask(get('one.test'))).status).toBe(503) // no TLS there
    expect(proxy.records[0]?.uri).toBe('https://one.test/')
  })

  it('obeys http_access by the site that was meant', async () => {
    const server = await echo()
    const proxy = await stageOf(
      `http_port 127.0.0.1:0 accel name=web allow-direct\nhosts_file ${folder}/hosts\nacl ours dstdomain one.test\nhttp_access allow ours\n`,
    )
    expect((await proxy.ask(get(`one.test:${server.port}`))).status).toBe(200)
    expect((await proxy.ask(get(`two.test:${server.port}`))).status).toBe(403)
  })

  it('tells the origin who asked, and is found in Via', async () => {
    const server = await echo()
    const proxy = await accel(`defaultsite=one.test:${server.port} allow-direct`)
    await proxy.ask(get(null, '/', '1.0'))
    expect([server.field(0, 'x-forwarded-for'), server.field(0, 'via')]).toEqual(['127.0.0.1', expect.stringMatching(/^1\.0 proxy\.test/)])
  })
})

describe('ignore-cc', () => {
  it('keeps what clients say to caches from this one', async () => {
    const server = await echo()
    const proxy = await accel(`defaultsite=two.test:${server.port} allow-direct ignore-cc`)
    await proxy.ask(get(`one.test:${server.port}`))
    await proxy.ask(`GET / HTTP/1.1\r\nHost: one.test:${server.port}\r\nCache-Control: no-cache\r\n\r\n`)
    expect(proxy.records.map(record => record.result)).toEqual(['TCP_MISS', 'TCP_MEM_HIT'])
  })
})

describe('Surrogate-Control', () => {
  const says = (...fields: readonly string[]) => site(() => ({ fields, content: 'x' }))
  const twice = async (server: Site, conf = '', mode = 'accel'): Promise<readonly string[]> => {
    const proxy = await stageOf(
      `http_port 127.0.0.1:0 ${mode === 'accel' ? `accel defaultsite=one.test:${server.port} allow-direct ` : ''}name=web\nhttp_access allow all\nhosts_file ${folder}/hosts\n${conf}`,
    )
    const target = mode === 'accel' ? '/' : `http://one.test:${server.port}/`
    for (let i = 0; i < 2; i++) await proxy.ask(get(`one.test:${server.port}`, target))
    return proxy.results(2)
  }
  const hit = 'TCP_MEM_HIT/200'
  const miss = 'TCP_MISS/200'

  test.each<readonly [readonly string[], string, string]>([
    [['Surrogate-Control: max-age=60', 'Cache-Control: no-store'], '', hit],
    [['Surrogate-Control: max-age=60;proxy.test', 'Cache-Control: no-store'], '', hit],
    [['Surrogate-Control: max-age=60;edge', 'Cache-Control: no-store'], 'httpd_accel_surrogate_id edge\n', hit],
    [['Surrogate-Control: max-age=60;other', 'Cache-Control: no-store'], 'httpd_accel_surrogate_id edge\n', miss],
    [['Surrogate-Control: no-store', 'Cache-Control: max-age=60'], '', miss],
    [['Surrogate-Control: no-store-remote', 'Cache-Control: max-age=60'], '', hit],
    [['Surrogate-Control: no-store-remote', 'Cache-Control: max-age=60'], 'http_accel_surrogate_remote on\n', miss],
    [['Surrogate-Control: content="ESI/1.0"', 'Cache-Control: max-age=60'], '', hit],
  ])('%j %j: the second time %s', async (fields, conf, second) => {
    expect((await twice(await says(...fields), conf))[1]).toBe(second)
  })

  it('is nothing to a forward port', async () => {
    expect((await twice(await says('Surrogate-Control: max-age=60', 'Cache-Control: no-store'), '', 'forward'))[1]).toBe(miss)
  })

  it('is asked for by the name of the surrogate, beside those in front of it', async () => {
    const server = await echo()
    const proxy = await accel(`defaultsite=one.test:${server.port} allow-direct`, 'httpd_accel_surrogate_id edge\n')
    await proxy.ask(get(`one.test:${server.port}`))
    await proxy.ask(`GET /2 HTTP/1.1\r\nHost: one.test:${server.port}\r\nSurrogate-Capability: front="Surrogate/1.0"\r\n\r\n`)
    expect([0, 1].map(nth => server.field(nth, 'surrogate-capability'))).toEqual(['edge="Surrogate/1.0"', 'front="Surrogate/1.0", edge="Surrogate/1.0"'])
    expect(server.requests[1]?.rawHeaders.filter(name => name.toLowerCase() === 'surrogate-capability')).toHaveLength(1)
  })
})
