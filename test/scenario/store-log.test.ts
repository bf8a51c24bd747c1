// cache_store_log: what becomes of responses, line by line as Squid writes it, so that what reads its store.log reads ours.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { httpDate } from '../../src/http/index.ts'
import { keyText } from '../../src/log/index.ts'
import { get, request, site, type Stage, stage } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-store-log-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const path = () => join(folder, 'store.log')
const log = () => `cache_store_log stdio:${path()}\n`
const disk = () => `cache_dir ufs ${join(folder, 'cache')} 10 16 256\n`

/** Ends the proxy; lines without their times. */
const lines = async (proxy: Stage): Promise<string[]> => {
  await proxy.stop()
  return readFileSync(path(), 'latin1').trimEnd().split('\n').map(line => line.replace(/^\d{10}\.\d{3} /, ''))
}
const actions = async (proxy: Stage): Promise<string[]> => (await lines(proxy)).map(line => line.replace(/ [0-9A-F]{32} .* (\S+ \S+)$/, ' $1'))

describe('cache_store_log', () => {
  it('tells what is written to a cache_dir, with its key, times, type and sizes', async () => {
    const proxy = await stage(log() + disk())
    const now = Math.floor(proxy.clock.wall() / 1000)
    const web = await site(() => ({
      fields: [`Date: ${httpDate(proxy.clock.wall())}`, 'Cache-Control: max-age=600', 'Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT', 'Content-Type: text/plain; charset=utf-8'],
      content: 'content',
    }))
    await proxy.ask(get(web.port, '/1?secret'))
    const uri = `http://127.0.0.1:${web.port}/1?`
    const key = keyText('GET', `${uri}secret`)
    expect(await lines(proxy)).toEqual([
      expect.stringMatching(new RegExp(`^SWAPOUT 00 [0-9A-F]{8} ${key}  200 ${String(now).padStart(9)} 946684800 ${String(now + 600).padStart(9)} text/plain 7/7 GET ${uri.replace('?', '\\?')}$`)),
    ])
  })

  it('tells what was never stored, each with a key of its own', async () => {
    const web = await site(request => ({ fields: [request.url === '/yes' ? 'Cache-Control: max-age=60' : 'Cache-Control: no-store'], content: 'x' }))
    const proxy = await stage(`${log()}${disk()}acl denied urlpath_regex ^/denied\nmiss_access deny denied\n`)
    for (const path of ['/no', '/no', '/yes', '/yes', '/denied']) await proxy.ask(get(web.port, path))
    await proxy.ask(request('POST', web.port, '/yes', ['Content-Length: 1'], 'x'), 'POST')
    const all = await lines(proxy)
    const unstored = all.filter(line => line.startsWith('RELEASE -1 FFFFFFFF '))
    expect(unstored.map(line => line.replace(/.* (\S+) \S+(\/.*)$/, '$1 $2'))).toEqual(['GET /no', 'GET /no', 'GET /denied', 'POST /yes'])
    // content, and how much of it there was; a page of our own is as long as it says
    for (const line of unstored) expect(line).toMatch(/ (\d+)\/\1 /)
    expect(new Set(unstored.map(line => line.split(' ')[3])).size).toBe(4)
    expect(all.filter(line => line.startsWith('SWAPOUT 00'))).toHaveLength(1)
    // the unsafe request has ended what was stored
    expect(all.filter(line => line.startsWith('RELEASE 00'))).toHaveLength(1)
  })

  it('tells what rises from disk, and what another takes the place of', async () => {
    const web = await site((_, nth) => ({ fields: ['Cache-Control: max-age=60'], content: `${nth}` }))
    const first = await stage(log() + disk())
    await first.ask(get(web.port, '/a'))
    await first.stop()
    const proxy = await stage(log() + disk())
    await proxy.ask(get(web.port, '/a'))
    await proxy.ask(get(web.port, '/a', 'Cache-Control: no-cache'))
    const uri = `GET http://127.0.0.1:${web.port}/a`
    const told = await actions(proxy)
    expect(told.map(line => line.replace(/ [0-9A-F]{8} /, ' '))).toEqual([`SWAPOUT 00 ${uri}`, `SWAPIN  00 ${uri}`, `RELEASE 00 ${uri}`, `SWAPOUT 00 ${uri}`])
    const numbers = told.map(line => /0[0-9A-F]{7}/.exec(line)?.[0])
    expect(numbers.slice(0, 3)).toEqual([numbers[0], numbers[0], numbers[0]])
    expect(numbers[3]).not.toBe(numbers[0])
  })

  it('tells what memory alone has had', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x'.repeat(4000) }))
    const proxy = await stage(`${log()}cache_mem 20 KB\n`)
    for (let i = 0; i < 6; i++) await proxy.ask(get(web.port, `/${i}`))
    const told = await actions(proxy)
    expect(told.slice(0, 2)).toEqual([`RELEASE -1 FFFFFFFF GET http://127.0.0.1:${web.port}/0`, `RELEASE -1 FFFFFFFF GET http://127.0.0.1:${web.port}/1`])
  })

  it('comes and goes with a reload, and is renamed by a rotation', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const proxy = await stage(disk())
    const reload = (conf: string) => proxy.reload(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\n${disk()}${conf}`)
    await proxy.ask(get(web.port, '/1'))
    reload(log())
    await proxy.ask(get(web.port, '/2'))
    proxy.machine.rotate()
    await proxy.ask(get(web.port, '/3'))
    reload('')
    await proxy.ask(get(web.port, '/4'))
    expect((await actions(proxy)).map(line => line.slice(-2))).toEqual(['/3'])
    expect(readFileSync(`${path()}.0`, 'latin1')).toMatch(/\/2\n$/)
  })

  it('none is nothing', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const proxy = await stage(`${disk()}cache_store_log none\n`)
    await proxy.ask(get(web.port))
    await proxy.stop()
    expect(existsSync(path())).toBe(false)
  })
})
