// The rules as text: what is taken and by whom, what is refused before any rule is written, and that both languages are
// what nft and iptables-restore accept (asked in a namespace of the lab's, for every combination of options). That the
// kernel then does what is meant is shown in kernel-rules.test.ts.

import { describe, expect, it } from 'vitest'
import {
  type ListeningPort,
  parsePorts,
  planRules,
  ruleDefaults,
  type RuleOptions,
  type RulePlan,
  ruleText,
} from '../../src/intercept/index.ts'
import { noLabWith, withLab } from '../support/net-lab.ts'

const port = (mode: ListeningPort['mode'], number: number, address: string | null = null): ListeningPort => ({
  mode,
  address,
  port: number,
  name: address === null ? String(number) : `${address}:${number}`,
})

const forward = port('forward', 3128)
const nat = port('intercept', 3129)
const tproxy = port('tproxy', 3130)

const planned = (ports: readonly ListeningPort[], options: Partial<RuleOptions> = {}): RulePlan => {
  const answer = planRules(ports, { ...ruleDefaults, ...options })
  if (!answer.ok) throw new Error(answer.reason)
  return answer.plan
}

const refusal = (ports: readonly ListeningPort[], options: Partial<RuleOptions> = {}): string => {
  const answer = planRules(ports, { ...ruleDefaults, ...options })
  return answer.ok ? '' : answer.reason
}

const one = (text: string) => parsePorts(text) ?? []

describe('what is taken', () => {
  it('goes to the tproxy listener, else to the intercept one', () => {
    expect(planned([forward, nat, tproxy]).tproxy.map(t => [t.listener.port, t.families])).toEqual([[3130, [4, 6]]])
    expect(planned([forward, nat]).nat.map(t => [t.listener.port, t.families])).toEqual([[3129, [4, 6]]])
  })

  it('goes to one listener per family when they are bound to one', () => {
    const plan = planned([port('tproxy', 3130, '0.0.0.0'), port('tproxy', 3131, '::'), nat])
    expect(plan.tproxy.map(t => [t.listener.port, t.families])).toEqual([
      [3130, [4]],
      [3131, [6]],
    ])
  })

  it('is 443 for an https_port, whatever other ports there are', () => {
    const secure = { ...port('tproxy', 3133), tls: { fromStart: true } }
    const behindConnect = { ...tproxy, tls: { fromStart: false } }
    const of = ({ tproxy: taken }: RulePlan) => taken.map(t => [t.ports, t.listener.port])
    const [web, tls] = [[one('80'), 3130], [one('443'), 3133]]
    expect(of(planned([secure, tproxy]))).toEqual([web, tls])
    expect(of(planned([secure, behindConnect]))).toEqual([web, tls])
    expect(of(planned([secure]))).toEqual([tls])
    expect(of(planned([secure, tproxy], { ports: one('80,443') }))).toEqual([web, tls])
    expect(of(planned([tproxy], { ports: one('80,443') }))).toEqual([[one('80,443'), 3130]])
  })

  it('goes where the operator says, port by port', () => {
    const plan = planned([nat, tproxy], {
      take: [
        { ports: one('80'), listener: '3130' },
        { ports: one('8080,8000-8010'), listener: '3129' },
      ],
    })
    expect(plan.tproxy.map(t => t.ports)).toEqual([one('80')])
    expect(plan.nat.map(t => t.ports)).toEqual([one('8080,8000-8010')])
  })

  const receiver: ListeningPort = { ...port('tproxy', 3130), transport: 'udp', name: 'names' }

  it('is datagrams where a receiver is named, or /udp is written', () => {
    const take = [
      { ports: one('80,53'), listener: '3130' },
      { ports: one('53'), listener: '3130', transport: 'udp' as const },
      { ports: one('5060'), listener: 'names' },
    ]
    const text = ruleText('nft', 'apply', planned([tproxy, receiver], { take, interfaces: ['lan'], failClosed: true, local: true }))
    expect(text.match(/(tcp|udp) dport \{[^}]*\} (tproxy|drop|meta mark)/g)).toEqual([
      'tcp dport { 80, 53 } tproxy',
      'tcp dport { 80, 53 } tproxy',
      'udp dport { 53 } tproxy',
      'udp dport { 53 } tproxy',
      'udp dport { 5060 } tproxy',
      'udp dport { 5060 } tproxy',
      'tcp dport { 80, 53 } drop',
      'tcp dport { 80, 53 } drop',
      'udp dport { 53, 5060 } drop',
      'udp dport { 53, 5060 } drop',
      'tcp dport { 80, 53 } meta mark',
      'udp dport { 53 } meta mark',
      'udp dport { 5060 } meta mark',
    ])
  })

  it('never goes to a receiver by itself: web is not spoken in datagrams', () => {
    expect(planned([receiver]).tproxy).toEqual([])
    expect(planned([receiver]).remarks.join('\n')).toContain('names (tproxy) gets nothing from these rules; give it ports with --take PORTS/udp=3130')
  })

  it('comes by the interface or group the listener is bound to', () => {
    const bound = (by: ListeningPort['by'] & {}): string => ruleText('nft', 'apply', planned([{ ...tproxy, by }], { interfaces: ['wan'] }))
    expect(bound({ interface: 'lan' })).toContain('iifname "lan" tcp dport { 80 } tproxy to :3130')
    expect(bound({ group: 77 })).toContain('iifgroup 77 tcp dport { 80 } tproxy to :3130')
  })

  it('goes to one port of a range, by number or, by name, the first', () => {
    const range = { ...tproxy, lastPort: 3133, name: 'range' }
    const target = (listener: string) => planned([range], { take: [{ ports: one('80'), listener }] }).tproxy[0]?.listener.port
    expect([target('range'), target('3130'), target('3133')]).toEqual([3130, 3130, 3133])
    expect(planned([range], { take: [{ ports: one('80'), listener: '3132' }] }).remarks.join()).not.toContain('gets nothing')
  })

  it('may be nothing, where the proxy only speaks with foreign addresses', () => {
    for (const form of ['nft', 'iptables'] as const) {
      const text = ruleText(form, 'apply', planned([], { foreignSockets: true }))
      expect(text).toMatch(/socket (--)?transparent/)
      expect(text).toContain('lookup 100')
      expect(text).not.toContain('tproxy to')
      expect(text).not.toContain('TPROXY')
    }
  })

  it('leaves out the family this machine does not speak', () => {
    const text = ruleText('nft', 'apply', planned([tproxy], { families: [4] }))
    expect(text).not.toContain('ip -6')
    expect(text).toContain('meta nfproto ipv4 tcp dport { 80 } tproxy ip to :3130')
  })

  it('says what gets nothing, and which family goes round the proxy', () => {
    expect(planned([nat, tproxy]).remarks.join('\n')).toContain('3129 (intercept) gets nothing')
    expect(planned([port('tproxy', 3130, '0.0.0.0')]).remarks.join('\n')).toContain('IPv6 is not taken')
  })
})

