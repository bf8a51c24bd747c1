// Statuses, result codes, and the fields each end sees: what Squid does with a request and what glassquid does, in one
// run with one conf. Where they differ on purpose, the case says what is ours and why; it fails when they agree again.

import { describe, expect, it } from 'vitest'
import { compared, type Compared } from './compare.ts'
import { type Ask, noSquid, withPair } from './pair.ts'

interface Case extends Ask {
  /** Ours where it differs, and the reason. */
  readonly ours?: Partial<Compared>
  readonly because?: string
}

interface Group {
  readonly name: string
  readonly conf: string
  readonly cases: readonly Case[]
}

const x = (query: string): string => `http://{origin}/${query}`
const fresh = '?h=Cache-Control:max-age=6000'
const again = <T extends Case>(...cases: readonly T[]): Case[] => cases.flatMap(one => [one, one])
const field = (...pairs: readonly string[]): (readonly [string, string])[] => pairs.map(pair => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1).trim()] as const)

const page = (name: string): readonly string[] => ['connection: close', 'via: 1.1 proxy.test (program)', `x-squid-error: ${name} 0`]

/** Squid passes it on; we do not. */
const refused = (because: string): Pick<Case, 'ours' | 'because'> => ({
  ours: { status: 400, result: '', asked: null, response: [], body: '' },
  because,
})

const noValidator = 'without a validator of the origin there is nothing to validate by; Squid takes the Date for one'
type Differing = Pick<Case, 'ours' | 'because'>

/** cache_miss_revalidate off: the client has what is fetched for the store. */
const keptCondition = (...modified: readonly string[]): Differing => ({
  ours: { status: 304, response: ['cache-control: max-age=6000', 'connection: close', ...modified, 'via: 1.1 proxy.test (program)'], body: '' },
  because: 'RFC 9110 13.2.2: its condition does not hold, whoever has looked; Squid sends it the whole',
})
const offlineCode = "the manual's code for it, which 5.7 does not write"

/** One refresh rule and one response: stored, used again, reloaded, asked with a condition, and by HEAD. */
const refreshed = (
  line: string,
  query: string,
  differ: { readonly again?: Differing; readonly conditional?: Differing; readonly head?: Differing } = {},
): Group[] => [
  {
    name: `${line} with ${query}`,
    conf: `${line}\nhttp_access allow all`,
    cases: [
      { target: x(query) },
      { target: x(query), ...differ.again },
      { target: x(query), fields: field('Cache-Control: no-cache') },
      { target: x(query), fields: field('If-None-Match: "a"'), ...differ.conditional },
      { target: x(query), method: 'HEAD', ...differ.head },
    ],
  },
]

