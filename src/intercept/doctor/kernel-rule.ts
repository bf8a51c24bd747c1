import type { PortRange, RuleFamily } from '../rules/plan.ts'

// Packet filter rules as the doctor sees them, whichever tool wrote them (read-nft.ts, read-iptables.ts): chains that are
// jumped to are written out where they are called, so that each chain of a hook is one list from top to bottom.
//
// What a rule asks of a packet beyond the words here makes it `unsure`: it may match or not, and nothing is concluded
// from it alone.

/** A chain at one of the kernel's hooks. */
export interface HookChain {
  readonly tool: 'nft' | 'iptables'
  readonly name: string
  readonly hook: Hook
  readonly families: readonly RuleFamily[]
  /** Lower is asked first. */
  readonly priority: number
  /** What becomes of a packet no rule decides about. */
  readonly policy: 'accept' | 'drop'
  readonly rules: readonly KernelRule[]
}

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'

export interface KernelRule {
  readonly tool: 'nft' | 'iptables'
  readonly families: readonly RuleFamily[]
  /** The calls that lead here from the base chain, as `/2/0/`: what `return` ends is everything below its own. */
  readonly scope: string
  readonly asks: Asks
  readonly does: readonly Deed[]
  /** As a person finds it: `inet glassquid take: tproxy to :3130`. */
  readonly text: string
}

export interface Asks {
  /** tcp, udp, icmp, icmpv6; null = any. */
  readonly protocols: readonly string[] | null
  /** Destination ports; null = any. */
  readonly ports: readonly PortRange[] | null
  readonly incoming: Names | null
  readonly outgoing: Names | null
  readonly mark: MarkTest | null
  /** A matching socket of this machine with IP_TRANSPARENT. */
  readonly socketTransparent: boolean
  /** 1: a socket on every address; 0: one on just that address. */
  readonly wildcard: 0 | 1 | null
  readonly syn: 'only' | 'never' | null
  /** The sender's user: only where the packet comes from this machine. */
  readonly user: boolean
  /** Asks for more than the words above. */
  readonly unsure: boolean
}

/** Interface names; `*` at the end stands for the rest. */
export interface Names {
  readonly names: readonly string[]
  readonly negated: boolean
}

export interface MarkTest {
  readonly value: number
  readonly mask: number
  readonly negated: boolean
}

export type Deed =
  | { readonly kind: 'tproxy' | 'redirect' | 'dnat'; readonly address: string | null; readonly port: number | null }
  /** The bits it sets. */
  | { readonly kind: 'mark'; readonly bits: number }
  | { readonly kind: 'accept' | 'drop' | 'reject' | 'return' | 'source-nat' | 'notrack' | 'zone' }

export const anything: Asks = {
  protocols: null,
  ports: null,
  incoming: null,
  outgoing: null,
  mark: null,
  socketTransparent: false,
  wildcard: null,
  syn: null,
  user: false,
  unsure: false,
}

/** What both the way to a chain and a rule in it ask. */
export const both = (way: Asks, here: Asks): Asks => ({
  protocols: here.protocols ?? way.protocols,
  ports: here.ports ?? way.ports,
  incoming: here.incoming ?? way.incoming,
  outgoing: here.outgoing ?? way.outgoing,
  mark: here.mark ?? way.mark,
  socketTransparent: way.socketTransparent || here.socketTransparent,
  wildcard: here.wildcard ?? way.wildcard,
  syn: here.syn ?? way.syn,
  user: way.user || here.user,
  unsure: way.unsure || here.unsure,
})

/** A packet on its way through a hook, as far as the doctor thinks one through. */
export interface Packet {
  readonly family: RuleFamily
  readonly protocol: string
  readonly port: number
  readonly incoming: string
  readonly outgoing: string
  readonly mark: number
  /** It belongs to a socket of ours with IP_TRANSPARENT, and whether that one is a listener on every address. */
  readonly socket: 'none' | 'exact' | 'wildcard'
  readonly syn: boolean
}

export type Match = 'yes' | 'no' | 'perhaps'

export const matches = (rule: KernelRule, packet: Packet): Match => {
  const { asks } = rule
  const no =
    !rule.families.includes(packet.family) ||
    (asks.protocols !== null && !asks.protocols.includes(packet.protocol)) ||
    (asks.ports !== null && !asks.ports.some(({ first, last }) => first <= packet.port && packet.port <= last)) ||
    !names(asks.incoming, packet.incoming) ||
    !names(asks.outgoing, packet.outgoing) ||
    (asks.mark !== null && ((packet.mark & asks.mark.mask) >>> 0 === asks.mark.value) === asks.mark.negated) ||
    (asks.socketTransparent && packet.socket === 'none') ||
    (asks.wildcard !== null && (packet.socket === 'none' || (packet.socket === 'wildcard') !== (asks.wildcard === 1))) ||
    (asks.syn !== null && (asks.syn === 'only') !== packet.syn)
  if (no) return 'no'
  return asks.unsure || asks.user ? 'perhaps' : 'yes'
}

const names = (wanted: Names | null, name: string): boolean => {
  if (wanted === null) return true
  const found = wanted.names.some(text => (text.endsWith('*') ? name.startsWith(text.slice(0, -1)) : text === name))
  return found !== wanted.negated
}

export interface Walked {
  /** `perhaps`: a rule that may or may not match could have ended it otherwise; `by` is the first such. */
  readonly end: 'accept' | 'drop' | 'perhaps'
  readonly by: KernelRule | null
}

/** One base chain, top to bottom. */
export const walkChain = ({ rules, policy }: HookChain, packet: Packet): Walked => {
  let left: string | null = null
  let doubt: KernelRule | null = null
  for (const rule of rules) {
    if (left !== null && rule.scope.startsWith(left)) continue
    left = null
    const match = matches(rule, packet)
    if (match === 'no') continue
    const end = rule.does.find(deed => ends.has(deed.kind))
    if (end === undefined) continue
    if (match === 'perhaps') {
      if (end.kind !== 'return' && endOf(end.kind) !== policy) doubt ??= rule
      continue
    }
    if (end.kind === 'return') {
      if (rule.scope === '/') break
      left = rule.scope
      continue
    }
    return doubt === null || endOf(end.kind) === endOf(doubtEnd(doubt)) ? { end: endOf(end.kind), by: rule } : { end: 'perhaps', by: doubt }
  }
  return doubt === null ? { end: policy, by: null } : { end: 'perhaps', by: doubt }
}

const ends: ReadonlySet<Deed['kind']> = new Set(['accept', 'drop', 'reject', 'return', 'tproxy', 'redirect', 'dnat'])

const endOf = (kind: Deed['kind']): 'accept' | 'drop' => (kind === 'drop' || kind === 'reject' ? 'drop' : 'accept')

const doubtEnd = (rule: KernelRule): Deed['kind'] => rule.does.find(deed => ends.has(deed.kind))?.kind ?? 'accept'

export const doesKind = (rule: KernelRule, ...kinds: readonly Deed['kind'][]): boolean =>
  rule.does.some(deed => kinds.includes(deed.kind))

/** The bits a rule puts into the mark. */
export const markBits = (rule: KernelRule): number =>
  rule.does.reduce((bits, deed) => (deed.kind === 'mark' ? (bits | deed.bits) >>> 0 : bits), 0)
