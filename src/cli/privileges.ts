import { chownSync, closeSync, fchownSync, constants, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { constants as systemConstants } from 'node:os'
import { findGroup, findUser, native } from '../../native/index.ts'
import { errnoOf } from '../base/index.ts'
import { type Config, portsOf } from '../conf/index.ts'

// Who the proxy is. Started as root it becomes cache_effective_user before it opens a log, a cache or a port, and keeps
// only the capabilities the conf needs. Started by systemd as a user, or by anybody, it is who it is; what then does not
// work is said.

const bits = { CAP_NET_BIND_SERVICE: 10, CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 } as const

export type Capability = keyof typeof bits

/** In the order they are said in, each with the words of the conf that need it. */
export const capabilitiesFor = (config: Config): ReadonlyMap<Capability, string> => {
  const needed = new Map<Capability, string>()
  const transparent =
    portsOf(config).some(({ mode, introduced }) => mode === 'tproxy' && !introduced) ? 'tproxy ports'
    : [...config.listener, ...config.receiver].some(({ taken }) => taken === 'tproxy') ? 'tproxy listeners'
    : config.router.some(({ forgeAddr }) => forgeAddr) ? 'forge_addr'
    : config.service.some(({ snat }) => snat !== null) ? 'snat'
    : config.service.some(({ proxy }) => proxy === 'forward') ? 'forward'
    : null
  if (transparent !== null) needed.set('CAP_NET_RAW', transparent)
  const low = [...portsOf(config).map(({ port }) => port), ...[...config.listener, ...config.receiver].map(({ bind }) => bind.first)]
    .filter(port => port > 0 && port < 1024)
  if (low.length > 0) needed.set('CAP_NET_BIND_SERVICE', `port ${low[0] ?? 0}`)
  // with a client's address goes, where it is asked for, its port
  else if (transparent !== null) needed.set('CAP_NET_BIND_SERVICE', 'forged ports below 1024')
  const marks =
    config.tcp_outgoing_mark.length > 0 ? 'tcp_outgoing_mark'
    : config.mark_client_packet.length > 0 ? 'mark_client_packet'
    : config.mark_client_connection.length > 0 ? 'mark_client_connection'
    : config.qos_flows.some(({ kind }) => kind === 'mark') ? 'qos_flows mark'
    : config.acl.some(({ type }) => type === 'client_connection_mark') ? 'client_connection_mark ACLs'
    : null
  if (marks !== null) needed.set('CAP_NET_ADMIN', marks)
  if (config.related_connections.form === 'nft_sets') needed.set('CAP_NET_ADMIN', 'related_connections nft_sets')
  return needed
}

/** Capabilities the process has now, as bits. 0 where it cannot be told. */
const present = (): number => {
  try {
    const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'
    return Number(BigInt(`0x${hex}`) & 0xffff_ffffn)
  } catch {
    return 0
  }
}

export type Became =
  | {
      readonly ok: true
      /** For cache.log. */
      readonly remarks: readonly string[]
    }
  | { readonly ok: false; readonly reason: string }

/** The one who is meant; null: nobody else, or this process is not root. */
export const userMeant = (config: Config): { readonly user: string; readonly uid: number; readonly gid: number } | string | null => {
  const { cache_effective_user: user, cache_effective_group: group } = config
  if (process.geteuid?.() !== 0 || user === null) return null
  if (!native.present) return `cache_effective_user ${user}: that needs the addon (${native.why})`
  const found = findUser(native.addon, user)
  if (found === null) return `cache_effective_user: there is no user '${user}'`
  if (found.uid === 0) return null
  const gid = group === null ? found.gid : findGroup(native.addon, group)
  if (gid === null) return `cache_effective_group: there is no group '${group ?? ''}'`
  return { user, uid: found.uid, gid }
}

/** Once, before anything is opened that must be that user's. */
export const becomeUser = (config: Config): Became => {
  if (native.present) raiseLimits(config)
  const meant = userMeant(config)
  if (typeof meant === 'string') return { ok: false, reason: meant }
  if (meant === null || !native.present) return { ok: true, remarks: remarksOf(config) }
  const needed = [...capabilitiesFor(config).keys()]
  const mask = needed.reduce((sum, name) => sum | (1 << bits[name]), 0)
  for (const folder of config.cache_dir) giveFolder(folder.folder, meant)
  for (const path of logPaths(config)) giveFile(path, meant)
  const failed = native.addon.become(meant.user, meant.uid, meant.gid, config.cache_effective_group === null ? 1 : 0, mask & present())
  if (failed !== 0) return { ok: false, reason: `cannot become user ${meant.user} (${errnoName(-failed)})` }
  if (!startsPrograms(config)) native.addon.noNewPrivileges()
  const keeps = needed.length === 0 ? 'no capability' : needed.join(', ')
  return { ok: true, remarks: [`running as ${meant.user} (${meant.uid}:${meant.gid}) with ${keeps}`, ...remarksOf(config)] }
}

/** Programs it starts from here on get no capability of ours. The supervisor's workers still do. */
export const keepCapabilitiesToMyself = (): void => {
  if (native.present) native.addon.clearAmbient()
}

/** What the conf wants and this process may not, and how it could. */
const remarksOf = (config: Config): readonly string[] => {
  const has = present()
  const missing = [...capabilitiesFor(config)].filter(([name]) => (has >>> bits[name] & 1) === 0)
  const remarks = missing
    .filter(([name, why]) => !(name === 'CAP_NET_BIND_SERVICE' && (/^forged/.test(why) || lowestFreePort() <= Number(why.slice(5)))))
    .map(([name, why]) => `WARNING: running without ${name}, which ${why} need${/^port/.test(why) ? 's' : ''}: start it as root with cache_effective_user, or with AmbientCapabilities=${name} under systemd`)
  if (process.geteuid?.() === 0 && config.cache_effective_user === null && !inNamespace()) {
    remarks.push('WARNING: running as root: name a user with cache_effective_user')
  }
  return remarks
}

/** Root of a user namespace is nobody outside. */
const inNamespace = (): boolean => {
  try {
    return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'))
  } catch {
    return false
  }
}

const lowestFreePort = (): number => {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'latin1'))
  } catch {
    return 1024
  }
}

