import { createResolver, multicastQuery, readSearchList, type Resolver } from '../../comm/index.ts'
import { type Clock, secondsToMs } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'

/** Asks as the conf says: dns_nameservers, hosts_file, dns_timeout and so on. */
export const resolverOf = (config: Config, clock: Clock, log: Pick<DebugLog, 'limited'>): Resolver =>
  createResolver({
    clock,
    nameservers: config.dns_nameservers,
    hostsFile: config.hosts_file,
    appendDomain: config.append_domain,
    positiveTtlMax: secondsToMs(config.positive_dns_ttl),
    negativeTtl: secondsToMs(config.negative_dns_ttl),
    timeoutMs: config.dns_timeout,
    retransmitMs: secondsToMs(config.dns_retransmit_interval),
    ...(config.dns_defnames ? { searchList: readSearchList() } : {}),
    ...(config.dns_multicast_local ? { multicast: multicastQuery({ clock }) } : {}),
    cacheMax: config.ipcache_size,
    warn: text => log.limited(text, 'dns', 1, `WARNING: ${text}`),
  })
