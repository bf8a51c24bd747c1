import dns from 'node:dns'
import { type Clock, type DurationMs, type Endpoint, endpointText, type MonoMs, parseIPv6 } from '../src/base/index.ts'
import { readHosts } from './hosts-file.ts'
import { roundsOf } from './resolver.ts'

// Addresses to names (PTR), for access lists about clients. Whoever rules an address rules its name: it is told, not
// believed any further.

export interface ReverseNames {
  /** Of a canonical address, lower case; '' = it has none, or nobody says. At once where it is known. Never rejects. */
  nameOf(address: string): string | Promise<string>
  close(): void
}

export interface ReverseNamesOptions {
  readonly clock: Clock
  /** Empty = the system's. */
  readonly nameservers: readonly Endpoint[]
  readonly hostsFile: string | null
  /** append_domain, for names of the hosts file. */
  readonly appendDomain?: string
  readonly positiveTtl: DurationMs
  readonly negativeTtl: DurationMs
  /** dns_timeout. */
  readonly timeoutMs: DurationMs
  /** dns_retransmit_interval. */
  readonly retransmitMs: DurationMs
  /** fqdncache_size. */
  readonly namesMax: number
  /** The PTR records of a name under in-addr.arpa or ip6.arpa. */
  readonly query?: (name: string) => Promise<readonly string[]>
}

const waitingMax = 1024
const failureTtl = 5000

export const createReverseNames = (options: ReverseNamesOptions): ReverseNames => new CachedNames(options)

class CachedNames implements ReverseNames {
  readonly #options: ReverseNamesOptions
  readonly #query: (name: string) => Promise<readonly string[]>
  readonly #cares: dns.promises.Resolver
  readonly #hosts: ReadonlyMap<string, string>
  /** Oldest first. */
  readonly #known = new Map<string, { readonly name: string; readonly until: MonoMs }>()
  readonly #waiting = new Map<string, Promise<string>>()

  constructor(options: ReverseNamesOptions) {
    this.#options = options
    this.#cares = new dns.promises.Resolver({ timeout: options.retransmitMs, tries: roundsOf(options.retransmitMs, options.timeoutMs) })
    if (options.nameservers.length > 0) {
      this.#cares.setServers(options.nameservers.map(e => (e.port === 0 ? e.address : endpointText(e))))
    }
    this.#query = options.query ?? (name => this.#cares.resolvePtr(name))
    this.#hosts = namesOfHosts(options.hostsFile, options.appendDomain)
  }

  nameOf(address: string): string | Promise<string> {
    const fixed = this.#hosts.get(address)
    if (fixed !== undefined) return fixed
    const known = this.#known.get(address)
    if (known !== undefined && this.#options.clock.mono() < known.until) return known.name
    const waiting = this.#waiting.get(address)
    if (waiting !== undefined) return waiting
    return this.#waiting.size >= waitingMax ? '' : this.#ask(address)
  }

  close(): void {
    this.#cares.cancel()
  }

  #ask(address: string): Promise<string> {
    const { clock, positiveTtl, negativeTtl, timeoutMs } = this.#options
    const answer = new Promise<string>(resolve => {
      const keep = (name: string, ttl: number): void => {
        timer.cancel()
        this.#waiting.delete(address)
        this.#keep(address, name, (clock.mono() + ttl) as MonoMs)
        resolve(name)
      }
      const timer = clock.after(timeoutMs, () => keep('', failureTtl), { unref: true })
      this.#query(arpaName(address)).then(
        ([first = '']) => keep(first.toLowerCase().replace(/\.$/, ''), first === '' ? negativeTtl : positiveTtl),
        () => keep('', Math.min(negativeTtl, failureTtl)),
      )
    })
    this.#waiting.set(address, answer)
    return answer
  }

  #keep(address: string, name: string, until: MonoMs): void {
    this.#known.delete(address)
    this.#known.set(address, { name, until })
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.#options.namesMax) break
      this.#known.delete(oldest)
    }
  }
}

/** The first name an address has in the hosts file. */
const namesOfHosts = (path: string | null, appendDomain = ''): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  if (path === null) return names
  try {
    for (const [name, addresses] of readHosts(path, appendDomain)) {
      for (const address of addresses) if (!names.has(address)) names.set(address, name)
    }
  } catch {
    // the resolver has complained of it already
  }
  return names
}

/** RFC 1035 3.5, RFC 3596 2.5 */
const arpaName = (address: string): string => {
  const groups = address.includes(':') ? parseIPv6(address) : null
  if (groups === null) return `${address.split('.').reverse().join('.')}.in-addr.arpa`
  const digits = groups.map(group => group.toString(16).padStart(4, '0')).join('')
  return `${[...digits].reverse().join('.')}.ip6.arpa`
}
