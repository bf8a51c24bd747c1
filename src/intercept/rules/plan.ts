import type { Prefix } from '../../base/index.ts'
import type { PortConfig } from '../../conf/config.ts'

// What shall be taken, from the conf's ports and the command's words, checked, before any rule language is spoken.

/** What rules need of an http_port, listener or receiver line. */
export interface ListeningPort {
  /** 'direct' and the like: never a target of a rule. */
  readonly mode: PortConfig['mode'] | 'direct'
  /** An https_port: its clients begin with TLS. */
  readonly tls?: { readonly fromStart: boolean } | null
  /** tcp unless told: udp is a receiver's. */
  readonly transport?: Transport
  readonly address: string | null
  readonly port: number
  /** Of a range; the first is `port`. */
  readonly lastPort?: number
  /** It listens at the addresses of this interface or group, so only who comes by it can be brought there. */
  readonly by?: { readonly interface: string } | { readonly group: number }
  readonly name: string
  /** What of it the kernel refuses, or forwards, by itself, instead of bringing it there. */
  readonly decisions?: readonly KernelDecision[]
}

/** Connections the kernel decides about. Lists are alternatives, and empty ones say nothing. */
export interface KernelDecision {
  readonly kind: KernelDecisionKind
  /** Says where it comes from, in a comment. */
  readonly what: string
  readonly src: readonly Prefix[]
  readonly dst: readonly Prefix[]
  readonly srcPorts: readonly PortRange[]
  readonly dstPorts: readonly PortRange[]
  readonly interfaces: readonly string[]
  readonly groups: readonly number[]
}

export type KernelDecisionKind = 'forward' | 'drop' | 'tcp_reset' | 'net_unreachable' | 'host_unreachable' | 'port_unreachable' | 'admin_prohibited'

export type Transport = 'tcp' | 'udp'

export interface PortRange {
  readonly first: number
  readonly last: number
}

/** `--take 80,8000-8010=3130`: these ports go to that listener. */
export interface TakeWish {
  readonly ports: readonly PortRange[]
  /** null: that of the listener; a receiver is taken only if no listener has the name or port. */
  readonly transport?: Transport | null
  /** The listener's name or port, as written. */
  readonly listener: string
}

export interface RuleOptions {
  /**
   * Said port by port. Empty: `ports` go to the first tproxy listener of each family, or else the first intercept one, and
   * 443 likewise to an https_port, if there is one.
   */
  readonly take: readonly TakeWish[]
  readonly ports: readonly PortRange[]
  /** Where clients come from. Empty: every interface but lo. */
  readonly interfaces: readonly string[]
  /** Destinations and clients that are never taken, beside those of `neverTaken`. Addresses or networks. */
  readonly bypass: readonly string[]
  readonly exempt: readonly string[]
  /** Those this machine speaks. */
  readonly families: readonly RuleFamily[]
  /**
   * The proxy speaks with foreign addresses, or waits at them, also for what no tproxy rule brings: forged sources of a
   * router, related connections.
   */
  readonly foreignSockets: boolean
  /**
   * Related connections by sets: whoever is in them is brought to the proxy's listener on this port. null: they wait on
   * sockets of their own.
   */
  readonly expectPort: number | null
  /** Drop what a dead proxy does not take. Otherwise it goes to its destination untouched. */
  readonly failClosed: boolean
  /** Take this machine's own connections too, except those of `proxyUser`. */
  readonly local: boolean
  readonly proxyUser: string
  /** One bit each. TAKEN is what the policy routing looks for; OURS is on connections the proxy opened. */
  readonly takenMark: number
  readonly ownMark: number
  readonly routingTable: number
  /** Our `ip rule`'s place; must come before main (32766). */
  readonly rulePreference: number
}

export const ruleDefaults: RuleOptions = {
  take: [],
  ports: [{ first: 80, last: 80 }],
  interfaces: [],
  bypass: [],
  exempt: [],
  families: [4, 6],
  foreignSockets: false,
  expectPort: null,
  failClosed: false,
  local: false,
  proxyUser: 'proxy',
  takenMark: 0x100,
  ownMark: 0x200,
  routingTable: 100,
  rulePreference: 100,
}

export type RuleFamily = 4 | 6

/** These destination ports, in this family, go to that listener of ours. */
export interface Taken {
  readonly ports: readonly PortRange[]
  readonly listener: ListeningPort
  readonly families: readonly RuleFamily[]
}

