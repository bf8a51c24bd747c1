// Where access logs go, and that it is nobody's business how they fare there: a disk that is full, collectors that are
// dead. And that the programs people read such logs with, Debian's own, read ours.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { countLog } from '../../src/log/counters.ts'
import { get, request, site, stage, stageOf, until } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-logs-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
const unless = (command: string): string => (has(command) ? '' : ` (skipped: no ${command} here; bin/setup --test installs it)`)

/** A port where nobody listens. */
const deadPort = async (): Promise<number> => {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo // it listens on an address
  await new Promise(resolve => server.close(resolve))
  return port
}

describe('a log that cannot be written', () => {
  it('stops nobody: a full disk, dead collectors, a folder that is not there, a pipe nobody reads', async () => {
    const pipe = join(folder, 'pipe')
    spawnSync('mkfifo', [pipe])
    const port = await deadPort()
    const proxy = await stage(
      ['stdio:/dev/full', `udp://127.0.0.1:${port}`, `tcp://127.0.0.1:${port}`, `stdio:${folder}/no/such`, `stdio:${pipe}`, `stdio:${folder}/good`]
        .map(place => `access_log ${place} squid\n`)
        .join(''),
    )
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const wire = await proxy.client()
    const before = countLog.writeFailures
    for (let i = 0; i < 200; i++) {
      const response = await wire.send(get(web.port, `/${i % 10}`)).response()
      expect(response.status).toBe(200)
      if (i === 100) proxy.clock.advance(1000) // the lines go to the disk
    }
    const told = (part: string) => () => proxy.said.some(text => text.includes(part) && text.includes('cannot be written'))
    for (const place of ['/dev/full', `tcp://127.0.0.1:${port}`, '/no/such', pipe]) await until(told(place), `a word about ${place}`)
    expect(countLog.writeFailures).toBeGreaterThan(before)
    expect(proxy.records).toHaveLength(200)
    await proxy.stop()
    expect(readFileSync(join(folder, 'good'), 'latin1').trim().split('\n')).toHaveLength(200)
  })

  it('on-error=die: whoever runs the proxy is told when a line is lost, and not before', async () => {
    const died: string[] = []
    const proxy = await stage(`access_log stdio:/dev/full logformat=big on-error=die\n`.replace(/^/, `logformat big %{X-Big}>h%{X-Big}>h%{X-Big}>h%{X-Big}>h\n`), 'auto', message => died.push(message))
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const wire = await proxy.client()
    // 8 MB wait in memory before the first is lost: 200 KB a line
    for (let i = 0; i < 30; i++) await wire.send(get(web.port, '/', `X-Big: ${'x'.repeat(50_000)}`)).response()
    expect(died).toEqual([])
    for (let i = 0; i < 20; i++) await wire.send(get(web.port, '/', `X-Big: ${'x'.repeat(50_000)}`)).response()
    expect(died).toEqual(['a line for the log /dev/full is lost, and its access_log says on-error=die'])
  })
})

describe('what a line tells', () => {
  const logged = async (conf: string, format: string, ask: (proxy: Awaited<ReturnType<typeof stageOf>>) => Promise<void>): Promise<string[]> => {
    const log = join(folder, 'told')
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web\n${conf}logformat told ${format}\naccess_log stdio:${log} logformat=told\nhttp_access allow all\n`)
    await ask(proxy)
    await proxy.stop()
    return readFileSync(log, 'latin1').trim().split('\n')
  }

  it.each([
    ['BREW /pot\r\n\r\n', 'BREW /pot 13'],
    ['GET http://a.test/ HTTP/7.7\r\n\r\n', 'GET http://a.test/ 31'],
    ['GET http://me:pa55@me@a.test/x?token=1 HTTP/1.1\r\nHost: a.test\r\n\r\n', 'GET ***@a.test/x? 65'],
    ['GET /nowhere?token=1 HTTP/1.1\r\nHost: a.test\r\n\r\n', 'GET /nowhere? 47'],
    ['GET http://a.test/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET http://a.test/ 49'],
    ['\x16\x03\x01\x02\0\x01\0\x01\xfc\r\n\r\n', 'NONE error:invalid-request 13'],
    ['(no method) /\r\n\r\n', 'NONE error:invalid-request 17'],
  ])('of a request that is refused unread, who wanted what: %j', async (bytes, expected) => {
    const [line] = await logged('', '%rm %ru %>st', async proxy => {
      await proxy.ask(bytes)
      await proxy.results(1)
    })
    expect(line).toBe(expected)
  })

  it('what packets carry, as the conf has it', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const lines = await logged(
      'acl green urlpath_regex ^/green\nclientside_tos 0x20 green\ntcp_outgoing_tos 0x40 green\n', '%>qos %<qos %>nfmark %<nfmark',
      async proxy => {
        for (const path of ['/green', '/green', '/red']) await proxy.ask(get(web.port, path))
        await proxy.results(3)
      },
    )
    expect(lines).toEqual(['0x20 0x40 0x0 0x0', '0x20 - 0x0 -', '0x0 0x0 0x0 0x0'])
  })

  it('the response as the client got it: from the server, from memory, of our own', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60', 'X-Gone: yes', 'Keep-Alive: timeout=5'], content: 'x' }))
    const lines = await logged('visible_hostname proxy.test\nreply_header_access X-Gone deny all\nreply_header_add X-Said "by us"\n', '%{Age}<h|%{X-Gone}<h|%{X-Said}<h|%{Keep-Alive}<h|%{Connection}<h|%{X-Squid-Error}<h', async proxy => {
      const dead = await deadPort()
      for (const text of [get(web.port, '/'), get(web.port, '/'), get(dead)]) await proxy.ask(text)
      await proxy.results(3)
    })
    expect(lines).toEqual(['-|-|by%20us|-|-|-', '0|-|by%20us|-|-|-', '-|-|by%20us|-|-|ERR_CONNECT_FAIL%20111'])
  })
})

describe('passwords', () => {
  it('are in no log, by whatever field or address they came', async () => {
    const secret = 'pa55word'
    const all = '%>h %<h %ru %>ru %{Authorization}>h %{Proxy-Authorization}>h'
    const proxy = await stageOf(
      `http_port 127.0.0.1:0 name=web\ncachemgr_passwd ${secret} all\nlogformat all ${all}\nlog_mime_hdrs on\n` +
        ['all', 'squid', 'json', 'combined'].map(format => `access_log stdio:${folder}/${format} ${format}\n`).join('') +
        'http_access allow all\n',
    )
    const web = await site(r => ({ status: 302, fields: [`Location: http://me:${secret}@x.example${r.url}`] }))
    const basic = Buffer.from(`me:${secret}`).toString('base64')
    const port = proxy.port('web')
    for (const text of [
      get(web.port, '/', `Authorization: Basic ${basic}`, `Proxy-Authorization: Basic ${basic}`, `Referer: http://me:${secret}@y.example/`),
      `GET http://me:${secret}@127.0.0.1:${web.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
      get(port, '/squid-internal-mgr/info', `Authorization: Basic ${basic}`),
      `GET cache_object://127.0.0.1/info@${secret} HTTP/1.0\r\n\r\n`,
    ]) await proxy.ask(text)
    // it was not refused: the origin has it, as Authorization
    expect(web.field(1, 'authorization')).toBe(`Basic ${basic}`)
    expect(proxy.records[1]).toMatchObject({ status: 302, uri: `http://127.0.0.1:${web.port}/` })
    await proxy.results(4)
    await proxy.stop()
    for (const format of ['all', 'squid', 'json', 'combined']) {
      const log = readFileSync(join(folder, format), 'latin1')
      expect(log.trim().split('\n'), format).toHaveLength(4)
      expect(log, format).not.toContain(secret)
      expect(log, format).not.toContain(basic.slice(0, 10))
    }
    expect(proxy.said.filter(text => text.includes(secret))).toEqual([])
  })
})

