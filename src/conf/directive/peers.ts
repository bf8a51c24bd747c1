import { canonicalAddress } from '../../base/index.ts'
import type { Location } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { wholeNumber } from '../values.ts'
import { accessList, namedAccessList } from './access.ts'
import { type Kind, later, works } from './directive.ts'
import { type OutgoingTls, outgoingTlsOptions, usualOutgoingTls } from './tls-outgoing.ts'
import { age, count, lines, needWord, onOff, word } from './kinds.ts'

// Other proxies: who they are, and which requests may go there.

export type PeerKind = 'parent' | 'sibling'

/** Parts of a URI that carp goes by. */
export const carpKeyParts = ['scheme', 'host', 'port', 'path', 'params'] as const
export type CarpKeyPart = (typeof carpKeyParts)[number]

/** A line of cache_peer. */
export interface CachePeerLine {
  /** `name=`, else the host. */
  readonly name: string
  readonly host: string
  readonly kind: PeerKind
  readonly port: number
  /** 0 = it is never asked. */
  readonly icpPort: number
  readonly noQuery: boolean
  readonly backgroundPing: boolean
  readonly closestOnly: boolean
  readonly default: boolean
  readonly roundRobin: boolean
  readonly weightedRoundRobin: boolean
  readonly carp: boolean
  /** Empty = the whole URI. */
  readonly carpKey: readonly CarpKeyPart[]
  readonly userHash: boolean
  readonly sourceHash: boolean
  readonly weight: number
  /** Milliseconds taken off what was measured. */
  readonly baseTime: number
  readonly originServer: boolean
  /** '' = none. */
  readonly forcedDomain: string
  /** As written; '' = none. */
  readonly login: string
  readonly proxyOnly: boolean
  readonly allowMiss: boolean
  readonly noTproxy: boolean
  /** Delay pools leave alone what comes from it. */
  readonly noDelay: boolean
  /** Seconds; null = peer_connect_timeout. */
  readonly connectTimeout: number | null
  readonly connectFailLimit: number
  /** 0 = any number. */
  readonly connectionsMax: number
  /** Connections kept open beforehand. */
  readonly standby: number
  /** Lusca: asked for now and then; a peer that does not answer it well is down. '' = none. */
  readonly monitorUrl: string
  /** Bytes its answer has at least and at most; null = any. */
  readonly monitorSize: { readonly min: number; readonly max: number } | null
  /** Seconds. */
  readonly monitorInterval: number
  readonly monitorTimeout: number
  readonly frontEndHttps: 'off' | 'on' | 'auto'
  /** `tls`, `ssl` and what begins so; null = in clear text. */
  readonly tls: OutgoingTls | null
  readonly text: string
  readonly at: Location
}

/** A line of neighbor_type_domain. */
export interface NeighborTypeLine {
  readonly peer: string
  readonly kind: PeerKind
  /** As in dstdomain: a leading dot stands for all below. */
  readonly domains: readonly string[]
  readonly text: string
  readonly at: Location
}

type Draft = { -readonly [K in keyof CachePeerLine]: CachePeerLine[K] }

type Reader = (into: Draft, value: string, line: Line, word: Word) => void

const flag =
  (member: { [K in keyof Draft]: Draft[K] extends boolean ? K : never }[keyof Draft]): Reader =>
  into => {
    into[member] = true
  }

const number =
  (member: { [K in keyof Draft]: Draft[K] extends number ? K : never }[keyof Draft] | 'connectTimeout', min: number): Reader =>
  (into, value, line, at) => {
    const read = wholeNumber(value)
    if (read !== null && read >= min) into[member] = read
    else line.fatal(`${line.name}: ${optionName(at)} needs a number from ${min} on, got '${value}'`, at)
  }

/** What is read and has no effect, with what is missing. */
const missing =
  (what: string): Reader =>
  (_into, _value, line, at) =>
    line.warning(`${line.name}: ${optionName(at)}: ${what}`, at)

const nothing: Reader = () => {}

const noDigests = 'digests of caches are neither made nor fetched; ICP tells what a peer has'
const noHtcp = 'HTCP is not spoken; ICP is asked instead, if the peer has a port for it'
const noMulticast = 'peers are not asked by multicast; name each of them'

