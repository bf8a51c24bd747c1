// request_header_*, reply_header_*: what each end sees.

import { describe, expect, it } from 'vitest'
import { get, site, stage } from './scene.ts'

const cached = 'Cache-Control: max-age=600'

describe('fields of requests', () => {
  it('are removed, replaced and added, by name, Other and All', async () => {
    const web = await site(() => ({}))
    const proxy = await stage(`acl two req_header X-Two .
request_header_access User-Agent deny all
request_header_replace User-Agent none of yours
request_header_access Referer deny all
request_header_access X-Kept allow all
request_header_access Other deny all
request_header_add X-Said "port %>lp, %{X-Two}>h" two
request_header_add X-Plain %>lp
`)
    await proxy.ask(get(web.port, '/', 'User-Agent: me', 'Referer: x', 'X-Kept: 1', 'X-Gone: 1', 'X-Two: 2', 'Accept: */*'))
    const sent = (name: string) => web.field(0, name)
    expect(sent('user-agent')).toBe('none of yours')
    expect([sent('referer'), sent('x-gone'), sent('x-two')]).toEqual([undefined, undefined, undefined])
    expect([sent('x-kept'), sent('accept'), sent('x-plain')]).toEqual(['1', '*/*', '%>lp'])
    expect(sent('x-said')).toBe(`port ${proxy.port('web')}, 2`)
  })

  it('go by the peer they are for, and by another at the next try', async () => {
    const asked: string[] = []
    const peer = (name: string, status: number) => site(r => {
      asked.push(`${name} ${['x-secret', 'x-one', 'x-outside'].filter(field => field in r.headers).join()}`)
      return { status }
    })
    const [one, two, web] = [await peer('one', 504), await peer('two', 200), await peer('web', 200)]
    const proxy = await stage(`cache_peer 127.0.0.1 parent ${one.port} 0 no-query name=one
cache_peer 127.0.0.1 parent ${two.port} 0 no-query name=two
acl one peername one
acl none peername_regex .
acl home urlpath_regex ^/home
always_direct allow home
request_header_access X-Secret deny one
request_header_add X-One yes one
request_header_add X-Outside yes !none
reply_header_add X-From two !one
`)
    const answer = await proxy.ask(get(web.port, '/', 'X-Secret: s'))
    expect([answer.status, answer.fields.get('x-from')]).toEqual([200, 'two'])
    await proxy.ask(get(web.port, '/home', 'X-Secret: s'))
    expect(asked).toEqual(['one x-one', 'two x-secret', 'web x-secret,x-outside'])
  })

  it('are removed for everybody else by a lone allow', async () => {
    const web = await site(() => ({}))
    const proxy = await stage('acl me req_header X-Me .\nrequest_header_access Cookie allow me\n')
    await proxy.ask(get(web.port, '/', 'Cookie: a=b'))
    await proxy.ask(get(web.port, '/', 'Cookie: a=b', 'X-Me: 1'))
    expect([web.field(0, 'cookie'), web.field(1, 'cookie')]).toEqual([undefined, 'a=b'])
  })

  it('cannot make a request nobody can read', async () => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stage('request_header_access All deny all\n')
    expect((await proxy.ask(get(web.port, '/', 'Accept: x'))).body).toBe('x')
    expect([web.field(0, 'host'), web.field(0, 'accept'), web.field(0, 'via')]).toEqual([`127.0.0.1:${web.port}`, undefined, undefined])
  })
})

describe('fields of responses', () => {
  it('are changed the same from the origin, from memory, in a 304 and in pages of ours', async () => {
    const web = await site(() => ({ fields: [cached, 'ETag: "a"', 'Server: secret', 'X-Gone: 1'], content: 'content' }))
    const proxy = await stage(`reply_header_access Server deny all
reply_header_replace Server ours
reply_header_access X-Gone deny all
reply_header_access Via deny all
reply_header_add X-Status "%>Hs"
`)
    const answers = [await proxy.ask(get(web.port)), await proxy.ask(get(web.port)), await proxy.ask(get(web.port, '/', 'If-None-Match: "a"')), await proxy.ask(get(1))]
    for (const { fields } of answers) expect([fields.get('x-gone'), fields.get('via')]).toEqual([undefined, undefined])
    expect(answers.map(a => a.fields.get('x-status'))).toEqual(['200', '200', '304', '503'])
    expect(answers.map(a => a.body).slice(0, 2)).toEqual(['content', 'content'])
    expect(answers.filter((_, i) => i !== 2).map(a => a.fields.get('server'))).toEqual(['ours', 'ours', 'ours'])
  })

  it('may depend on the response', async () => {
    const web = await site(r => ({ status: r.url === '/404' ? 404 : 200, fields: ['X-A: 1'] }))
    const proxy = await stage('acl missing http_status 404\nreply_header_access X-A deny missing\n')
    expect((await proxy.ask(get(web.port, '/'))).fields.get('x-a')).toBe('1')
    expect((await proxy.ask(get(web.port, '/404'))).fields.get('x-a')).toBe(undefined)
  })
})
