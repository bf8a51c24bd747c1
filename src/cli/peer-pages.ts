import type { Clock, MonoMs } from '../base/index.ts'
import { elapsed, endpointText } from '../base/index.ts'
import type { CheckOutcome } from '../chainer/index.ts'
import type { CachePeerLine, PeerKind } from '../conf/index.ts'
import { httpDate } from '../http/index.ts'
import type { Figures, Page } from '../manager/index.ts'
import { CountIcp, type Peer } from '../peer/index.ts'

// What is known of other servers: cache_peers in Squid's words, and the targets of chainers that are looked after.

export interface PeerSources {
  readonly clock: Clock
  readonly peers: () => readonly Peer[]
  readonly servers: () => readonly CheckOutcome[]
}

interface PeerLine {
  readonly name: string
  readonly kind: PeerKind
  readonly host: string
  readonly port: number
  readonly icpPort: number
  readonly flags: readonly string[]
  readonly addresses: readonly string[]
  readonly up: boolean
  readonly fetches: number
  readonly connections: number
  readonly rttMs: number
  /** Asked by ICP; null = it is not. */
  readonly icp: {
    readonly lastQuerySeconds: number | null
    readonly lastReplySeconds: number | null
    readonly sent: number
    readonly acked: number
    readonly answers: Readonly<Record<string, number>>
  } | null
  readonly ignored: number
  /** When a connection could not be made last, as text; '' = never. */
  readonly lastFailure: string
  /** Answers after which the connection could stay open. */
  readonly kept: number
}

interface ServerList {
  readonly peers: readonly PeerLine[]
  readonly chainers: readonly CheckOutcome[]
}

export const serverListPage = ({ clock, peers, servers }: PeerSources): Page<ServerList> => ({
  name: 'server_list',
  doc: 'Peer Cache Statistics',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: { peers: peers().map(peer => lineOf(peer, clock)), chainers: servers() } }),
  text: ({ peers: known, chainers }) =>
    known.length + chainers.length === 0 ? 'There are no neighbors installed.\n' : known.map(peerText).join('') + chainers.map(targetText).join(''),
})

const lineOf = (peer: Peer, clock: Clock): PeerLine => {
  const { line, state } = peer
  const ago = (at: MonoMs | null): number | null => (at === null ? null : Math.floor(elapsed(at, clock.mono()) / 1000))
  const { hits, misses, denied } = state
  return {
    name: peer.name, kind: line.kind, host: line.host, port: line.port, icpPort: line.icpPort, flags: flagsOf(line),
    addresses: state.addresses, up: peer.isUp, fetches: state.fetches, connections: state.connections, rttMs: state.rtt,
    icp: line.noQuery
      ? null
      : {
          lastQuerySeconds: ago(state.lastQuery), lastReplySeconds: ago(state.lastReply), sent: state.queries, acked: state.replies,
          answers: { ICP_HIT: hits, ICP_MISS: misses, ICP_DENIED: denied },
        },
    ignored: state.ignored,
    lastFailure: state.lastFailure === null ? '' : httpDate((clock.wall() - elapsed(state.lastFailure, clock.mono())) as ReturnType<Clock['wall']>),
    kept: state.kept,
  }
}

/** As the line could be written again, in Squid's order; passwords are not for whoever sees the page. */
const flagsOf = (line: CachePeerLine): string[] => {
  const flag = (on: boolean, text: string): readonly string[] => (on ? [text] : [])
  return [
    ...flag(line.proxyOnly, 'proxy-only'), ...flag(line.noQuery, 'no-query'), ...flag(line.backgroundPing, 'background-ping'),
    ...flag(line.default, 'default'), ...flag(line.roundRobin, 'round-robin'), ...flag(line.carp, 'carp'),
    ...flag(line.userHash, 'userhash'), ...flag(line.sourceHash, 'sourcehash'), ...flag(line.weightedRoundRobin, 'weighted-round-robin'),
    ...flag(line.weight !== 1, `weight=${line.weight}`), ...flag(line.closestOnly, 'closest-only'), ...flag(line.noTproxy, 'no-tproxy'),
    ...flag(line.noDelay, 'no-delay'), ...flag(line.login !== '', 'login=XXXX'),
    ...flag(line.connectTimeout !== null, `connect-timeout=${line.connectTimeout}`),
    ...flag(line.connectFailLimit !== 10, `connect-fail-limit=${line.connectFailLimit}`),
    ...flag(line.connectionsMax > 0, `max-conn=${line.connectionsMax}`), ...flag(line.standby > 0, `standby=${line.standby}`),
    ...flag(line.originServer, 'originserver'), ...flag(line.allowMiss, 'allow-miss'),
    ...flag(line.forcedDomain !== '', `forceddomain=${line.forcedDomain}`), ...flag(line.tls !== null, 'tls'),
  ]
}

