import type { ChainerConfig, Config, NamedKind, NamedLine, NameUse, ServiceConfig } from './config.ts'
import type { Findings } from './findings.ts'
import { nearest } from './nearest.ts'

// Names of services, routers, chainers and the like: each defined once, and everything that is used is there.

/** Names that need no line. */
const builtIn: Partial<Record<NamedKind, readonly string[]>> = {
  router: ['transparent', 'inband'],
  chainer: ['connect'],
}

/** Lines by the kind of name they define. Lines that add to each other may repeat it. */
const definitions = (config: Config): Record<NamedKind, readonly NamedLine[]> => ({
  service: config.service,
  router: config.router,
  chainer: config.chainer,
  stack: config.stack,
  zone: config.zone,
  nat_policy: config.nat_policy,
  detector: config.detector,
})

/** Kinds whose lines of one name add up. */
const adding: ReadonlySet<NamedKind> = new Set(['zone', 'nat_policy'])

export const checkNames = (config: Config, findings: Findings): void => {
  const defined = definitions(config)
  const known = new Map<NamedKind, ReadonlyMap<string, string>>()
  for (const [kind, lines] of Object.entries(defined) as [NamedKind, readonly NamedLine[]][]) {
    known.set(kind, namesOf(kind, lines, findings))
  }
  checkChainers(config, findings)
  checkStacks(config, findings)
  checkAvailability(config, findings)
  checkRouters(config, findings)
  const lines = [...Object.values(defined).flat(), ...config.listener, ...config.receiver, ...config.rule]
  const uses = [...lines.flatMap(line => line.uses), ...usesOfAcls(config)]
  for (const use of uses) {
    const names = known.get(use.kind)
    if (names === undefined || names.has(use.name.toLowerCase())) continue
    const like = nearest(use.name, names.values())
    findings.fatal(
      use.at,
      `there is no ${use.kind} '${use.name}'`,
      like === null ? `define it: ${use.kind} ${use.name} ...` : `did you mean ${like}?`,
    )
  }
  unused(defined, uses, findings)
  sourcesAsTargets(config, findings)
  rulesAndAskers(config, findings)
}

/** Zones are the values of two types of ACL. */
const usesOfAcls = (config: Config): readonly NameUse[] =>
  config.acl
    .filter(({ type }) => type === 'src_zone' || type === 'dst_zone')
    .flatMap(({ values }) => values.map(({ text, at }): NameUse => ({ kind: 'zone', name: text, at })))

/** Kinds that do nothing by themselves. A zone with services of its own does. */
const unused = (
  defined: Record<NamedKind, readonly NamedLine[]>,
  uses: readonly NameUse[],
  findings: Findings,
): void => {
  for (const kind of ['zone', 'nat_policy', 'detector'] as const) {
    const used = new Set(uses.filter(use => use.kind === kind).map(use => use.name.toLowerCase()))
    const idle = defined[kind].filter(line => !used.has(line.name.toLowerCase()) && !saysServices(line))
    const [first] = idle
    const names = new Set(idle.map(line => line.name))
    if (first !== undefined) findings.note(first.at, `${kind} lines that no line uses: ${[...names].join(', ')}`)
  }
}

const saysServices = (line: object): boolean =>
  ('inbound' in line && line.inbound !== null) || ('outbound' in line && line.outbound !== null)

const rulesAndAskers = ({ rule, listener, receiver }: Config, findings: Findings): void => {
  const asker = [...listener, ...receiver].find(line => line.service === null)
  const [first] = rule
  if (first !== undefined && asker === undefined)
    findings.note(first.at, 'no listener or receiver asks the rules', "write 'rules' instead of service=NAME in its line")
  if (first === undefined && asker !== undefined)
    findings.warning(asker.at, 'there is no rule: what comes here is closed', 'rule service=NAME is for everything')
}

const sourcesAsTargets = (config: Config, findings: Findings): void => {
  for (const service of config.service) {
    const key = service.dnat?.toLowerCase()
    const policy = config.nat_policy.find(line => line.name.toLowerCase() === key)
    if (policy?.kind !== 'forge_client') continue
    findings.fatal(service.at, `service: dnat=${policy.name} would send '${service.name}' to its own client`, 'forge_client is for snat=')
  }
}