const groups: readonly Group[] = [
  {
    name: 'what is stored and used again',
    conf: 'http_access allow all',
    cases: [
      ...again({ target: x(`1${fresh}`) }),
      ...again({ target: x('2?h=Cache-Control:no-store') }),
      ...again({ target: x('3?h=Cache-Control:private') }),
      ...again({ target: x('4?h=Cache-Control:max-age=0&etag="a"') }),
      ...again({ target: x('5?h=Cache-Control:no-cache&etag="a"') }),
      ...again({ target: x('6?h=Expires:Fri, 01 Jan 2100 00:00:00 GMT') }),
      ...again({ target: x('7?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT') }),
      ...again({ target: x('8?h=Expires:0&etag="e"') }),
      ...again({ target: x('9?h=Cache-Control:s-maxage=6000') }),
      ...again({ target: x('10?h=Vary:X-A&h=Cache-Control:max-age=6000'), fields: field('X-A: 1') }),
      { target: x('10?h=Vary:X-A&h=Cache-Control:max-age=6000'), fields: field('X-A: 2') },
      { target: x('10?h=Vary:X-A&h=Cache-Control:max-age=6000'), fields: field('X-A: 1') },
      { target: x('11?h=Vary:*&h=Cache-Control:max-age=6000') },
      {
        target: x('11?h=Vary:*&h=Cache-Control:max-age=6000'),
        ours: { result: 'TCP_MISS' },
        because: 'RFC 9111 4.1: Vary: * never matches, so it is not kept; Squid keeps it and validates',
      },
      ...again({ target: x(`12${fresh}`), fields: field('Authorization: Basic eDp5') }),
      ...again({ target: x(`13${fresh},public`), fields: field('Authorization: Basic eDp5') }),
      ...again({ target: x(`14${fresh}&s=301&h=Location:/x`) }),
      ...again({ target: x('15?s=302&h=Location:/x') }),
      ...again({ target: x('16?s=404') }),
      ...again({ target: x(`17${fresh}&s=206`) }),
      { target: x(`18${fresh}&s=500`) },
      {
        target: x(`18${fresh}&s=500`),
        ours: { result: 'TCP_NEGATIVE_HIT', asked: null },
        because: 'RFC 9111 3: any final status with explicit freshness may be stored; Squid wants negative_ttl',
      },
      { method: 'POST', target: x(`19${fresh}`), content: 'abc' },
      { target: x(`19${fresh}`) },
      { target: x(`20${fresh}`), method: 'HEAD' },
      { target: x(`20${fresh}`), method: 'HEAD' },
      ...again({ target: x(`21${fresh}&b=`) }),
      ...again({ target: x(`22${fresh}&chunked=1`) }),
    ],
  },
  {
    name: 'what a request may ask of a stored response',
    conf: 'http_access allow all',
    cases: [
      { target: x(`1${fresh}&etag="a"`) },
      { target: x(`1${fresh}&etag="a"`), fields: field('If-None-Match: "a"') },
      { target: x(`1${fresh}&etag="a"`), fields: field('If-None-Match: "b"') },
      { target: x(`1${fresh}&etag="a"`), method: 'HEAD' },
      { target: x(`1${fresh}&etag="a"`), fields: field('Range: bytes=0-2') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Range: bytes=2-') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Range: bytes=-2') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Cache-Control: only-if-cached') },
      { target: x(`2${fresh}`), fields: field('Cache-Control: only-if-cached') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Cache-Control: no-cache') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Pragma: no-cache') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Cache-Control: max-age=0') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Cache-Control: no-store') },
      { target: x(`1${fresh}&etag="a"`), fields: field('Cache-Control: min-fresh=7000') },
      { target: x('3?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT') },
      { target: x('3?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT'), fields: field('If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT') },
      { target: x('3?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT'), fields: field('If-Modified-Since: Fri, 31 Dec 1999 00:00:00 GMT') },
      { target: x(`4${fresh}&etag="a"`), fields: field('If-None-Match: "a"') },
      { target: x(`5${fresh}`), fields: field('Range: bytes=0-2') },
    ],
  },
  ...(['on', 'off', 'transparent', 'delete', 'truncate'] as const).map(
    (word): Group => ({
      name: `forwarded_for ${word}, via ${word === 'off' ? 'off' : 'on'}`,
      conf: `forwarded_for ${word}\nvia ${word === 'off' ? 'off' : 'on'}\nhttp_access allow all`,
      cases: [
        { target: x('1') },
        { target: x('2'), fields: field('X-Forwarded-For: 10.0.0.1', 'Via: 1.0 elsewhere') },
        { target: x('3'), fields: field('X-Forwarded-For: unknown'), client: '127.0.0.9' },
        { target: x('4?h=Via:1.0 inside') },
      ],
    }),
  ),
  {
    name: 'fields of one connection, and odd ones',
    conf: 'http_access allow all',
    cases: [
      { target: x('1'), fields: field('Keep-Alive: 300', 'Proxy-Connection: keep-alive', 'TE: trailers', 'X-Kept: yes') },
      { target: x('2'), fields: field('X-Hop: 1', 'Upgrade: h2c') },
      { target: x('3?h=Connection:X-Gone&h=X-Gone:1&h=Keep-Alive:timeout=5&h=X-Kept:1') },
      { target: x('4?h=Proxy-Authenticate:Basic&h=Set-Cookie:a=b&h=Set-Cookie:c=d') },
      { target: x('5'), fields: field('Proxy-Authorization: Basic eDp5') },
      { target: x('6'), fields: field('X-Twice: a', 'X-Twice: b', 'Accept-Encoding: gzip', 'Cookie: a=b') },
      { target: x('7'), method: 'OPTIONS' },
      { target: x('8'), method: 'DELETE' },
      { target: x('9'), method: 'PUT', content: 'abc' },
      { target: x('10'), method: 'PROPFIND' },
      { target: x('11'), version: '1.0' },
      {
        target: x('13'),
        method: 'OPTIONS',
        fields: field('Max-Forwards: 0'),
        ours: { status: 200, response: ['allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, CONNECT', 'connection: close', 'via: 1.1 proxy.test (program)'] },
        because: 'RFC 9110 7.6.2: the one it ends at answers; Squid says 501',
      },
      { target: x('14'), method: 'OPTIONS', fields: field('Max-Forwards: 5') },
    ],
  },
  {
    name: 'what cannot be done',
    conf: 'acl denied urlpath_regex ^/denied\nacl Safe_ports port 80 443 1025-65535\nacl SSL_ports port 443\nhttp_access deny !Safe_ports\nhttp_access deny CONNECT !SSL_ports\nhttp_access deny denied\nhttp_access allow all',
    cases: [
      { target: x('denied') },
      { target: x('denied'), method: 'HEAD' },
      { target: 'http://127.0.0.1:22/' },
      { method: 'CONNECT', target: '127.0.0.1:{port}' },
      { target: 'http://127.0.0.1:1/' },
      { target: 'http://127.0.0.1:2000/' },
      { target: 'gopher://good.test/' },
      { target: 'https://good.test/' },
      { target: '', raw: 'GET / HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n\r\n' },
      { target: '', raw: 'GET / HTTP/1.1\r\n\r\n' },
      { target: '', raw: 'GET\r\n\r\n' },
      { target: '', raw: 'GET http://{origin}/ HTTP/2.0\r\n\r\n' },
      { target: '', raw: 'GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', ours: { status: 400 }, because: 'RFC 9112 6.3: 400; Squid says 411' },
      { target: '', raw: 'GET http://{origin}/ HTTP/1.1\r\nHost : {origin}\r\nConnection: close\r\n\r\n' },
      { target: '', raw: 'POST http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n' },
      { target: '', raw: 'POST http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: close\r\n\r\n0\r\n\r\n', ...refused('what two parsers may read differently (RFC 9112 6.1)') },
      { target: '', raw: 'POST http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nTransfer-Encoding: gzip\r\n\r\n', ours: { status: 400 }, because: 'RFC 9112 6.3: 400 where chunked is not the last coding; Squid says 501' },
      { target: '', raw: `GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nX-Big: ${'a'.repeat(70_000)}\r\n\r\n` },
      { target: '', raw: 'GET http://user:pass@a.test@{origin}/ HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n', ...refused('which @ ends the user information is not left to the reader; Squid takes the last') },
      { target: '', raw: 'GET http://user:pass@{origin}/ HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n' },
    ],
  },
  {
    name: 'fields of requests by rules',
    conf: `acl two req_header X-Two .
request_header_access User-Agent deny all
request_header_replace User-Agent none of yours
request_header_access Referer deny all
request_header_replace Accept never used
request_header_access X-Kept allow all
request_header_access X-Lone allow two
request_header_access Other deny !two
request_header_add X-Said "via %>a %{X-Two}>h" two
request_header_add X-Nothing "%{X-No}>h"
request_header_add X-Plain %>rm all
http_access allow all`,
    cases: [
      { target: x('1'), fields: field('User-Agent: me', 'Referer: http://x/', 'Accept: */*', 'X-Kept: 1', 'X-Lone: 1', 'X-Gone: 1') },
      { target: x('2'), fields: field('User-Agent: me', 'X-Two: 2', 'X-Kept: 1', 'X-Lone: 1', 'X-Gone: 1', 'Cookie: a=b') },
      { target: x('3'), method: 'POST', content: 'abc', fields: field('Origin: x', 'DNT: 1', 'Sec-Fetch-Mode: cors', 'Forwarded: for=x', 'Authorization: Basic eDp5') },
      { target: x('4'), fields: field('Title: 1', 'From: 1', 'Content-Language: de', 'Translate: f', 'Warning: 1', 'Pragma: x', 'TE: trailers', 'Cookie2: x', 'If-Range: "a"', 'Expires: 0') },
    ],
  },
  {
    name: 'fields of requests: All, and names by All',
    conf: `acl two req_header X-Two .
request_header_access Accept allow all
request_header_access Host allow all
request_header_access Connection allow all
request_header_access Content-Length allow all
request_header_replace X-Own gone
request_header_replace User-Agent gone
request_header_access All deny !two
http_access allow all`,
    cases: [
      { target: x('1'), fields: field('User-Agent: me', 'Accept: */*', 'X-A: 1', 'X-Own: 1') },
      { target: x('2'), fields: field('User-Agent: me', 'X-Two: 1', 'X-A: 1', 'Via: 1.0 other') },
      { target: x('3'), method: 'POST', content: 'abc' },
    ],
  },
  {
    name: 'fields of responses by rules',
    conf: `acl missing http_status 404
acl html rep_mime_type ^text/html
reply_header_access Server deny all
reply_header_replace Server ours
reply_header_access Set-Cookie deny html
reply_header_access X-Kept allow all
reply_header_access Other deny !missing
reply_header_add X-Status "%>Hs %<Hs" missing
reply_header_add X-Plain there all
http_access allow all`,
    cases: [
      ...again({ target: x(`1${fresh}&h=Server:secret&h=X-Kept:1&h=X-Gone:1&h=Set-Cookie:a=b`) }),
      { target: x(`1${fresh}&h=Server:secret&h=X-Kept:1&h=X-Gone:1&h=Set-Cookie:a=b`), method: 'HEAD' },
      {
        target: x('2?s=404&h=X-Gone:1&h=Server:secret'),
        ours: { response: ['connection: close', 'server: ours', 'via: 1.1 proxy.test (program)', 'x-gone: 1', 'x-plain: there', 'x-status: 404 404'] },
        because: 'the response is known when its fields are written; Squid says 0 and -',
      },
      { target: x('3?h=Content-Type:text/html&h=Set-Cookie:a=b&h=X-A:1') },
      ...again({ target: x(`4${fresh}&etag="a"&h=X-Gone:1`), fields: field('If-None-Match: "a"') }),
      { target: 'http://127.0.0.1:1/' },
    ],
  },
  {
    name: 'responses refused',
    conf: `acl video rep_mime_type -i ^video/
acl gone http_status 410
acl failed http_status 500-599
acl tagged rep_header X-Tag ^secret
acl none rep_mime_type ^none$
http_reply_access deny video
http_reply_access deny gone
http_reply_access deny failed
http_reply_access deny tagged
deny_info 404:ERR_ACCESS_DENIED gone
deny_info 303:http://p.test/?%M%%%H tagged
http_access allow all`,
    cases: [
      ...again({ target: x(`1${fresh}&h=Content-Type:Video/mp4`) }),
      ...again({ target: x(`2${fresh}&h=Content-Type:text/html`) }),
      { target: x('3?s=410') },
      { target: x('4?s=204&h=X-Tag:secret') },
      { target: x('5?h=X-Tag:secret') },
      { target: x('5?h=X-Tag:secret'), method: 'HEAD' },
      { target: x('6?s=500') },
      { target: 'http://127.0.0.1:1/' },
      { method: 'CONNECT', target: '127.0.0.1:{port}' },
      { target: x('7?chunked=1&h=Content-Type:video/x') },
      ...again({ target: x(`8${fresh}&etag="a"&h=Content-Type:video/x`), fields: field('If-None-Match: "a"') }),
    ],
  },
  {
    name: 'responses too large',
    conf: `acl big req_header X-Big .
reply_body_max_size 200 bytes big
reply_body_max_size 10 bytes
http_access allow all`,
    cases: [
      { target: x('1?b=0123456789') },
      { target: x('2?b=01234567890') },
      { target: x('5?b=01234567890'), fields: field('X-Big: 1') },
      ...again({ target: x(`3${fresh}&b=01234567890`) }),
      { target: x('4?s=404&b=01234567890') },
    ],
  },
  {
    name: 'names without a dot',
    conf: 'append_domain .test\nacl good dstdomain good.test\nhttp_access allow good\nhttp_access deny all',
    cases: [
      { target: 'http://good:{port}/1' },
      { target: 'http://GOOD:{port}/2' },
      { target: 'http://good.test:{port}/3' },
      { target: 'http://other:{port}/4' },
    ],
  },
  {
    name: 'names with odd letters',
    conf: 'check_hostnames on\nallow_underscore off\nhttp_access deny all',
    cases: [
      { target: 'http://a_b.test/' },
      { target: 'http://a-b.test/' },
      { target: 'http://127.0.0.1/' },
    ],
  },
  {
    name: 'names with underscores',
    conf: 'check_hostnames on\nhttp_access deny all',
    cases: [{ target: 'http://a_b.test/' }, { target: 'http://a~b.test/' }],
  },
  {
    name: 'what may be used of the store',
    conf: `acl pictures rep_mime_type ^image/
acl other req_header X-Other .
send_hit deny pictures
send_hit deny other
http_access allow all`,
    cases: [
      ...again({ target: x(`1${fresh}&h=Content-Type:image/x`) }),
      ...again({ target: x(`2${fresh}&h=Content-Type:text/x`) }),
      { target: x(`2${fresh}&h=Content-Type:text/x`), fields: field('X-Other: 1') },
      { target: x(`2${fresh}&h=Content-Type:text/x`) },
      ...again({ target: x('3?h=Cache-Control:max-age=0&h=Content-Type:image/x&etag="a"') }),
      { target: x(`1${fresh}&h=Content-Type:image/x`), fields: field('Cache-Control: only-if-cached') },
    ],
  },
  {
    name: 'what may go into the store',
    conf: `acl pictures rep_mime_type ^image/
acl other req_header X-Other .
store_miss deny pictures
store_miss deny other
http_access allow all`,
    cases: [
      ...again({ target: x(`1${fresh}&h=Content-Type:image/x`) }),
      ...again({ target: x(`2${fresh}&h=Content-Type:text/x`) }),
      ...again({ target: x(`3${fresh}`), fields: field('X-Other: 1') }),
      ...again({ target: x(`3${fresh}`) }),
      { target: x(`3${fresh}`), fields: field('X-Other: 1') },
    ],
  },
  {
    name: 'conditions of misses stay here',
    conf: 'cache_miss_revalidate off\nacl none urlpath_regex ^/none\ncache deny none\nhttp_access allow all',
    cases: [
      { target: x(`1${fresh}&etag="a"`), fields: field('If-None-Match: "a"'), ...keptCondition() },
      { target: x(`1${fresh}&etag="a"`) },
      { target: x(`2${fresh}&etag="a"`), fields: field('If-None-Match: "b"') },
      { target: x(`3${fresh}&h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT`), fields: field('If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT'), ...keptCondition('last-modified: Sat, 01 Jan 2000 00:00:00 GMT') },
      { target: x(`none4${fresh}&etag="a"`), fields: field('If-None-Match: "a"') },
      { target: x(`5${fresh}&etag="a"`), fields: field('If-None-Match: "a"', 'Authorization: Basic eDp5') },
      { target: x(`6${fresh}&etag="a"`), method: 'HEAD', fields: field('If-None-Match: "a"'), ...keptCondition() },
    ],
  },
  {
    name: 'what is fresh for too short a while',
    conf: 'minimum_expiry_time 60 seconds\nhttp_access allow all',
    cases: [
      ...again({ target: x('1?h=Cache-Control:max-age=30&b=') }),
      ...again({ target: x('2?h=Cache-Control:max-age=30&etag="a"') }),
      { target: x('3?h=Cache-Control:max-age=30') },
      { target: x('3?h=Cache-Control:max-age=30'), ours: { result: 'TCP_MISS', asked: ['connection: keep-alive', 'host: 127.0.0.1:PORT', 'via: 1.1 proxy.test (program)', 'x-forwarded-for: 127.0.0.1'] }, because: noValidator },
      ...again({ target: x('4?h=Cache-Control:max-age=90&b=') }),
    ],
  },
  {
    name: 'misses refused',
    conf: `acl may req_header X-May .
acl listed urlpath_regex ^/listed
miss_access deny listed
miss_access allow may
deny_info 404:ERR_NONE_OF_IT listed
http_access allow all`,
    cases: [
      { target: x(`1${fresh}`) },
      { target: x(`1${fresh}`), fields: field('X-May: 1') },
      { target: x(`1${fresh}`) },
      { target: x(`1${fresh}`), fields: field('Cache-Control: no-cache') },
      { target: x('2'), method: 'POST', content: 'abc' },
      {
        method: 'CONNECT',
        target: '127.0.0.1:{port}',
        ours: { response: page('ERR_FORWARDING_DENIED') },
        because: 'Squid closes without saying so',
      },
    ],
  },
  {
    name: 'what a denial looks like',
    conf: `acl a urlpath_regex ^/a
acl b urlpath_regex ^/b
acl c urlpath_regex ^/c
acl d urlpath_regex ^/d
acl e urlpath_regex ^/e
acl f urlpath_regex ^/f
acl any any-of e f
acl both all-of d f
deny_info http://portal.test/?%M a
deny_info 301:http://portal.test%R b
deny_info 307:http://portal.test/?h=%H&p=%p c
deny_info 410:ERR_ACCESS_DENIED d
deny_info ERR_CANNOT_FORWARD e any
deny_info http://never.test/ any both all
http_access deny a
http_access deny b
http_access deny all c
http_access deny d
http_access deny any
http_access allow all`,
    cases: [
      { target: x('a?x=1') },
      { target: x('a?x=1'), method: 'POST', content: 'abc' },
      { target: x('a?x=1'), method: 'PUT', content: 'abc', version: '1.0' },
      { target: x('b/c?x=1') },
      { target: x('c') },
      { target: x('d') },
      { target: x('e') },
      { target: x('f') },
      { target: x('f'), method: 'HEAD' },
    ],
  },
  {
    name: 'a denial by no line',
    conf: 'acl a urlpath_regex ^/a\nacl b urlpath_regex ^/b\ndeny_info http://b.test/ b\ndeny_info http://a.test/ a\nhttp_access allow a\nhttp_access allow a b',
    cases: [{ target: x('a') }, { target: x('b') }, { target: x('c') }],
  },
  {
    name: 'who X-Forwarded-For says it is for',
    conf: `acl two src 127.0.0.2
acl mid src 10.0.0.2
acl guest src 10.9.0.0/16
follow_x_forwarded_for allow two
follow_x_forwarded_for allow mid
http_access deny guest
http_access allow all`,
    cases: [
      { target: x('1'), client: '127.0.0.2', fields: field('X-Forwarded-For: 10.9.0.1') },
      { target: x('2'), client: '127.0.0.2', fields: field('X-Forwarded-For: 10.9.0.1, 10.0.0.2') },
      { target: x('3'), client: '127.0.0.2', fields: field('X-Forwarded-For: 10.9.0.1, 10.0.0.3') },
      { target: x('4'), client: '127.0.0.2', fields: field('X-Forwarded-For: 10.9.0.1, unknown') },
      { target: x('5'), client: '127.0.0.4', fields: field('X-Forwarded-For: 10.9.0.1') },
      { target: x('6'), client: '127.0.0.2' },
      { target: x('7'), client: '127.0.0.2', fields: field('X-Forwarded-For: 10.9.0.1,') },
    ],
  },
  ...refreshed('refresh_pattern . 60 50% 1440 override-expire', '?h=Cache-Control:max-age=0'),
  ...refreshed('refresh_pattern . 60 50% 1440', '?nothing'),
  ...refreshed('refresh_pattern . 60 50% 1440', '?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT'),
  ...refreshed('refresh_pattern . 0 0% 0', '?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT', {
    conditional: {
      ours: { result: 'TCP_REFRESH_UNMODIFIED', asked: ['connection: keep-alive', 'host: 127.0.0.1:PORT', 'if-modified-since: Sat, 01 Jan 2000 00:00:00 GMT', 'via: 1.1 proxy.test (program)', 'x-forwarded-for: 127.0.0.1'] },
      because: "a client's own If-None-Match is answered by us once the stored response is validated; Squid hands it on",
    },
  }),
  ...refreshed('refresh_pattern . 60 50% 1440 ignore-reload', fresh),
  ...refreshed('refresh_pattern . 60 50% 1440 reload-into-ims', `${fresh}&etag="a"`),
  ...refreshed('refresh_pattern . 60 50% 1440 ignore-no-store', '?h=Cache-Control:no-store'),
  ...refreshed('refresh_pattern . 60 50% 1440 ignore-private', '?h=Cache-Control:private', {
    again: { ours: { result: 'TCP_MISS' }, because: noValidator },
    conditional: { ours: { result: 'TCP_MISS' }, because: noValidator },
    head: { ours: { result: 'TCP_MISS' }, because: noValidator },
  }),
  ...refreshed('refresh_pattern . 60 50% 1440 refresh-ims', `${fresh}&etag="a"`, {
    conditional: {
      ours: { result: 'TCP_REFRESH_UNMODIFIED', asked: ['connection: keep-alive', 'host: 127.0.0.1:PORT', 'if-none-match: "a"', 'via: 1.1 proxy.test (program)', 'x-forwarded-for: 127.0.0.1'] },
      because: 'refresh-ims means conditional requests; 5.7 forgets those by If-None-Match',
    },
  }),
  ...refreshed('cache deny all', fresh),
  ...refreshed('negative_ttl 1 minute', '?s=404'),
  ...refreshed('offline_mode on', '?h=Cache-Control:max-age=0&etag="a"', {
    again: { ours: { result: 'TCP_OFFLINE_HIT' }, because: offlineCode },
    conditional: { ours: { result: 'TCP_OFFLINE_HIT' }, because: offlineCode },
    head: { ours: { result: 'TCP_OFFLINE_HIT' }, because: offlineCode },
  }),
  ...refreshed('offline_mode on', '?h=Cache-Control:max-age=0,must-revalidate&etag="a"', {
    again: { ours: { result: 'TCP_OFFLINE_HIT' }, because: offlineCode },
    conditional: { ours: { result: 'TCP_OFFLINE_HIT', response: ['cache-control: max-age=0,must-revalidate', 'connection: close', 'via: 1.1 proxy.test (program)'] }, because: `${offlineCode}; it also writes the field of a 304 anew` },
    head: { ours: { result: 'TCP_OFFLINE_HIT' }, because: offlineCode },
  }),
  ...refreshed('reload_into_ims on', `${fresh}&etag="a"`),
  ...[
    ['refresh_pattern . 0 20% 4320', 'no-cache'],
    ['refresh_pattern . 0 20% 4320', 'max-age=0,must-revalidate'],
    ['refresh_pattern . 0 20% 4320', 'max-age=0'],
    ['refresh_pattern . 60 50% 1440 override-expire', 'no-cache'],
    ['refresh_pattern . 60 50% 1440 override-expire', 'max-age=0,must-revalidate'],
    ['refresh_pattern . 0 20% 4320 ignore-reload', 'no-cache'],
    ['max_stale 0 seconds', 'max-age=0'],
    ['reload_into_ims on', 'no-cache'],
  ].flatMap(([line = '', control = '']) =>
    refreshed(line, `?h=Cache-Control:${control}&etag="a"`, {
      conditional: {
        ours: { status: 304, response: [`cache-control: ${control}`, 'connection: close', 'via: 1.1 proxy.test (program)'], body: '' },
        because: 'RFC 9111 4.3.2: validated, it is what the client has, by its If-None-Match; Squid sends the whole',
      },
    }),
  ),
  ...refreshed('refresh_pattern . 60 50% 1440 override-lastmod', '?h=Last-Modified:Sat, 01 Jan 2000 00:00:00 GMT'),
  ...refreshed('refresh_pattern . 0 20% 4320 store-stale', '?h=Cache-Control:max-age=0'),
]

describe.skipIf(noSquid !== null)(`beside Squid ${noSquid ?? ''}`, () => {
  it.each(groups)(
    '$name',
    async ({ conf, cases }) => {
      await withPair(`${conf}\n`, async pair => {
        const differing: unknown[] = []
        for (const [index, { ours, because, ...ask }] of cases.entries()) {
          const squid = compared(await pair.squid(ask))
          const glassquid = compared(await pair.glassquid(ask))
          const expected = { ...squid, ...ours }
          if (JSON.stringify(glassquid) !== JSON.stringify(expected)) differing.push({ index, ask, squid: difference(expected, glassquid), glassquid: difference(glassquid, expected) })
          if (ours !== undefined && JSON.stringify(squid) === JSON.stringify(expected)) differing.push({ index, ask, because, no: 'longer differs' })
        }
        expect(differing).toEqual([])
      })
    },
    60_000,
  )
})

/** Only what the other has not. */
const difference = (a: Compared, b: Compared): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(a).flatMap(([key, value]) => {
      const other: unknown = Reflect.get(b, key)
      if (JSON.stringify(value) === JSON.stringify(other)) return []
      return [[key, Array.isArray(value) && Array.isArray(other) ? value.filter(one => !other.includes(one)) : value]]
    }),
  )
