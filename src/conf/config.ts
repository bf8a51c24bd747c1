import type { Bytes, DurationMs, Endpoint, Seconds } from '../base/index.ts'
import type { DirectiveName, directives } from './directive/index.ts'

// What the other rooms see of a conf: plain readonly values, each line with the place it was read from. The interface
// of all directives, `Config`, is derived from the table (directive/index.ts); here are the values of its lines.
//
// "No limit" is Infinity everywhere, so that `size > max` needs no special case.

/** A place in a file, 1-based. `from` is the include line that brought the file in. */
export interface Location {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly from: Location | null
}

// --- ports ---

export type PortMode = 'forward' | 'intercept' | 'tproxy' | 'accel'

export interface PortConfig {
  readonly mode: PortMode
  /** Canonical address to listen on; null = every address, or `hostName` decides. */
  readonly address: string | null
  /** A host name was given: listen on each of its addresses. */
  readonly hostName: string | null
  readonly port: number
  /** No address was given: one socket for IPv4 and IPv6. */
  readonly dualStack: boolean
  /** For myportname and the log: `name=`, else the address as written. */
  readonly name: string
  /** accel: the site of requests that name none. */
  readonly defaultSite: string | null
  /** accel: the Host field decides the site. */
  readonly vhost: boolean
  /** accel: port of the rebuilt URI; 'local' = the port the request came to; null = what Host says. */
  readonly vport: number | 'local' | null
  /** accel: scheme of the rebuilt URI. */
  readonly protocol: 'http' | 'https'
  readonly actAsOrigin: boolean
  readonly ignoreCacheControl: boolean
  readonly allowDirect: boolean
  readonly connectionAuth: boolean
  readonly tcpKeepalive: TcpKeepalive | null
  readonly disablePmtuDiscovery: 'off' | 'transparent' | 'always'
  readonly workerQueues: boolean
  /** Connections begin with a PROXY protocol header. */
  readonly introduced: boolean
  /** Null: an http_port in clear text. */
  readonly tls: PortTls | null
  readonly text: string
  readonly at: Location
}

export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'

/** Squid's sslflags. */
export type TlsFlag = 'DELAYED_AUTH' | 'CONDITIONAL_AUTH' | 'NO_SESSION_REUSE' | 'VERIFY_CRL' | 'VERIFY_CRL_ALL' | 'NO_DEFAULT_CA'

export interface PortTls {
  /** https_port: TLS from the first byte; else behind a CONNECT. */
  readonly fromStart: boolean
  /** ssl_bump decides what becomes of it; the first certificate is the CA that signs. */
  readonly bump: boolean
  /** Certificates for hosts are made; off: the first certificate is shown. */
  readonly generate: boolean
  readonly generatedBytesMax: Bytes
  /** Files; the key may be in the file of the certificate. */
  readonly certificates: readonly [TlsCertificateFiles, ...TlsCertificateFiles[]]
  /** SSL_OP_ bits. */
  readonly options: number
  /** OpenSSL's list; '' = the usual ones. */
  readonly cipher: string
  readonly minVersion: TlsVersion
  readonly dhFile: string | null
  readonly curve: string | null
  /** CAs whose certificates clients are asked for; empty = they are not asked. */
  readonly clientCa: readonly string[]
  readonly caFiles: readonly string[]
  readonly caPaths: readonly string[]
  readonly crlFiles: readonly string[]
  readonly flags: ReadonlySet<TlsFlag>
  readonly defaultCa: boolean
  readonly sessionContext: string
}

export interface TlsCertificateFiles {
  readonly cert: string
  readonly key: string | null
}

export interface TcpKeepalive {
  /** 0 = the system's. */
  readonly idle: Seconds
  readonly interval: Seconds
  readonly timeout: Seconds
}

/** Where a listener or a receiver is bound. */
export interface BindConfig {
  readonly place: BindPlace
  /** Ports, both ends included; the same for one port. */
  readonly first: number
  readonly last: number
  /** As written. */
  readonly text: string
}

export type BindPlace =
  /** null: every address; `dualStack`: by one socket for IPv4 and IPv6. */
  | { readonly kind: 'address'; readonly address: string | null; readonly dualStack: boolean }
  /** Every address the interface has, as they come and go. */
  | { readonly kind: 'interface'; readonly name: string }
  /** Those of every interface in the group: a name of /etc/iproute2/group, or a number. */
  | { readonly kind: 'group'; readonly name: string }

