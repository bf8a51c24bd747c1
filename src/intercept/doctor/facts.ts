import type { PortConfig } from '../../conf/config.ts'
import { type PortRange, ruleDefaults, type RuleFamily } from '../rules/plan.ts'
import { doesKind, type Hook, type HookChain, type KernelRule, markBits, type Packet } from './kernel-rule.ts'
import { jsonList, type Look } from './look.ts'
import { readIptables } from './read-iptables.ts'
import { readNft } from './read-nft.ts'

// What is read once and asked about by many checks: the conf's ports, the interfaces, all packet filter rules.

export type DoctorPort = Pick<PortConfig, 'mode' | 'address' | 'port' | 'name'>

export interface FactsWish {
  readonly look: Look
  readonly platform: string
  /** The conf's interception ports; null: no conf was read. */
  readonly ports: readonly DoctorPort[] | null
  /** The proxy that runs under the conf, and its user. */
  readonly pid: number | null
  readonly user: string | null
  readonly openFilesMax: number
  /** Where clients come from; empty: what the rules say, else every interface but lo. */
  readonly interfaces: readonly string[]
  readonly probe: Probe
  /** Of the running proxy; null: it does not run, or did not tell. */
  readonly counters: RunningCounters | null
}

export interface RunningCounters {
  readonly connections: number
  /** Connections to an interception port whose destination was the port itself. */
  readonly directHits: number
  readonly requests: number
  /** Intercepted requests whose Host does not resolve to where the client went. */
  readonly hostMismatches: number
}

/** Sockets of our own, asked of the kernel. Each answers '' or the system's word for why not. */
export interface Probe {
  /** A listener on an address that is not this machine's. */
  foreignBind(address: string): string
  /** How a PF or IPFilter look-up that cannot find anything is answered. */
  natLookup(): string
}

export interface Facts extends FactsWish {
  readonly links: readonly Link[]
  readonly clientSides: readonly string[]
  /** In the order the kernel asks them. */
  readonly chains: readonly HookChain[]
  /** '' or why the rules could not all be read. */
  readonly rulesUnread: string
  readonly flowtableDevices: readonly string[]
  readonly taking: readonly Taking[]
  /** What the policy routing looks for. */
  readonly takenMark: number
  readonly ownMark: number
}

export interface Link {
  readonly name: string
  readonly addresses: readonly { readonly family: RuleFamily; readonly address: string; readonly bits: number }[]
}

/** A rule that brings connections to a port of this machine. */
export interface Taking {
  readonly rule: KernelRule
  readonly kind: 'tproxy' | 'redirect' | 'dnat'
  readonly address: string | null
  readonly port: number
  readonly ports: readonly PortRange[]
}

export const collectFacts = (wish: FactsWish): Facts => {
  const { look } = wish
  const links = readLinks(look)
  const { chains, unread, flowtableDevices } = readRules(look)
  const taking = chains.filter(chain => chain.hook === 'prerouting').flatMap(chain => chain.rules.flatMap(takingOf)).filter(({ kind, address }) => kind === 'tproxy' || isOurs(address, links))
  const marks = taking.filter(({ kind }) => kind === 'tproxy').map(({ rule }) => markBits(rule))
  return {
    ...wish,
    links,
    clientSides: wish.interfaces.length > 0 ? wish.interfaces : sidesOf(taking, links),
    chains,
    rulesUnread: unread,
    flowtableDevices,
    taking,
    takenMark: marks.find(mark => mark !== 0) ?? ruleDefaults.takenMark,
    ownMark: ruleDefaults.ownMark,
  }
}

const readLinks = (look: Look): Link[] =>
  jsonList(look.run('ip', '-j', 'addr')).flatMap(link => {
    if (typeof link.ifname !== 'string' || !Array.isArray(link.addr_info)) return []
    const addresses = link.addr_info.flatMap((info: Record<string, unknown>) =>
      typeof info.local === 'string' && typeof info.prefixlen === 'number'
        ? { family: info.family === 'inet6' ? (6 as const) : (4 as const), address: info.local, bits: info.prefixlen }
        : [],
    )
    return { name: link.ifname, addresses }
  })

