// `explain` says beforehand what the proxy then does: each question is asked, the request is made, and the record of the
// transaction must tell the same reason and the same line. Asking changes nothing.

import { describe, expect, it } from 'vitest'
import type { Explained } from '../../src/proxy/index.ts'
import { get, request, site, stage, type Stage } from './scene.ts'

const rendered = async (proxy: Stage, args: Record<string, string | readonly string[]>) => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(args)) for (const one of [value].flat()) query.append(name, one)
  const answer = await proxy.machine.manager.find('explain')?.render(query)
  if (answer === undefined) throw new Error('there is no such page')
  return answer
}

const explained = async (proxy: Stage, args: Record<string, string | readonly string[]>): Promise<Explained> => {
  const answer = await rendered(proxy, args)
  if (!answer.ok) throw new Error(answer.reason)
  expect(answer.text()).toContain(`verdict`)
  return JSON.parse(answer.json()) as Explained // what the page renders
}

const conf = `
acl docs urlpath_regex ^/docs
acl secret urlpath_regex ^/secret
acl uncached urlpath_regex ^/uncached
cache deny uncached
acl unsent urlpath_regex ^/unsent
send_hit deny unsent
refresh_pattern ^http://[^/]*/docs 10 50% 100
refresh_pattern . 0 20% 4320
`

describe('what is said beforehand is what happens', () => {
  const cases: [string, { path: string; method?: string; fields?: string[]; before?: string[]; advance?: number }][] = [
    ['a first request', { path: '/fresh' }],
    ['a hit', { path: '/fresh', before: [''] }],
    ['a stale response', { path: '/fresh', before: [''], advance: 100 }],
    ['a reload', { path: '/fresh', before: [''], fields: ['Cache-Control: no-cache'] }],
    ['max-age of the request', { path: '/fresh', before: [''], fields: ['Cache-Control: max-age=5'], advance: 10 }],
    ['max-stale', { path: '/fresh', before: [''], fields: ['Cache-Control: max-stale=1000'], advance: 100 }],
    ['stale-while-revalidate', { path: '/swr', before: [''], advance: 65 }],
    ['another variant', { path: '/vary', before: ['Foo: a'], fields: ['Foo: b'] }],
    ['the variant', { path: '/vary', before: ['Foo: a', 'Foo: b'], fields: ['Foo: b'] }],
    ['a HEAD of what a GET has stored', { path: '/fresh', method: 'HEAD', before: [''] }],
    ['a refresh_pattern', { path: '/docs/1', before: [''], advance: 500 }],
    ['only-if-cached', { path: '/none', fields: ['Cache-Control: only-if-cached'] }],
    ['only-if-cached of what is stale', { path: '/fresh', before: [''], advance: 100, fields: ['Cache-Control: only-if-cached'] }],
    ['a range within a part', { path: '/part', before: ['Range: bytes=2-5'], fields: ['Range: bytes=3-4'] }],
    ['a range beyond a part', { path: '/part', before: ['Range: bytes=2-5'], fields: ['Range: bytes=3-6'] }],
    ['a range of something else than the part', { path: '/part', before: ['Range: bytes=2-5'], fields: ['Range: bytes=3-4', 'If-Range: "2"'] }],
    ['a range within a part that is stale', { path: '/part', before: ['Range: bytes=2-5'], fields: ['Range: bytes=3-4'], advance: 100 }],
    ['the whole, of which a part is stored', { path: '/part', before: ['Range: bytes=2-5'] }],
    ['a part that is not all of it, and only-if-cached', { path: '/part', before: ['Range: bytes=2-5'], fields: ['Range: bytes=3-6', 'Cache-Control: only-if-cached'] }],
    ['what send_hit denies', { path: '/unsent', before: [''] }],
    ['what send_hit denies, and only-if-cached', { path: '/unsent', before: [''], fields: ['Cache-Control: only-if-cached'] }],
    ['If-Match', { path: '/fresh', before: [''], fields: ['If-Match: "1"'] }],
    ['no-cache in the response', { path: '/nocache', before: [''] }],
  ]
  it.each(cases)('%s', async (_what, { path, method = 'GET', fields = [], before = [], advance = 0 }) => {
    const proxy = await stage(conf)
    const web = await site(r => {
      const say = { '/fresh': ['max-age=60'], '/swr': ['max-age=60, stale-while-revalidate=30'], '/nocache': ['no-cache'], '/vary': ['max-age=60'], '/part': ['max-age=60'], '/unsent': ['max-age=60'] }[r.url ?? '']
      const [, first, last] = /^bytes=(\d)-(\d)$/.exec(r.headers.range ?? '') ?? []
      if (r.url === '/part' && r.headers['if-none-match'] === '"1"') return { status: 304, fields: ['ETag: "1"'] }
      if (r.url === '/part' && first !== undefined && r.headers['if-range'] !== '"2"') {
        const content = '0123456789'.slice(Number(first), Number(last) + 1)
        return { status: 206, fields: ['Cache-Control: max-age=60', 'ETag: "1"', `Content-Range: bytes ${first}-${last}/10`], content }
      }
      return { fields: [...(say ?? []).map(text => `Cache-Control: ${text}`), 'ETag: "1"', ...(r.url === '/vary' ? ['Vary: Foo'] : [])], content: 'x' }
    })
    for (const lines of before) await proxy.ask(get(web.port, path, ...(lines === '' ? [] : [lines])))
    proxy.clock.advance(advance * 1000)
    const question = { uri: `http://127.0.0.1:${web.port}${path}`, method, field: fields }
    const first = await explained(proxy, question)
    expect(await explained(proxy, question)).toEqual(first) // asking changes nothing
    const already = proxy.records.length
    await proxy.ask(request(method, web.port, path, fields), method)
    await proxy.results(already + 1)
    const record = proxy.records[already]
    expect(first.reuse?.reason).toBe(record?.reuseReason)
    expect(first.httpAccess.decision.text).toBe(record?.accessLine)
    expect(first.verdict.split(':')[0]).toBe(
      record?.status === 504 ? 'refused' : { fresh: 'hit', stale: 'hit', validate: 'validated', no: 'miss' }[first.reuse?.kind ?? ''],
    )
    if (record !== undefined && record.storeReason !== '' && first.reuse?.kind === 'no') expect(first.storing.kind).toBe('store')
  })
})