/** How sessions wait for connections at foreign addresses: by sockets there, or by sets and one listener. */
export type RelatedConnections = { readonly form: 'sockets' } | { readonly form: 'nft_sets'; readonly port: number }

// --- fields ---

/** What stands in a field's place. */
export interface FieldText {
  readonly name: string
  readonly value: string
  readonly text: string
  readonly at: Location
}

/** A field that is added. */
export interface AddedField extends FieldText {
  /** `value` has %codes. */
  readonly isFormat: boolean
  readonly acls: readonly AclUse[]
}

/** What a denial looks like. */
export interface DenyInfoLine {
  readonly kind: 'page' | 'redirect' | 'reset'
  /** 0 = the usual one. */
  readonly status: number
  /** The page's name, or the URL. */
  readonly target: string
  readonly acls: readonly string[]
  readonly text: string
  readonly at: Location
}

// --- services ---

/** What has a name that other lines use. */
export type NamedKind = 'service' | 'router' | 'chainer' | 'stack' | 'zone' | 'nat_policy' | 'detector'

/** A name in a line, which some other line, perhaps below, must define. Names know no case. */
export interface NameUse {
  readonly kind: NamedKind
  readonly name: string
  readonly at: Location
}

/** A line that defines a name. */
export interface NamedLine {
  /** As written. */
  readonly name: string
  /** The names its words use. */
  readonly uses: readonly NameUse[]
  readonly text: string
  readonly at: Location
}

/** any: the kernel's choice; group, exact, random: from the client's port; a number: that port. */
export type ForgePort = 'any' | 'group' | 'exact' | 'random' | number

export interface RouterConfig extends NamedLine {
  readonly kind: 'transparent' | 'directed' | 'inband'
  /** directed: in the order to try. */
  readonly targets: readonly Endpoint[]
  /** transparent: replaces the port of the original destination; 0 = as it was. */
  readonly forcedPort: number
  readonly forgeAddr: boolean
  readonly forgePort: ForgePort
  readonly overridable: boolean
}

export type ChainerKind = 'connect' | 'multi_target' | 'failover' | 'round_robin' | 'availability' | 'side_stack'

export interface ChainerConfig extends NamedLine {
  readonly kind: ChainerKind
  readonly protocol: 'auto' | 'tcp' | 'udp'
  readonly framing: 'none' | 'dns'
  /** One try; null = connect_timeout. */
  readonly timeoutConnect: DurationMs | null
  /** failover, round_robin: how long a target that failed is passed over. */
  readonly timeoutState: DurationMs
  /** availability. */
  readonly checks: readonly CheckConfig[]
  readonly checkInterval: DurationMs
  readonly checkTimeout: DurationMs
  /** side_stack: the proxy on the server's side, and how it goes on; null for other kinds. */
  readonly rightProxy: ProxyKind | null
  readonly rightChainer: string
}

/** How a target is looked after. */
export type CheckConfig =
  | { readonly kind: 'tcp' }
  | { readonly kind: 'http'; readonly path: string }
  | { readonly kind: 'program'; readonly path: string }

export type ProxyKind = 'http' | 'plug' | 'deny'

/** forward: the kernel, where it can be told; else a plug in the client's name. */
export type ServiceKind = ProxyKind | 'forward'

/** reset: RST; close: FIN; the others are the kernel's, by the rules made for the conf. */
export type DenyKind = 'reset' | 'close' | KernelDenyKind
export type KernelDenyKind = 'drop' | 'tcp_reset' | 'net_unreachable' | 'host_unreachable' | 'port_unreachable' | 'admin_prohibited'

export interface ServiceConfig extends NamedLine {
  readonly proxy: ServiceKind
  readonly router: string
  readonly chainer: string
  /** Names of NAT policies; null = none. */
  readonly snat: string | null
  readonly dnat: string | null
  /** Servers must be in one of these zones, or below it; empty = anywhere. */
  readonly limitTargetZones: readonly string[]
  /** Sessions at once; 0 = no limit. */
  readonly sessionsMax: number
  readonly sessionsPerClientMax: number
  readonly sessionsPerZoneMax: number
  readonly keepalive: 'none' | 'client' | 'server' | 'both'
  /** deny. */
  readonly denyKind: DenyKind
  /** plug: nothing moved for so long. Infinity = for ever. */
  readonly idleTimeout: DurationMs
  /** plug: what its bytes go through; null = nothing. */
  readonly stack: string | null
  /** plug: bytes of one direction only. */
  readonly oneWay: 'no' | 'to_server' | 'to_client'
  /** plug: bytes per second each way, of a session, of a client address, of the client's zone; null = no limit. */
  readonly bandwidth: number | null
  readonly bandwidthPerClient: number | null
  readonly bandwidthPerZone: number | null
  /** plug: how often a running session tells its bytes; Infinity = never. */
  readonly statsInterval: DurationMs
  /** plug: connections one session takes beside its first; 0 = none. */
  readonly secondarySessions: number
  /** plug: what these must have in common with it. 1 source address, 2 source port, 4 destination address, 8 its port. */
  readonly secondaryMask: number
}

