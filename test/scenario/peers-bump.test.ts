// ssl_bump behind a parent: whether a client's TLS is read here or passed on, it leaves through the parent, and nothing the
// client meant for the site is seen there. The client is curl, the site node:https, the parent answers CONNECT.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { TestAuthority } from '../support/authority.ts'
import { heard } from '../support/origin.ts'
import { raw, type Stage, stageOf } from './scene.ts'

const mine = new TestAuthority('Bumping CA')
const theirs = new TestAuthority('Public CA')
const real = theirs.certify('site.test', 'DNS:site.test,DNS:*.site.test,IP:127.0.0.1')
afterAll(() => {
  mine.remove()
  theirs.remove()
})

const servers: { close(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const secureSite = async () => {
  const urls: string[] = []
  const server = https.createServer({ cert: readFileSync(real.cert), key: readFileSync(real.key) }, (request, response) => {
    urls.push(`${request.headers.host}${request.url}`)
    response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': 13 }).end('from the site')
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  servers.push({ close: () => void (server.closeAllConnections(), server.close()) })
  return { urls, port: (server.address() as net.AddressInfo).port }
}

/** Every tunnel leads to the site; what passes in clear text would be seen. */
const parentTo = async (site: number) => {
  const heads: string[] = []
  let seen = ''
  const made = await raw(async socket => {
    const head = await heard(socket).catch(() => null)
    if (head === null) return // it was only looked for
    heads.push(head.split('\r\n', 1)[0] ?? '')
    const on = net.connect(site, '127.0.0.1')
    for (const one of [on, socket]) one.on('error', () => {})
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1')
    })
    socket.pipe(on).pipe(socket)
  })
  return { port: made.port, heads, seen: () => seen }
}

const curl = (proxy: Stage, ca: string, url: string): Promise<string> =>
  new Promise(resolve => {
    const args = ['-sS', '--http1.1', '--proxy', `http://127.0.0.1:${proxy.port('web')}`, '--cacert', ca, url]
    execFile('curl', args, { timeout: 20_000, encoding: 'latin1' }, (_error, out, err) => resolve(out + err))
  })

const hosts = `hosts_file ${new URL('../support/hosts-of-sites', import.meta.url).pathname}`

const behind = async (parent: number, rules: string): Promise<Stage> => {
  const port = `http_port 127.0.0.1:0 name=web ssl-bump tls-cert=${mine.ca.cert} tls-key=${mine.ca.key}`
  const trust = `tls_outgoing_options cafile=${theirs.ca.cert} default-ca=off`
  const peer = `cache_peer 127.0.0.1 parent ${parent} 0 no-query name=p\nnever_direct allow all`
  const proxy = await stageOf(`${port}\n${hosts}\nhttp_access allow all\n${trust}\n${peer}\n${rules}\n`)
  // clients of this machine judge our certificates by its clock
  proxy.clock.setWall(systemClock.wall())
  return proxy
}

describe('behind a parent', () => {
  it('what is bumped is read here, stored, and fetched in TLS through the parent', async () => {
    const site = await secureSite()
    const parent = await parentTo(site.port)
    const proxy = await behind(parent.port, 'ssl_bump bump all')
    for (let i = 0; i < 2; i++) expect(await curl(proxy, mine.ca.cert, `https://www.site.test:${site.port}/secret`)).toBe('from the site')
    expect(site.urls).toEqual([`www.site.test:${site.port}/secret`])
    expect(parent.heads).toEqual([`CONNECT www.site.test:${site.port} HTTP/1.1`])
    expect(parent.seen()).not.toContain('secret')
    const fetched = proxy.records.filter(({ method }) => method === 'GET')
    expect(fetched.map(r => `${r.result} ${r.hierarchy} ${r.peer}`.trim())).toEqual(['TCP_MISS FIRSTUP_PARENT p', 'TCP_MEM_HIT HIER_NONE'])
  })

  it('what is spliced is a tunnel of the client with the site', async () => {
    const site = await secureSite()
    const parent = await parentTo(site.port)
    const proxy = await behind(parent.port, 'acl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump splice all')
    expect(await curl(proxy, theirs.ca.cert, `https://www.site.test:${site.port}/`)).toBe('from the site')
    expect(parent.heads).toEqual([`CONNECT www.site.test:${site.port} HTTP/1.1`])
    await proxy.results(1)
    expect(proxy.records[0]).toMatchObject({ result: 'TCP_TUNNEL', hierarchy: 'FIRSTUP_PARENT', peer: 'p' })
  })
})
