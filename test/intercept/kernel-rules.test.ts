// What the kernel does with the rules we print: real packets between the lab's machines, a listener of ours on the
// gateway (test/support/interception-probe.ts) that tells what reached it, and the origin telling whom it saw. Every
// claim is asserted at the probe and at the client; the origin alone proves nothing, since what no rule takes is simply
// forwarded to it.

import { describe, expect, it } from 'vitest'
import { planRules, ruleDefaults, type RuleForm, type RuleOptions, ruleText } from '../../src/intercept/index.ts'
import { labAddresses, type Namespace, type Network, noLabWith, type Running, withLab } from '../support/net-lab.ts'

const { client, gateway, origin } = labAddresses
const families = [
  ['IPv4', client.ipv4, gateway.ipv4, origin.ipv4],
  ['IPv6', client.ipv6, gateway.ipv6, origin.ipv6],
] as const

const probe = new URL('../support/interception-probe.ts', import.meta.url).pathname
const at = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)

const rules = (form: RuleForm, options: Partial<RuleOptions> = {}): string => {
  const answer = planRules(
    [
      { mode: 'intercept', address: null, port: 3129, name: '3129' },
      { mode: 'tproxy', address: null, port: 3130, name: '3130' },
    ],
    {
      ...ruleDefaults,
      interfaces: ['lan'],
      take: [
        { ports: [{ first: 80, last: 80 }], listener: '3130' },
        { ports: [{ first: 8080, last: 8080 }], listener: '3129' },
      ],
      ...options,
    },
  )
  if (!answer.ok) throw new Error(answer.reason)
  return ruleText(form, 'apply', answer.plan)
}

/** Tells each client whom it sees, and closes. */
const originScript = `
  for (const port of [80, 8080, 3129, 3130])
    require('net').createServer(c => { c.on('error', () => {}); c.end('origin sees ' + c.remoteAddress.replace('::ffff:', '') + '\\n') })
      .listen(port, '::', () => console.log('port ' + port))`

const clientScript = `
  require('net').createServer(c => { c.on('error', () => {}); c.end('the client itself\\n') })
    .listen(20021, process.argv[1], () => console.log('up'))`

/** Everything the other side said, or the error's code. A connection that is dropped in silence answers 'nothing'. */
const askScript = `
  const [host, port] = process.argv.slice(1)
  const s = require('net').connect(Number(port), host)
  let said = ''
  s.setTimeout(2000, () => { console.log('nothing'); process.exit() })
  s.on('error', e => { console.log(e.code); process.exit() })
  s.on('data', d => { said += d }).on('end', () => { console.log(said.trim()); process.exit() })`

const ask = async (from: Namespace, host: string, port: number): Promise<string> =>
  (await from.must(process.execPath, '-e', askScript, host, String(port))).trim()

interface Scene {
  readonly lab: Network
  readonly proxy: Running
}

const scene = (script: string, play: (scene: Scene) => Promise<void>): Promise<void> =>
  withLab(async lab => {
    await lab.gateway.script(script)
    await lab.origin.spawn(process.execPath, ['-e', originScript]).heard('port 3130')
    const proxy = lab.gateway.spawn(process.execPath, [probe, 'tproxy:3130', 'nat:3129'])
    await proxy.heard('listening')
    await play({ lab, proxy })
  })

const takenLines = (proxy: Running): string[] => proxy.said.split('\n').filter(line => line.startsWith('taken'))

const noRules = noLabWith('nft', 'iptables', 'ip6tables')

