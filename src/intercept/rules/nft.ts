import { expectSetName } from '../../../comm/index.ts'
import { boundAddress, familyOf, holdsForeignSockets, type KernelDecision, neverTaken, transportOf, type RuleFamily, type RulePlan, type Taken } from './plan.ts'
import { portSet, decisionRules } from './nft-decisions.ts'
import { routingSteps, undoRoutingSteps } from './routing.ts'
import type { Step } from './step.ts'

// The rule set for nftables. One table, ours alone: replaced whole when applied, deleted whole when undone.
//
//   prerouting/mangle   ours ──► sockets of the proxy ──► never taken ──► TPROXY (──► drop)
//   prerouting/dstnat   never taken ──► REDIRECT
//   output              the same for this machine's own connections: mark and route again through lo, or REDIRECT

const table = 'inet glassquid'

export const nftSteps = (plan: RulePlan): Step[] => [
  ...routingSteps(plan),
  { why: 'The rules; a set of ours that is there is replaced in the same moment.', command: ['nft', '-f', '-'], input: nftText(plan) },
]

export const undoNftSteps = (plan: RulePlan): Step[] => [
  {
    why: 'Our table, with all that is in it.',
    command: ['nft', 'delete', 'table', ...table.split(' ')],
    alreadySo: /No such file or directory/,
  },
  ...undoRoutingSteps(plan),
]

export const nftText = (plan: RulePlan): string => {
  const chains = [
    ...(holdsForeignSockets(plan) ? [socketChain(plan), takeChain(plan)] : []),
    ...(plan.nat.some(({ listener }) => (listener.decisions ?? []).some(refuses)) ? [refuseChain(plan)] : []),
    ...(plan.nat.length > 0 ? [redirectChain(plan)] : []),
    ...(plan.options.local && plan.tproxy.length > 0 ? [localTakeChain(plan)] : []),
    ...(plan.options.local && plan.nat.length > 0 ? [localRedirectChain(plan)] : []),
  ]
  return `table ${table}
delete table ${table}
table ${table} {
${indent([networkSet(plan, 4), networkSet(plan, 6), ...clientSets(plan), ...expectSets(plan), ...chains].join('\n'))}
}
`
}

// --- chains ---

/**
 * Packets of sockets the proxy holds: intercepted connections, answers to forged addresses, expected connections.
 * `socket transparent 1` alone would do it, and has three holes, each closed by a line of its own here:
 *
 * - It finds a listener on every address for any packet to that port, whoever it is for. A SYN would lead any address to
 *   the proxy; the ACK of somebody's connection to port 3130 of a stranger would be taken and reset. `wildcard` cannot be
 *   asked of a connection in its handshake or in TIME_WAIT (the rule then does not match), so it stands as a way out
 *   before, not as a condition inside.
 * - A SYN for ports used a minute ago finds the old connection in TIME_WAIT, and is lost for a second: only `tproxy`
 *   knows what to do with it. A SYN passes here only to a listener on just that address.
 * - "Packet too big" about a forged connection would go to the client whose address it is.
 */
const socketChain = (plan: RulePlan): string => {
  const mark = `meta mark set mark or ${hex(plan.options.takenMark)} accept`
  return chain('of_our_sockets', '', [
    'socket wildcard 1 return',
    `meta l4proto tcp tcp flags & (syn|ack) != syn socket transparent 1 ${mark}`,
    `meta l4proto tcp tcp flags & (syn|ack) == syn socket transparent 1 socket wildcard 0 ${mark}`,
    `meta l4proto udp socket transparent 1 socket wildcard 0 ${mark}`,
    `meta l4proto { icmp, icmpv6 } socket transparent 1 ${mark}`,
  ])
}

const takeChain = (plan: RulePlan): string =>
  chain('take', 'type filter hook prerouting priority mangle; policy accept;', [
    '# what the proxy itself sends is never taken',
    `meta mark & ${hex(plan.options.ownMark)} == ${hex(plan.options.ownMark)} accept`,
    '# what belongs to it already comes before any rule about what it shall get',
    'jump of_our_sockets',
    ...expectRules(plan),
    ...(plan.tproxy.length > 0 ? neverTakenRules(plan) : []),
    ...plan.tproxy.flatMap(taken => [...decisionsOf(taken, plan), ...tproxyRules(taken, plan)]),
    ...(plan.options.failClosed ? closedRules(plan) : []),
  ])

