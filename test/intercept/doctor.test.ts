// The doctor's matrix: each thing that breaks interception is broken on purpose on a gateway of our own. A row says what
// a client then sees and what the doctor finds; both are asked, so a finding is never about something harmless. The
// healthy gateway comes first: there the doctor finds nothing, with strict settings that look suspicious and are not.

import { describe, expect, it } from 'vitest'
import { planRules, ruleDefaults, type RuleForm, type RuleOptions, ruleText } from '../../src/intercept/index.ts'
import { labAddresses, type Namespace, type Network, noLabWith, withLab } from '../support/net-lab.ts'

const { origin } = labAddresses
const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
const probe = new URL('../support/interception-probe.ts', import.meta.url).pathname

const conf = `http_port 3129 intercept name=nat
http_port 3130 tproxy name=tproxy
http_access allow all
pid_filename none
`

const rules = (form: RuleForm, options: Partial<RuleOptions> = {}): string => {
  const answer = planRules(
    [
      { mode: 'intercept', address: null, port: 3129, name: 'nat' },
      { mode: 'tproxy', address: null, port: 3130, name: 'tproxy' },
    ],
    {
      ...ruleDefaults,
      interfaces: ['lan'],
      take: [
        { ports: [{ first: 80, last: 80 }], listener: 'tproxy' },
        { ports: [{ first: 8080, last: 8080 }], listener: 'nat' },
      ],
      ...options,
    },
  )
  if (!answer.ok) throw new Error(answer.reason)
  return ruleText(form, 'apply', answer.plan)
}

/** nft's rules with some lines changed. */
const changed = (was: string | RegExp, becomes: string): string => {
  const text = rules('nft')
  const after = text.replaceAll(was, becomes)
  if (after === text) throw new Error(`no such line in our rules: ${was}`)
  return after
}

const set = (path: string, value: number): string => `echo ${value} >/proc/sys/net/${path}`

const originScript = `
  for (const port of [80, 8080])
    require('net').createServer(c => { c.on('error', () => {}); c.end('origin sees ' + c.remoteAddress.replace('::ffff:', '') + '\\n') })
      .listen(port, '::', () => console.log('port ' + port))`

/** Two seconds of silence is a hang: everything here is one machine. */
const askScript = `
  const [host, port] = process.argv.slice(1)
  const s = require('net').connect(Number(port), host)
  let said = ''
  s.setTimeout(2000, () => { console.log(said.trim().replaceAll('\\n', ' + ') || 'hangs'); process.exit() })
  s.on('error', e => { console.log(e.code); process.exit() })
  s.on('data', d => { said += d }).on('end', () => { console.log(said.trim().replaceAll('\\n', ' + ')); process.exit() })`

const ask = async (from: Namespace, host: string, port: number): Promise<string> =>
  (await from.must(process.execPath, '-e', askScript, host, String(port))).trim()

interface Found {
  readonly id: string
  readonly severity: string
  readonly kind: string
  readonly fact: string
  readonly repair?: string
}

const doctor = async (gateway: Namespace): Promise<{ code: number | null; found: Found[] }> => {
  const { code, stdout, stderr } = await gateway.run(glassquid, 'doctor', '-f', '/run/glassquid/doctor.conf', '--json')
  if (stdout === '') throw new Error(stderr)
  return { code, found: JSON.parse(stdout) as Found[] }
}

const ills = (found: readonly Found[]): string[] => [...new Set(found.flatMap(one => (one.kind === 'bad' ? `${one.id} ${one.severity}` : [])))]

interface Row {
  readonly name: string
  /** The gateway's script. */
  readonly script: string
  readonly listeners?: readonly string[]
  /** What a client of port 80 sees, of port 8080. */
  readonly tproxy: string
  readonly nat: string
  readonly found: readonly string[]
  /** What somebody sees who connects to an address of a client's that the proxy waits on; not asked unless told. */
  readonly expected?: string
}

const taken = { tproxy: `probe tproxy ${origin.ipv4}:80 + origin sees 198.51.100.2`, nat: `probe nat ${origin.ipv4}:8080 + origin sees 198.51.100.2` }
const direct = 'origin sees 198.51.100.2'
const onlyNatLeg = `probe nat ${origin.ipv4}:8080`
const onlyClientLeg = `probe tproxy ${origin.ipv4}:80`

