import { type AclTable, compileAccessList, compileCondition } from '../acl/index.ts'
import type { Comm, Connection } from '../../comm/index.ts'
import { type DurationMs, endpoint, ms, type Outcome } from '../base/index.ts'
import type { Config, Diagnostic, Location } from '../conf/index.ts'
import { CountIcap, Exchange, Icap, type IcapServiceConfig, type IcapSettings } from '../icap/index.ts'
import { compileText } from '../log/index.ts'
import {
  type Adaptation, type AdaptationGroup, type AdaptationService, ContentProgram, type HttpDeps, type ProgramDeps, type ProgramService,
} from '../proxy/index.ts'

// icap_* and adaptation_* lines: which services and stacked programs see what, and the client that shows it to them.

/** Null: no service is used. */
export const compileAdaptation = (config: Config, acls: AclTable, problems: Diagnostic[]): Adaptation | null => {
  const known = groupsOf(config, problems)
  const names = [...new Set(config.adaptation_access.map(line => line.subject))]
  const groups: AdaptationGroup[] = []
  for (const name of names) {
    const lines = config.adaptation_access.filter(line => line.subject === name)
    const group = known.get(name)
    const access = compileAccessList(lines, acls, 'deny')
    if (group === undefined) for (const { at } of lines) fatal(problems, at, ...noGroup(config, name))
    else if (config.icap_enable || group.steps.flat().some(isProgram)) groups.push({ ...group, access })
  }
  if (groups.length === 0) return null
  const ofResponses = groups.filter(({ vector }) => vector === 'respmod')
  return {
    groups,
    responseSteps: Math.max(0, ...ofResponses.map(({ steps }) => steps.length)),
    sendClientIp: config.adaptation_send_client_ip,
    userField: config.adaptation_send_username ? config.icap_client_username_header : '',
    userInBase64: config.icap_client_username_encode,
    sharedName: config.adaptation_masterx_shared_names,
    retriesMax: config.icap_retry_limit,
    retry: compileAccessList(config.icap_retry, acls, 'deny'),
    meta: config.adaptation_meta.map(line => ({ name: line.name, value: metaText(line, problems), when: compileCondition(line.acls, acls, line.at) })),
  }
}

const metaText = ({ value, isFormat, at }: Config['adaptation_meta'][number], problems: Diagnostic[]): ((outcome: Outcome) => string) => {
  if (!isFormat) return () => value
  const { text, problems: found } = compileText(value)
  for (const { severity, message } of found) problems.push({ severity, at, message: `adaptation_meta: ${message}`, hint: '' })
  return text
}

/** Of two of one name the first counts, as in Squid. */
export const icapServicesOf = (config: Config): IcapServiceConfig[] => {
  const { icap_service: lines } = config
  return lines.filter((line, n) => lines.findIndex(one => one.name === line.name) === n).map(({ name, vector, uri, host, port, bypass, connectionsMax, onOverload }) => ({
    name, vector, uri, host, port, bypass, connectionsMax, onOverload,
  }))
}

type Group = Omit<AdaptationGroup, 'access'>

const groupsOf = (config: Config, problems: Diagnostic[]): ReadonlyMap<string, Group> => {
  const services = new Map(icapServicesOf(config).map(service => [service.name, service]))
  const groups = new Map<string, Group>()
  const most = config.adaptation_service_iteration_limit
  for (const { name, at } of config.icap_service.filter((line, n) => config.icap_service.findIndex(one => one.name === line.name) < n)) {
    problems.push({ severity: 'warning', at, message: `icap_service ${name} is already defined. Ignoring.`, hint: 'the first one counts, as in Squid: take another name' })
  }
  for (const service of services.values()) groups.set(service.name, { vector: service.vector, steps: [[service]] })
  const lines = [
    ...config.adaptation_service_set.map(line => ({ ...line, chain: false })),
    ...config.adaptation_service_chain.map(line => ({ ...line, chain: true })),
  ]
  for (const { name, services: members, at, chain } of lines) {
    const found = members.flatMap(member => services.get(member) ?? [])
    const [first] = found
    if (groups.has(name)) fatal(problems, at, `there is an icap_service, set or chain '${name}' already`, 'take another name')
    else if (first === undefined || found.length < members.length) {
      fatal(problems, at, `there is no icap_service '${members.find(member => !services.has(member))}'`, 'define it above')
    } else if (found.some(({ vector }) => vector !== first.vector)) {
      fatal(problems, at, 'some of these services are for requests and some for responses', 'make a set or chain for each')
    } else if (found.length > most) {
      fatal(problems, at, `more than ${most} services are asked one after the other`, 'raise adaptation_service_iteration_limit')
    } else groups.set(name, { vector: first.vector, steps: chain ? found.map(service => [service]) : [found] })
  }
  addPrograms(config, groups, problems)
  return groups
}

