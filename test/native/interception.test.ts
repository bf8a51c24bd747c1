import { describe, expect, it } from 'vitest'
import { labAddresses, type Namespace, type Network, noLabWith, type Running, withLab } from '../support/net-lab.ts'
import type { ConnectWish, ListenWish } from './gateway.ts'
import { noAddon } from './present.ts'

// What the kernel tells about intercepted connections, and what it lets us forge: real rules, real packets, three
// machines. Asserted at our program on the gateway, and for forged connections at the origin and in the gateway's
// packet counters.

const { client, gateway, gatewayWan, origin } = labAddresses
const why = noAddon ?? noLabWith('nft', 'curl')

const program = new URL('./gateway.ts', import.meta.url).pathname

const run = (at: Namespace, wishes: { listen?: readonly ListenWish[]; connect?: readonly ConnectWish[] }, before: readonly string[] = []): Running =>
  at.spawn(before[0] ?? process.execPath, [...before.slice(1), ...(before.length > 0 ? [process.execPath] : []), program, JSON.stringify(wishes)])

/** What it said about `what`, in order. */
const saidOf = <T>(running: Running, what: string): T[] =>
  running.said
    .split('\n')
    .filter(line => line.startsWith(`${what} `))
    .map(line => JSON.parse(line.slice(what.length + 1)) as T)

interface Accepted {
  readonly name: string
  readonly peer: string
  readonly local: string
  readonly original: { readonly kind: string; readonly destination?: { readonly address: string; readonly port: number }; readonly errno?: string }
}

interface Connected {
  readonly local?: string
  readonly heard?: string
  readonly errno?: string
  readonly syscall?: string
  readonly message?: string
}

const listener = (name: string, address: string, port: number, some: Partial<ListenWish>): ListenWish => ({
  name,
  address,
  port,
  dualStack: false,
  natBackend: 'none',
  foreign: false,
  ...some,
})

/** Connects and answers the first line, or the error. */
const askScript = `
  const [host, port] = process.argv.slice(1)
  const s = require('net').connect(Number(port), host)
  let said = ''
  s.setTimeout(3000, () => { console.log('nothing'); process.exit() })
  s.on('error', e => { console.log(e.code); process.exit() })
  s.on('data', d => { said += d }).on('end', () => { console.log(said.trim()); process.exit() })`

const ask = async (from: Namespace, host: string, port: number): Promise<string> =>
  (await from.must(process.execPath, '-e', askScript, host, String(port))).trim()

/** Tells everybody whom it sees, and keeps the connection. */
const seesScript = `
  require('net').createServer(c => { c.on('error', () => {}); c.write('sees ' + c.remoteAddress.replace('::ffff:', '') + '\\n') })
    .listen(80, '::', () => console.log('listening'))`

const origins = async (lab: Network): Promise<void> => {
  await lab.origin.spawn(process.execPath, ['-e', seesScript]).heard('listening')
}

const tproxyRules = `
  ip -4 rule add pref 100 fwmark 0x100/0x100 lookup 100
  ip -4 route add local default dev lo table 100
  ip -6 rule add pref 100 fwmark 0x100/0x100 lookup 100
  ip -6 route add local default dev lo table 100
  nft -f - <<END
  table inet t {
    chain pre { type filter hook prerouting priority mangle; policy accept;
      meta l4proto tcp tcp flags & (syn|ack) != syn socket transparent 1 meta mark set mark or 0x100 accept
      meta l4proto tcp tcp flags & (syn|ack) == syn socket transparent 1 socket wildcard 0 meta mark set mark or 0x100 accept
      iifname "lan" meta nfproto ipv4 tcp dport 80 tproxy ip to :3130 meta mark set mark or 0x100 accept
      iifname "lan" meta nfproto ipv6 tcp dport 80 tproxy ip6 to :3131 meta mark set mark or 0x100 accept
      iifname "lan" tcp dport 81 tproxy to :3132 meta mark set mark or 0x100 accept
      iifname "lan" tcp dport 3132 fib daddr type != local tproxy to :3132 meta mark set mark or 0x100 accept
    }
  }
END
`

const redirectRules = `
  nft -f - <<END
  table inet n {
    chain pre { type nat hook prerouting priority dstnat;
      iifname "lan" meta nfproto ipv4 tcp dport 80 redirect to :3129
      iifname "lan" meta nfproto ipv6 tcp dport 80 redirect to :3128
      iifname "lan" tcp dport 81 redirect to :3127
    }
  }
END
`