export interface StackConfig extends NamedLine {
  readonly proxy: ProxyKind | null
  /** For /bin/sh; null where a proxy is stacked. */
  readonly program: string | null
  /** program: whose bytes go through it. */
  readonly direction: 'both' | 'to_server' | 'to_client'
  /** How long a program may be silent, until its first byte and later. */
  readonly timeout: DurationMs
}

/** What `listener` and `receiver` have in common. */
export interface TakingConfig extends NamedLine {
  readonly bind: BindConfig
  /** How connections come: by a TPROXY rule, a REDIRECT or DNAT rule, or to the port itself. */
  readonly taken: 'tproxy' | 'intercept' | 'direct'
  /** null: the rules say. */
  readonly service: string | null
  /** Zorp's: lower is asked first. */
  readonly priority: number
}

export interface ListenerConfig extends TakingConfig {
  readonly backlog: number
}

export interface ReceiverConfig extends TakingConfig {
  /** A flow is quiet for so long; null: what its port says. */
  readonly idleTimeout: DurationMs | null
  /** Flows at once, in all and per client address. */
  readonly flowsMax: number
  readonly flowsPerClientMax: number
  /** Of the kernel's queue. */
  readonly bufferBytes: Bytes
}

// --- rules ---

/** Networks, addresses and `host:NAME`s, compiled by the acl room. */
export interface ZoneConfig extends NamedLine {
  readonly parent: string | null
  readonly umbrella: boolean
  /** Services, or '*'; null = not said. */
  readonly inbound: readonly string[] | null
  readonly outbound: readonly string[] | null
  readonly addresses: readonly Pick<AclValue, 'text' | 'at'>[]
}

/** Values of a kind are alternatives; an empty list says nothing. */
export interface RuleConfig {
  /** null = the next free number. */
  readonly id: number | null
  readonly proto: readonly ('tcp' | 'udp')[]
  readonly src: readonly Pick<AclValue, 'text' | 'at'>[]
  readonly dst: RuleConfig['src']
  readonly srcZone: RuleConfig['src']
  readonly dstZone: RuleConfig['src']
  readonly srcIface: RuleConfig['src']
  readonly srcGroup: RuleConfig['src']
  readonly dstIface: RuleConfig['src']
  readonly dstGroup: RuleConfig['src']
  readonly srcPort: RuleConfig['src']
  readonly dstPort: RuleConfig['src']
  readonly acl: readonly AclUse[]
  /** In the order to try. */
  readonly detect: readonly { readonly detector: string; readonly service: string }[]
  readonly service: string
  readonly uses: readonly NameUse[]
  readonly text: string
  readonly at: Location
}

export interface DetectorConfig extends NamedLine {
  readonly kind: 'http' | 'ssh' | 'tls'
  /** tls: lower case; `.x` is x and all below it; empty = any name, or none. */
  readonly sni: readonly string[]
  readonly timeout: DurationMs
}

export type NatPolicyKind =
  | 'general' | 'static' | 'one_to_one' | 'one_to_one_multi' | 'random' | 'hash' | 'nat64' | 'nat46' | 'forge_client'

/** Compiled by the chainer room. */
export interface NatPolicyConfig extends NamedLine {
  readonly kind: NatPolicyKind
  readonly words: readonly Pick<AclValue, 'text' | 'at'>[]
  /** null = not said. */
  readonly cache: boolean | null
  readonly otherwise: 'reject' | 'accept' | null
}

// --- access control ---

export interface AclValue {
  readonly text: string
  readonly at: Location
  /** `-i` was in force (regex types). */
  readonly caseInsensitive: boolean
}

