import { existsSync } from 'node:fs'
import { groupNumber, readGroupNames } from '../../comm/index.ts'
import { prepareFolder } from '../cache/index.ts'
import { systemClock } from '../base/index.ts'
import { type Config, type Diagnostic, diagnosticText, exitCodeOf, inReadingOrder, portsOf, type TakingConfig } from '../conf/index.ts'
import {
  doRules,
  type ListeningPort,
  parsePorts,
  planRules,
  planUndo,
  type Transport,
  ruleDefaults,
  type RuleOptions,
  type RulePlan,
  ruleText,
  type TakeWish,
} from '../intercept/index.ts'
import { type Control, controlSignals } from './arguments.ts'
import type { Common } from './command/command.ts'
import type { RulesWish } from './command/rules.ts'
import { type LoadedConf, loadConf, readConf, tellOnStderr } from './load-conf.ts'
import { findRunning } from './pid-file.ts'
import { portsWithoutAddress } from './port-hosts.ts'
import { becomeUser } from './privileges.ts'
import { resolverOf } from './resolver-of.ts'
import { unresolvedNames } from './unresolved-names.ts'
import { decisionsOf } from './kernel-decisions.ts'

// The commands that end by themselves. Each answers its exit code.

/** `-k parse`: remarks on standard error, as Squid has them; 0 or 1. */
export const checkConf = async (common: Common): Promise<number> => {
  const loaded = loadConf({ ...common, places: true }, tellOnStderr)
  if (loaded === null) return 1
  const names = await namesMissing(loaded)
  for (const one of names) tellOnStderr(diagnosticText(one))
  if (exitCodeOf(names) !== 0) return 1
  process.stderr.write(`${common.confFile}: ${loaded.config.files.length} file(s) read, nothing refused\n`)
  return 0
}

/** Names that stand for addresses and have none: a port's are fatal. */
const namesMissing = async ({ config, policy }: LoadedConf): Promise<readonly Diagnostic[]> => {
  const written = [...policy.pendingHosts, ...policy.zoneHosts]
  const resolver = written.length === 0 ? null : resolverOf(config, systemClock, { limited: () => {} })
  const [ports, others] = await Promise.all([
    portsWithoutAddress(config),
    resolver === null ? [] : unresolvedNames(written, resolver, systemClock),
  ])
  resolver?.close()
  return inReadingOrder([...ports, ...others])
}

/** `-z`: makes the folders that cache_dir names. The start makes them, too: this is for who wants to see that it works. */
export const createFolders = (common: Common): number => {
  const loaded = loadConf(common, tellOnStderr)
  if (loaded === null) return 1
  const dirs = loaded.config.cache_dir
  if (dirs.length === 0) process.stderr.write('no cache_dir: the cache is kept in memory, there are no folders to make\n')
  const became = becomeUser(loaded.config)
  if (!became.ok) {
    process.stderr.write(`FATAL: ${became.reason}\n`)
    return 1
  }
  let code = 0
  for (const { folder } of dirs) {
    const prepared = prepareFolder(folder)
    process.stderr.write(prepared.ok ? `cache_dir ${folder} is ready\n` : `FATAL: cache_dir: ${prepared.message}\n`)
    if (!prepared.ok) code = 1
  }
  return code
}

/**
 * A signal to the proxy that runs with this conf. What it is asked to read again is read here first, and where it can be
 * asked it says what came of it: it may have rights, files and ports that we have not, or the other way round.
 */