/** A side_stack that leads back to itself would never arrive. */
const checkChainers = (config: Config, findings: Findings): void => {
  const byName = new Map(config.chainer.map(line => [line.name.toLowerCase(), line] as const))
  for (const line of config.chainer) {
    let steps = 0
    for (let next = byName.get(line.name.toLowerCase()); next?.rightProxy; next = byName.get(next.rightChainer.toLowerCase())) {
      if (++steps <= sideStacksMax) continue
      findings.fatal(line.at, `the chainer '${line.name}' leads through more than ${sideStacksMax} others, or to itself`)
      break
    }
  }
}

/** Proxies behind one another. */
const sideStacksMax = 8

/** A program is between client and server, where no relay is that could limit anything. */
const checkStacks = (config: Config, findings: Findings): void => {
  for (const { stack, name, at, oneWay, bandwidth, bandwidthPerClient, bandwidthPerZone } of config.service) {
    const line = config.stack.find(one => one.name.toLowerCase() === stack?.toLowerCase())
    if (line === undefined || line.program === null) continue
    const limited = bandwidth ?? bandwidthPerClient ?? bandwidthPerZone
    if (oneWay === 'no' && limited === null) continue
    findings.fatal(at, `the service '${name}' has a program in the middle: one_way and bandwidth are not for it`, 'stack proxy=plug goes with both')
  }
}

/** Bytes name no server: an in-band router would have nothing to go by. */
const checkRouters = (config: Config, findings: Findings): void => {
  for (const { name, proxy, router, at } of config.service) {
    const line = config.router.find(one => one.name.toLowerCase() === router.toLowerCase())
    if (proxy !== 'plug' || (line?.kind ?? router.toLowerCase()) !== 'inband') continue
    findings.fatal(at, `service '${name}': router=${router} goes where the protocol says, and a plug understands none`, 'take a transparent or a directed router')
  }
}

/** The chainer that connects to servers for a service: the last one behind side stacks. null: the built-in one, or none. */
export const lastChainerOf = ({ chainer }: Config, service: ServiceConfig): ChainerConfig | null => {
  const named = (name: string) => chainer.find(line => line.name.toLowerCase() === name.toLowerCase())
  let line = named(service.chainer)
  for (let steps = 0; line !== undefined && line.rightProxy !== null && steps <= sideStacksMax; steps++) line = named(line.rightChainer)
  return line ?? null
}

/** What is asked are the targets of a directed router, as its line has them. */
const checkAvailability = (config: Config, findings: Findings): void => {
  for (const service of config.service) {
    const chainer = lastChainerOf(config, service)
    if (chainer?.kind !== 'availability') continue
    const router = config.router.find(line => line.name.toLowerCase() === service.router.toLowerCase())
    if (router?.kind !== 'directed') {
      const message = `service '${service.name}': its router names no servers, so chainer ${chainer.name} checks none`
      findings.warning(service.at, message, 'take a directed router')
    } else if (service.dnat !== null) {
      const message = `service '${service.name}': chainer ${chainer.name} checks the servers of router ${router.name}, and dnat=${service.dnat} makes others of them`
      findings.fatal(service.at, message, 'write the servers’ own addresses into the router')
    }
  }
}

const namesOf = (kind: NamedKind, lines: readonly NamedLine[], findings: Findings): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  for (const name of builtIn[kind] ?? []) names.set(name, name)
  for (const line of lines) {
    const key = line.name.toLowerCase()
    if (!names.has(key)) {
      names.set(key, line.name)
    } else if (!adding.has(kind)) {
      const first = lines.find(other => other.name.toLowerCase() === key)
      const where = first === undefined || first === line ? 'is built in' : `is defined at line ${first.at.line}`
      findings.fatal(line.at, `the ${kind} '${line.name}' ${where}`, 'take another name')
    }
  }
  return names
}
