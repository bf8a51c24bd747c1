// What a plug can be told beside its server: how fast, one way only, how often to tell its bytes, and how many connections
// one session takes. The clock is moved by hand; rates are exact to the byte on the native engine.

import net from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { endpoint } from '../../src/base/index.ts'
import { native } from '../../native/index.ts'
import { CountPlug } from '../../src/proxy/index.ts'
import { plainSocket } from '../support/datagram-kit.ts'
import { raw, type Stage, stageOf, until } from './scene.ts'

const plugTo = (port: number, options = ''): string =>
  `listener 127.0.0.1:0 service=mail name=in\nservice mail plug router=fixed ${options}\nrouter fixed directed 127.0.0.1:${port}\n`

const clients: net.Socket[] = []
const stages: Stage[] = []
const staged = async (conf: string): Promise<Stage> => {
  const proxy = await stageOf(conf)
  stages.push(proxy)
  return proxy
}

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
  for (const proxy of stages.splice(0)) proxy.clock.advance(70_000) // flows have no other end
})

const dial = async (proxy: Stage, localAddress = '127.0.0.1', name = 'in'): Promise<net.Socket> => {
  const socket = net.connect({ port: proxy.port(name), host: '127.0.0.1', localAddress, allowHalfOpen: true })
  clients.push(socket)
  await once(socket, 'connect')
  return socket.on('error', () => {})
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}

const passes = async (proxy: Stage, seconds: number): Promise<void> => {
  for (let i = 0; i < seconds * 20; i++) {
    await turns(4)
    proxy.clock.advance(50)
  }
  await turns(4)
}

const floods = (bytes: number) => raw(socket => void socket.on('error', () => {}).resume().write(Buffer.alloc(bytes, 'x')))

const counted = (socket: net.Socket) => {
  const seen = { bytes: 0 }
  socket.on('data', (chunk: Buffer) => {
    seen.bytes += chunk.length
  })
  return seen
}

describe.skipIf(!native.present)('bandwidth of plugs', () => {
  it('of a session: no more than its rate, whatever the server has', async () => {
    const server = await floods(4_000_000)
    const proxy = await staged(plugTo(server.port, 'bandwidth=100KB/s'))
    const got = counted(await dial(proxy))
    await passes(proxy, 2)
    expect(got.bytes).toBeLessThanOrEqual(25_000 + 200_000)
    expect(got.bytes).toBeGreaterThan(150_000)
  })

  it('of a client: its sessions share, another client has its own', async () => {
    const server = await floods(4_000_000)
    const proxy = await staged(plugTo(server.port, 'bandwidth_per_client=100KB/s'))
    const mine = [counted(await dial(proxy)), counted(await dial(proxy)), counted(await dial(proxy))]
    const other = counted(await dial(proxy, '127.0.0.2'))
    await passes(proxy, 2)
    const all = mine.reduce((sum, { bytes }) => sum + bytes, 0)
    expect(all).toBeLessThanOrEqual(225_000)
    expect(all).toBeGreaterThan(150_000)
    expect(other.bytes).toBeLessThanOrEqual(225_000)
    expect(other.bytes).toBeGreaterThan(150_000)
  })

  it('of a zone: its clients share', async () => {
    const server = await floods(4_000_000)
    const zones = 'zone here 127.0.0.0/31\nzone there 127.0.1.0/24\n'
    const proxy = await staged(zones + plugTo(server.port, 'bandwidth_per_zone=100KB/s'))
    const here = [counted(await dial(proxy, '127.0.0.1')), counted(await dial(proxy, '127.0.0.1'))]
    const there = counted(await dial(proxy, '127.0.1.1'))
    await passes(proxy, 2)
    expect(here.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(225_000)
    expect(there.bytes).toBeGreaterThan(150_000)
  })

  it('the limits are given back with the last session', async () => {
    const server = await floods(1000)
    const proxy = await staged(plugTo(server.port, 'bandwidth=100KB/s bandwidth_per_client=200KB/s'))
    const clients = [await dial(proxy), await dial(proxy)]
    for (const client of clients) client.resume()
    await until(() => proxy.machine.comm.counters.relays === 2, 'both relays')
    for (const client of clients) client.resetAndDestroy()
    await until(() => proxy.records.length === 2, 'both records')
    expect(proxy.machine.comm.bandwidth(1000).index, 'the first index again').toBeLessThan(4)
  })
})

describe('a plug', () => {
  it('one_way=to_server: the client hears nothing but the end', async () => {
    const heard: string[] = []
    const server = await raw(socket => {
      socket.write('you should not see this')
      socket.on('data', data => heard.push(String(data))).on('end', () => socket.end())
    })
    const proxy = await staged(plugTo(server.port, 'one_way=to_server'))
    const client = await dial(proxy)
    const got = counted(client)
    client.end('to the server')
    await once(client, 'end')
    expect([heard.join(''), got.bytes]).toEqual(['to the server', 0])
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ requestContentBytes: 13, responseBytes: 0 })
  })

  it('stats_interval: tells its bytes while it runs', async () => {
    const server = await raw(socket => void socket.on('error', () => {}).resume().on('end', () => socket.end()).write('welcome'))
    const proxy = await staged(`${plugTo(server.port, 'stats_interval=10s')}`)
    const client = await dial(proxy)
    client.write('hello')
    await once(client, 'data')
    await until(() => proxy.machine.comm.counters.relays === 1, 'the relay')
    await turns(5)
    proxy.clock.advance(10_500)
    expect(proxy.said.join('\n')).toMatch(/svc\/mail:1\/plug: 5 bytes to the server, 7 to the client so far/)
  })
})