/** While it is root: more than the hard limit, and cores. Without, as far as it may. */
const raiseLimits = (config: Config): void => {
  if (!native.present) return
  if (config.max_filedescriptors > native.addon.descriptorLimit()) native.addon.setLimit(0, config.max_filedescriptors)
  if (config.coredump_dir !== null) native.addon.setLimit(1, -1)
}

/** Programs of the conf may need what their file gives them (a PAM helper is often set-user-ID). */
const startsPrograms = (config: Config): boolean =>
  config.stack.some(({ program }) => program !== null) || programDirectives.some(name => isSet(Reflect.get(config, name)))

/** As far as the conf knows them. */
const programDirectives = ['auth_param', 'external_acl_type', 'store_id_program', 'url_rewrite_program']

const isSet = (value: unknown): boolean =>
  Array.isArray(value) || typeof value === 'string' ? value.length > 0 : value !== undefined && value !== null && value !== false

const logPaths = (config: Config): readonly string[] =>
  [config.cache_log, config.session_log, config.cache_store_log, ...[...config.access_log, ...config.icap_log].map(({ module, place }) => (module === 'stdio' || module === 'daemon' ? place : null))]
    .filter(path => path !== null)
    .map(path => path.replace(/^stdio:/, ''))
    .filter(path => path.startsWith('/') && !path.startsWith('/dev/'))

interface Ids {
  readonly uid: number
  readonly gid: number
}

/**
 * Made for the user where he cannot make it himself, and never where somebody else could have put a link in the way: only
 * in a folder of root's, and only what is not there yet.
 */
const giveFile = (path: string, { uid, gid }: Ids): void => {
  if (!isRoots(dirname(path))) return
  try {
    const fd = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o640)
    fchownSync(fd, uid, gid)
    closeSync(fd)
  } catch (error) {
    if (errnoOf(error) === '') throw error // otherwise the log itself says what is wrong
  }
}

const giveFolder = (path: string, { uid, gid }: Ids): void => {
  if (!isRoots(dirname(path))) return
  try {
    mkdirSync(path, 0o750)
    chownSync(path, uid, gid)
  } catch (error) {
    if (errnoOf(error) === '') throw error
  }
}

const isRoots = (folder: string): boolean => {
  try {
    const { uid, mode } = statSync(folder)
    return uid === 0 && (mode & 0o022) === 0
  } catch {
    return false
  }
}

const errnoName = (errno: number): string => {
  const names = Object.entries(systemConstants.errno)
  return names.find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`
}
