import { createReverseNames, type Resolver, type ReverseNames } from '../../comm/index.ts'
import { type AccessNames, ZoneHosts } from '../acl/index.ts'
import { type Clock, type DurationMs, secondsToMs } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'
import type { LoadedConf } from './load-conf.ts'
import { accessNames } from './names.ts'
import { resolverOf } from './resolver-of.ts'

// Names and addresses as the conf in force has them: the resolver, names of addresses, and the host names that stand in the
// conf itself. Those in ACLs are looked up once, those in zones are followed (acl/zone/zone-hosts.ts).
//
// What is asked here goes to the resolver of the conf in force: whoever holds a function of this keeps it over reloads.

export class Naming {
  readonly lookup: Resolver['lookup'] = name => this.#resolver.lookup(name)
  readonly everSeen: Resolver['everSeen'] = (name, address) => this.#resolver.everSeen(name, address)
  readonly nameOf: ReverseNames['nameOf'] = address => this.#reverse.nameOf(address)
  readonly forAccess: AccessNames = accessNames(() => this.#resolver, address => this.#reverse.nameOf(address))
  readonly #clock: Clock
  readonly #log: DebugLog
  #resolver: Resolver
  #reverse: ReverseNames
  /** Null: nothing has been followed yet. */
  #zoneHosts: ZoneHosts | null = null

  constructor(config: Config, clock: Clock, log: DebugLog) {
    this.#clock = clock
    this.#log = log
    this.#resolver = resolverOf(config, clock, log)
    this.#reverse = reverseNamesOf(config, clock)
  }

  /** Another one after each reload. */
  get resolver(): Resolver {
    return this.#resolver
  }

  /** This conf holds from now on; its own host names are asked for. */
  use(loaded: LoadedConf): void {
    const former = this.#resolver
    this.#resolver = resolverOf(loaded.config, this.#clock, this.#log)
    former.close()
    this.#reverse.close()
    this.#reverse = reverseNamesOf(loaded.config, this.#clock)
    this.begin(loaded)
    this.follow()
  }

  /** Those in ACLs are asked for; those in zones are what a former conf knew of them, until they are followed. */
  begin({ policy }: LoadedConf): void {
    for (const host of policy.pendingHosts) {
      void Promise.resolve(this.lookup(host.name)).then(answer => {
        if (answer.ok) host.set(answer.addresses)
        else this.#log.warning('acl', `${host.at.file}(${host.at.line}): '${host.name}' does not resolve (${answer.code}); the ACL is without it`)
      })
    }
    const former = this.#zoneHosts
    const warn = (text: string): void => this.#log.warning('acl', text)
    this.#zoneHosts = new ZoneHosts(policy.zones, policy.zoneHosts, { clock: this.#clock, lookup: this.lookup, warn }, former)
    former?.stop()
  }

  follow(): void {
    void this.#zoneHosts?.start()
  }

  /** Zones stay as they are. */
  stopFollowing(): void {
    this.#zoneHosts?.stop()
  }

  close(): void {
    this.#resolver.close()
    this.#reverse.close()
  }
}

const reverseNamesOf = (config: Config, clock: Clock): ReverseNames =>
  createReverseNames({
    clock,
    nameservers: config.dns_nameservers,
    hostsFile: config.hosts_file,
    appendDomain: config.append_domain,
    positiveTtl: secondsToMs(config.positive_dns_ttl) as DurationMs,
    negativeTtl: secondsToMs(config.negative_dns_ttl) as DurationMs,
    timeoutMs: config.dns_timeout,
    retransmitMs: secondsToMs(config.dns_retransmit_interval),
    namesMax: config.fqdncache_size,
  })
