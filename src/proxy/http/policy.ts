import type { Tuning } from '../../../comm/connection.ts'
import type { AccessFacts, AccessList, Condition } from '../../acl/index.ts'
import type { Bytes, DurationMs, MonoMs } from '../../base/index.ts'
import type { CachePolicy, QuickAbort } from '../../cache/index.ts'
import type { HeadLimits, HostPort } from '../../http/index.ts'
import type { PeerRouter } from '../../router/index.ts'
import type { Adaptation } from './adapt/plan.ts'
import type { NoteRule } from './annotate.ts'
import type { BumpRules } from './bump/rules.ts'
import type { Inside, PortBump } from './bump/port-bump.ts'
import type { DelayPools } from './delay/pools.ts'
import type { DenyInfo } from './deny-info.ts'
import type { ErrorPages } from './error-pages.ts'
import type { FieldRules } from './field-rules.ts'
import type { HostRules } from './host-rules.ts'
import type { PacketRules } from './packets.ts'
import type { Rewriter } from './rewrite.ts'
import type { OutgoingTlsPolicy } from './server-tls.ts'
import type { UpgradeRules } from './upgrades.ts'
import type { Identifier, StoreIdRule } from './store-id.ts'

// What the configuration means to the http proxy, compiled. One object per generation of the configuration; a
// transaction keeps the one it began with, so that a reload never changes a request half way.

export interface HttpPolicy {
  readonly hostname: string
  /** '' when httpd_suppress_version_string is on. */
  readonly version: string
  readonly administrator: string
  /** visible_hostname and unique_hostname: names by which we know ourselves in a Via. */
  readonly ownNames: readonly string[]
  /** These names, hostname_aliases and localhost, in lower case: by which clients may ask for our own pages. */
  readonly pageHosts: readonly string[]
  /** Of transactions that are over; null = there are none. */
  readonly notes: readonly NoteRule[] | null
  /** A line of http_access names the ACL `manager`; if none does, only this machine may see our own pages. */
  readonly managerNamed: boolean
  /** A line of http_access has an ACL that names the method PURGE; if none has, nobody may (Squid). */
  readonly purgeNamed: boolean
  readonly via: boolean
  /** The comment in our Via: the product; '' when the version is suppressed. */
  readonly viaComment: string
  /** What we add to responses, with its CRLF; '' when `via` is off. */
  readonly responseViaLine: string
  /** Our name in Cache-Status. */
  readonly cacheName: string
  /** `Cache-Status: NAME; hit; ttl=`: the line of a hit up to its number. */
  readonly hitStatusStart: string
  /** X-Cache and X-Cache-Lookup, behind `HIT` or `MISS` and in front of it; null = they are not sent. */
  readonly xCache: { readonly from: string; readonly at: string } | null
  readonly forwardedFor: 'on' | 'off' | 'transparent' | 'delete' | 'truncate'
  readonly access: {
    readonly http: AccessList
    /** As http, after rewriters and ICAP; null = everybody. */
    readonly adapted: AccessList | null
    readonly cache: AccessList
    readonly spoofClientIp: AccessList
    /** Null: everybody. */
    readonly miss: AccessList | null
    readonly reply: AccessList | null
    /** Whose content is asked for at once (100); null = nobody's. */
    readonly continueBody: AccessList | null
    /** Whose PROXY protocol header is believed. */
    readonly introducing: AccessList
    /** Whose X-Forwarded-For is believed; null = nobody's. */
    readonly followForwarded: AccessList | null
    /** Null: every request may. */
    readonly collapsedForwarding: AccessList | null
    /** What is stored may be used, what comes may be stored; null: all. */
    readonly sendHit: AccessList | null
    readonly storeMiss: AccessList | null
    /** Which requests that cannot be sent twice may use a kept connection; null: none. */
    readonly keptForUnrepeatable: AccessList | null
    /** broken_posts; null: none. */
    readonly brokenPosts: AccessList | null
  }
  /** Access lists, and logs, go by the client that X-Forwarded-For names. */
  readonly aclsByIndirectClient: boolean
  readonly logByIndirectClient: boolean
  /** So do the buckets of delay pools, what ICAP services are told, and the source addresses of tproxy ports. */
  readonly indirectClient: { readonly delay: boolean; readonly adaptation: boolean; readonly tproxy: boolean }
  readonly errorPages: ErrorPages
  /** error_log_languages. */
  readonly tellsMissingLanguages: boolean
  /** How clients say who they are; null = nobody is asked. */
  readonly users: {
    /** Values of Proxy-Authenticate, for this client. */
    readonly challenges: (facts: AccessFacts, stale: boolean, now: MonoMs) => readonly string[]
    /** The connection ends with such a first question (auth_param ... keep_alive off). */
    readonly closes: (facts: AccessFacts) => boolean
    /** The ACLs that want to know, in lower case. */
    readonly acls: ReadonlySet<string>
  } | null
  /** What a denial looks like, by the ACL that had the last word; null = as usual. */
  readonly denyInfo: DenyInfo | null
  /** Responses are looked at before they are sent: http_reply_access or reply_body_max_size. */
  readonly judgesResponses: boolean
  /** reply_body_max_size; Infinity = no limit. */
  readonly replySizes: readonly Guarded<Bytes>[]
  /** Null: fields stay as they are. */
  readonly requestFields: FieldRules | null
  readonly responseFields: FieldRules | null
  readonly outgoing: {
    readonly addresses: readonly Guarded<{ readonly family: 4 | 6; readonly address: string }>[]
    readonly marks: readonly Guarded<number>[]
    readonly tos: readonly Guarded<number>[]
  }
  /** append_domain and check_hostnames; null: hosts are taken as they are. */
  readonly hostRules: HostRules | null
  /** Other proxies; null = every request goes its own way. */
  readonly peers: PeerRouter | null
  /** All tries to get an answer: forward_max_tries, forward_timeout. */
  readonly forwarding: { readonly triesMax: number; readonly timeout: DurationMs }
  /** Of packets to clients; null = they carry nothing. */
  readonly packets: PacketRules | null
  /** Somebody wants to be told the Ethernet addresses of clients: a log, a helper. */
  readonly tellsHardware: boolean
  /** Null: nothing is fetched by TLS. */
  readonly serverTls: OutgoingTlsPolicy | null
  readonly hostVerifyStrict: boolean
  readonly clientDstPassthru: boolean
  readonly halfClosedClients: boolean
  readonly clientPersistent: boolean
  /** relaxed_header_parser warn. */
  readonly tellsRefusedHeads: boolean
  /** persistent_connection_after_error. */
  readonly persistentAfterError: boolean
  /** retry_on_error. */
  readonly retryOnError: boolean
  /** Null: everything but other versions of HTTP and TLS. */
  readonly upgrades: UpgradeRules | null
  readonly limits: {
    readonly forwardHead: HeadLimits
    /** An intercepted request may do without Host: it has an original destination. */
    readonly interceptedHead: HeadLimits
    readonly responseHead: HeadLimits
    /** Infinity = no limit. */
    readonly requestContentMax: Bytes
    /** So much of its content is awaited before a server is asked. */
    readonly requestDelayed: Bytes
    /** Of a request's content, in our memory. */
    readonly requestBufferMax: Bytes
  }
  readonly timeouts: {
    /** First byte of the first request. */
    readonly requestStart: DurationMs
    /** The whole head. */
    readonly request: DurationMs
    /** Between requests. */
    readonly idle: DurationMs
    /** No progress while the client sends content or takes the response. */
    readonly read: DurationMs
    readonly write: DurationMs
    /** A connection's whole life. */
    readonly lifetime: DurationMs
  }
  /** url_rewrite_program, store_id_program; null = there is none. */
  readonly rewriter: Rewriter | null
  readonly identifier: Identifier | null
  /** Several URIs, one key. */
  readonly storeIds: readonly Guarded<StoreIdRule>[]
  readonly cache: CachePolicy
  /** cache_miss_revalidate: where nothing is stored, conditions of clients go to the origin. */
  readonly missConditions: boolean
  /** The same on accel ports, with cdn_cache_control. */
  readonly acceleratedCache: CachePolicy
  readonly quickAbort: QuickAbort
  /** read_ahead_gap. */
  readonly readAheadBytesMax: Bytes
  /** range_offset_limit; Infinity = any range is fetched as the whole. */
  readonly rangeOffsets: readonly Guarded<Bytes>[]
  /** ssl_bump; null: there is no line, and everything is spliced. */
  readonly bump: BumpRules | null
  /** on_unsupported_protocol. */
  readonly unsupported: readonly Guarded<'tunnel' | 'respond'>[]
  /** Null: there are none. */
  readonly delay: DelayPools | null
  /** Null: no ICAP service is used. */
  readonly adaptation: Adaptation | null
}