it('tells the line that refuses, and those before it that did not match', async () => {
  const proxy = await stage('http_access deny all\n')
  proxy.reload('http_port 127.0.0.1:0 name=web\nacl lan src 10.0.0.0/8\nacl post method POST\nhttp_access deny lan post\nhttp_access allow lan\nhttp_access deny all\n')
  const uri = 'http://a.example/x'
  const outside = await explained(proxy, { uri, from: '192.0.2.1' })
  expect([outside.verdict, outside.httpAccess.decision.text]).toEqual(['refused: http_access denies it', 'test.conf:9'])
  expect(outside.httpAccess.steps.map(step => [step.at.line, step.matched])).toEqual([[7, false], [8, false], [9, true]])
  const posted = await explained(proxy, { uri, from: '10.1.1.1', method: 'POST' })
  expect(posted.httpAccess.decision.text).toBe('test.conf:7')
  const inside = await explained(proxy, { uri, from: '10.1.1.1' })
  expect(inside.verdict).toBe('miss: the origin is asked')
})

it('tells key, rule, refresh_pattern, tags and where it is stored', async () => {
  const proxy = await stage('store_id_rule ^http://[a-z0-9.:]+/m/(.*) http://x.internal/$1\nrefresh_pattern ^http://x\\.internal 1 20% 2\n')
  const web = await site(() => ({ fields: ['Cache-Control: max-age=60', 'Cache-Tag: a,b', 'Vary: Foo'] }))
  await proxy.ask(get(web.port, '/m/1', 'Foo: bar'))
  const e = await explained(proxy, { uri: `http://127.0.0.1:${web.port}/m/1`, field: 'Foo: bar' })
  expect([e.key, e.keyRule, e.refreshPattern, e.where]).toEqual([
    'http://x.internal/1',
    'test.conf:6: store_id_rule ^http://[a-z0-9.:]+/m/(.*) http://x.internal/$1',
    'test.conf:7: refresh_pattern ^http://x\\.internal 1 20% 2',
    ['memory'],
  ])
  expect(e.variants).toMatchObject([{ chosen: true, tags: ['a', 'b'], selecting: [['foo', 'bar']] }])
})

