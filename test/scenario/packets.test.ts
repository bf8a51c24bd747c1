// What packets to clients carry, and how their sockets are tuned. Seen in the kernel: the options of the proxy's own
// descriptors, by getsockopt.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { native } from '../../native/index.ts'
import { get, originConnections, clientConnections, site, type Stage, stage, stageOf } from './scene.ts'

const tosOption = [0, 1] as const
const markOption = [1, 36] as const

const option = (proxy: Stage, level: number, name: number, of: typeof clientConnections = clientConnections): number => {
  const fd = of(proxy)[0]?.fd ?? -1
  const buffer = Buffer.alloc(4)
  const length = native.present ? native.addon.getOption(fd, level, name, buffer) : -1
  return length === 1 ? buffer.readUInt8() : length === 4 ? buffer.readInt32LE() : length
}

/** CAP_NET_ADMIN. */
const mayMark = (BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'}`) & (1n << 12n)) !== 0n

describe.skipIf(!native.present)('packets to clients', () => {
  it('have the type of service of what they ask for, and lose it with the next request', async () => {
    const web = await site(() => ({}))
    const proxy = await stage('acl video urlpath_regex ^/video\nacl post method POST\nclientside_tos 0x20 video\nclientside_tos 0x43 post\n')
    const wire = await proxy.client()
    const seen: number[] = []
    for (const path of ['/', '/video', '/video/2', '/']) {
      await wire.send(get(web.port, path)).response()
      seen.push(option(proxy, ...tosOption))
    }
    expect(seen).toEqual([0, 0x20, 0x20, 0])
  })

  it('have that of where the response comes from, which counts more', async () => {
    const web = await site(r => ({ fields: [r.url === '/kept' ? 'Cache-Control: max-age=600' : 'Cache-Control: no-store'] }))
    const proxy = await stage('acl all2 src all\nclientside_tos 0x10 all2\nqos_flows local-hit=0x30\nqos_flows tos miss=0x08 sibling-hit=0x50\n')
    const wire = await proxy.client()
    const seen: number[] = []
    for (const path of ['/', '/kept', '/kept', '/']) {
      await wire.send(get(web.port, path)).response()
      seen.push(option(proxy, ...tosOption))
    }
    expect(seen).toEqual([0x08, 0x08, 0x30, 0x08])
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MISS/200'])
    // an answer of our own is neither
    await wire.send(get(1, '/')).response()
    expect(option(proxy, ...tosOption)).toBe(0x10)
  })

  it.skipIf(!mayMark)(`are marked, the other bits left${mayMark ? '' : ' (needs CAP_NET_ADMIN)'}`, async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=600'] }))
    const proxy = await stage('acl a urlpath_regex ^/a\nacl b urlpath_regex ^/b\nmark_client_packet 0x30 a\nmark_client_packet 0x5/0xf b\n')
    const wire = await proxy.client()
    const seen: number[] = []
    for (const path of ['/a', '/b', '/c']) {
      await wire.send(get(web.port, path)).response()
      seen.push(option(proxy, ...markOption))
    }
    expect(seen).toEqual([0x30, 0x35, 0x30])
    const flows = await stage('qos_flows mark local-hit=0x1 miss=0x2\n')
    const other = await flows.client()
    await other.send(get(web.port, '/d')).response()
    expect(option(flows, ...markOption)).toBe(2)
    await other.send(get(web.port, '/d')).response()
    expect(option(flows, ...markOption)).toBe(1)
  })
})

describe.skipIf(!native.present)('sockets', () => {
  it('are tuned as the port says', async () => {
    const web = await site(() => ({}))
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web tcpkeepalive=31,7,20 disable-pmtu-discovery=always\nhttp_access allow all\ntcp_recv_bufsize 20 KB\n')
    const wire = await proxy.client()
    await wire.send(get(web.port)).response()
    const tcp = 6
    expect([option(proxy, 1, 9), option(proxy, tcp, 4), option(proxy, tcp, 5), option(proxy, tcp, 6)]).toEqual([1, 31, 7, 3])
    expect(option(proxy, 0, 10)).toBe(0) // IP_PMTUDISC_DONT
    expect([option(proxy, 1, 8), option(proxy, 1, 8, originConnections)]).toEqual([40960, 40960])
  })

  it('wait in the kernel for their first bytes with accept_filter', async () => {
    const proxy = await stage('accept_filter data=7\n')
    const fd = proxy.machine.comm.fdTable().find(entry => entry.kind === 'listener')?.fd ?? -1
    const buffer = Buffer.alloc(4)
    if (native.present) native.addon.getOption(fd, 6, 9, buffer)
    expect(buffer.readInt32LE()).toBeGreaterThanOrEqual(7) // the kernel counts retransmissions
    const wire = await proxy.client()
    for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
    expect(clientConnections(proxy)).toEqual([])
    const web = await site(() => ({}))
    expect((await wire.send(get(web.port)).response()).status).toBe(200)
  })

  it('are left alone otherwise', async () => {
    const web = await site(() => ({}))
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web disable-pmtu-discovery=transparent\nhttp_access allow all\n')
    const wire = await proxy.client()
    await wire.send(get(web.port)).response()
    expect([option(proxy, 1, 9), option(proxy, 0, 10)]).toEqual([0, 1])
  })
})