describe.skipIf(why !== null)(`interception ${why ?? ''}`, () => {
  it('SO_ORIGINAL_DST is asked at the right level on IPv4, IPv6 and dual-stack listeners', () =>
    withLab(async lab => {
      await lab.gateway.script(redirectRules)
      const ours = run(lab.gateway, {
        listen: [
          listener('v4', '0.0.0.0', 3129, { natBackend: 'netfilter' }),
          listener('v6', '::', 3128, { natBackend: 'netfilter' }),
          listener('dual', '::', 3127, { natBackend: 'netfilter', dualStack: true }),
        ],
      })
      await ours.heard('ready')
      expect(await ask(lab.client, origin.ipv4, 80)).toBe('v4')
      expect(await ask(lab.client, origin.ipv6, 80)).toBe('v6')
      expect(await ask(lab.client, origin.ipv4, 81)).toBe('dual')
      expect(await ask(lab.client, origin.ipv6, 81)).toBe('dual')
      const accepted = saidOf<Accepted>(ours, 'accepted')
      expect(accepted.map(({ name, local, original }) => [name, local, original])).toEqual([
        ['v4', `${gateway.ipv4}:3129`, { kind: 'nat', destination: { family: 4, address: origin.ipv4, port: 80 } }],
        ['v6', `[${gateway.ipv6}]:3128`, { kind: 'nat', destination: { family: 6, address: origin.ipv6, port: 80 } }],
        ['dual', `${gateway.ipv4}:3127`, { kind: 'nat', destination: { family: 4, address: origin.ipv4, port: 81 } }],
        ['dual', `[${gateway.ipv6}]:3127`, { kind: 'nat', destination: { family: 6, address: origin.ipv6, port: 81 } }],
      ])
      expect(accepted.map(({ peer }) => peer.replace(/:\d+$/, ''))).toEqual([
        client.ipv4,
        `[${client.ipv6}]`,
        client.ipv4,
        `[${client.ipv6}]`,
      ])
    }))

  it('a connection to the redirect port itself is direct; without conntrack nothing is known of it', () =>
    withLab(async lab => {
      const ours = run(lab.gateway, { listen: [listener('dual', '::', 3127, { natBackend: 'netfilter', dualStack: true })] })
      await ours.heard('ready')
      for (const to of [gateway.ipv4, gateway.ipv6]) await ask(lab.client, to, 3127)
      // no rule has asked for conntrack yet in this namespace
      expect(saidOf<Accepted>(ours, 'accepted').map(({ original }) => original.kind)).toEqual(['none', 'none'])
      await lab.gateway.script(redirectRules)
      for (const to of [gateway.ipv4, gateway.ipv6, gatewayWan.ipv4]) await ask(lab.client, to, 3127)
      const kinds = saidOf<Accepted>(ours, 'accepted').map(({ original }) => original)
      expect(kinds.slice(2)).toEqual([{ kind: 'direct' }, { kind: 'direct' }, { kind: 'direct' }])
    }))

  it('TPROXY connections are known by their own local end, for IPv4, IPv6 and dual-stack listeners', () =>
    withLab(async lab => {
      await lab.gateway.script(tproxyRules)
      const ours = run(lab.gateway, {
        listen: [
          listener('v4', '0.0.0.0', 3130, { natBackend: 'getsockname', foreign: true }),
          listener('v6', '::', 3131, { natBackend: 'getsockname', foreign: true }),
          listener('dual', '::', 3132, { natBackend: 'getsockname', foreign: true, dualStack: true }),
        ],
      })
      await ours.heard('ready')
      expect(await ask(lab.client, origin.ipv4, 80)).toBe('v4')
      expect(await ask(lab.client, origin.ipv6, 80)).toBe('v6')
      expect(await ask(lab.client, origin.ipv4, 81)).toBe('dual')
      expect(await ask(lab.client, origin.ipv6, 81)).toBe('dual')
      // a foreign host's port that happens to be our own is no connection to us
      expect(await ask(lab.client, origin.ipv4, 3132)).toBe('dual')
      // and one to us is
      expect(await ask(lab.client, gateway.ipv4, 3132)).toBe('dual')
      expect(await ask(lab.client, gateway.ipv6, 3132)).toBe('dual')
      const taken = (address: string, port: number) => ({
        kind: 'tproxy',
        destination: { family: address.includes(':') ? 6 : 4, address, port },
      })
      const accepted = saidOf<Accepted>(ours, 'accepted')
      expect(accepted.map(({ name, original }) => [name, original])).toEqual([
        ['v4', taken(origin.ipv4, 80)],
        ['v6', taken(origin.ipv6, 80)],
        ['dual', taken(origin.ipv4, 81)],
        ['dual', taken(origin.ipv6, 81)],
        ['dual', taken(origin.ipv4, 3132)],
        ['dual', { kind: 'direct' }],
        ['dual', { kind: 'direct' }],
      ])
    }))

  it('forged connections arrive with the client’s address, their mark and their type of service', () =>
    withLab(async lab => {
      await lab.gateway.script(tproxyRules)
      await lab.gateway.script(`
        nft -f - <<END
        table inet count {
          chain post { type filter hook postrouting priority 0;
            oifname "wan" ip saddr ${client.ipv4} meta mark 0x7001 ip dscp 0x0a tcp flags syn counter comment "v4"
            oifname "wan" ip6 saddr ${client.ipv6} meta mark 0x7002 ip6 dscp 0x2e tcp flags syn counter comment "v6"
            oifname "wan" tcp flags syn counter comment "all"
          }
        }
END
      `)
      await origins(lab)
      const ours = run(lab.gateway, {
        connect: [
          { target: [origin.ipv4, 80], source: [client.ipv4, 0], mark: 0x7001, tos: 0x28, foreign: true, times: 1 },
          { target: [origin.ipv6, 80], source: [client.ipv6, 0], mark: 0x7002, tos: 0xb8, foreign: true, times: 1 },
          { target: [origin.ipv4, 80], source: [client.ipv4, 45678], foreign: true, times: 1 },
          { target: [origin.ipv4, 80], device: 'wan', foreign: false, times: 1 },
        ],
      })
      await ours.heard('ready')
      const connected = saidOf<Connected>(ours, 'connected')
      expect(connected.map(({ heard }) => heard)).toEqual([
        `sees ${client.ipv4}`,
        `sees ${client.ipv6}`,
        `sees ${client.ipv4}`,
        `sees ${gatewayWan.ipv4}`,
      ])
      expect(connected.map(({ local }) => local?.replace(/:\d+$/, ''))).toEqual([
        client.ipv4,
        `[${client.ipv6}]`,
        client.ipv4,
        gatewayWan.ipv4,
      ])
      expect(connected[2]?.local).toBe(`${client.ipv4}:45678`)
      const counted = await lab.gateway.must('nft', 'list', 'table', 'inet', 'count')
      const packets = (comment: string) => Number(new RegExp(`packets (\\d+).*"${comment}"`).exec(counted)?.[1])
      expect([packets('v4'), packets('v6'), packets('all')]).toEqual([1, 1, 4])
    }))

  it('one forged address has as many ports per destination as the range holds', () =>
    withLab(async lab => {
      await lab.gateway.script(tproxyRules)
      await lab.gateway.script('echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range')
      await lab.origin.script(`ip addr add 203.0.113.77/24 dev eth0`)
      await origins(lab)
      const ours = run(lab.gateway, {
        connect: [origin.ipv4, '203.0.113.77', origin.ipv4].map((address, i) => ({
          target: [address, 80] as const,
          source: [client.ipv4, 0] as const,
          foreign: true,
          times: i < 2 ? 10 : 1,
        })),
      })
      await ours.heard('ready')
      const connected = saidOf<Connected>(ours, 'connected')
      expect(connected.slice(0, 20).filter(({ heard }) => heard === `sees ${client.ipv4}`).length).toBe(20)
      expect(connected[20]).toMatchObject({ errno: 'EADDRNOTAVAIL', syscall: 'connect' })
    }))

  it('without CAP_NET_RAW nothing is forged, and nothing goes out unforged; the message says what is missing', () =>
    withLab(async lab => {
      await origins(lab)
      const ours = run(
        lab.gateway,
        {
          listen: [listener('tproxy', '0.0.0.0', 3130, { natBackend: 'getsockname', foreign: true })],
          connect: [
            { target: [origin.ipv4, 80], source: [client.ipv4, 0], foreign: true, times: 1 },
            { target: [origin.ipv6, 80], source: [client.ipv6, 0], foreign: true, times: 1 },
            { target: [origin.ipv4, 80], mark: 1, foreign: false, times: 1 },
            { target: [origin.ipv4, 80], source: [client.ipv4, 0], foreign: false, times: 1 },
          ],
        },
        ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'],
      )
      await ours.heard('ready')
      expect(saidOf<Connected>(ours, 'refused')).toMatchObject([
        { errno: 'EPERM', syscall: 'setsockopt(IP_TRANSPARENT)', message: expect.stringContaining('CAP_NET_RAW') },
      ])
      expect(saidOf<Connected>(ours, 'connected')).toMatchObject([
        { errno: 'EPERM', syscall: 'setsockopt(IP_TRANSPARENT)', message: expect.stringContaining('CAP_NET_RAW') },
        { errno: 'EPERM', syscall: 'setsockopt(IP_TRANSPARENT)', message: expect.stringContaining('CAP_NET_RAW') },
        { errno: 'EPERM', syscall: 'setsockopt(SO_MARK)', message: expect.stringContaining('CAP_NET_RAW') },
        { errno: 'EADDRNOTAVAIL', syscall: 'bind' },
      ])
    }))
})
