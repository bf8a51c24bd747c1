import { hostname } from 'node:os'
import { groupNumber, readGroupNames } from '../../comm/index.ts'
import {
  type AclTable, type AccessList, type Condition, compileAccessList, compileAcls, compileCondition, compilePosixRegex,
  compileReplacing, compileZones, type PendingHost, type ZoneHost, type ZoneTable,
} from '../acl/index.ts'
import { type Bytes, type DurationMs, ms, secondsToMs } from '../base/index.ts'
import { type CachePolicy, RefreshPatterns, type RefreshLine } from '../cache/index.ts'
import { type CompiledNat, compileNat } from '../chainer/index.ts'
import type { AccessLine, AclUse, Config, Diagnostic, Location, OutgoingLine } from '../conf/index.ts'
import { compileRules, type RuleSet } from '../dispatch/index.ts'
import { type BlanksInTarget, cacheStatusText, type HeadLimits, viaText } from '../http/index.ts'
import { BumpRules, type CertificateSigning, type Guarded, type HttpPolicy, type StoreIdRule, xCacheLines } from '../proxy/index.ts'
import { adaptationNames, compileAdaptation } from './adaptation.ts'
import { compileDelayPools } from './delay-pools.ts'
import { denyInfoOf } from './deny-info.ts'
import { errorPagesOf } from './error-pages.ts'
import { fieldRules } from './field-rules.ts'
import { challengesOf, type Users, usersOf } from './authentication.ts'
import { externalAclsOf } from './external-acls.ts'
import { notesOf } from './notes.ts'
import { type PortIdentities, portIdentities } from './port-identities.ts'
import { compileIcp, type IcpPolicy } from './icp.ts'
import { compilePeers } from './peers.ts'
import { packetsOf } from './packets.ts'
import { Programs } from './programs.ts'
import { identifierOf, rewriterOf } from './rewriters.ts'
import { certificateSigningOf, outgoingTlsOf } from './tls-outgoing.ts'
import { version } from './version.ts'

// From the conf's values to what the http proxy asks at each request. Nothing here is kept: a reload makes a new one.

export interface CompiledPolicy {
  readonly http: HttpPolicy
  /** For the conditions of access_log lines. */
  readonly acls: AclTable
  readonly icp: IcpPolicy
  readonly conditionOf: (uses: readonly AclUse[], at: Location) => Condition
  readonly pendingHosts: readonly PendingHost[]
  /** Started by whoever runs the conf. */
  readonly programs: Programs
  /** Null: nobody is asked who he is. */
  readonly users: Users | null
  readonly zones: ZoneTable
  /** Host names in zones, to be followed. */
  readonly zoneHosts: readonly ZoneHost[]
  readonly nat: CompiledNat
  readonly rules: RuleSet
  /** How certificates for clients are made. */
  readonly signing: CertificateSigning
  /** Of ports that speak TLS. */
  readonly identities: PortIdentities
  /** A fatal or error among them: do not use the rest. */
  readonly problems: readonly Diagnostic[]
}

/** Fields of one head; more is an attack, and each costs the same again behind the wall. */
const fieldsMax = 200

