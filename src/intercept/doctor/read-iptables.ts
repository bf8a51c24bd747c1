import { parsePorts, type RuleFamily } from '../rules/plan.ts'
import { anything, type Asks, both, type Deed, type Hook, type HookChain, type KernelRule } from './kernel-rule.ts'

// iptables-save and ip6tables-save as KernelRules. Words beyond those of the table below make a rule unsure.

export const readIptables = (text: string, family: RuleFamily): HookChain[] =>
  tablesIn(text).flatMap(table =>
    [...table.policies].flatMap(([name, policy]): HookChain[] => {
      const hook = hookNames[name]
      if (hook === undefined) return []
      const rules = written({ table: table.name, family }, name, table.chains, anything, '/')
      const priority = priorities[table.name]?.[hook] ?? 0
      return [{ tool: 'iptables', name: `${table.name} ${name}`, hook, families: [family], priority, policy, rules }]
    }),
  )

interface Table {
  readonly name: string
  readonly policies: Map<string, 'accept' | 'drop'>
  readonly chains: Map<string, string[][]>
}

interface Base {
  readonly table: string
  readonly family: RuleFamily
}

const hookNames: Readonly<Record<string, Hook>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
}

/** include/uapi/linux/netfilter_ipv4.h: NF_IP_PRI_*. */
const priorities: Readonly<Record<string, Readonly<Partial<Record<Hook, number>>>>> = {
  raw: { prerouting: -300, output: -300 },
  mangle: { prerouting: -150, input: -150, forward: -150, output: -150, postrouting: -150 },
  nat: { prerouting: -100, output: -100, input: 100, postrouting: 100 },
}

const tablesIn = (text: string): Table[] => {
  const tables: Table[] = []
  for (const line of text.split('\n')) {
    const table = tables.at(-1)
    const words = wordsOf(line)
    const [first = ''] = words
    if (first.startsWith('*')) tables.push({ name: first.slice(1), policies: new Map(), chains: new Map() })
    else if (table === undefined) continue
    else if (first.startsWith(':')) table.policies.set(first.slice(1), words[1] === 'DROP' ? 'drop' : 'accept')
    else if (first === '-A') {
      const chain = words[1] ?? ''
      const rules = table.chains.get(chain) ?? []
      if (rules.length === 0) table.chains.set(chain, rules)
      rules.push(words.slice(2))
    }
  }
  return tables
}

/** Words are parted by blanks; a comment stands in quotes. */
const wordsOf = (line: string): string[] => line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []

const scopeMax = 64

const written = (base: Base, chain: string, chains: ReadonlyMap<string, string[][]>, way: Asks, scope: string): KernelRule[] =>
  (chains.get(chain) ?? []).flatMap((words, index) => {
    const { here, does, target } = readRule(words)
    const asks = both(way, here)
    if (chains.has(target) && scope.length < scopeMax) return written(base, target, chains, asks, `${scope}${index}/`)
    if (does === null) return []
    return {
      tool: 'iptables' as const,
      families: [base.family],
      scope,
      asks,
      does,
      text: `ip${base.family === 6 ? '6' : ''}tables -t ${base.table} ${chain}: ${words.join(' ')}`,
    }
  })

interface Read {
  readonly here: Asks
  readonly does: readonly Deed[] | null
  readonly target: string
}

const readRule = (words: readonly string[]): Read => {
  let asks = anything
  let target = ''
  const said = new Map<string, string>()
  let negated = false
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (word === '!') {
      negated = true
      continue
    }
    const needsNone = switches.has(word)
    const value = needsNone ? '' : (words[at + 1] ?? '')
    if (!needsNone) at++
    if (word === '-j' || word === '-g') target = value
    else if (word === '-m' || word === '--comment') continue
    else if (word === '--tcp-flags') {
      at++ // mask and value
      asks = { ...asks, ...flagTest(words[at] ?? '', negated) }
    } else if (targetOptions.has(word)) said.set(word, value)
    else asks = { ...asks, ...test(word, value, negated) }
    negated = false
  }
  if (said.has('--nowildcard')) asks = { ...asks, wildcard: null }
  return { here: asks, does: deeds(target, said), target }
}