const percent = (part: number, whole: number): string => `${whole > 0 ? Math.floor((100 * part) / whole + 0.5) : 0}`

const peerText = (peer: PeerLine): string => {
  const { icp, ignored, addresses } = peer
  const acked = icp?.acked ?? 0
  const number = (value: number): string => String(value).padStart(8)
  const share = (part: number, whole: number): string => `${number(part)} ${percent(part, whole).padStart(3)}%`
  return [
    '',
    `${(peer.kind === 'parent' ? 'Parent' : 'Sibling').padEnd(11)}: ${peer.name}`,
    `Host       : ${peer.host}/${peer.port}/${peer.icpPort}`,
    `Flags      :${peer.flags.map(text => ` ${text}`).join('')}`,
    ...addresses.map((address, i) => `Address[${i}] : ${address}`),
    `Status     : ${peer.up ? 'Up' : 'Down'}`,
    `FETCHES    : ${peer.fetches}`,
    `OPEN CONNS : ${peer.connections}`,
    `AVG RTT    : ${peer.rttMs} msec`,
    ...(icp === null
      ? []
      : [
          `LAST QUERY : ${number(icp.lastQuerySeconds ?? 0)} seconds ago`,
          icp.lastReplySeconds === null ? 'LAST REPLY : none received' : `LAST REPLY : ${number(icp.lastReplySeconds)} seconds ago`,
          `PINGS SENT : ${number(icp.sent)}`,
          `PINGS ACKED: ${share(acked, icp.sent)}`,
        ]),
    `IGNORED    : ${share(ignored, acked)}`,
    ...(icp === null
      ? []
      : [
          'Histogram of PINGS ACKED:',
          ...Object.entries(icp.answers).flatMap(([name, count]) => (count === 0 ? [] : [`    ${name.padStart(12)} : ${share(count, acked)}`])),
        ]),
    ...(peer.lastFailure === '' ? [] : [`Last failed connect() at: ${peer.lastFailure}`]),
    `keep-alive ratio: ${percent(peer.kept, peer.fetches)}%`,
    '',
  ].join('\n')
}

const targetText = ({ chainer, target, up, why }: CheckOutcome): string =>
  `Parent     : ${chainer}\nHost       : ${endpointText(target)}/0\nStatus     : ${up ? 'Up' : `Down (${why})`}\n\n`

/** For metrics. */
export const peerFigures = (peers: readonly Peer[]): Figures['peers'] =>
  peers.map(peer => {
    const { name, line, state, isUp } = peer
    const { fetches, connections, queries, replies, hits, rtt } = state
    return { name, kind: line.kind, up: isUp ? 1 : 0, fetches, connections, queries, replies, hits, rttMs: rtt }
  })

/** By the names of Squid's page of counters. */
export const icpSums = (): Readonly<Record<string, number>> => {
  const kb = (bytes: number): number => Math.floor(bytes / 1024)
  const c = CountIcp
  return {
    'icp.pkts_sent': c.queriesSent + c.repliesSent,
    'icp.pkts_recv': c.queriesReceived + c.repliesReceived,
    'icp.queries_sent': c.queriesSent,
    'icp.replies_sent': c.repliesSent,
    'icp.queries_recv': c.queriesReceived,
    'icp.replies_recv': c.repliesReceived,
    'icp.query_timeouts': c.timeouts,
    'icp.kbytes_sent': kb(c.bytesSent),
    'icp.kbytes_recv': kb(c.bytesReceived),
    'icp.q_kbytes_sent': kb(c.queryBytesSent),
    'icp.r_kbytes_sent': kb(c.bytesSent - c.queryBytesSent),
    'icp.q_kbytes_recv': kb(c.queryBytesReceived),
    'icp.r_kbytes_recv': kb(c.bytesReceived - c.queryBytesReceived),
    'icp.times_used': c.timesUsed,
  }
}