export const compilePolicy = (config: Config): CompiledPolicy => {
  const zones = compileZones(config.zone)
  const problems: Diagnostic[] = []
  const programs = new Programs()
  const users = usersOf(config, programs, problems)
  const externals = externalAclsOf(config, programs, problems)
  const { acls } = compileAcls(config.acl, { zones: zones.table, users, externals: externals.types, adaptations: adaptationNames(config) })
  const nat = compileNat(config.nat_policy)
  const rules = compileRules(config.rule, {
    zones: zones.table,
    conditionOf: (uses, at) => compileCondition(uses, acls, at),
    groupNumber: name => groupNumber(name, readGroupNames()),
  })
  const list = (lines: readonly AccessLine[], otherwise: 'allow' | 'deny'): AccessList =>
    compileAccessList(lines, acls, otherwise)
  if (users !== null && config.authenticate_ip_shortcircuit_access.length > 0) users.acls = list(config.authenticate_ip_shortcircuit_access, 'allow')
  /** Null: it lets everybody, so nobody need be asked. */
  const gate = (lines: readonly AccessLine[]): AccessList | null => {
    const compiled = list(lines, 'allow')
    return compiled.constant?.allowed === true ? null : compiled
  }
  const guarded = <T, V>(lines: readonly OutgoingLine<T>[], value: (v: T) => V): Guarded<V>[] =>
    lines.map(line => ({ value: value(line.value), when: compileCondition(line.acls, acls, line.at) }))
  const name = config.visible_hostname ?? hostname()
  const shownVersion = config.httpd_suppress_version_string ? '' : version
  const viaComment = shownVersion === '' ? 'glassquid' : `glassquid/${shownVersion}`
  const xCache = config.x_cache ? { from: `from ${name}`, at: `from ${name}:${config.http_port[0]?.port ?? 0}` } : null
  const cache = cachePolicy(config, problems)
  const { uri_whitespace: whitespace } = config
  const blanks = whitespace === 'deny' ? undefined : whitespace === 'allow' ? 'encode' : whitespace
  const surrogate = { id: config.httpd_accel_surrogate_id || name, remote: config.http_accel_surrogate_remote }
  const errorPages = errorPagesOf(config, problems)
  const reply = gate(config.http_reply_access)
  const identities = portIdentities(config, problems)
  const http: HttpPolicy = {
    hostname: name,
    version: shownVersion,
    administrator: config.cache_mgr,
    ownNames: config.unique_hostname === null ? [name] : [name, config.unique_hostname],
    pageHosts: ['localhost', name, config.unique_hostname ?? name, ...config.hostname_aliases].map(host => host.toLowerCase()),
    notes: notesOf(config, acls, problems),
    managerNamed: config.http_access.some(line => line.acls.some(use => use.name.toLowerCase() === 'manager')),
    purgeNamed: namesMethod(config, 'PURGE'),
    via: config.via,
    viaComment,
    responseViaLine: config.via ? `Via: ${viaText(1, name, viaComment)}\r\n` : '',
    cacheName: name,
    xCache,
    hitStatusStart: `${xCacheLines({ xCache }, 'HIT', 'HIT')}Cache-Status: ${cacheStatusText(name, { hit: true })}; ttl=`,
    forwardedFor: config.forwarded_for,
    access: {
      http: list(config.http_access, 'deny'),
      adapted: gate(config.adapted_http_access),
      cache: list(config.cache, 'allow'),
      spoofClientIp: list(config.spoof_client_ip, 'allow'),
      miss: gate(config.miss_access),
      reply,
      continueBody: config.force_request_body_continuation.length === 0 ? null : list(config.force_request_body_continuation, 'deny'),
      introducing: list(config.proxy_protocol_access, 'deny'),
      followForwarded: config.follow_x_forwarded_for.length === 0 ? null : list(config.follow_x_forwarded_for, 'deny'),
      collapsedForwarding: gate(config.collapsed_forwarding_access),
      sendHit: gate(config.send_hit),
      storeMiss: gate(config.store_miss),
      brokenPosts: config.broken_posts.length === 0 ? null : list(config.broken_posts, 'deny'),
      keptForUnrepeatable: config.given.has('server_pconn_for_nonretriable') ? list(config.server_pconn_for_nonretriable, 'deny') : null,
    },
    aclsByIndirectClient: config.acl_uses_indirect_client,
    logByIndirectClient: config.log_uses_indirect_client,
    indirectClient: { delay: config.delay_pool_uses_indirect_client, adaptation: config.adaptation_uses_indirect_client, tproxy: config.tproxy_uses_indirect_client },
    users: challengesOf(users, config, acls, externals.needUser),
    errorPages,
    tellsMissingLanguages: config.error_log_languages,
    denyInfo: denyInfoOf(config, acls, errorPages, problems),
    judgesResponses: reply !== null || config.reply_body_max_size.length > 0,
    replySizes: config.reply_body_max_size.map(line => ({ value: line.value, when: compileCondition(line.acls, acls, line.at) })),
    requestFields: fieldRules(config, 'request', acls, problems),
    responseFields: fieldRules(config, 'reply', acls, problems),
    outgoing: {
      addresses: guarded(config.tcp_outgoing_address, address => ({ family: familyOf(address), address })),
      marks: guarded(config.tcp_outgoing_mark, mark => mark),
      tos: guarded(config.tcp_outgoing_tos, tos => tos),
    },
    hostRules: hostRules(config),
    peers: compilePeers(config, acls, problems),
    forwarding: { triesMax: config.forward_max_tries, timeout: config.forward_timeout },
    packets: packetsOf(config, acls),
    tellsHardware: config.eui_lookup && [...config.logformat.map(({ text }) => text), ...config.external_acl_type.flatMap(({ format }) => format)].some(text => /eui/i.test(text)),
    serverTls: outgoingTlsOf(config, acls, programs, problems),
    hostVerifyStrict: config.host_verify_strict,
    clientDstPassthru: config.client_dst_passthru,
    halfClosedClients: config.half_closed_clients,
    clientPersistent: config.client_persistent_connections,
    tellsRefusedHeads: config.relaxed_header_parser === 'warn',
    persistentAfterError: config.persistent_connection_after_error,
    retryOnError: config.retry_on_error,
    upgrades: upgradesOf(config, list),
    limits: {
      forwardHead: { ...headLimits(config.request_header_max_size, true, blanks), takesUser: true },
      interceptedHead: headLimits(config.request_header_max_size, false, blanks),
      responseHead: headLimits(config.reply_header_max_size, false),
      requestContentMax: config.request_body_max_size,
      requestDelayed: config.request_body_delay_forward_size,
      requestBufferMax: config.client_request_buffer_max_size,
    },
    timeouts: {
      requestStart: config.request_start_timeout,
      request: config.request_timeout,
      idle: config.client_idle_pconn_timeout,
      read: config.read_timeout,
      write: config.write_timeout,
      lifetime: ms(Math.min(config.client_lifetime, config.pconn_lifetime)),
    },
    rewriter: rewriterOf(config, programs, acls, list, problems),
    identifier: identifierOf(config, programs, list, problems),
    storeIds: storeIds(config, acls, problems),
    cache,
    missConditions: config.cache_miss_revalidate,
    acceleratedCache: { ...cache, isCdn: config.cdn_cache_control, surrogate },
    quickAbort: { min: config.quick_abort_min, max: config.quick_abort_max, percent: config.quick_abort_pct },
    readAheadBytesMax: config.read_ahead_gap,
    rangeOffsets: config.range_offset_limit.map(line => ({
      value: line.value, when: compileCondition(line.acls, acls, line.at),
    })),
    bump: config.ssl_bump.length === 0 ? null : new BumpRules(config.ssl_bump, acls),
    unsupported: config.on_unsupported_protocol.map(line => ({ value: line.value, when: compileCondition(line.acls, acls, line.at) })),
    delay: compileDelayPools(config, acls, problems),
    adaptation: compileAdaptation(config, acls, problems),
  }
  return {
    http,
    acls,
    icp: compileIcp(config, acls),
    conditionOf: (uses, at) => compileCondition(uses, acls, at),
    pendingHosts: acls.pendingHosts,
    programs,
    users,
    zones: zones.table,
    zoneHosts: zones.hosts,
    nat,
    rules: rules.set,
    signing: certificateSigningOf(config, acls),
    identities,
    problems: [...zones.problems, ...acls.problems, ...nat.problems, ...rules.problems, ...problems],
  }
}