it('tells why a response could not be stored, and why the last one was not', async () => {
  const proxy = await stage(conf)
  const web = await site(r => ({ fields: [`Cache-Control: ${r.url === '/secret' ? 'private' : 'max-age=60'}`] }))
  const uri = (path: string) => `http://127.0.0.1:${web.port}${path}`
  await proxy.ask(get(web.port, '/secret'))
  await proxy.results(1)
  expect((await explained(proxy, { uri: uri('/secret') })).lastRefused).toMatchObject({ status: 200, reason: 'private' })
  expect((await explained(proxy, { uri: uri('/x'), field: 'Authorization: Basic eA==' })).storing).toMatchObject({ kind: 'no', reason: 'authorization' })
  expect((await explained(proxy, { uri: uri('/x'), status: '429', response: 'Cache-Control: max-age=9' })).storing).toMatchObject({ kind: 'no', reason: 'status' })
  expect((await explained(proxy, { uri: uri('/x'), response: ['Cache-Control: s-maxage=9'] })).storing).toMatchObject({ kind: 'store', reason: 'explicit' })
  const denied = await explained(proxy, { uri: uri('/uncached') })
  expect([denied.verdict.split(',')[0], denied.reuse]).toEqual(['forwarded: the cache list denies it', null])
})

it.each([
  [{ uri: '/x' }, "'/x' is no absolute URI"],
  [{ uri: 'http://a/', method: 'G T' }, "'G T' is no method"],
  [{ uri: 'http://a/', from: 'me' }, "'me' is no address"],
  [{ uri: 'http://a/', field: 'nothing' }, "'nothing' is no field"],
  [{ uri: 'http://a/', port: 'other' }, "there is no http_port 'other'"],
  [{ uri: 'http://a/', status: '99' }, "status '99'"],
])('%j is refused: %s', async (args, why) => {
  expect(await rendered(await stage(), args)).toMatchObject({ ok: false, status: 400, reason: expect.stringContaining(why) })
})

