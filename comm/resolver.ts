import dns from 'node:dns'
import {
  type Clock,
  canonicalAddress,
  type DurationMs,
  declareCounters,
  type Endpoint,
  endpointText,
  errnoOf,
  type MonoMs,
  ms,
  type Timer,
} from '../src/base/index.ts'
import { type Hosts, noHosts, readHosts } from './hosts-file.ts'
import { canonicalName } from './name.ts'
import { noSearchList, type SearchList } from './search-list.ts'

// Names to addresses, without a thread: c-ares speaks DNS, this file remembers.
//
//   lookup(name) ── literal, hosts file, fresh answer ──► at once
//        │ none of them
//        ▼
//   A and AAAA in parallel ──► one answer for all who wait ──► the cache
//
// The cache also keeps every address a name had lately: names of large sites rotate, and a client that asked a minute
// before us may be right with an address we are not given any more (Host verification).

export interface ResolvedAddresses {
  readonly ok: true
  /** IPv4 before IPv6, each in the order of the answer; canonical, no doubles, never empty. */
  readonly addresses: readonly string[]
  /** From here on lookup asks again. Infinity for literals and the hosts file. */
  readonly expiresAt: MonoMs
}

export interface Unresolved {
  readonly ok: false
  /** c-ares' word (ENOTFOUND, ENODATA, ESERVFAIL, ETIMEOUT ...), EBADNAME: no host name, EAGAIN: too many at once. */
  readonly code: string
  readonly expiresAt: MonoMs
}

export type ResolvedName = ResolvedAddresses | Unresolved

export interface AddressRecord {
  readonly address: string
  /** Seconds. */
  readonly ttl: number
}

/** Asks for A (4) or AAAA (6). Rejects with an error that has a `code`. */
export type Query = (name: string, family: 4 | 6) => Promise<readonly AddressRecord[]>

export interface ResolverOptions {
  readonly clock: Clock
  /** Empty = the system's (resolv.conf). Port 0 = 53. */
  readonly nameservers?: readonly Endpoint[]
  /** null = none. */
  readonly hostsFile?: string | null
  /** append_domain, for names of the hosts file; with its dot, '' = none. */
  readonly appendDomain?: string
  /** positive_dns_ttl: a cap on what the records say. */
  readonly positiveTtlMax?: DurationMs
  /** negative_dns_ttl: for names that do not exist, and the least for those that do. */
  readonly negativeTtl?: DurationMs
  /** ipcache_size. */
  readonly cacheMax?: number
  /** dns_timeout: how long somebody waits for an answer. */
  readonly timeoutMs?: DurationMs
  /** dns_multicast_local: names under .local are asked for here alone. */
  readonly multicast?: Query
  /** dns_defnames: where names with few dots are looked for, once they do not exist as they are. */
  readonly searchList?: SearchList
  /** dns_retransmit_interval: the first wait for one packet; doubled with every try. */
  readonly retransmitMs?: DurationMs
  /** How long `everSeen` remembers an address. */
  readonly memoryMs?: DurationMs
  readonly query?: Query
  readonly warn?: (text: string) => void
}

export interface Resolver {
  /** Never rejects. At once for literals, hosts, and what is cached. */
  lookup(name: string): ResolvedName | Promise<ResolvedName>
  /** Was `address` (canonical) in an answer for `name` within the last `memoryMs`? */
  everSeen(name: string, address: string): boolean
  /** Reads the hosts file and resolv.conf again and forgets answers, not addresses seen. */
  reload(): void
  /** Whoever waits gets ECANCELLED. */
  close(): void
  /** Names in the cache. */
  readonly size: number
  /** What is known of them, the longest unused first. */
  readonly remembered: readonly { readonly name: string; readonly answer: ResolvedName }[]
  /** Names that are being asked for. */
  readonly waiting: readonly string[]
  /** Name servers, with their ports where these are not 53. */
  readonly servers: readonly string[]
  readonly counters: ResolverCounters
}

export type ResolverCounters = ReturnType<typeof resolverCounters>

const resolverCounters = () =>
  declareCounters({
    dnsHits: { doc: 'lookups answered from the name cache' },
    dnsNegativeHits: { doc: 'lookups answered from the name cache with a failure' },
    dnsMisses: { doc: 'lookups that asked a name server, or joined one that was asking' },
    dnsFailures: {
      doc: 'answers that were failures of the name servers, not absent names',
      whenItGrows: 'look at dns_nameservers and whether they can be reached',
    },
    dnsTimeouts: {
      doc: 'lookups nobody answered within dns_timeout',
      whenItGrows: 'a name server is down or unreachable',
    },
    dnsOverload: {
      doc: 'lookups refused because too many were waiting for name servers',
      whenItGrows: 'name servers are too slow, or a client asks for made-up names',
    },
  })

