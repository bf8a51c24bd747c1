import type { PortRange, RuleFamily } from '../rules/plan.ts'
import { anything, type Asks, both, type Deed, type Hook, type HookChain, type KernelRule } from './kernel-rule.ts'

// `nft -j list ruleset` as KernelRules. Only what the doctor's questions need is understood; the rest makes a rule
// unsure. Tables that iptables-nft keeps hold `xt` expressions, which nft cannot spell out: those come from
// iptables-save instead.

export interface NftRules {
  readonly chains: readonly HookChain[]
  /** Interfaces in flowtables: established connections on them bypass every hook. */
  readonly flowtableDevices: readonly string[]
}

/** Null when the text is not what nft prints. */
export const readNft = (text: string): NftRules | null => {
  const list = parsed(text)
  if (list === null) return null
  const chains = new Map<string, Chain>()
  const flowtableDevices: string[] = []
  for (const item of list) {
    const chain = record(item.chain)
    if (chain !== null) chains.set(keyOf(chain, chain.name), { ...chainOf(chain), rules: [] })
    const rule = record(item.rule)
    if (rule !== null) chains.get(keyOf(rule, rule.chain))?.rules.push(Array.isArray(rule.expr) ? rule.expr.map(record) : [])
    const flowtable = record(item.flowtable)
    if (flowtable !== null) flowtableDevices.push(...words(flowtable.dev))
  }
  const xtables = new Set([...chains.values()].filter(chain => chain.rules.some(isXt)).map(chain => chain.table))
  const hooked = [...chains.values()].flatMap((chain): HookChain[] => {
    const { hook, families, priority, policy, table, name } = chain
    if (hook === null || xtables.has(table)) return []
    const rules = written(chain, chain, chains, anything, '/')
    return [{ tool: 'nft', name: `${table} ${name}`, hook, families, priority, policy, rules }]
  })
  return { chains: hooked, flowtableDevices }
}

type Json = Record<string, unknown>

interface Chain {
  readonly table: string
  readonly name: string
  readonly families: readonly RuleFamily[]
  readonly hook: Hook | null
  readonly priority: number
  readonly policy: 'accept' | 'drop'
  readonly rules: (Json | null)[][]
}

const record = (value: unknown): Json | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null

const parsed = (text: string): Json[] | null => {
  try {
    const top = record(JSON.parse(text))
    return Array.isArray(top?.nftables) ? top.nftables.map(record).filter(item => item !== null) : null
  } catch {
    return null // nft said something else: the caller tells what
  }
}

const keyOf = (of: Json, chain: unknown): string => `${of.family} ${of.table} ${chain}`

const hooks: readonly Hook[] = ['prerouting', 'input', 'forward', 'output', 'postrouting']

const chainOf = (chain: Json): Omit<Chain, 'rules'> => ({
  table: `${chain.family} ${chain.table}`,
  name: String(chain.name),
  families: chain.family === 'ip' ? [4] : chain.family === 'ip6' ? [6] : chain.family === 'inet' ? [4, 6] : [],
  hook: hooks.find(hook => hook === chain.hook) ?? null,
  priority: typeof chain.prio === 'number' ? chain.prio : 0,
  policy: chain.policy === 'drop' ? 'drop' : 'accept',
})

const isXt = (expressions: readonly (Json | null)[]): boolean => expressions.some(one => one !== null && 'xt' in one)

/** `/1/2/...`: longer ways through chains than anybody writes; the kernel's own limit is 16 calls. */
const scopeMax = 64

const written = (base: Chain, chain: Chain, chains: ReadonlyMap<string, Chain>, way: Asks, scope: string): KernelRule[] =>
  chain.rules.flatMap((expressions, index) => {
    const read = readRule(expressions)
    const asks = both(way, read.asks)
    const families = base.families.filter(family => read.families.includes(family))
    const called = read.calls === null ? undefined : chains.get(`${chain.table} ${read.calls}`)
    if (called !== undefined && scope.length < scopeMax) return written(base, called, chains, asks, `${scope}${index}/`)
    if (read.does.length === 0) return []
    return {
      tool: 'nft' as const,
      families,
      scope,
      asks,
      does: read.does,
      text: `${chain.table} ${chain.name}: ${read.does.map(deedText).join(', ')}`,
    }
  })

const deedText = (deed: Deed): string => {
  if (deed.kind === 'mark') return `mark 0x${deed.bits.toString(16)}`
  return 'port' in deed ? `${deed.kind} to ${deed.address ?? ''}:${deed.port ?? ''}` : deed.kind
}

interface Read {
  asks: Asks
  families: readonly RuleFamily[]
  does: Deed[]
  calls: string | null
}

const readRule = (expressions: readonly (Json | null)[]): Read => {
  const read: Read = { asks: anything, families: [4, 6], does: [], calls: null }
  for (const expression of expressions) {
    if (expression === null) continue
    const [word = '', value] = Object.entries(expression)[0] ?? []
    if (word === 'match') readMatch(record(value), read)
    else readStatement(word, record(value), read)
  }
  return read
}