const options: Readonly<Record<string, Reader>> = {
  'no-query': flag('noQuery'),
  'background-ping': flag('backgroundPing'),
  'no-digest': nothing,
  'digest-url': missing(noDigests),
  'no-netdb-exchange': nothing,
  'closest-only': flag('closestOnly'),
  'htcp': missing(noHtcp),
  'htcp-oldsquid': missing(noHtcp),
  'multicast-responder': missing(noMulticast),
  'multicast-siblings': missing(noMulticast),
  'ttl': missing(noMulticast),
  'default': flag('default'),
  'round-robin': flag('roundRobin'),
  'weighted-round-robin': flag('weightedRoundRobin'),
  'carp': flag('carp'),
  'carp-key': (into, value, line, at) => {
    const parts = value.split(',').filter(part => part !== '')
    const known = carpKeyParts.filter(part => parts.includes(part))
    const odd = parts.find(part => !carpKeyParts.some(one => one === part))
    if (odd !== undefined || known.length === 0) {
      line.fatal(`${line.name}: carp-key is made of ${carpKeyParts.join(', ')}, got '${value}'`, at)
    } else into.carpKey = known
  },
  'userhash': flag('userHash'),
  'sourcehash': flag('sourceHash'),
  'weight': (into, value, line, at) => {
    number('weight', 0)(into, value, line, at)
    into.weight = Math.max(1, into.weight)
  },
  'basetime': number('baseTime', 0),
  'originserver': flag('originServer'),
  'forceddomain': (into, value) => {
    into.forcedDomain = value
  },
  'login': (into, value, line, at) => {
    if (/^NEGOTIATE(?::|$)/.test(value)) line.warning(`${line.name}: login=NEGOTIATE is not there: nothing is said to this peer`, at)
    else into.login = value
  },
  'connection-auth': nothing,
  'auth-no-keytab': nothing,
  'proxy-only': flag('proxyOnly'),
  'allow-miss': flag('allowMiss'),
  'no-tproxy': flag('noTproxy'),
  'no-delay': flag('noDelay'),
  'connect-timeout': number('connectTimeout', 1),
  'connect-fail-limit': (into, value, line, at) => {
    number('connectFailLimit', 0)(into, value, line, at)
    if (into.connectFailLimit === 0) into.connectFailLimit = usual.connectFailLimit
  },
  'max-conn': number('connectionsMax', 0),
  'standby': number('standby', 0),
  'front-end-https': (into, value, line, at) => {
    if (value === '' || value === 'on' || value === 'off' || value === 'auto') into.frontEndHttps = value === '' ? 'on' : value
    else line.fatal(`${line.name}: front-end-https is on, off or auto, got '${value}'`, at)
  },
  'monitorurl': (into, value) => {
    into.monitorUrl = value
  },
  'monitorsize': (into, value, line, at) => {
    const [, min, max = ''] = /^(\d+)(?:-(\d+))?$/.exec(value) ?? []
    if (min === undefined) line.fatal(`${line.name}: monitorsize is MIN or MIN-MAX bytes, got '${value}'`, at)
    else into.monitorSize = { min: Number(min), max: max === '' ? Number.POSITIVE_INFINITY : Number(max) }
  },
  'monitorinterval': number('monitorInterval', 1),
  'monitortimeout': number('monitorTimeout', 1),
  'idle': number('standby', 0),
  'http11': nothing,
}

/** These may stand alone; the others need their `=`. */
const alone: ReadonlySet<string> = new Set([
  'no-query', 'background-ping', 'no-digest', 'no-netdb-exchange', 'closest-only', 'htcp', 'multicast-responder',
  'multicast-siblings', 'default', 'round-robin', 'weighted-round-robin', 'carp', 'userhash', 'sourcehash', 'originserver',
  'auth-no-keytab', 'proxy-only', 'allow-miss', 'no-tproxy', 'no-delay', 'front-end-https', 'http11', 'htcp-oldsquid',
])

const usual: Omit<CachePeerLine, 'name' | 'host' | 'kind' | 'port' | 'icpPort' | 'text' | 'at'> = {
  noQuery: false, backgroundPing: false, closestOnly: false, default: false, roundRobin: false, weightedRoundRobin: false,
  carp: false, carpKey: [], userHash: false, sourceHash: false, weight: 1, baseTime: 0, originServer: false, forcedDomain: '',
  login: '', proxyOnly: false, allowMiss: false, noTproxy: false, noDelay: false, connectTimeout: null, connectFailLimit: 10,
  connectionsMax: 0, standby: 0, monitorUrl: '', monitorSize: null, monitorInterval: 300, monitorTimeout: 120, frontEndHttps: 'off', tls: null,
}

/** Any of them means that TLS is spoken. `name`: without the `ssl` or `tls-` in front. */
const readTls = (line: Line, at: Word, name: string, value: string, draft: Draft): void => {
  const before: OutgoingTls = draft.tls ?? { ...usualOutgoingTls, at: line.at() }
  draft.tls = before
  if (name === '') return
  const read = Object.hasOwn(outgoingTlsOptions, name) ? outgoingTlsOptions[name] : undefined
  if (read === undefined) line.warning(`${line.name}: unknown option '${at.text}' is ignored`, at)
  else if (value === '' && name !== 'default-ca') line.fatal(`${line.name}: option '${optionName(at)}' needs a value`, at, `write ${optionName(at)}=...`)
  else draft.tls = { ...before, ...read(value === '' ? 'on' : value, before, line, at) }
}