/** NAT rules cannot refuse. */
const refuseChain = (plan: RulePlan): string =>
  chain('refuse', 'type filter hook prerouting priority mangle; policy accept;', [
    ...neverTakenRules(plan),
    ...plan.nat.flatMap(taken => decisionsOf(taken, plan, refuses)),
  ])

const refuses = ({ kind }: KernelDecision): boolean => kind !== 'forward'

const decisionsOf = (taken: Taken, plan: RulePlan, which: (decision: KernelDecision) => boolean = () => true): string[] =>
  (taken.listener.decisions ?? []).filter(which).flatMap(decision => [
    `# ${decision.what}`,
    ...decisionRules(decision, transportOf(taken.listener), taken.families).flatMap(rule =>
      from(plan, taken).map(way => `${way} ${transportOf(taken.listener)} dport ${portSet(taken.ports)} ${rule}`),
    ),
  ])

const tproxyRules = (taken: Taken, plan: RulePlan): string[] => {
  const mark = hex(plan.options.takenMark)
  const match = `${familyMatch(taken)}${transportOf(taken.listener)} dport ${portSet(taken.ports)} ${tproxyTarget(taken)}`
  return [
    `# ${taken.listener.name} (tproxy)`,
    ...from(plan, taken).map(way => `${way} ${match} meta mark set mark or ${mark} accept`),
    ...(plan.options.local ? [`${looped(plan)} ${match} accept`] : []),
  ]
}

/** Whatever no listener took, in both families: a family nobody listens for would be a way round the proxy. */
const closedRules = (plan: RulePlan): string[] =>
  (['tcp', 'udp'] as const).flatMap(protocol => {
    const taken = plan.tproxy.filter(({ listener }) => transportOf(listener) === protocol)
    if (taken.length === 0) return []
    const match = `${protocol} dport ${portSet(taken.flatMap(({ ports }) => ports))} drop`
    return [
      '# fail-closed: nobody took it, so nobody gets it',
      ...from(plan).map(way => `${way} ${match}`),
      ...(plan.options.local ? [`${looped(plan)} ${match}`] : []),
    ]
  })

/** Without a listener a redirected connection is refused by this machine: it is fail-closed by its nature. */
const redirectChain = (plan: RulePlan): string =>
  chain('take_nat', 'type nat hook prerouting priority dstnat; policy accept;', [
    ...neverTakenRules(plan),
    ...plan.nat.flatMap(taken => [
      ...decisionsOf(taken, plan, decision => !refuses(decision)),
      `# ${taken.listener.name} (intercept)`,
      ...from(plan, taken).map(way => `${way} ${familyMatch(taken)}tcp dport ${portSet(taken.ports)} ${redirectTarget(taken)}`),
    ]),
  ])

/** TPROXY works in prerouting only: mark here, and the route hook sends the packet there by way of lo. */
const localTakeChain = (plan: RulePlan): string =>
  chain('local_take', 'type route hook output priority mangle; policy accept;', [
    ...ownRules(plan),
    ...neverTakenRules(plan),
    ...plan.tproxy.map(
      taken => `${familyMatch(taken)}${transportOf(taken.listener)} dport ${portSet(taken.ports)} meta mark set mark or ${hex(plan.options.takenMark)}`,
    ),
  ])

const localRedirectChain = (plan: RulePlan): string =>
  chain('local_take_nat', 'type nat hook output priority -100; policy accept;', [
    ...ownRules(plan),
    ...neverTakenRules(plan),
    ...plan.nat.map(taken => `${familyMatch(taken)}tcp dport ${portSet(taken.ports)} ${redirectTarget(taken)}`),
  ])

// --- rules ---

const ownRules = (plan: RulePlan): string[] => {
  const own = hex(plan.options.ownMark)
  return [`meta mark & ${own} == ${own} accept`, `meta skuid ${plan.options.proxyUser} accept`]
}

const neverTakenRules = (plan: RulePlan): string[] => [
  ...(exempt(plan, 4).length > 0 ? ['ip saddr @exempt4 accept'] : []),
  ...(exempt(plan, 6).length > 0 ? ['ip6 saddr @exempt6 accept'] : []),
  'ip daddr @bypass4 accept',
  'ip6 daddr @bypass6 accept',
  '# this machine itself',
  'fib daddr type local accept',
]