const readRules = (look: Look) => {
  const unread: string[] = []
  const nft = look.run('nft', '-j', 'list', 'ruleset')
  const fromNft = nft === null ? { chains: [], flowtableDevices: [] } : nft.code === 0 ? readNft(nft.stdout) : null
  if (fromNft === null) unread.push(`nft: ${nft?.stderr.trim() || 'its answer is not understood'}`)
  const chains: HookChain[] = [...(fromNft?.chains ?? [])]
  // nft's and the old kernel interface hold rules of their own; both may be there at once
  for (const [tool, family] of saveTools) {
    const saved = look.run(tool)
    if (saved === null) continue
    if (saved.code === 0) chains.push(...readIptables(saved.stdout, family))
    else if (!/legacy/.test(tool)) unread.push(`${tool}: ${saved.stderr.trim()}`)
  }
  chains.sort((a, b) => a.priority - b.priority)
  return { chains, unread: unread.join('; '), flowtableDevices: fromNft?.flowtableDevices ?? [] }
}

const saveTools = [
  ['iptables-save', 4],
  ['ip6tables-save', 6],
] as const

const takingOf = (rule: KernelRule): Taking[] =>
  rule.does.flatMap(deed =>
    (deed.kind === 'tproxy' || deed.kind === 'redirect' || deed.kind === 'dnat') && deed.port !== null
      ? { rule, kind: deed.kind, address: deed.address, port: deed.port, ports: rule.asks.ports ?? [{ first: 1, last: 65535 }] }
      : [],
  )

const isOurs = (address: string | null, links: readonly Link[]): boolean =>
  address === null || address.startsWith('127.') || address === '::1' || links.some(link => link.addresses.some(own => own.address === address))

const sidesOf = (taking: readonly Taking[], links: readonly Link[]): string[] => {
  const all = links.map(link => link.name).filter(name => name !== 'lo')
  const named = taking.flatMap(({ rule: { asks } }) => (asks.incoming === null || asks.incoming.negated ? [] : asks.incoming.names))
  const present = all.filter(name => named.some(text => (text.endsWith('*') ? name.startsWith(text.slice(0, -1)) : text === name)))
  return present.length > 0 ? present : all
}

// --- questions many checks ask ---

export const familiesTaken = (facts: Facts, kind?: Taking['kind']): RuleFamily[] =>
  ([4, 6] as const).filter(family =>
    facts.taking.some(taking => taking.rule.families.includes(family) && (kind === undefined || taking.kind === kind)),
  )

export const tproxyRules = (facts: Facts, family: RuleFamily): Taking[] =>
  facts.taking.filter(taking => taking.kind === 'tproxy' && taking.rule.families.includes(family))

export const natRules = (facts: Facts): Taking[] => facts.taking.filter(taking => taking.kind !== 'tproxy')

/** The greater of `all` and the interface's own, as the kernel takes it for these (IN_DEV_MAXCONF). */
export const interfaceSetting = (facts: Facts, name: string, setting: string): number | null => {
  const values = ['all', name].map(which => facts.look.file(`/proc/sys/net/ipv4/conf/${which}/${setting}`))
  const known = values.flatMap(text => (text === null ? [] : Number(text)))
  return known.length === 0 ? null : Math.max(...known)
}

/** The first packet of a client's connection to a web server. */
export const clientSyn = (facts: Facts, family: RuleFamily, port: number): Packet => ({
  family,
  protocol: 'tcp',
  port,
  incoming: facts.clientSides[0] ?? 'eth0',
  outgoing: '',
  mark: 0,
  socket: 'none',
  syn: true,
})

/** What an origin answers to a connection the proxy made with a client's address. */
export const forgedAnswer = (facts: Facts, family: RuleFamily): Packet => ({
  ...clientSyn(facts, family, 40_000),
  socket: 'exact',
  syn: false,
})

export const chainsAt = (facts: Facts, hook: Hook, family: RuleFamily): HookChain[] =>
  facts.chains.filter(chain => chain.hook === hook && chain.families.includes(family))

/** All rules of a hook in the order they are asked. */
export const rulesAt = (facts: Facts, hook: Hook, family: RuleFamily): KernelRule[] =>
  chainsAt(facts, hook, family).flatMap(chain => chain.rules.filter(rule => rule.families.includes(family)))

export const isDivert = (rule: KernelRule): boolean =>
  rule.asks.socketTransparent && (markBits(rule) !== 0 || doesKind(rule, 'accept'))

/** An address of a client's network that is not our own, to ask the kernel's routing about. */
export const likelyClient = (facts: Facts, name: string, family: RuleFamily): string | null => {
  const own = facts.links.find(link => link.name === name)?.addresses.find(a => a.family === family && !a.address.startsWith('fe80'))
  if (own === undefined || own.bits === (family === 4 ? 32 : 128)) return null
  return own.address.replace(/[0-9a-f]+$/i, digits => {
    const radix = family === 4 ? 10 : 16
    const n = Number.parseInt(digits, radix)
    return (n ^ 3).toString(radix) // within any network of a /30 or wider
  })
}