const hostRules = (config: Config): HttpPolicy['hostRules'] =>
  config.append_domain === '' && !config.check_hostnames
    ? null
    : { domain: config.append_domain.toLowerCase(), checked: config.check_hostnames, underscore: config.allow_underscore }

/** Null: there is no line, and what has always been offered is. */
const upgradesOf = (config: Config, list: (lines: readonly AccessLine[], otherwise: 'allow' | 'deny') => AccessList): HttpPolicy['upgrades'] => {
  const lines = Map.groupBy(config.http_upgrade_request_protocols, line => line.subject)
  if (lines.size === 0) return null
  const named = new Map(Array.from(lines, ([name, own]) => [name, list(own, 'deny')]))
  return { named, other: named.get('OTHER') ?? null }
}

/** A line of http_access has an ACL of type method with that word, itself or in a group. */
const namesMethod = (config: Config, method: string): boolean => {
  const naming = new Set<string>()
  for (const acl of config.acl) {
    const name = acl.name.toLowerCase()
    if (acl.type === 'method' && acl.values.some(value => value.text.toUpperCase() === method)) naming.add(name)
    const isGroup = acl.type === 'any-of' || acl.type === 'all-of'
    if (isGroup && acl.values.some(value => naming.has(value.text.replace('!', '').toLowerCase()))) naming.add(name)
  }
  return config.http_access.some(line => line.acls.some(use => naming.has(use.name.toLowerCase())))
}

const storeIds = (config: Config, acls: AclTable, problems: Diagnostic[]): Guarded<StoreIdRule>[] => {
  const rules: Guarded<StoreIdRule>[] = []
  for (const { value, acls: uses, text, at } of config.store_id_rule) {
    const compiled = compileReplacing(value.regex, value.caseInsensitive, value.replacement)
    if (compiled.ok) {
      rules.push({ value: { idOf: compiled.replaced, text: `${at.file}:${at.line}: ${text}` }, when: compileCondition(uses, acls, at) })
    } else problems.push({ severity: 'fatal', at, message: `store_id_rule: ${compiled.message}`, hint: compiled.hint })
  }
  return rules
}

const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4)

const headLimits = (headBytesMax: Bytes, hostRequired: boolean, blanksInTarget?: BlanksInTarget): HeadLimits => ({
  lineBytesMax: headBytesMax,
  headBytesMax,
  fieldsMax,
  hostRequired,
  blanksInTarget,
})

const cachePolicy = (config: Config, problems: Diagnostic[]): CachePolicy => {
  const lines: RefreshLine[] = []
  for (const pattern of config.refresh_pattern) {
    const compiled = compilePosixRegex(pattern.regex, pattern.caseInsensitive)
    if (!compiled.ok) {
      problems.push({ severity: 'fatal', at: pattern.at, message: `refresh_pattern: ${compiled.message}`, hint: compiled.hint })
      continue
    }
    const { min, percent, max, options, text, at } = pattern
    lines.push({ regex: { test: uri => compiled.matches(uri) }, min, percent, max, options, text: `${at.file}:${at.line}: ${text}` })
  }
  return {
    refresh: new RefreshPatterns(lines),
    maxStale: secondsToMs(config.max_stale) as DurationMs,
    reloadIntoIms: config.reload_into_ims,
    refreshAllIms: config.refresh_all_ims,
    setCookie: config.cache_set_cookie,
    negativeTtl: secondsToMs(config.negative_ttl) as DurationMs,
    offline: config.offline_mode,
    tags: config.cache_tags,
    minimumExpiry: secondsToMs(config.minimum_expiry_time) as DurationMs,
    varyIgnoreExpire: config.vary_ignore_expire,
    surrogate: null,
    isCdn: false,
  }
}
