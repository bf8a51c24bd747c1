import { boundAddress, familyOf, neverTaken, type PortRange, transportOf, type RuleFamily, type RulePlan, type Taken } from './plan.ts'
import { routingSteps, undoRoutingSteps } from './routing.ts'
import type { Step } from './step.ts'

// The rule set for iptables and ip6tables, where nft is not to be had. Chains of our own, filled in one go by
// iptables-restore --noflush, which empties chains it declares and leaves all others; then one jump to each.
//
// The order differs from the nft form in one point: xt_socket cannot tell a listener from a connection in TIME_WAIT, so
// a SYN is shown to TPROXY first, which can, and to the proxy's own listeners afterwards. xt_socket passes over
// listeners on every address by itself; never give it --nowildcard. So a listener of the proxy on somebody's address (an
// expected connection) loses here, and only here, when its port is one of those taken.

const families = [4, 6] as const
const divertChain = 'GLASSQUID_SOCKET'

interface Hooked {
  readonly table: 'mangle' | 'nat'
  readonly hook: 'PREROUTING' | 'OUTPUT'
  readonly chain: string
}

const hooks: readonly Hooked[] = [
  { table: 'mangle', hook: 'PREROUTING', chain: 'GLASSQUID' },
  { table: 'mangle', hook: 'OUTPUT', chain: 'GLASSQUID_OUT' },
  { table: 'nat', hook: 'PREROUTING', chain: 'GLASSQUID' },
  { table: 'nat', hook: 'OUTPUT', chain: 'GLASSQUID_OUT' },
]

export const iptablesSteps = (plan: RulePlan): Step[] => [
  ...routingSteps(plan),
  ...families.flatMap(family => familySteps(plan, family)),
]

const familySteps = (plan: RulePlan, family: RuleFamily): Step[] => {
  const text = iptablesText(plan, family)
  if (text === '') return []
  return [
    { why: `The IPv${family} rules, in chains of our own, called before all others.`, command: [`${tool(family)}-restore`, '--noflush'], input: text },
    ...hooks
      .filter(hooked => rulesOf(plan, family, hooked).length > 0)
      .map(
        (hooked): Step => ({
          unless: [tool(family), '-t', hooked.table, '-C', hooked.hook, '-j', hooked.chain],
          command: [tool(family), '-t', hooked.table, '-I', hooked.hook, '1', '-j', hooked.chain],
        }),
      ),
  ]
}

export const undoIptablesSteps = (plan: RulePlan): Step[] => [
  ...families.flatMap(family => [
    ...hooks.flatMap(({ table, hook, chain }): Step[] => [
      {
        why: `${chain} for IPv${family} in ${table}: its call, its rules, itself.`,
        ...removal(family, table, '-D', hook, '-j', chain),
      },
      removal(family, table, '-F', chain),
      removal(family, table, '-X', chain),
    ]),
    { why: `The IPv${family} chain that marks.`, ...removal(family, 'mangle', '-F', divertChain) },
    removal(family, 'mangle', '-X', divertChain),
  ]),
  ...undoRoutingSteps(plan),
]

const removal = (family: RuleFamily, table: string, ...words: string[]): Step => ({
  command: [tool(family), '-t', table, ...words],
  alreadySo: /No chain|does not exist|doesn't exist|Bad rule|No such file|Couldn't load target/,
})

const tool = (family: RuleFamily): string => (family === 4 ? 'iptables' : 'ip6tables')

