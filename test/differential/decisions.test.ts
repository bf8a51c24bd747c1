// Access lists decide as Squid's do: confs made by chance out of ACLs of every type Squid 5.7 and we have, requests made
// by chance, both proxies asked the same. The seed is fixed; a failing case prints the conf's lines and the request.

import { describe, expect, it } from 'vitest'
import { type Ask, names, noSquid, type Pair, withPair } from './pair.ts'

/** mulberry32: small, and the same everywhere. */
const randomFrom = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const acls = `acl two src 127.0.0.2
acl range src 127.0.0.16-127.0.0.31
acl net src 127.0.0.64/26 127.0.0.4
acl dotted src 127.0.0.128/255.255.255.240
acl here dst 127.0.0.1
acl good dstdomain .good.test
acl bad dstdomain bad.test
acl bads dstdomain .bad.test .nowhere.test
acl digits dstdom_regex [0-9]+\\.test$
acl shouting dstdom_regex -i ^UPPER
acl jpeg urlpath_regex -i \\.jpe?g$
acl path urlpath_regex ^/a/[^/]*/c
acl query url_regex \\?x=[[:digit:]]+
acl whole url_regex ^http://www\\.
acl word url_regex \\bsecret\\b
acl get method GET HEAD
acl post method POST
acl tunnel method CONNECT
acl low port 1-1024
acl origin port {port}
acl http proto HTTP
acl curl browser ^curl/[0-9]
acl old browser -i msie
acl from referer_regex -i www\\.good\\.test
acl noreferer referer_regex ^$
acl mobile req_header X-Kind mobile
acl anykind req_header X-Kind .
acl always time 00:00-23:59
acl never time 00:00-00:00
acl either any-of jpeg post
acl together all-of good get
acl p myportname p
acl otherport myportname q
acl form req_mime_type -i ^application/x-www-form
acl typeless req_mime_type ^$
acl crowd maxconn 3
acl alone maxconn 1
acl office srcdomain .office.test
acl pc srcdom_regex -i ^PC[0-9]
acl video rep_mime_type -i ^video/
acl text rep_mime_type ^text/html
acl missing http_status 404
acl failing http_status 500-599
acl good2 http_status 200-299 403
acl kindly rep_header X-Kind ^mobile$
acl hasrequest has request
acl hasresponse has response
acl begun transaction_initiator client
acl within transaction_initiator internal
acl direct hier_code HIER_DIRECT
acl nowhere hier_code HIER_NONE
acl marks annotate_transaction seen=yes
acl marked note seen yes
acl marksmore annotate_transaction seen+=again
acl markedlist note -m seen again
acl keeps annotate_client kept=1
acl kept note kept
acl loginless urllogin ^$
acl anyreply any-of missing failing kindly
acl bothreply all-of !video good2
acl onlocal localip 127.0.0.1
acl nolocal localip 127.0.0.9
`

const pool = [...acls.matchAll(/^acl (\S+)/gm)].map(match => match[1] ?? '').concat('all', 'localhost', 'to_localhost', 'CONNECT')

const clients = ['127.0.0.1', '127.0.0.9', '127.0.0.10', '127.0.0.2', '127.0.0.4', '127.0.0.15', '127.0.0.16', '127.0.0.31', '127.0.0.32', '127.0.0.63', '127.0.0.64', '127.0.0.127', '127.0.0.128', '127.0.0.143', '127.0.0.144']
const hosts = [...names, 'BAD.test', 'UPPER.test', '127.0.0.1']
const paths = ['/?h=Content-Type:video/mp4', '/?s=404', '/?s=503&h=Content-Type:text/html', '/?h=X-Kind:mobile', '/?s=204', '/?h=Content-Type:text/html&h=X-Kind:mobile', '/', '/x.jpg', '/X.JPEG?x=1', '/a/b/c', '/a/b/b/c', '/secret', '/secrets', '/my%20secret', '/%73ecret', '/?x=12', '/?x=', '/a//c', '/%41?b=%zz']
const agents = ['', 'curl/8.1', 'Mozilla/5.0 (MSIE 6)', 'xcurl/8']
const referers = ['', 'http://www.good.test/', 'http://WWW.GOOD.test/a', 'about:blank']
const kinds = ['', 'mobile', 'Mobile', 'desk']
const types = ['', '', 'application/X-www-form-urlencoded', 'text/plain']

const generated = (seed: number, lines: number, requests: number, replies: number) => {
  const random = randomFrom(seed)
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T // never empty
  const rules = Array.from({ length: lines }, () => {
    const terms = Array.from({ length: 1 + Math.floor(random() * 3) }, () => `${random() < 0.3 ? '!' : ''}${one(pool)}`)
    return `${random() < replies ? 'http_reply_access' : 'http_access'} ${random() < 0.5 ? 'allow' : 'deny'} ${terms.join(' ')}`
  })
  const asks = Array.from({ length: requests }, (): Ask => {
    const method = one(['GET', 'GET', 'GET', 'HEAD', 'POST', 'CONNECT', 'PUT'])
    const host = one(hosts)
    const fields = [['User-Agent', one(agents)], ['Referer', one(referers)], ['X-Kind', one(kinds)], ['Content-Type', one(types)]].filter(([, value]) => value !== '') as [string, string][]
    const target = method === 'CONNECT' ? `${host}:{port}` : `http://${host}:{port}${one(paths)}`
    return { client: one(clients), method, target, fields, content: method === 'POST' || method === 'PUT' ? 'abc' : '' }
  })
  return { conf: `${acls}${rules.join('\n')}\n`, rules, asks }
}

const told = (ask: Ask, rules: readonly string[]): string => `${JSON.stringify(ask)}\n${rules.join('\n')}`

const decideAlike = async (pair: Pair, asks: readonly Ask[], rules: readonly string[]): Promise<void> => {
  for (const ask of asks) {
    const [squid, ours] = [await pair.squid(ask), await pair.glassquid(ask)]
    const what = (made: typeof squid) => ({ status: made.status, denied: made.result.startsWith('TCP_DENIED') ? made.result : '', reached: made.asked !== null })
    expect(what(ours), told(ask, rules)).toEqual(what(squid))
  }
}

describe.skipIf(noSquid !== null)(`http_access ${noSquid ?? ''}`, () => {
  const confs = Array.from({ length: 10 }, (_, i) => ({ seed: 1000 + i, lines: 3 + i }))

  it.each(confs)('decides as Squid: seed $seed, $lines lines, 40 requests', async ({ seed, lines }) => {
    const { conf, rules, asks } = generated(seed, lines, 40, 0)
    await withPair(conf, pair => decideAlike(pair, asks, rules))
  }, 60_000)

  it.each(confs)('decides about responses as Squid: seed $seed + 100, $lines lines, 40 requests', async ({ seed, lines }) => {
    const { conf, rules, asks } = generated(seed + 100, lines, 40, 0.7)
    await withPair(`${conf}http_access allow all\n`, pair => decideAlike(pair, asks, rules))
  }, 60_000)
})