it('what happens while the proxy is down is said, unless it was chosen', () => {
  expect(ruleText('nft', 'apply', planned([tproxy]))).toContain('clients reach their destinations directly')
  expect(ruleText('iptables', 'apply', planned([tproxy]))).toContain('connections are dropped')
  expect(ruleText('nft', 'apply', planned([tproxy], { failClosed: true }))).not.toContain('While the proxy is down')
})

describe('what is refused, with the reason', () => {
  it.each([
    ['nothing to send to', [forward], {}, /no 'tproxy' and no 'intercept' port/],
    ['an unknown listener', [tproxy], { take: [{ ports: one('80'), listener: '99' }] }, /no interception port '99'; it has 3130 \(tproxy\)/],
    ['one port for two', [nat, tproxy], { take: [{ ports: one('1-80'), listener: '3130' }, { ports: one('80'), listener: '3129' }] }, /port 80 is given to two/],
    ['a listener NAT cannot reach', [port('intercept', 3129, '127.0.0.1')], {}, /loopback/],
    ['datagrams by REDIRECT', [{ ...nat, transport: 'udp' }], { take: [{ ports: one('53'), listener: '3129' }] }, /intercept receiver.*Write 'tproxy'/],
    ['a port outside of the range', [{ ...tproxy, lastPort: 3133 }], { take: [{ ports: one('80'), listener: '3134' }] }, /no interception port '3134'/],
    ['words that would end up in a rule', [tproxy], { interfaces: ['eth0" accept #'] }, /no interface name/],
    ['an address that is none', [tproxy], { bypass: ['10.0.0.0/8; x'] }, /no address or network/],
    ['a user that is none', [tproxy], { proxyUser: '$(id)' }, /no user name/],
  ] as const)('%s', (_what, ports, options, reason) => {
    expect(refusal(ports, options)).toMatch(reason)
  })

  it.each([['0'], ['65536'], ['80-'], ['90-80'], [''], ['80,'], ['http'], ['1,2,3,4,5,6,7,8']])('ports: %s', text => {
    expect(parsePorts(text)).toBeNull()
  })
})

describe('the nft rules', () => {
  it('never let a SYN be taken by a socket rule that a wildcard listener or TIME_WAIT would satisfy', () => {
    const text = ruleText('nft', 'apply', planned([nat, tproxy]))
    for (const line of text.split('\n').filter(line => line.includes('socket transparent 1') && /\btcp\b/.test(line))) {
      expect(line).toMatch(/!= syn socket transparent 1 meta mark|== syn socket transparent 1 socket wildcard 0 meta mark/)
    }
    expect(text.match(/socket transparent 1/g)).toHaveLength(4)
    expect(text.indexOf('socket wildcard 1 return')).toBeLessThan(text.indexOf('socket transparent 1'))
    expect(text).toContain('socket wildcard 1 return')
  })

  it('drop only after every listener of every family has been offered the packet', () => {
    const text = ruleText('nft', 'apply', planned([port('tproxy', 3130, '0.0.0.0'), port('tproxy', 3131, '::')], { failClosed: true }))
    expect(text.lastIndexOf('tproxy to')).toBeLessThan(text.search(/ drop$/m))
  })

  it('look at one bit of the mark and leave the others', () => {
    const text = ruleText('nft', 'apply', planned([tproxy], { takenMark: 0x10000, ownMark: 0x20000, routingTable: 77 }))
    expect(text).toContain('fwmark 0x10000/0x10000 lookup 77')
    expect(text).not.toMatch(/mark set 0x|0x100\b/)
  })
})