describe.skipIf(noRules !== null).each(['nft', 'iptables'] as const)(`the kernel under the %s rules ${noRules ?? ''}`, form => {
  it('brings TPROXY and NAT connections of both families, and lets the proxy speak with the client’s address', () =>
    scene(rules(form), async ({ lab, proxy }) => {
      for (const [, from, , to] of families) {
        expect(await ask(lab.client, to, 80)).toBe(`probe tproxy ${at(to, 80)}\norigin sees ${from}`)
        expect(await ask(lab.client, to, 8080)).toBe(`probe nat ${at(to, 8080)}\norigin sees ${from}`)
      }
      expect(takenLines(proxy).map(line => line.replace(/:\d+ /, ' '))).toEqual(
        families.flatMap(([, from, , to]) => [
          `taken tproxy ${bracketed(from)} ${at(to, 80)}`,
          `taken nat ${bracketed(from)} ${at(to, 8080)}`,
        ]),
      )
    }))

  it('leaves alone what goes to strangers on the ports the proxy listens on', () =>
    scene(rules(form), async ({ lab, proxy }) => {
      for (const [, from, , to] of families) {
        for (const port of [3129, 3130]) expect(await ask(lab.client, to, port)).toBe(`origin sees ${from}`)
      }
      expect(takenLines(proxy)).toEqual([])
    }))

  it('shows a connection to the proxy’s own port as what it is', () =>
    scene(rules(form), async ({ lab }) => {
      for (const [, , own] of families) {
        for (const port of [3129, 3130]) expect(await ask(lab.client, own, port)).toBe(`probe direct ${at(own, port)}`)
      }
    }))

  it('leaves alone the clients and destinations it is told to', () =>
    scene(rules(form, { bypass: [origin.ipv4], exempt: [client.ipv6] }), async ({ lab, proxy }) => {
      for (const [, from, , to] of families) {
        for (const port of [80, 8080]) expect(await ask(lab.client, to, port)).toBe(`origin sees ${from}`)
      }
      expect(takenLines(proxy)).toEqual([])
    }))

  // iptables wants a user that exists, and the lab of an ordinary user has only one, whom we need for both parts
  const oneUser = form === 'iptables' && process.getuid?.() !== 0
  const needsRoot = oneUser ? ' (SKIPPED: needs root)' : ''
  it.skipIf(oneUser)(`takes the gateway’s own connections when asked, but not the proxy’s, known by mark or user${needsRoot}`, () =>
    scene(rules(form, { local: true, proxyUser: '13' }), async ({ lab }) => {
      for (const [, , , to] of families) {
        expect(await ask(lab.gateway, to, 80)).toContain(`probe tproxy ${at(to, 80)}`)
        expect(await ask(lab.gateway, to, 8080)).toContain(`probe nat ${at(to, 8080)}`)
      }
      // the user of this lab stands for the proxy's: its connections are left alone
      await lab.gateway.script(rules(form, { local: true, proxyUser: '0' }))
      for (const [, , , to] of families) expect(await ask(lab.gateway, to, 80)).toMatch(/^origin sees/)
    }))

  it('with the proxy dead lets TPROXY connections through (nft), or drops them, as asked; NAT ones are refused', () =>
    scene(rules(form), async ({ lab, proxy }) => {
      await proxy.stop()
      for (const [, from, , to] of families) {
        // xt_TPROXY has no way to let a packet be when nobody listens
        expect(await ask(lab.client, to, 80)).toBe(form === 'nft' ? `origin sees ${from}` : 'nothing')
        expect(await ask(lab.client, to, 8080)).toBe('ECONNREFUSED')
      }
      await lab.gateway.script(rules(form, { failClosed: true }))
      const said = await Promise.all(families.map(([, , , to]) => ask(lab.client, to, 80)))
      expect(said).toEqual(['nothing', 'nothing'])
    }))

  it('brings a connection the proxy expects on the client’s address, and afterwards the client gets its own again', () =>
    scene(rules(form), async ({ lab }) => {
      for (const [, to] of families) {
        await lab.client.spawn(process.execPath, ['-e', clientScript, to]).heard('up')
        const expecting = lab.gateway.spawn(process.execPath, [probe, `tproxy:20021@${to}`])
        await expecting.heard('listening')
        expect(await ask(lab.origin, to, 20021)).toContain(`probe tproxy ${at(to, 20021)}`)
        await expecting.stop()
        expect(await ask(lab.origin, to, 20021)).toBe('the client itself')
      }
    }))

  it('brings ports that were used a moment ago at the first try', () =>
    scene(rules(form), async ({ lab }) => {
      for (const [, , , to] of families) expect(await synsSentAgain(lab.client, to)).toBe(0)
    }))
})