/** Who is in each set and chain; a service is by itself. */
export const adaptationNames = (config: Config): ReadonlyMap<string, readonly string[]> =>
  new Map([
    ...[...config.adaptation_service_set, ...config.adaptation_service_chain].map(({ name, services }) => [name, services] as const),
    ...icapServicesOf(config).map(({ name }) => [name, [name]] as const),
  ])

/** Programs that see content: a stack line says which way. */
const addPrograms = (config: Config, groups: Map<string, Group>, problems: Diagnostic[]): void => {
  for (const { name, program: command, direction, timeout, at } of config.stack) {
    if (command === null || direction === 'both') continue
    const service: ProgramService = { name, command, timeout, bypass: false }
    if (!groups.has(name)) groups.set(name, { vector: direction === 'to_server' ? 'reqmod' : 'respmod', steps: [[service]] })
    else if (config.adaptation_access.some(({ subject }) => subject === name)) {
      fatal(problems, at, `there is an icap_service, set or chain '${name}', too`, 'take another name')
    }
  }
}

const noGroup = (config: Config, name: string): readonly [message: string, hint: string] => {
  const stack = config.stack.find(line => line.name === name)
  if (stack === undefined) return [`there is no icap_service, set, chain or stack '${name}'`, `define it: icap_service ${name} ...`]
  if (stack.program === null) return [`the stack '${name}' is a proxy: content of requests and responses goes through programs`, 'write program=']
  return [`the stack '${name}' goes both ways`, 'write direction=to_server for what requests bring, to_client for responses']
}

const isProgram = (service: AdaptationService): service is ProgramService => 'command' in service

const fatal = (problems: Diagnostic[], at: Location, message: string, hint: string): void =>
  void problems.push({ severity: 'fatal', at, message, hint })

export const icapSettings = (config: Config): IcapSettings => ({
  previewEnabled: config.icap_preview_enable,
  previewBytes: config.icap_preview_size,
  failuresMax: config.icap_service_failure_limit.failures,
  failureWindow: ms(config.icap_service_failure_limit.windowMs),
  revivalDelay: ms(config.icap_service_revival_delay * 1000),
  optionsTtl: ms(config.icap_default_options_ttl * 1000),
  persistent: config.icap_persistent_connections,
  keptAgeMax: config.pconn_lifetime,
  connectTimeout: config.icap_connect_timeout,
  ioTimeout: config.icap_io_timeout,
})

interface DialParts {
  readonly comm: Comm
  readonly lookup: HttpDeps['names']['lookup']
}

/**
 * A connection to a service of the operator's. Not by a chainer: those are for where clients' sessions go, with their
 * routes, zones and addresses (docs/decisions/0022-icap-dials-by-itself.md).
 */
export const icapDial =
  ({ comm, lookup }: DialParts) =>
  async (host: string, port: number, timeout: DurationMs): Promise<Connection> => {
    const address = /^[\d.]+$|:/.test(host) ? host : await addressOf(host, lookup)
    return comm.connect({ target: endpoint(address, port), flags: 0, note: 'icap' }, timeout)
  }

const addressOf = async (host: string, lookup: DialParts['lookup']): Promise<string> => {
  const answer = await lookup(host)
  const address = answer.ok ? answer.addresses[0] : undefined
  if (address === undefined) throw new Error(`${host} does not resolve`)
  return address
}

/** As the http proxy is handed it. */
export const icapClient = (icap: Icap, programs: ProgramDeps): HttpDeps['icap'] => ({
  show(service, message, user, { peer, local, original }) {
    if (isProgram(service)) {
      const shown = new ContentProgram(service, message, user)
      shown.start(programs, { peer, local, original })
      return shown
    }
    const exchange = new Exchange(icap.service(service), message, user)
    exchange.start()
    return exchange
  },
  up: service => isProgram(service) || icap.service(service).up,
  bypassed(why) {
    CountIcap.bypassed++
    icap.warn(`${why}; the message goes on as it was`)
  },
})
