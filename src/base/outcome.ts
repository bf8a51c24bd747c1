import type { Endpoint } from './address.ts'
import type { ErrorCode } from './error-table.ts'
import type { IcapRecord } from './icap-record.ts'
import type { Notes } from './notes.ts'
import type { MonoMs, WallMs } from './units.ts'

// One record per transaction. Each room writes what it decided at the moment it decides; the access log, Cache-Status,
// counters, `explain` and the tests read the same facts afterwards.

/** First half of the log code, without TCP_ / NONE_ prefix rules: spelled as Squid spells it. */
export const resultCodes = {
  NONE_NONE: 'no request could be read, or nothing was answered',
  TCP_HIT: 'served from the disk store',
  TCP_MEM_HIT: 'served from memory',
  TCP_MISS: 'fetched from the origin',
  TCP_REFRESH_UNMODIFIED: 'stale; the origin said 304',
  TCP_REFRESH_MODIFIED: 'stale; the origin sent a new response',
  TCP_REFRESH_FAIL_OLD: 'stale; validation failed and the stale response was served',
  TCP_REFRESH_FAIL_ERR: 'stale; validation failed and the failure was passed on',
  TCP_CLIENT_REFRESH_MISS: 'the client insisted on a fresh copy',
  TCP_IMS_HIT: '304 from a fresh stored response, for If-Modified-Since',
  TCP_INM_HIT: '304 from a fresh stored response, for If-None-Match',
  TCP_NEGATIVE_HIT: 'a stored error response',
  TCP_DENIED: 'an access list said no',
  TCP_DENIED_REPLY: 'an access list refused the response',
  TCP_REDIRECT: 'a rewriter or deny_info redirected',
  TCP_OFFLINE_HIT: 'served because of offline_mode',
  TCP_TUNNEL: 'bytes were relayed (CONNECT, Upgrade)',
  UDP_HIT: 'ICP: another proxy was told that it may have the response from here',
  UDP_MISS: 'ICP: it was told that it is not here',
  UDP_DENIED: 'ICP: icp_access says that it may not ask',
  UDP_INVALID: 'ICP: what it asked cannot be read',
  UDP_MISS_NOFETCH: 'ICP: it is not here, and may not be fetched through us at present',
} as const

export type ResultCode = keyof typeof resultCodes

/** How the server was chosen, as Squid's hierarchy codes. */
export const hierarchyCodes = {
  HIER_NONE: 'no server was asked',
  HIER_DIRECT: 'the origin, by a name the proxy resolved',
  SIBLING_HIT: 'a sibling that said it had the response (ICP)',
  PARENT_HIT: 'a parent that said it had the response (ICP)',
  DEFAULT_PARENT: 'the parent marked default',
  FIRSTUP_PARENT: 'the first parent that is up',
  FIRST_PARENT_MISS: 'no peer had the response: the parent that said so first, by weight (ICP)',
  CLOSEST_PARENT_MISS: 'no peer had the response: the parent nearest to the origin',
  ROUNDROBIN_PARENT: 'the parent whose turn it was',
  CARP: 'the parent the URI falls to',
  USERHASH_PARENT: 'the parent the user falls to',
  SOURCEHASH_PARENT: "the parent the client's address falls to",
  ANY_OLD_PARENT: 'another parent, when the one chosen failed',
  ORIGINAL_DST: 'the address the client had connected to',
  PINNED: 'a connection tied to the client connection',
} as const

export type HierarchyCode = keyof typeof hierarchyCodes

/** Why a response was not stored, or a stored one not used. */
export type Reason = string

export interface Outcome {
  /** Counts the records of this process. */
  readonly number: number
  startedAt: WallMs
  startedMono: MonoMs
  /** Filled by finish. */
  endedMono: MonoMs

  /**
   * Who asked: a client, or the cache itself about a stale response it has given already
   * (stale-while-revalidate), or another proxy whether something is stored (ICP).
   */
  initiator: 'client' | 'validation' | 'icp'

