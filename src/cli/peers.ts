import type { Comm } from '../../comm/index.ts'
import { type AclTable, compileAccessList } from '../acl/index.ts'
import { type Clock, endpoint, errnoOf } from '../base/index.ts'
import type { CachePeerLine, Config, Diagnostic, Location } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'
import { Peer, type PeerWorld } from '../peer/index.ts'
import { sessionsOf, tlsClient } from './tls-outgoing.ts'
import { addressesOf, type Lookup, PeerRouter, type PeerUse } from '../router/index.ts'

// cache_peer and what goes with it: from lines to the peers of a conf, and their life from one conf to the next.

/** Null: nothing in the conf sends a request elsewhere than where it was going. */
export const compilePeers = (config: Config, acls: AclTable, problems: Diagnostic[]): PeerRouter | null => {
  const lines = distinct(config.cache_peer, problems)
  checkNames(config, lines, problems)
  const sessions = sessionsOf(config)
  for (const { name, kind, icpPort, noQuery, at } of config.icp_port === 0 ? lines : []) {
    if (icpPort === 0 || noQuery) continue
    const what = kind === 'sibling' ? ', and a sibling is used for nothing else' : ''
    problems.push({ severity: 'warning', at, message: `cache_peer ${name} is not asked by ICP, since icp_port is 0${what}`, hint: kind === 'sibling' ? 'set icp_port, 3130 for instance' : 'set icp_port, or write no-query' })
  }
  const only = config.never_direct.find(({ action }) => action === 'allow')
  if (lines.length === 0 && only !== undefined) {
    problems.push({ severity: 'warning', at: only.at, message: 'never_direct, and there is no cache_peer: what it allows is answered with 503', hint: 'cache_peer HOST parent 3128 0 no-query' })
  }
  if (lines.length === 0 && config.never_direct.length === 0) return null
  const times = { connect: config.peer_connect_timeout, dead: config.dead_peer_timeout }
  const named = (line: CachePeerLine, subject: string): boolean => subject.toLowerCase() === line.name.toLowerCase()
  return new PeerRouter({
    uses: lines.map((line): PeerUse => {
      const access = config.cache_peer_access.filter(({ subject }) => named(line, subject))
      const client = line.tls === null ? null : tlsClient(line.tls, config, sessions, problems)
      return {
        peer: new Peer(line, times, client === null ? null : { client, name: line.tls?.domain ?? line.host }),
        access: access.length === 0 ? null : compileAccessList(access, acls, 'allow'),
        kinds: config.neighbor_type_domain.filter(({ peer }) => named(line, peer)).map(({ kind, domains }) => ({ kind, names: anyOf(domains) })),
      }
    }),
    alwaysDirect: config.always_direct.length === 0 ? null : compileAccessList(config.always_direct, acls, 'deny'),
    neverDirect: config.never_direct.length === 0 ? null : compileAccessList(config.never_direct, acls, 'deny'),
    rules: { preferDirect: config.prefer_direct, nonhierarchicalDirect: config.nonhierarchical_direct },
    backgroundPingMs: config.background_ping_rate,
  })
}

/** Squid's: a leading dot stands for the domain and all below. */
const anyOf =
  (domains: readonly string[]) =>
  (host: string): boolean =>
    domains.some(domain => (domain.startsWith('.') ? host === domain.slice(1) || host.endsWith(domain) : host === domain))

const distinct = (lines: readonly CachePeerLine[], problems: Diagnostic[]): readonly CachePeerLine[] => {
  const seen = new Set<string>()
  return lines.filter(({ name, at }) => {
    const key = name.toLowerCase()
    if (seen.has(key)) problems.push({ severity: 'fatal', at, message: `cache_peer ${name} specified twice`, hint: 'give one of them a name=' })
    return !seen.has(key) && seen.add(key)
  })
}

/** A rule about a peer that is not there says less than somebody believes. */
const checkNames = (config: Config, lines: readonly CachePeerLine[], problems: Diagnostic[]): void => {
  const known = new Set(lines.map(({ name }) => name.toLowerCase()))
  const uses: readonly { readonly subject: string; readonly at: Location; readonly of: string }[] = [
    ...config.cache_peer_access.map(({ subject, at }) => ({ subject, at, of: 'cache_peer_access' })),
    ...config.neighbor_type_domain.map(({ peer, at }) => ({ subject: peer, at, of: 'neighbor_type_domain' })),
  ]
  for (const { subject, at, of } of uses) {
    if (known.has(subject.toLowerCase())) continue
    const names = lines.map(({ name }) => name).join(', ')
    problems.push({ severity: 'warning', at, message: `${of}: there is no cache_peer '${subject}'`, hint: names === '' ? 'define it above' : `peers are ${names}` })
  }
}

export interface PeerParts {
  readonly clock: Clock
  readonly comm: Comm
  readonly log: DebugLog
  readonly lookup: Lookup
}

/** The peers of a conf begin to be used; what was known of those that were there before still is. */
export const beginPeers = (next: PeerRouter | null, former: PeerRouter | null, parts: PeerParts): void => {
  const world = worldOf(parts)
  for (const { peer } of next?.uses ?? []) {
    const same = former?.uses.find(use => keyOf(use.peer) === keyOf(peer))?.peer ?? null
    peer.begin(world, same)
    if (same === null) peer.probe()
  }
}

const keyOf = ({ line: { name, host, port, icpPort } }: Peer): string => `${name.toLowerCase()} ${host} ${port} ${icpPort}`

const worldOf = ({ clock, comm, log, lookup }: PeerParts): PeerWorld => ({
  clock,
  say: (text, important) => (important ? log.write('peer', 1, text) : log.limited(text, 'peer', 1, text)),
  probe(peer, done) {
    void Promise.resolve(addressesOf(peer.line.host, lookup)).then(answer => {
      if (!answer.ok) return done(answer.code)
      peer.livesAt(answer.addresses)
      probeOneOf(comm, peer, answer.addresses, done)
    })
  },
})

/** Somebody answers at one of its addresses. */
const probeOneOf = (comm: Comm, peer: Peer, addresses: readonly string[], done: (failure: string | null) => void): void => {
  const [address, ...others] = addresses
  if (address === undefined) return done('it has no addresses')
  comm.dial({ target: endpoint(address, peer.line.port), flags: 0, note: `peer ${peer.name}` }, peer.connectTimeout, (error, connection) => {
    connection?.close('done')
    if (error === null) done(null)
    else if (others.length === 0) done(errnoOf(error) || error.message)
    else probeOneOf(comm, peer, others, done)
  })
}