export interface RulePlan {
  readonly tproxy: readonly Taken[]
  readonly nat: readonly Taken[]
  readonly options: RuleOptions
  /** Things the operator should know, one sentence each; printed as comments. */
  readonly remarks: readonly string[]
}

export type PlanAnswer = { readonly ok: true; readonly plan: RulePlan } | { readonly ok: false; readonly reason: string }

/** Unroutable, multicast, loopback, link-local: no web server of anybody's lives there. */
export const neverTaken: Readonly<Record<RuleFamily, readonly string[]>> = {
  4: ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'],
  6: ['::/127', 'fe80::/10', 'ff00::/8'],
}

export const planRules = (ports: readonly ListeningPort[], options: RuleOptions): PlanAnswer => {
  const wrong = options.interfaces.find(name => !interfaceName.test(name))
  if (wrong !== undefined) return no(`'${wrong}' is no interface name`)
  const network = [...options.bypass, ...options.exempt].find(text => !networkText.test(text))
  if (network !== undefined) return no(`'${network}' is no address or network`)
  if (!userName.test(options.proxyUser)) return no(`'${options.proxyUser}' is no user name`)

  const interceptors = ports.filter(port => port.mode === 'tproxy' || port.mode === 'intercept')
  if (interceptors.length === 0 && !options.foreignSockets) {
    return no("the conf has no 'tproxy' and no 'intercept' port: there is nothing to send connections to")
  }
  const asked = options.take.length > 0 ? wished(interceptors, options.take) : usual(interceptors, options.ports)
  if (typeof asked === 'string') return no(asked)
  const taken = asked
    .map(entry => ({ ...entry, families: entry.families.filter(family => options.families.includes(family)) }))
    .filter(entry => entry.families.length > 0)
  const clash = overlapping(taken)
  if (clash !== null) return no(`port ${clash} is given to two listeners`)
  const lost = taken.find(({ listener }) => listener.mode === 'intercept' && transportOf(listener) === 'udp')
  if (lost !== undefined) {
    return no(`${lost.listener.name} is an intercept receiver: after a REDIRECT nobody can tell where a datagram was going. Write 'tproxy'.`)
  }
  const bound = taken.find(entry => entry.listener.mode === 'intercept' && isLoopback(entry.listener.address))
  if (bound !== undefined) {
    return no(
      `${bound.listener.name} listens on a loopback address: redirected connections arrive at the address of the interface ` +
        'they came in by. Write the port alone.',
    )
  }
  return {
    ok: true,
    plan: {
      tproxy: taken.filter(entry => entry.listener.mode === 'tproxy'),
      nat: taken.filter(entry => entry.listener.mode === 'intercept'),
      options,
      remarks: remarksOn(interceptors, taken, options),
    },
  }
}

/** What was applied is found by its names, whatever the conf says by now. */
export const planUndo = (options: RuleOptions): RulePlan => ({ tproxy: [], nat: [], options, remarks: [] })

const no = (reason: string): PlanAnswer => ({ ok: false, reason })

const interfaceName = /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,14}[*]?$/
const networkText = /^(?:\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:\/\d{1,3})?)$/
const userName = /^(?:[A-Za-z_][A-Za-z0-9_.-]{0,31}|\d{1,10})$/

export const familyOf = (text: string): RuleFamily => (text.includes(':') ? 6 : 4)

/** No address: one socket for both families. */
const familiesOf = (port: ListeningPort): readonly RuleFamily[] =>
  port.address === null ? [4, 6] : [familyOf(port.address)]

const isLoopback = (address: string | null): boolean => address !== null && (address.startsWith('127.') || address === '::1')

/** 0.0.0.0 and :: need no address in the rule. */
export const boundAddress = (port: ListeningPort): string | null =>
  port.address === null || port.address === '0.0.0.0' || port.address === '::' ? null : port.address

const wished = (interceptors: readonly ListeningPort[], wishes: readonly TakeWish[]): Taken[] | string => {
  const taken: Taken[] = []
  for (const wish of wishes) {
    const listener = wishedListener(interceptors, wish)
    if (listener === null) {
      const known = interceptors.map(port => `${port.name} (${port.mode}${port.transport === 'udp' ? ', udp' : ''})`).join(', ')
      return `the conf has no interception port '${wish.listener}'; it has ${known || 'none'}`
    }
    taken.push({ ports: wish.ports, listener, families: familiesOf(listener) })
  }
  return taken
}

