import type { Connection, Interface, Interfaces } from '../../comm/index.ts'
import type { Zone, ZoneTable } from '../acl/index.ts'
import type { Clock, Endpoint } from '../base/index.ts'
import type { Decided, Refused, Service, Session } from '../service/index.ts'
import { type Detector, detect } from './detect/index.ts'
import type { Decision, StartHere } from './listener.ts'
import type { InterfaceFacts } from './rule/index.ts'
import { type Rule, type RuleSet, type Tuple, tupleOf } from './rule/index.ts'

// What a listener does with a connection: the service it names, or the one the rules say.
//
//   connection ──► zones of both ends ──► rule ──► detectors? ──► service ──► may the client's zone use it? ──► session
//
// Everything here belongs to one conf. A reload makes another one; a connection that is being looked at ends with the
// services of the conf it began with.

export interface StartParts {
  readonly rules: RuleSet
  readonly zones: ZoneTable
  /** By name; names know no case. */
  readonly detectors: ReadonlyMap<string, Detector>
  readonly serviceNamed: (name: string) => Service
  readonly startSession: (service: Service, connection: Connection, portName: string, decided: Decided) => Session | Refused
  readonly interfaces: () => Interfaces
  readonly clock: Clock
}

/**
 * The service is the listener's; zones are looked up for limits and records, and for permissions where the service is one
 * that zones can name.
 */
export const startService = <S extends Service>(service: S, parts: StartParts, asksZones: boolean): S | StartHere => {
  const { zones } = parts
  if (zones.zones.length === 0) return service
  const zonesOf = (connection: Connection) =>
    [zones.ofAddress(connection.peer.address), zones.ofAddress(destinationOf(connection).address)] as const
  const startHere = (connection: Connection, portName: string) =>
    start(parts, service, connection, portName, null, ...zonesOf(connection), asksZones)
  const decide = (connection: Connection) => decisionOf(decidedFor(parts, service, null, ...zonesOf(connection), asksZones), service)
  return Object.assign(startHere, { decide })
}

/** The best rule's. No rule: the connection is left to the next entry. */
export const startByRules = (parts: StartParts): StartHere => {
  const { rules, zones, clock } = parts
  const facts = new CurrentInterfaces(parts.interfaces)
  const tupleFor = (connection: Connection, portName: string): Tuple =>
    tupleOf(
      {
        proto: connection.protocol,
        src: connection.peer,
        dst: destinationOf(connection),
        iface: rules.speaksOfIngress ? (parts.interfaces().cameBy(connection)?.name ?? null) : null,
        portName,
        now: clock.wall(),
      },
      zones,
      rules.speaksOfInterfaces ? facts : nowhere,
    )
  const startHere = (connection: Connection, portName: string) => {
    const tuple = tupleFor(connection, portName)
    const rule = rules.decide(tuple)
    if (rule === null) return 'declined' as const
    const go = (service: string) =>
      start(parts, parts.serviceNamed(service), connection, portName, rule.id, tuple.srcZone, tuple.dstZone, true)
    if (!asksBytes(rule, connection)) return go(rule.service)
    return detected(rule, connection, parts).then(service => () => go(service))
  }
  const decide = (connection: Connection, portName: string) => {
    const tuple = tupleFor(connection, portName)
    const rule = rules.decide(tuple)
    if (rule === null || asksBytes(rule, connection)) return null
    const service = parts.serviceNamed(rule.service)
    return decisionOf(decidedFor(parts, service, rule.id, tuple.srcZone, tuple.dstZone, true), service)
  }
  return Object.assign(startHere, { decide })
}

const asksBytes = (rule: Rule, { protocol }: Connection): boolean => rule.detect.length > 0 && protocol === 'tcp'

const decisionOf = (decided: Decided, service: Service): Decision | null => (decided.denied === undefined ? { service, decided } : null)

const detected = async (rule: Rule, connection: Connection, { detectors, clock }: StartParts): Promise<string> => {
  const looking = rule.detect.flatMap(({ detector }) => detectors.get(detector.toLowerCase()) ?? [])
  const found = await detect(connection, looking, clock)
  return rule.detect[found]?.service ?? rule.service
}

const start = (
  parts: StartParts,
  service: Service,
  connection: Connection,
  portName: string,
  rule: number | null,
  clientZone: Zone | null,
  serverZone: Zone | null,
  asksZones: boolean,
): Session | Refused => parts.startSession(service, connection, portName, decidedFor(parts, service, rule, clientZone, serverZone, asksZones))

const decidedFor = (
  { zones }: StartParts,
  service: Service,
  rule: number | null,
  clientZone: Zone | null,
  serverZone: Zone | null,
  asksZones: boolean,
): Decided => {
  const decided = { rule, clientZone: clientZone?.name ?? null, serverZone: serverZone?.name ?? null }
  if (!asksZones || zones.permits(clientZone, 'outbound', service.name)) return decided
  const who = clientZone === null ? 'clients in no zone' : `clients in zone ${clientZone.name}`
  return { ...decided, denied: `${who} may not use ${service.name}` }
}

const destinationOf = ({ original, local }: Connection): Endpoint =>
  original.kind === 'nat' || original.kind === 'tproxy' ? original.destination : local

const nowhere: InterfaceFacts = { groupOf: () => null, holderOf: () => null }

/** Interfaces by name and by address, made anew when they have changed. */
class CurrentInterfaces implements InterfaceFacts {
  readonly #interfaces: () => Interfaces
  #table: Interfaces['byIndex'] | null = null
  readonly #byName = new Map<string, Interface>()
  readonly #byAddress = new Map<string, Interface>()

  constructor(interfaces: () => Interfaces) {
    this.#interfaces = interfaces
  }

  groupOf(name: string): number | null {
    this.#look()
    return this.#byName.get(name)?.group ?? null
  }

  holderOf(address: string): string | null {
    this.#look()
    return this.#byAddress.get(address)?.name ?? null
  }

  #look(): void {
    const { byIndex } = this.#interfaces()
    if (byIndex === this.#table) return
    this.#table = byIndex
    this.#byName.clear()
    this.#byAddress.clear()
    for (const each of byIndex.values()) {
      this.#byName.set(each.name, each)
      for (const { address } of each.addresses) this.#byAddress.set(address, each)
    }
  }
}

/** For commands that have no connection: this machine's interfaces as rules see them. */
export const interfaceFacts = (interfaces: () => Interfaces): InterfaceFacts => new CurrentInterfaces(interfaces)