/** Some of everything: hits, misses, refusals, failures, tunnels. */
const everything = async (conf: string) => {
  const proxy = await stageOf(`http_port 127.0.0.1:0 name=web\nacl no urlpath_regex ^/no\n${conf}http_access deny no\nhttp_access allow all\n`)
  const web = await site(r => ({ status: r.url === '/404' ? 404 : 200, fields: [r.url === '/hit' ? 'Cache-Control: max-age=60' : 'Cache-Control: no-store', 'Content-Type: text/html; charset=utf-8'], content: 'x'.repeat(500) }))
  const dead = await deadPort()
  const asked = [
    ...Array.from({ length: 20 }, () => get(web.port, '/hit')),
    ...Array.from({ length: 5 }, (_, i) => get(web.port, `/miss?${i}`)),
    get(web.port, '/404'), get(web.port, '/no'), get(dead), request('POST', web.port, '/p', ['Content-Length: 1'], 'x'), get(web.port, '/a%20b'),
  ]
  for (const text of asked) await proxy.ask(text)
  await proxy.results(asked.length)
  await proxy.stop()
  return { lines: asked.length, web }
}

describe('programs that read logs', () => {
  it.skipIf(!has('calamaris'))(`calamaris counts every line, hit and refusal${unless('calamaris')}`, async () => {
    const log = join(folder, 'access.log')
    const { lines } = await everything(`access_log stdio:${log} squid\n`)
    const run = spawnSync('calamaris', ['-a'], { input: readFileSync(log), encoding: 'latin1', timeout: 30_000 })
    expect(run.stderr).toBe('')
    expect(run.stdout).toMatch(new RegExp(`^lines parsed: +lines +${lines} *$`, 'm'))
    expect(run.stdout).toMatch(/^invalid lines: +lines +0 *$/m)
    expect(run.stdout).toMatch(/^ *TCP_MEM_HIT +19 /m)
    expect(run.stdout).toMatch(/TCP_DENIED/)
    expect(run.stdout).toMatch(/HIER_DIRECT/)
  })

  it.skipIf(!has('goaccess'))(`GoAccess reads squid, common and combined${unless('goaccess')}`, async () => {
    const { lines } = await everything(['squid', 'common', 'combined'].map(format => `access_log stdio:${folder}/${format} ${format}\n`).join(''))
    const words = {
      squid: ['--date-format=%s', '--time-format=%s', '--log-format=%x.%^ %~%L %h %^/%s %b %m %U'],
      common: ['--log-format=COMMON'],
      combined: ['--log-format=COMBINED'],
    }
    for (const [format, args] of Object.entries(words)) {
      const out = join(folder, `${format}.json`)
      const run = spawnSync('goaccess', [join(folder, format), '--no-global-config', ...args, '-o', out, '--no-progress'], { encoding: 'latin1', timeout: 30_000, env: { ...process.env, HOME: folder, TERM: 'dumb' } })
      expect(run.status, `${format}: ${run.stderr}${run.stdout}`).toBe(0)
      const { general } = JSON.parse(readFileSync(out, 'latin1'))
      expect([general.total_requests, general.valid_requests, general.failed_requests], format).toEqual([lines, lines, 0])
    }
  })
})
