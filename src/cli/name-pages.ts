import type { Resolver, ResolverCounters } from '../../comm/index.ts'
import type { Clock } from '../base/index.ts'
import type { Manager, Page } from '../manager/index.ts'

// What the resolver knows and does: Squid's ipcache and idns.

export interface NameSources {
  readonly clock: Clock
  /** Another one after each reload. */
  readonly resolver: () => Resolver
}

export const registerNames = (manager: Manager, sources: NameSources): void => {
  manager.register(ipCachePage(sources))
  manager.register(nameServersPage(sources))
}

interface NameLine {
  readonly name: string
  readonly addresses: readonly string[]
  /** '' = it has addresses. */
  readonly failure: string
  /** Negative: it will be asked for anew. */
  readonly ttlSeconds: number
}

interface IpCache {
  readonly counters: Readonly<ResolverCounters>
  readonly names: readonly NameLine[]
}

const ipCachePage = ({ clock, resolver }: NameSources): Page<IpCache> => ({
  name: 'ipcache',
  doc: 'IP Cache Stats and Contents',
  protection: 'public',
  effect: 'shows',
  answer() {
    const now = clock.mono()
    const names = resolver().remembered.map(({ name, answer }) => ({
      name,
      addresses: answer.ok ? answer.addresses : [],
      failure: answer.ok ? '' : answer.code,
      ttlSeconds: Math.round((answer.expiresAt - now) / 1000),
    }))
    return { ok: true, value: { counters: { ...resolver().counters }, names } }
  },
  text: ({ counters: c, names }) =>
    [
      'IP Cache Statistics:',
      `IPcache Entries Cached:  ${names.length}`,
      `IPcache Requests: ${c.dnsHits + c.dnsNegativeHits + c.dnsMisses}`,
      `IPcache Hits:            ${c.dnsHits}`,
      `IPcache Negative Hits:       ${c.dnsNegativeHits}`,
      `IPcache Numeric Hits:        0`,
      `IPcache Misses:          ${c.dnsMisses}`,
      `IPcache Retrieved A:     ${names.flatMap(line => line.addresses).filter(address => !address.includes(':')).length}`,
      `IPcache Retrieved AAAA:  ${names.flatMap(line => line.addresses).filter(address => address.includes(':')).length}`,
      `IPcache Retrieved CNAME: 0`,
      `IPcache CNAME-Only Response: 0`,
      `IPcache Invalid Request: 0`,
      '',
      '',
      'IP Cache Contents:',
      '',
      ' Hostname                        Flg lstref    TTL  N(b)',
      ...names.map(
        line =>
          ` ${line.name.padEnd(32)} ${line.failure === '' ? ' ' : 'N'}      0 ${String(line.ttlSeconds).padStart(6)} ` +
          `${String(line.addresses.length).padStart(2)}( 0) ${line.failure === '' ? line.addresses.map(address => `${address}-OK`).join(' ') : line.failure}`,
      ),
      '',
    ].join('\n'),
})

interface NameServers {
  readonly servers: readonly string[]
  /** Names that are being asked for. */
  readonly waiting: readonly string[]
  readonly counters: Readonly<ResolverCounters>
}

const nameServersPage = ({ resolver }: NameSources): Page<NameServers> => ({
  name: 'idns',
  doc: 'Internal DNS Statistics',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: { servers: resolver().servers, waiting: resolver().waiting, counters: { ...resolver().counters } } }),
  text: ({ servers, waiting, counters: c }) =>
    [
      'Internal DNS Statistics:',
      '',
      'The Queue:',
      '                       DELAY SINCE',
      '  ID   SIZE SENDS FIRST SEND LAST SEND M FQDN',
      '------ ---- ----- ---------- --------- - ----',
      ...waiting.map(name => `     0    0     0          -         - A ${name}`),
      '',
      'DNS jumbo-grams: not working',
      '',
      'Nameservers:',
      'IP ADDRESS                                     # QUERIES # REPLIES Type',
      '---------------------------------------------- --------- --------- --------',
      // which of them answered is known to the library alone
      ...servers.map(server => `${server.padEnd(45)}  ${'-'.padStart(9)} ${'-'.padStart(9)} recurse`),
      '',
      `Names asked for: ${c.dnsMisses}`,
      `Failures of name servers: ${c.dnsFailures}`,
      `Not answered in time: ${c.dnsTimeouts}`,
      `Turned away, too many at once: ${c.dnsOverload}`,
      '',
    ].join('\n'),
})
