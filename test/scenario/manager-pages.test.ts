// The pages of the cache manager as others ask for them: every name answers as text and as JSON, in the form that came
// with squidclient too; Debian's squidclient and prometheus-squid-exporter get from us what they get from Squid.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { gate, get, origin, site, stage, stageOf, until } from './scene.ts'

const path = '/squid-internal-mgr/'
const names = [
  'menu', 'info', 'counters', '5min', '60min', 'service_times', 'client_list', 'active_requests', 'ipcache', 'idns', 'server_list', 'storedir',
  'filedescriptors', 'objects', 'config', 'refresh', 'utilization', 'histograms', 'room_counters',
]

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
const unless = (command: string): string => (has(command) ? '' : ` (skipped: no ${command} here; bin/setup --test installs it)`)

describe('each page', () => {
  it.each(names)('%s is text and JSON of one snapshot', async name => {
    const proxy = await stage('cachemgr_passwd none config\n')
    const port = proxy.port('web')
    const text = await proxy.ask(get(port, path + name))
    expect([text.status, text.fields.get('content-type')]).toEqual([200, 'text/plain;charset=utf-8'])
    const json = await proxy.ask(get(port, `${path}${name}?format=json`))
    expect([json.status, json.fields.get('content-type')]).toEqual([200, 'application/json'])
    JSON.parse(json.body)
    const old = await proxy.ask(`GET cache_object://127.0.0.1/${name} HTTP/1.0\r\nAccept: */*\r\n\r\n`)
    expect(old.status).toBe(200)
    if (['menu', 'idns', 'server_list', 'refresh'].includes(name)) expect(old.body).toBe(text.body)
    expect(proxy.records.map(record => record.uri)).toEqual([`http://127.0.0.1:${port}${path}${name}`, `http://127.0.0.1:${port}${path}${name}?format=json`, `http://127.0.0.1:${port}${path}${name}`])
  })

  it('averages are of the last minutes', async () => {
    const proxy = await stage()
    const web = await site(() => ({ fields: ['Cache-Control: max-age=86400'], content: 'x'.repeat(1024) }))
    const wire = await proxy.client()
    for (let i = 0; i < 61; i++) await wire.send(get(web.port)).response()
    await proxy.results(61)
    const value = async (page: string, name: string) =>
      Number(new RegExp(`^${name.replaceAll('.', '\\.')} = ([\\d.]+)`, 'm').exec((await proxy.ask(get(proxy.port('web'), path + page))).body)?.[1])
    proxy.clock.advance(60_000)
    expect(await value('5min', 'client_http.hits')).toBeCloseTo(1, 5)
    expect(await value('5min', 'wall_time')).toBe(60)
    proxy.clock.advance(6 * 60_000)
    expect(await value('5min', 'client_http.hits')).toBe(0)
    expect(await value('60min', 'client_http.hits')).toBeCloseTo(60 / 420, 5)
    const utilization = (await proxy.ask(get(proxy.port('web'), `${path}utilization`))).body
    expect(utilization.match(/client_http\.hits = [\d.]+(?:\/sec)?/g)).toEqual([
      'client_http.hits = 0.000000/sec', ...Array(5).fill('client_http.hits = 0.142857/sec'), 'client_http.hits = 60',
    ])
  })

  it('active_requests has the request that waits, and no longer than it does', async () => {
    const proxy = await stage()
    const held = gate()
    const web = await origin((_, response) => void held.opened.then(() => response.end('x')))
    const wire = await proxy.client()
    wire.send(get(web.port, '/slow'))
    const page = async () => JSON.parse((await proxy.ask(get(proxy.port('web'), `${path}active_requests?format=json`))).body)
    await until(() => web.requests.length === 1, 'the request at the origin')
    proxy.clock.advance(2000)
    const { total, requests } = await page()
    expect(total).toBe(2)
    expect(requests).toMatchObject([{ method: 'GET', uri: `http://127.0.0.1:${web.port}/slow`, seconds: 2 }, { uri: expect.stringContaining('active_requests') }])
    expect((await proxy.ask(get(proxy.port('web'), `${path}active_requests`))).body).toMatch(/^uri http:\/\/127\.0\.0\.1:\d+\/slow$/m)
    held.open()
    await wire.response()
    expect((await page()).total).toBe(1)
  })

  it('refresh says which refresh_pattern decided', async () => {
    const proxy = await stage('refresh_pattern \\.gif$ 10 20% 100\nrefresh_pattern . 0 20% 4320\n')
    const web = await site(() => ({ content: 'x' }))
    for (const name of ['/a.gif', '/b.gif', '/c']) await proxy.ask(get(web.port, name))
    await proxy.results(3)
    const lines = JSON.parse((await proxy.ask(get(proxy.port('web'), `${path}refresh?format=json`))).body)
    expect(lines.map((line: { checked: number }) => line.checked)).toEqual([3, 1, 0])
    expect(lines[0].used).toBeGreaterThanOrEqual(2)
  })

  it('config is the conf in force, without its passwords', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access allow all\ncachemgr_passwd pa55word config\ncachemgr_passwd none menu\nvisible_hostname shown.test\n')
    const port = proxy.port('web')
    expect((await proxy.ask(`GET cache_object://x/config HTTP/1.0\r\n\r\n`)).status).toBe(401)
    expect((await proxy.ask(`GET cache_object://x/config@wrong HTTP/1.0\r\n\r\n`)).status).toBe(401)
    const shown = await proxy.ask(`GET cache_object://x/config@pa55word HTTP/1.0\r\n\r\n`)
    expect(shown.status).toBe(200)
    expect(shown.body).toContain('visible_hostname shown.test\n')
    expect(shown.body).toContain('cachemgr_passwd XXXXXXXXXX config\ncachemgr_passwd none menu\n')
    expect(shown.body).not.toContain('pa55word')
    expect(proxy.records.map(record => record.uri)).toEqual(Array(3).fill(`http://x:${port}${path}config`))
  })
})

