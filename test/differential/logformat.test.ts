// What each %code of a logformat says of a request: Squid's own line beside ours, for the same bytes and one conf. Where
// they differ on purpose the list says which code, for which requests, and why; a line of it that is not needed fails.

import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { httpOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { exchange, freePort, noSquid, startSquid } from './pair.ts'

/** Compared as they are. */
const codes = [
  '>a', '>A', '>la', '>lp', 'la', 'lp', '>qos', '>nfmark', '<a', '<A', '<p', '<la', '<qos', '<nfmark',
  'tl{%Y}', 'tg{%Y}', 'rm', '>rm', '<rm', 'ru', '>ru', '<ru', '>rs', '<rs', '>rd', '<rd', '>rP', '<rP', '>rp', '<rp', 'rp', 'rv', '>rv',
  '{X-A}>h', '{X-A:a}>h', '{X-A:;a}>h', '{X-A}>ha', '{Host}>h', '{Nope}>h', '{Nope:x}>h', '>Hs', '<Hs', '03>Hs', 'mt', '{X-R}<h', '{Age}<h', '{X-Gone}<h', '{Transfer-Encoding}<h',
  '>st', '>sh', '<sH', '<sS', '<bs', 'Ss', 'Sh', 'err_code', 'note', '{k}note', '{a:;}note', 'un', 'ul', 'ue', 'et', 'ea', 'proxy_protocol::>h',
  '"{X-A}>h', '[{X-A}>h', '#{X-A}>h', '/{X-A}>h', "'{X-A}>h", '#>ru', '"ru', '[ru', '#ru', '-10>a', '15>a', '.4>a', '.3{X-A}>h', '-20.3{X-A}>h', '05>st', '20mt', '"mt', '.2>Hs',
  '12err_code', '-12un', '6{Nope}>h', '09<bs', '12note', '%',
] as const
/** Of these only the shape: digits are digits. */
const measured = ['>p', '<lp', 'ts', 'tu', 'tr', '6tr', '05tr', 'dt', 'tS', '<pt', '<tt', 'tl', 'tg', '<st', 'st', '<sh', 'sn', 'master_xaction', '#>p'] as const
const between = '|~|'
const format = [...codes, ...measured].map(code => `%${code}`).join(between)

type Code = (typeof codes)[number] | (typeof measured)[number]

interface Difference {
  readonly code: Code
  /** Of these requests; absent = of any. */
  readonly of?: readonly string[]
  readonly because: string
}

const pages = ['denied', 'dead']
const differences: readonly Difference[] = [
  { code: '<sH', of: pages, because: 'our error pages are shorter' },
  { code: '<sS', of: pages, because: 'our error pages are shorter' },
  { code: '<la', of: ['dead'], because: 'no connection, no address of ours; Squid says 0.0.0.0' },
  { code: '<lp', of: ['dead'], because: 'the same; Squid says 0' },
  { code: '{Host}>h', of: ['dead', 'another host'], because: 'the field as the client sent it; Squid has put the authority of the URI there' },
  { code: '<sH', of: ['range'], because: 'three bytes were sent; Squid says four' },
  { code: 'err_code', of: ['cut'], because: 'a response that broke off is an error; Squid only says so in the connection' },
  { code: '12err_code', of: ['cut'], because: 'the same' },
]

const fields = 'X-A: a=1, b="2;3"; a=5 50% \\ \xe9 "q"'

describe.skipIf(noSquid !== null)(`logformat beside Squid's${noSquid === null ? '' : ` (skipped: ${noSquid})`}`, () => {
  it('every code says what Squid says', { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-format-'))
    chmodSync(folder, 0o777) // Squid started by root becomes somebody else
    const origin = await httpOrigin(answer)
    const dead = await freePort()
    const conf = `hosts_file none
acl no urlpath_regex ^/no
acl marked annotate_transaction k=v a=1 a+=2
http_access deny no
http_access allow marked
http_access allow all
reply_header_access X-Gone deny all
cache_mem 16 MB
`
    const squid = await startSquid(folder, `visible_hostname proxy.test\npid_filename none\nshutdown_lifetime 0 seconds\n${conf}`, format)
    const log = join(folder, 'ours')
    const proxy = await startProxy(`http_port 127.0.0.1:0 name=p\n${conf}logformat all ${format}\naccess_log stdio:${log} logformat=all buffer-size=0\n`)
    const port = proxy.port('p')
    const unneeded = new Set(differences)
    const wrong: string[] = []
    try {
      for (const [name, text] of requests(`127.0.0.1:${origin.port}`, dead)) {
        const theirLine = squid.result()
        await exchange(squid.port, '127.0.0.1', text)
        const theirs = plain(await theirLine(), squid.port)
        const before = lines(log).length
        await exchange(port, '127.0.0.1', text)
        for (let i = 0; i < 1000 && lines(log).length === before; i++) await sleep(systemClock, ms(5))
        const ours = plain(lines(log)[before] ?? '', port)
        for (const [i, code] of [...codes, ...measured].entries()) {
          const shape = (value: string | undefined) => (i < codes.length ? value : value?.replace(/\d+/g, '9').replace(/^ +/, ' '))
          const allowed = differences.find(one => one.code === code && one.of?.includes(name) !== false)
          if (shape(ours[i]) === shape(theirs[i])) continue
          if (allowed === undefined) wrong.push(`%${code} of ${name}: ${ours[i]}, Squid says ${theirs[i]}`)
          else unneeded.delete(allowed)
        }
      }
      expect(wrong).toEqual([])
      expect([...unneeded]).toEqual([])
    } finally {
      await proxy.stop()
      await squid.stop()
      await origin.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

const plain = (line: string, port: number): string[] => line.replaceAll(String(port), 'PORT').split(between)

const lines = (path: string): string[] => {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(0, -1)
  } catch {
    return [] // nothing logged yet
  }
}

const requests = (origin: string, dead: number): [string, string][] => {
  const get = (path: string, ...more: readonly string[]): string => `GET http://${origin}${path} HTTP/1.1\r\nHost: ${origin}\r\n${more.map(field => `${field}\r\n`).join('')}Connection: close\r\n\r\n`
  return [
    ['query', get('/x?token=1', fields)],
    ['two lines of one name', get('/x1', 'X-A: a=1', 'X-A: b=2, a=3')],
    ['an empty field', get('/x2', 'X-A:')],
    ['miss', get('/fresh', fields)],
    ['hit', get('/fresh', fields)],
    ['range', get('/fresh', 'Range: bytes=1-3')],
    ['condition', get('/fresh', 'If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT')],
    ['stale', get('/etag')],
    ['validated', get('/etag')],
    ['HEAD', `HEAD http://${origin}/h HTTP/1.1\r\nHost: ${origin}\r\nConnection: close\r\n\r\n`],
    ['POST', `POST http://${origin}/p HTTP/1.1\r\nHost: ${origin}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello`],
    ['chunked POST', `POST http://${origin}/p HTTP/1.1\r\nHost: ${origin}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
    ['404', get('/404')],
    ['204', get('/204')],
    ['chunked', get('/chunked')],
    ['no type', get('/untyped')],
    ['cut', get('/cut')],
    ['1.0', `GET http://${origin}/x3 HTTP/1.0\r\n\r\n`],
    ['another host', `GET http://${origin}/x4 HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n`],
    ['denied', get('/no?x=y')],
    ['dead', `GET http://127.0.0.1:${dead}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`],
    ['CONNECT', `CONNECT ${origin} HTTP/1.1\r\nHost: ${origin}\r\n\r\n`],
  ]
}

const answer: Parameters<typeof httpOrigin>[0] = (request, response) => {
  request.resume()
  const { pathname } = new URL(request.url ?? '/', 'http://x')
  if (pathname !== '/untyped') response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.setHeader('X-R', 'one "two" \\three')
  response.setHeader('X-Gone', 'yes')
  if (pathname === '/fresh') response.setHeader('Cache-Control', 'max-age=1000')
  if (pathname === '/etag') response.setHeader('ETag', '"a"').setHeader('Cache-Control', 'max-age=0')
  if (pathname === '/etag' && request.headers['if-none-match'] !== undefined) response.writeHead(304).end()
  else if (pathname === '/404') response.writeHead(404).end('no')
  else if (pathname === '/204') response.writeHead(204).end()
  else if (pathname === '/chunked') {
    response.write('abc')
    response.end('def')
  } else if (pathname === '/cut') {
    response.writeHead(200, { 'Content-Length': 100 })
    response.write('abc', () => (response.socket as net.Socket).end()) // a request has one
  } else response.end(request.method === 'HEAD' ? undefined : 'content')
}