export const createResolver = (options: ResolverOptions): Resolver => new CachingResolver(options)

/** Addresses kept of one answer. Large sites send eight; thousands are an attack. */
const addressesMax = 128
/** Addresses remembered per name. */
const seenMax = 256
/** Names being asked for at once. */
const waitingMax = 4096
/**
 * A name server that drops AAAA must not hold a page that has its A: the second answer gets this long after the first,
 * and is added to the cached one should it come later.
 */
const secondAnswerMs = ms(1000)
/** Failures of servers, and half answers, are forgotten soon: the next try may go well. */
const failureTtl = ms(5000)

const forEver = Number.POSITIVE_INFINITY as MonoMs

interface Entry {
  answer: ResolvedName
  /** address → when it was last in an answer. Null until there was one. */
  seen: Map<string, MonoMs> | null
}

class CachingResolver implements Resolver {
  readonly counters: ResolverCounters = resolverCounters()
  readonly #options: ResolverOptions
  readonly #clock: Clock
  readonly #positiveTtlMax: number
  readonly #negativeTtl: number
  readonly #cacheMax: number
  readonly #timeoutMs: DurationMs
  readonly #memoryMs: number
  /** In order of use, the longest unused first. */
  readonly #entries = new Map<string, Entry>()
  readonly #waiting = new Map<string, Asking>()
  #hosts: Hosts = noHosts
  #channel: Channel

  constructor(options: ResolverOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#positiveTtlMax = options.positiveTtlMax ?? 6 * 3600 * 1000
    this.#negativeTtl = options.negativeTtl ?? 60 * 1000
    this.#cacheMax = Math.max(1, options.cacheMax ?? 1024)
    this.#timeoutMs = options.timeoutMs ?? ms(30_000)
    this.#memoryMs = options.memoryMs ?? 30 * 60 * 1000
    this.#channel = openChannel(options)
    this.#hosts = this.#readHosts()
  }

  get size(): number {
    return this.#entries.size
  }

  get remembered(): readonly { readonly name: string; readonly answer: ResolvedName }[] {
    return Array.from(this.#entries, ([name, { answer }]) => ({ name, answer }))
  }

  get waiting(): readonly string[] {
    return [...this.#waiting.keys()]
  }

  get servers(): readonly string[] {
    return this.#channel.servers
  }

  lookup(text: string): ResolvedName | Promise<ResolvedName> {
    const name = canonicalName(text)
    if (name === null) return literal(text) ?? badName
    const fixed = this.#fixed(name)
    if (fixed !== null) return { ok: true, addresses: fixed, expiresAt: forEver }

    const entry = this.#entries.get(name)
    if (entry !== undefined && this.#clock.mono() < entry.answer.expiresAt) {
      this.#touch(name, entry)
      if (entry.answer.ok) this.counters.dnsHits++
      else this.counters.dnsNegativeHits++
      return entry.answer
    }
    return this.#wait(name)
  }

  everSeen(text: string, address: string): boolean {
    const name = canonicalName(text)
    if (name === null) return canonicalAddress(text) === address
    if (this.#fixed(name)?.includes(address)) return true
    const seenAt = this.#entries.get(name)?.seen?.get(address)
    return seenAt !== undefined && this.#clock.mono() - seenAt <= this.#memoryMs
  }

  reload(): void {
    this.#hosts = this.#readHosts()
    for (const entry of this.#entries.values()) entry.answer = forgotten
    // those who wait are answered by the servers they asked
    this.#channel = openChannel(this.#options)
  }

  close(): void {
    this.#channel.cancel()
    for (const asking of this.#waiting.values()) asking.settle({ ok: false, code: 'ECANCELLED', expiresAt: past })
    this.#waiting.clear()
  }

  /** What needs no name server and has no end. */
  #fixed(name: string): readonly string[] | null {
    const listed = this.#hosts.get(name)
    if (listed !== undefined) return listed
    // RFC 6761 6.3: never asked of a name server, which could send us anywhere
    return name === 'localhost' || name.endsWith('.localhost') ? loopback : null
  }

  #wait(name: string): Promise<ResolvedName> {
    this.counters.dnsMisses++
    const asking = this.#waiting.get(name)
    if (asking !== undefined) return asking.answer
    if (this.#waiting.size >= waitingMax) {
      this.counters.dnsOverload++
      return Promise.resolve(overload)
    }
    return this.#ask(name).answer
  }

  #ask(name: string): Asking {
    const asking = new Asking(this.#clock, this.#timeoutMs, {
      /** The one who waits is answered. */
      answered: parts => {
        this.#waiting.delete(name)
        return this.#remember(name, parts)
      },
      /** Nobody waits any more; only the cache gains. */
      late: parts => {
        this.#remember(name, parts)
      },
    })
    this.#waiting.set(name, asking)
    asking.begin(family => this.#query(name, family))
    return asking
  }

  /** As it is, and then in one domain of the list after the other. That a name does not exist holds for both families. */
  #query(name: string, family: 4 | 6): Promise<readonly AddressRecord[]> {
    const { multicast, searchList } = this.#options
    if (multicast !== undefined && name.endsWith('.local')) return multicast(name, family)
    const { domains, dots } = searchList ?? noSearchList
    const asked = this.#channel.query(name, family)
    if (domains.length === 0 || name.split('.').length - 1 >= dots) return asked
    return domains.reduce(
      (before, domain) => before.catch(error => {
        if (errnoOf(error) !== 'ENOTFOUND') throw error
        return this.#channel.query(`${name}.${domain}`, family)
      }),
      asked,
    )
  }

  #remember(name: string, parts: Parts): ResolvedName {
    const answer = this.#judge(parts)
    const entry = this.#entries.get(name) ?? { answer, seen: null }
    entry.answer = answer
    if (answer.ok) {
      entry.seen ??= new Map()
      markSeen(entry.seen, answer.addresses, this.#clock.mono())
    }
    this.#touch(name, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#cacheMax) break
      this.#entries.delete(oldest)
    }
    return answer
  }