const variants: readonly (readonly [string, RulePlan])[] = [
  ['tproxy', planned([tproxy], { interfaces: ['lan'] })],
  ['intercept', planned([nat], { interfaces: ['lan', 'wlan0'] })],
  [
    'everything',
    planned([nat, tproxy], {
      take: [
        { ports: one('80,8000-8010'), listener: '3130' },
        { ports: one('8080'), listener: '3129' },
      ],
      interfaces: ['lan', 'br-*'],
      bypass: ['10.0.0.0/8', '10.1.0.0/16', '2001:db8:5::/48', '192.0.2.1'],
      exempt: ['198.51.100.99', '2001:db8:c::99'],
      failClosed: true,
      local: true,
      proxyUser: '0', // the only user there is in a user namespace of our own
    }),
  ],
  [
    'datagrams, interfaces, groups',
    planned([{ ...tproxy, by: { interface: 'lan' } }, { ...port('tproxy', 3153), transport: 'udp', by: { group: 7 } }], {
      take: [
        { ports: one('80'), listener: '3130' },
        { ports: one('53,1812-1813'), listener: '3153', transport: 'udp' },
      ],
      failClosed: true,
      local: true,
      proxyUser: '0',
    }),
  ],
  ['foreign addresses alone', planned([], { foreignSockets: true })],
  [
    'listeners on addresses',
    planned([port('tproxy', 3130, '198.51.100.1'), port('tproxy', 3131, '2001:db8:c::1'), port('intercept', 3129, '198.51.100.1')], {
      take: [
        { ports: one('80'), listener: '3130' },
        { ports: one('80'), listener: '3131' },
        { ports: one('8080'), listener: '3129' },
      ],
      failClosed: true,
    }),
  ],
]

const noRules = noLabWith('nft', 'iptables', 'ip6tables')

describe.skipIf(noRules !== null)(`the rules are accepted ${noRules ?? ''}`, () => {
  it.each(variants)('by nft: %s', (_name, plan) =>
    withLab(async lab => {
      const script = ruleText('nft', 'apply', plan)
      const body = script.slice(script.indexOf("<<'END'\n") + 8, script.lastIndexOf('END\n'))
      const checked = await lab.gateway.runWith({ input: body }, 'nft', '-c', '-f', '-')
      expect(checked).toEqual({ code: 0, stdout: '', stderr: '' })
    }),
  )

  it.each(variants)('by iptables-restore and ip6tables-restore: %s', (_name, plan) =>
    withLab(async lab => {
      const script = ruleText('iptables', 'apply', plan)
      for (const [, tool = '', body = ''] of script.matchAll(/^(ip6?tables-restore) --noflush <<'END'\n(.*?)^END$/gms)) {
        const checked = await lab.gateway.runWith({ input: body }, tool, '--test', '--noflush')
        expect(checked, tool).toEqual({ code: 0, stdout: '', stderr: '' })
      }
      expect(script).toMatch(/^iptables-restore/m)
    }),
  )

  it.each(['nft', 'iptables'] as const)('%s: applying twice is applying once, and undoing leaves nothing, also twice', form =>
    withLab(async lab => {
      const everything = variants[2]?.[1]
      if (everything === undefined) throw new Error('no such variant')
      const state = async () =>
        `${await lab.gateway.must('nft', '-s', 'list', 'ruleset')}${await lab.gateway.must('ip', '-4', 'rule')}${await lab.gateway.must('ip', '-6', 'rule')}` +
        `${(await lab.gateway.run('ip', '-4', 'route', 'show', 'table', '100')).stdout}${(await lab.gateway.run('ip', '-6', 'route', 'show', 'table', '100')).stdout}`
      await lab.gateway.script('nft add table ip theirs')
      const before = withoutEmptyTables(await state())
      await lab.gateway.script(ruleText(form, 'apply', everything))
      const once = await state()
      await lab.gateway.script(ruleText(form, 'apply', everything))
      expect(await state()).toBe(once)
      await lab.gateway.script(ruleText(form, 'undo', everything))
      expect(withoutEmptyTables(await state())).toBe(before)
      await lab.gateway.script(ruleText(form, 'undo', everything))
      expect(withoutEmptyTables(await state())).toBe(before)
    }),
  )
})

/** iptables over nft leaves its empty base tables, as it does after any use. */
const withoutEmptyTables = (text: string): string =>
  text.replace(/table ip6? (?:mangle|nat) \{\n(?:\tchain [A-Z]+ \{\n\t\ttype [^\n]*\n\t\}\n\n?)*\}\n/g, '')