describe('cache_object://', () => {
  it('is ours on a forward port only, and http_access has its word', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_port 127.0.0.1:0 accel name=site vhost allow-direct\nhttp_access deny manager\nhttp_access allow all\n')
    expect((await proxy.ask('GET cache_object://x/info HTTP/1.0\r\n\r\n')).status).toBe(403)
    const site = await proxy.client('site')
    expect((await site.send('GET cache_object://x/info HTTP/1.0\r\n\r\n').response()).status).not.toBe(200)
  })
})

describe('programs that ask the manager', () => {
  it.skipIf(!has('squidclient'))(`squidclient gets every page${unless('squidclient')}`, async () => {
    const proxy = await stage('cachemgr_passwd pa55word config\n')
    const ask = async (...words: readonly string[]) => {
      const child = spawn('squidclient', ['-h', '127.0.0.1', '-p', String(proxy.port('web')), ...words])
      let text = ''
      child.stdout.on('data', bytes => (text += bytes))
      await once(child, 'close')
      return text
    }
    for (const name of names.filter(name => name !== 'config')) expect(await ask(`mgr:${name}`), name).toMatch(/^HTTP\/1\.1 200 /)
    expect(await ask('mgr:info')).toMatch(/^\tNumber of HTTP requests received:\t\d+$/m)
    expect(await ask('mgr:config')).toMatch(/^HTTP\/1\.1 401 /)
    expect(await ask('mgr:config@pa55word')).toMatch(/^http_port /m)
    expect(await ask('-U', 'me', '-W', 'pa55word', 'mgr:config')).toMatch(/^HTTP\/1\.1 200 /)
    expect(proxy.records.every(record => record.uri.startsWith(`http://127.0.0.1:${proxy.port('web')}${path}`))).toBe(true)
    expect(proxy.records.every(record => !record.uri.includes('pa55word'))).toBe(true)
  })

  it.skipIf(!has('prometheus-squid-exporter'))(`prometheus-squid-exporter has all 122 of its figures${unless('prometheus-squid-exporter')}`, async () => {
    const proxy = await stage()
    const web = await site(() => ({ fields: ['Cache-Control: max-age=86400'], content: 'x'.repeat(3000) }))
    for (let i = 0; i < 3; i++) await proxy.ask(get(web.port))
    await proxy.results(3)
    const listen = await freePort()
    const child = spawn('prometheus-squid-exporter', ['-listen', `127.0.0.1:${listen}`, '-squid-hostname', '127.0.0.1', '-squid-port', String(proxy.port('web'))])
    try {
      let text = ''
      while (text === '') text = await fetch(`http://127.0.0.1:${listen}/metrics`).then(answer => answer.text(), () => new Promise<string>(resolve => setImmediate(resolve, '')))
      const figures = new Map(text.split('\n').flatMap(line => (line.startsWith('squid_') ? [[line.split(' ')[0] ?? '', Number(line.split(' ')[1])] as const] : [])))
      expect(figures.size).toBe(122)
      expect(figures.get('squid_up{host="127.0.0.1"}') ?? figures.get('squid_up')).toBe(1)
      expect(figures.get('squid_client_http_hits_total')).toBe(2)
      expect(figures.get('squid_client_http_requests_total')).toBeGreaterThanOrEqual(3)
      expect(figures.get('squid_server_http_requests_total')).toBe(1)
    } finally {
      child.kill()
      await once(child, 'close')
    }
  })
})

/** The exporter cannot be told to take any. */
const freePort = async (): Promise<number> => {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo // it listens on an address
  await new Promise(resolve => server.close(resolve))
  return port
}
