// deny_info and error pages; follow_x_forwarded_for, which decides who is denied.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { get, request, site, stage, stageOf } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-pages-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const acls = ['a', 'b', 'c', 'd', 'e', 'f'].map(path => `acl ${path} urlpath_regex ^/${path}\n`).join('')
const denying = (conf: string) =>
  stageOf(`http_port 127.0.0.1:0 name=web\n${acls}acl any any-of e f\n${conf}http_access deny a\nhttp_access deny b\nhttp_access deny all c\nhttp_access deny d all\nhttp_access deny any\nhttp_access allow all\n`)

describe('deny_info', () => {
  const conf = () => `error_directory ${folder}
deny_info 302:http://portal.test/?u=%u&m=%M%R a
deny_info http://portal.test/ b
deny_info 404:ERR_OURS c
deny_info ERR_OURS all
deny_info TCP_RESET e
`
  it('redirects, shows pages and resets, by the ACL asked last', async () => {
    writeFileSync(join(folder, 'ERR_OURS'), '<p>%c %M %H %i %o%% %q<b>%Z</b></p>')
    const proxy = await denying(conf())
    const a = await proxy.ask('GET http://x.test/a"<b>?q=1&r HTTP/1.1\r\nHost: x.test\r\n\r\n'.replace('"<b>', ''))
    expect([a.status, a.fields.get('location')]).toEqual([302, 'http://portal.test/?u=http%3A%2F%2Fx.test%2Fa%3Fq%3D1%26r&m=GET/a?q=1&r'])
    const b = await proxy.ask('POST http://x.test/b HTTP/1.1\r\nHost: x.test\r\nContent-Length: 0\r\n\r\n')
    expect([b.status, b.fields.get('location')]).toEqual([307, 'http://portal.test/'])
    const c = await proxy.ask(get(80, '/c'))
    expect([c.status, c.fields.get('x-squid-error'), c.body]).toEqual([404, '404:ERR_OURS 0', '<p>ERR_OURS GET 127.0.0.1 127.0.0.1 % %q<b></b></p>'])
    const d = await proxy.ask(get(80, '/d'))
    expect([d.status, d.fields.get('x-squid-error'), d.fields.get('vary')]).toEqual([403, 'ERR_OURS 0', undefined])
    await expect(proxy.ask(get(80, '/e'))).rejects.toThrow()
    expect((await proxy.ask(get(80, '/f'))).fields.get('x-squid-error')).toBe('ERR_ACCESS_DENIED 0')
  })

  it('is for http_reply_access and miss_access as well', async () => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stage('acl r urlpath_regex ^/r\nacl m urlpath_regex ^/m\nhttp_reply_access deny r\nmiss_access deny m\ndeny_info 303:http://p.test/r r\ndeny_info http://p.test/m m\n')
    const [r, m] = [await proxy.ask(get(web.port, '/r')), await proxy.ask(get(web.port, '/m'))]
    expect([r.status, r.fields.get('location'), m.status, m.fields.get('location')]).toEqual([303, 'http://p.test/r', 302, 'http://p.test/m'])
  })

  it('lets nobody write into its page or its Location', async () => {
    writeFileSync(join(folder, 'ERR_OURS'), '%U|%u|%R')
    const proxy = await denying(`${conf()}`)
    const c = await proxy.ask("GET http://x.test/c?<script>'& HTTP/1.1\r\nHost: x.test\r\nX-A: <i>\r\nCookie: secret\r\n\r\n".replace(/[<>']/g, x => encodeURIComponent(x)))
    expect(c.body).not.toMatch(/<|secret/)
    expect(c.body).toContain('X-A: ')
  })
})

describe('error pages', () => {
  it('are in the language the client likes best, else the usual one', async () => {
    const proxy = await denying('error_default_language de\n')
    const spoken = async (language: string) => {
      const { body, fields } = await proxy.ask(get(80, '/a', ...(language === '' ? [] : [`Accept-Language: ${language}`])))
      return [/<h1>(.*)<\/h1>/.exec(body)?.[1], fields.get('content-language'), fields.get('vary')]
    }
    const german = ['Zugriff verweigert', 'de', 'Accept-Language']
    const english = ['Access denied', 'en', 'Accept-Language']
    expect(await spoken('')).toEqual(german)
    expect(await spoken('en-GB,en;q=0.5')).toEqual(english)
    expect(await spoken('de;q=0.3, en;q=0.8')).toEqual(english)
    expect(await spoken('xx, DE-at')).toEqual(german)
    expect(await spoken('en;q=0, *')).toEqual(german)
    expect(await spoken('../../etc, ../en')).toEqual(german)
  })

  it('show the conf\'s style sheet and text, and what it says of mail', async () => {
    writeFileSync(join(folder, 'style.css'), 'p { color: green }')
    writeFileSync(join(folder, 'ERR_ACCESS_DENIED'), '%l|%L|%W')
    const proxy = await denying(`error_directory ${folder}\nerr_page_stylesheet ${folder}/style.css\nerr_html_text <b>call us</b>\nemail_err_data on\n`)
    expect((await proxy.ask(get(80, '/a'))).body).toMatch(/^p \{ color: green \}\|<b>call us<\/b>\|\?subject=CacheErrorInfo%20-%20ERR_ACCESS_DENIED&#38;body=/)
  })

  it('are looked for again at a reload', async () => {
    const proxy = await denying(`error_directory ${folder}\n`)
    expect((await proxy.ask(get(80, '/a'))).body).toContain('Access denied')
    writeFileSync(join(folder, 'ERR_ACCESS_DENIED'), 'mine')
    proxy.reload(`http_port 127.0.0.1:0 name=web\nerror_directory ${folder}\nhttp_access deny all\n`)
    expect((await proxy.ask(get(80, '/a'))).body).toBe('mine')
  })
})

describe('follow_x_forwarded_for', () => {
  const conf = (more = '') => `http_port 127.0.0.1:0 name=web
acl me src 127.0.0.1
acl balancer src 10.0.0.2
acl guest src 10.9.0.0/16
follow_x_forwarded_for allow me
follow_x_forwarded_for allow balancer
${more}http_access deny guest
http_access allow all
`
  const asked = (...fields: string[]) => request('OPTIONS', 80, '/', ['Max-Forwards: 0', ...fields])

  it('believes as far as the list allows, from the end', async () => {
    const proxy = await stageOf(conf())
    const status = async (...fields: string[]) => (await proxy.ask(asked(...fields))).status
    expect(await status('X-Forwarded-For: 10.9.0.1')).toBe(403)
    expect(await status('X-Forwarded-For: 10.9.0.1, 10.0.0.2')).toBe(403)
    expect(await status('X-Forwarded-For: 10.9.0.1', 'X-Forwarded-For: 10.0.0.2')).toBe(403)
    expect(await status('X-Forwarded-For: 10.9.0.1, 10.0.0.3')).toBe(200)
    expect(await status('X-Forwarded-For: 10.9.0.1, unknown')).toBe(200)
    expect(await status()).toBe(200)
    expect(proxy.records.map(r => r.client.address)).toEqual(['10.9.0.1', '10.9.0.1', '10.9.0.1', '10.0.0.3', '127.0.0.1', '127.0.0.1'])
  })

  it('forgets who was believed with the next request of the connection', async () => {
    const proxy = await stageOf(conf())
    const wire = await proxy.client()
    expect((await wire.send(asked('X-Forwarded-For: 10.9.0.1')).response()).status).toBe(403)
    expect((await wire.send(asked()).response()).status).toBe(200)
  })

  it('may be for logs alone, or for access lists alone', async () => {
    const logs = await stageOf(conf('acl_uses_indirect_client off\n'))
    expect((await logs.ask(asked('X-Forwarded-For: 10.9.0.1'))).status).toBe(200)
    expect(logs.records[0]?.client.address).toBe('10.9.0.1')
    const lists = await stageOf(conf('log_uses_indirect_client off\n'))
    expect((await lists.ask(asked('X-Forwarded-For: 10.9.0.1'))).status).toBe(403)
    expect(lists.records[0]?.client.address).toBe('127.0.0.1')
  })
})
