// What is told of ICAP transactions (icap_log, the codes icap:: and adapt::), which failed ones are tried again (icap_retry),
// and what services of one transaction share. The lines are those Squid 5.7 wrote of the same talk, but for times.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { get, raw, site, type Stage, stage } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-icap-log-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const log = (name: string): string => join(folder, name)
const lines = async (proxy: Stage, name: string): Promise<string[]> => {
  await proxy.stop()
  return readFileSync(log(name), 'latin1').trimEnd().split('\n')
}

/** Answers OPTIONS for a vector, and each whole message what it is told; null closes the connection. */
const service = async (vector: string, answer: (text: string, nth: number) => string | null) => {
  const heard: string[] = []
  const { port } = await raw((socket: net.Socket) => {
    let text = ''
    socket.on('error', () => {}).on('data', chunk => {
      text += chunk.toString('latin1')
      if (text.startsWith('OPTIONS ') && text.endsWith('\r\n\r\n')) {
        text = ''
        socket.write(`ICAP/1.0 200 OK\r\nMethods: ${vector}\r\nISTag: "1"\r\nOptions-TTL: 3600\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n`)
      } else if (text.endsWith('0\r\n\r\n') || (text.includes('null-body') && text.endsWith('\r\n\r\n'))) {
        const said = answer(text, heard.length)
        heard.push(text)
        text = ''
        if (said === null) socket.destroy()
        else socket.write(said, 'latin1')
      }
    })
  })
  return { port, heard }
}

const unchanged = (...lines: readonly string[]): string => `ICAP/1.0 204 No Content\r\nISTag: "1"\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
const head = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n'
const changed = `ICAP/1.0 200 OK\r\nISTag: "1"\r\nEncapsulated: res-hdr=0, res-body=${head.length}\r\n\r\n${head}3\r\nabc\r\n0\r\n\r\n`
const failed = 'ICAP/1.0 500 Bad\r\nISTag: "1"\r\n\r\n'

const confOf = (name: string, vector: string, port: number, more = 'bypass=on'): string =>
  `icap_enable on\nicap_service ${name} ${vector}_precache icap://127.0.0.1:${port}/${name} ${more}\nadaptation_access ${name} allow all\n`