const switches: ReadonlySet<string> = new Set(['--transparent', '--nowildcard', '--restore-skmark', '--syn', '--notrack', '--random', '--random-fully', '--persistent'])
const targetOptions: ReadonlySet<string> = new Set([
  '--on-port', '--on-ip', '--tproxy-mark', '--to-ports', '--to-destination', '--to-source', '--set-xmark', '--set-mark', '--zone', '--zone-orig',
  '--zone-reply', '--reject-with', '--notrack', '--random', '--random-fully', '--persistent', '--nowildcard',
])

/** xt_socket leaves listeners on every address out unless --nowildcard is said. */
const test = (word: string, value: string, negated: boolean): Partial<Asks> => {
  switch (word) {
    case '-p':
      return negated ? { unsure: true } : { protocols: [value === 'ipv6-icmp' ? 'icmpv6' : value] }
    case '-i':
      return { incoming: { names: [value.replace(/\+$/, '*')], negated } }
    case '-o':
      return { outgoing: { names: [value.replace(/\+$/, '*')], negated } }
    case '--dport':
    case '--dports': {
      const ports = parsePorts(value.replaceAll(':', '-'))
      return negated || ports === null ? { unsure: true } : { ports }
    }
    case '--mark': {
      const [number = '', mask = '0xffffffff'] = value.split('/')
      return { mark: { value: Number(number) >>> 0, mask: Number(mask) >>> 0, negated } }
    }
    case '--transparent':
      return { socketTransparent: true, wildcard: 0 }
    case '--syn':
      return { syn: negated ? 'never' : 'only' }
    case '--uid-owner':
    case '--gid-owner':
      return { user: true }
    default:
      return { unsure: true }
  }
}

const flagTest = (value: string, negated: boolean): Partial<Asks> =>
  value === 'SYN' ? { syn: negated ? 'never' : 'only' } : { unsure: true }

const deeds = (target: string, said: ReadonlyMap<string, string>): readonly Deed[] | null => {
  const port = (text: string | undefined): number | null => (text === undefined ? null : Number(text.split('-')[0]))
  switch (target) {
    case 'TPROXY': {
      const bits = Number((said.get('--tproxy-mark') ?? '0').split('/')[0]) >>> 0
      return [{ kind: 'tproxy', address: anyAddress(said.get('--on-ip')), port: port(said.get('--on-port')) }, { kind: 'mark', bits }, { kind: 'accept' }]
    }
    case 'REDIRECT':
      return [{ kind: 'redirect', address: null, port: port(said.get('--to-ports')) }]
    case 'DNAT': {
      const match = /^\[?([0-9a-fA-F:.]*?)\]?(?::(\d+))?$/.exec(said.get('--to-destination') ?? '')
      return [{ kind: 'dnat', address: match?.[1] || null, port: port(match?.[2]) }]
    }
    case 'MARK':
      return [{ kind: 'mark', bits: Number((said.get('--set-xmark') ?? said.get('--set-mark') ?? '0').split('/')[0]) >>> 0 }]
    case 'CT':
      return said.has('--notrack') ? [{ kind: 'notrack' }] : ['--zone', '--zone-orig', '--zone-reply'].some(word => said.has(word)) ? [{ kind: 'zone' }] : null
    case 'NOTRACK':
      return [{ kind: 'notrack' }]
    case 'MASQUERADE':
    case 'SNAT':
      return [{ kind: 'source-nat' }]
    case 'ACCEPT':
    case 'DROP':
    case 'REJECT':
    case 'RETURN':
      return [{ kind: lower[target] }]
    default:
      return null
  }
}

const lower = { ACCEPT: 'accept', DROP: 'drop', REJECT: 'reject', RETURN: 'return' } as const

const anyAddress = (text: string | undefined): string | null => (text === undefined || text === '0.0.0.0' || text === '::' ? null : text)