/** What is left of a list file. */
export interface ForgottenList {
  readonly file: string
  readonly caseInsensitive: boolean
  readonly count: number
  /** Another one says that the values are others. */
  readonly digest: string
}

/** One ACL with the values of all its lines, in order. Values are words; what they mean is the acl room's business. */
export interface AclDefinition {
  /** As first written; every use of it in the Config carries this spelling. */
  readonly name: string
  /** Today's name of the type (`myip` reads as `localip`). */
  readonly type: string
  /** `-n`, `-m`, `-m=,`, `--client-requested` ...; `-i` is per value. */
  readonly flags: readonly string[]
  /** Types with a first word of their own: the field name of req_header, the class of external ...; else null. */
  readonly argument: AclValue | null
  readonly values: readonly AclValue[]
  /** Lists that were let go once compiled (`forgetLists`): `values` is without theirs, and must not be compiled again. */
  readonly forgotten?: readonly ForgottenList[]
  /** Made by us before the file is read (all, localhost ...). */
  readonly builtIn: boolean
  /** The first line, or where a built-in one was first added to. */
  readonly at: Location
}

export interface AclUse {
  readonly name: string
  readonly negated: boolean
}

/** `allow|deny acl ...`: all ACLs must match, tested left to right. Never without an ACL. */
export interface AccessLine {
  readonly action: 'allow' | 'deny'
  readonly acls: readonly AclUse[]
  readonly text: string
  readonly at: Location
}

/** `VALUE acl ...`: first line whose ACLs all match gives the value. No ACL = always. */
export interface ValueLine<T> {
  readonly value: T
  readonly acls: readonly AclUse[]
  readonly text: string
  readonly at: Location
}

/** A line of rewrite. */
export interface RewriteLine {
  /** Null: its ACLs alone say for which requests. */
  readonly regex: { readonly text: string; readonly caseInsensitive: boolean } | null
  readonly target: string
  readonly acls: readonly AclUse[]
  readonly text: string
  readonly at: Location
}

/** qos_flows. Null = nothing is said of it. */
export interface FlowsLine {
  readonly kind: 'tos' | 'mark'
  readonly flows: {
    readonly localHit: number | null
    readonly siblingHit: number | null
    readonly parentHit: number | null
    readonly miss: number | null
  }
  readonly text: string
  readonly at: Location
}

/** What becomes of a TLS connection; none, client-first and server-first are of Squid 3.3. */
export type BumpAction = 'splice' | 'peek' | 'stare' | 'bump' | 'terminate' | 'client-first' | 'server-first' | 'none'

export interface BumpLine {
  readonly action: BumpAction
  /** It was written as allow or deny. */
  readonly old: boolean
  readonly acls: readonly AclUse[]
  readonly text: string
  readonly at: Location
}

/** tcp_outgoing_address (canonical address), tcp_outgoing_mark and tcp_outgoing_tos (numbers). */
export type OutgoingLine<T> = ValueLine<T>

// --- cache ---

export interface RefreshPattern {
  /** POSIX extended regex as written. */
  readonly regex: string
  readonly caseInsensitive: boolean
  readonly min: Seconds
  /** 20 = 20 %; may exceed 100. */
  readonly percent: number
  readonly max: Seconds
  readonly options: RefreshOptions
  readonly text: string
  readonly at: Location
}

export interface RefreshOptions {
  readonly overrideExpire: boolean
  readonly overrideLastmod: boolean
  readonly reloadIntoIms: boolean
  readonly ignoreReload: boolean
  readonly ignoreNoStore: boolean
  readonly ignorePrivate: boolean
  readonly refreshIms: boolean
  readonly storeStale: boolean
  readonly ignoreStaleWhileRevalidate: boolean
  /** null = not said here (max_stale, the response, negative_ttl decide). */
  readonly maxStale: Seconds | null
  readonly staleWhileRevalidate: Seconds | null
  readonly negativeTtl: Seconds | null
}

/** A folder of stored responses. */
export interface CacheDir {
  /** As written. */
  readonly folder: string
  readonly bytesMax: Bytes
  readonly objectBytesMin: Bytes
  /** null = maximum_object_size. */
  readonly objectBytesMax: Bytes | null
  /** What is there is used, nothing new is put there. */
  readonly readOnly: boolean
  readonly text: string
  readonly at: Location
}

// --- logs ---

export type LogModule = 'stdio' | 'daemon' | 'syslog' | 'udp' | 'tcp' | 'none'