const readStatement = (word: string, value: Json | null, read: Read): void => {
  const to = (kind: 'tproxy' | 'redirect' | 'dnat'): void => {
    const address = typeof value?.addr === 'string' ? value.addr : null
    read.does.push({ kind, address, port: typeof value?.port === 'number' ? value.port : null })
  }
  if (word === 'tproxy' || word === 'redirect' || word === 'dnat') to(word)
  else if (word === 'accept' || word === 'drop' || word === 'reject' || word === 'return' || word === 'notrack') read.does.push({ kind: word })
  else if (word === 'masquerade' || word === 'snat') read.does.push({ kind: 'source-nat' })
  else if (word === 'jump' || word === 'goto') read.calls = String(value?.target ?? '')
  else if (word === 'mangle') readMangle(value, read)
  else if (word === 'vmap') read.asks = { ...read.asks, unsure: true }
  // counter, log, comment, limit: a limited rule matches sometimes
  else if (word === 'limit') read.asks = { ...read.asks, unsure: true }
}

const readMangle = (value: Json | null, read: Read): void => {
  const key = record(value?.key)
  if (record(key?.meta)?.key === 'mark') {
    const bits = value?.value
    const or = record(bits)?.['|']
    const number = typeof bits === 'number' ? bits : Array.isArray(or) ? or.find(part => typeof part === 'number') : undefined
    if (typeof number === 'number') read.does.push({ kind: 'mark', bits: number >>> 0 })
  } else if (record(key?.ct)?.key === 'zone') read.does.push({ kind: 'zone' })
}

const readMatch = (match: Json | null, read: Read): void => {
  const left = record(match?.left)
  const negated = match?.op === '!='
  const { right } = match ?? {}
  const payload = record(left?.payload)
  const meta = record(left?.meta)
  const and = left?.['&']
  if (record(left?.socket)?.key === 'transparent') return ask(read, { socketTransparent: right === 1 })
  if (record(left?.socket)?.key === 'wildcard') return ask(read, { wildcard: right === 1 ? 1 : 0 })
  if (payload?.field === 'dport') {
    ask(read, { ports: negated ? null : portsIn(right), protocols: [String(payload.protocol)] })
    if (negated) ask(read, { unsure: true })
    return
  }
  if (payload !== null && (payload.protocol === 'ip' || payload.protocol === 'ip6')) {
    read.families = read.families.filter(family => family === (payload.protocol === 'ip' ? 4 : 6))
    return ask(read, { unsure: true })
  }
  if (meta?.key === 'l4proto' && !negated) return ask(read, { protocols: words(right).map(icmpName) })
  if (meta?.key === 'nfproto' && !negated) {
    read.families = read.families.filter(family => right === `ipv${family}`)
    return
  }
  if (meta?.key === 'iifname' || meta?.key === 'iif') return ask(read, { incoming: { names: words(right), negated } })
  if (meta?.key === 'oifname' || meta?.key === 'oif') return ask(read, { outgoing: { names: words(right), negated } })
  if (meta?.key === 'skuid' || meta?.key === 'skgid') return ask(read, { user: true })
  if (meta?.key === 'mark' && typeof right === 'number') return ask(read, { mark: { value: right >>> 0, mask: 0xffffffff, negated } })
  if (Array.isArray(and)) return readMasked(and, right, negated, read)
  ask(read, { unsure: true })
}

/** `meta mark & M == V`, `tcp flags & (syn|ack) == syn`. */
const readMasked = (and: readonly unknown[], right: unknown, negated: boolean, read: Read): void => {
  const of = record(and[0])
  if (record(of?.meta)?.key === 'mark' && typeof and[1] === 'number' && typeof right === 'number') {
    return ask(read, { mark: { value: right >>> 0, mask: and[1] >>> 0, negated } })
  }
  if (record(of?.payload)?.field === 'flags' && right === 'syn') return ask(read, { syn: negated ? 'never' : 'only', protocols: ['tcp'] })
  ask(read, { unsure: true })
}

const ask = (read: Read, more: Partial<Asks>): void => {
  read.asks = { ...read.asks, ...more }
}

const icmpName = (name: string): string => (name === 'ipv6-icmp' ? 'icmpv6' : name)

const setOf = (value: unknown): readonly unknown[] => {
  const set = record(value)?.set
  return Array.isArray(set) ? set : Array.isArray(value) ? value : [value]
}

const words = (value: unknown): string[] => setOf(value).flatMap(one => (typeof one === 'string' ? one : []))

const portsIn = (value: unknown): PortRange[] | null => {
  const ports = setOf(value).flatMap(one => {
    if (typeof one === 'number') return { first: one, last: one }
    const range = record(one)?.range
    return Array.isArray(range) && range.length === 2 ? { first: Number(range[0]), last: Number(range[1]) } : []
  })
  return ports.length > 0 ? ports : null // `@set`: not spelt out here
}