describe('whom a miss is fetched from', () => {
  const parents = async () => {
    const web = await site(() => ({ content: 'origin' }))
    const [a, b] = [await site(() => ({ content: 'a' })), await site(() => ({ content: 'b' }))]
    return { web, peers: `cache_peer 127.0.0.1 parent ${a.port} 0 no-query name=a\ncache_peer 127.0.0.1 parent ${b.port} 0 no-query name=b\nacl own urlpath_regex ^/own\n` }
  }
  const cases: [string, string, { method?: string; path?: string; fields?: string[]; advance?: number }, string[], string[]][] = [
    ['parents, then the origin', '', {}, ['a FIRSTUP_PARENT', 'b ANY_OLD_PARENT', ' HIER_DIRECT'], []],
    ['cache_peer_access', 'cache_peer_access a deny all\n', {}, ['b FIRSTUP_PARENT', ' HIER_DIRECT'], ['a: cache_peer_access: ']],
    ['prefer_direct', 'prefer_direct on\n', {}, [' HIER_DIRECT', 'a FIRSTUP_PARENT', 'b ANY_OLD_PARENT'], []],
    ['never_direct', 'never_direct allow all\n', {}, ['a FIRSTUP_PARENT', 'b ANY_OLD_PARENT'], []],
    ['always_direct', 'always_direct allow own\n', { path: '/own' }, [' HIER_DIRECT'], ['a: always_direct', 'b: always_direct']],
    ['nothing a cache could help with', '', { method: 'POST' }, [' HIER_DIRECT'], ['a: requests like this', 'b: requests like this']],
    ['nor with a login', '', { fields: ['Authorization: Basic eDp5'] }, [' HIER_DIRECT'], ['a: requests like this', 'b: requests like this']],
    ['the same, with nonhierarchical_direct off', 'nonhierarchical_direct off\n', { method: 'POST' }, ['a FIRSTUP_PARENT', 'b ANY_OLD_PARENT', ' HIER_DIRECT'], []],
    ['nobody', 'never_direct allow all\ncache_peer_access a deny all\ncache_peer_access b deny all\n', {}, [], ['a: cache_peer_access: ', 'b: cache_peer_access: ']],
  ]
  it.each(cases)('%s', async (_what, lines, { method = 'GET', path = '/', fields = [] }, ways, left) => {
    const { web, peers } = await parents()
    const proxy = await stage(`${peers}${lines}`)
    const question = { uri: `http://127.0.0.1:${web.port}${path}`, method, field: fields }
    const e = await explained(proxy, question)
    expect(e.fetching?.ways.map(({ peer, code }) => `${peer} ${code}`)).toEqual(ways)
    const why = (e.fetching?.peers?.peers ?? []).filter(peer => peer.left !== '').map(({ name, left: text }) => `${name}: ${text}`)
    expect(why.map((text, i) => text.startsWith(left[i] ?? '-'))).toEqual(left.map(() => true))
    await proxy.ask(request(method, web.port, path, [...fields, ...(method === 'POST' ? ['Content-Length: 0'] : [])]), method)
    await proxy.results(1)
    const [record] = proxy.records
    if (ways.length === 0) expect([record?.status, e.verdict.slice(0, 12)]).toEqual([503, 'refused: 503'])
    else expect(`${record?.peer} ${record?.hierarchy}`).toBe(ways[0])
    const text = await rendered(proxy, question)
    expect(text.ok && text.text()).toContain(`\nfrom         ${ways.length === 0 ? 'nobody' : ways[0]?.startsWith(' ') ? 'the origin' : `cache_peer ${ways[0]?.[0]}`}`)
  })

  it('takes no turn by asking, and tells whose it is', async () => {
    const { web, peers } = await parents()
    const proxy = await stage(peers.replaceAll('no-query', 'no-query round-robin'))
    const uri = `http://127.0.0.1:${web.port}/`
    for (let nth = 0; nth < 4; nth++) {
      const [first, again] = [await explained(proxy, { uri }), await explained(proxy, { uri })]
      expect(again.fetching).toEqual(first.fetching)
      await proxy.ask(get(web.port))
      await proxy.results(nth + 1)
      expect(proxy.records[nth]?.peer).toBe(first.fetching?.ways[0]?.peer)
    }
    expect(new Set(proxy.records.map(({ peer }) => peer))).toEqual(new Set(['a', 'b']))
  })

  it('and what miss_access, send_hit and store_miss say', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60', 'X-Kind: film'] }))
    const proxy = await stage(`acl film rep_header X-Kind film
acl hitless urlpath_regex ^/hitless
acl guests src 10.9.0.0/16
miss_access deny guests
send_hit deny hitless
store_miss deny film
`)
    const uri = (path: string): string => `http://127.0.0.1:${web.port}${path}`
    const guest = await explained(proxy, { uri: uri('/'), from: '10.9.1.1' })
    expect([guest.verdict, guest.fetching?.missAccess?.decision.text]).toEqual(['refused: 403, miss_access denies it', 'test.conf:9'])
    expect((await explained(proxy, { uri: uri('/') })).fetching?.missAccess?.decision.allowed).toBe(true)
    const film = await explained(proxy, { uri: uri('/'), response: ['Cache-Control: max-age=60', 'X-Kind: film'] })
    expect([film.storing.kind, film.storing.reason, film.storeMiss?.decision.text]).toEqual(['no', 'store-miss-deny', 'test.conf:11'])
    expect((await explained(proxy, { uri: uri('/') })).storing.kind).toBe('store')
    await proxy.ask(get(web.port, '/'))
    await proxy.results(1)
    expect(proxy.records[0]?.storeReason).toBe('store-miss-deny')
    expect((await explained(proxy, { uri: uri('/') })).sendHit).toBe(null) // nothing is stored it could be about
  })
})
