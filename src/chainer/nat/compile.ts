import { canonicalAddress, type Endpoint, endpoint, type Family, parsePrefix, type Prefix } from '../../base/index.ts'
import type { AclValue, Diagnostic, Location } from '../../conf/config.ts'
import { Decisions } from './decisions.ts'
import { embeddingFault, wellKnownPrefix } from './embed.ts'
import {
  anyOf, fixed, forgeClient, general, type GeneralMapping, type Kind, nat46, nat64, oneToOne, orElse, table,
} from './kinds.ts'
import type { Mapped, NatPair, NatPolicy, NatUse } from './policy.ts'

// From nat_policy lines to policies. Lines of one name add mappings; what they mean is read here, once, at load.

export const natKinds = {
  general: 'FROM-NET TO-NET NEW-NET: what comes from FROM-NET and goes to TO-NET moves into NEW-NET, the host part kept',
  static: 'ADDRESS[:PORT]: always this one',
  one_to_one: 'FROM-NET TO-NET: two nets of one size, the host part kept',
  one_to_one_multi: 'FROM-NET TO-NET: the same with several pairs, a line each; the first that holds the address',
  random: 'ADDRESS ...: any of them',
  hash: 'ADDRESS=ADDRESS ...: a table of single addresses',
  nat64: '[PREFIX/LENGTH]: IPv6 with an IPv4 address inside becomes that address (RFC 6052)',
  nat46: '[PREFIX/LENGTH]: IPv4 becomes IPv6 with it inside (RFC 6052)',
  forge_client: "the client's own address (snat only)",
} as const

export type NatKind = keyof typeof natKinds

/** One line of the conf. */
export interface NatLine {
  readonly name: string
  readonly kind: NatKind
  readonly words: readonly Pick<AclValue, 'text' | 'at'>[]
  /** `cache=`; null = not said. */
  readonly cache: boolean | null
  /** `default=`; null = the kind's own. */
  readonly otherwise: 'reject' | 'accept' | null
  readonly at: Location
}

export interface NatOptions {
  /** Numbers in [0, 1). */
  readonly random?: () => number
}

/** Zorp's defaults: a table that should hold every address rejects what it does not hold. */
const rejecting: ReadonlySet<NatKind> = new Set(['one_to_one', 'one_to_one_multi', 'hash'])

export class CompiledNat {
  /** A fatal or error among them: do not use the policies. */
  readonly problems: Diagnostic[] = []
  readonly #policies = new Map<string, CompiledPolicy>()

  /** Names know no case. */
  get(name: string): NatPolicy | undefined {
    return this.#policies.get(name.toLowerCase())
  }

  /** Where the lines of a policy are what they were, what it has decided holds on. */
  adopt(former: CompiledNat): void {
    for (const [key, policy] of this.#policies) {
      const before = former.#policies.get(key)
      if (before !== undefined) policy.adopt(before)
    }
  }

  add(policy: CompiledPolicy): void {
    this.#policies.set(policy.name.toLowerCase(), policy)
  }
}

export const compileNat = (lines: readonly NatLine[], options: NatOptions = {}): CompiledNat => {
  const compiled = new CompiledNat()
  for (const group of Map.groupBy(lines, line => line.name.toLowerCase()).values()) {
    const policy = compileOne(group, options, compiled.problems)
    if (policy !== null) compiled.add(policy)
  }
  return compiled
}

class CompiledPolicy implements NatPolicy {
  readonly name: string
  readonly text: string
  readonly #map: (use: NatUse, pair: NatPair) => Mapped
  /** Only where asking again could answer otherwise. */
  #decisions: Decisions | null

  constructor(name: string, text: string, map: (use: NatUse, pair: NatPair) => Mapped, decisions: Decisions | null) {
    this.name = name
    this.text = text
    this.#map = map
    this.#decisions = decisions
  }

  adopt(former: CompiledPolicy): void {
    if (former.text === this.text) this.#decisions = former.#decisions
  }

  map(use: NatUse, pair: NatPair): Mapped {
    const decisions = this.#decisions
    if (decisions === null) return this.#map(use, pair)
    // ports are no part of it: one decision per pair of addresses; the use is, or SNAT and DNAT would share theirs
    const key = `${use} ${pair.source.address} ${pair.target.address} ${pair.wanted}`
    const known = decisions.get(key)
    if (known !== undefined) return known
    const mapped = this.#map(use, pair)
    decisions.set(key, mapped)
    return mapped
  }
}

const textOf = (line: NatLine): string =>
  [line.kind, ...line.words.map(word => word.text), line.cache ?? '', line.otherwise ?? ''].join(' ')

const compileOne = (lines: readonly NatLine[], options: NatOptions, problems: Diagnostic[]): CompiledPolicy | null => {
  const [first] = lines
  if (first === undefined) return null
  const reading = new Reading(problems)
  for (const line of lines) {
    if (line.kind !== first.kind) reading.refuse(line.at, `nat_policy '${first.name}' is ${first.kind} already`, 'take another name')
    if (line !== first && single.has(line.kind)) reading.refuse(line.at, `nat_policy '${first.name}': ${line.kind} has one line`)
  }
  const kind = reading.failed ? null : readKind(first.kind, lines, options.random ?? Math.random, reading)
  if (kind === null || reading.failed) return null
  const otherwise = last(lines, line => line.otherwise) ?? (rejecting.has(first.kind) ? 'reject' : 'accept')
  const remember = first.kind === 'random' && (last(lines, line => line.cache) ?? true)
  const text = lines.map(textOf).join('\n')
  return new CompiledPolicy(first.name, text, orElse(kind, otherwise), remember ? new Decisions() : null)
}