export const controlRunning = async (control: Control, common: Common): Promise<number> => {
  const reads = control === 'reconfigure'
  const { loaded, draft } = readConf({ ...common, places: reads }, reads ? tellOnStderr : onlyRefusals)
  const unheard = reads && loaded !== null ? await portsWithoutAddress(loaded.config) : []
  for (const one of unheard) tellOnStderr(diagnosticText(one))
  if (reads && (loaded === null || unheard.length > 0)) {
    process.stderr.write('the running proxy was not told: it keeps its conf\n')
    return 1
  }
  if (draft === null) return 1
  // also whoever has just spoilt the conf wants to stop it: what was refused may still say where the pid file is
  const running = findRunning(draft.pid_filename)
  if (!running.ok) {
    process.stderr.write(`FATAL: ${running.reason}\n`)
    return 1
  }
  const told = reads ? await (await import('./control.ts')).askToReconfigure(draft) : null
  if (told !== null) {
    if (!told.ok) process.stderr.write(`FATAL: ${told.reason}\n`)
    return told.ok ? 0 : 1
  }
  try {
    process.kill(running.pid, controlSignals[control].signal)
    return 0
  } catch (error) {
    process.stderr.write(`FATAL: cannot signal process ${running.pid}: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

const onlyRefusals = (text: string): void => {
  if (/^(?:FATAL|ERROR)/.test(text)) tellOnStderr(text)
}

export const rules = (wish: RulesWish & Common): number => {
  if (wish.deed === 'undo') {
    const options = ruleOptions(wish, null)
    return typeof options === 'string' ? refuse(options) : doOrShow(wish, planUndo(options))
  }
  const loaded = loadConf(wish, onlyRefusals)
  if (loaded === null) return 1
  const { config } = loaded
  const options = ruleOptions(wish, config.cache_effective_user)
  if (typeof options === 'string') return refuse(options)
  const expectPort = config.related_connections.form === 'nft_sets' ? config.related_connections.port : null
  if (expectPort !== null && wish.form !== 'nft') return refuse('related_connections nft_sets needs the rules of the nft form')
  const { ports, left } = interceptionPorts(loaded, wish.form)
  const answer = planRules(ports, { ...options, foreignSockets: usesForeignAddresses(config), expectPort })
  if (!answer.ok) return refuse(answer.reason)
  return doOrShow(wish, { ...answer.plan, remarks: [...answer.plan.remarks, ...left] })
}

interface InterceptionPorts {
  readonly ports: readonly ListeningPort[]
  /** What the kernel was to refuse or to forward and does not, a sentence each. */
  readonly left: readonly string[]
}

/** Whatever line of the conf takes connections or datagrams that a rule brings. */
const interceptionPorts = ({ config, policy }: LoadedConf, form: RulesWish['form']): InterceptionPorts => {
  const left: string[] = []
  const groups = readGroupNames
  const portOf = (line: TakingConfig, transport: Transport): ListeningPort => {
    const port = portOfLine(line, transport, groups)
    if (line.taken === 'direct') return port
    const kernel = decisionsOf(line, transport, config, policy.rules.rules)
    left.push(...kernel.left)
    if (form === 'nft') return { ...port, decisions: kernel.decisions }
    left.push(...kernel.decisions.map(({ what, kind }) => `${what}: left to the proxy; ${kind === 'forward' ? 'the rules of nft can say it' : 'iptables cannot refuse what has not been routed yet, nft can'}.`))
    return port
  }
  const ports = [...portsOf(config).filter(port => !port.introduced), ...config.listener.map(line => portOf(line, 'tcp')), ...config.receiver.map(line => portOf(line, 'udp'))]
  return { ports, left: [...new Set(left)] }
}

const portOfLine = (line: TakingConfig, transport: Transport, groups: () => ReadonlyMap<string, number>): ListeningPort => {
  const { bind: { place, first, last }, taken, name } = line
  const common = { mode: taken, transport, port: first, lastPort: last, name } as const
  switch (place.kind) {
    case 'address':
      return { ...common, address: place.address }
    case 'interface':
      return { ...common, address: null, by: { interface: place.name } }
    case 'group':
      return { ...common, address: null, by: { group: groupNumber(place.name, groups()) ?? 0 } }
  }
}

/** Lines that make the proxy speak with other people's addresses, whatever brought their connections. */
const usesForeignAddresses = (config: Config): boolean =>
  config.related_connections.form === 'nft_sets' ||
  config.router.some(({ forgeAddr }) => forgeAddr) || config.service.some(({ snat, proxy }) => snat !== null || proxy === 'forward')

const doOrShow = ({ form, deed, show }: RulesWish, plan: RulePlan): number => {
  if (show) {
    process.stdout.write(ruleText(form, deed, plan))
    return 0
  }
  const done = doRules(form, deed, plan)
  if (!done.ok) return refuse(done.reason)
  for (const remark of plan.remarks) process.stderr.write(`Note: ${remark}\n`)
  return 0
}

const refuse = (reason: string): number => {
  process.stderr.write(`glassquid rules: ${reason}\n`)
  return 1
}

/** The command's words, checked; or what is wrong with them. */
const ruleOptions = (wish: RulesWish, confUser: string | null): RuleOptions | string => {
  const take: TakeWish[] = []
  for (const text of wish.take) {
    const [, portsText = '', transport = '', listener = ''] = /^(.*?)(?:\/(tcp|udp))?=(.+)$/.exec(text) ?? []
    const ports = parsePorts(portsText)
    if (ports === null) return `--take '${text}': write PORTS=LISTENER, as in 80,8000-8010=3130, or PORTS/udp=RECEIVER`
    take.push({ ports, listener, transport: transport === 'tcp' || transport === 'udp' ? transport : null })
  }
  const ports = wish.ports === null ? ruleDefaults.ports : parsePorts(wish.ports)
  if (ports === null) return `--ports '${wish.ports}': write numbers and ranges, as in 80,8000-8010 (at most 7)`
  const marks = wish.mark === null ? null : parseMarks(wish.mark)
  if (wish.mark !== null && marks === null) return `--mark '${wish.mark}': write two single bits, as in 0x100/0x200`
  const table = wish.table === null ? ruleDefaults.routingTable : Number(wish.table)
  // 253 to 255 are the kernel's own; the table's number is also the place of its rule, which must come before main's
  if (!(Number.isInteger(table) && table >= 1 && table < 253)) return `--table '${wish.table}': a number from 1 to 252`
  return {
    ...ruleDefaults,
    take,
    ports,
    interfaces: wish.interfaces,
    bypass: wish.bypass,
    exempt: wish.exempt,
    families: existsSync('/proc/net/if_inet6') ? [4, 6] : [4],
    failClosed: wish.failClosed,
    local: wish.local,
    proxyUser: wish.user ?? confUser ?? ruleDefaults.proxyUser,
    takenMark: marks?.taken ?? ruleDefaults.takenMark,
    ownMark: marks?.own ?? ruleDefaults.ownMark,
    routingTable: table,
    rulePreference: wish.table === null ? ruleDefaults.rulePreference : table,
  }
}

const parseMarks = (text: string): { readonly taken: number; readonly own: number } | null => {
  const match = /^(0x[0-9a-f]{1,8}|\d{1,10})\/(0x[0-9a-f]{1,8}|\d{1,10})$/i.exec(text)
  if (match === null) return null
  const [taken, own] = [Number(match[1]), Number(match[2])]
  return isBit(taken) && isBit(own) && taken !== own ? { taken, own } : null
}

const isBit = (mark: number): boolean => mark > 0 && mark <= 0x80000000 && Number.isInteger(Math.log2(mark))