const optionName = (at: Word): string => at.text.split('=', 1)[0] ?? ''

const readPeer = (line: Line): CachePeerLine | null | undefined => {
  const host = needWord(line, 'a host')
  const kind = host && needWord(line, 'parent or sibling')
  const port = kind && readPort(line, 'the HTTP port', 1)
  const icpPort = port === undefined ? undefined : readPort(line, 'the ICP port, 0 if it has none', 0)
  if (host === undefined || kind === undefined || port === undefined || icpPort === undefined) return undefined
  const named = { name: host.text, host: host.text.replace(/^\[(.*)\]$/, '$1'), port, icpPort }
  const draft: Draft = { ...usual, ...named, kind: kind.text === 'sibling' ? 'sibling' : 'parent', text: '', at: line.at() }
  for (let next = line.next(); next !== null; next = line.next()) readOption(line, next, draft)
  draft.text = line.read
  if (kind.text === 'multicast') {
    line.warning(`${line.name}: ${noMulticast}; ${host.text} is left out`, kind)
    return null
  }
  if (kind.text !== 'parent' && kind.text !== 'sibling') {
    const like = nearest(kind.text, ['parent', 'sibling', 'multicast'])
    line.fatal(`${line.name}: expecting parent or sibling, got '${kind.text}'`, kind, like === null ? '' : `did you mean ${like}?`)
    return undefined
  }
  return checked(line, draft)
}

const readPort = (line: Line, what: string, min: number): number | undefined => {
  const at = needWord(line, what)
  if (at === undefined) return undefined
  const port = wholeNumber(at.text)
  if (port !== null && port >= min && port <= 65_535) return port
  line.fatal(`${line.name}: ${what} is a number from ${min} to 65535, got '${at.text}'`, at)
  return undefined
}

const readOption = (line: Line, at: Word, draft: Draft): void => {
  const equals = at.text.indexOf('=')
  const name = equals < 0 ? at.text : at.text.slice(0, equals)
  const value = equals < 0 ? '' : at.text.slice(equals + 1)
  if (name === 'name') {
    if (value === '') line.fatal(`${line.name}: name= needs a value`, at)
    else draft.name = value
    return
  }
  const tls = /^(?:ssl(.*)|tls-(.+)|(tls)-?)$/.exec(name)
  if (tls !== null) {
    readTls(line, at, tls[1] ?? tls[2] ?? '', value, draft)
    return
  }
  const read = Object.hasOwn(options, name) ? options[name] : undefined
  if (read === undefined) {
    const like = nearest(name, [...Object.keys(options), 'name', 'tls'])
    line.warning(`${line.name}: unknown option '${at.text}' is ignored`, at, like === null ? '' : `did you mean ${like}?`)
  } else if (value === '' && !alone.has(name)) line.fatal(`${line.name}: option '${name}' needs a value`, at, `write ${name}=...`)
  else read(draft, value, line, at)
}

const checked = (line: Line, draft: Draft): CachePeerLine | undefined => {
  if (draft.monitorUrl !== '' && !/^https?:\/\/[^/]/i.test(draft.monitorUrl)) {
    line.fatal(`${line.name}: monitorurl is an http:// or https:// URL, got '${draft.monitorUrl}'`)
    return undefined
  }
  const shares = draft.carp ? 'carp' : draft.userHash ? 'userhash' : draft.sourceHash ? 'sourcehash' : null
  if (shares !== null && draft.kind !== 'parent') {
    line.fatal(`${line.name}: ${shares} is for parents; ${draft.name} is a sibling`)
    return undefined
  }
  if (draft.connectionsMax > 0 && draft.standby > draft.connectionsMax) {
    line.fatal(`${line.name}: standby=${draft.standby} is more than max-conn=${draft.connectionsMax}`)
    return undefined
  }
  return draft
}

const readTypes = (line: Line): NeighborTypeLine | undefined => {
  const peer = needWord(line, 'a peer')
  const kind = peer && needWord(line, 'parent or sibling')
  if (peer === undefined || kind === undefined) return undefined
  if (kind.text !== 'parent' && kind.text !== 'sibling') {
    line.fatal(`${line.name}: expecting parent or sibling, got '${kind.text}'`, kind)
    return undefined
  }
  const domains: string[] = []
  for (let next = line.next(); next !== null; next = line.next()) domains.push(next.text.toLowerCase())
  if (domains.length > 0) return { peer: peer.text, kind: kind.text, domains, text: line.read, at: line.at() }
  line.fatal(`${line.name} needs domains`)
  return undefined
}

