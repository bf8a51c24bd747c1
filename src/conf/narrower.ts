import { type Prefix, parsePrefix, prefixHolds } from '../base/index.ts'
import type { AclDefinition } from './config.ts'
import { canonicalNetwork } from './network.ts'

// Which ACLs lie within which: whatever matches the narrower one matches the wider one too, whoever asks. Told from their
// values alone, and only where that is sure; what is not known here is not within anything.

/** Longer lists are not compared: most of them come from elsewhere, and nobody would read what is found. */
const valuesMax = 5000

/** Of values with values, in one conf. */
const comparisonsMax = 2_000_000

export class Narrower {
  readonly #acls = new Map<string, AclDefinition>()
  readonly #within = new Map<string, boolean>()
  #comparisons = 0

  constructor(acls: readonly AclDefinition[]) {
    for (const acl of acls) this.#acls.set(acl.name.toLowerCase(), acl)
  }

  /** Names in lower case. Everything lies within itself. */
  isWithin(narrow: string, wide: string): boolean {
    if (narrow === wide) return true
    if (!this.#comparable(narrow, wide)) return false
    const key = `${narrow} ${wide}`
    const known = this.#within.get(key)
    if (known !== undefined) return known
    this.#within.set(key, false) // groups do not hold themselves; whoever asks again meanwhile is not sure
    const found = this.#compare(narrow, wide)
    this.#within.set(key, found)
    return found
  }

  /** An ACL that matches whoever comes, by whatever name. */
  isForAll(name: string): boolean {
    return this.isWithin('all', name)
  }

  /** Of most pairs it is known at once that they are about different things. */
  #comparable(narrow: string, wide: string): boolean {
    const [a, b] = [this.#acls.get(narrow), this.#acls.get(wide)]
    if (a === undefined || b === undefined) return false
    return a.type === b.type || a.type === 'any-of' || a.type === 'all-of' || b.type === 'any-of'
  }

  #compare(narrow: string, wide: string): boolean {
    const [a, b] = [this.#acls.get(narrow), this.#acls.get(wide)]
    if (a === undefined || b === undefined || a.values.length === 0 || b.values.length === 0) return false
    if (a.values.length > valuesMax || b.values.length > valuesMax) return false
    // groups: of any, each member must be within; of all, one is enough
    if (a.type === 'any-of') return members(a).every(member => !member.negated && this.isWithin(member.name, wide))
    if (a.type === 'all-of' && members(a).some(member => !member.negated && this.isWithin(member.name, wide))) return true
    if (b.type === 'any-of') return members(b).some(member => !member.negated && this.isWithin(narrow, member.name))
    return sameQuestion(a, b) && this.#valuesWithin(a, b)
  }

  #valuesWithin(a: AclDefinition, b: AclDefinition): boolean {
    const holds = holders[a.type]?.(b)
    if (holds === undefined) return false
    return a.values.every(value => {
      this.#comparisons += holds.cost
      return this.#comparisons < comparisonsMax && holds.holds(value.text, value.caseInsensitive)
    })
  }
}

const sameQuestion = (a: AclDefinition, b: AclDefinition): boolean =>
  a.type === b.type && a.flags.join() === b.flags.join() && a.argument?.text.toLowerCase() === b.argument?.text.toLowerCase()

/** Several lines of all-of are further groups: then none of them is sure. */
const members = ({ type, values }: AclDefinition): readonly { readonly name: string; readonly negated: boolean }[] =>
  type === 'all-of' && values.some(value => value.at.line !== values[0]?.at.line)
    ? []
    : values.map(({ text }) => ({ name: text.replace(/^!/, '').toLowerCase(), negated: text.startsWith('!') }))

interface Holder {
  /** Comparisons for one value. */
  readonly cost: number
  holds(text: string, caseInsensitive: boolean): boolean
}

const words = (acl: AclDefinition): Holder => {
  const there = new Set(acl.values.map(value => wordKey(value.text, value.caseInsensitive)))
  return { cost: 1, holds: (text, caseInsensitive) => there.has(wordKey(text, caseInsensitive)) }
}

