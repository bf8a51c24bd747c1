// Datagrams on a gateway with real kernel rules: the client's datagrams to a foreign server are taken by TPROXY, the
// server sees the client's own address, and the answers come from the address the client had sent to. Seen at the client,
// at the server, and in the proxy's access log.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { anonymousBytes, confPath, descriptorCount, factsLog, families, Gateway, glassquid, program } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft')

const conf = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
receiver 53 tproxy service=theirs name=same
receiver 3154 tproxy service=theirs name=other idle_timeout=1s flows_max=2000
receiver 3155 tproxy service=exact name=exact idle_timeout=1s
receiver 3156 tproxy service=ours name=ours idle_timeout=1s flows_max=300 flows_per_client=200
router theirs transparent forge_addr=on
router exact transparent forge_addr=on forge_port=exact
service theirs plug router=theirs
service exact plug router=exact
service ours plug
receiver 3157 tproxy rules name=ruled
service inside plug router=theirs
service grouped plug router=theirs
service elsewhere plug router=theirs
rule dst_port=7011 src_iface=lan service=inside
rule dst_port=7011 src_iface=wan service=elsewhere
rule dst_port=7012 src_group=42 service=grouped
rule dst_port=7012 service=elsewhere
`

interface Seen {
  readonly port: number
  readonly peer: string
  readonly peerPort: number
  readonly bytes: number
  readonly text: string
}

interface Got {
  readonly localPort: number
  readonly got: readonly { readonly text: string; readonly bytes: number; readonly from: string; readonly port: number }[]
}

describe.skipIf(cannot !== null)(`receivers on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let server: Running

  beforeAll(async () => {
    lab = await openNetwork()
    await lab.gateway.script('ip link set lan group 42')
    server = lab.origin.spawn(process.execPath, [program('udp-server'), '53', '7000', '7001', '7002', '7003', '7011', '7012'])
    await server.heard('listening on 7012')
    gateway = await Gateway.open(lab, {
      conf: conf + factsLog,
      rules: [
        'nft', '--interface', 'lan', '--take', '53/udp=same', '--take', '7000,7003-7010/udp=other', '--take', '7001/udp=exact',
        '--take', '7002/udp=ours', '--take', '7011,7012/udp=ruled',
      ],
    })
  })
  afterAll(() => lab.close())

  const send = async (wish: object): Promise<Got> =>
    JSON.parse((await lab.client.must(process.execPath, program('udp-client'), JSON.stringify(wish))).trim())

  /** What the server saw of datagrams that begin so. */
  const seen = (text: string): Seen[] =>
    server.said
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line) as Seen)
      .filter(entry => entry.text.startsWith(text))

  const ways = families.flatMap(family => [
    { ...family, what: 'the port of the receiver', port: 53, source: family.client },
    { ...family, what: 'another port', port: 7000, source: family.client },
    { ...family, what: 'another port, port kept', port: 7001, source: family.client },
    { ...family, what: 'in our own name', port: 7002, source: family.gatewayWan },
  ])

  it.each(ways)('$family, $what: answers come from the server’s address, the server sees $source', async ({ family, port, origin, source }) => {
    const text = `${family} ${port}`
    const { got, localPort } = await send({ sends: [{ to: origin, port, text }], answers: 1 })
    expect(got).toEqual([{ text: `<${text}>`, bytes: text.length + 2, from: origin, port }])
    const [saw] = seen(text)
    expect(saw).toMatchObject({ port, peer: source })
    if (port === 7001) expect(saw?.peerPort).toBe(localPort)
    const record = await gateway.record(({ destination, destinationPort }) => destination === origin && destinationPort === port)
    expect(record).toMatchObject({ taken: 'tproxy', result: 'TCP_TUNNEL', status: 200, hierarchy: 'ORIGINAL_DST', serverLocal: source })
  })

  it.each(families)('by which interface the first came counts for rules, $family', async ({ origin, family }) => {
    for (const [port, service] of [[7011, 'inside'], [7012, 'grouped']] as const) {
      const { got, localPort } = await send({ sends: [{ to: origin, port, text: family }], answers: 1 })
      expect(got).toMatchObject([{ text: `<${family}>`, from: origin, port }])
      const said = await lab.gateway.must(glassquid, 'sessions', '-f', confPath, '--json')
      const { sessions } = JSON.parse(said) as { sessions: readonly Record<string, unknown>[] }
      const found = sessions.find(({ client }) => String(client).endsWith(`:${localPort}`))
      expect(found).toMatchObject({ service, destination: expect.stringContaining(`:${port}`) })
    }
  })

  it.each([53, 7000])('a burst of 100 before the first answer, to port %i: one flow, all of it, in order', async port => {
    const { origin } = families[0]
    const { got } = await send({ sends: [{ to: origin, port, text: `burst ${port} `, times: 100 }], answers: 100 })
    const saw = seen(`burst ${port} `)
    expect(saw.map(({ text }) => text)).toEqual(Array.from({ length: 100 }, (_, i) => `burst ${port} ${i}`))
    expect(new Set(saw.map(({ peerPort }) => peerPort)).size).toBe(1)
    expect(got.map(({ text }) => text)).toEqual(Array.from({ length: 100 }, (_, i) => `<burst ${port} ${i}>`))
    expect(new Set(got.map(({ from, port: sender }) => `${from} ${sender}`))).toEqual(new Set([`${origin} ${port}`]))
  })

  it.each(families)('empty, fragmented and the largest, $family', async ({ origin, family }) => {
    const sizes = [0, 1, 1400, 5000, 65_000, 65_507]
    for (const bytes of sizes) {
      const { got } = await send({ sends: [{ to: origin, port: 7000, text: '', bytes }], answers: 1 })
      expect(got.map(answer => answer.bytes), `${bytes} bytes by ${family}`).toEqual([bytes === 0 ? 0 : Math.min(bytes + 2, 65_507)])
    }
  })

  it('two destinations from one port are two flows, and do not mix', async () => {
    const { origin } = families[0]
    const { bank } = labAddresses
    const sends = [origin, bank.ipv4].flatMap(to => [7000, 7001].map(port => ({ to, port, text: `${to} ${port}` })))
    const { got } = await send({ sends, answers: 4 })
    expect(got.map(({ text, from, port }) => [text, `${from} ${port}`]).sort()).toEqual(
      sends.map(({ to, port, text }) => [`<${text}>`, `${to} ${port}`]).sort(),
    )
  })

  it('what the server’s host says (nobody listens) ends the session', async () => {
    const { origin } = families[0]
    await send({ sends: [{ to: origin, port: 7009, text: 'anybody?' }], answers: 1, waitMs: 300 })
    expect(await gateway.record(({ destinationPort }) => destinationPort === 7009)).toMatchObject({ bytes: 0 })
  })

  it('a thousand flows at once, each answered, and nothing is left of them', async () => {
    const { origin } = families[0]
    const pid = gateway.proxy.pid
    const before = descriptorCount(pid)
    // ports of our own: one that the kernel gives out may be one that was closed a moment ago, and its flow goes on
    const script = `
      const dgram = require('dgram')
      const first = Number(process.argv[1])
      const waiting = new Set()
      const send = (s, i) => s.send('flow ' + i, 7000, '${origin}')
      for (let i = 0; i < 100; i++) {
        const s = dgram.createSocket('udp4')
        waiting.add(s)
        s.on('message', m => {
          if (String(m) !== '<flow ' + i + '>') process.exit(3)
          if (waiting.delete(s) && waiting.size === 0) process.exit(0)
        })
        s.bind(first + i, () => {
          send(s, i)
          // datagrams may be lost on a busy machine, and clients repeat themselves
          setInterval(() => { if (waiting.has(s)) send(s, i) }, 1000)
        })
      }
      setTimeout(() => process.exit(4), 15000)`
    const firsts = Array.from({ length: 10 }, (_, i) => 20_000 + 100 * i)
    await Promise.all(firsts.map(first => lab.client.must(process.execPath, '-e', script, String(first))))
    const ports = () => new Set(gateway.records.map(record => record.clientPort).filter(port => port >= 20_000 && port < 21_000))
    await expect.poll(() => ports().size, { timeout: 20_000 }).toBe(1000)
    await expect.poll(() => descriptorCount(pid), { timeout: 10_000 }).toBeLessThanOrEqual(before + 4)
  })

  it('a flood with invented sources: what runs goes on, memory and descriptors stay bounded', async () => {
    const { origin } = families[0]
    const pid = gateway.proxy.pid
    const before = { fds: descriptorCount(pid), memory: anonymousBytes(pid) }
    // a raw socket writes any source; the kernel fills in checksum and length of the IP header, UDP's may be 0
    const flood = `
import socket, struct, random
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
dst = socket.inet_aton('${origin}')
for i in range(20000):
    src = bytes([198, 51, 100, random.randint(3, 250)])
    payload = b'silence'
    udp = struct.pack('!HHHH', random.randint(1024, 65535), 7002, 8 + len(payload), 0)
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 0, i & 0xffff, 0, 64, 17, 0, src, dst)
    s.sendto(ip + udp + payload, ('${origin}', 0))
`
    const running = send({
      sends: [{ to: origin, port: 7000, text: 'while flooded ', times: 50 }],
      answers: 50,
    })
    const flooded = lab.client.must('python3', '-c', flood)
    expect((await running).got).toHaveLength(50)
    await flooded
    expect(seen('silence').length, 'the flood was relayed as far as it may be').toBeGreaterThanOrEqual(200)
    expect(descriptorCount(pid)).toBeLessThanOrEqual(before.fds + 300 + 60)
    expect(anonymousBytes(pid) - before.memory).toBeLessThan(64 * 1024 * 1024)
    expect((await send({ sends: [{ to: origin, port: 7000, text: 'after' }], answers: 1 })).got).toHaveLength(1)
  })

  it('whoever sends to the receiver itself is not relayed', async () => {
    const { got } = await send({ sends: [{ to: labAddresses.gateway.ipv4, port: 3154, text: 'direct hit' }], answers: 1, waitMs: 300 })
    expect(got).toEqual([])
    expect(gateway.records.filter(({ destination }) => destination === labAddresses.gateway.ipv4)).toEqual([])
  })
})