export interface AccessLogLine {
  readonly module: LogModule
  /** Path, `facility.priority` or `host:port`; '' for none. */
  readonly place: string
  /** syslog: facility * 8 + priority (RFC 5424 6.2.1); null for the others. */
  readonly level: number | null
  /** Name of a built-in format or of a `logformat` line. */
  readonly format: string
  readonly acls: readonly AclUse[]
  readonly bufferSize: Bytes
  readonly onError: 'die' | 'drop'
  /** Old files kept by a rotation; null = logfile_rotate. */
  readonly rotate: number | null
  readonly text: string
  readonly at: Location
}

export interface LogFormat {
  readonly name: string
  /** As written; compiled by the log room. */
  readonly text: string
  readonly at: Location
}

export interface DebugOptions {
  /** In order; a later one wins. */
  readonly levels: readonly { readonly section: number | 'ALL'; readonly level: number }[]
  /** Old cache.log files kept; null = logfile_rotate. */
  readonly rotate: number | null
}

/** A line of store_id_rule, but for its ACLs. */
export interface StoreIdRule {
  /** POSIX, uncompiled. */
  readonly regex: string
  readonly caseInsensitive: boolean
  /** With $0 to $9. */
  readonly replacement: string
}

/** A line of cachemgr_passwd. */
export interface ManagerPassword {
  /** Also `none` and `disable`. */
  readonly password: string
  /** Lower case. */
  readonly actions: readonly string[]
  readonly text: string
  readonly at: Location
}

export type ForwardedFor = 'on' | 'off' | 'transparent' | 'delete' | 'truncate'

// --- programs ---

/** How many processes of a helper there are. */
export interface HelperChildrenConfig {
  readonly max: number
  readonly startup: number
  readonly idle: number
  /** 0 = one question at a time, without a number. */
  readonly concurrency: number
  /** Null: twice as many as there are children, or places of them. */
  readonly queueMax: number | null
}

/** A line of external_acl_type. */
export interface ExternalAclType {
  readonly name: string
  /** Words that begin with %. */
  readonly format: readonly string[]
  readonly command: readonly string[]
  readonly ttl: Seconds
  readonly negativeTtl: Seconds
  /** Percent of the ttl. */
  readonly grace: number
  /** Answers kept. */
  readonly cacheMax: number
  readonly children: HelperChildrenConfig
  readonly text: string
  readonly at: Location
}

/** What all auth_param lines of a scheme say together. */
export interface AuthScheme {
  readonly scheme: 'basic' | 'digest' | 'ntlm' | 'negotiate'
  /** Empty: the scheme is not offered. */
  readonly command: readonly string[]
  readonly realm: string
  readonly children: HelperChildrenConfig
  readonly keyExtras: string
  readonly utf8: boolean
  /** ntlm and negotiate. */
  readonly keepAlive: boolean
  // basic
  readonly credentialsTtl: Seconds
  readonly caseSensitive: boolean
  // digest
  readonly nonceGarbageInterval: Seconds
  readonly nonceMaxDuration: Seconds
  readonly nonceMaxCount: number
  readonly nonceStrictness: boolean
  readonly checkNonceCount: boolean
  readonly postWorkaround: boolean
  readonly at: Location
}

export interface RewriteTimeout {
  readonly timeout: DurationMs
  readonly onTimeout: 'bypass' | 'fail' | 'retry' | 'use_configured_response'
  /** Read as the program's answer. */
  readonly response: string
}

/** A line of a directive that is read but has no effect yet. */
export interface KeptLine {
  readonly text: string
  readonly at: Location
}

/** Everything a conf says: the value of every directive of the table, by its name. */
export type Config = {
  readonly [N in DirectiveName]: (typeof directives)[N]['kind']['initial']
} & {
  /** The directives that stood in the file, and the last line of each: a default path that fails is no error, a written one is. */
  readonly given: ReadonlyMap<DirectiveName, Location>
  /** Every file read, included ones and lists of ACL values, for watching. */
  readonly files: readonly string[]
}

// --- what was found ---

/**
 * fatal    Squid would not start with this either
 * error    Squid would go on, glassquid refuses to: going on would change what the file means
 * warning  read, but not as somebody may expect
 * note     read as meant; could be written better
 */
export type Severity = 'fatal' | 'error' | 'warning' | 'note'

export interface Diagnostic {
  readonly severity: Severity
  readonly at: Location
  readonly message: string
  /** What to write instead, or ''. */
  readonly hint: string
}