/** A value with the condition under which it holds; the first line that matches counts. */
export interface Guarded<T> {
  readonly value: T
  readonly when: Condition
}

/** What a listening port adds. */
export interface HttpPort {
  readonly mode: 'forward' | 'intercept' | 'tproxy' | 'accel'
  /** Of requests that do not say it. */
  readonly scheme: 'http' | 'https'
  /** Null: CONNECT is a tunnel, and nobody looks into it. */
  readonly bump: PortBump | null
  /** Null: it is a port. Else a bumped connection stands for one. */
  readonly inside: Inside | null
  /** The router alone says which server: Host is the name of a site there. */
  readonly pinned: boolean
  /** connection-auth: NTLM and Negotiate with origins. */
  readonly connectionAuth: boolean
  /** tcpkeepalive, disable-pmtu-discovery, tcp_recv_bufsize; null = as the system has it. */
  readonly tuning: Tuning | null
  readonly accel: {
    /** The site of requests that name none; null = they are refused. */
    readonly defaultSite: HostPort | null
    /** The Host field decides; off = always defaultSite. */
    readonly vhost: boolean
    /** 'local' = the port the request came to; null = what Host says. */
    readonly vport: number | 'local' | null
    readonly scheme: 'http' | 'https'
    /** Requests may go to whatever address the site's name has; otherwise only to peers. */
    readonly allowDirect: boolean
    /** What is stored leaves as if it had been made now. */
    readonly actsAsOrigin: boolean
    /** Cache-Control and Pragma of requests are ignored. */
    readonly ignoreControl: boolean
  } | null
}