const rows: readonly Row[] = [
  { name: 'nothing', script: rules('nft'), ...taken, expected: 'probe tproxy 198.51.100.2:20021', found: [] },
  { name: 'nothing, with the rules of iptables', script: rules('iptables'), ...taken, found: [] },
  {
    name: 'nothing: a strict reverse path filter and no forwarding do no harm',
    script: `${rules('nft')}\n${set('ipv4/conf/all/rp_filter', 1)}\n${set('ipv4/ip_forward', 0)}`,
    ...taken,
    found: [],
  },
  { name: 'src_valid_mark', script: `${rules('nft')}\n${set('ipv4/conf/all/src_valid_mark', 1)}`, ...taken, tproxy: 'hangs', nat: onlyNatLeg, found: ['D06 fatal'] },
  { name: 'tcp_fwmark_accept', script: `${rules('nft')}\n${set('ipv4/tcp_fwmark_accept', 1)}`, ...taken, tproxy: 'hangs', found: ['D08 fatal'] },
  { name: 'no policy rule', script: `${rules('nft')}\nip -4 rule del pref 100`, ...taken, tproxy: 'hangs', nat: onlyNatLeg, found: ['D04 fatal', 'D05 fatal'] },
  {
    name: 'the policy rule behind the main table',
    script: `${rules('nft')}\nip -4 rule del pref 100\nip -4 rule add pref 32767 fwmark 0x100/0x100 lookup 100\nip route add default via ${origin.ipv4}`,
    ...taken,
    tproxy: 'hangs',
    nat: onlyNatLeg,
    found: ['D04 fatal', 'D05 fatal'],
  },
  {
    name: 'another program’s policy rule before ours',
    script: `${rules('nft')}\nip -4 rule add pref 50 lookup 77\nip -4 route add default via ${origin.ipv4} table 77`,
    ...taken,
    tproxy: 'hangs',
    nat: 'hangs',
    found: ['D04 fatal', 'D05 fatal', 'D27 fatal'],
  },
  { name: 'no route in the table', script: `${rules('nft')}\nip -4 route flush table 100`, ...taken, tproxy: 'hangs', nat: onlyNatLeg, found: ['D05 fatal'] },
  {
    name: 'a route that is not local',
    script: `${rules('nft')}\nip -4 route flush table 100\nip -4 route add default via ${origin.ipv4} table 100`,
    ...taken,
    tproxy: 'hangs',
    nat: onlyNatLeg,
    found: ['D05 fatal'],
  },
  { name: 'a listener without IP_TRANSPARENT', script: rules('nft'), listeners: ['nat:3130', 'nat:3129'], ...taken, tproxy: direct, found: ['D14 fatal'] },
  { name: 'no listener', script: rules('nft'), listeners: [], tproxy: direct, nat: 'ECONNREFUSED', found: ['D14 fatal'] },
  { name: 'no rules at all', script: 'true', tproxy: direct, nat: direct, found: ['D14 fatal'] },
  {
    name: 'no rule for our sockets',
    script: changed('jump of_our_sockets', '# no jump'),
    tproxy: onlyClientLeg,
    nat: onlyNatLeg,
    found: ['D10 fatal', 'D11 warning'],
  },
  { name: 'ICMP left out', script: changed(/meta l4proto \{ icmp.*/g, ''), ...taken, found: ['D11 warning'] },
  {
    name: 'a wildcard test of packets that are no SYN',
    script: changed(/socket wildcard 1 return[\s\S]*?accept\n(?=\s*meta l4proto udp)/g, 'meta l4proto tcp socket transparent 1 socket wildcard 0 meta mark set mark or 0x100 accept\n'),
    ...taken,
    expected: 'hangs',
    found: ['D13 warning'],
  },
  { name: 'a socket rule without a wildcard test', script: changed(/socket wildcard 1 return/g, ''), ...taken, found: ['D12 warning'] },
  {
    name: 'a conntrack zone on the clients’ side',
    script: `${rules('nft')}\nnft 'table ip z { chain c { type filter hook prerouting priority raw; iifname "lan" ct zone set 5; }; }'`,
    ...taken,
    nat: 'hangs',
    found: ['D16 fatal'],
  },
  {
    name: 'DNAT to 127.0.0.1',
    script: changed('redirect to :3129', 'dnat ip to 127.0.0.1:3129'),
    ...taken,
    nat: 'hangs',
    found: ['D18 fatal'],
  },
  {
    name: 'masquerading of everything that leaves',
    script: `${rules('nft')}\nnft 'table ip m { chain c { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }; }'`,
    tproxy: `probe tproxy ${origin.ipv4}:80 + origin sees 203.0.113.1`,
    nat: `probe nat ${origin.ipv4}:8080 + origin sees 203.0.113.1`,
    found: ['D19 warning'],
  },
  {
    name: 'an input filter that drops',
    script: `${rules('nft')}\nnft 'table inet f { chain in { type filter hook input priority filter; policy drop; iifname "lo" accept; tcp dport 3129 accept; meta l4proto { icmp, icmpv6 } accept; iifname "wan" accept; }; }'`,
    ...taken,
    tproxy: 'hangs',
    found: ['D24 fatal'],
  },
  {
    name: 'an empty input filter of iptables that drops',
    script: `${rules('nft')}\niptables -P INPUT DROP`,
    ...taken,
    tproxy: 'hangs',
    nat: 'hangs',
    found: ['D24 fatal'],
  },
  {
    name: 'an interface that is not there',
    script: rules('nft', { interfaces: ['eth7'] }),
    tproxy: direct,
    nat: direct,
    found: ['D33 warning'],
  },
  { name: 'IPv4 alone', script: rules('nft', { families: [4] }), ...taken, found: ['D23 warning'] },
  { name: 'replies that carry the mark', script: `${rules('nft')}\n${set('ipv4/fwmark_reflect', 1)}`, ...taken, found: ['D09 warning'] },
  { name: 'few local ports', script: `${rules('nft')}\necho 40000 40999 >/proc/sys/net/ipv4/ip_local_port_range`, ...taken, found: ['D21 warning'] },
  { name: 'short backlogs', script: `${rules('nft')}\n${set('core/somaxconn', 64)}`, ...taken, found: ['D22 warning'] },
]

const noRules = noLabWith('nft', 'iptables', 'ip6tables', 'ss')

const play = async (row: Row, lab: Network): Promise<void> => {
  const { gateway, client } = lab
  await gateway.script(`cat >/run/glassquid/doctor.conf <<'END'\n${conf}END\n${row.script}`)
  await lab.origin.spawn(process.execPath, ['-e', originScript]).heard('port 8080')
  const listeners = row.listeners ?? ['tproxy:3130', 'nat:3129']
  if (listeners.length > 0) await gateway.spawn(process.execPath, [probe, ...listeners]).heard('listening')
  if (row.expected !== undefined) await gateway.spawn(process.execPath, [probe, 'tproxy:20021@198.51.100.2']).heard('listening')
  const [tproxy, nat, expected, examined] = await Promise.all([
    ask(client, origin.ipv4, 80),
    ask(client, origin.ipv4, 8080),
    row.expected === undefined ? undefined : ask(lab.origin, '198.51.100.2', 20021),
    doctor(gateway),
  ])
  const told = examined.found.filter(one => one.kind === 'bad')
  expect({ tproxy, nat, expected, found: ills(examined.found) }, JSON.stringify(told, null, 1)).toEqual({
    tproxy: row.tproxy,
    nat: row.nat,
    expected: row.expected,
    found: row.found,
  })
  expect(examined.code).toBe(row.found.some(one => one.endsWith('fatal')) ? 1 : 0)
  for (const one of examined.found) {
    if (one.kind !== 'bad') continue
    expect(one.repair, one.id).toMatch(/\w/)
    expect(one.repair ?? '', one.id).not.toMatch(/glassquid (?:rules|doctor)(?!( nft| iptables)? -f \/run\/glassquid\/doctor\.conf)/)
  }
}

describe.skipIf(noRules !== null).concurrent(`what the doctor finds when a gateway is broken by ${noRules ?? ''}`, () => {
  it.each(rows)('$name', row => withLab(lab => play(row, lab)))

  it('capabilities that are missing', () =>
    withLab(async lab => {
      await lab.gateway.script(`cat >/run/glassquid/doctor.conf <<'END'\n${conf}END\n${rules('nft')}`)
      const drop = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all', '--']
      const { stdout } = await lab.gateway.run(drop[0] ?? '', ...drop.slice(1), glassquid, 'doctor', '-f', '/run/glassquid/doctor.conf', '--json')
      const found = JSON.parse(stdout) as Found[]
      expect(ills(found)).toEqual(expect.arrayContaining(['D01 fatal', 'D02 fatal']))
    }))
})