/** Kinds that a second line has nothing to add to. */
const single: ReadonlySet<NatKind> = new Set(['static', 'one_to_one', 'nat64', 'nat46', 'forge_client'])

const last = <T>(lines: readonly NatLine[], of: (line: NatLine) => T | null): T | null =>
  lines.reduce<T | null>((found, line) => of(line) ?? found, null)

const readKind = (kind: NatKind, lines: readonly NatLine[], random: () => number, reading: Reading): Kind | null => {
  switch (kind) {
    case 'general':
      return general(lines.flatMap(line => reading.general(line)))
    case 'static':
      return reading.fixed(lines)
    case 'one_to_one':
    case 'one_to_one_multi':
      return oneToOne(lines.flatMap(line => reading.pair(line)))
    case 'random':
      return anyOf(lines.flatMap(line => reading.addresses(line)), random)
    case 'hash':
      return table(new Map(lines.flatMap(line => reading.entries(line))))
    case 'nat64':
    case 'nat46':
      return reading.embedding(lines, kind)
    case 'forge_client':
      for (const line of lines) reading.words(line, 0)
      return forgeClient
  }
}

type Word = NatLine['words'][number]

/** Reads words, and remembers whether one could not be read. */
class Reading {
  failed = false
  readonly #problems: Diagnostic[]

  constructor(problems: Diagnostic[]) {
    this.#problems = problems
  }

  refuse(at: Location, message: string, hint = ''): void {
    this.failed = true
    this.#problems.push({ severity: 'fatal', at, message, hint })
  }

  /** True if there are so many; -1 = at least one. */
  words(line: NatLine, count: number): boolean {
    if (count < 0 ? line.words.length > 0 : line.words.length === count) return true
    this.refuse(line.at, `nat_policy '${line.name}': ${line.kind} takes ${natKinds[line.kind]}`)
    return false
  }

  general(line: NatLine): GeneralMapping[] {
    const [from, to, into] = line.words
    if (!this.words(line, 3) || from === undefined || to === undefined || into === undefined) return []
    const net = this.net(into)
    const source = this.netOrAll(from)
    const target = this.netOrAll(to)
    if (net === null || source === undefined || target === undefined) return []
    return [{ source, target, into: net }]
  }

  fixed(lines: readonly NatLine[]): Kind | null {
    const [line] = lines
    const word = line?.words[0]
    if (line === undefined || !this.words(line, 1) || word === undefined) return null
    const to = endpointOf(word.text)
    if (to === null) this.refuse(word.at, `nat_policy: '${word.text}' is no ADDRESS or ADDRESS:PORT`, 'an IPv6 address with a port needs brackets')
    return to === null ? null : fixed(to)
  }

  pair(line: NatLine): { readonly from: Prefix; readonly to: Prefix }[] {
    const [fromWord, toWord] = line.words
    if (!this.words(line, 2) || fromWord === undefined || toWord === undefined) return []
    const from = this.net(fromWord)
    const to = this.net(toWord)
    if (from === null || to === null) return []
    if (from.family === to.family && from.length === to.length) return [{ from, to }]
    this.refuse(toWord.at, `nat_policy: ${fromWord.text} and ${toWord.text} are not of one size`)
    return []
  }

  addresses(line: NatLine): string[] {
    return this.words(line, -1) ? line.words.flatMap(word => this.address(word, word.text) ?? []) : []
  }

  entries(line: NatLine): [string, string][] {
    if (!this.words(line, -1)) return []
    return line.words.flatMap(word => {
      const equals = word.text.indexOf('=')
      const from = this.address(word, equals < 0 ? '' : word.text.slice(0, equals))
      const to = equals < 0 ? null : this.address(word, word.text.slice(equals + 1))
      return from === null || to === null ? [] : [[from, to]]
    })
  }

  embedding(lines: readonly NatLine[], kind: 'nat64' | 'nat46'): Kind | null {
    const [line] = lines
    if (line === undefined) return null
    if (line.words.length > 1) this.words(line, 1)
    const word = line.words[0] ?? { text: wellKnownPrefix, at: line.at }
    const prefix = this.net(word, 6)
    const fault = prefix === null ? null : embeddingFault(prefix)
    if (fault !== null) this.refuse(word.at, `nat_policy: ${word.text}: ${fault}`)
    return prefix === null ? null : kind === 'nat64' ? nat64(prefix) : nat46(prefix)
  }

  net({ text, at }: Word, family: Family | 0 = 0): Prefix | null {
    const prefix = parsePrefix(text)
    if (prefix === null) this.refuse(at, `nat_policy: '${text}' is no network`, 'write ADDRESS/LENGTH')
    else if (family !== 0 && prefix.family !== family) this.refuse(at, `nat_policy: '${text}' is not an IPv${family} network`)
    return prefix
  }

  /** Null = everything, undefined = refused. */
  netOrAll(word: Word): Prefix | null | undefined {
    return word.text === 'all' ? null : (this.net(word) ?? undefined)
  }

  address({ text, at }: Word, part: string): string | null {
    const address = canonicalAddress(part)
    if (address === null) this.refuse(at, `nat_policy: '${text}' is no address`)
    return address
  }
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`. */
const endpointOf = (text: string): Endpoint | null => {
  const whole = canonicalAddress(text)
  if (whole !== null) return endpoint(whole, 0)
  const colon = text.lastIndexOf(':')
  const address = colon < 0 ? null : canonicalAddress(text.slice(0, colon))
  const port = /^\d{1,5}$/.test(text.slice(colon + 1)) ? Number(text.slice(colon + 1)) : 0
  return address === null || port < 1 || port > 65535 ? null : endpoint(address, port)
}
