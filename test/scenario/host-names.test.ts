// append_domain, check_hostnames, allow_underscore, dns_retransmit_interval: what becomes of the names clients ask for.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until, site, stage, stageOf } from './scene.ts'
import { startDnsServer } from '../support/dns-server.ts'

const ask = (port: number, host: string, ...lines: readonly string[]): string =>
  `GET http://${host}:${port}/ HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`

const named = async (names: readonly string[]) => {
  const server = await startDnsServer(({ name, type }) =>
    names.includes(name) ? { records: type === 'A' ? [{ type: 'A', ttl: 60, address: '127.0.0.1' }] : [] } : { rcode: 3 },
  )
  return { server, conf: `hosts_file none\ndns_nameservers 127.0.0.1:${server.endpoint.port}\n` }
}

describe('the name of a numeric host', () => {
  const conf = (folder: string) => `hosts_file ${folder}/hosts\nacl d dstdomain .inside.test\nacl r dstdom_regex ^box\\.\nacl n dstdomain -n .inside.test\nacl none dstdomain none\n`
  const hosts = (text: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-names-'))
    writeFileSync(join(folder, 'hosts'), text)
    onTestFinished(() => rmSync(folder, { recursive: true }))
    return folder
  }

  it.each([
    ['deny d', 403],
    ['deny r', 403],
    ['deny n', 200],
    ['deny none', 200],
  ])('decides as Squid has it, where it leads back to the address: http_access %s', async (rule, status) => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web\n${conf(hosts('127.0.0.1 box.inside.test localhost\n'))}http_access ${rule}\nhttp_access allow all\n`)
    expect((await proxy.ask(ask(web.port, '127.0.0.1'))).status).toBe(status)
  })

  it("is 'none' where it has none", async () => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhosts_file none\ndns_nameservers 127.0.0.1\nacl none dstdomain none\nacl d dstdomain .inside.test\nhttp_access deny none !d\nhttp_access allow all\n')
    expect((await proxy.ask(ask(web.port, '127.0.0.1'))).status).toBe(403)
  })
})

describe('append_domain', () => {
  it('is for names without a dot: access lists, the origin and the cache see the whole name', async () => {
    const dns = await named(['intranet.example.org', 'www.example.org'])
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x' }))
    const proxy = await stageOf(
      `http_port 127.0.0.1:0 name=web\n${dns.conf}append_domain .Example.org\nacl inside dstdomain .example.org\nhttp_access allow inside\nhttp_access deny all\n`,
    )
    for (const host of ['Intranet', 'www.example.org']) expect((await proxy.ask(ask(web.port, host))).status).toBe(200)
    expect((await proxy.ask(ask(web.port, 'intranet.example.org'))).status).toBe(200)
    expect([0, 1].map(nth => web.field(nth, 'host'))).toEqual([`intranet.example.org:${web.port}`, `www.example.org:${web.port}`])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200'])
    await proxy.stop()
    await dns.server.close()
  })

  it('finds what stands in hosts_file without a dot, and such clients have the whole name', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-hosts-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'hosts'), '127.0.0.1 wiki')
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stageOf(
      `http_port 127.0.0.1:0 name=web\nhosts_file ${folder}/hosts\nappend_domain .example.org\nacl ours srcdomain .example.org\nhttp_access allow ours\nhttp_access deny all\n`,
    )
    for (const host of ['wiki', 'wiki.example.org']) expect((await proxy.ask(ask(web.port, host))).status).toBe(200)
    expect(web.field(0, 'host')).toBe(`wiki.example.org:${web.port}`)
  })

  it('is not for localhost, addresses, or the proxy itself', async () => {
    const web = await site(() => ({ content: 'x' }))
    const proxy = await stage('append_domain .example.org\nvisible_hostname box\n')
    for (const host of ['localhost', '127.0.0.1']) expect((await proxy.ask(ask(web.port, host))).status).toBe(200)
    const page = await proxy.ask(`GET http://box:${proxy.port('web')}/squid-internal-mgr/menu HTTP/1.1\r\nHost: box\r\n\r\n`)
    expect(page.status).toBe(200)
  })

  it('is for CONNECT, and keeps host_verify_strict content', async () => {
    const proxy = await stage('append_domain .example.org\nhost_verify_strict on\nacl whole dstdomain far.example.org\nhttp_access deny whole\n')
    const wire = await proxy.client()
    wire.send('CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n')
    await until(() => proxy.records.length > 0, 'a record')
    expect(proxy.records[0]?.uri).toBe('far.example.org:443')
    expect(proxy.records[0]?.status).not.toBe(409)
  })
})

describe('check_hostnames', () => {
  it.each<readonly [string, string, string]>([
    ['check_hostnames on\n', 'a_b', 'let pass'],
    ['check_hostnames on\n', 'a~b', 'refused'],
    ['check_hostnames on\nallow_underscore off\n', 'a_b', 'refused'],
    ['check_hostnames on\nallow_underscore off\n', 'a-b.c9', 'let pass'],
    ['check_hostnames off\nallow_underscore off\n', 'a_b~', 'let pass'],
    ['check_hostnames on\nallow_underscore off\n', '[::1]', 'let pass'],
  ])('%j: %s is %s', async (conf, host, expected) => {
    const proxy = await stage(`${conf}dns_nameservers 127.0.0.1:1\nacl elsewhere port 1\nhttp_access deny elsewhere\n`)
    const { fields } = await proxy.ask(ask(1, host))
    expect(fields.get('x-squid-error') === 'ERR_INVALID_URL 0' ? 'refused' : 'let pass').toBe(expected)
  })
})