/** An address, or the word for none in particular. */
const udpAddress = (none: string): Kind<string> => ({
  ...word('ADDRESS', none),
  limits: `${none}: none in particular`,
  read(line) {
    const at = needWord(line, 'an address')
    if (at === undefined) return undefined
    if (at.text === 'any_addr' || at.text === 'no_addr') return none
    const address = canonicalAddress(at.text)
    if (address === null) line.fatal(`${line.name}: '${at.text}' is no address`, at)
    return address ?? undefined
  },
})

export const peerDirectives = {
  cache_peer: works(
    lines('HOST parent|sibling HTTP-PORT ICP-PORT [options]', readPeer, 'siblings are asked only for what they have said, by ICP, to have'),
    `Another proxy, or (originserver) the origin behind an accel port. Parents are used for GET requests, others go direct
unless never_direct or nonhierarchical_direct off say otherwise. Options: name=; who is taken: default (the first that is up
is taken in any case), round-robin, weighted-round-robin, carp [carp-key=], userhash, sourcehash, weight=, basetime=;
no-query, background-ping, closest-only (ICP); proxy-only, allow-miss, originserver, forceddomain=, no-tproxy, no-delay;
login=USER:PASSWORD, PASS, PASSTHRU, *:PASSWORD; connect-timeout=, connect-fail-limit=, max-conn=, standby=
(connections kept open beforehand); monitorurl= with monitorsize=, monitorinterval=, monitortimeout= (Lusca); tls with
the options of tls_outgoing_options (sslcert=, tls-cafile=, tls-min-version=, sslflags=, ssldomain= ...).
Without effect, and named when they are met: multicast, HTCP, cache digests, login=NEGOTIATE. Distances are not measured: no
origin is near enough to be asked past the parents (Squid with its pinger does that).`,
    { example: 'cache_peer parent.example.net parent 3128 0 no-query' },
  ),
  cache_peer_access: works(
    namedAccessList('PEER', 'fast'),
    'Which requests may go to a peer, by the name of its cache_peer line. Without a line: all.',
    { example: 'cache_peer_access parent.example.net deny localnet' },
  ),
  neighbor_type_domain: works(lines('PEER parent|sibling DOMAIN ...', readTypes), 'What a peer is for some domains.'),
  always_direct: works(accessList('slow'), 'Which requests never go to a peer.'),
  never_direct: works(
    accessList('slow'),
    'Which requests only go to peers: with none that may and can be used, they are answered with 503.',
  ),
  nonhierarchical_direct: works(
    onOff(),
    'Requests another cache cannot help with (all methods but GET, and those with Authorization) go direct where they may.',
    { default: 'on' },
  ),
  prefer_direct: works(onOff(), 'Tries the origin before the parents.', { default: 'off' }),
  icp_hit_stale: works(onOff(), 'Says by ICP that it has what is stored but no longer fresh. Otherwise it must be fresh for half a minute more.', {
    default: 'off',
  }),
  minimum_direct_hops: later(count(), 'Origins this near are asked directly.', { default: '4', family: 'netdb' }),
  minimum_direct_rtt: later(count(), 'Origins this quick (milliseconds) are asked directly.', { default: '400', family: 'netdb' }),
  netdb_low: later(count(), 'Low water mark of measured distances.', { default: '900', family: 'netdb' }),
  netdb_high: later(count(), 'High water mark of measured distances.', { default: '1000', family: 'netdb' }),
  netdb_ping_period: later(age(), 'How often a distance is measured.', { default: '5 minutes', family: 'netdb' }),
  query_icmp: later(onOff(), 'Asks peers for their distances.', { default: 'off', family: 'netdb', off: 'off' }),
  test_reachability: later(onOff(), 'Answers ICP differently for what cannot be reached.', { default: 'off', family: 'netdb', off: 'off' }),
  log_icp_queries: works(onOff(), 'ICP queries of others get a line in the access log each (UDP_HIT, UDP_MISS, UDP_DENIED).', { default: 'on' }),
  udp_incoming_address: works(udpAddress('any_addr'), 'Where ICP is listened to; any_addr: at all addresses.', { default: 'any_addr' }),
  udp_outgoing_address: works(
    udpAddress('no_addr'),
    'Where ICP queries are sent from, each peer having a port of its own; no_addr: as udp_incoming_address.',
    { default: 'no_addr' },
  ),
  snmp_incoming_address: later(word('ADDRESS'), 'Where SNMP is listened to.', { default: 'any_addr', family: 'SNMP' }),
  snmp_outgoing_address: later(word('ADDRESS'), 'Where SNMP is sent from.', { default: 'no_addr', family: 'SNMP' }),
}