const wordKey = (text: string, caseInsensitive: boolean): string => `${caseInsensitive ? '-i' : ''} ${text}`

const networks = (acl: AclDefinition): Holder => {
  const wide = acl.values.map(value => networkOf(value.text))
  const there = new Set(acl.values.map(value => value.text.toLowerCase()))
  const all = wide.includes('all') || (wide.includes('4') && wide.includes('6'))
  const holds = (text: string): boolean => {
    if (all || there.has(text.toLowerCase())) return true
    const narrow = networkOf(text)
    return narrow !== null && typeof narrow !== 'string' && wide.some(one => holdsNetwork(one, narrow))
  }
  return { cost: acl.values.length, holds }
}

type Network = Prefix | 'all' | '4' | '6' | null

/** Null: a range, a host name, or nothing at all. */
const networkOf = (text: string): Network => {
  const lower = text.toLowerCase()
  if (lower === 'all' || lower === 'ipv4' || lower === 'ipv6') return lower === 'all' ? 'all' : lower === 'ipv4' ? '4' : '6'
  // as Squid reads it, of both families
  if (/^(?:0\/0|0\.0\.0\.0\/0(?:\.0\.0\.0)?|0\.0\.0\.0-255\.255\.255\.255)$/.test(lower)) return 'all'
  return parsePrefix(canonicalNetwork(lower) ?? '')
}

const holdsNetwork = (wide: Network, narrow: Prefix): boolean => {
  if (wide === null || wide === 'all') return wide === 'all'
  if (wide === '4' || wide === '6') return narrow.family === Number(wide)
  return wide.family === narrow.family && wide.length <= narrow.length && prefixHolds(wide, narrow.words)
}

const domains = (acl: AclDefinition): Holder => {
  const there = new Set(acl.values.map(value => domainKey(value.text)))
  const holds = (text: string): boolean => {
    const name = domainKey(text)
    if (there.has(name)) return true
    for (let dot = name.startsWith('.') ? 0 : -1; ; ) {
      if (there.has(dot < 0 ? `.${name}` : name.slice(dot))) return true
      dot = name.indexOf('.', dot + 1)
      if (dot < 0) return false
    }
  }
  return { cost: 4, holds }
}

const domainKey = (text: string): string => text.toLowerCase().replace(/^\*\./, '.').replace(/(.)\.$/, '$1')

const numbers = (acl: AclDefinition): Holder => {
  const wide = acl.values.map(value => spanOf(value.text))
  const holds = (text: string): boolean => {
    const narrow = spanOf(text)
    return narrow !== null && wide.some(one => one !== null && one[0] <= narrow[0] && narrow[1] <= one[1])
  }
  return { cost: acl.values.length, holds }
}

const spanOf = (text: string): readonly [number, number] | null => {
  const match = /^(\d+)(?:(-)(\d*))?$/.exec(text)
  if (match === null) return null
  const first = Number(match[1])
  return [first, match[2] === undefined ? first : match[3] === '' ? Infinity : Number(match[3])]
}

/** Types of which a further value only lets more match. */
const holders: Readonly<Record<string, (acl: AclDefinition) => Holder>> = {
  'src': networks,
  'dst': networks,
  'localip': networks,
  'dstdomain': domains,
  'srcdomain': domains,
  'ssl::server_name': domains,
  'port': numbers,
  'localport': numbers,
  'http_status': numbers,
  'method': words,
  'proto': words,
  'myportname': words,
  'peername': words,
  'hier_code': words,
  'at_step': words,
  'arp': words,
  'eui64': words,
  'url_regex': words,
  'urlpath_regex': words,
  'dstdom_regex': words,
  'srcdom_regex': words,
  'browser': words,
  'referer_regex': words,
  'req_header': words,
  'rep_header': words,
  'req_mime_type': words,
  'rep_mime_type': words,
  'ssl::server_name_regex': words,
}
