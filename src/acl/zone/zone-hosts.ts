import type { ResolvedName } from '../../../comm/resolver.ts'
import type { Clock, Timer } from '../../base/index.ts'
import { ms } from '../../base/index.ts'
import type { ZoneHost } from './compile-zones.ts'
import type { ZoneTable } from './zone-table.ts'

// Host names of zones, asked again whenever their records run out. While a name server does not answer, what it said
// last holds; a name that is gone takes its addresses with it.

export interface ZoneHostsOptions {
  readonly clock: Clock
  /** comm's resolver. */
  readonly lookup: (name: string) => ResolvedName | Promise<ResolvedName>
  readonly warn?: (text: string) => void
}

/** Records of no lifetime must not become a loop; names that last for ever (hosts file) are looked at now and then. */
const againMs = { min: 1000, max: 3_600_000, afterFailure: 5000 } as const

/** The name does not exist, or has no address: a fact about it, not about a server. */
const gone: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME'])

interface Followed {
  readonly host: ZoneHost
  addresses: readonly string[]
  timer: Timer | null
  failing: boolean
}

export class ZoneHosts {
  readonly #table: ZoneTable
  readonly #options: ZoneHostsOptions
  readonly #followed: readonly Followed[]
  #conflicts = new Set<string>()
  #stopped = false

  /** `former`: what its names were last resolved to holds until they are asked again. */
  constructor(table: ZoneTable, hosts: readonly ZoneHost[], options: ZoneHostsOptions, former: ZoneHosts | null = null) {
    this.#table = table
    this.#options = options
    this.#followed = hosts.map(host => ({ host, addresses: former?.addressesOf(host.name) ?? [], timer: null, failing: false }))
    if (this.#followed.length > 0) this.#publish()
  }

  /** Addresses that names of two zones share, and that therefore are in neither. */
  get conflicts(): ReadonlySet<string> {
    return this.#conflicts
  }

  addressesOf(name: string): readonly string[] {
    return this.#followed.find(({ host }) => host.name === name)?.addresses ?? []
  }

  /** Resolves when every name has been asked once. */
  async start(): Promise<void> {
    await Promise.all(this.#followed.map(followed => this.#ask(followed)))
  }

  stop(): void {
    this.#stopped = true
    for (const followed of this.#followed) followed.timer?.cancel()
  }

  async #ask(followed: Followed): Promise<void> {
    const { clock, lookup } = this.#options
    const answer = await lookup(followed.host.name)
    if (this.#stopped) return
    if (answer.ok || gone.has(answer.code)) this.#take(followed, answer.ok ? answer.addresses : [])
    this.#tellFailure(followed, answer)
    const left = Math.min(Math.max(answer.expiresAt - clock.mono(), againMs.min), againMs.max)
    const wait = answer.ok ? left : Math.max(left, againMs.afterFailure)
    followed.timer = clock.after(ms(wait), () => void this.#ask(followed), { unref: true })
  }

  #take(followed: Followed, addresses: readonly string[]): void {
    const same = addresses.length === followed.addresses.length && addresses.every(address => followed.addresses.includes(address))
    if (same) return
    followed.addresses = addresses
    this.#publish()
  }

  #publish(): void {
    const entries = this.#followed.flatMap(({ host, addresses }) => addresses.map(address => ({ address, zone: host.zone })))
    const conflicts = new Set(this.#table.setHosts(entries))
    for (const address of conflicts) {
      if (this.#conflicts.has(address)) continue
      const names = this.#followed.filter(f => f.addresses.includes(address)).map(f => `${f.host.name} (zone ${f.host.zone.name})`)
      this.#options.warn?.(`${address} belongs to no zone for now: it is an address of ${names.join(' and ')}`)
    }
    this.#conflicts = conflicts
  }

  /** Once per failure. */
  #tellFailure(followed: Followed, answer: ResolvedName): void {
    const { name, zone } = followed.host
    if (!answer.ok && !followed.failing) {
      const held = followed.addresses.length === 0 ? `zone '${zone.name}' is without it` : 'its last addresses hold'
      this.#options.warn?.(`host:${name} does not resolve (${answer.code}): ${held}`)
    }
    followed.failing = !answer.ok
  }
}