describe.skipIf(noRules !== null)('a narrow road behind the origin’s machine', () => {
  const narrow = { ipv4: '192.0.2.10', ipv6: '2001:db8:d::10' }

  /** A machine behind the origin, which says how much it was sent; the road there takes 1280 bytes, and nobody said so. */
  const build = async (lab: Network): Promise<void> => {
    const behind = lab.origin.spawn('unshare', ['-n', process.execPath, '-e', farScript])
    const pid = (await behind.heard(/pid \d+/)).slice(4)
    await lab.origin.script(`
      echo 1 >/proc/sys/net/ipv4/ip_forward
      echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
      ip link add far type veth peer name eth0 netns ${pid}
      ip link set far mtu 1280
      ip addr add 192.0.2.1/24 dev far
      ip -6 addr add 2001:db8:d::1/64 dev far nodad
      ip link set far up
      nsenter -t ${pid} -n sh -e <<END
        ip addr add ${narrow.ipv4}/24 dev eth0
        ip -6 addr add ${narrow.ipv6}/64 dev eth0 nodad
        ip link set eth0 up
        ip route add default via 192.0.2.1
        ip -6 route add default via 2001:db8:d::1
END`)
    behind.tell('go\n')
    await behind.heard('listening')
    await lab.gateway.script(`
      ip route add 192.0.2.0/24 via ${origin.ipv4}
      ip -6 route add 2001:db8:d::/64 via ${origin.ipv6}`)
  }

  const send = async (lab: Network, host: string): Promise<string> =>
    (await lab.client.must(process.execPath, '-e', sendScript, host)).trim()

  it.each(['nft', 'iptables'] as const)('is found out by the proxy, whose packets bear the client’s address (%s)', form =>
    scene(rules(form), async ({ lab }) => {
      await build(lab)
      for (const host of Object.values(narrow)) expect(await send(lab, host)).toBe('got 60000')
    }),
  )

  it('is a dead end when "packet too big" is left to go to the client: this test would notice', () =>
    scene(rules('nft').replace(/^.*icmpv6.*socket transparent.*$/m, ''), async ({ lab }) => {
      await build(lab)
      expect(await send(lab, narrow.ipv4)).toBe('nothing')
    }))

  const farScript = `
    console.log('pid ' + process.pid)
    process.stdin.once('data', () => {
      require('net').createServer(c => {
        let bytes = 0
        c.on('error', () => {}).on('data', d => { bytes += d.length; if (bytes === 60000) c.end('got ' + bytes + '\\n') })
      }).listen(80, '::', () => console.log('listening'))
    })`
  const sendScript = `
    const s = require('net').connect(80, process.argv[1])
    let said = ''
    s.setTimeout(3000, () => { console.log('nothing'); process.exit() })
    s.on('error', e => { console.log(e.code); process.exit() })
    s.on('data', d => { said += d }).on('end', () => { console.log(said.replace(/^probe.*\\n/, '').trim()); process.exit() })
    s.write(Buffer.alloc(60000, 'x'))`
})

describe.skipIf(noRules !== null)('these tests would notice', () => {
  it('the usual one-line socket rule: it loses SYNs to TIME_WAIT, and any address leads to the proxy', () => {
    const usual = rules('nft').replace(
      /chain of_our_sockets \{.*?\n {2}\}/s,
      'chain of_our_sockets {\n    meta l4proto tcp socket transparent 1 meta mark set mark or 0x100 accept\n  }',
    )
    return scene(usual, async ({ lab }) => {
      expect(await ask(lab.client, origin.ipv4, 3130)).toMatch(/^probe/)
      expect(await synsSentAgain(lab.client, origin.ipv4)).toBeGreaterThan(0)
    })
  })
})

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address)

/** Sixty connections, one after the other, from twenty ports: how many SYNs had to be sent again. */
const synsSentAgain = async (from: Namespace, host: string): Promise<number> => {
  await from.script('echo 20000 20019 >/proc/sys/net/ipv4/ip_local_port_range')
  const before = await synRetransmissions(from)
  const script = `
    let left = 60
    const next = () => { if (left-- > 0) require('net').connect(80, process.argv[1]).on('error', () => {}).on('close', next).resume() }
    next()`
  await from.must(process.execPath, '-e', script, host)
  return (await synRetransmissions(from)) - before
}

const synRetransmissions = async (of: Namespace): Promise<number> => {
  const [names = '', values = ''] = (await of.must('cat', '/proc/net/netstat')).split('\n')
  return Number(values.split(' ')[names.split(' ').indexOf('TCPSynRetrans')])
}