describe('icap_log', () => {
  it('has a line for each transaction with a service, OPTIONS too', async () => {
    const web = await site(() => ({ content: 'content' }))
    const icap = await service('RESPMOD', text => (text.includes('/no') ? unchanged() : text.includes('/bad') ? failed : changed))
    const proxy = await stage(`${confOf('svc', 'respmod', icap.port)}icap_log stdio:${log('icap.log')}\n`)
    for (const path of ['/yes', '/no', '/bad']) await proxy.ask(get(web.port, path))
    const uri = `icap://127.0.0.1:${icap.port}/svc`
    const told = (await lines(proxy, 'icap.log')).map(line => line.replace(/^\d{9,10}\.\d{3} +\d+ /, ''))
    const options = `ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: "1"\r\nOptions-TTL: 3600\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n`.length
    expect(told).toEqual([
      `- ICAP_OPT/200 ${options} OPTIONS ${uri} - -/127.0.0.1 -`,
      `127.0.0.1 ICAP_MOD/200 ${changed.length} RESPMOD ${uri} - -/127.0.0.1 -`,
      `127.0.0.1 ICAP_ECHO/204 ${unchanged().length} RESPMOD ${uri} - -/127.0.0.1 -`,
      `127.0.0.1 ICAP_ERR_OTHER/500 ${failed.length} RESPMOD ${uri} - -/127.0.0.1 -`,
    ])
  })

  it('has formats and access lists as access_log, and codes of both', async () => {
    const web = await site(() => ({ content: 'content' }))
    const icap = await service('RESPMOD', text => (text.includes('/no') ? unchanged('X-One: a b') : changed))
    const proxy = await stage(
      `logformat full %icap::rm|%icap::<service_name|%icap::<bs|%icap::to|%{Host}icap::>h|%{X-One}icap::<h|%>a|%ru|%>Hs\nacl no urlpath_regex ^/no\n` +
        `${confOf('svc', 'respmod', icap.port)}icap_log none no\nicap_log ${log('some.log')} full\nicap_log daemon:${log('all.log')} logformat=full\n`,
    )
    for (const path of ['/yes', '/no']) await proxy.ask(get(web.port, path))
    const all = await lines(proxy, 'some.log')
    expect(all.slice(1)).toEqual([`RESPMOD|svc|3|ICAP_MOD|127.0.0.1:${icap.port}|-|127.0.0.1|http://127.0.0.1:${web.port}/yes|200`])
    expect(readFileSync(log('all.log'), 'latin1').trimEnd().split('\n')).toEqual(all)
  })

  it('tells that a service has answered a request itself', async () => {
    const web = await site(() => ({ content: 'content' }))
    const icap = await service('REQMOD', () => changed)
    const proxy = await stage(`${confOf('svc', 'reqmod', icap.port)}logformat short %icap::rm %icap::to\nicap_log ${log('icap.log')} short\n`)
    expect((await proxy.ask(get(web.port))).body).toBe('abc')
    expect(await lines(proxy, 'icap.log')).toEqual(['OPTIONS ICAP_OPT', 'REQMOD ICAP_SAT'])
  })

  it('goes with the conf', async () => {
    const web = await site(() => ({ content: 'content' }))
    const icap = await service('RESPMOD', () => unchanged())
    const conf = confOf('svc', 'respmod', icap.port)
    const proxy = await stage(conf)
    const reload = (more: string) => proxy.reload(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\nlogformat short %icap::rm\n${conf}${more}`)
    await proxy.ask(get(web.port))
    reload(`icap_log ${log('icap.log')} short\n`)
    await proxy.ask(get(web.port))
    reload('')
    await proxy.ask(get(web.port))
    expect(await lines(proxy, 'icap.log')).toEqual(['RESPMOD'])
  })
})

describe('icap_retry', () => {
  const times = 'logformat times %rm %>Hs all=%adapt::all_trs sum=%adapt::sum_trs last=%{X-One}adapt::<last_h\n'

  it.each([
    ['', 1, 500],
    ['icap_retry_limit 2\n', 1, 500],
    ['icap_retry allow all\n', 1, 500],
    ['icap_retry allow all\nicap_retry_limit 1\n', 2, 500],
    ['icap_retry allow all\nicap_retry_limit 2\n', 3, 200],
    ['icap_retry allow all\nicap_retry_limit 9\n', 3, 200],
    ['acl other urlpath_regex ^/other\nicap_retry deny other\nicap_retry allow !other\nicap_retry_limit 2\n', 3, 200],
    ['acl this urlpath_regex ^/this\nicap_retry deny this\nicap_retry allow !this\nicap_retry_limit 2\n', 1, 500],
  ])('with %j a message is shown %i times', async (conf, shown, status) => {
    const web = await site(() => ({ content: 'content' }))
    const icap = await service('RESPMOD', (_, nth) => (nth < 2 ? failed : unchanged('X-One: last')))
    const proxy = await stage(`${confOf('svc', 'respmod', icap.port, 'bypass=off')}${conf}${times}access_log ${log('access.log')} times\n`)
    expect((await proxy.ask(get(web.port, '/this'))).status).toBe(status)
    expect(icap.heard).toHaveLength(shown)
    expect(new Set(icap.heard).size).toBe(1)
    const zeros = Array.from({ length: shown }, () => '0').join('+')
    expect(await lines(proxy, 'access.log')).toEqual([`GET ${status} all=${zeros} sum=0 last=${status === 200 ? 'last' : '-'}`])
  })

  it('is for requests, too, and their content', async () => {
    const web = await site(() => ({ content: 'content' }))
    const icap = await service('REQMOD', (_, nth) => (nth === 0 ? failed : unchanged()))
    const proxy = await stage(`${confOf('svc', 'reqmod', icap.port, 'bypass=off')}icap_retry allow all\nicap_retry_limit 1\n`)
    const wire = await proxy.client()
    const response = await wire.send(`POST http://127.0.0.1:${web.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`).response('POST')
    expect(response.status).toBe(200)
    expect(icap.heard.map(text => text.includes('5\r\nhello\r\n0\r\n\r\n'))).toEqual([true, true])
  })
})

describe('adaptation_masterx_shared_names', () => {
  it('tells a service what one before it has said, also of the response', async () => {
    const web = await site(() => ({ content: 'content' }))
    const first = await service('REQMOD', () => unchanged('X-Subscriber: 17', 'X-Other: 1'))
    const second = await service('RESPMOD', () => unchanged('X-Subscriber: 18'))
    const third = await service('RESPMOD', () => unchanged())
    const proxy = await stage(
      `${confOf('one', 'reqmod', first.port)}icap_service two respmod_precache icap://127.0.0.1:${second.port}/two\nicap_service three respmod_precache icap://127.0.0.1:${third.port}/three\nadaptation_service_chain both two three\nadaptation_access both allow all\nadaptation_masterx_shared_names X-Subscriber\n`,
    )
    for (let i = 0; i < 2; i++) await proxy.ask(get(web.port))
    const said = (heard: readonly string[]) => heard.map(text => /^X-Subscriber: .*$/m.exec(text.split('\r\n\r\n')[0] ?? '')?.[0])
    expect([said(first.heard), said(second.heard), said(third.heard)]).toEqual([
      [undefined, undefined], ['X-Subscriber: 17', 'X-Subscriber: 17'], ['X-Subscriber: 18', 'X-Subscriber: 18'],
    ])
    expect(second.heard.join('')).not.toContain('X-Other')
  })
})