describe('secondary sessions', () => {
  /** Instances there were: the numbers of their sessions. */
  const instances = (proxy: Stage): number[] =>
    [...new Set(proxy.records.map(({ sessionId }) => Number(/:(\d+)/.exec(sessionId)?.[1])))].sort((a, b) => a - b)

  /** Connections that are there, as the operator's list has them. */
  const listed = async (proxy: Stage): Promise<string[]> => {
    const answer = await proxy.machine.manager.find('sessions')?.render(new URLSearchParams())
    return answer?.ok === true ? [...answer.text().matchAll(/^svc\/(\S+) /gm)].map(found => found[1] ?? '').sort() : []
  }

  const closed = (client: net.Socket): Promise<unknown> => new Promise(resolve => client.resume().on('close', resolve))

  /** It may be reset before it knows that it is connected. */
  const turnedAway = (proxy: Stage, localAddress: string): Promise<unknown> =>
    closed(net.connect({ port: proxy.port('in'), host: '127.0.0.1', localAddress }).on('error', () => {}))

  const instancesNow = async (proxy: Stage): Promise<number> => (await listed(proxy)).filter(id => !id.includes('+')).length

  const silent = () => raw(socket => void socket.on('error', () => {}).resume().on('end', () => socket.end()))

  /**
   * Two listeners at the same service; connections that differ from the first one in the source address, in the source
   * port (which all do), and in the destination's port.
   */
  const open = async (proxy: Stage): Promise<net.Socket[]> => {
    const made: net.Socket[] = []
    for (const [address, name] of [['127.0.0.1', 'in'], ['127.0.0.1', 'in'], ['127.0.0.2', 'in'], ['127.0.0.2', 'in']] as const) {
      const before = proxy.machine.comm.counters.relays
      made.push(await dial(proxy, address, name))
      await until(() => proxy.machine.comm.counters.relays === before + 1, 'its relay')
    }
    return made
  }

  // The destination is always the same here, and no two connections have the same source port. So: without the bits of
  // the source all four are alike; with its address alone two and two; with its port none.
  it.each(Array.from({ length: 16 }, (_, mask) => ({ mask, wanted: mask & 2 ? 4 : mask & 1 ? 2 : 1 })))(
    'mask $mask: $wanted instances for four connections',
    async ({ mask, wanted }) => {
      const server = await silent()
      const proxy = await staged(plugTo(server.port, `secondary_sessions=10 secondary_mask=0x${mask.toString(16)}`))
      const clients = await open(proxy)
      expect(await instancesNow(proxy)).toBe(wanted)
      for (const client of clients) client.end()
      await until(() => proxy.records.length === 4, 'the records')
      expect(instances(proxy)).toHaveLength(wanted)
      await until(() => proxy.machine.sessions === 0, 'all sessions to end')
    },
  )

  it('one more than the limit begins a new instance, and an ended one makes room', async () => {
    const server = await silent()
    const proxy = await staged(plugTo(server.port, 'secondary_sessions=2 secondary_mask=0'))
    const taken = CountPlug.secondary
    const clients: net.Socket[] = []
    for (let i = 0; i < 7; i++) {
      clients.push(await dial(proxy))
      await until(() => proxy.machine.comm.counters.relays === i + 1, 'its relay')
    }
    // 1 + 2, 1 + 2, 1
    expect(await instancesNow(proxy)).toBe(3)
    expect(CountPlug.secondary - taken).toBe(4)
    for (const client of clients) client.end()
    await until(() => proxy.records.length === 7, 'the records')
    expect(proxy.records.map(({ sessionId }) => sessionId).sort()).toEqual([
      'svc/mail:1+1/plug', 'svc/mail:1+2/plug', 'svc/mail:1/plug', 'svc/mail:2+1/plug', 'svc/mail:2+2/plug', 'svc/mail:2/plug', 'svc/mail:3/plug',
    ])
  })

  it('an instance lives on with its secondary connections, and is gone with the last', async () => {
    const server = await silent()
    const proxy = await staged(plugTo(server.port, 'secondary_sessions=5 secondary_mask=0xC'))
    const first = await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 1, 'the first relay')
    const second = await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 2, 'the second relay')
    first.end()
    await until(() => proxy.records.length === 1, 'the first record')
    const third = await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 3, 'the third relay')
    second.end()
    third.end()
    await until(() => proxy.records.length === 3, 'all records')
    expect(instances(proxy)).toEqual([1])
    const later = await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 4, 'the last relay')
    later.end()
    await until(() => proxy.records.length === 4, 'the last record')
    expect(instances(proxy)).toEqual([1, 2])
  })

  it('nobody comes in by the session of somebody else: whom the rules refuse they refuse, and limits of a client hold', async () => {
    const server = await silent()
    const alike = `service mail plug router=fixed secondary_sessions=10 secondary_mask=0xC max_sessions_per_client=2\nrouter fixed directed 127.0.0.1:${server.port}\n`
    const proxy = await staged(
      `zone here 127.0.0.1\nzone there 127.0.0.0/24\nlistener 127.0.0.1:0 rules name=in\nservice nobody deny\n${alike}` +
        'rule src_zone=here service=mail\nrule src_zone=there service=nobody\nrule src=127.0.0.9 service=mail\n',
    )
    await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 1, 'the first relay')
    await turnedAway(proxy, '127.0.0.2')
    await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 2, 'the second relay')
    await turnedAway(proxy, '127.0.0.1')
    await dial(proxy, '127.0.0.9')
    await until(() => proxy.machine.comm.counters.relays === 3, 'the third relay')
    expect(await listed(proxy)).toEqual(['mail:1', 'mail:1+1', 'mail:1+2'])
    expect(proxy.said.filter(text => text.includes('turned away'))).toEqual(['WARNING: 127.0.0.1 is turned away: 127.0.0.1 has 2 sessions of mail'])
  })

  it('the operator ends one of its connections, or all of them; the process waits for them as for others', async () => {
    const server = await silent()
    const proxy = await staged(plugTo(server.port, 'secondary_sessions=10 secondary_mask=0'))
    const ends: Promise<unknown>[] = []
    for (let i = 1; i <= 4; i++) {
      const client = await dial(proxy)
      ends.push(closed(client))
      await until(() => proxy.machine.comm.counters.relays === i, 'its relay')
    }
    const stop = async (id: string) => (await proxy.machine.manager.find('stop_session')?.render(new URLSearchParams({ id })))?.ok
    expect(await stop('svc/mail:1+2')).toBe(true)
    await ends[2]
    expect(await listed(proxy)).toEqual(['mail:1', 'mail:1+1', 'mail:1+3'])
    expect(proxy.machine.sessions).toBe(3)
    expect(await stop('svc/mail:1')).toBe(true)
    await Promise.all(ends)
    expect(proxy.machine.sessions).toBe(0)
  })

  it('a reload may open its port anew in another way, and what comes then is the new conf’s', async () => {
    const server = await silent()
    const conf = (options: string) => `listener 127.0.0.1:${port} service=mail name=in ${options}\nservice mail plug router=fixed secondary_sessions=10 secondary_mask=0\nrouter fixed directed 127.0.0.1:${server.port}\n`
    const free = net.createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port } = free.address() as net.AddressInfo
    await new Promise(resolve => free.close(resolve))
    const proxy = await staged(conf(''))
    await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 1, 'the first relay')
    proxy.reload(conf('backlog=77'))
    await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 2, 'the second relay')
    await dial(proxy)
    await until(() => proxy.machine.comm.counters.relays === 3, 'the third relay')
    expect(await listed(proxy)).toEqual(['mail:1', 'mail:2', 'mail:2+1'])
  })

  it('datagrams: flows to the same server are one instance with mask 0xC, each with a socket of its own', async () => {
    const server = await plainSocket('127.0.0.1', content => content)
    const proxy = await staged(
      `receiver 127.0.0.1:0 service=names name=in\nservice names plug router=fixed secondary_sessions=2 secondary_mask=0xC\n` +
        `router fixed directed 127.0.0.1:${server.at.port}\n`,
    )
    const clients = await Promise.all(Array.from({ length: 4 }, () => plainSocket()))
    for (const client of clients) {
      client.send(`${client.at.port}`, endpoint('127.0.0.1', proxy.port('in')))
      await client.has(1)
      expect(client.got[0]?.text).toBe(`${client.at.port}`)
    }
    expect(new Set(server.got.map(({ from }) => from.port)).size).toBe(4)
    expect(await instancesNow(proxy)).toBe(2) // 1 + 2, 1
    for (const client of [...clients, server]) client.close()
  })
})