  // client side
  /** Of the client for whose sake it is done, where the initiator is another. */
  client: Endpoint
  /** Our end as the client sees it: for intercepted connections the original destination. */
  clientLocal: Endpoint
  /** The listener's name (`name=` or its address as written). */
  portName: string
  /** How the connection was taken. */
  taken: 'nat' | 'tproxy' | 'direct'
  sessionId: string
  /** Null: nobody has introduced the client. */
  introduced: Introduction | null
  /** Null: the client spoke in clear text, as far as we know. */
  clientTls: ClientTls | null
  /** `aa:bb:cc:dd:ee:ff`; '' = not known, or not asked for. */
  clientHardware: string
  /** What packets carry because the conf says so; null = nothing. */
  packets: PacketMarks | null

  // request
  method: string
  /** The effective target URI; for CONNECT `host:port`; '-' or `error:…` while unknown. */
  uri: string
  /** What the client asked for, where a rewriter put another URI in its place; '' = the same. */
  askedUri: string
  /** Minor version: HTTP/1.x. */
  versionMinor: number
  /** The request's fields as received, for log codes; null while unknown. */
  requestFields: FieldView | null
  /** Those an ICAP service has put in their place; null = none did. */
  adaptedFields: FieldView | null
  requestHeadBytes: number
  requestContentBytes: number

  // who
  /** A user who has proved it (of a 407, who claimed to be one), and the one a helper named; '' = none. */
  user: string
  helperUser: string
  /** What helpers of external_acl_type said: for ACLs, for the log, for pages. '' = nothing. */
  tag: string
  helperLog: string
  helperMessage: string
  /** Annotations, of the conf's and of helpers; null = none. */
  notes: Notes | null

  // decision
  result: ResultCode
  /** `_CF` was inserted: the response came from a collapsed fetch. */
  collapsed: boolean
  hierarchy: HierarchyCode
  /** The cache_peer the request went to; '' = an origin, or none. */
  peer: string
  /** Not all peers that were asked by ICP had answered in time. */
  icpTimedOut: boolean
  error: ErrorCode | null
  errorDetail: string
  /** Which http_access line decided (`file:line`), '' when none. */
  accessLine: string
  /** Why the cache did what it did: reuse reason, then storing reason. */
  reuseReason: Reason
  storeReason: Reason

  // adaptation
  /** What ICAP services made of it, in order; null = none saw it. */
  adaptations: IcapRecord[] | null

  // server side
  server: Endpoint | null
  /** Our end towards the server: the client's address when forged. */
  serverLocal: Endpoint | null
  forged: boolean
  /** Null: the server was spoken to in clear text, or not at all. */
  serverTls: ServerTls | null
  serverStatus: number
  attempts: number
  /** Bytes of content that came from the server; -1 = no server was asked. */
  serverContentBytes: number
  /** Milliseconds, -1 = none: from the request's last byte to the response's last one (%<pt), in all with the servers (%<tt). */
  serverResponseMs: number
  serverTotalMs: number
  /** Milliseconds spent waiting for DNS; -1 = nothing was asked. */
  dnsMs: number

  // response
  status: number
  /** As the client got them; of what it was not sent as the server said them. */
  responseFields: FieldView | null
  contentType: string
  /** Bytes written to the client: head and content. */
  responseBytes: number
  responseHeadBytes: number
}

/** The connection a transaction came on, as its record names it. */
export interface OutcomeOrigin {
  readonly startedAt: WallMs
  readonly startedMono: MonoMs
  readonly client: Endpoint
  readonly clientLocal: Endpoint
  readonly portName: string
  readonly taken: Outcome['taken']
}

let numbers = 0

