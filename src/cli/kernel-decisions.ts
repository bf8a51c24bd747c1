import { type Config, portsOf, type ServiceConfig, type TakingConfig } from '../conf/index.ts'
import { mayPrecede, type Rule } from '../dispatch/index.ts'
import type { KernelDecision, KernelDecisionKind, Transport } from '../intercept/index.ts'

// What of a conf the kernel may decide by itself: services that deny in one of its ways, and those that forward. A listener
// whose every connection is theirs, and rules that decide alone and speak only of what nft knows.

export interface KernelDecisions {
  readonly decisions: readonly KernelDecision[]
  /** One sentence for each that is left to the proxy. */
  readonly left: readonly string[]
}

const none: KernelDecisions = { decisions: [], left: [] }

export const decisionsOf = (line: TakingConfig, transport: Transport, config: Config, rules: readonly Rule[]): KernelDecisions => {
  const beside = sharers(line, transport, config)
  if (line.service !== null) {
    const kind = kindOf(serviceNamed(config, line.service))
    if (kind === null) return none
    if (beside !== null) return { decisions: [], left: [`${line.name}: ${beside} listens at its port, too, so what comes there is left to the proxy, ${instead(kind)}`] }
    return { decisions: [{ ...everything, kind, what: `${line.name}: ${does(line.service, kind)}` }], left: [] }
  }
  const deciding = rules.filter(rule => mayConcern(rule, transport) && kindOf(serviceNamed(config, rule.service)) !== null)
  const found: KernelDecision[] = []
  const left: string[] = []
  for (const rule of deciding) {
    const kind = kindOf(serviceNamed(config, rule.service))
    const why = beside === null ? whyLeft(rule, rules, kind, config) : `${beside} listens at the port of ${line.name}, too`
    if (kind !== null && why === null) found.push(decisionOf(rule, kind))
    else left.push(`rule ${rule.id} (${kind}) is left to the proxy, ${instead(kind)}: ${why}.`)
  }
  return { decisions: found, left }
}

const everything = { src: [], dst: [], srcPorts: [], dstPorts: [], interfaces: [], groups: [] } as const

const decisionOf = (rule: Rule, kind: KernelDecisionKind): KernelDecision => ({
  kind,
  what: `rule ${rule.id}: ${does(rule.service, kind)}`,
  src: rule.srcNets,
  dst: rule.dstNets,
  srcPorts: rule.srcPorts,
  dstPorts: rule.dstPorts,
  interfaces: rule.srcIfaces,
  groups: rule.srcGroups,
})

const mayConcern = ({ protos }: Rule, transport: Transport): boolean => protos.length === 0 || protos.includes(transport)

const serviceNamed = (config: Config, name: string): ServiceConfig | undefined =>
  config.service.find(line => line.name.toLowerCase() === name.toLowerCase())

const kindOf = (service: ServiceConfig | undefined): KernelDecisionKind | null =>
  service?.proxy === 'forward' ? 'forward'
    : service?.proxy !== 'deny' || service.denyKind === 'reset' || service.denyKind === 'close' ? null
    : service.denyKind

/** What the proxy does with what is left to it. */
const instead = (kind: KernelDecisionKind | null): string =>
  kind === 'forward' ? 'which passes it on' : 'which resets connections and drops datagrams'

const does = (service: string, kind: KernelDecisionKind): string => (kind === 'forward' ? `${service} forwards` : `${service} denies (${kind})`)

/** Null: the kernel may decide it. */
const whyLeft = (rule: Rule, rules: readonly Rule[], kind: KernelDecisionKind | null, config: Config): string | null => {
  if (rule.srcZones.length + rule.dstZones.length > 0) return 'the kernel knows no zones'
  if (rule.dstIfaces.length + rule.dstGroups.length > 0) return 'what comes to this machine itself is never taken'
  if (rule.acl.length > 0) return 'the kernel knows no ACLs'
  if (rule.detect.length > 0) return 'detectors need the first bytes'
  const first = mayPrecede(rule, rules, other => kindOf(serviceNamed(config, other.service)) === kind && other.detect.length === 0)
  return first === null ? null : `rule ${first.id} may come before it`
}

/** Somebody else who is asked about the same packets; names are enough to tell of it. */
const sharers = (line: TakingConfig, transport: Transport, config: Config): string | null => {
  const taking: readonly TakingConfig[] = transport === 'tcp' ? config.listener : config.receiver
  const overlaps = (first: number, last: number) => first <= line.bind.last && line.bind.first <= last
  const other = taking.find(one => one !== line && overlaps(one.bind.first, one.bind.last))
  const port = transport === 'tcp' ? portsOf(config).find(one => overlaps(one.port, one.port)) : undefined
  return other?.name ?? port?.name ?? null
}