const familyMatch = (taken: Taken): string =>
  taken.families.length === 2 ? '' : `meta nfproto ipv${taken.families[0]} `

const tproxyTarget = (taken: Taken): string => {
  const address = boundAddress(taken.listener)
  const { port } = taken.listener
  // nft wants the family said as soon as the rule is for one of them
  if (address === null) return taken.families.length === 2 ? `tproxy to :${port}` : `tproxy ${taken.families[0] === 4 ? 'ip' : 'ip6'} to :${port}`
  return familyOf(address) === 4 ? `tproxy ip to ${address}:${port}` : `tproxy ip6 to [${address}]:${port}`
}

const redirectTarget = (taken: Taken): string => {
  const address = boundAddress(taken.listener)
  const { port } = taken.listener
  if (address === null) return `redirect to :${port}`
  return familyOf(address) === 4 ? `dnat ip to ${address}:${port}` : `dnat ip6 to [${address}]:${port}`
}

/** Rule beginnings, one or several: names with `*` cannot stand in a set. */
const from = ({ options: { interfaces } }: RulePlan, taken?: Taken): string[] => {
  const by = taken?.listener.by
  if (by !== undefined) return ['interface' in by ? `iifname "${by.interface}"` : `iifgroup ${by.group}`]
  if (interfaces.length === 0) return ['iifname != "lo"']
  const quoted = interfaces.map(name => `"${name}"`)
  return interfaces.some(name => name.endsWith('*'))
    ? quoted.map(name => `iifname ${name}`)
    : [`iifname { ${quoted.join(', ')} }`]
}

/** This machine's own connections, marked in the output hook and come back by way of lo. */
const looped = ({ options: { takenMark } }: RulePlan): string =>
  `iifname "lo" meta mark & ${hex(takenMark)} == ${hex(takenMark)}`

// --- sets ---

const exempt = (plan: RulePlan, family: RuleFamily): readonly string[] =>
  plan.options.exempt.filter(text => familyOf(text) === family)

const networkSet = (plan: RulePlan, family: RuleFamily): string =>
  set('bypass', family, [...neverTaken[family], ...plan.options.bypass.filter(text => familyOf(text) === family)])

const clientSets = (plan: RulePlan): string[] =>
  ([4, 6] as const)
    .filter(family => exempt(plan, family).length > 0)
    .map(family => set('exempt', family, exempt(plan, family)))

const set = (name: string, family: RuleFamily, elements: readonly string[]): string =>
  `set ${name}${family} { type ipv${family}_addr; flags interval; auto-merge; elements = { ${elements.join(', ')} }; }`

/** Kept when the rules are loaded anew? No: the table is replaced, and what was waited for has to be asked for again. */
const expectSets = (plan: RulePlan): string[] =>
  plan.options.expectPort === null
    ? []
    : plan.options.families.flatMap(family => {
        const address = `ipv${family}_addr`
        const more = 'flags timeout; size 65536;'
        return [
          `set ${expectSetName(family, false)} { type ${address} . ${address} . inet_service; ${more} }`,
          `set ${expectSetName(family, true)} { type ${address} . inet_service; ${more} }`,
        ]
      })

/** Before what the administrator takes, and before what is never taken: it was asked for by name. */
const expectRules = (plan: RulePlan): string[] => {
  const { expectPort, families, takenMark } = plan.options
  if (expectPort === null) return []
  return [
    '# connections that sessions wait for',
    ...families.flatMap(family => {
      const ip = family === 4 ? 'ip' : 'ip6'
      const target = `tproxy ${ip} to :${expectPort} meta mark set mark or ${hex(takenMark)} accept`
      return [
        `${ip} saddr . ${ip} daddr . tcp dport @${expectSetName(family, false)} ${target}`,
        `${ip} daddr . tcp dport @${expectSetName(family, true)} ${target}`,
      ]
    }),
  ]
}

// --- text ---

/** Without a hook it is called by others. */
const chain = (name: string, hook: string, rules: readonly string[]): string =>
  `chain ${name} {\n${indent([...(hook === '' ? [] : [hook]), ...rules].join('\n'))}\n}`

const indent = (text: string): string => text.replace(/^(?=.)/gm, '  ')

const hex = (mark: number): string => `0x${mark.toString(16)}`