/** Input of iptables-restore for one family; '' when nothing is taken in it. */
export const iptablesText = (plan: RulePlan, family: RuleFamily): string => {
  const lines: string[] = []
  for (const table of ['mangle', 'nat'] as const) {
    const filled = hooks
      .filter(hooked => hooked.table === table)
      .map(hooked => ({ hooked, rules: rulesOf(plan, family, hooked) }))
      .filter(({ rules }) => rules.length > 0)
    if (filled.length === 0) continue
    const divert = table === 'mangle' ? divertRules(plan) : []
    lines.push(`*${table}`)
    if (divert.length > 0) lines.push(`:${divertChain} - [0:0]`)
    for (const { hooked } of filled) lines.push(`:${hooked.chain} - [0:0]`)
    for (const rule of divert) lines.push(`-A ${divertChain} ${rule}`)
    for (const { hooked, rules } of filled) for (const rule of rules) lines.push(`-A ${hooked.chain} ${rule}`)
    lines.push('COMMIT')
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

const divertRules = (plan: RulePlan): string[] => {
  const mark = hex(plan.options.takenMark)
  return [`-j MARK --set-xmark ${mark}/${mark}`, '-j ACCEPT']
}

const rulesOf = (plan: RulePlan, family: RuleFamily, { table, hook }: Hooked): string[] => {
  if (!plan.options.families.includes(family)) return []
  const taken = (table === 'mangle' ? plan.tproxy : plan.nat).filter(entry => entry.families.includes(family))
  const closed = table === 'mangle' && plan.options.failClosed && plan.tproxy.length > 0
  const sockets = table === 'mangle' && plan.options.foreignSockets
  if (taken.length === 0 && !closed && !sockets) return []
  if (hook === 'OUTPUT') return plan.options.local && taken.length > 0 ? outputRules(plan, family, table, taken) : []
  return table === 'mangle' ? takeRules(plan, family, taken) : redirectRules(plan, family, taken)
}

const takeRules = (plan: RulePlan, family: RuleFamily, taken: readonly Taken[]): string[] => {
  const mark = hex(plan.options.takenMark)
  const own = hex(plan.options.ownMark)
  const socket = `-m socket --transparent -j ${divertChain}`
  const waysOf = (entry: Taken) => [...from(plan, entry), ...(plan.options.local ? [`-i lo -m mark --mark ${mark}/${mark}`] : [])]
  const closed = plan.options.failClosed ? plan.tproxy : []
  return [
    `-m mark --mark ${own}/${own} -j ACCEPT`,
    `-p tcp ! --syn ${socket}`,
    `-p udp ${socket}`,
    `-p ${family === 4 ? 'icmp' : 'ipv6-icmp'} ${socket}`,
    ...(taken.length > 0 ? neverTakenRules(plan, family) : []),
    ...taken.flatMap(entry => {
      const target = `-p ${transportOf(entry.listener)} ${portMatch(entry.ports)} -j TPROXY --tproxy-mark ${mark}/${mark} ${tproxyTarget(entry)}`
      return waysOf(entry).map(way => `${way} ${target}`)
    }),
    ...closed.flatMap(entry => waysOf(entry).map(way => `${way} -p ${transportOf(entry.listener)} ${portMatch(entry.ports)} -j DROP`)),
    `-p tcp --syn ${socket}`,
  ]
}

const redirectRules = (plan: RulePlan, family: RuleFamily, taken: readonly Taken[]): string[] => [
  ...neverTakenRules(plan, family),
  ...taken.flatMap(entry =>
    from(plan, entry).map(way => `${way} -p tcp ${portMatch(entry.ports)} ${redirectTarget(entry)}`),
  ),
]

const outputRules = (plan: RulePlan, family: RuleFamily, table: Hooked['table'], taken: readonly Taken[]): string[] => {
  const mark = hex(plan.options.takenMark)
  const own = hex(plan.options.ownMark)
  return [
    `-m mark --mark ${own}/${own} -j RETURN`,
    `-m owner --uid-owner ${plan.options.proxyUser} -j RETURN`,
    ...neverTakenRules(plan, family),
    ...taken.map(entry => {
      const target = table === 'mangle' ? `-j MARK --set-xmark ${mark}/${mark}` : redirectTarget(entry)
      return `-p ${transportOf(entry.listener)} ${portMatch(entry.ports)} ${target}`
    }),
  ]
}

const neverTakenRules = (plan: RulePlan, family: RuleFamily): string[] => [
  ...plan.options.exempt.filter(text => familyOf(text) === family).map(text => `-s ${text} -j RETURN`),
  ...neverTaken[family].map(text => `-d ${text} -j RETURN`),
  ...plan.options.bypass.filter(text => familyOf(text) === family).map(text => `-d ${text} -j RETURN`),
  '-m addrtype --dst-type LOCAL -j RETURN',
]

const tproxyTarget = (taken: Taken): string => {
  const address = boundAddress(taken.listener)
  return `--on-port ${taken.listener.port}${address === null ? '' : ` --on-ip ${address}`}`
}

const redirectTarget = (taken: Taken): string => {
  const address = boundAddress(taken.listener)
  const { port } = taken.listener
  if (address === null) return `-j REDIRECT --to-ports ${port}`
  return `-j DNAT --to-destination ${familyOf(address) === 4 ? address : `[${address}]`}:${port}`
}

/** One rule for each interface: iptables has no sets of them. `eth*` is written `eth+`. */
const from = ({ options: { interfaces } }: RulePlan, { listener: { by } }: Taken): string[] =>
  by !== undefined
    ? ['interface' in by ? `-i ${by.interface}` : `-m devgroup --src-group ${by.group}`]
    : interfaces.length === 0 ? ['! -i lo'] : interfaces.map(name => `-i ${name.replace(/\*$/, '+')}`)

const portMatch = (ports: readonly PortRange[]): string =>
  `-m multiport --dports ${ports.map(({ first, last }) => (first === last ? `${first}` : `${first}:${last}`)).join(',')}`

const hex = (mark: number): string => `0x${mark.toString(16)}`