/** A record of which nothing more is known yet: nobody asked a server, nothing was answered. */
export const newOutcome = (origin: OutcomeOrigin): Outcome => ({
  number: ++numbers,
  startedAt: origin.startedAt,
  startedMono: origin.startedMono,
  endedMono: 0 as MonoMs,
  initiator: 'client',
  client: origin.client,
  clientLocal: origin.clientLocal,
  portName: origin.portName,
  taken: origin.taken,
  sessionId: '',
  introduced: null,
  clientTls: null,
  clientHardware: '',
  packets: null,
  method: 'NONE',
  uri: 'error:invalid-request',
  askedUri: '',
  versionMinor: 0,
  requestFields: null,
  adaptedFields: null,
  requestHeadBytes: 0,
  requestContentBytes: 0,
  user: '',
  helperUser: '',
  tag: '',
  helperLog: '',
  helperMessage: '',
  notes: null,
  result: 'NONE_NONE',
  collapsed: false,
  hierarchy: 'HIER_NONE',
  peer: '',
  icpTimedOut: false,
  error: null,
  errorDetail: '',
  accessLine: '',
  reuseReason: '',
  storeReason: '',
  adaptations: null,
  server: null,
  serverLocal: null,
  forged: false,
  serverTls: null,
  serverStatus: 0,
  attempts: 0,
  serverContentBytes: -1,
  serverResponseMs: -1,
  serverTotalMs: -1,
  dnsMs: -1,
  status: 0,
  responseFields: null,
  contentType: '',
  responseBytes: 0,
  responseHeadBytes: 0,
})

/** Types of service and netfilter marks, towards both ends; 0 = none was set. */
export interface PacketMarks {
  clientTos: number
  clientMark: number
  serverTos: number
  serverMark: number
}

/** What a balancer has said of whose connection it passes on (PROXY protocol). */
export interface Introduction {
  /** name, value, ...: what was said. */
  readonly pairs: readonly string[]
  /** Our end as the packets have it. */
  readonly local: Endpoint
}

/** What a server showed of itself under TLS, as logs and pages ask for it. */
export interface ServerTls {
  /** `TLS/1.3` */
  readonly version: string
  /** OpenSSL's name. */
  readonly cipher: string
  /** `/C=DE/CN=origin.example`; '' = it showed no certificate. */
  readonly subject: string
  readonly issuer: string
  /** PEM; '' = none. */
  readonly certificate: string
  /** `AB:CD:…`; '' = none. */
  readonly sha1: string
  /** What is wrong with the certificate, in the order it was found; 0 = the server's own, 1 = its issuer's … */
  readonly errors: readonly { readonly name: string; readonly depth: number }[]
}

/** What ssl_bump made of a connection. */
export const bumpModes = {
  none: 'passed on unread, without a look (Squid 3.1 and 3.3 rules)',
  splice: 'passed on unread',
  peek: 'looked at, and then nothing more came of it',
  stare: 'TLS begun with the server, and then nothing more came of it',
  bump: 'read: TLS with the server first, and its certificate imitated',
  'client-first': 'read: with a certificate made from the name alone',
  'server-first': 'as bump (Squid 3.3 rules)',
  terminate: 'closed',
} as const

export type BumpMode = keyof typeof bumpModes

/** TLS with the client, as logs ask for it. '' = not known. */
export interface ClientTls {
  /** '' = the port is none where that is decided. */
  bumpMode: BumpMode | ''
  /** The server as the client calls it: as it said it, confirmed or not. */
  sni: string
  /** Of the hello: `TLS/1.2`; the highest it offers. */
  helloVersion: string
  supportedVersion: string
  /** Of what was agreed on. */
  version: string
  cipher: string
  certificateSubject: string
  certificateIssuer: string
  /** The same for access lists, an attribute on each line: `CN=alice`. */
  certificateNames?: { readonly subject: string; readonly issuer: string }
}

/** What a log code may ask of header fields; http's Fields satisfy it. Names are lower case. */
export interface FieldView {
  get(lowerName: string): string | undefined
  /** All lines of that name joined with ', '. */
  joined(lowerName: string): string | undefined
  /** Ordered pairs as received: name, value, name, value ... */
  readonly pairs: readonly string[]
}