/** By name or port; a listener before a receiver of the same. Of a range it is one port. */
const wishedListener = (interceptors: readonly ListeningPort[], wish: TakeWish): ListeningPort | null => {
  for (const transport of wish.transport ? [wish.transport] : (['tcp', 'udp'] as const)) {
    const those = interceptors.filter(port => transportOf(port) === transport)
    const named = those.find(port => port.name === wish.listener)
    if (named !== undefined) return named
    const number = /^\d{1,5}$/.test(wish.listener) ? Number(wish.listener) : -1
    const within = those.find(port => port.port <= number && number <= (port.lastPort ?? port.port))
    if (within !== undefined) return { ...within, port: number }
  }
  return null
}

export const transportOf = ({ transport }: ListeningPort): Transport => transport ?? 'tcp'

/** Clients of an https_port begin with TLS, those of the others do not. */
const usual = (interceptors: readonly ListeningPort[], ports: readonly PortRange[]): Taken[] => {
  const secure = interceptors.filter(({ tls }) => tls?.fromStart === true)
  if (secure.length === 0) return byFamily(interceptors, ports)
  const plain = interceptors.filter(port => !secure.includes(port))
  return [...byFamily(plain, ports.filter(({ first, last }) => first !== 443 || last !== 443)), ...byFamily(secure, [{ first: 443, last: 443 }])]
}

/** One listener per family; tproxy is preferred since it comes first in the kernel anyway (mangle before nat). */
const byFamily = (interceptors: readonly ListeningPort[], ports: readonly PortRange[]): Taken[] => {
  const preferred = interceptors.filter(port => transportOf(port) === 'tcp').sort((a, b) => Number(b.mode === 'tproxy') - Number(a.mode === 'tproxy'))
  const taken: Taken[] = []
  for (const family of [4, 6] as const) {
    const listener = preferred.find(port => familiesOf(port).includes(family))
    if (listener === undefined) continue
    const same = taken.findIndex(entry => entry.listener === listener)
    if (same < 0) taken.push({ ports, listener, families: [family] })
    else taken[same] = { ports, listener, families: [4, 6] }
  }
  return taken
}

const overlapping = (taken: readonly Taken[]): string | null => {
  for (const [i, a] of taken.entries()) {
    for (const b of taken.slice(i + 1)) {
      if (!a.families.some(family => b.families.includes(family))) continue
      if (transportOf(a.listener) !== transportOf(b.listener)) continue
      for (const x of a.ports) {
        const hit = b.ports.find(y => x.first <= y.last && y.first <= x.last)
        if (hit !== undefined) return String(Math.max(x.first, hit.first))
      }
    }
  }
  return null
}

const remarksOn = (
  interceptors: readonly ListeningPort[],
  taken: readonly Taken[],
  options: RuleOptions,
): readonly string[] => {
  const remarks: string[] = []
  for (const port of interceptors) {
    if (!taken.some(({ listener }) => listener.name === port.name && transportOf(listener) === transportOf(port))) {
      const ports = transportOf(port) === 'udp' ? 'PORTS/udp' : 'PORTS'
      remarks.push(`${port.name} (${port.mode}) gets nothing from these rules; give it ports with --take ${ports}=${port.port}.`)
    }
  }
  for (const family of options.families) {
    if (interceptors.length > 0 && !taken.some(entry => entry.families.includes(family))) {
      remarks.push(`IPv${family} is not taken: no interception port listens for it. Clients that have it go round the proxy.`)
    }
  }
  if (options.interfaces.length === 0 && taken.some(({ listener }) => listener.by === undefined)) {
    remarks.push('Connections from every interface are taken; name the clients\' side with --interface.')
  }
  if (options.foreignSockets || taken.some(entry => entry.listener.mode === 'tproxy')) {
    remarks.push(
      'net.ipv4.conf.*.src_valid_mark and net.ipv4.tcp_fwmark_accept must be 0, or the kernel drops these connections in silence.',
    )
  }
  return remarks
}

/** Whether packets of foreign addresses have to find the proxy's sockets. */
export const holdsForeignSockets = (plan: RulePlan): boolean => plan.options.foreignSockets || plan.tproxy.length > 0

/** `80`, `80,8080`, `8000-8010`; null if it is something else. */
export const parsePorts = (text: string): readonly PortRange[] | null => {
  const ranges: PortRange[] = []
  for (const part of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part)
    if (match === null) return null
    const first = Number(match[1])
    const last = Number(match[2] ?? match[1])
    if (first < 1 || last > 65535 || first > last) return null
    ranges.push({ first, last })
  }
  return ranges.length <= portRangesMax ? ranges : null
}

/** iptables' multiport takes fifteen ports, a range counts as two. */
const portRangesMax = 7