  #judge({ four, six }: Parts): ResolvedName {
    const now = this.#clock.mono()
    const addresses = [...new Set([...usable(four), ...usable(six)])].slice(0, addressesMax)
    if (addresses.length > 0) {
      const whole = isKnown(four) && isKnown(six)
      const ttl = Math.max(Math.min(shortestTtl(four), shortestTtl(six), this.#positiveTtlMax), this.#negativeTtl)
      return { ok: true, addresses, expiresAt: (now + (whole ? ttl : Math.min(ttl, failureTtl))) as MonoMs }
    }
    const failure = [codeOf(four), codeOf(six)].find(code => !absent.includes(code))
    if (failure !== undefined) {
      if (failure === 'ETIMEOUT') this.counters.dnsTimeouts++
      else this.counters.dnsFailures++
      return { ok: false, code: failure, expiresAt: (now + Math.min(this.#negativeTtl, failureTtl)) as MonoMs }
    }
    // RFC 8020: if one type says that the name does not exist, the other cannot know better
    const code = codeOf(four) === 'ENOTFOUND' || codeOf(six) === 'ENOTFOUND' ? 'ENOTFOUND' : 'ENODATA'
    return { ok: false, code, expiresAt: (now + this.#negativeTtl) as MonoMs }
  }

  #touch(name: string, entry: Entry): void {
    this.#entries.delete(name)
    this.#entries.set(name, entry)
  }

  #readHosts(): Hosts {
    const path = this.#options.hostsFile ?? null
    if (path === null) return noHosts
    try {
      return readHosts(path, this.#options.appendDomain)
    } catch (error) {
      this.#options.warn?.(`hosts_file ${path} cannot be read (${errnoOf(error)}); names in it resolve by DNS alone`)
      return noHosts
    }
  }
}

/** What one family answered: records, a failure's code, or null while it has not. */
type Part = readonly AddressRecord[] | string | null

interface Parts {
  readonly four: Part
  readonly six: Part
}

interface Hearers {
  answered(parts: Parts): ResolvedName
  late(parts: Parts): void
}

/** One name on its way: two questions, one answer. */
class Asking {
  readonly answer: Promise<ResolvedName>
  readonly #clock: Clock
  readonly #hearers: Hearers
  readonly #timer: Timer
  #second: Timer | null = null
  #resolve: ((answer: ResolvedName) => void) | null = null
  #four: Part = null
  #six: Part = null

  constructor(clock: Clock, timeoutMs: DurationMs, hearers: Hearers) {
    this.#clock = clock
    this.#hearers = hearers
    this.answer = new Promise(resolve => {
      this.#resolve = resolve
    })
    this.#timer = clock.after(timeoutMs, () => this.#answerNow(), { unref: true })
  }

  begin(query: (family: 4 | 6) => Promise<readonly AddressRecord[]>): void {
    const ask = (family: 4 | 6): void => {
      query(family).then(
        records => this.#heard(family, records),
        error => this.#heard(family, errnoOf(error) || 'ESERVFAIL'),
      )
    }
    ask(4)
    ask(6)
  }

  /** Ends the wait; what was heard counts for nothing. */
  settle(answer: ResolvedName): void {
    this.#timer.cancel()
    this.#second?.cancel()
    this.#resolve?.(answer)
    this.#resolve = null
  }

  #heard(family: 4 | 6, part: readonly AddressRecord[] | string): void {
    if (family === 4) this.#four = part
    else this.#six = part
    if (this.#resolve === null) {
      // too late for those who waited. Only addresses are news; a late failure would spoil a good answer
      if (typeof part !== 'string') this.#hearers.late({ four: this.#four, six: this.#six })
    } else if (this.#four !== null && this.#six !== null) this.#answerNow()
    else if (usable(part).length > 0) {
      this.#second = this.#clock.after(secondAnswerMs, () => this.#answerNow(), { unref: true })
    }
  }

  #answerNow(): void {
    if (this.#resolve === null) return
    this.settle(this.#hearers.answered({ four: this.#four, six: this.#six }))
  }
}

interface Channel {
  readonly query: Query
  readonly servers: readonly string[]
  cancel(): void
}

const openChannel = ({ query, nameservers = [], retransmitMs = ms(5000), timeoutMs = ms(30_000) }: ResolverOptions): Channel => {
  if (query !== undefined) return { query, servers: [], cancel() {} }
  const cares = new dns.promises.Resolver({ timeout: retransmitMs, tries: roundsOf(retransmitMs, timeoutMs) })
  if (nameservers.length > 0) {
    cares.setServers(nameservers.map(e => (e.port === 0 ? e.address : endpointText(e))))
  }
  return {
    query: (name, family) =>
      family === 4 ? cares.resolve4(name, { ttl: true }) : cares.resolve6(name, { ttl: true }),
    servers: cares.getServers(),
    cancel: () => cares.cancel(),
  }
}

/**
 * Rounds of 5, 10 and 20 s outlast dns_timeout; whoever waits is answered by then, and a name server that comes back late
 * still fills the cache.
 */
export const roundsOf = (retransmitMs: DurationMs, timeoutMs: DurationMs): number => {
  let rounds = 1
  for (let sum = retransmitMs as number; sum < timeoutMs && rounds < roundsMax; rounds++) sum += retransmitMs * 2 ** rounds
  return rounds
}

/** With the shortest interval there is: a second, and 255 of them. */
const roundsMax = 8

const literal = (text: string): ResolvedAddresses | null => {
  const address = canonicalAddress(text)
  return address === null ? null : { ok: true, addresses: [address], expiresAt: forEver }
}

const past = 0 as MonoMs
const badName: Unresolved = { ok: false, code: 'EBADNAME', expiresAt: forEver }
const overload: Unresolved = { ok: false, code: 'EAGAIN', expiresAt: past }
const forgotten: Unresolved = { ok: false, code: 'EAGAIN', expiresAt: past }
const loopback: readonly string[] = ['127.0.0.1', '::1']
/** The name, or the type, is not there: a fact about the name, not about a server. */
const absent: readonly string[] = ['ENOTFOUND', 'ENODATA']

/** Canonical addresses. The unspecified one is how some filters say no, and to connect there would reach ourselves. */
const usable = (part: Part): readonly string[] => {
  if (part === null || typeof part === 'string') return []
  const addresses: string[] = []
  for (const record of part) {
    const address = canonicalAddress(record.address)
    if (address !== null && address !== '0.0.0.0' && address !== '::') addresses.push(address)
  }
  return addresses
}

const shortestTtl = (part: Part): number => {
  if (part === null || typeof part === 'string') return Number.POSITIVE_INFINITY
  return part.reduce((shortest, record) => Math.min(shortest, record.ttl * 1000), Number.POSITIVE_INFINITY)
}

/** Records, or the certainty that there are none. */
const isKnown = (part: Part): boolean => part !== null && (typeof part !== 'string' || absent.includes(part))

/** Why a family gave no address. */
const codeOf = (part: Part): string => (part === null ? 'ETIMEOUT' : typeof part === 'string' ? part : 'ENODATA')

const markSeen = (seen: Map<string, MonoMs>, addresses: readonly string[], now: MonoMs): void => {
  for (const address of addresses) {
    seen.delete(address)
    seen.set(address, now)
  }
  for (const oldest of seen.keys()) {
    if (seen.size <= seenMax) break
    seen.delete(oldest)
  }
}
